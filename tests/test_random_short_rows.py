"""Random losses over short rows against CPython over NumPy, their gradients against a complex step along each input."""

from __future__ import annotations

import numpy as np
import numpy_shim as shim
import pytest
from random_short_rows import generate
from test_random_programs import fields, same, same_slope

import gradc

TOLERANCE = 1e-9
SMALLEST = {
    "a row's own sum before": "x: param[n, d]\nw: param[n]\n"
    "sum(w[i] for i in range(n) for j in range(d)) + sum(tanh(x))",
    "a place inside a place": "A: param[K, d]\nc: index[n]\n"
    "sum(tanh((c[i] % 2)*A[c[i], j]) for i in range(n) for j in range(d))",
    "the same array elsewhere": "x: param[n, d]\nt: index[n]\n"
    "sum(tanh(x)) + sum(x[t[i], 0]**2 for i in range(n))",
    "a column's first": "b: param[d]\nx: param[n, d]\nsum(tanh(x[i, j]*b[j])*b[0] for i in range(n) for j in range(d))",
}  # fmt: skip


def check(seed: int, backend: str) -> bool:
    """Whether the rows of the program were put together; fails if they give a wrong result."""
    program = generate(seed)
    function = gradc.compile(program.text, backend=backend, cache=False)
    value, gradient = function.value_and_grad(**program.inputs)
    expected = shim.run(program.text, program.inputs, program.dims)
    same(program, "value", value, expected, TOLERANCE)
    same(program, "value alone", function(**program.inputs), expected, TOLERANCE)
    random = np.random.default_rng(0)
    for name, bar in fields(gradient).items():
        same_slope(program, name, bar, random.normal(size=np.shape(bar)), TOLERANCE)
    return "short rows" in function.source


@pytest.mark.parametrize("part", range(4))
def test_random_short_rows(part: int) -> None:
    assert sum(check(seed, "python") for seed in range(part, 160, 4)) > 3


def test_random_short_rows_compiled() -> None:
    assert sum(check(seed, "numba") for seed in range(400, 410)) > 0


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(10))
def test_random_short_rows_nightly(part: int) -> None:
    for seed in range(1000 + part, 11000, 10):
        check(seed, "numba" if seed % 20 == 0 else "python")


@pytest.mark.parametrize("text", SMALLEST.values(), ids=SMALLEST)
@pytest.mark.parametrize("backend", ["python", "numba"])
def test_smallest(text: str, backend: str) -> None:
    random = np.random.default_rng(0)
    given = {
        "x": random.normal(size=(5, 3)), "w": random.normal(size=5), "b": random.normal(size=3),
        "A": random.normal(size=(4, 3)), "c": np.array([1, 3, 0, 1, 2]), "t": np.array([4, 0, 2, 2, 1]),
    }  # fmt: skip
    function = gradc.compile(text, backend=backend, cache=False)
    inputs = {i.name: given[i.name] for i in function.signature}
    assert function(**inputs) == pytest.approx(shim.run(text, inputs, {"n": 5, "d": 3, "K": 4}), rel=1e-12)
    assert function.check(**inputs).ok
