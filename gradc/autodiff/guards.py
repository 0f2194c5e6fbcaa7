"""Under which condition each value is used at all: what only arms of selects use is guarded by their conditions."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from gradc.bounds import needs_guard
from gradc.build import Builder
from gradc.ir import Node, Read, reachable
from gradc.program import Provenance
from gradc.rewrite import rebuild


class Use(Enum):
    """ALWAYS used, or only SOMETIMES, under a condition that cannot be said in the value's own indices."""

    ALWAYS = "always"
    SOMETIMES = "sometimes"


Guard = Node | Use


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
        if isinstance(guard, Use) or not needs_guard(old):
            return None
        return build.graph.node("read", (*args, guard), Read(old.axes, guarded=True)), ""

    return rebuild(build, provenance, [root], ("read",), rule)[root]


def _both(build: Builder, guard: Guard, condition: Node) -> Guard:
    if guard is Use.ALWAYS:
        return condition
    return guard if isinstance(guard, Use) else build.op("and", guard, condition)
