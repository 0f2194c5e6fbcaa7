"""A loop over rows becomes a loop over tiles of rows, with the rows of a tile innermost.

Each run of statements gets a loop of its own over the rows of the tile, which compilers turn into vector
instructions, whatever loops stand around it. What one run hands to the next is kept for the tile, in arrays whose last
axis are its rows. Sums of products become matrix products. Nothing is kept for all rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from gradc.count import cost
from gradc.extents import ONE, Index, Poly, volume
from gradc.loops import (
    Accumulate,
    Alloc,
    Apply,
    Assign,
    Check,
    Comment,
    Const,
    Element,
    Expr,
    Fill,
    For,
    Linear,
    Name,
    Product,
    Stmt,
    Tiles,
    changed,
    expressions,
    identity,
    numbers_of_a_row,
    parts,
    walk,
)
from gradc.ops import TRANSCENDENTAL
from gradc.schedule.comments import before_what_follows, is_subject, without_repeats
from gradc.schedule.factors import is_small
from gradc.schedule.inplace import in_place
from gradc.schedule.layout import is_of_row, laid_out, rows_first
from gradc.schedule.names import Names
from gradc.schedule.products import Products
from gradc.schedule.roles import Roles, mentioned, named, reads, written

Path = tuple[For, ...]
Axis = TypeVar("Axis")


class Unit(Struct, frozen=True):
    """A loop over the rows of a tile with the loops around it: whether it repays a copy of what it reads or writes."""

    loop: For
    around: Path
    is_worth: bool

    @classmethod
    def of(cls, loop: For, around: Path) -> Unit:
        return cls(loop, around, sum(map(cost, loop.body)) >= TRANSCENDENTAL)


class Tiling:
    """Tiles one loop over rows. `arrays` are the allocations of what belongs to one row, `shapes` are of all arrays."""

    def __init__(
        self,
        loop: For,
        roles: Roles,
        arrays: Mapping[str, Alloc],
        shapes: Mapping[str, tuple[Poly, ...]],
        names: Names,
        bounds: tuple[str, str],
    ) -> None:
        self.loop, self.roles, self.arrays, self.shapes, self.names = loop, roles, arrays, shapes, names
        self.first, self.last = bounds
        self.start, self.stop = names.claim("start"), names.claim("stop")
        self.height = names.claim("tile")
        self.kept: dict[str, Path] = {}
        self.packed_anyway: set[str] = set()
        self.packed: dict[str, str] = {}
        self.unpacked: dict[str, str] = {}
        self.rows_first: set[str] = set()
        self.along_rows: set[int] = set()
        self.vectorised = False

    def tiled(self) -> Tiles | None:
        """The loop over tiles; None if it has nothing to gain."""
        if any(isinstance(s, Linear) for s, _ in walk(self.loop.body)):
            return None  # what is done to a row's matrices outweighs the rest, and takes them as they are
        products = Products(self.loop, self.roles, self.shapes, (self.start, self.stop), self.names)
        body = products.taken_out()
        self.kept.update(products.expanded)
        self.rows_first, along = rows_first(body, self.loop, self.kept, self.roles.arrays)
        self.along_rows = set(map(id, along))
        self.rows_first.update(products.gathered.values())
        self.packed_anyway = self._better_packed(body, ())
        body = self._inside(body, ())
        alone = len([s for s in body if not isinstance(s, Comment)]) == 1 and not self._is_short(self.loop)
        if alone or not (self.vectorised or products.found):
            return None
        self._keep_what_crosses(body)
        self.unpacked = {array: self.names.claim(f"{array}_tile") for array in self._written_with_gaps(body)}
        body = [self._rewritten(s) for s in body]
        allocs = [self._alloc(name) for name in (*self.roles.scalars, *self.roles.arrays)]
        arrays, body = in_place([a for a in allocs if a is not None], body)
        packs = [self._pack(array, self._row, packed) for array, packed in self.packed.items()]
        packs += [self._pack(gather.array, gather.picked, name) for gather, name in products.gathered.items()]
        packed = [self._packed(array, name) for array, name in (*self.packed.items(), *self.unpacked.items())]
        unpacks = [self._pack(array, self._row, name, back=True) for array, name in self.unpacked.items()]
        gathered = [self._packed(gather.array, name) for gather, name in products.gathered.items()]
        return Tiles(
            self.first, self.last, self.start, self.stop, self.height,
            self._elements([*gathered, *arrays]), self._repaying(products), (*packed, *gathered, *arrays),
            (*packs, *without_repeats(before_what_follows(body)), *unpacks),
        )  # fmt: skip

    @property
    def _rows(self) -> Poly:
        return Poly.atom(self.height)

    # one loop over the rows around each run of statements

    def _inside(self, body: Sequence[Stmt], path: Path) -> list[Stmt]:
        out: list[Stmt] = []
        run: list[Stmt] = []
        for s in body:
            for_all = isinstance(s, For | Product) or (isinstance(s, Fill) and s.array in self.roles.arrays)
            if for_all:
                out += self._runs(run)
                run = []
            if isinstance(s, For) and self._stays_inside_rows(s, path):
                out.append(self._over_rows([s]))
            elif isinstance(s, For):
                self.vectorised = True
                out.append(replace(s, body=tuple(self._inside(s.body, (*path, s)))))
            elif for_all:
                out.append(s)
            else:
                run.append(s)
        return out + self._runs(run)

    def _over_rows(self, body: Sequence[Stmt]) -> For:
        return For(self.loop.index, self.loop.variable, tuple(body), (self.start, self.stop))

    def _stays_inside_rows(self, nest: For, path: Path) -> bool:
        """Whether a row is best left together: its loops depend on it, or run over neighbours in memory, once."""
        if id(nest) in self.along_rows:
            return True
        if self._is_short(nest):
            return False
        reads_rows = False
        for s, around in walk([nest]):
            if isinstance(s, For) and (self.loop.index in s.index.closure or self._is_skipped(s)):
                return True
            if isinstance(s, For | Comment):
                continue
            exprs = [s.target, s.value] if isinstance(s, Assign | Accumulate) else []
            for p in (p for e in exprs for p in parts(e)):
                if isinstance(p, Name | Element) and (named(p) in self.roles.arrays or named(p) in self.kept):
                    return False
                if not isinstance(p, Element):
                    continue
                if len(p.at) > 1 and is_of_row(p.at[0], self._row):
                    reads_rows = reads_rows or p.array not in self.packed_anyway
                    if len(p.at) - 1 != len(path) + len(around) or not isinstance(p.at[-1], Name):
                        return False
                    if p.at[-1].name != self.names.index(around[-1]):
                        return False
        return reads_rows

    def _is_short(self, nest: For) -> bool:
        """Whether functions are taken of a handful of elements, in all rows and at places that the row says itself."""
        inside = [s for s, _ in walk(nest.body)]
        loops = [s for s in (nest, *inside) if isinstance(s, For) and s.index != self.loop.index]
        plain = all(isinstance(s, For | Assign | Accumulate | Comment) for s in inside)
        if not loops or not plain or any(s.guard or not is_small(s.index) for s in loops):
            return False
        places = (a for s in inside for e in expressions(s) for p in parts(e) if isinstance(p, Element) for a in p.at)
        if any(a != self._row and self.roles.varies(a) for a in places):
            return False
        return sum(map(cost, inside)) >= TRANSCENDENTAL

    def _is_skipped(self, s: For) -> bool:
        """Whether the loop is run for some rows and not for others."""
        return s.guard is not None and self.roles.varies(s.guard)

    @property
    def _row(self) -> Name:
        return Name(self.loop.variable, "int")

    def _runs(self, run: Sequence[Stmt]) -> list[Stmt]:
        """Loops over the rows for one run: what cannot be vectorised is kept apart from what is worth it."""
        worth = sum(cost(s) for s in run) >= TRANSCENDENTAL
        stays, scattered = self._scattered_apart(run) if worth else (run, [])
        leading = next((k for k, s in enumerate(stays) if not isinstance(s, Comment)), len(stays))
        out: list[Stmt] = list(stays[:leading])
        segment: list[Stmt] = []
        placed: set[str] = set()

        def close() -> None:
            if any(not isinstance(s, Comment) for s in segment):
                out.extend(self._with_partial_sums(segment))
            else:
                out.extend(segment)
            segment.clear()
            placed.clear()

        for s in stays[leading:]:
            array = written(s)
            owned = array in self.roles.owned
            guarded = isinstance(s, Accumulate) and s.guard is not None
            alone = worth and (isinstance(s, Check) or guarded or self._is_scattered(s))
            if (owned and array in placed) or alone:
                self.vectorised = True
                close()
            segment.append(s)
            if owned and array is not None:
                placed.add(array)
            if alone:
                close()
        close()
        if scattered:
            self.vectorised = True
            out += [self._over_rows(scattered), *[s for s in run if is_subject(s)][-1:]]
        return out

    def _scattered_apart(self, run: Sequence[Stmt]) -> tuple[list[Stmt], list[Stmt]]:
        """A run without what it scatters, and that, each with what it is about.

        Nothing in the run reads it. In one loop, places that lie apart are waited for together.
        """
        stays: list[Stmt] = []
        scattered: list[Stmt] = []
        to_come = Counter(map(written, run))
        known = {name for s in run for name in (reads(s) if isinstance(s, Accumulate) else mentioned(s))}
        subject: Stmt | None = None
        for s in run:
            to_come[written(s)] -= 1
            if is_subject(s):
                subject = s
            waits = written(s) in known or any(to_come[name] for name in reads(s))
            if subject is None or not self._is_scattered(s) or waits:
                stays.append(s)
                continue
            notes = len(stays)
            while isinstance(stays[notes - 1], Comment) and not is_subject(stays[notes - 1]):
                notes -= 1
            scattered += [subject, *stays[notes:], s]
            del stays[notes:]
        return stays, scattered

    def _is_scattered(self, s: Stmt) -> bool:
        """Whether it adds to a place that the row says, be it in the row itself."""
        if not isinstance(s, Accumulate) or not isinstance(s.target, Element):
            return False
        varying = sum(map(self.roles.varies, s.target.at))
        return varying > (0 if s.target.array in self.roles.totals else 1)

    def _with_partial_sums(self, run: Sequence[Stmt]) -> list[Stmt]:
        """The loop over the rows; what it adds to an element that is the same for all rows is summed up first."""
        before: list[Stmt] = []
        inside: list[Stmt] = []
        after: list[Stmt] = []
        for s in run:
            target = s.target if isinstance(s, Accumulate) else None
            if isinstance(s, Accumulate) and isinstance(target, Element) and not self._varies(target):
                partial = Name(self.names.claim(f"{target.array}_part"), target.type)
                before.append(Assign(partial, Const(identity(s.op, target.type))))
                inside.append(replace(s, target=partial))
                after.append(Accumulate(target, s.op, partial))
            else:
                inside.append(s)
        return [*before, self._over_rows(inside), *after]

    def _varies(self, target: Element) -> bool:
        return self.roles.varies(target) or target.type != "float"

    # what is kept for the tile

    def _keep_what_crosses(self, body: Sequence[Stmt]) -> None:
        """Scalars that a loop over the rows finds computed by an earlier one."""
        for unit in (s for s, _ in walk(body) if isinstance(s, For) and s.bounds is not None):
            own: set[str] = set()
            for s, _ in walk(unit.body):
                needed = {*reads(s)} | ({named(s.target)} if isinstance(s, Accumulate) else set())
                for name in sorted(needed & self.roles.scalars.keys() - own):
                    self.kept.setdefault(name, ())
                if isinstance(s, Assign):
                    own.add(named(s.target))

    def _alloc(self, name: str) -> Alloc | None:
        if name in self.kept:
            shape = tuple(loop.index.extent.bounding() for loop in self.kept[name])
            return Alloc(name, self._with_rows(name, shape, self._rows), self.roles.scalars[name])
        if name in self.arrays:
            alloc = self.arrays[name]
            return replace(alloc, shape=self._with_rows(name, alloc.shape, self._rows), fill=None)
        return None

    def _with_rows(self, name: str, others: tuple[Axis, ...], rows: Axis) -> tuple[Axis, ...]:
        """What an array has for each of its axes, with what it has for the rows of the tile."""
        return (rows, *others) if name in self.rows_first else (*others, rows)

    def _rewritten(self, s: Stmt, path: Path = (), unit: Unit | None = None) -> Stmt:
        new = changed(s, self._change(path, unit))
        if isinstance(new, Product):
            return laid_out(new, self.rows_first)
        if isinstance(new, For):
            if new.bounds is not None:
                unit = Unit.of(new, path)
            else:
                path = (*path, new)
            return replace(new, body=tuple(self._rewritten(t, path, unit) for t in new.body))
        if isinstance(new, Fill) and new.array in self.roles.arrays:
            return replace(new, at=self._with_rows(new.array, new.at, self._row_of_tile if unit else None))
        return new

    @property
    def _row_of_tile(self) -> Expr:
        return Apply("sub", (self._row, Name(self.start, "int")), "int")

    def _change(self, path: Path, unit: Unit | None) -> Callable[[Expr], Expr]:
        """Values of a row by their place in the tile; rows of data, where that is better, from a packed copy."""
        worth, around = (unit.is_worth, unit.around) if unit else (False, ())

        def change(e: Expr) -> Expr:
            if isinstance(e, Name) and e.name in self.kept:
                at = tuple(Name(loop.variable, "int") for loop in self.kept[e.name])
                return Element(e.name, self._with_rows(e.name, at, self._row_of_tile), e.type)
            if isinstance(e, Element) and e.array in self.roles.arrays:
                return Element(e.array, self._with_rows(e.array, e.at, self._row_of_tile), e.type)
            if isinstance(e, Element) and self._is_better_packed(e, path, worth, around):
                if e.array not in self.packed:
                    self.packed[e.array] = self.names.claim(f"{e.array}_tile")
                return Element(self.packed[e.array], (e.at[1], self._row_of_tile), e.type)
            if isinstance(e, Element) and e.array in self.unpacked:
                return Element(self.unpacked[e.array], (e.at[1], self._row_of_tile), e.type)
            return e

        return change

    def _is_better_packed(self, e: Element, path: Path, worth: bool, around: Path) -> bool:
        """Data that are read again and again, or with gaps between the rows, where LLVM makes no vectors of them."""
        if len(e.at) != 2 or e.type != "float" or e.at[0] != self._row or self.roles.varies(e.at[1]):
            return False
        if e.array in self.roles.owned or e.array in self.roles.totals or e.array not in self.shapes:
            return False  # what the rows write to has to stay where it is
        if not (self.shapes[e.array][0] - self.loop.index.extent).is_nonnegative():
            return False  # it has fewer rows, and is read under a condition: not all can be copied
        if e.array in self.packed_anyway and any(e.at[1] == Name(i.variable, "int") for i in around):
            return True
        used = {p.name for p in parts(e.at[1]) if isinstance(p, Name)}
        read_again = any(loop.variable not in used for loop in path)
        of_all = any(e.at[1] == Name(i.variable, "int") and i.index.extent == self.shapes[e.array][1] for i in path)
        return read_again or (worth and of_all)

    def _better_packed(self, body: Sequence[Stmt], path: Path) -> set[str]:
        """The data that loops read from packed copies, which are there for others then."""
        found: set[str] = set()
        worth = sum(cost(s) for s in body if not isinstance(s, For)) >= TRANSCENDENTAL
        for s in body:
            if isinstance(s, For):
                found |= set() if self._stays_inside_rows(s, path) else self._better_packed(s.body, (*path, s))
            elif isinstance(s, Assign | Accumulate):
                read = (p for e in expressions(s) for p in parts(e) if isinstance(p, Element))
                found.update(e.array for e in read if self._is_better_packed(e, path, worth, path))
        return found

    def _packed(self, array: str, name: str) -> Alloc:
        return Alloc(name, self._with_rows(name, (self.shapes[array][1],), self._rows), "float")

    def _pack(self, array: str, row: Expr, packed: str, back: bool = False) -> Stmt:
        """Puts rows of an array together, for each row of the tile this one; or puts them back where they belong."""
        length = self.shapes[array][1]
        index = Index(length, int(Index(length, 0) == self.loop.index))
        k = Name(self.names.index(index), "int")
        inside = Element(packed, self._with_rows(packed, (k,), self._row_of_tile), "float")
        outside = Element(array, (row, k), "float")
        return self._over_rows([For(index, k.name, (Assign(outside, inside) if back else Assign(inside, outside),))])

    def _written_with_gaps(self, body: Sequence[Stmt]) -> list[str]:
        """Matrices that loops over the rows of a tile write column by column, all of it, one with functions taken.

        LLVM makes vectors of such a loop only if there are no gaps between the rows.
        """
        uses: dict[str, list[tuple[Stmt, Unit | None]]] = defaultdict(list)
        for s, unit in self._units(body, ()):
            for name in mentioned(s) & self.roles.owned.keys() & self.shapes.keys():
                uses[name].append((s, unit))
        found = []
        for name, of in uses.items():
            first, unit = of[0]
            fills = isinstance(first, Assign) and name not in reads(first) and unit and len(unit.around) == 1
            if fills and all(self._in_a_column(name, *use) for use in of):
                found += [name] if any(unit and unit.is_worth for _, unit in of) else []
        return found

    def _in_a_column(self, array: str, s: Stmt, unit: Unit | None) -> bool:
        """Whether a statement knows a matrix by the elements of one of its columns, row by row."""
        if unit is None or any(loop.guard for loop in (*unit.around, unit.loop)):
            return False
        columns = [Name(i.variable, "int") for i in unit.around if self.shapes[array][1:] == (i.index.extent,)]
        places = [p for e in expressions(s) for p in parts(e) if isinstance(p, Element) and p.array == array]
        return bool(places) and all(p.type == "float" and p.at in [(self._row, c) for c in columns] for p in places)

    def _units(self, body: Sequence[Stmt], path: Path, unit: Unit | None = None) -> Iterator[tuple[Stmt, Unit | None]]:
        """Each statement, with the loop over the rows of the tile if it stands right in one."""
        for s in body:
            yield s, unit
            if isinstance(s, For):
                yield from self._units(s.body, (*path, s), Unit.of(s, path) if s.bounds else None)

    # the height of a tile

    def _elements(self, arrays: Sequence[Alloc]) -> Poly:
        """Numbers a row of the tile: of the data it reads, and of what is kept for it."""
        read = {
            p.array
            for s, _ in walk(self.loop.body)
            for e in ([s.value] if isinstance(s, Assign | Accumulate) else [])
            for p in parts(e)
            if isinstance(p, Element) and p.at and p.at[0] == self._row
        }
        data = [volume(self.shapes[name][1:]) for name in sorted(read & set(self.shapes))]
        return Poly.sum([ONE, *(numbers_of_a_row(a, self._rows) for a in arrays), *data])

    def _repaying(self, products: Products) -> tuple[tuple[Poly, Poly], ...]:
        """The lengths, other than the rows, of products of two matrices."""
        found = []
        for p, _ in products.found:
            a, b = (i.extent for i in p.loops[1:]) if len(p.loops) == 3 else (ONE, ONE)
            if ONE not in (a, b) and (a, b) not in found:
                found.append((a, b))
        return tuple(found)
