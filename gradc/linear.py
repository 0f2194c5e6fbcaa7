"""Linear algebra: what each function of a `linear` node returns, in NumPy, and how much work it is.

`lu` is A as the product of two triangular matrices, made once for all that is done with it; its last row says which
rows of A were exchanged. What it holds otherwise is up to whoever factors: only the other functions look at it, so that
here, where nobody is in a hurry, it is A itself. Where there is no result, as with a singular matrix, it is not finite.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def _lu(a: Array) -> Array:
    return np.vstack([a, np.zeros(len(a))])


def _solved(a: Array, b: Array) -> Array:
    try:
        solution: Array = np.linalg.solve(a, b)
    except np.linalg.LinAlgError:
        return np.full(b.shape, np.nan)
    return solution


def _logdet(a: Array) -> Array:
    sign, magnitude = np.linalg.slogdet(a)
    return np.where(sign < 0, np.nan, magnitude)


def _cofactors(a: Array) -> Array:
    """By the determinants of what is left without a row and a column."""
    made = np.empty(a.shape)
    for i, j in np.ndindex(a.shape):
        made[i, j] = (-1) ** (i + j) * np.linalg.det(np.delete(np.delete(a, i, 0), j, 1))
    return made


def _cholesky(a: Array) -> Array:
    try:
        factor: Array = np.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        return np.full(a.shape, np.nan)
    return factor


REFERENCE: dict[str, Callable[..., Array]] = {
    "lu": _lu,
    "lu_solve": lambda f, b: _solved(f[:-1], b),
    "lu_solve_transposed": lambda f, b: _solved(f[:-1].T, b),
    "lu_det": lambda f: np.asarray(np.linalg.det(f[:-1])),
    "lu_logdet": lambda f: _logdet(f[:-1]),
    "cofactors": _cofactors,
    "cholesky": _cholesky,
    "solve_lower": lambda a, b: _solved(np.tril(a), b),
    "solve_upper": lambda a, b: _solved(np.triu(a), b),
}

WORK: dict[str, tuple[Fraction, int]] = {
    "lu": (Fraction(2, 3), 3),
    "lu_solve": (Fraction(2), 2),
    "lu_solve_transposed": (Fraction(2), 2),
    "lu_det": (Fraction(1), 1),
    "lu_logdet": (Fraction(8), 1),
    "cofactors": (Fraction(8, 3), 3),
    "cholesky": (Fraction(1, 3), 3),
    "solve_lower": (Fraction(1), 2),
    "solve_upper": (Fraction(1), 2),
}
"""Operations, to leading order: so many times a power of the matrix's length, for each column of a right-hand side."""
