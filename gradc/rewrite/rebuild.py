"""A graph made again, node by node, while a rule replaces some of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gradc.build import Builder
from gradc.extents import in_order
from gradc.ir import Node, Place, Read, Reduce, reachable
from gradc.ops import OPS
from gradc.program import Provenance

Rule = Callable[[Builder, str, tuple[Node, ...], Node], tuple[Node, str] | None]


def rebuild(build: Builder, provenance: Provenance, roots: Iterable[Node], rule: Rule) -> dict[Node, Node]:
    """Makes every node again over its rewritten arguments; `rule` may return another node and a note on it."""
    done: dict[Node, Node] = {}
    for old in reachable(roots):
        args = tuple(map(done.__getitem__, old.args))
        before = len(build.graph.nodes)
        ruled = rule(build, old.op, args, old)
        new = ruled[0] if ruled else remake(build, old, args)
        for made in build.graph.nodes[before:]:
            if old in provenance.origins:
                provenance.origins.setdefault(made, provenance.origins[old])
            if old in provenance.adjoint_of:
                provenance.adjoint_of.setdefault(made, provenance.adjoint_of[old])
        if new is not old:
            provenance.inherit(new, old)
        if ruled and ruled[1]:
            provenance.notes.setdefault(new, ruled[1])
        done[old] = new
    return done


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
    if isinstance(old.attr, Read) and not old.attr.guarded:
        return build.read(args[0], old.attr.axes, args[1:])
    if isinstance(old.attr, Place):
        at = args[1 : 1 + len(old.axes)]
        return build.place(args[0], old.attr.axes, at, old.attr.kept, args[-1] if old.attr.guarded else None)
    return build.graph.node(old.op, args, old.attr)
