"""Under which condition each value is used at all: what only arms of selects use is guarded by their conditions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from enum import Enum
from functools import partial, reduce

from msgspec import Struct
from msgspec.structs import replace

from gradc.autodiff.circles import without_circles
from gradc.bounds import integer_poly, needs_guard
from gradc.build import Builder
from gradc.extents import ZERO, Index
from gradc.ir import Linear, Node, Reduce, reachable
from gradc.program import Provenance
from gradc.rewrite import rebuild

CONDITIONAL = frozenset({"select", "and", "or"})
"""Operations that need not use all their arguments."""

MOST_CONJUNCTS = 64
"""So many parts of a condition are looked at. What is not known of it is asked again, or done in any case."""


class Use(Enum):
    """ALWAYS used, or only SOMETIMES, under a condition that cannot be said in the value's own indices."""

    ALWAYS = "always"
    SOMETIMES = "sometimes"


class Partly(Struct, frozen=True):
    """Used only where the condition holds, and not everywhere there."""

    condition: Node


Guard = Node | Use | Partly


def guards(
    build: Builder,
    roots: Sequence[Node],
    of: Collection[Node] | None = None,
    uses: Callable[[Node], Sequence[Node]] = lambda n: n.args,
) -> dict[Node, Guard]:
    """The condition under which some user needs each node: all of them, or those `of` which it is asked.

    `uses` gives the arguments that count as used.
    """
    nodes = reachable(roots)
    asked = set(nodes) if of is None else _users(nodes, of)
    if build.graph.ops.isdisjoint(CONDITIONAL):
        return dict.fromkeys(asked, Use.ALWAYS)
    found: dict[Node, Guard] = {root: Use.ALWAYS for root in roots if root in asked}

    def add(node: Node, guard: Guard) -> None:
        if node not in used or node not in asked:
            return
        if isinstance(guard, Node) and _holds_along(guard, node):
            guard = Use.ALWAYS
        guard = _within(build, guard, _each(node))
        known = found.get(node)
        if known is None or guard is Use.ALWAYS:
            found[node] = guard
        elif isinstance(known, Use) or isinstance(guard, Use):
            found[node] = Use.ALWAYS if known is Use.ALWAYS else Use.SOMETIMES
        else:
            either = build.op("or", condition_of(known), condition_of(guard))
            exactly = isinstance(known, Node) and isinstance(guard, Node)
            if either.op == "const":
                found[node] = Use.ALWAYS if exactly else Use.SOMETIMES
            else:
                found[node] = either if exactly else Partly(either)

    for n in reversed(nodes):
        if n not in found:
            continue
        guard, used = found[n], uses(n)
        if n.op == "select":
            condition, a, b = n.args
            add(condition, guard)
            add(a, _both(build, guard, condition))
            add(b, _both(build, guard, build.op("not", condition)))
        elif n.op in ("and", "or"):
            first, second = n.args
            add(first, guard)
            add(second, _both(build, guard, first if n.op == "and" else build.op("not", first)))
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


def _holds_along(condition: Node, node: Node) -> bool:
    """Whether a condition says no more than that there are positions along an index of the node, as there are there."""
    lengths = [i.extent for i in node.indices]
    return (
        condition.op == "gt" and integer_poly(condition.args[1]) == ZERO and integer_poly(condition.args[0]) in lengths
    )


def _within(build: Builder, guard: Guard, indices: frozenset[Index]) -> Guard:
    """The guard in these indices: of conditions that all hold, those that have no others, innermost ones first."""
    if isinstance(guard, Use) or condition_of(guard).indices <= indices:
        return guard
    parts: list[Node] = []
    stack, looked = [condition_of(guard)], 0
    while stack and looked < MOST_CONJUNCTS:
        c, looked = stack.pop(), looked + 1
        if c.indices <= indices:
            parts.append(c)
        elif c.op == "and":
            stack += c.args
    return Partly(reduce(partial(build.op, "and"), reversed(parts))) if parts else Use.SOMETIMES


def _users(nodes: Sequence[Node], of: Collection[Node]) -> set[Node]:
    """These nodes and all that depend on them."""
    found = set(of)
    for n in nodes:
        if not found.isdisjoint(n.args):
            found.add(n)
    return found


def protect(build: Builder, provenance: Provenance, root: Node) -> Node:
    """What is only meant under a condition is guarded by it: linear algebra, and reads that may be out of range."""
    meant = [n for n in build.graph.having(("linear", "read"), [root]) if n.op == "linear" or needs_guard(n)]
    condition = _conditions(build, [root], meant)

    def rule(build: Builder, op: str, args: tuple[Node, ...], old: Node) -> tuple[Node, str] | None:
        if not condition(old):
            return None
        *given, guard = args
        if old.guard is not None:
            guard = build.op("and", given.pop(), guard)
        if isinstance(old.attr, Linear):
            return build.linear(old.attr.kind, list(zip(given, old.inner, strict=True)), old.axes, guard), ""
        return build.read_where(guard, given[0], old.axes, given[1:]), ""

    return rebuild(build, provenance, [root], ("read", "linear"), rule, condition)[root]


def _conditions(build: Builder, roots: Sequence[Node], of: Collection[Node]) -> Callable[[Node], tuple[Node, ...]]:
    """What tells the condition under which one of these nodes is meant, if there is one."""
    known = guards(build, roots, of) if of else {}
    meant = {n: condition_of(guard) for n in of if not isinstance(guard := known[n], Use)}
    if meant:
        meant = without_circles(build, roots, meant)
    return lambda n: (meant[n],) if n in meant else ()


def _elsewhere(guard: Node | Partly, read: Node) -> Guard:
    """How the value of a read is used: at some places, where the condition holds if that does not change with them."""
    condition = condition_of(guard)
    return Partly(condition) if condition.indices.isdisjoint(read.axes) else Use.SOMETIMES


def _each(node: Node) -> frozenset[Index]:
    """The indices along which a node is used or not."""
    return node.each if node.op == "linear" else node.indices


def condition_of(guard: Node | Partly) -> Node:
    """What holds wherever the value is used."""
    return guard.condition if isinstance(guard, Partly) else guard


def skip_untaken(build: Builder, provenance: Provenance, roots: Sequence[Node]) -> list[Node]:
    """Reductions that are only meant under a condition become guarded: their loops need not run without it."""
    reductions = build.graph.having(("reduce",), roots)
    condition = _conditions(build, roots, reductions)

    def rule(build: Builder, op: str, args: tuple[Node, ...], old: Node) -> tuple[Node, str] | None:
        if not condition(old) or not isinstance(old.attr, Reduce):
            return None
        return build.graph.node("reduce", args, replace(old.attr, guarded=True)), ""

    if not any(condition(n) for n in reductions):
        return list(roots)
    done = rebuild(build, provenance, roots, ("reduce",), rule, condition)
    return [done[r] for r in roots]


def _both(build: Builder, guard: Guard, condition: Node) -> Guard:
    if isinstance(guard, Use):
        return condition if guard is Use.ALWAYS else Partly(condition)
    both = build.op("and", condition_of(guard), condition)
    return both if isinstance(guard, Node) else Partly(both)
