"""Under which condition each value is used at all: what only arms of selects use is guarded by their conditions.

A value may also be used without having any influence: the larger side of a minimum, a number that only decides which
arm is taken. Its adjoint is 0 then, and must stay 0 on the way down, past partials that are infinite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum

from gradc.bounds import needs_guard
from gradc.build import Builder
from gradc.ir import Graph, Node, Read, reachable
from gradc.ops import OPS
from gradc.program import Provenance
from gradc.rewrite import rebuild


class Use(Enum):
    """ALWAYS used, or only SOMETIMES, under a condition that cannot be said in the value's own indices."""

    ALWAYS = "always"
    SOMETIMES = "sometimes"


Guard = Node | Use

BOUNDED = frozenset({"sigmoid", "tanh", "sin", "cos", "arctan", "arctan2", "erf", "erfc", "sign", "step"})
GROWING = frozenset(
    {"add", "sub", "mul", "neg", "abs", "relu", "leaky_relu", "elu", "maximum", "minimum", "floor", "ceil", "round"}
    | {"softplus", "log_sigmoid", "arcsinh", "hypot", "cbrt", "sqrt"}
)
"""Functions that are finite where their arguments are. A square root is, its derivative is not."""


def guards(build: Builder, roots: Sequence[Node]) -> dict[Node, Guard]:
    """For every node the condition under which some user needs it."""
    found: dict[Node, Guard] = {}

    def add(node: Node, guard: Guard) -> None:
        if isinstance(guard, Node) and not guard.indices <= node.indices:
            guard = Use.SOMETIMES
        known = found.get(node)
        if known is None or guard is Use.ALWAYS:
            found[node] = guard
        elif isinstance(known, Node) and isinstance(guard, Node):
            found[node] = build.op("or", known, guard)
        elif known is not Use.ALWAYS:
            found[node] = Use.SOMETIMES

    for root in roots:
        add(root, Use.ALWAYS)
    for n in reversed(reachable(roots)):
        guard = found[n]
        if n.op == "select":
            condition, a, b = n.args
            add(condition, guard)
            add(a, _both(build, guard, condition))
            add(b, _both(build, guard, build.op("not", condition)))
        elif n.op == "read" and n.args[0].op != "input":
            add(n.args[0], Use.ALWAYS if guard is Use.ALWAYS else Use.SOMETIMES)
            for e in n.args[1:]:
                add(e, guard)
        elif n.op == "scan" and isinstance(guard, Node) and n.index in guard.indices:
            add(n.args[0], Use.SOMETIMES)  # an element is in the running sums behind it, whose conditions are others
        else:
            for a in n.args:
                add(a, guard)
    return found


def protect(build: Builder, provenance: Provenance, root: Node) -> Node:
    """Reads that are only meant under a condition, and may be out of range without it, become guarded reads."""
    known = guards(build, [root])

    def rule(build: Builder, op: str, args: tuple[Node, ...], old: Node) -> tuple[Node, str] | None:
        guard = known[old]
        if op != "read" or isinstance(guard, Use) or not needs_guard(old):
            return None
        return build.graph.node("read", (*args, guard), Read(old.axes, guarded=True)), ""

    return rebuild(build, provenance, [root], rule)[root]


def behind_choices(root: Node) -> set[Node]:
    """The values whose adjoint may be 0 because something above them was chosen instead."""
    found: set[Node] = set()
    seen = {root}
    for n in reversed(reachable([root])):
        if n in seen:
            below = _differentiated(n)
            seen.update(below)
            chooses = n.op == "select" or n.kind in ("max", "min") or (n.op in OPS and OPS[n.op].chooses)
            if chooses or n in found:
                found.update(below)
    return found


def _differentiated(n: Node) -> tuple[Node, ...]:
    """The arguments that the adjoint of a node goes on to."""
    if n.op == "stop" or n.type != "float":
        return ()
    if n.op in OPS:
        return tuple(a for a, partial in zip(n.args, OPS[n.op].partials, strict=True) if partial is not None)
    if n.op in ("read", "place"):
        return n.args[:1]
    return n.args[1:] if n.op == "select" else n.args


class Moderate:
    """Which values are finite wherever the inputs are, short of products that leave the range of floats.

    The adjoint 0 times such a value is 0. Division, exponentials and logarithms may give more.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._known: list[bool] = []

    def __call__(self, node: Node) -> bool:
        for n in self.graph.nodes[len(self._known) :]:
            self._known.append(self._is(n))
        return self._known[node.number]

    def _is(self, n: Node) -> bool:
        if n.type != "float" or n.op in BOUNDED:
            return True
        if n.op == "const":
            return math.isfinite(n.value)
        if n.op in OPS and n.op not in GROWING:
            return False
        return all(self._known[a.number] for a in n.args)


def _both(build: Builder, guard: Guard, condition: Node) -> Guard:
    if guard is Use.ALWAYS:
        return condition
    return guard if isinstance(guard, Use) else build.op("and", guard, condition)
