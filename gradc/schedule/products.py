"""Sums over products of two factors become matrix products over a tile of rows.

`z[j] += x[i, k]*W[j, k]` in loops over rows i, over j and over k is, for a tile of rows, `z = W @ x[rows].T`. Each such
statement is taken out of its loops: what stands before it in them is run for the whole tile first, what stands behind
it afterwards. Values that are needed on both sides get the axes of the loops that were split. Rows that an index picks,
`E[i[row], k]`, are a factor once they are put together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from gradc.extents import Poly
from gradc.loops import (
    Accumulate,
    Apply,
    Assign,
    Comment,
    Const,
    Element,
    Expr,
    Fill,
    For,
    Name,
    Product,
    Stmt,
    View,
    walk,
)
from gradc.schedule.factors import is_small
from gradc.schedule.names import Names
from gradc.schedule.roles import Roles, named, reads, written

Axis = str
"""A loop by its variable; the row's too."""
Loops = tuple[For, ...]


class Factor(Struct, frozen=True):
    """An array as a vector or matrix: its axes in order."""

    array: str
    axes: tuple[Axis, ...]


class Gather(Struct, frozen=True):
    """Rows of an array: for each row of the loop the one that an index picks."""

    array: str
    picked: Element


class Products:
    """Takes the products out of the body of a loop over rows. `shapes` are those of all arrays."""

    def __init__(
        self,
        loop: For,
        roles: Roles,
        shapes: Mapping[str, tuple[Poly, ...]],
        bounds: tuple[str, str],
        names: Names,
    ) -> None:
        self.loop, self.roles, self.shapes, self.bounds, self.names = loop, roles, shapes, bounds, names
        self.row = loop.variable
        self.assigned_in: dict[str, Loops] = {}
        self._note_scalars(loop.body, ())
        self.splittable: dict[int, bool] = {}
        self.found: list[tuple[Product, Loops]] = []
        self.expanded: dict[str, Loops] = {}
        self.gathers: dict[Gather, str] = {}

    def taken_out(self) -> list[Stmt]:
        """The body with products among its statements; `expanded` then tells which scalars have which axes."""
        body = self._split(self.loop.body, ())
        if not self.found:
            return list(self.loop.body)
        self._expand(body)
        return self._without_zeros(body)

    @property
    def gathered(self) -> dict[Gather, str]:
        """Rows that products need put together, and what their array is called."""
        used = {v.array for product, _ in self.found for v in (product.left, product.right)}
        return {gather: name for gather, name in self.gathers.items() if name in used}

    def _note_scalars(self, body: Sequence[Stmt], path: Loops) -> None:
        for s in body:
            if isinstance(s, For):
                self._note_scalars(s.body, (*path, s))
            elif isinstance(s, Assign) and isinstance(s.target, Name):
                around = {loop.variable for loop in path}
                first = self.assigned_in.get(s.target.name, path)  # it may be computed again in other loops
                self.assigned_in[s.target.name] = tuple(loop for loop in first if loop.variable in around)

    def _split(self, body: Sequence[Stmt], path: Loops) -> list[Stmt]:
        out: list[Stmt] = []
        for s in body:
            product = self._product(s, path) if isinstance(s, Accumulate) else None
            if product is not None:
                self.found.append((product, path))
                out.append(product)
            elif isinstance(s, For):
                out += self._around(s, self._split(s.body, (*path, s)))
            else:
                out.append(s)
        return out

    def _around(self, loop: For, body: Sequence[Stmt]) -> list[Stmt]:
        """The loop around each stretch between products."""
        out: list[Stmt] = []
        stretch: list[Stmt] = []

        def close() -> None:
            if all(isinstance(s, Comment) for s in stretch):
                out.extend(stretch)
            else:
                out.append(replace(loop, body=tuple(stretch)))
            stretch.clear()

        for s in body:
            if isinstance(s, Product):
                close()
                out.append(s)
            else:
                stretch.append(s)
        close()
        return out

    # what is a product

    def _product(self, s: Accumulate, path: Loops) -> Product | None:
        value = s.value
        if s.op != "add" or s.guard is not None or not path:
            return None
        if not (isinstance(value, Apply) and value.op == "mul" and all(self._plain(loop) for loop in path)):
            return None
        factors = [self._factor(a, path) for a in value.args]
        target = self._factor(s.target, path)
        a, b = factors
        if a is None or b is None or target is None or not all(map(self._splittable, path)):
            return None
        gathers = {*self.gathers.values()} & {a.array, b.array}
        if gathers and len(target.axes) == 1:
            return None  # to put rows together takes as long as to multiply each by a vector
        axes = {self.row, *(loop.variable for loop in path)}
        summed = axes - set(target.axes)
        if len(summed) != 1 or set(a.axes) | set(b.axes) != axes or not summed <= set(a.axes) & set(b.axes):
            return None
        over = summed.pop()
        if target.axes[0] not in a.axes or (len(target.axes) == 2 and target.axes[0] in b.axes):
            a, b = b, a
        if len(target.axes) == 1:
            # matrix times vector, or the other way round
            matrix, vector = (a, b) if len(a.axes) == 2 else (b, a)
            if len(matrix.axes) != 2 or len(vector.axes) != 1:
                return None
            by_rows = matrix.axes == (target.axes[0], over)
            if target.array == vector.array or target.array == matrix.array:
                return None
            left, right = (self._view(matrix), self._view(vector))
            if not by_rows:
                left, right = self._view(vector), self._view(matrix)
        else:
            if {len(a.axes), len(b.axes)} != {2} or set(a.axes) != {target.axes[0], over}:
                return None
            if set(b.axes) != {target.axes[1], over}:
                return None
            left = self._view(a, transposed=a.axes[1] != over)
            right = self._view(b, transposed=b.axes[0] != over)
        loops = (self.loop.index, *(loop.index for loop in path))
        return Product(self._view(target), left, right, True, loops)

    def _plain(self, loop: For) -> bool:
        """Whether the loop is the same and runs for every turn of those around it, and is not a handful of turns."""
        return loop.guard is None and len(loop.index.closure) == 1 and not is_small(loop.index)

    def _factor(self, e: Expr, path: Loops) -> Factor | None:
        """An operand with one or two axes: whole axes of arrays, or rows of the tile."""
        around = {loop.variable: loop for loop in path}
        if isinstance(e, Name):
            where = self.assigned_in.get(e.name)
            if e.type != "float" or where is None or len(where) > 1 or where != path[: len(where)]:
                return None
            return Factor(e.name, (*(loop.variable for loop in where), self.row))
        if not isinstance(e, Element) or e.type != "float":
            return None
        if (gathered := self._gathered(e, around)) is not None:
            return gathered
        axes = tuple(a.name for a in e.at if isinstance(a, Name))
        if len(axes) != len(e.at) or len(set(axes)) != len(axes) or e.array not in self.shapes:
            return None
        for axis, length in zip(axes, self.shapes[e.array], strict=True):
            if axis != self.row and (axis not in around or around[axis].index.extent != length):
                return None
        if e.array in self.roles.arrays:
            axes = (*axes, self.row)
        return Factor(e.array, axes) if 1 <= len(axes) <= 2 else None

    def _gathered(self, e: Element, around: Mapping[str, For]) -> Factor | None:
        """Whole rows that an index picks: `E[i[row], k]`. What is read behind a check has a name of its own."""
        if len(e.at) != 2 or not self._is_given(e.array) or e.array not in self.shapes:
            return None
        picked, axis = e.at
        if not (isinstance(picked, Element) and self._is_given(picked.array) and picked.at == (Name(self.row, "int"),)):
            return None
        if not isinstance(axis, Name) or axis.name not in around:
            return None
        if around[axis.name].index.extent != self.shapes[e.array][1]:
            return None
        gather = Gather(e.array, picked)
        if gather not in self.gathers:
            self.gathers[gather] = self.names.claim(f"{e.array}_tile")
        return Factor(self.gathers[gather], (axis.name, self.row))

    def _is_given(self, array: str) -> bool:
        """Whether nothing in the loop writes to it."""
        return not any(array in written for written in (self.roles.arrays, self.roles.totals, self.roles.owned))

    def _view(self, f: Factor, transposed: bool = False) -> View:
        own = f.array in self.roles.arrays or f.array in self.roles.scalars or f.array in self.gathers.values()
        start, stop = self.bounds
        rows = ("", f"{stop} - {start}") if own else (start, stop)
        return View(f.array, tuple(rows if a == self.row else None for a in f.axes), transposed)

    def _splittable(self, loop: For) -> bool:
        """Whether all turns of the loop can run its first statements before any runs the later ones."""
        if id(loop) not in self.splittable:
            self.splittable[id(loop)] = self._find_splittable(loop)
        return self.splittable[id(loop)]

    def _find_splittable(self, loop: For) -> bool:
        inner = [s for s, _ in walk(loop.body)]
        local = {named(s.target) for s in inner if isinstance(s, Assign)}
        changed = {w for s in inner if isinstance(s, Accumulate | Fill) and (w := written(s)) not in local}
        if any(name in changed for s in inner for name in reads(s)):
            return False
        for s in inner:
            array = written(s)
            if array in self.roles.arrays and not isinstance(s, Accumulate):
                at = s.at if isinstance(s, Fill) else s.target.at  # type: ignore[union-attr]
                if Name(loop.variable, "int") not in at:
                    return False
        return True

    # what the split leaves

    def _expand(self, body: Sequence[Stmt]) -> None:
        """Scalars of loops that were split keep their values for all turns."""
        crossing = set().union(*(_crossing([s]) for s in body))
        self.expanded.update({name: loops for name, loops in self.assigned_in.items() if loops and name in crossing})
        for product, _ in self.found:
            for view in (product.target, product.left, product.right):
                if view.array in self.assigned_in:
                    self.expanded[view.array] = self.assigned_in[view.array]

    def _without_zeros(self, body: Sequence[Stmt]) -> list[Stmt]:
        """Where a product is all that is added to zeros, it is assigned instead."""
        writers: dict[str, int] = {}
        zeros: set[str] = set()
        for s, _ in walk(body):
            name = written(s)
            if name is None:
                continue
            writers[name] = writers.get(name, 0) + 1
            value = s.value if isinstance(s, Assign | Fill) else None
            if value in (0.0, Const(0.0)) and (not isinstance(s, Fill) or set(s.at) == {None}):
                zeros.add(name)
        targets = {p.target.array for p, _ in self.found}
        once = {n for n in zeros & targets if writers[n] == 2}
        return self._dropped(body, once)

    def _dropped(self, body: Sequence[Stmt], once: set[str]) -> list[Stmt]:
        out: list[Stmt] = []
        for s in body:
            if isinstance(s, For):
                inner = self._dropped(s.body, once)
                if any(not isinstance(t, Comment) for t in inner):
                    out.append(replace(s, body=tuple(inner)))
                else:
                    out += inner
            elif isinstance(s, Product) and s.target.array in once:
                out.append(Product(s.target, s.left, s.right, False, s.loops))
            elif not (isinstance(s, Assign | Fill) and written(s) in once):
                out.append(s)
        return out


def _crossing(body: Sequence[Stmt], around: frozenset[str] = frozenset()) -> set[str]:
    """What loops, as they now are, need as others leave it: it is not assigned before, in the same loop or `around`."""
    crossing: set[str] = set()
    known = set(around)
    for s in body:
        crossing |= set(reads(s)) - known
        if isinstance(s, For):
            crossing |= _crossing(s.body, frozenset(known))
        elif isinstance(s, Assign):
            known.add(named(s.target))
        elif (name := written(s)) is not None and name not in known:
            crossing.add(name)
    return crossing
