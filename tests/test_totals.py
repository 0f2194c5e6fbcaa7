"""Logarithms of sums of exponentials over rows: one sum where that has all digits, two more where it has not."""

from __future__ import annotations

import re
from typing import Any

import mpmath
import numpy as np
import pytest

import gradc

TEXT = "x: param[n]\nlogsumexp(x)"
MATRIX = "x: param[n, m]\nlogsumexp(x)"
ROWS = {
    "many": np.random.default_rng(0).normal(size=1000),
    "one and a bit": np.array([0.0, -50.0]),
    "one and next to nothing": np.array([-800.0, 0.0, -745.0, -700.0]),
    "one and a half": np.log(np.array([1.0, 0.5])),
    "one and nearly one": np.array([0.0, -1e-14]),
    "just two": np.zeros(2),
    "ties": np.array([3.0, -9.0, 3.0, 3.0]),
    "alone": np.array([7.5]),
    "large": np.array([1e300, 1e300, -1e300]),
    "far apart": np.array([1e6, 0.0, -1e6]),
    "nothing": np.array([-np.inf, -np.inf]),
    "all": np.array([np.inf, 1.0]),
    "unknown": np.array([np.nan, 1.0]),
    "none": np.array([]),
}


def exact(x: Any) -> tuple[float, list[float]]:
    """logsumexp and softmax, by mpmath."""
    with mpmath.workprec(2500):
        top = mpmath.mpf(float(max(x)))
        terms = [mpmath.exp(mpmath.mpf(float(v)) - top) for v in x]
        return float(top + mpmath.log(mpmath.fsum(terms))), [float(t / mpmath.fsum(terms)) for t in terms]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("backend", ["numba", "python"])
@pytest.mark.parametrize("name", ROWS)
def test_values_and_gradients(name: str, backend: str, dtype: str) -> None:
    with np.errstate(over="ignore"):
        x = ROWS[name].astype(dtype)
    function = gradc.compile(TEXT, backend=backend, dtype=dtype)
    value, (gradient,) = function.value_and_grad(x)
    if not len(x) or not np.isfinite(x).all():
        with np.errstate(all="ignore"):
            expected = np.max(x, initial=-np.inf)
        np.testing.assert_equal(value, expected)
        return
    expected, shares = exact(x)
    rtol, tiny = 4e-16 if dtype == "float64" else 3e-7, np.finfo(dtype).tiny
    np.testing.assert_allclose([value, function(x)], expected, rtol=rtol, atol=tiny)
    np.testing.assert_allclose(gradient, shares, rtol=4 * rtol, atol=tiny)


@pytest.mark.parametrize("text", [TEXT, MATRIX])
@pytest.mark.parametrize("entry", ["value", "value_and_grad"])
def test_more_is_summed_only_near_one(entry: str, text: str) -> None:
    source = gradc.compile(text, cache=False).source
    run: list[str] = []
    module: dict[str, Any] = {}
    exec(source[: source.index("\n\ntry:")], module)

    def in_chunks(kernel: Any, rows: int, chunks: int, reach: int, args: Any) -> None:
        run.append(re.sub(r"\D*", "", kernel.__name__))
        kernel(0, 0, rows, *args)

    module["in_chunks"] = in_chunks
    scaled = ["4"] if entry == "value_and_grad" else []
    for low, kernels in ((-0.1, ["", "2"]), (-40.0, ["", "2", "3"])):
        run.clear()
        x = np.array([0.0, low, low])
        module[entry](x if text == TEXT else x[:, None])
        assert run == kernels + scaled


def test_the_sum_compares_nothing() -> None:
    source = gradc.compile(TEXT, cache=False).source
    kernels = re.findall(r"def (\w+_rows\w*)\((?:.*\n)((?:    .*\n|\n)*)", source)
    assert [name for name, body in kernels if "==" in body] == ["value_rows_3", "value_and_grad_rows_3"]


@pytest.mark.parametrize(
    "text",
    [
        "w: param[d]\nx: data[n, d]\nlog(mean(exp(x @ w)))",
        "x: data[n, m]\nmean(logsumexp(x, axis=1))",
        "x: data[n, m]\nmean(logsumexp(x, axis=0))",
        "a: param[k]\nx: data[n]\nsum(x)*logsumexp(a)",
        "x: param[3]\nlogsumexp(x)",
    ],
)
def test_elsewhere_there_is_one_way(text: str) -> None:
    assert " >= 2.0" not in gradc.compile(text, cache=False).source


@pytest.mark.parametrize("w", [np.nan, np.inf])
@pytest.mark.parametrize("c", ["w", "(w if x > 1 else 0.0)", "(1.0 if x > 1 else w)"])
def test_what_is_taken_away_and_added_counts(c: str, w: float) -> None:
    """Of a one for the largest nothing is left, of other summands there may be."""
    text = f"w: data[n]\nx: param[n]\nm: data\n1 + (sum(exp(x - m) - {c}) + (sum({c}) - 1)) + log1p(m)"
    assert np.isnan(gradc.compile(text)([w, w], [1.0, 2.0], 1.0))


def test_the_source_says_when_the_other_sums_are_taken() -> None:
    for text in (gradc.compile(TEXT).source, gradc.compile(MATRIX).source):
        assert "log(1 + x) computed as log1p(x) where x is small" in text
