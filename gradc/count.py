"""Operations of a loop program, weighted as `gradc.ops` says, for given sizes or as a polynomial in the dims."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from gradc.extents import Atom, Index, Monomial, Poly
from gradc.loops import Accumulate, Apply, Assign, Expr, For, Linear, Plain, Product, Routine, Stmt, Sweep, Tiles, parts
from gradc.ops import ARITHMETIC, OPS

Counts = dict[Monomial, Fraction]


def operations(routine: Routine) -> str:
    """The count as a polynomial in the dims, in full: `2*d*n + 41*n + 3*d`. Opaque lengths are left out of sums."""
    counts = _block(routine.body)
    ordered = sorted(counts.items(), key=lambda t: (-len(t[0]), [str(a) for a in t[0]]))
    terms = ["*".join(([] if c == 1 and m else [_number(c)]) + [str(Poly.atom(a)) for a in m]) for m, c in ordered if c]
    return " + ".join(terms).replace("+ -", "- ") or "0"


def operations_at(routine: Routine, dims: Mapping[str, int]) -> int:
    """The count at given sizes, exact for triangular loops too."""
    values: dict[Atom, int] = {}
    values.update(dims.items())
    return _block_at(routine.body, values)


def _number(value: Fraction) -> str:
    return str(value) if value.denominator == 1 else f"{value.numerator}/{value.denominator}"


def cost(s: Stmt) -> int:
    """The operations of a statement itself, without what it repeats."""
    if isinstance(s, Assign):
        return _expression(s.value)
    if isinstance(s, Accumulate):
        return ARITHMETIC + _expression(s.value)
    return 2 * ARITHMETIC if isinstance(s, Product) else 0


def _expression(expr: Expr) -> int:
    total = 0
    for e in parts(expr):
        if isinstance(e, Apply) and e.type != "int":
            total += OPS[e.op].weight if e.op in OPS else ARITHMETIC if e.op == "select" else 0
    return total


def _block_at(body: tuple[Stmt, ...], values: dict[Atom, int]) -> int:
    total = 0
    for s in body:
        if isinstance(s, Tiles | Sweep):
            total += _block_at(s.body, values)
            continue
        if isinstance(s, Linear):
            times, of = s.work
            total += round(times * math.prod(length.length(values) for length in of))
            continue
        if not isinstance(s, For):
            total += cost(s) * (math.prod(i.extent.length(values) for i in s.loops) if isinstance(s, Product) else 1)
            continue
        length = s.index.extent.length(values)
        if any(s.index in inner.extent.indices for inner in _loops(s.body)):
            total += sum(_block_at(s.body, {**values, s.index: k}) for k in range(length))
        elif length:
            total += length * _block_at(s.body, {**values, s.index: 0})
    return total


def _loops(body: tuple[Stmt, ...]) -> list[Index]:
    own = [s.index for s in body if isinstance(s, For)]
    return own + [i for s in body if isinstance(s, For | Tiles | Sweep) for i in _loops(s.body)]


def _block(body: tuple[Stmt, ...]) -> Counts:
    parts: list[Counts] = [{(): Fraction(sum(cost(s) for s in body if isinstance(s, Plain)))}]
    for s in body:
        if isinstance(s, Plain):
            continue
        if isinstance(s, For):
            parts.append(_summed(_block(s.body), s.index))
        elif isinstance(s, Tiles | Sweep):
            parts.append(_block(s.body))
        elif isinstance(s, Linear):
            times, of = s.work
            work: Counts = {(): times}
            for length in of:
                work = _times(work, {m: Fraction(c) for m, c in length.terms})
            parts.append(work)
        elif isinstance(s, Product):
            part: Counts = {(): Fraction(cost(s))}
            for i in s.loops:
                part = _summed(part, i)
            parts.append(part)
    return _add(*parts)


def _summed(counts: Counts, index: Index) -> Counts:
    """The sum over the range of an index: sums of powers in closed form (Faulhaber), up to cubes."""
    length = {m: Fraction(c) for m, c in index.extent.terms}
    parts: list[Counts] = []
    for m, c in counts.items():
        power = sum(a == index for a in m)
        rest = tuple(a for a in m if a != index)
        parts.append(_times({rest: c}, _power_sum(min(power, 3), length)))
    return _add(*parts)


def _power_sum(power: int, length: Counts) -> Counts:
    """The sum of k**power for k below a length."""
    if power == 0:
        return length
    triangle = _scale(_times(length, _add(length, {(): Fraction(-1)})), Fraction(1, 2))
    if power == 1:
        return triangle
    if power == 3:
        return _times(triangle, triangle)
    return _scale(_times(triangle, _add(_scale(length, Fraction(2)), {(): Fraction(-1)})), Fraction(1, 3))


def _add(*parts: Counts) -> Counts:
    total: Counts = {}
    for part in parts:
        for m, c in part.items():
            total[m] = total.get(m, Fraction(0)) + c
    return total


def _scale(a: Counts, by: Fraction) -> Counts:
    return {m: c * by for m, c in a.items()}


def _times(a: Counts, b: Counts) -> Counts:
    total: Counts = {}
    for m, c in a.items():
        for p, d in b.items():
            key = tuple(sorted(m + p, key=str))
            total[key] = total.get(key, Fraction(0)) + c * d
    return total
