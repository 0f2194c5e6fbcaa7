"""Minimisation: every method against solutions known in closed form, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from gradc.errors import InputError, UnsupportedError
from gradc.fit import EPOCHS, Fit, Step, fit, start
from gradc.frontends.text import program
from gradc.program import Program
from gradc.scipy_bridge import Problem

LEAST_SQUARES = program("w: param[d]\nb: param\nx: data[n, d]\nt: data[n]\nmean((x @ w + b - t)**2)")
NUMBERS = program("a: param = -1.2\nb: param = 1.0\na*b")
RANDOM = np.random.default_rng(0)
N, D = 200, 3
X = RANDOM.normal(size=(N, D))
T = X @ [1.0, -2.0, 0.5] + 0.3 + 0.1 * RANDOM.normal(size=N)
SOLUTION = np.linalg.lstsq(np.column_stack([X, np.ones(N)]), T)[0]


class Loss:
    """A loss with a gradient written by hand, in place of a compiled one."""

    def __init__(self, of: Program, value_and_grad: Callable[..., tuple[float, dict[str, Any]]]) -> None:
        self.program, self.wrt, self.calls = of, of.params, 0
        self.value_and_grad = value_and_grad

    def scipy(self, **fixed: Any) -> Problem:
        def call(**inputs: Any) -> tuple[float, Any]:
            self.calls += 1
            value, gradient = self.value_and_grad(**inputs)
            return value, SimpleNamespace(_asdict=lambda: gradient)

        return Problem(call, self.program, self.wrt, fixed)


def squares(w: Any, b: Any, x: Any, t: Any) -> tuple[float, dict[str, Any]]:
    r = x @ w + b - t
    return float(np.mean(r**2)), {"w": 2 * r @ x / len(r), "b": 2 * r.mean()}


def numbers(f: Callable[[float, float], float], da: Callable[[float, float], Any]) -> Loss:
    def value_and_grad(a: float, b: float) -> tuple[float, dict[str, Any]]:
        with np.errstate(all="ignore"):
            a, b = np.float64(a), np.float64(b)  # Python's own numbers raise
            gradient = da(a, b)
            return float(f(a, b)), {"a": gradient[0], "b": gradient[1]}

    return Loss(NUMBERS, value_and_grad)


ROSENBROCK = numbers(lambda a, b: rosen([a, b]), lambda a, b: rosen_der([a, b]))
DATA = {"x": X, "t": T}


def squares_fit(method: str, **settings: Any) -> Fit:
    return fit(Loss(LEAST_SQUARES, squares), DATA, method, **settings)


@pytest.mark.parametrize(
    ("method", "settings", "tolerance"),
    [
        ("lbfgs", {}, 1e-7),
        ("gd", {}, 1e-7),
        ("gd", {"lr": 0.1, "epochs": 300}, 1e-7),
        ("sgd", {"lr": 0.05, "batch": 20}, 0.02),
        ("adam", {"lr": 0.02, "batch": 50, "epochs": 200}, 0.02),
    ],
)
def test_least_squares(method: str, settings: dict[str, Any], tolerance: float) -> None:
    found = squares_fit(method, **settings)
    assert np.append(found.params["w"], found.params["b"]) == pytest.approx(SOLUTION, abs=tolerance)
    assert list(found.params) == ["w", "b"]
    assert type(found.params["b"]) is float
    first, last = found.history[0], found.history[-1]
    assert first.iteration == 0
    assert last.loss < 0.02 < first.loss
    assert last.gradient_norm < (1e-6 if tolerance < 1e-3 else 0.1)


def test_history_is_that_of_the_params() -> None:
    told: list[Step] = []
    found = squares_fit("lbfgs", progress=told.append)
    assert found.history == tuple(told)
    assert [s.iteration for s in told] == list(range(len(told)))
    assert all(b.loss < a.loss for a, b in pairwise(told))
    value, gradient = squares(**found.params, **DATA)
    assert found.history[-1].loss == value
    assert found.history[-1].gradient_norm == pytest.approx(np.hypot(np.linalg.norm(gradient["w"]), gradient["b"]))
    assert found.message == "converged"


def test_a_curved_valley() -> None:
    found = fit(ROSENBROCK, {})
    assert found.history[0].loss == pytest.approx(rosen([-1.2, 1.0]))
    assert list(found.params.values()) == pytest.approx([1, 1], abs=1e-7)
    assert found.message == "converged"


def test_epochs_are_the_most_there_are() -> None:
    for method in EPOCHS:
        found = squares_fit(method, epochs=3)
        assert found.history[-1].iteration == 3
        assert squares_fit(method, epochs=0).history == found.history[:1]
    assert fit(ROSENBROCK, {}, "lbfgs", epochs=3).message == "more epochs may go further"


@pytest.mark.parametrize("method", ["lbfgs", "gd"])
@pytest.mark.parametrize("begin", [5.0, 1e-3])
def test_steps_out_of_the_domain_come_back(method: str, begin: float) -> None:
    loss = numbers(lambda a, b: np.log(a) + 1 / a + b**2, lambda a, b: (1 / a - 1 / a**2, 2 * b))
    found = fit(loss, {"a": begin, "b": 0.0}, method, epochs=5000)
    assert found.params["a"] == pytest.approx(1, abs=1e-6)


def test_steps_to_where_the_loss_is_infinite_come_back() -> None:
    barrier = numbers(
        lambda a, b: a * a - 1e-3 * np.log(a) + b * b if a > 0 else np.inf, lambda a, b: (2 * a - 1e-3 / a, 2 * b)
    )
    assert fit(barrier, {"a": 0.5}).params["a"] == pytest.approx(np.sqrt(5e-4), rel=1e-6)


def test_the_first_step_of_adam_is_the_rate_whatever_the_gradient() -> None:
    loss = Loss(LEAST_SQUARES, squares)
    found = fit(loss, {**DATA, "w": np.zeros(D)}, "adam", epochs=1, batch=N, lr=0.25)
    downhill = -np.sign(squares(np.zeros(D), 0.0, **DATA)[1]["w"])
    assert found.params["w"] == pytest.approx(0.25 * downhill, rel=1e-5)


@pytest.mark.parametrize("method", ["lbfgs", "gd"])
def test_a_kink_ends_where_nothing_is_lower(method: str) -> None:
    loss = numbers(lambda a, b: abs(a - 1) + b**2, lambda a, b: (np.sign(a - 1), 2 * b))
    found = fit(loss, {"a": 0.3}, method)
    assert found.params["a"] == pytest.approx(1, abs=1e-4)
    assert found.message != "more epochs may go further"


def test_stochastic_methods_depend_on_the_seed_alone() -> None:
    for method in ("sgd", "adam"):
        given = {**DATA, "w": np.ones(D)}
        loss = Loss(LEAST_SQUARES, squares)
        one, same, other = (fit(loss, given, method, epochs=2, batch=50, seed=s).history[-1].loss for s in (1, 1, 2))
        assert one == same
        assert one != other


def test_batches_take_every_row_once() -> None:
    seen: list[Any] = []
    order = np.argsort(T)

    def value_and_grad(w: Any, b: Any, x: Any, t: Any) -> tuple[float, dict[str, Any]]:
        if len(t) < N:
            seen.append(t)
            assert np.array_equal(x, X[order[np.searchsorted(T, t, sorter=order)]])
        return squares(w, b, x, t)

    fit(Loss(LEAST_SQUARES, value_and_grad), DATA, "sgd", epochs=1, batch=60)
    assert [len(t) for t in seen] == [60, 60, 60, 20]
    assert np.array_equal(np.sort(np.concatenate(seen)), np.sort(T))
    assert not np.array_equal(np.concatenate(seen), T)


def test_start() -> None:
    values = start(LEAST_SQUARES, DATA)
    assert values["b"] == 0.0
    assert values["w"].shape == (D,)
    assert 0 < np.abs(values["w"]).max() < 0.5
    assert np.array_equal(values["w"], start(LEAST_SQUARES, {**DATA, "b": 1.0})["w"])
    assert not np.array_equal(values["w"], start(LEAST_SQUARES, DATA, seed=1)["w"])
    assert start(NUMBERS, {"b": 4.0}) == {"a": -1.2}
    perceptron = program("W: param[d, h]\nx: data[n, d]\nsum(x @ W)")
    assert start(perceptron, {"x": X}, {"h": 7})["W"].shape == (D, 7)
    with pytest.raises(InputError, match="input 'W': the length h is not known"):
        start(perceptron, {"x": X})


def test_a_start_that_is_given_is_used() -> None:
    found = fit(Loss(LEAST_SQUARES, squares), {**DATA, "w": SOLUTION[:D], "b": SOLUTION[D]}, epochs=0)
    assert np.array_equal(found.params["w"], SOLUTION[:D])
    assert found.params["b"] == SOLUTION[D]


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("newton", {}, "unknown method 'newton'"),
        ("adan", {}, "did you mean 'adam'"),
        ("lbfgs", {"lr": 0.1}, "lbfgs takes no learning rate"),
        ("lbfgs", {"batch": 10}, "lbfgs takes no batch size"),
        ("gd", {"batch": 10}, "gd takes no batch size"),
        ("gd", {"lr": 1e200}, "the loss is inf after 1 iteration"),
        ("sgd", {"lr": 1e200}, "after 1 iteration"),
    ],
)
def test_refusals(method: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        squares_fit(method, **settings)


def test_a_start_that_is_not_finite() -> None:
    loss = numbers(lambda a, b: np.log(a), lambda a, b: (np.divide(1, a), 0.0))
    for method in ("lbfgs", "gd"):
        with pytest.raises(InputError, match="the loss is -inf at the start"):
            fit(loss, {"a": 0.0}, method)


def test_what_cannot_be_minimised() -> None:
    array = Loss(program("w: param[d]\nw*2"), squares)
    with pytest.raises(UnsupportedError, match="only a number can be minimised"):
        fit(array, {"w": np.ones(2)})
    constant = Loss(program("x: data[n]\nsum(x)"), squares)
    with pytest.raises(UnsupportedError, match="no param"):
        fit(constant, {"x": np.ones(2)})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("w: param\nx: data\nw*x", "need data with rows"),
        ("w: param\nx: data[3]\nw*sum(x)", "need data with rows"),
        ("u: param[n]\nx: data[n]\nsum(u*x)", "cannot take some rows of 'u'"),
        ("w: param\nx: data[n, n]\nw*sum(x)", "cannot take some rows of 'x'"),
        ("w: param\nx: data[n]\ny: data[n - 1]\nw*sum(x)*sum(y)", "cannot take some rows of 'y'"),
    ],
)
def test_rows_that_cannot_be_told_apart(text: str, message: str) -> None:
    of = program(text)
    given = {i.name: np.ones([3 - (str(p) != "n") * (p.constant is None) for p in i.shape]) for i in of.inputs}

    def value_and_grad(**inputs: Any) -> tuple[float, dict[str, Any]]:
        return 0.0, {name: np.zeros(np.shape(inputs[name])) for name in of.params}

    with pytest.raises(UnsupportedError, match=message):
        fit(Loss(of, value_and_grad), given, "sgd")


def test_no_rows() -> None:
    def value_and_grad(w: Any, b: Any, x: Any, t: Any) -> tuple[float, dict[str, Any]]:
        return 0.0, {"w": 0 * w, "b": 0.0}

    with pytest.raises(InputError, match="there are no rows: n = 0"):
        fit(Loss(LEAST_SQUARES, value_and_grad), {"x": np.ones((0, 2)), "t": np.ones(0)}, "adam")
