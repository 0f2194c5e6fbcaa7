"""Under which condition each value is used at all: what only arms of selects use is guarded by their conditions.

A value may also be used without having any influence: the larger side of a minimum, a number that only decides which
arm is taken. Its adjoint is 0 then, and must stay 0 on the way down, past partials that are infinite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from gradc.bounds import needs_guard
from gradc.build import Builder
from gradc.extents import Index
from gradc.ir import Graph, Linear, Node, Read, reachable
from gradc.ops import OPS
from gradc.program import Provenance
from gradc.rewrite import rebuild


class Use(Enum):
    """ALWAYS used, or only SOMETIMES, under a condition that cannot be said in the value's own indices."""

    ALWAYS = "always"
    SOMETIMES = "sometimes"


LOOK = 64
"""How many parts of a condition are looked at to tell whether it follows from another."""


@dataclass(frozen=True)
class Partly:
    """Used only where the condition holds, and not everywhere there."""

    condition: Node


Guard = Node | Use | Partly

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
        if not isinstance(guard, Use) and not condition_of(guard).indices <= _each(node):
            guard = Use.SOMETIMES
        known = found.get(node)
        if known is None or guard is Use.ALWAYS:
            found[node] = guard
        elif isinstance(known, Use) or isinstance(guard, Use):
            found[node] = Use.ALWAYS if known is Use.ALWAYS else Use.SOMETIMES
        else:
            either = _either(build, condition_of(known), condition_of(guard))
            found[node] = either if isinstance(known, Node) and isinstance(guard, Node) else Partly(either)

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
            add(n.args[0], guard if isinstance(guard, Use) else _elsewhere(guard, n))
            for e in n.args[1:]:
                add(e, guard)
        elif n.op == "scan" and not isinstance(guard, Use) and n.index in condition_of(guard).indices:
            add(n.args[0], Use.SOMETIMES)  # an element is in the running sums behind it, whose conditions are others
        else:
            for a in n.args:
                add(a, guard)
    return found


def protect(build: Builder, provenance: Provenance, root: Node) -> Node:
    """What is only meant under a condition is guarded by it: linear algebra, and reads that may be out of range."""
    known = guards(build, [root])

    def condition(n: Node) -> tuple[Node, ...]:
        guard = known.get(n, Use.ALWAYS)
        meant = n.op == "linear" or (n.op == "read" and needs_guard(n))
        return (condition_of(guard),) if meant and not isinstance(guard, Use) else ()

    def rule(build: Builder, op: str, args: tuple[Node, ...], old: Node) -> tuple[Node, str] | None:
        if not condition(old):
            return None
        *given, guard = args
        if old.guard is not None:
            guard = build.op("and", given.pop(), guard)
        if isinstance(old.attr, Linear):
            return build.linear(old.attr.kind, list(zip(given, old.inner, strict=True)), old.axes, guard), ""
        return build.graph.node("read", (*given, guard), Read(old.axes, guarded=True)), ""

    return rebuild(build, provenance, [root], ("read", "linear"), rule, condition)[root]


def _elsewhere(guard: Node | Partly, read: Node) -> Guard:
    """How the value of a read is used: at some places, where the condition holds if that does not change with them."""
    condition = condition_of(guard)
    return Partly(condition) if condition.indices.isdisjoint(read.axes) else Use.SOMETIMES


def _each(node: Node) -> frozenset[Index]:
    """The indices along which a node is used or not."""
    return node.each if node.op == "linear" else node.indices


def _either(build: Builder, known: Node, guard: Node) -> Node:
    """One or the other. What holds only where the other does adds nothing: a condition is no part of its own guard."""
    if _parts("or", known) & _parts("and", guard):
        return known
    return guard if _parts("or", guard) & _parts("and", known) else build.op("or", known, guard)


def _parts(op: str, condition: Node) -> set[Node]:
    """What a condition joins by `op`, as far as it is worth looking."""
    found = [condition]
    for n in found:
        if n.op == op and len(found) < LOOK:
            found += n.args
    return {n for n in found if n.op != op}


def condition_of(guard: Node | Partly) -> Node:
    """What holds wherever the value is used."""
    return guard.condition if isinstance(guard, Partly) else guard


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
        if n.op == "linear" or (n.op in OPS and n.op not in GROWING):
            return False
        return all(self._known[a.number] for a in n.args)


def _both(build: Builder, guard: Guard, condition: Node) -> Guard:
    if isinstance(guard, Use):
        return condition if guard is Use.ALWAYS else Partly(condition)
    both = build.op("and", condition_of(guard), condition)
    return both if isinstance(guard, Node) else Partly(both)
