"""The NumPy shim itself, against values and derivatives known otherwise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy_shim as shim
import pytest
from random_programs import SAFE

X = np.array([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]])
DIMS = {"n": 2, "d": 3}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x if x > 0 else -x", np.abs(X)),
        ("(log(x) if x > 0 else 0)[0, 1]", 0.0),
        ("0 < x < 1", ((X > 0) & (X < 1)).astype(int)),
        ("x > 0 and not x > 2", ((X > 0) & (X <= 2)).astype(int)),
        ("(x > 0) + (x > 2)", (X > 0).astype(int) + (X > 2).astype(int)),
        ("sum(x[i, i] for i in range(n))", 4.0),
        ("sum(1 for i in range(d) for j in range(i))", 3),
        ("[sum(e) for e in x]", X.sum(1)),
        ("[[i*10 + j for j in range(d)] for i in range(n)]", [[0, 1, 2], [10, 11, 12]]),
        ("max(x, 0)", np.maximum(X, 0)),
        ("max(x)", 3.0),
        ("max(x, axis=0, keepdims=True)", X.max(0, keepdims=True)),
        ("argmax(x)", 4),
        ("mean(x[i, 0] for i in range(n) if i > 0)", 0.25),
        ("logsumexp(x[i, 0]*1000 for i in range(n))", 1000.0),
        ("sum(sum(r*w for r, w in zip(row, x[0])) for row in x)", float((X @ X[0]).sum())),
        ("norm(x - x)", 0.0),
        ("2**-1 + 7 // 2 + -7 % 3", 5.5),
        ("x[:, 1:].T @ x[:, None, 0]", X[:, 1:].T @ X[:, :1]),
        ("cross_entropy(softmax(x), at)", -np.log(np.exp(X[[0, 1], [2, 0]]) / np.exp(X).sum(1))),
        ("x[at[0]] if n > 5 else x[1]", X[1]),
    ],
)
def test_values(text: str, expected: Any) -> None:
    result = shim.run(f"x: param[n, d]\n{text}", {"x": X, "at": np.array([2, 0])}, DIMS)
    np.testing.assert_allclose(result, expected, rtol=1e-14, atol=0)


def test_statements() -> None:
    assert shim.run("a: param\nb = a*2\nb = b + 1\nb*b", {"a": 1.5}, {}) == 16.0
    assert shim.run("a: param\nreturn_ = a\nreturn_", {"a": 1.5}, {}) == 1.5


@pytest.mark.parametrize("name", SAFE)
@pytest.mark.parametrize("at", [0.3, -0.8])
def test_derivatives_of_functions(name: str, at: float) -> None:
    text = f"x: param\n{SAFE[name].format('x')}"
    slope = shim.directional(text, {"x": at}, {}, {"x": 1.0})
    h = 1e-5
    above, below = (float(shim.run(text, {"x": at + s}, {})) for s in (h, -h))
    assert slope == pytest.approx((above - below) / (2 * h), abs=1e-8)


@pytest.mark.parametrize(
    ("text", "slope"),
    [
        ("abs(x)", 0.0), ("relu(x)", 0.0), ("leaky_relu(x)", 1.0), ("elu(x)", 1.0), ("maximum(x, 0)", 0.5),
        ("minimum(x, 0)", 0.5), ("step(x)", 0.0), ("norm(x*u)", 0.0), ("max(x*u)", 1.0), ("x**0", 0.0), ("x**2", 0.0),
        ("max(x*u + u[::-1] - 1)", 1.0), ("prod(x + u - 1)", 0.0), ("log(x) if x > 0 else 3*x", 3.0),
        ("exp(stop_gradient(x))*x", 1.0), ("x % 2", 1.0), ("(x + 1) // 2", 0.0),
    ],
)  # fmt: skip
def test_derivatives_at_kinks(text: str, slope: float) -> None:
    inputs = {"x": 0.0, "u": np.array([1.0, 1.0])}
    assert shim.directional(f"x: param\n{text}", inputs, {}, {"x": 1.0}) == slope


def test_stop_gradient_keeps_its_value() -> None:
    text = "x: param\nstop_gradient(x*x)*x + sum(stop_gradient(x)*k for k in range(3))"
    assert shim.directional(text, {"x": 3.0}, {}, {"x": 1.0}) == 9.0
    assert shim.run(text, {"x": 3.0}, {}) == 36.0


def test_comparisons_are_those_of_real_numbers() -> None:
    """A third of three times a number is that number or not, as division of real or complex numbers rounds it."""
    x = -1.2654214710460525
    assert not (x + x + x) / 3 > x
    assert ((x + 1e-30j) * 3 / np.complex128(3)).real > x
    text = "x: param\nx*x if (x + x + x)/3 > x else 2*x"
    assert shim.directional(text, {"x": x}, {}, {"x": 1.0}) == 2.0


def test_comparisons_under_a_derivative_are_its_own() -> None:
    """The second derivative takes more of them than the first."""
    text = "x: param\ndef f(t):\n    return t**3 if t > 1 else t\ngrad(f)(x) + (5*x if x < 3 else 0)"
    assert shim.directional(text, {"x": 2.0}, {}, {"x": 1.0}) == pytest.approx(6 * 2.0 + 5, rel=1e-8)


def test_inputs_are_left_alone() -> None:
    x = X.copy()
    shim.run("x: param[n, d]\nx = x*2\nsum(x)", {"x": x}, DIMS)
    assert np.array_equal(x, X)


def test_comparisons_that_are_decided_by_rounding() -> None:
    at = {"x": np.array([0.1, 0.7, 0.2])}
    for text, close in (("1 if sum(softmax(x)) < 1 else 2", True), ("1 if sum(softmax(x)) < 0.9 else 2", False)):
        assert shim.is_close_call(text, at, {"n": 3}) is close


def test_shapes_that_cannot_be_known() -> None:
    with pytest.raises(shim.UnknowableError):
        shim.run("[1 for i in range(0)]", {}, {})
    assert math.isnan(shim.run("x: param[n]\nmean(x)", {"x": np.zeros(0)}, {"n": 0}))
