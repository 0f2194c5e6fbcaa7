"""Lengths of axes: integer polynomials over named dims, loop indices and a few opaque integer terms.

A length is never negative: a polynomial that comes out below zero means an empty axis, as `range` has it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Term:
    """An integer term the polynomial does not look into: `n // 2`, `min(n, 5)`, `max(n - 3, 0)`."""

    op: str
    args: tuple[Poly, ...]


@dataclass(frozen=True, eq=False)
class Index:
    """A loop index: runs from 0 below its extent. Two of equal extent differ by their occurrence."""

    extent: Poly
    occurrence: int

    @cached_property
    def key(self) -> tuple[object, ...]:
        return (self.extent, self.occurrence)

    @cached_property
    def _hash(self) -> int:
        return hash(self.key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Index) and self.key == other.key)

    @cached_property
    def closure(self) -> frozenset[Index]:
        """The index and all indices its bound is made of."""
        return frozenset({self}).union(*(i.closure for i in self.extent.indices))

    def __str__(self) -> str:
        return f"[{self.extent}]{self.occurrence or ''}"


Atom = str | Index | Term
Monomial = tuple[Atom, ...]


@dataclass(frozen=True, eq=False)
class Poly:
    """A polynomial with integer coefficients; equal polynomials compare equal."""

    terms: tuple[tuple[Monomial, int], ...]

    @cached_property
    def _hash(self) -> int:
        return hash(self.terms)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Poly) and self.terms == other.terms)

    @staticmethod
    def of(terms: Mapping[Monomial, int]) -> Poly:
        kept = ((m, c) for m, c in terms.items() if c)
        return Poly(tuple(sorted(kept, key=lambda t: (-len(t[0]), tuple(map(_order, t[0]))))))

    @staticmethod
    def const(value: int) -> Poly:
        return Poly((((), value),)) if value else Poly(())

    @staticmethod
    def atom(atom: Atom) -> Poly:
        return Poly((((atom,), 1),))

    def __add__(self, other: Poly) -> Poly:
        terms = dict(self.terms)
        for m, c in other.terms:
            terms[m] = terms.get(m, 0) + c
        return Poly.of(terms)

    def __neg__(self) -> Poly:
        return Poly(tuple((m, -c) for m, c in self.terms))

    def __sub__(self, other: Poly) -> Poly:
        return self + -other

    def __mul__(self, other: Poly) -> Poly:
        terms: dict[Monomial, int] = {}
        for m, c in self.terms:
            for p, d in other.terms:
                key = tuple(sorted(m + p, key=_order))
                terms[key] = terms.get(key, 0) + c * d
        return Poly.of(terms)

    @cached_property
    def depth(self) -> int:
        """How deeply opaque terms are nested in it."""
        inside = (p.depth for m, _ in self.terms for a in m if isinstance(a, Term) for p in a.args)
        return 1 + max(inside, default=0)

    @property
    def is_manageable(self) -> bool:
        """Small enough to be worked with: lengths that people write are."""
        return len(self.terms) <= 40 and self.depth <= 12 and all(len(m) <= 12 for m, _ in self.terms)

    @cached_property
    def constant(self) -> int | None:
        """The value, if it does not depend on anything."""
        if not self.terms:
            return 0
        return self.terms[0][1] if len(self.terms) == 1 and not self.terms[0][0] else None

    @cached_property
    def atoms(self) -> frozenset[Atom]:
        """All atoms, those inside opaque terms too."""
        own = frozenset(a for m, _ in self.terms for a in m)
        return own.union(*(p.atoms for a in own if isinstance(a, Term) for p in a.args))

    @cached_property
    def indices(self) -> frozenset[Index]:
        return frozenset(a for a in self.atoms if isinstance(a, Index))

    @cached_property
    def dims(self) -> frozenset[str]:
        """Names of dims, those in the bounds of indices too."""
        own = frozenset(a for a in self.atoms if isinstance(a, str))
        return own.union(*(i.extent.dims for i in self.indices))

    def evaluate(self, values: Mapping[Atom, int]) -> int:
        """The integer value; `values` gives dims and indices."""
        return sum(c * math.prod(_value(a, values) for a in m) for m, c in self.terms)

    def length(self, values: Mapping[Atom, int]) -> int:
        return max(0, self.evaluate(values))

    def is_nonnegative(self) -> bool:
        """Proved to be at least 0 for all dims, wherever the indices are in their ranges."""
        poly = self
        while any(isinstance(a, Index) for m, _ in poly.terms for a in m):
            index = max((a for m, _ in poly.terms for a in m if isinstance(a, Index)), key=lambda i: len(i.closure))
            lowest = Poly(())
            for m, c in poly.terms:
                if index in m and any(isinstance(a, Term) for a in m):
                    return False
                piece = Poly.const(c)
                for a in m:
                    worst = Poly(()) if c > 0 else index.extent - ONE
                    piece = piece * (worst if a == index else Poly.atom(a))
                lowest = lowest + piece
            poly = lowest
        return all(c >= 0 for _, c in poly.terms) and not any(isinstance(a, Term) for a in poly.atoms)

    def bounding(self) -> Poly:
        """The largest value over the ranges of the indices in it."""
        poly = self
        while poly.indices:
            index = max(poly.indices, key=lambda i: (len(i.closure), str(i)))
            total = Poly(())
            for m, c in poly.terms:
                piece = Poly.const(c)
                for a in m:
                    end = index.extent - ONE if c > 0 else Poly(())
                    piece = piece * (end if a == index else Poly.atom(a))
                total = total + piece
            if total == poly:
                raise ValueError(f"no bound for {self}")
            poly = total
        return poly

    def render(self, name: Callable[[Index], str]) -> str:
        """The polynomial as a Python expression."""
        if not self.terms:
            return "0"
        ordered = sorted(self.terms, key=lambda t: t[1] < 0)
        text = ""
        for m, c in ordered:
            factors = [_render(a, name) for a in m]
            body = "*".join(factors if abs(c) == 1 and factors else [str(abs(c)), *factors])
            sign = ("-" if c < 0 else "") if not text else (" - " if c < 0 else " + ")
            text += sign + body
        return text

    def __str__(self) -> str:
        return self.render(str)


ONE = Poly.const(1)


def volume(lengths: Iterable[Poly]) -> Poly:
    """How many elements an array of this shape has; at most, where lengths depend on indices."""
    total = ONE
    for length in lengths:
        total = total * length.bounding()
    return total


def floor_div(a: Poly, b: Poly) -> Poly:
    if a.constant is not None and b.constant:
        return Poly.const(a.constant // b.constant)
    if b == ONE:
        return a
    inner = a.terms[0][0][0] if len(a.terms) == 1 and a.terms[0][1] == 1 and len(a.terms[0][0]) == 1 else None
    if isinstance(inner, Term) and inner.op == "//" and (inner.args[1].constant or 0) > 0 and (b.constant or 0) > 0:
        return floor_div(inner.args[0], inner.args[1] * b)
    if b.constant and all(c % b.constant == 0 for _, c in a.terms):
        return Poly(tuple((m, c // b.constant) for m, c in a.terms))
    return Poly.atom(Term("//", (a, b)))


def minimum(a: Poly, b: Poly) -> Poly:
    if (b - a).is_nonnegative():
        return a
    return b if (a - b).is_nonnegative() else Poly.atom(Term("min", (a, b)))


def maximum(a: Poly, b: Poly) -> Poly:
    if (a - b).is_nonnegative():
        return a
    return b if (b - a).is_nonnegative() else Poly.atom(Term("max", (a, b)))


def in_order(indices: Iterable[Index]) -> list[Index]:
    """Sorted so that an index stands after those its bound depends on; the same order every time."""
    return sorted(indices, key=lambda i: (len(i.closure), str(i.extent), i.occurrence))


def _order(atom: Atom) -> tuple[int, str, int]:
    if isinstance(atom, str):
        return (0, atom, 0)
    if isinstance(atom, Index):
        return (1, str(atom.extent), atom.occurrence)
    return (2, atom.op + ",".join(map(str, atom.args)), 0)


def _value(atom: Atom, values: Mapping[Atom, int]) -> int:
    if not isinstance(atom, Term):
        return values[atom]
    a, b = (p.evaluate(values) for p in atom.args)
    if atom.op == "//" and not b:
        return 0
    return a // b if atom.op == "//" else min(a, b) if atom.op == "min" else max(a, b)


def _render(atom: Atom, name: Callable[[Index], str]) -> str:
    if isinstance(atom, str):
        return atom
    if isinstance(atom, Index):
        return name(atom)
    a, b = (p.render(name) for p in atom.args)
    if atom.op == "//":
        a, b = (t if t.replace("_", "").isalnum() else f"({t})" for t in (a, b))
        return f"({a}//{b})" if atom.args[1].constant else f"({a}//{b} if {b} else 0)"
    return f"{atom.op}({a}, {b})"
