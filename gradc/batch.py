"""A loss and its gradient over many rows at once: some inputs get one more leading axis, and the results with them.

The adjoint graph is there already, so every row has a gradient of its own, by shared inputs too. In index notation
there is little to do: an input of the rows has one more index, and all that is made of it has it as well.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import replace

from gradc.derive import Derived
from gradc.extents import Index, Poly
from gradc.ir import Graph, Node, Place
from gradc.program import Program, Provenance, Value


def batch(derived: Derived, batched: Collection[str]) -> Derived:
    """Value and gradient with a leading axis, the same for all inputs named in `batched`; the others are shared."""
    assert derived.gradient is not None
    program, provenance = derived.program, derived.program.provenance.copy()
    length = Poly.atom(_unused("rows", program))
    row = Index(length, 0)
    graph = Graph()
    nodes = _with_row(graph, provenance, derived.nodes, row, batched)

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


def _with_row(
    graph: Graph, provenance: Provenance, nodes: list[Node], row: Index, batched: Collection[str]
) -> dict[Node, Node]:
    """The nodes, given arguments first, made again in another graph over inputs that have the row."""
    done: dict[Node, Node] = {}

    def made(old: Node, attr: Hashable) -> Node:
        new = graph.node(old.op, tuple(done[a] for a in old.args), attr)
        provenance.inherit(new, old)
        return new

    for old in nodes:
        attr = old.attr
        if old.op == "input" and old.name in batched:
            attr = (old.name, (row, *old.axes), old.type)
        elif old.op == "scatter" and any(row in done[a].indices for p in old.args for a in p.args):
            for p in old.args:
                assert isinstance(p.attr, Place)
                done[p] = made(p, replace(p.attr, kept=p.attr.kept | {row}))
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
