"""What the names in a loop over rows stand for, and whether its rows can be computed in any grouping."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, field

from gradc.extents import Poly
from gradc.ir import Type
from gradc.loops import (
    Accumulate,
    Apply,
    Assign,
    Const,
    Element,
    Expr,
    Fill,
    For,
    Linear,
    Name,
    Product,
    Section,
    Stmt,
    Target,
    View,
    expressions,
    parts,
    walk,
)


class Roles(Struct):
    """Names by what a row does with them.

    `scalars` and `arrays` belong to one row, and the next row starts afresh. `totals` are accumulated over the rows, by
    the operation given. `owned` arrays have an element, or a slice, for each row: written at the row plus these shifts.
    """

    row: str
    scalars: dict[str, Type] = field(default_factory=dict)
    arrays: dict[str, None] = field(default_factory=dict)
    totals: dict[str, str] = field(default_factory=dict)
    owned: dict[str, set[int]] = field(default_factory=dict)

    @property
    def reach(self) -> int:
        """How many rows lie between the first and the last that write to one place."""
        shifts = [s for of in self.owned.values() for s in of]
        return max(shifts) - min(shifts) if shifts else 0

    def varies(self, e: Expr) -> bool:
        """Whether an expression is not the same for all rows."""
        return any(
            (isinstance(p, Name) and (p.name == self.row or p.name in self.scalars))
            or (isinstance(p, Element) and p.array in self.arrays)
            for p in parts(e)
        )


def roles(loop: For) -> Roles | None:
    """The roles of the names written in a loop over rows; None if a row needs what another one computed."""
    found = Roles(loop.variable)
    statements = [s for s, _ in walk(loop.body)]
    for s in statements:
        if isinstance(s, Assign | Linear) and isinstance(s.target, Name):
            found.scalars[s.target.name] = s.target.type
    writes: dict[str, list[Stmt]] = {}
    for s in statements:
        name = written(s)
        if name is not None and name not in found.scalars:
            writes.setdefault(name, []).append(s)
    for name, of in writes.items():
        if not _classify(found, name, of):
            return None
    for s in statements:
        for name in reads(s):
            shifts = found.owned.get(name, set())
            if name in found.totals or len(shifts) > 1:
                return None
    return found


def written(s: Stmt) -> str | None:
    """The variable or array a statement writes to."""
    if isinstance(s, Fill):
        return s.array
    return named(s.target) if isinstance(s, Assign | Accumulate | Linear | Product) else None


def named(target: Target | Section | View) -> str:
    return target.name if isinstance(target, Name) else target.array


def reads(s: Stmt) -> Iterator[str]:
    """The variables and arrays a statement reads."""
    for e in expressions(s):
        target = isinstance(s, Assign | Accumulate) and e is s.target
        for p in parts(e):
            if isinstance(p, Name | Element) and not (target and p is e):
                yield named(p)
    if isinstance(s, Linear):
        yield from (section.array for section in s.given)
    if isinstance(s, Product):
        yield from (s.left.array, s.right.array)


def mentioned(s: Stmt) -> set[str]:
    """The variables and arrays that stand in a statement itself."""
    return {*reads(s), *filter(None, (written(s),))}


def _classify(found: Roles, name: str, of: list[Stmt]) -> bool:
    accumulated = {s.op for s in of if isinstance(s, Accumulate)}
    shifts = [_shift(found, s) for s in of]
    if all(s is not None for s in shifts) and len({axis for axis, _ in filter(None, shifts)}) == 1:
        found.owned[name] = {shift for _, shift in filter(None, shifts)}
        return len(found.owned[name]) == 1 or all(isinstance(s, Accumulate) for s in of)
    if len(accumulated) == 1 and all(isinstance(s, Accumulate) for s in of):
        found.totals[name] = accumulated.pop()
        return True
    found.arrays[name] = None
    return not any(found.varies(e) for s in of for e in _subscripts(s))


def _subscripts(s: Stmt) -> tuple[Expr, ...]:
    if isinstance(s, Fill):
        return tuple(e for e in s.at if e is not None)
    if isinstance(s, Linear) and isinstance(s.target, Section):
        return s.target.positions
    return s.target.at if isinstance(s, Assign | Accumulate | Linear) and isinstance(s.target, Element) else ()


def _shift(found: Roles, s: Stmt) -> tuple[int, int] | None:
    """(axis, shift) of a statement that writes at the row plus a number along one axis."""
    at: tuple[Expr | Poly | None, ...] = _subscripts(s)
    if isinstance(s, Fill):
        at = s.at
    elif isinstance(s, Linear) and isinstance(s.target, Section):
        at = s.target.at
    for axis, e in enumerate(at):
        if isinstance(e, Name) and e.name == found.row:
            return axis, 0
        if isinstance(e, Apply) and e.op in ("add", "sub") and e.args[0] == Name(found.row, "int"):
            by = e.args[1]
            if isinstance(by, Const):
                return axis, int(by.value) * (1 if e.op == "add" else -1)
    return None
