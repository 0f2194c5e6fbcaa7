"""A loss and its gradient over many rows at once: some inputs get one more leading axis, and the results with them.

The adjoint graph is there already, so every row has a gradient of its own, by shared inputs too. In index notation
there is little to do: an input of the rows has one more index, and all that is made of it has it as well.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable

from msgspec.structs import replace

from gradc.derive import Derived
from gradc.errors import UnsupportedError
from gradc.extents import Atom, Entry, Index, Poly, Term
from gradc.ir import Graph, Node, Place, Read, Reduce
from gradc.program import Program, Provenance, Value


def batch(derived: Derived, batched: Collection[str]) -> Derived:
    """Value and gradient with a leading axis, the same for all inputs named in `batched`; the others are shared."""
    assert derived.gradient is not None
    program, provenance = derived.program, derived.program.provenance.copy()
    length = Poly.atom(_unused("rows", program))
    row = Index(length, 0)
    for r in program.requirements:
        told = sorted({e.name for e in (r.left - r.right).entries}.intersection(batched))
        if told:
            raise UnsupportedError(f"lengths that depend on '{told[0]}' cannot differ from row to row", r.span)
    graph = Graph()
    moved = _Moved(row, batched)
    provenance.index_names = {moved.index(i): name for i, name in provenance.index_names.items()}
    nodes = _with_row(graph, provenance, derived.nodes, moved)

    def stacked(v: Value) -> Value:
        return Value(nodes[v.node], (row, *v.axes))

    inputs = tuple(
        replace(i, shape=(length, *i.shape), default=None, per_row=True) if i.name in batched else i
        for i in program.inputs
    )
    value = stacked(derived.value)
    gradient = {name: stacked(v) for name, v in derived.gradient.items()}
    rows = replace(program, inputs=inputs, graph=graph, result=value, provenance=provenance)
    return Derived(rows, derived.wrt, value, gradient)


class _Moved:
    """Bounds of loops, and what holds indices, where elements of index inputs have become those of a row."""

    def __init__(self, row: Index, batched: Collection[str]) -> None:
        self.row, self.batched = row, batched

    def attr(self, attr: Hashable) -> Hashable:
        """What a node holds beside its arguments."""
        if isinstance(attr, Index):
            return self.index(attr)
        if isinstance(attr, Read):
            return replace(attr, axes=self._indices(attr.axes))
        if isinstance(attr, Place):
            return replace(attr, axes=self._indices(attr.axes), kept=frozenset(map(self.index, attr.kept)))
        if isinstance(attr, Reduce):
            return replace(attr, over=frozenset(map(self.index, attr.over)))
        return tuple(map(self.attr, attr)) if isinstance(attr, tuple) else attr

    def index(self, index: Index) -> Index:
        return Index(self._poly(index.extent), index.occurrence)

    def _indices(self, axes: tuple[Index, ...]) -> tuple[Index, ...]:
        return tuple(map(self.index, axes))

    def _poly(self, poly: Poly) -> Poly:
        total = Poly.const(0)
        for monomial, coefficient in poly.terms:
            piece = Poly.const(coefficient)
            for atom in monomial:
                piece = piece * Poly.atom(self._atom(atom))
            total = total + piece
        return total

    def _atom(self, atom: Atom) -> Atom:
        if isinstance(atom, Index):
            return self.index(atom)
        if isinstance(atom, Term):
            return Term(atom.op, tuple(map(self._poly, atom.args)))
        if isinstance(atom, Entry):
            at, axes = tuple(map(self._poly, atom.at)), atom.axes
            own = atom.name in self.batched
            return (
                Entry(atom.name, (self.row, *axes), (Poly.atom(self.row), *at)) if own else Entry(atom.name, axes, at)
            )
        return atom


def _with_row(graph: Graph, provenance: Provenance, nodes: list[Node], moved: _Moved) -> dict[Node, Node]:
    """The nodes, given arguments first, made again in another graph over inputs that have the row."""
    done: dict[Node, Node] = {}

    def made(old: Node, attr: Hashable) -> Node:
        new = graph.node(old.op, tuple(done[a] for a in old.args), attr)
        provenance.inherit(new, old)
        return new

    for old in nodes:
        attr = moved.attr(old.attr) if old.op not in ("input", "const") else old.attr
        row = moved.row
        if old.op == "input" and old.name in moved.batched:
            attr = (old.name, (row, *old.axes), old.type)
        elif old.op == "scatter" and any(row in done[a].indices for p in old.args for a in p.args):
            for p in old.args:
                assert isinstance(p.attr, Place)
                own = moved.attr(p.attr)
                assert isinstance(own, Place)
                done[p] = made(p, replace(own, kept=own.kept | {row}))
        done[old] = made(old, attr)
    return done


def _unused(wanted: str, program: Program) -> str:
    """The wanted name for a dim, or with a number behind it if it is the user's."""
    p = program.provenance
    taken = {
        *(i.name for i in program.inputs),
        *(dim for dim, _, _ in program.dims()),
        *p.names.values(),
        *p.index_names.values(),
    }
    name, k = wanted, 1
    while name in taken:
        k += 1
        name = f"{wanted}_{k}"
    return name
