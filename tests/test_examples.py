"""Every example: value and gradient from the compiled code, against oracles that share nothing with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from cases import CASES, EXAMPLES, MODEL_SIZES, Case
from models import MODELS

import gradc
from gradc.api import parse
from gradc.count import operations_at
from gradc.evaluate import evaluate_value

Array = npt.NDArray[np.complex128]


@cache
def compiled(name: str) -> gradc.Function:
    return gradc.compile(CASES[name].path)


def test_every_example_is_tested() -> None:
    assert {p.stem for p in EXAMPLES.glob("*.gradc")} == set(CASES)


def test_lecture_examples() -> None:
    value, gradient = compiled("elementary").value_and_grad(2, 5)
    assert value == pytest.approx(11.652071455223084, rel=1e-15)
    assert gradient == pytest.approx((5.5, 1.7163378145367738), rel=1e-15)
    assert compiled("product").value_and_grad(-1, 2, -3) == (-3.0, (-3.0, -3.0, 1.0))
    value, gradient = compiled("neuron").value_and_grad(2, -3, -3, -1, -2)
    assert value == pytest.approx(0.7310585786300049, rel=1e-15)
    assert [round(g, 3) for g in gradient] == [-0.197, -0.393, 0.197, 0.393, -0.590]


@pytest.mark.parametrize("name", CASES)
def test_gradient_check(name: str) -> None:
    report = compiled(name).check(**CASES[name].inputs)
    assert report.ok, str(report)
    assert report.worst.error < 1e-6


@pytest.mark.parametrize("name", CASES)
def test_reference_evaluator_agrees(name: str) -> None:
    """The graph as it was parsed gives the value, the adjoint graph as it was derived the gradient."""
    case, function = CASES[name], compiled(name)
    dims = {dim: np.shape(case.inputs[i])[axis] for dim, i, axis in function.program.dims()}
    program = parse(case.path.read_text(), str(case.path))
    value, gradient = function.value_and_grad(**case.inputs)
    expected = evaluate_value(program.result.node, program.result.axes, case.inputs, dims)
    assert abs(value - expected) <= 1e-12 * abs(expected)
    adjoint = function._derived.gradient
    assert adjoint is not None
    for field, bar in adjoint.items():
        reference = evaluate_value(bar.node, bar.axes, case.inputs, dims)
        given = getattr(gradient, field)
        assert np.linalg.norm(np.ravel(given - reference)) <= 1e-12 * np.linalg.norm(np.ravel(reference)), field


def complex_logsumexp(z: Array) -> Array:
    top = z.real.max(axis=-1, keepdims=True)
    return np.log(np.exp(z - top).sum(axis=-1)) + top[..., 0]


def complex_cross_entropy(z: Array, t: npt.NDArray[np.int64]) -> Array:
    return complex_logsumexp(z) - z[np.arange(len(t)), t]


def mixture(alpha: Array, mu: Array, q: Array, L: Array, x: Array) -> Array:
    Q = np.tril(L, -1) + np.exp(q)[:, :, None] * np.eye(q.shape[1])
    y = np.einsum("kij,nkj->nki", Q, x[:, None] - mu[None])
    r = alpha + q.sum(axis=1) - 0.5 * (y * y).sum(axis=-1)
    return len(x) * complex_logsumexp(alpha) - complex_logsumexp(r).sum()


def logistic(w: Array, b: Array, x: Array, t: Array, lam: float) -> Array:
    z = x @ w + b
    return -np.mean(t * np.log(1 / (1 + np.exp(-z))) + (1 - t) * np.log(1 / (1 + np.exp(z)))) + lam / 2 * (w * w).sum()


HOLOMORPHIC: dict[str, Callable[..., Any]] = {
    "elementary": lambda x1, x2: np.log(x1) + x1 * x2 - np.sin(x2),
    "product": lambda x, y, z: (x + y) * z,
    "neuron": lambda w0, w1, w2, x0, x1: 1 / (1 + np.exp(-(w0 * x0 + w1 * x1 + w2))),
    "linear": lambda w, b, x, t: np.mean((x @ w + b - t) ** 2) / 2,
    "logistic": logistic,
    "softmax": lambda W, b, x, t, lam: np.mean(complex_cross_entropy(x @ W.T + b, t)) + lam / 2 * (W * W).sum(),
    "mlp": lambda W1, b1, W2, b2, x, t: np.mean(complex_cross_entropy(np.tanh(x @ W1.T + b1) @ W2.T + b2, t)),
    "gmm": mixture,
    **{name: MODELS[name].formula for name in MODEL_SIZES},
}


def complex_step(case: Case, field: str) -> npt.NDArray[np.float64]:
    """Im f(x + ih)/h, entry by entry: no subtraction, so exact to rounding (Squire and Trapp 1998)."""
    value = np.asarray(case.inputs[field], dtype=complex)
    gradient = np.empty(value.shape)
    for at in np.ndindex(value.shape):
        moved = value.copy()
        moved[at] += 1e-30j
        gradient[at] = HOLOMORPHIC[case.name](**{**case.inputs, field: moved}).imag / 1e-30
    return gradient


@pytest.mark.parametrize("name", CASES)
def test_complex_step_agrees(name: str) -> None:
    case = CASES[name]
    value, gradient = compiled(name).value_and_grad(**case.inputs)
    assert value == pytest.approx(float(np.real(HOLOMORPHIC[name](**case.inputs))), rel=1e-12)
    for field, given in gradient._asdict().items():
        expected = complex_step(case, field)
        assert np.linalg.norm(np.ravel(given - expected)) <= 1e-12 * np.linalg.norm(np.ravel(expected)), field


@pytest.mark.parametrize("name", CASES)
def test_gradient_costs_at_most_four_values(name: str) -> None:
    derived = compiled(name)._derived
    value = operations_at(derived.routine("value", False), CASES[name].sizes)
    both = operations_at(derived.routine("value_and_grad", True), CASES[name].sizes)
    assert 0 < value <= both <= 4 * value


@pytest.mark.parametrize("name", CASES)
def test_plain_python_gives_the_same(name: str) -> None:
    case = CASES[name]
    plain = gradc.compile(case.path, backend="python")
    value, gradient = compiled(name).value_and_grad(**case.inputs)
    plain_value, plain_gradient = plain.value_and_grad(**case.inputs)
    assert plain_value == pytest.approx(value, rel=1e-13)
    for given, expected in zip(plain_gradient, gradient, strict=True):
        np.testing.assert_allclose(given, expected, rtol=1e-11, atol=1e-13)
