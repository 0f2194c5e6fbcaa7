"""Under which condition each value is used at all: what only arms of selects use is guarded by their conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from gradc.bounds import needs_guard
from gradc.build import Builder
from gradc.ir import Node, reachable
from gradc.program import Provenance
from gradc.rewrite import rebuild


class Use(Enum):
    """ALWAYS used, or only SOMETIMES, under a condition that cannot be said in the value's own indices."""

    ALWAYS = "always"
    SOMETIMES = "sometimes"


@dataclass(frozen=True)
class Partly:
    """Used only where the condition holds, and not everywhere there."""

    condition: Node


Guard = Node | Use | Partly


def guards(build: Builder, roots: Sequence[Node]) -> dict[Node, Guard]:
    """For every node the condition under which some user needs it."""
    found: dict[Node, Guard] = {}

    def add(node: Node, guard: Guard) -> None:
        if not isinstance(guard, Use) and not condition_of(guard).indices <= node.indices:
            guard = Use.SOMETIMES
        known = found.get(node)
        if known is None or guard is Use.ALWAYS:
            found[node] = guard
        elif isinstance(known, Use) or isinstance(guard, Use):
            found[node] = Use.ALWAYS if known is Use.ALWAYS else Use.SOMETIMES
        else:
            either = build.op("or", condition_of(known), condition_of(guard))
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
            add(n.args[0], Use.ALWAYS if guard is Use.ALWAYS else Use.SOMETIMES)
            for e in n.args[1:]:
                add(e, guard)
        elif n.op == "scan" and not isinstance(guard, Use) and n.index in condition_of(guard).indices:
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
        return build.read_where(condition_of(guard), args[0], old.axes, args[1:]), ""

    return rebuild(build, provenance, [root], rule)[root]


def condition_of(guard: Node | Partly) -> Node:
    """What holds wherever the value is used."""
    return guard.condition if isinstance(guard, Partly) else guard


def _both(build: Builder, guard: Guard, condition: Node) -> Guard:
    if isinstance(guard, Use):
        return condition if guard is Use.ALWAYS else Partly(condition)
    both = build.op("and", condition_of(guard), condition)
    return both if isinstance(guard, Node) else Partly(both)
