"""Lengths of axes: integer polynomials over named dims, loop indices, elements of index inputs and opaque terms.

A length is never negative: a polynomial that comes out below zero means an empty axis, as `range` has it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

from msgspec import Struct


class Term(Struct, frozen=True):
    """An integer term the polynomial does not look into: `n // 2`, `n % 2`, `min(n, 5)`, `max(n - 3, 0)`.

    `wrap(k, n)` is what the bound k of a slice means on an axis of length n: below 0 it counts from the end.
    """

    op: str
    args: tuple[Poly, ...]


class Entry(Struct, frozen=True):
    """An element of an index input, `start[i + 1]`, or an index scalar: an integer that only a call knows."""

    name: str
    axes: tuple[Index, ...]
    at: tuple[Poly, ...]


class Index(Struct, frozen=True, cache_hash=True, dict=True):
    """A loop index: runs from 0 below its extent. Two of equal extent differ by their occurrence."""

    extent: Poly
    occurrence: int

    @cached_property
    def closure(self) -> frozenset[Index]:
        """The index and all indices its bound is made of."""
        return frozenset({self}).union(*(i.closure for i in self.extent.indices))

    def __str__(self) -> str:
        return f"[{self.extent}]{self.occurrence or ''}"


Atom = str | Index | Term | Entry
Monomial = tuple[Atom, ...]


class Poly(Struct, frozen=True, cache_hash=True, dict=True):
    """A polynomial with integer coefficients; equal polynomials compare equal."""

    terms: tuple[tuple[Monomial, int], ...]

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

    @staticmethod
    def sum(polys: Iterable[Poly]) -> Poly:
        terms: dict[Monomial, int] = {}
        for p in polys:
            for m, c in p.terms:
                terms[m] = terms.get(m, 0) + c
        return Poly.of(terms)

    def __add__(self, other: Poly) -> Poly:
        return Poly.sum((self, other))

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
        """How deeply opaque terms and positions of elements are nested in it."""
        return 1 + max((p.depth for m, _ in self.terms for a in m for p in _inner(a)), default=0)

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

    @property
    def element(self) -> Entry | None:
        """The element of an index input that it is, if it is nothing else."""
        if len(self.terms) != 1 or self.terms[0][1] != 1 or len(self.terms[0][0]) != 1:
            return None
        atom = self.terms[0][0][0]
        return atom if isinstance(atom, Entry) else None

    @cached_property
    def atoms(self) -> frozenset[Atom]:
        """All atoms, those inside opaque terms too, but not the positions of elements."""
        own = frozenset(a for m, _ in self.terms for a in m)
        return own.union(*(p.atoms for a in own if isinstance(a, Term) for p in a.args))

    @cached_property
    def entries(self) -> frozenset[Entry]:
        """All elements of index inputs, those at whose places others stand too."""
        own = frozenset(a for a in self.atoms if isinstance(a, Entry))
        return own.union(*(p.entries for a in own for p in a.at))

    @cached_property
    def indices(self) -> frozenset[Index]:
        """The loop indices it depends on, by way of elements too."""
        own = frozenset(a for a in self.atoms if isinstance(a, Index))
        return own.union(*(p.indices for a in self.atoms if isinstance(a, Entry) for p in a.at))

    @cached_property
    def dims(self) -> frozenset[str]:
        """Names of dims, those in the bounds of indices and in the places of elements too."""
        own = frozenset(a for a in self.atoms if isinstance(a, str))
        places = (p.dims for a in self.atoms if isinstance(a, Entry) for p in a.at)
        return own.union(*places, *(i.extent.dims for i in self.indices))

    def evaluate(self, values: Mapping[Atom, Any]) -> int:
        """The integer value; `values` gives dims, indices, and index inputs by name."""
        return sum(c * math.prod(_value(a, values) for a in m) for m, c in self.terms)

    def length(self, values: Mapping[Atom, Any]) -> int:
        return max(0, self.evaluate(values))

    def is_nonnegative(self) -> bool:
        """Proved to be at least 0 for all dims, wherever the indices are in their ranges."""
        return self._is_nonnegative

    @cached_property
    def _is_nonnegative(self) -> bool:
        if all(isinstance(a, str) for m, _ in self.terms for a in m):
            return all(c >= 0 for _, c in self.terms)
        facts = frozenset().union(*(i.closure for i in self.indices))
        return proved(self, frozenset(i.extent for i in facts), PROOF_STEPS)

    def bounding(self) -> Poly:
        """The largest value over the ranges of the indices in it. Raises ValueError if nothing is known of it."""
        bound = self._upper
        if bound is None:
            raise ValueError(f"no bound for {self}")
        return bound

    @property
    def has_bound(self) -> bool:
        """Whether something is known that is as large in every turn of the loops around."""
        return self._upper is not None

    @cached_property
    def _upper(self) -> Poly | None:
        return upper(self)

    def render(self, name: Callable[[Index], str]) -> str:
        """The polynomial as a Python expression."""
        return self._text if name is str else self._rendered(name)

    def _rendered(self, name: Callable[[Index], str]) -> str:
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

    @cached_property
    def _text(self) -> str:
        return self._rendered(str)

    def __str__(self) -> str:
        return self._text


ZERO, ONE = Poly(()), Poly.const(1)
GUESSED = Poly.const(16)
"""How long a loop is taken to be of which nothing is known, where work is estimated."""


def volume(lengths: Iterable[Poly]) -> Poly:
    """How many elements an array of this shape has; at most, where lengths depend on indices."""
    total = ONE
    for length in lengths:
        total = total * (length.bounding() if length.has_bound else GUESSED)
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


def wrapped(k: Poly, size: Poly) -> Poly:
    """The position a bound of a slice stands for: below 0 it counts from the end."""
    if k.is_nonnegative():
        return k
    return k + size if (-k - ONE).is_nonnegative() else Poly.atom(Term("wrap", (k, size)))


def in_order(indices: Iterable[Index]) -> list[Index]:
    """Sorted so that an index stands after those its bound depends on; the same order every time."""
    return sorted(indices, key=lambda i: (len(i.closure), str(i.extent), i.occurrence))


PROOF_STEPS = 12
"""How many terms and indices are replaced by their bounds before a proof is given up."""


def proved(poly: Poly, nonempty: frozenset[Poly], steps: int) -> bool:
    """Whether the polynomial is at least 0 for all dims, where each of these lengths is at least 1."""
    if not steps:
        return False
    index, term = _next(poly)
    if index is not None:
        return proved(at_end(poly, index, -1), nonempty, steps - 1)
    if term is not None:
        cases = _lower_bounds(poly, term)
        return any(all(proved(p, nonempty, steps - 1) for p in case) for case in cases)
    if any(isinstance(a, Entry) for m, _ in poly.terms for a in m):
        return False
    return any(all(c >= 0 for _, c in p.terms) for p in (poly, *(poly + ONE - length for length in nonempty)))


def upper(poly: Poly, steps: int = PROOF_STEPS) -> Poly | None:
    """The largest value over the ranges of the indices in it; None if there is nothing to tell it from."""
    if not poly.indices:
        return poly
    index, term = _next(poly)
    if not steps or (index is None and term is None):
        return None
    if index is not None:
        return upper(at_end(poly, index, 1), steps - 1)
    assert term is not None
    every, cases = _upper_bounds(poly, term)
    bounds = [upper(p, steps - 1) for p in cases]
    known = [b for b in bounds if b is not None]
    if not known or (every and len(known) < len(bounds)):
        return None
    combine = maximum if every else minimum
    return known[0] if len(known) == 1 else combine(*known)


def _next(poly: Poly) -> tuple[Index | None, Term | None]:
    """What to replace next: the innermost index if no opaque term hides it, else a term."""
    own = [a for m, _ in poly.terms for a in m]
    terms = sorted({a for a in own if isinstance(a, Term)}, key=_order)
    hidden = {i for t in terms for p in t.args for i in p.indices}
    hidden |= {a for m, _ in poly.terms for a in m if any(not isinstance(b, Index | str) for b in m)}  # type: ignore[misc]
    free = [a for a in own if isinstance(a, Index) and a not in hidden]
    if free:
        return max(free, key=lambda i: (len(i.closure), str(i))), None
    return None, terms[0] if terms else None


def at_end(poly: Poly, index: Index, sign: int) -> Poly:
    """The polynomial with the index at that end of its range, in each monomial, where that is largest or smallest."""
    pieces: list[Poly] = []
    for m, c in poly.terms:
        piece = Poly.const(c)
        for a in m:
            end = index.extent - ONE if c * sign > 0 else ZERO
            piece = piece * (end if a == index else Poly.atom(a))
        pieces.append(piece)
    return Poly.sum(pieces)


def _split(poly: Poly, term: Term) -> tuple[Poly, Poly, int]:
    """(factor, rest, sign): poly = factor*term + rest, and the sign of the factor, 0 if that cannot be told."""
    factor: dict[Monomial, int] = {}
    rest: dict[Monomial, int] = {}
    for m, c in poly.terms:
        if term in m:
            k = m.index(term)
            factor[m[:k] + m[k + 1 :]] = c
        else:
            rest[m] = c
    signs = {c > 0 for c in factor.values()}
    known = len(signs) == 1 and all(isinstance(a, str | Index) for m in factor for a in m)
    return Poly.of(factor), Poly.of(rest), (1 if signs == {True} else -1) if known else 0


def _lower_bounds(poly: Poly, term: Term) -> list[list[Poly]]:
    """Sets of polynomials without the term: if all of one set are at least 0, the given one is."""
    factor, rest, sign = _split(poly, term)
    a, b = term.args
    if term.op in ("min", "max", "wrap"):
        ends = [factor * v + rest for v in ((a, a + b) if term.op == "wrap" else (a, b))]
        either = sign != 0 and (term.op, sign) in (("min", -1), ("max", 1))
        return [[e] for e in ends] if either else [ends]
    if not sign:
        return []
    positive = (b.constant or 0) > 0
    if term.op == "//":
        if sign > 0:
            return [[a, b, rest], *([[factor * (a - b + ONE) + b * rest]] if positive else [])]
        return [[factor * a + b * rest] if positive else [a, b, factor * a + rest]]
    if sign > 0:
        return [[b, rest]]
    return [[b - ONE, factor * (b - ONE) + rest], [b, factor * b + rest], [a, b, factor * a + rest]]


def _upper_bounds(poly: Poly, term: Term) -> tuple[bool, list[Poly]]:
    """Polynomials without the term; the given one is at most the largest of them, or at most any (False)."""
    factor, rest, sign = _split(poly, term)
    a, b = term.args

    def of(*values: Poly) -> list[Poly]:
        return [factor * v + rest for v in values]

    if not sign:
        return True, []
    if term.op in ("min", "max"):
        return (term.op, sign) in (("max", 1), ("min", -1)), of(a, b)
    if term.op == "wrap":
        return True, of(a, b) if sign > 0 else of(a)
    if not b.is_nonnegative():
        return True, []
    if term.op == "%":
        return True, of(b if sign > 0 else ZERO)
    end = upper(a if sign > 0 else -a)
    if end is None:
        return True, []
    if b.constant is not None:
        return True, of(floor_div(end if sign > 0 else -end, b))
    return True, of(maximum(end, ZERO) if sign > 0 else minimum(-end, ZERO))


def _inner(atom: Atom) -> tuple[Poly, ...]:
    """The polynomials an atom is made of."""
    return atom.args if isinstance(atom, Term) else atom.at if isinstance(atom, Entry) else ()


def _order(atom: Atom) -> tuple[int, str, int]:
    if isinstance(atom, str):
        return (0, atom, 0)
    if isinstance(atom, Index):
        return (1, str(atom.extent), atom.occurrence)
    if isinstance(atom, Entry):
        return (2, atom.name + ",".join(map(str, atom.at)), 0)
    return (3, atom.op + ",".join(map(str, atom.args)), 0)


def _value(atom: Atom, values: Mapping[Atom, Any]) -> int:
    if isinstance(atom, Entry):
        at = tuple(p.evaluate(values) for p in atom.at)
        if any(k < 0 for k in at):
            raise IndexError(f"{atom.name}: no element {at}")
        return int(values[atom.name][at] if at else values[atom.name])
    if not isinstance(atom, Term):
        return int(values[atom])
    a, b = (p.evaluate(values) for p in atom.args)
    if atom.op in ("//", "%") and not b:
        return 0
    return _INTEGERS[atom.op](a, b)


_INTEGERS: dict[str, Callable[[int, int], int]] = {
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "min": min,
    "max": max,
    "wrap": lambda k, size: k if k >= 0 else k + size,
}


def _render(atom: Atom, name: Callable[[Index], str]) -> str:
    if isinstance(atom, str):
        return atom
    if isinstance(atom, Index):
        return name(atom)
    if isinstance(atom, Entry):
        return f"{atom.name}[{', '.join(p.render(name) for p in atom.at)}]" if atom.at else atom.name
    a, b = (p.render(name) for p in atom.args)
    if atom.op in ("//", "%"):
        a, b = (t if t.replace("_", "").isalnum() else f"({t})" for t in (a, b))
        return f"({a}{atom.op}{b})" if atom.args[1].constant else f"({a}{atom.op}{b} if {b} else 0)"
    if atom.op == "wrap":
        return f"({a} if {a} >= 0 else {(atom.args[0] + atom.args[1]).render(name)})"
    return f"{atom.op}({a}, {b})"
