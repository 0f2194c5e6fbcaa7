"""From the roots of a graph to a routine."""

from __future__ import annotations

from collections.abc import Sequence

from gradc.build import Builder
from gradc.errors import UnsupportedError
from gradc.extents import Index
from gradc.ir import Node, reachable
from gradc.loops import Routine
from gradc.program import Input, Provenance, Value
from gradc.schedule.ahead import read_ahead
from gradc.schedule.chunks import in_sweeps
from gradc.schedule.dead import without_dead
from gradc.schedule.levels import Levels, UnstorableError
from gradc.schedule.names import Names
from gradc.schedule.order import dependencies, leaves, row_dim
from gradc.schedule.storage import plan
from gradc.schedule.write import Writer


def routine(
    name: str,
    build: Builder,
    provenance: Provenance,
    inputs: Sequence[Input],
    value: Value,
    gradient: dict[str, Value] | None,
    taken: set[str],
) -> Routine:
    """Schedules a value, and a gradient if there is one, as one function."""
    names = Names(provenance, {*taken, *(i.name for i in inputs)})
    roots: list[Node] = []
    direct: dict[Node, tuple[str, tuple[Index, ...]]] = {}

    def root(v: Value, wanted: str) -> tuple[Node, str]:
        """The node to return; an array is stored under the wanted name, accumulated right there if possible."""
        if not v.axes:
            roots.append(v.node)
            if v.node.op not in ("const", "dim", "index", "input"):
                provenance.names.setdefault(v.node, wanted)
            return v.node, ""
        array = names.claim(wanted)
        axes = tuple(a for a in v.axes if a is not None)
        if (
            v.node.op in ("reduce", "scatter", "linear")
            and len(axes) == len(v.axes)
            and set(axes) == v.node.indices
            and v.node not in direct
        ):
            direct[v.node] = (array, axes)
            roots.append(v.node)
            return v.node, array
        stored = build.graph.node("output", (v.node,), (array, v.axes))
        provenance.inherit(stored, v.node)
        roots.append(stored)
        return stored, array

    result = root(value, provenance.names.get(value.node, "result"))
    fields = None if gradient is None else [root(v, f"{field}_bar") for field, v in gradient.items()]
    nodes = reachable(roots)
    written_out = leaves(nodes)
    written_out -= {r for r in roots if r.op == "read" or dependencies(r, written_out)}
    row = row_dim(inputs, nodes)
    levels = Levels(nodes, written_out, set(roots), row)
    try:
        items = levels.arrange()
        storage = plan(items, levels, direct)
    except UnstorableError as error:
        origin = provenance.origins.get(error.node)
        raise UnsupportedError(
            "this would have to be stored for each turn of a loop of which only a call knows how long it gets",
            origin.span if origin else None,
            "loop over a slice of an array instead: as many turns as that has can be stored",
        ) from None
    plain = Writer(levels, items, storage, written_out, names, roots).routine(name, result, fields)
    return read_ahead(in_sweeps(without_dead(plain), inputs, row, names), inputs, names)
