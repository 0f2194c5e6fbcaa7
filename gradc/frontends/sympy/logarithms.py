"""Logarithms of products with a determinant in them, as densities of many variables have, which over- or underflow."""

from __future__ import annotations

from typing import NamedTuple

import sympy
from sympy.matrices.expressions import Determinant

from gradc.frontends.sympy.forms import Part

LONGEST = 50
"""Products of more factors stay as they are."""


class Term(NamedTuple):
    """log(base), times all of these numbers."""

    base: Part
    exponents: tuple[Part, ...]


def terms(x: Part) -> list[Term] | None:
    """log(x) as a sum of terms, of which one has a determinant and the others are of positive numbers; else None.

    The sign of the product has to be that of the determinant, so that there is a logarithm of both or of neither.
    """
    found = []
    stack: list[Term] = [Term(x, ())]
    while stack:
        e, exponents = stack.pop()
        if isinstance(e, sympy.Mul):
            stack += [Term(p, exponents) for p in reversed(e.args)]
        elif isinstance(e, sympy.Pow):
            stack.append(Term(e.base, (*exponents, e.exp)))
        elif isinstance(e, Determinant) or _is_positive(e):
            found.append(Term(e, exponents))
        else:
            return None
        if len(found) + len(stack) > LONGEST:
            return None
    determinants = [t for t in found if isinstance(t.base, Determinant)]
    return found if len(determinants) == 1 and all(map(_keeps_sign, determinants[0].exponents)) else None


def _is_positive(e: Part) -> bool:
    return isinstance(e, sympy.exp | sympy.NumberSymbol) or (isinstance(e, sympy.Number) and e.is_positive is True)


def _keeps_sign(exponent: Part) -> bool:
    """Whether a power of a negative number is negative, or not a real number."""
    return isinstance(exponent, sympy.Rational) and not (exponent.q == 1 and exponent.p % 2 == 0)
