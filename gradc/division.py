"""Division of lengths with remainder: how positions in row-major order come apart into one position an axis."""

from __future__ import annotations

from gradc.extents import ONE, Atom, Monomial, Poly


def divide(a: Poly, b: Poly) -> tuple[Poly, Poly]:
    """Polynomials with a == quotient*b + remainder; what the leading term of b does not divide is remainder."""
    quotient, remainder, rest = Poly(()), Poly(()), a
    if not b.terms:
        return quotient, rest
    lead, size = b.terms[0]
    while rest.terms:
        monomial, coefficient = rest.terms[0]
        others = _without(monomial, lead)
        if others is None or coefficient % size or len(quotient.terms) > len(a.terms):
            term = Poly(((monomial, coefficient),))
            remainder, rest = remainder + term, rest - term
        else:
            term = Poly(((others, coefficient // size),))
            quotient, rest = quotient + term, rest - term * b
    return quotient, remainder


def divides(b: Poly, a: Poly) -> bool:
    """Whether a is a multiple of b, as polynomials."""
    return not divide(a, b)[1].terms


def digits(a: Poly, b: Poly) -> tuple[Poly, Poly] | None:
    """(a // b, a % b) as polynomials, where the remainder is proved to be at least 0 and below b."""
    quotient, remainder = divide(a, b)
    if remainder.is_nonnegative() and (b - ONE - remainder).is_nonnegative():
        return quotient, remainder
    return None


def _without(monomial: Monomial, factors: Monomial) -> Monomial | None:
    """The monomial divided by another; None if that does not go."""
    left: list[Atom] = list(monomial)
    for f in factors:
        if f not in left:
            return None
        left.remove(f)
    return tuple(left)
