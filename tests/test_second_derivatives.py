"""Every elementwise function and cost: value, first and second derivatives against mpmath.

The second derivatives are gradc's own adjoint graphs, differentiated once more: `grad(grad(f))`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from test_ops import EXACT, doubles

import gradc
from gradc.ops import ALIASES, CALLABLE, COMPOSITES, OPS

REAL, UNIT = (-3.0, 3.0), (0.05, 0.95)
FORMULAS: dict[str, tuple[tuple[tuple[float, float], ...], Callable[..., Any]]] = {
    "square": ((REAL,), lambda x: x * x),
    "reciprocal": (((0.1, 3.0),), lambda x: 1 / x),
    "clip": ((REAL, (-2.0, -1.0), (0.5, 2.0)), lambda x, lo, hi: min(max(x, lo), hi)),
    "gelu": ((REAL,), lambda x: x / 2 * mpmath.erfc(-x / mpmath.sqrt(2))),
    "silu": ((REAL,), lambda x: x / (1 + mpmath.exp(-x))),
    "squared_error": ((REAL, REAL), lambda y, t: (y - t) ** 2),
    "bce": ((UNIT, UNIT), lambda y, t: -(t * mpmath.log(y) + (1 - t) * mpmath.log(1 - y))),
    "bce_with_logits": ((REAL, UNIT), lambda z, t: mpmath.log1p(mpmath.exp(z)) - t * z),
    "hinge": ((REAL, REAL), lambda y, t: max(mpmath.mpf(0), 1 - t * y)),
    "zero_one": ((REAL, REAL), lambda y, t: mpmath.mpf(y * t <= 0)),
    "huber": ((REAL, UNIT), lambda r, d: r * r / 2 if abs(r) <= d else d * (abs(r) - d / 2)),
}
"""Functions that are formulas: where to try them, and what they are."""
PARAMS = {c.partition("(")[0]: c.partition("(")[2].rstrip(")") for c in COMPOSITES}
NAMES = sorted({*CALLABLE, *FORMULAS} - {"polygamma"})
FLAT = 1e-13
"""A second derivative is exact to this share of the function's own size, where it is nothing but what is left over."""


def test_every_function_is_here() -> None:
    assert FORMULAS.keys() >= {c.partition("(")[0] for c in COMPOSITES}
    assert set(NAMES) | {"polygamma"} >= CALLABLE | FORMULAS.keys()


def points(name: str) -> list[tuple[float, ...]]:
    if name in OPS and name not in FORMULAS:
        return [p for p in doubles(OPS[name], 60) if all(1e-3 < abs(v) < 30 for v in p)][:12]
    rng = random.Random(name)
    return [tuple(rng.uniform(*d) for d in FORMULAS[name][0]) for _ in range(12)]


def program(name: str, count: int) -> str:
    """All first and second derivatives as one array."""
    params = ", ".join("abc"[:count])
    first = [f"grad(f, k={i})({params})" for i in range(count)]
    second = [f"grad(grad(f, k={i}), k={j})({params})" for i in range(count) for j in range(count)]
    head = "".join(f"{p}: param\n" for p in "abc"[:count])
    return f"{head}def f({params}):\n    return 1.0*{name}({params})\n[f({params}), {', '.join(first + second)}]"


def derivatives(name: str, at: tuple[float, ...]) -> list[Any]:
    exact = FORMULAS[name][1] if name in FORMULAS else EXACT[name]
    count = len(at)
    orders = [tuple(int(k in (i,)) for k in range(count)) for i in range(count)]
    orders += [tuple((k == i) + (k == j) for k in range(count)) for i in range(count) for j in range(count)]
    with mpmath.workdps(60):
        point = tuple(map(mpmath.mpf, at))
        if name in ("round", "floor", "ceil", "sign", "step", "zero_one"):
            return [exact(*point)] + [mpmath.mpf(0)] * len(orders)
        slopes = [mpmath.diff(exact, point if count > 1 else point[0], n if count > 1 else n[0]) for n in orders]
        return [exact(*point), *slopes]


@pytest.mark.parametrize("name", NAMES)
def test_first_and_second_derivatives(name: str) -> None:
    tried = points(name)
    assert len(tried) >= 8
    function = gradc.compile(program(name, len(tried[0])), backend="python")
    for at in tried:
        given, wanted = function(*at), derivatives(name, at)
        size = max(abs(float(w)) for w in wanted)
        for g, w in zip(given, wanted, strict=True):
            assert g == pytest.approx(float(w), rel=1e-11, abs=FLAT * size), f"{name}{at}: {given}"


SPECIAL = (0.0, -0.0, math.inf, -math.inf, math.nan, 1.0, -1.0, 1e-300, 1e300, -1e300)


@pytest.mark.parametrize("name", [n for n in NAMES if n in OPS and len(OPS[n].params) == 1])
def test_special_values(name: str) -> None:
    """Compiled and plain, values and slopes agree everywhere, and a NaN comes out as one."""
    values, slopes = {}, {}
    for backend in ("python", "numba"):
        text = f"x: param\n1.0*{name}(x)"
        function = gradc.compile(text, backend=backend)
        found = [function.value_and_grad(x) for x in SPECIAL]
        values[backend] = [float(v) for v, _ in found]
        slopes[backend] = [float(g.x) for _, g in found]
    np.testing.assert_allclose(values["numba"], values["python"], rtol=1e-14)
    np.testing.assert_allclose(slopes["numba"], slopes["python"], rtol=1e-13, atol=1e-300)
    assert math.isnan(values["python"][SPECIAL.index(math.nan)])


def test_polygamma() -> None:
    text = "m: index\nx: param\ndef f(x):\n    return polygamma(m, x)\n[f(x), grad(f)(x), grad(grad(f))(x)]"
    function = gradc.compile(text, backend="python")
    for m in (0, 1, 2, 3, 12, 40, 150):
        for x in (0.3, 1.7, 9.0, 33.3, 300.0) if m < 100 else (9.0, 300.0):
            wanted = [float(mpmath.polygamma(m + k, x)) for k in range(3)]
            np.testing.assert_allclose(function(m, x), wanted, rtol=1e-12)
    assert np.isnan(function(-1, 1.7)).any()
    assert np.isnan(function(10**15, 1.7)).all()


@pytest.mark.parametrize("alias", sorted(ALIASES))
def test_aliases(alias: str) -> None:
    count = len(OPS[ALIASES[alias]].params)
    given = [gradc.compile(program(n, count), backend="python")(*(0.4, 0.7)[:count]) for n in (alias, ALIASES[alias])]
    np.testing.assert_array_equal(*given)
