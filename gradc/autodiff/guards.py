"""Under which condition each value is used at all: what only arms of selects use is guarded by their conditions."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum

from gradc.bounds import needs_guard
from gradc.build import Builder
from gradc.ir import Node, Read, Reduce, reachable
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
            either = build.op("or", known, guard)
            found[node] = Use.ALWAYS if either.op == "const" else either
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


def skip_untaken(build: Builder, provenance: Provenance, roots: Sequence[Node]) -> list[Node]:
    """Reductions that are only meant under a condition become guarded: their loops need not run without it."""
    known = guards(build, roots)
    conditions = {n: g for n, g in known.items() if isinstance(n.attr, Reduce) and isinstance(g, Node)}
    if not conditions:
        return list(roots)
    done: dict[Node, Node] = {}

    def rule(build: Builder, op: str, args: tuple[Node, ...], old: Node) -> tuple[Node, str] | None:
        if old not in conditions or not isinstance(old.attr, Reduce):
            return None
        guarded = build.graph.node("reduce", (*args, done[conditions[old]]), replace(old.attr, guarded=True))
        return guarded, ""

    rebuild(build, provenance, roots, rule, _in_order(roots, conditions), done)
    return [done[r] for r in roots]


def _in_order(roots: Sequence[Node], conditions: dict[Node, Node]) -> list[Node]:
    """All nodes, arguments and conditions before what they are for. A condition that would need its own is dropped."""
    nodes = reachable([*roots, *conditions.values()])
    users: dict[Node, list[Node]] = {n: [] for n in nodes}
    missing: dict[Node, int] = {}
    for n in nodes:
        before = {*n.args, conditions[n]} if n in conditions else set(n.args)
        missing[n] = len(before)
        for a in before:
            users[a].append(n)
    order: list[Node] = []
    ready = [(n.number, n) for n in nodes if not missing[n]]
    while ready:
        _, n = heapq.heappop(ready)
        order.append(n)
        for u in users[n]:
            missing[u] -= 1
            if not missing[u]:
                heapq.heappush(ready, (u.number, u))
    if len(order) < len(nodes):
        done = set(order)
        for n in [n for n in conditions if n not in done]:
            del conditions[n]
        return _in_order(roots, conditions)
    return order


def _both(build: Builder, guard: Guard, condition: Node) -> Guard:
    if guard is Use.ALWAYS:
        return condition
    return guard if isinstance(guard, Use) else build.op("and", guard, condition)
