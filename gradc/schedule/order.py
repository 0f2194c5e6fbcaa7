"""What is scheduled, over which loops, and which loops are opened first."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from operator import attrgetter

from gradc.algebra import COMPARISONS
from gradc.bounds import checked_here
from gradc.extents import Index
from gradc.ir import Node
from gradc.ops import OPS
from gradc.program import Input

IN_PLACE: frozenset[Index] = frozenset()
"""No indices: what is read at no other places than its reader's own."""
DEEPEST = 30
"""Expressions nested deeper are no longer written out where they are used."""


def leaves(nodes: Iterable[Node]) -> set[Node]:
    """Nodes that are written out wherever they are used.

    Those are numbers, elements of inputs, integers made of indices, and elements of stored values at plain places.
    """
    nodes = list(nodes)
    found: dict[Node, int] = {}
    read_elsewhere = {n.args[0] for n in nodes if n.op == "read" and n.args[0].indices.intersection(n.axes)}
    read_elsewhere.update(a for n in nodes if n.op == "linear" for a in n.arrays)
    for n in nodes:
        if _is_plain(n, found) and (n.op == "input" or n not in read_elsewhere):
            depth = 1 + max((found.get(a, 0) for a in n.args), default=0)
            if depth <= DEEPEST:
                found[n] = depth
    return set(found)


def _is_plain(n: Node, known: Container[Node]) -> bool:
    """Whether a node could be written out, given those before it that are."""
    if n.op in ("const", "dim", "index", "input"):
        return True
    if n.op == "read":
        return n.guard is None and all(e in known for e in n.subscripts) and not checked_here(n)
    if n.op in COMPARISONS:
        return all(a in known and a.type == "int" for a in n.args)
    return n.type == "int" and n.op in OPS and all(a in known for a in n.args) and sum(a.op in OPS for a in n.args) < 2


def dependencies(n: Node, written_out: set[Node]) -> dict[Node, frozenset[Index]]:
    """The scheduled nodes that n needs, each with the indices along which it is read at other places than its own."""
    if n.op in OPS and written_out.isdisjoint(n.args):
        return dict.fromkeys(sorted(n.args, key=attrgetter("number")), IN_PLACE)
    found: dict[Node, frozenset[Index]] = {}
    stack = [n]
    while stack:
        user = stack.pop()
        elsewhere = user.op in ("read", "linear")
        for k, a in enumerate(user.args):
            if a in written_out:
                stack.append(a)
            elif elsewhere:
                found[a] = found.get(a, IN_PLACE) | _moved(user, k)
            else:
                found.setdefault(a, IN_PLACE)
    return found if len(found) < 2 else {a: found[a] for a in sorted(found, key=attrgetter("number"))}


def _moved(user: Node, k: int) -> frozenset[Index]:
    """The indices along which a node reads an argument at other places than its own."""
    if user.op == "read" and k == 0:
        return user.args[0].indices.intersection(user.axes)
    return frozenset(user.inner[k]) if user.op == "linear" and k < len(user.inner) else IN_PLACE


def loops_of(n: Node) -> frozenset[Index]:
    """The loops a node is computed in."""
    if n.op == "scatter":
        return n.args[0].indices
    if n.op == "linear":
        return n.each
    return n.indices | n.over


Access = tuple[frozenset[Index], ...]


def accesses(n: Node, written_out: set[Node]) -> list[Access]:
    """The array elements a node touches in inputs and outputs: for each subscript, the indices in it."""
    found: list[Access] = []
    if n.op == "output":
        found.append(tuple(frozenset() if a is None else a.closure for a in n.axes))
    stack = list(n.args) if n.op != "linear" else []
    while stack:
        a = stack.pop()
        if a not in written_out:
            continue
        if a.op == "input" and a.axes:
            found.append(tuple(frozenset({i}) for i in a.axes))
        elif a.op == "read" and a.args[0].op == "input":
            places = dict(zip(a.axes, a.subscripts, strict=True))
            found.append(tuple(places[i].indices if i in places else frozenset({i}) for i in a.args[0].axes))
        else:
            stack += a.args
    return found


def contiguity(touched: Iterable[Access]) -> dict[Index, int]:
    """For each index how much oftener than not it runs along the last axis of an array, over neighbours in memory."""
    score: dict[Index, int] = {}
    for access in touched:
        for position, indices in enumerate(access):
            for i in indices:
                score[i] = score.get(i, 0) + (1 if position == len(access) - 1 else -1)
    return score


def row_dim(inputs: Sequence[Input], nodes: Iterable[Node]) -> str | None:
    """The dim of the rows: one that data arrays have and, if possible, no param, and that leads most of them.

    Without data it is the first dim that stands behind no other, or the first of all. Where a loss is mapped over rows,
    it is those. A dim that no loop runs over, such as that of the entries of a sparse matrix whose rows are loops, is
    none.
    """
    mapped = next((i for i in inputs if i.per_row), None)
    if mapped is not None:
        return str(mapped.shape[0])
    looped = {dim for n in nodes for i in loops_of(n) for dim in i.extent.atoms}
    weight: dict[str, int] = {}
    of_params: set[str] = set()
    behind: set[str] = set()
    for i in inputs:
        for axis, poly in enumerate(i.shape):
            for dim in sorted(poly.dims & looped):
                weight.setdefault(dim, 0)
                if axis:
                    behind.add(dim)
                if i.kind == "param":
                    of_params.add(dim)
                else:
                    weight[dim] += 2 if axis == 0 else 1
    with_data = [dim for dim in weight if weight[dim]]
    if not with_data:
        return min(weight, key=behind.__contains__, default=None)
    return max(with_data, key=lambda dim: (dim not in of_params, weight[dim]))


def is_row(i: Index, row: str | None) -> bool:
    """Whether the index runs over rows, all or some of them."""
    return row is not None and row in i.extent.atoms
