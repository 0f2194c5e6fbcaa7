"""Where along a loop index a value changes its formula: `a[k] if k < n else b[k - n]` does at n.

Arrays that are put together of others (concatenate, stack, lists of expressions) are such values. A sum over the index
comes apart into sums over the pieces, in which no condition is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cmp_to_key
from itertools import pairwise
from typing import NamedTuple, TypeVar

from gradc.bounds import integer_poly, needs_guard
from gradc.extents import ONE, Index, Poly, Term
from gradc.ir import Node
from gradc.ops import OPS

MOST_PIECES = 8
"""A value of more pieces stays a loop with conditions in it."""

MOST_CUTS = 4 * MOST_PIECES
"""So many places along an index are remembered of a value: one of more has too many pieces anyway."""

Cuts = Mapping[Index, frozenset[Poly]]
"""The first positions of other formulas, along each index that has any."""
NOWHERE: Cuts = {}
T = TypeVar("T")


class Risk(NamedTuple):
    loose: frozenset[Index]
    fixed: frozenset[Index]


NO_RISK = Risk(frozenset(), frozenset())


class Pieces:
    """The places at which values change their formula, remembered node by node."""

    def __init__(self) -> None:
        self.known: dict[Node, Cuts] = {}
        self.risks: dict[Node, Risk] = {}

    def cuts(self, value: Node) -> Cuts:
        """Where a value changes its formula."""
        return _remembered(self.known, value, self._own)

    def risk(self, value: Node) -> Risk:
        """Along which indices the value may only be computed where it is asked for, as it reads out of range elsewhere.

        `fixed` are those it cannot be moved along: it is inside of something that is computed as a whole.
        """
        return _remembered(self.risks, value, self._risk)

    def indices(self, value: Node) -> frozenset[Index]:
        """The indices along which a value changes its formula."""
        return frozenset(self.cuts(value))

    def bounds(self, value: Node, index: Index) -> list[Poly] | None:
        """The ends of the pieces, from 0 to the length; None if there is one piece, too many or an unknown order."""
        found = self.cuts(value).get(index, frozenset())
        if len(found) >= MOST_CUTS:
            return None
        inside = [c for c in found if _is_inside(c, index.extent)]
        if not 0 < len(inside) < MOST_PIECES:
            return None
        ordered = sorted([Poly.const(0), *inside, index.extent], key=cmp_to_key(_compared))
        proved = all((b - a).is_nonnegative() for a, b in pairwise(ordered))
        return ordered if proved else None

    def _own(self, n: Node) -> Cuts:
        if not n.indices or (n.op not in OPS and n.op not in ("select", "convert", "stop", "read", "reduce", "scan")):
            return NOWHERE
        bound = frozenset(n.axes) if n.op == "read" else n.over | {n.index} if n.op == "scan" else n.over
        found: dict[Index, frozenset[Poly]] = {}
        for k, a in enumerate(n.args):
            for i, places in self.known[a].items():
                if k or i not in bound:
                    found[i] = _joined(found.get(i, frozenset()), places)
        cut = _boundary(n.args[0]) if n.op == "select" else None
        if cut is not None:
            index, place = cut
            found[index] = _joined(found.get(index, frozenset()), frozenset({place}))
        return found or NOWHERE

    def _risk(self, n: Node) -> Risk:
        inner = [self.risks[a] for a in n.args]
        loose = frozenset().union(*(r.loose for r in inner))
        fixed = frozenset().union(*(r.fixed for r in inner))
        if n.op == "read":
            own, first = dict(zip(n.axes, n.subscripts, strict=True)), inner[0]
            moved = (e.indices for a, e in own.items() if a in first.loose or (n.guard is None and needs_guard(n)))
            loose = (first.loose - own.keys()).union(*moved, *(r.loose for r in inner[1:]))
            moved = (e.indices for a, e in own.items() if a in first.fixed)
            fixed = (first.fixed - own.keys()).union(*moved, *(r.fixed for r in inner[1:]))
        elif n.op in ("reduce", "scan"):
            bound = n.over | {n.index} if n.op == "scan" else n.over
            ranges = frozenset().union(*(i.extent.indices for i in bound))
            loose, fixed = loose - bound, (fixed | ranges if loose else fixed) - bound
            fixed |= frozenset({n.index}) if n.op == "scan" and n.index in self.risks[n.args[0]].loose else frozenset()
        elif n.op not in OPS and n.op not in ("select", "convert", "stop"):
            loose, fixed = frozenset(), fixed | loose
        return Risk(loose, fixed) if loose or fixed else NO_RISK


def _remembered(known: dict[Node, T], value: Node, make: Callable[[Node], T]) -> T:
    """What is made of a node once that of its arguments is known."""
    stack = [value]
    while stack:
        n = stack[-1]
        missing = [a for a in n.args if a not in known] if n not in known else []
        if missing:
            stack += missing
            continue
        stack.pop()
        if n not in known:
            known[n] = make(n)
    return known[value]


def unclipped(length: Poly) -> Poly:
    """The length of an axis as it came: `n - 1` for `max(n - 1, 0)`, as a length below 0 means an empty axis anyway."""
    (monomial, coefficient), *others = length.terms or (((), 0),)
    if others or coefficient != 1 or len(monomial) != 1:
        return length
    (atom,) = monomial
    is_clipped = isinstance(atom, Term) and atom.op == "max" and not atom.args[1].terms
    return atom.args[0] if is_clipped and isinstance(atom, Term) else length


def _joined(a: frozenset[Poly], b: frozenset[Poly]) -> frozenset[Poly]:
    """All of these places; no more of them than it takes to see that there are too many."""
    return a if len(a) >= MOST_CUTS else b if len(b) >= MOST_CUTS else a | b


def _is_inside(position: Poly, length: Poly) -> bool:
    """Whether a position may be one between the ends of an axis."""
    return not (position - length).is_nonnegative() and not (-position).is_nonnegative()


def _compared(a: Poly, b: Poly) -> int:
    return 0 if a == b else -1 if (b - a).is_nonnegative() else 1


def _boundary(condition: Node) -> tuple[Index, Poly] | None:
    """Where a condition on one loop index changes."""
    if condition.op not in ("lt", "le", "gt", "ge"):
        return None
    a, b = (integer_poly(e) for e in condition.args)
    if a is None or b is None:
        return None
    gap = a - b
    if len(gap.indices) != 1:
        return None
    (index,) = gap.indices
    rest, slope = Poly.const(0), 0
    for monomial, coefficient in gap.terms:
        if monomial == (index,):
            slope = coefficient
        else:
            rest = rest + Poly(((monomial, coefficient),))
    if abs(slope) != 1 or rest.indices:
        return None
    includes_equal = condition.op in ("le", "gt")
    if slope == 1:  # index + rest < 0 below -rest
        return index, -rest + ONE if includes_equal else -rest
    return index, rest if includes_equal else rest + ONE
