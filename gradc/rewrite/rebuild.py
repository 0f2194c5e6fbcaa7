"""A graph made again, node by node, while a rule replaces some of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from gradc.build import Builder
from gradc.extents import in_order
from gradc.ir import Linear, Node, Place, Read, Reduce, reachable
from gradc.ops import OPS
from gradc.program import Provenance

Rule = Callable[[Builder, str, tuple[Node, ...], Node], tuple[Node, str] | None]


def rebuild(
    build: Builder,
    provenance: Provenance,
    roots: Iterable[Node],
    ops: Collection[str],
    rule: Rule,
    also: Callable[[Node], tuple[Node, ...]] | None = None,
) -> dict[Node, Node]:
    """Makes every node again over its rewritten arguments.

    `rule` may return another node and a note on it; it is asked about nodes of these `ops`. `also` names other nodes
    that a node will need: `rule` is given them behind the arguments, rewritten.
    """
    if build.graph.ops.isdisjoint(ops):
        return {root: root for root in roots}
    nodes = reachable(roots) if also is None else needed_first(roots, also)
    done: dict[Node, Node] = {n: n for n in nodes}
    for old in nodes:
        args = tuple(map(done.__getitem__, old.args))
        if args == old.args and old.op not in ops:
            continue
        if also is not None:
            args += tuple(done.get(a, a) for a in also(old))
        before = len(build.graph.nodes)
        ruled = rule(build, old.op, args, old) if old.op in ops else None
        new = ruled[0] if ruled else remake(build, old, args[: len(old.args)])
        for made in build.graph.nodes[before:]:
            if old in provenance.origins:
                provenance.origins.setdefault(made, provenance.origins[old])
            if old in provenance.adjoint_of:
                provenance.adjoint_of.setdefault(made, provenance.adjoint_of[old])
        if ruled and ruled[1]:
            provenance.notes.setdefault(new, ruled[1])
        if new is not old:
            provenance.inherit(new, old)
            done[old] = new
    return done


def needed_first(roots: Iterable[Node], also: Callable[[Node], tuple[Node, ...]]) -> list[Node]:
    """The roots and all they are made of and need, in this order where needs do not go round in circles."""
    made: dict[Node, None] = {}
    begun: set[Node] = set()
    stack = list(roots)
    while stack:
        n = stack[-1]
        if n not in begun:
            begun.add(n)
            stack += [a for a in (*also(n), *n.args) if a not in begun]
        else:
            made.setdefault(stack.pop())
    return list(made)


def remake(build: Builder, old: Node, args: tuple[Node, ...]) -> Node:
    """The same operation on other arguments."""
    if args == old.args:
        return old
    if old.op in OPS:
        return build.op(old.op, *args)
    if old.op == "select":
        return build.select(*args)
    if old.op == "convert":
        return build.convert(args[0], old.type)
    if old.op == "stop":
        return build.stop(args[0])
    if old.op == "scan":
        return build.scan(old.index, args[0])
    if isinstance(old.attr, Reduce):
        return build.reduce(old.attr.kind, in_order(old.attr.over), args[0])
    if isinstance(old.attr, Read):
        at = args[1 : 1 + len(old.axes)]
        guard = args[-1] if old.attr.guarded else None
        return build.read(args[0], old.axes, at) if guard is None else build.read_where(guard, args[0], old.axes, at)
    if isinstance(old.attr, Linear):
        arrays = list(zip(args, old.inner, strict=False))
        return build.linear(old.kind, arrays, old.axes, args[-1] if old.attr.guarded else None)
    if old.op == "spread":
        return build.whole(args[0], old.axes)
    if isinstance(old.attr, Place):
        at = args[1 : 1 + len(old.axes)]
        return build.place(args[0], old.attr.axes, at, old.attr.kept, args[-1] if old.attr.guarded else None)
    return build.graph.node(old.op, args, old.attr)
