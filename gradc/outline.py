"""What calls check of their inputs, as a program and its graph have it."""

from __future__ import annotations

from collections.abc import Sequence

from gradc.bounds import in_range, index_input, integer_poly, places_of_bounds
from gradc.errors import Span
from gradc.extents import ONE, ZERO, Entry, Index, Poly
from gradc.ir import Node
from gradc.program import Outline, Program, Provenance, Requirement


def outline(program: Program, nodes: Sequence[Node], wrt: tuple[str, ...], has_gradient: bool) -> Outline:
    """Of a program and all nodes of its value and gradient."""
    reads = [n for n in nodes if n.op == "read" and n.guard is None]
    bounds = places_of_bounds(frozenset().union(*(n.indices for n in nodes)))
    required = dict.fromkeys((*program.requirements, *_positions(reads, bounds, program.provenance)))
    return Outline(program.inputs, tuple(required), tuple(_index_ranges(reads, bounds)), wrt, has_gradient)


def _positions(
    reads: Sequence[Node], bounds: Sequence[tuple[Entry, Index, Poly]], provenance: Provenance
) -> list[Requirement]:
    """What must hold for positions that are made of sizes and index scalars alone to be in range."""
    places: list[tuple[Index, Poly, Span | None]] = []
    for _, axis, at in bounds:
        if not at.indices and at.element is None:
            places.append((axis, at, None))
    for n in reads:
        for axis, e in zip(n.axes, n.subscripts, strict=True):
            poly = integer_poly(e)
            if poly is not None and in_range(e, axis) == "call" and index_input(e) is None:
                origin = provenance.origins.get(n)
                places.append((axis, poly, origin.span if origin else None))
    found: dict[Requirement, None] = {}
    for axis, poly, span in places:
        message = f"index {poly} is out of range for an axis of length {axis.extent}"
        for high, low in ((poly, ZERO), (axis.extent - ONE, poly)):
            if not (high - low).is_nonnegative():
                found[Requirement(high, "at least", low, message, span)] = None
    return list(found)


def _index_ranges(reads: Sequence[Node], bounds: Sequence[tuple[Entry, Index, Poly]]) -> list[tuple[str, Poly]]:
    """Which index inputs subscript axes of which lengths, where the call can check it beforehand."""
    found: dict[tuple[str, Poly], None] = {}
    for _, axis, at in bounds:
        if at.element is not None:
            found[at.element.name, axis.extent] = None
    for n in reads:
        for axis, e in zip(n.axes, n.subscripts, strict=True):
            name = index_input(e)
            if name is not None and in_range(e, axis) == "call":
                found[name, axis.extent] = None
    return list(found)
