"""Short rows are put together: a loop along each row becomes one along many of them.

`sigmoid(x[i, j]*b[j])` of an x with two columns is a loop too short for vectors. What belongs to columns, `b` and
`b_bar`, is there once for each row of a tile, so that it lies beside the elements: 4.9 ms become 0.9. What belongs to a
row, `w[i]` or `A[c[i], j]`, is copied beside its elements; what a row adds up is stored, and added up behind. Of long
rows a tile has one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from gradc.count import cost
from gradc.extents import Index, Poly
from gradc.ir import Type
from gradc.loops import (
    Accumulate,
    Alloc,
    Apply,
    Assign,
    Comment,
    Const,
    Copy,
    Element,
    Expr,
    Flat,
    For,
    Name,
    Rows,
    Stmt,
    Target,
    Tiles,
    expressions,
    parts,
    walk,
    word,
)
from gradc.ops import TRANSCENDENTAL
from gradc.schedule.dead import needed
from gradc.schedule.factors import is_small
from gradc.schedule.names import Names
from gradc.schedule.roles import Roles, named, reads, written

Shapes = Mapping[str, tuple[Poly, ...]]
LAZY = ("select", "and", "or")
"""What may leave arguments after its first one alone."""


class Together(Struct, frozen=True):
    """The rows, the loop over them, and the arrays that it takes as one row of elements."""

    rows: Rows
    tiles: Tiles
    flat: Flat


def together(loop: For, found: Roles, shapes: Shapes, names: Names, bounds: tuple[str, str]) -> Together | None:
    """The loop over rows put together; None if that is not one along each of them, or there is nothing to gain."""
    inner = [s for s in loop.body if isinstance(s, For)]
    if len(inner) != 1 or found.arrays or found.reach:
        return None
    (column,) = inner
    k = loop.body.index(column)
    before, after = loop.body[:k], loop.body[k + 1 :]
    length = word(column.index.extent)
    if length is None or column.guard or len(column.index.closure) > 1 or column.index.extent == loop.index.extent:
        return None  # as many columns as rows are few rows if they are short
    if not all(isinstance(s, Assign | Accumulate | Comment) for s in (*before, *column.body, *after)):
        return None
    known = _Known(loop, column, found, shapes)
    if not known.is_all() or not known.pays(before, after):
        return None
    results = [written(s) for s in before if not _names_a_value(s)]
    if any(name in results for s in (*before, column) for t, _ in walk([s]) for name in reads(t)):
        return None  # it is computed behind the loop along many rows
    return _Writer(known, length, names).written(before, after, bounds)


def _names_a_value(s: Stmt) -> bool:
    return isinstance(s, Comment) or (isinstance(s, Assign) and isinstance(s.target, Name))


class _Known:
    """What one loop along each row knows: elements of `whole` arrays, of vectors of columns, and what rows have.

    `sums` are what it adds up for a row, or at places that the row says.
    """

    def __init__(self, loop: For, column: For, found: Roles, shapes: Shapes) -> None:
        self.loop, self.column, self.found, self.shapes = loop, column, found, shapes
        self.row, self.place = Name(loop.variable, "int"), Name(column.variable, "int")
        self.lengths = loop.index.extent, column.index.extent
        self.local = {s.target for s in column.body if isinstance(s, Assign) and isinstance(s.target, Name)}
        self.changing = {w for w in map(written, column.body) if w is not None}
        self.whole: dict[str, None] = {}
        self.vectors: dict[str, Element] = {}
        self.of_rows: dict[Name | Element, None] = {}
        self.sums: dict[Accumulate, None] = {}

    def is_all(self) -> bool:
        """Whether it is all that the loop along a row knows, and all that rows know of arrays laid out anew."""
        body = self.column.body
        if not all(self._is_known(s) for s in body if isinstance(s, Assign | Accumulate)):
            return False
        read = {name for s in body for name in reads(s)}
        if any(named(s.target) in read for s in self.sums):
            return False
        anew: dict[str, tuple[Expr, ...]] = dict.fromkeys(self.whole, (self.row, self.place))
        anew |= {array: (self.place,) for array in self.vectors if array in self.found.totals}
        standing = (p for s, _ in walk(self.loop.body) for e in expressions(s) for p in parts(e))
        return not any(isinstance(p, Element) and p.at != anew.get(p.array, p.at) for p in standing)

    def pays(self, before: Sequence[Stmt], after: Sequence[Stmt]) -> bool:
        """Whether functions of elements repay copies for each of them. What comes before them is computed twice."""
        outside = any(not isinstance(s, Comment) for s in (*before, *after))
        if not outside and not self.of_rows and not self.sums:
            return bool(self.vectors)
        worth = sum(map(cost, self.column.body)) >= TRANSCENDENTAL > sum(map(cost, before))
        return worth and not is_small(self.column.index)

    def _is_known(self, s: Assign | Accumulate) -> bool:
        target = s.target
        if (isinstance(s, Accumulate) and (s.guard or s in self.sums)) or not self._goes(s.value):
            return False
        if target in self.local:
            return isinstance(s, Assign)
        if isinstance(target, Element) and target.at == (self.row, self.place):
            return self._goes(target)
        if isinstance(s, Assign):
            return False
        total = named(target) in self.found.totals
        if isinstance(target, Element) and target.at == (self.place,):
            return total and self._goes(target)
        if not total or self.found.varies(target) or self.place in parts(target):
            self.sums[s] = None
        return total or isinstance(target, Name)

    def _goes(self, e: Expr) -> bool:
        """Whether each element of a row finds beside it what the expression is made of."""
        if isinstance(e, Element):
            shape = self.shapes.get(e.array)
            if e.at == (self.row, self.place) and shape == self.lengths:
                self.whole[e.array] = None
                return True
            if e.at == (self.place,) and shape == self.lengths[1:]:
                self.vectors[e.array] = e
                return e.array not in self.found.owned
        if isinstance(e, Name | Element) and e not in self.local and (self.found.varies(e) or self.place in parts(e)):
            self.of_rows[e] = None
            return self._is_of_row(e)
        if isinstance(e, Apply) and e.op in LAZY and any(_is_picked(p) for a in e.args[1:] for p in parts(a)):
            return False  # there may be no such place where it is not read
        return all(map(self._goes, e.args))

    def _is_of_row(self, e: Expr) -> bool:
        """Whether a row has it whatever the loop along it is at, or as many of them as elements."""
        if not isinstance(e, Name | Element) or e in (self.row, self.place) or named(e) in self.changing:
            return False
        if isinstance(e, Name):
            return True
        own: dict[Expr, Poly] = {self.row: self.lengths[0], self.place: self.lengths[1]}
        shape = self.shapes.get(e.array, ())
        return len(shape) == len(e.at) and all(
            own.get(a) == length or (isinstance(a, Element) and a.type == "int" and self._is_of_row(a))
            for a, length in zip(e.at, shape, strict=True)
        )


def _is_picked(e: Expr) -> bool:
    return isinstance(e, Element) and any(isinstance(a, Element) for a in e.at)


class _Writer:
    """Writes the loop along many rows, and those before and behind it that go row by row."""

    def __init__(self, known: _Known, length: Const | Name, names: Names) -> None:
        self.known, self.length, self.names = known, length, names
        self.start, self.stop, self.height = (names.claim(name) for name in ("start", "stop", "tile"))
        totals = known.found.totals
        self.totals = tuple(array for array in known.vectors if array in totals)
        self.copies = tuple(
            Copy(v.array, self._tile(v), v.type) for v in known.vectors.values() if v.array not in totals
        )
        self.vectors = {**{array: array for array in self.totals}, **{c.array: c.copy for c in self.copies}}
        self.of_rows = {e: self._tile(e) for e in known.of_rows}
        self.terms = {s: self._tile(s.target) for s in known.sums}
        self.size = known.lengths[0] * known.lengths[1]

    def _tile(self, target: Target) -> str:
        return self.names.claim(f"{named(target)}_tile")

    def written(self, before: Sequence[Stmt], after: Sequence[Stmt], bounds: tuple[str, str]) -> Together:
        index = Index(self.size, 0)
        alone = not (before or after or self.of_rows or self.terms)
        along = Name(self.known.loop.variable if alone else self.names.index(index), "int")
        body = tuple(self._of_elements(s, along) for s in self.known.column.body)
        columns = self.known.lengths[1]
        loops = [For(index, along.name, body, (f"{self.start}*{columns}", f"{self.stop}*{columns}"))]
        copies = [Assign(self._beside(tile, e.type), e) for e, tile in self.of_rows.items()]
        if copies:
            loops.insert(0, self._by_rows([s for s in before if _names_a_value(s)], copies, ()))
        sums = [replace(s, value=self._beside(tile, s.target.type)) for s, tile in self.terms.items()]
        if sums or after or not all(map(_names_a_value, before)):
            loops.append(self._by_rows(before, sums, after))
        rows = Rows(
            self.height, self.length, (self.names.claim("k"), self.known.column.variable), self.copies, self.totals
        )
        tiles = Tiles(
            *bounds, self.start, self.stop, self.height, columns, (), self._arrays(), tuple(loops), is_given=True
        )
        return Together(rows, tiles, Flat(self.size, dict.fromkeys(sorted(self.known.whole), ())))

    def _arrays(self) -> tuple[Alloc, ...]:
        shape = (Poly.atom(self.height) * self.known.lengths[1],)
        tiles = {tile: e.type for e, tile in self.of_rows.items()} | {t: s.target.type for s, t in self.terms.items()}
        return tuple(Alloc(tile, shape, type) for tile, type in tiles.items())

    def _of_elements(self, s: Stmt, along: Name) -> Stmt:
        """What is done with an element, wherever in the tile it is; what is added up is put aside."""
        if not isinstance(s, Assign | Accumulate):
            return s
        here = Apply("sub", (along, Apply("mul", (Name(self.start, "int"), self.length), "int")), "int")

        def of_element(e: Expr) -> Expr:
            if isinstance(e, Name | Element) and e in self.of_rows:
                return Element(self.of_rows[e], (here,), e.type)
            if isinstance(e, Element) and e.array in self.known.whole:
                return Element(e.array, (along,), e.type)
            if isinstance(e, Element) and e.array in self.vectors and e.at == (self.known.place,):
                return Element(self.vectors[e.array], (here,), e.type)
            return Apply(e.op, tuple(map(of_element, e.args)), e.type) if isinstance(e, Apply) else e

        target, value = of_element(s.target), of_element(s.value)
        if isinstance(s, Accumulate) and s in self.terms:
            return Assign(Element(self.terms[s], (here,), s.target.type), value)
        assert isinstance(target, Name | Element)
        return replace(s, target=target, value=value)

    def _by_rows(self, before: Sequence[Stmt], inner: Sequence[Stmt], after: Sequence[Stmt]) -> For:
        along_row = [replace(self.known.column, body=tuple(inner))] if inner else []
        body, _ = needed([*before, *along_row, *after], frozenset())
        return replace(self.known.loop, body=tuple(body), bounds=(self.start, self.stop))

    def _beside(self, tile: str, type: Type) -> Element:
        """Where a tile has what belongs to this element of this row."""
        row = Apply("sub", (self.known.row, Name(self.start, "int")), "int")
        place = Apply("add", (Apply("mul", (row, self.length), "int"), self.known.place), "int")
        return Element(tile, (place,), type)
