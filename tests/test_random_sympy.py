"""Random SymPy expressions: value and gradient against what they mean by definition, with 40 digits."""

from __future__ import annotations

import time
from typing import Any

import mpmath
import numpy as np
import pytest
from random_sympy import DIGITS, SIZES, UndecidedError, grown, meaning

import gradc

LARGEST = 1e12
UNLUCKY = (
    "nothing tells what",  # a length that no array has
    "stands outside of the sum or matrix",  # SymPy has taken a choice out of an inner sum
    "RisingFactorial is not supported",  # SymPy has worked out a product
    "have to be stored for each turn",  # linear algebra in loops whose ranges are data
)


def exact(value: Any) -> Any:
    """The same numbers, as mpmath's."""
    array = np.asarray(value)
    if array.dtype.kind != "f":
        return array if array.ndim else value
    numbers = [mpmath.mpf(float(v)) for v in array.ravel()]
    return np.array(numbers, dtype=object).reshape(array.shape) if array.ndim else numbers[0]


def checked(seed: int, size: int) -> bool:
    """Whether there was something to check."""
    made = grown(seed, size)
    if made is None:
        return False
    expression, values = made
    values = {**values, **SIZES}
    try:
        function = gradc.compile(expression, backend="python", cache=False)
        if any(i.name not in values for i in function.signature):
            return False  # the same, and SymPy has dropped the sum
        given = {i.name: values[i.name] for i in function.signature}
        value, gradient = function.value_and_grad(**given) if function.wrt else (function(**given), ())
    except gradc.GradcError as error:
        if any(reason in error.message for reason in UNLUCKY):
            return False
        raise
    with mpmath.workdps(DIGITS):
        point = {name: exact(v) for name, v in values.items()}
        try:
            wanted = meaning(expression, point, {})
        except UndecidedError:
            return False
        if isinstance(wanted, mpmath.mpc) or not mpmath.isfinite(wanted) or abs(wanted) > LARGEST:
            return False
        scale = max(1, abs(wanted))
        assert abs(value - wanted) <= 1e-9 * scale, expression
        for name, slopes in zip(function.wrt, gradient, strict=True):
            for at in np.ndindex(np.shape(slopes)):
                slope = difference(expression, point, name, at)
                assert abs(np.asarray(slopes)[at] - slope) <= 1e-7 * max(scale, abs(slope)), (name, at, expression)
    return True


def difference(expression: Any, point: dict[str, Any], name: str, at: tuple[int, ...]) -> Any:
    """The derivative by an entry of an input, from a step so small that only rounding at 40 digits is seen."""
    step = mpmath.mpf(10) ** -15

    def moved(by: Any) -> Any:
        value = point[name]
        if at:
            value = value.copy()
            value[at] += by
        return meaning(expression, {**point, name: value if at else value + by}, {})

    return (moved(step) - moved(-step)) / (2 * step)


def campaign(first: int, most: int, seconds: float) -> int:
    end, done = time.monotonic() + seconds, 0
    for seed in range(first, first + most):
        if time.monotonic() > end:
            break
        done += checked(seed, 3 + seed % 9)
    return done


def test_random_expressions() -> None:
    assert campaign(0, 100, 120) >= 20


@pytest.mark.nightly
def test_many_random_expressions() -> None:
    assert campaign(int(time.time()) * 10_000, 10**9, 300)
