"""The largest element is found again: what is compared with an extreme, or counted, has the same bits each time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradc

FLAT = "x: param[n]\nt: index[n]\nz: data\na: param\ny = x*x[t]/z\n"
ROWS = "x: param[n, d]\na: data[n, d]\nb: data[d]\ny: data[n]\n"
RAGGED = "A: data[m, d]\nb: data[m]\nx: param[d]\nc: param\ny: data[n]\nstart: index[n + 1]\n"
TURNS = "for p in range(start[i], start[i + 1])) for i in range(n)]"
PROGRAMS = {
    "min": f"{FLAT}min((y*a)[1:] - (y*a)[:-1])",
    "max": f"{FLAT}max(softplus((y*a)[1:] - (y*a)[:-1]))",
    "argmax": f"{FLAT}w = (y*a)[1:] - (y*a)[:-1]\nx[argmax(w)]*a",
    "user": f"{FLAT}w = (y*a)[1:] - (y*a)[:-1]\nm = max(w)\nsum([v*a if v >= m else 0 for v in w])",
    "prod": f"{FLAT}prod((y*a)[1:] - (y*a)[:-1])",
    "rows": f"{ROWS}sum(y*max(tanh(x*b - a*b), axis=1))",
    "ragged": f"{RAGGED}sum([y[i]*max(sum(A[p]*x)*c - b[p]*x[0] {TURNS})",
}


def inputs(function: gradc.Function, seed: int) -> dict[str, Any]:
    random, sizes = np.random.default_rng(seed), {"n": 20, "d": 30, "m": 400}
    made: dict[str, Any] = {}
    for i in function.signature:
        shape = tuple(eval(str(length), {}, dict(sizes)) for length in i.shape)
        made[i.name] = random.normal(size=shape) if shape else float(random.normal())
        if i.kind == "index":
            made[i.name] = np.arange(0, 401, 20) if i.name == "start" else random.integers(0, 20, shape)
    return made


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_extreme_is_found_again(name: str) -> None:
    compiled = gradc.compile(PROGRAMS[name], cache=False)
    plain = gradc.compile(PROGRAMS[name], cache=False, backend="python")
    for seed in range(20):
        given = inputs(plain, seed)
        value, gradient = compiled.value_and_grad(**given)
        expected, slopes = plain.value_and_grad(**given)
        assert np.isclose(value, expected, rtol=1e-9)
        for slope, wanted in zip(gradient, slopes, strict=True):
            np.testing.assert_allclose(slope, wanted, rtol=1e-6, atol=1e-12, err_msg=f"seed {seed}")


def times(text: str, part: str) -> int:
    """How often a part is in the code of the gradient."""
    source = gradc.compile(text, cache=False).source
    return source[source.index("def value_and_grad") :].count(part)


def test_what_is_compared_is_computed_once() -> None:
    assert times("x: param[n]\na: data[n]\nb: data[n]\nc: param\nmax(a*x - b*c)", "b[i]*c") == 1
    assert times("x: param[n]\na: data[n]\nb: data[n]\nc: param\nvar(a*x - b*c)", "b[i]*c") > 1


def test_a_function_is_computed_once() -> None:
    assert times("x: param[n]\nmax(tanh(x))", "= tanh(") == 1


def test_one_operation_is_computed_again() -> None:
    source = gradc.compile("w: param[d]\ny: data[d]\nmax(abs(w - y))", cache=False).source
    assert source.count("empty(") == 1, "only the gradient is an array"


def test_what_cannot_be_stored_is_exact() -> None:
    assert "fastmath" not in gradc.compile(PROGRAMS["ragged"], cache=False).source
    assert "fastmath" in gradc.compile(PROGRAMS["max"], cache=False).source
