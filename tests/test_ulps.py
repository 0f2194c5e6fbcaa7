"""Values of elementary functions in units in the last place: compiled with gradc's library and without, and as text."""

from __future__ import annotations

import functools
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt
import pytest
from test_ops import EXACT

import gradc
from gradc.ops import OPS, Op

Floats = npt.NDArray[np.float64]
NO_VALUES = frozenset({"sign", "floor", "ceil", "round", "truncate", "step", "floordiv", "mod", "polygamma"})
ROWS = [op for op in OPS.values() if op.result != "bool" and op.name not in NO_VALUES]
LOOSER = dict.fromkeys(("tan", "erfc", "cbrt", "arccosh", "lgamma", "logaddexp", "log_cosh"), 4.0) | {"digamma": 16.0}
LIMITS = dict.fromkeys((op.name for op in ROWS), 2.0) | LOOSER
"""Units in the last place."""
FLOORS = {"digamma": 1.0, "logaddexp": 1.0}
"""Near their zeros, which are sums of larger numbers, the unit is that of this."""
WAYS: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "fast": ({}, FLOORS),
    "plain": ({"fast_math_library": False}, FLOORS),
    "python": ({"backend": "python"}, FLOORS | {"lgamma": 8.0}),
}
REACH = {"sin": 1e5, "cos": 1e5, "tan": 1e5}
PRECISION = 1300
"""Bits: as many as exp(-750) needs beside 1."""


def points(op: Op, count: int) -> Floats:
    """Arguments in the domain, a row each: near its ends and 0, near 1, of all sizes."""
    rng = np.random.default_rng(len(op.name))
    drawn = []
    for low, high in op.domain:
        reach = REACH.get(op.name, 750.0)
        sizes = 10.0 ** rng.uniform(-12, np.log10(reach), 3 * count) * rng.choice([-1, 1], 3 * count)
        near = 1 + rng.uniform(-1, 1, count) * 2.0 ** rng.uniform(-50, 0, count)
        ends = [end + np.abs(sizes[:count]) * way for end, way in ((low, 1), (high, -1)) if np.isfinite(end)]
        x = np.concatenate([sizes, near, rng.uniform(-3, 3, count), *ends])
        x = x[(x > low) & (x < high)]
        drawn.append(rng.permutation(x)[:count])
    return np.array(drawn)


def error(given: float, exact: Any, floor: float) -> float:
    """In units in the last place of the exact value; infinity is the power of two after the largest double."""
    top = mpmath.mpf(2) ** 1024
    near, wanted = (max(min(mpmath.mpf(v), top), -top) for v in (given, exact))
    exponent = min(int(mpmath.frexp(max(abs(wanted), floor))[1]), 1024)
    return float(abs(near - wanted) / mpmath.mpf(2) ** max(exponent - 53, -1074))


def text() -> str:
    """A program of all functions, each of a row of numbers of its own."""
    calls = []
    for k, op in enumerate(ROWS):
        names = [f"x[{k}, {p}]" for p in range(len(op.params))]
        sign = f" {op.infix} " if op.infix else ", "
        calls.append(f"-{names[0]}" if op.name == "neg" else f"{'' if op.infix else op.name}({sign.join(names)})")
    return f"x: data[{len(ROWS)}, 2, n]\nstack([{', '.join(calls)}])"


@functools.cache
def exact(count: int) -> tuple[Floats, list[list[Any]]]:
    """Arguments, and the value of each function at its own."""
    x = np.full((len(ROWS), 2, count), 0.5)
    values = []
    for k, op in enumerate(ROWS):
        own = points(op, count)
        x[k, : len(own), : own.shape[1]] = own
        with mpmath.workprec(PRECISION):
            values.append([EXACT[op.name](*map(mpmath.mpf, at)) for at in x[k, : len(own)].T.tolist()])
    return x, values


def beyond(count: int, way: str) -> list[str]:
    """The functions that are less exact than they should be, by how much, and where."""
    (options, floors), (x, values) = WAYS[way], exact(count)
    given = gradc.compile(text(), cache=False, **options)(x)
    found = []
    for k, op in enumerate(ROWS):
        with mpmath.workprec(PRECISION):
            pairs = zip(given[k].tolist(), values[k], strict=True)
            errors = [error(g, v, floors.get(op.name, 0.0)) for g, v in pairs]
        at = int(np.argmax(errors))
        if not errors[at] <= LIMITS[op.name]:
            found.append(f"{op.name}: {errors[at]:.3g} at {x[k, : len(op.params), at].tolist()}")
    return found


@pytest.mark.parametrize("way", WAYS)
def test_values(way: str) -> None:
    assert not beyond(400, way)


@pytest.mark.nightly
@pytest.mark.parametrize("way", WAYS)
def test_values_nightly(way: str) -> None:
    assert not beyond(10_000, way)


def test_an_error_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert error(np.nextafter(1.0, 2.0), mpmath.mpf(1), 0.0) == 1
    monkeypatch.setitem(LIMITS, "exp", 0.3)
    assert [line.partition(":")[0] for line in beyond(50, "python")] == ["exp"]
