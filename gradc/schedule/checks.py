"""Where subscripts are checked: not in every turn of a loop, but before it, if it can be told how far they go there."""

from __future__ import annotations

from dataclasses import dataclass, field

from gradc.bounds import integer_poly, places_of_bounds
from gradc.extents import ONE, Entry, Index, Poly, Term, at_end
from gradc.ir import Node
from gradc.loops import Apply, Check, Const, Element, Expr, Name
from gradc.schedule.levels import Loop
from gradc.schedule.names import Names
from gradc.schedule.storage import Path

OPS = {"//": "floordiv", "%": "mod", "min": "minimum", "max": "maximum"}


@dataclass
class Range:
    """The positions from `low` to `high` are used if every length in `turns` is at least 1."""

    low: Poly
    high: Poly
    turns: list[Poly] = field(default_factory=list)


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


def of_bounds(index: Index, names: Names) -> list[Check]:
    """The checks of the elements of index inputs that the bound of a loop is made of."""
    made: dict[Check, None] = {}
    for entry, axis, at in sorted(places_of_bounds([index]), key=lambda found: Poly.atom(found[0]).depth):
        if at.indices and at.element is None:
            position = list(entry.axes).index(axis)
            message = f"index out of range of axis {position} of {entry.name}, in the bounds of a loop"
            made[Check(expression(at, names), axis.extent, message)] = None
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
