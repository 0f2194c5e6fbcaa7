"""Where subscripts are checked: not in every turn of a loop, but before it, if it can be told how far they go there."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field

from gradc.bounds import checked_here, integer_poly, places_of_bounds
from gradc.extents import ONE, ZERO, Entry, Index, Poly, Term, at_end
from gradc.ir import Node
from gradc.loops import Apply, Check, Const, Element, Expr, Name, Stmt
from gradc.schedule.levels import Levels, Loop
from gradc.schedule.names import Names
from gradc.schedule.storage import Path, Storage

OPS = {"//": "floordiv", "%": "mod", "min": "minimum", "max": "maximum"}


class Range(Struct):
    """The positions from `low` to `high` are used if every length in `turns` is at least 1."""

    low: Poly
    high: Poly
    turns: list[Poly] = field(default_factory=list)


class Checks:
    """The checks of a schedule. `in_place` are those made where a subscript is used, at each place of a node."""

    def __init__(self, levels: Levels, storage: Storage, names: Names) -> None:
        self.names, self.paths = names, storage.paths
        self.in_place: dict[tuple[Node, Path], list[tuple[Index, Node]]] = {}
        self.ahead: dict[int, list[tuple[Range, Poly, str]]] = {}
        self.made: list[set[tuple[Expr, Poly, Expr | None]]] = [set()]
        for n in levels.nodes:
            if n.op in ("read", "place") and (unchecked := checked_here(n)):
                always = n.guard is None and levels.needs[n] is None
                for path in storage.paths[n]:
                    for axis, e in unchecked:
                        self._place(n, path, axis, e, climb(e, axis.extent, path) if always else None)

    def _place(self, n: Node, path: Path, axis: Index, e: Node, climbed: tuple[Range, int] | None) -> None:
        if climbed is None:
            self.in_place.setdefault((n, path), []).append((axis, e))
        else:
            found, depth = climbed
            self.ahead.setdefault(id(path[depth]), []).append((found, axis.extent, self.message(n, axis)))

    def must_stand(self, n: Node) -> bool:
        """Whether the node is checked where it is used, so that it needs a statement of its own."""
        return any((n, path) in self.in_place for path in self.paths[n])

    def ahead_of(self, loop: Loop, guard: Expr | None) -> list[Stmt]:
        """The checks made before a loop that is run where the guard holds, but for those that have been made."""
        checks = [c for ahead in self.ahead.get(id(loop), ()) for c in before(*ahead, self.names)]
        return self.new([*of_bounds(loop.index, self.names, guard), *checks])

    def new(self, checks: Iterable[Check]) -> list[Stmt]:
        """Those that have not been made, in this loop or further out; now they have."""
        new: dict[tuple[Expr, Poly, Expr | None], Check] = {}
        for c in checks:
            key = (c.position, c.length, c.guard)
            if not any(key in known for known in self.made):
                new.setdefault(key, c)
        self.made[-1].update(new)
        return list(new.values())

    def enter(self) -> None:
        """A loop is opened: what is checked in it is not known behind it."""
        self.made.append(set())

    def leave(self) -> None:
        self.made.pop()

    def message(self, n: Node, axis: Index) -> str:
        origin = self.names.provenance.origins.get(n)
        where = f" ({origin.place})" if origin and origin.span else ""
        subscript = dict(zip(n.axes, n.subscripts, strict=True))[axis]
        if axis not in n.args[0].indices and (integer_poly(subscript) == ZERO or axis.extent == ONE):
            what = n.args[0].kind if n.args[0].op == "reduce" else "an element"
            return f"{what} of an empty range{where}"
        of = n.args[0].name if n.op == "read" and n.args[0].op == "input" else "what is read"
        return f"index out of range of axis {list(n.axes).index(axis)} of {of}{where}"


def climb(subscript: Node, length: Poly, path: Path) -> tuple[Range, int] | None:
    """The range of a subscript over the loops around it, and outside how many of these that is known."""
    poly = integer_poly(subscript)
    if poly is None:
        return None
    found, depth = Range(poly, poly), len(path)
    while depth and _can_leave(path[depth - 1], found, length):
        index = path[depth - 1].index
        found.low, found.high = at_end(found.low, index, -1), at_end(found.high, index, 1)
        if not (index.extent - ONE).is_nonnegative():
            found.turns.append(index.extent)
        depth -= 1
    return (found, depth) if depth < len(path) else None


def _can_leave(loop: Loop, found: Range, length: Poly) -> bool:
    """Whether the extremes over the loop are known before it: positions advance by a number from turn to turn."""
    i = loop.index
    others = [Poly(tuple(t for t in p.terms if t[0] != (i,))) for p in (found.low, found.high)]
    return not any(i in p.indices for p in (length, *found.turns, *others)) and not places_of_bounds([i])


def before(found: Range, length: Poly, message: str, names: Names) -> list[Check]:
    """The checks of a range: of both ends."""
    guard: Expr | None = None
    for extent in found.turns:
        some = Apply("gt", (expression(extent, names), Const(0)), "bool")
        guard = some if guard is None else Apply("and", (guard, some), "bool")
    ends = [
        p
        for p in dict.fromkeys((found.low, found.high))
        if not (p.is_nonnegative() and (length - ONE - p).is_nonnegative())
    ]
    return [Check(expression(p, names), length, message, guard) for p in ends]


def of_bounds(index: Index, names: Names, guard: Expr | None) -> list[Check]:
    """The checks of the elements of index inputs that the bound of a loop is made of, if it is run."""
    made: dict[Check, None] = {}
    for entry, axis, at in sorted(places_of_bounds([index]), key=lambda found: Poly.atom(found[0]).depth):
        if at.indices and at.element is None:
            position = list(entry.axes).index(axis)
            message = f"index out of range of axis {position} of {entry.name}, in the bounds of a loop"
            made[Check(expression(at, names), axis.extent, message, guard)] = None
    return list(made)


def expression(poly: Poly, names: Names) -> Expr:
    """A polynomial as an expression."""
    total: Expr | None = None
    for monomial, coefficient in sorted(poly.terms, key=lambda t: t[1] < 0):
        term: Expr | None = Const(abs(coefficient)) if abs(coefficient) != 1 or not monomial else None
        for atom in monomial:
            factor = _atom(atom, names)
            term = factor if term is None else Apply("mul", (term, factor), "int")
        assert term is not None
        if total is None:
            total = Apply("neg", (term,), "int") if coefficient < 0 else term
        else:
            total = Apply("sub" if coefficient < 0 else "add", (total, term), "int")
    return Const(0) if total is None else total


def _atom(atom: str | Index | Term | Entry, names: Names) -> Expr:
    if isinstance(atom, str):
        return Name(atom, "int")
    if isinstance(atom, Index):
        return Name(names.index(atom), "int")
    if isinstance(atom, Entry):
        at = tuple(expression(p, names) for p in atom.at)
        return Element(atom.name, at, "int") if at else Name(atom.name, "int")
    a, b = (expression(p, names) for p in atom.args)
    if atom.op == "wrap":
        test = Apply("ge", (a, Const(0)), "bool")
        return Apply("select", (test, a, expression(atom.args[0] + atom.args[1], names)), "int")
    return Apply(OPS[atom.op], (a, b), "int")
