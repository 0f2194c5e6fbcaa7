"""Under which conditions values are needed at all, so that loops that nobody needs are skipped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradc.extents import Index
from gradc.ir import Linear, Node, Place, Reduce

Needs = frozenset[Node] | None
"""Conditions of which one must hold for a value to be needed; None if it is needed whatever holds."""


def needs(
    nodes: Sequence[Node],
    deps: Mapping[Node, Mapping[Node, frozenset[Index]]],
    needed: set[Node],
    adds_zeros: bool = False,
) -> dict[Node, Needs]:
    """What each node is needed under. `nodes` stand before their users.

    `deps` are the nodes that each reads, with the indices along which it reads them at other places than its own.
    `adds_zeros`: whether a sum may be run where it adds nothing but zeros, and so needs them.
    """
    found: dict[Node, Needs] = {}

    def need(n: Node, under: Needs) -> None:
        known = found.get(n, frozenset())
        either = None if under is None or known is None else known | under
        found[n] = None if either is None or any(c.op == "not" and c.args[0] in either for c in either) else either

    for n in needed:
        need(n, None)
    for n in reversed(nodes):
        under = found.setdefault(n, None)
        condition = _condition(n, adds_zeros)
        if condition is not None:
            under = found[n] = frozenset({condition})
            for a in read_by(condition, deps):
                need(a, None)
        elif n.op == "scan":  # a running sum is in those behind it, whose conditions are others
            under = found[n] = _along(under, n.indices, frozenset({n.index}))
        if under is None:
            found.update(dict.fromkeys(deps[n]))
            continue
        for a, moved in deps[n].items():
            need(a, _along(under, a.indices, moved | (frozenset(n.axes) if n.op == "scatter" else frozenset())))
    return found


def _along(under: Needs, indices: frozenset[Index], moved: frozenset[Index]) -> Needs:
    """The conditions, if they mean for a value over these indices what they mean for its reader; else None."""
    if under is None or any(not c.indices <= indices or c.indices & moved for c in under):
        return None
    return under


def known_in(under: Needs, loops: frozenset[Index]) -> Needs:
    """The same, if all conditions are known where these loops are open; else None."""
    return under if under is not None and all(c.indices <= loops for c in under) else None


def _condition(n: Node, adds_zeros: bool) -> Node | None:
    """The condition without which a node is not run: its guard, or the one without which a sum adds zeros."""
    if not isinstance(n.attr, Reduce) or n.attr.guarded:
        return n.guard if isinstance(n.attr, Reduce | Place | Linear) else None
    value = n.args[0]
    zeros = value.op == "select" and value.args[2].op == "const" and not value.args[2].value
    return value.args[0] if n.kind == "sum" and zeros and not adds_zeros else None


def read_by(guard: Node, deps: Mapping[Node, Mapping[Node, frozenset[Index]]]) -> list[Node]:
    """The scheduled nodes that a condition reads, itself if it is one."""
    found: list[Node] = []
    stack = [guard]
    while stack:
        n = stack.pop()
        if n in deps:
            found.append(n)
        else:
            stack += n.args
    return found
