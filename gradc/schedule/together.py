"""Short rows are put together: a loop along each row becomes one along many of them.

`sigmoid(x[i, j]*b[j])` of an x with two columns is a loop too short for vectors. What belongs to columns, `b` and
`b_bar`, is there once for each row of a tile, so that it lies beside the elements: 4.9 ms become 0.9. Of long rows a
tile has one.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from gradc.extents import Index, Poly
from gradc.loops import (
    Accumulate,
    Apply,
    Assign,
    Comment,
    Copy,
    Element,
    Expr,
    Flat,
    For,
    Name,
    Rows,
    Tiles,
    changed,
    expressions,
    parts,
    word,
)
from gradc.schedule.flat import goes, nest
from gradc.schedule.names import Names
from gradc.schedule.roles import Roles


class Together(Struct, frozen=True):
    """The rows, the loop over them, and the arrays that it takes as one row of elements."""

    rows: Rows
    tiles: Tiles
    flat: Flat


def together(
    loop: For, found: Roles, shapes: Mapping[str, tuple[Poly, ...]], names: Names, bounds: tuple[str, str]
) -> Together | None:
    """The loop over rows put together; None if it knows more of them than elements, and what belongs to columns."""
    loops, body = nest(loop)
    if len(loops) != 2 or not all(isinstance(s, Assign | Accumulate | Comment) for s in body):
        return None
    row, column = (Name(inner.variable, "int") for inner in loops)
    lengths = tuple(inner.index.extent for inner in loops)
    length = word(lengths[1])
    elements = [p for s in body for e in expressions(s) for p in parts(e) if isinstance(p, Element)]
    whole = sorted({p.array for p in elements if p.at == (row, column) and shapes.get(p.array) == lengths})
    vectors = {p.array: p for p in elements if p.at == (column,) and shapes.get(p.array) == lengths[1:]}
    if not vectors or vectors.keys() & (found.arrays.keys() | found.owned.keys()):
        return None

    known = {**dict.fromkeys(whole, (row, column)), **dict.fromkeys(vectors, (column,))}
    if length is None or not all(goes(e, (row, column), known) for s in body for e in expressions(s)):
        return None
    start, stop, height = (names.claim(name) for name in ("start", "stop", "tile"))
    copies = [
        Copy(p.array, names.claim(f"{p.array}_tile"), p.type) for p in vectors.values() if p.array not in found.totals
    ]
    own = {**{array: array for array in vectors}, **{c.array: c.copy for c in copies}}
    place = Apply("sub", (row, Apply("mul", (Name(start, "int"), length), "int")), "int")

    def change(e: Expr) -> Expr:
        if isinstance(e, Element) and e.array in own:
            return Element(own[e.array], (place,), e.type)
        return Element(e.array, (row,), e.type) if isinstance(e, Element) and e.array in whole else e

    size = lengths[0] * lengths[1]
    over = For(
        Index(size, 0),
        loop.variable,
        tuple(changed(s, change) for s in body),
        (f"{start}*{lengths[1]}", f"{stop}*{lengths[1]}"),
    )
    totals = tuple(array for array in vectors if array in found.totals)
    rows = Rows(height, length, (names.claim("k"), column.name), tuple(copies), totals)
    tiles = Tiles(*bounds, start, stop, height, lengths[1], (), (), (over,), is_given=True)
    return Together(rows, tiles, Flat(size, dict.fromkeys(whole, ())))
