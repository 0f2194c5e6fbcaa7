"""Minimisation of a compiled loss over the inputs it is differentiated by.

A start that is not given is the default, zero for a number without one, and small seeded normal draws for arrays: zeros
would be a saddle point of every perceptron.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from msgspec import Struct

from gradc.datasets import shape_of, sizes
from gradc.errors import InputError, UnsupportedError, did_you_mean
from gradc.extents import Poly
from gradc.program import Program

Vector = np.ndarray[tuple[int], np.dtype[np.float64]]
Evaluate = Callable[[Vector], tuple[float, Vector]]

SPREAD = 0.1
"""Standard deviation of a drawn start."""
TOLERANCE = 1e-8
"""A gradient shorter than this is zero."""
EPOCHS = {"lbfgs": 1000, "gd": 1000, "sgd": 100, "adam": 100}
RATE = {"sgd": 0.1, "adam": 0.01}
BATCH = 128
UNFINISHED = "more epochs may go further"
EVALUATIONS = 100
"""How often at most sgd and adam evaluate the whole loss, which costs as much as an epoch."""


class Problem(Protocol):
    """What `Function.scipy` gives."""

    x0: Any

    def fun(self, v: Any, /) -> tuple[float, Any]: ...

    def unpack(self, v: Any, /) -> Any: ...


class Loss(Protocol):
    """What is needed of a `gradc.Function`."""

    @property
    def program(self) -> Program: ...

    @property
    def wrt(self) -> tuple[str, ...]: ...

    def scipy(self, **fixed: Any) -> Problem: ...


class Step(Struct, frozen=True):
    """Where an iteration arrived."""

    iteration: int
    loss: float
    gradient_norm: float


class Fit(Struct, frozen=True):
    """Where a minimisation ended, how it got there (the start is iteration 0), and why it stopped."""

    params: dict[str, Any]
    history: tuple[Step, ...]
    message: str


Progress = Callable[[Step], object]


def fit(
    function: Loss,
    inputs: Mapping[str, Any],
    method: str = "lbfgs",
    *,
    epochs: int | None = None,
    lr: float | None = None,
    batch: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Fit:
    """Minimises the loss from the params in `inputs`, or from `start`.

    `lbfgs` (SciPy's L-BFGS-B) and `gd` (gradient descent: steps of `lr`, or halved until they pay) look at all data at
    once, `epochs` times at most; `sgd` and `adam` at `batch` rows at a time, `epochs` times over, in an order
    drawn with `seed`. Rows are the first axis of the first data input. `progress` is called with every step.

    Raises InputError for an unknown method, for a setting it does not have, and where the loss is not finite;
    UnsupportedError for a result that is not a number and, of sgd and adam, for data without rows.
    """
    if method not in EPOCHS:
        hint = did_you_mean(method, EPOCHS) or f"methods: {', '.join(EPOCHS)}"
        raise InputError(f"unknown method '{method}'", hint=hint)
    if function.program.result.axes:
        raise UnsupportedError("only a number can be minimised, the result is an array", hint="sum() or mean() it")
    if not function.wrt:
        raise UnsupportedError("there is nothing to fit: the program has no param")
    if lr is not None and method == "lbfgs":
        raise InputError("lbfgs takes no learning rate", hint="it is for gd, sgd and adam")
    if batch is not None and method in ("lbfgs", "gd"):
        raise InputError(f"{method} takes no batch size", hint="it is for sgd and adam")
    inputs = {**inputs, **start(function.program, inputs, seed=seed)}
    problem = function.scipy(**inputs)
    history = _History(problem.fun, progress)
    v = np.array(problem.x0, np.float64)
    history.at(0, v)
    epochs = EPOCHS[method] if epochs is None else epochs
    with np.errstate(all="ignore"):  # steps that are too long are found out by what is not finite
        if method == "lbfgs":
            v, message = _lbfgs(history, v, epochs)
        elif method == "gd":
            v, message = _descent(history, v, epochs, lr)
        else:
            rate = RATE[method] if lr is None else lr
            update = _adam(rate) if method == "adam" else lambda g: rate * g
            batches = _batches(function, inputs, batch or BATCH, np.random.default_rng(seed))
            v, message = _stochastic(history, v, epochs, update, batches)
    params = problem.unpack(v)
    return Fit({name: params[name] for name in function.wrt}, tuple(history.steps), message)


def start(
    program: Program, given: Mapping[str, Any], dims: Mapping[str, int] | None = None, seed: int = 0
) -> dict[str, Any]:
    """Values for the params that are not given. Raises InputError where a length is not known."""
    values: dict[str, Any] = {}
    lengths = sizes(program, given, dims)
    for position, entry in enumerate(program.inputs):
        if entry.kind != "param" or entry.name in given:
            continue
        if entry.shape:
            draws = np.random.default_rng([seed, position]).standard_normal(shape_of(entry, lengths))
            values[entry.name] = SPREAD * draws
        else:
            values[entry.name] = 0.0 if entry.default is None else float(entry.default)
    return values


class _History:
    """Evaluates the loss, and keeps the steps."""

    def __init__(self, evaluate: Evaluate, progress: Progress | None) -> None:
        self.evaluate, self.progress = evaluate, progress
        self.steps: list[Step] = []

    def at(self, iteration: int, v: Vector) -> tuple[float, Vector]:
        """The loss and its gradient after an iteration."""
        loss, gradient = self.evaluate(v)
        self.record(iteration, loss, gradient)
        return loss, gradient

    def record(self, iteration: int, loss: float, gradient: Vector) -> None:
        norm = float(np.linalg.norm(gradient))
        if not math.isfinite(loss) or not math.isfinite(norm):
            what = f"loss is {loss:g}" if not math.isfinite(loss) else f"gradient's norm is {norm:g}"
            where = "at the start" if iteration == 0 else f"after {_count(iteration)}"
            hint = "start elsewhere" if iteration == 0 else "a smaller learning rate may help"
            raise InputError(f"the {what} {where}", hint=hint)
        step = Step(iteration, float(loss), norm)
        self.steps.append(step)
        if self.progress is not None:
            self.progress(step)


def _count(iterations: int) -> str:
    return f"{iterations} iteration{'' if iterations == 1 else 's'}"


def _lbfgs(history: _History, v: Vector, epochs: int) -> tuple[Vector, str]:
    from scipy.optimize import minimize

    latest: dict[bytes, tuple[float, Vector]] = {}

    def fun(v: Vector) -> tuple[float, Vector]:
        loss, gradient = history.evaluate(v)
        if not math.isfinite(loss) or not np.isfinite(gradient).all():
            # L-BFGS-B interpolates between losses: a finite one that is too high makes it come back
            highest = history.steps[-1].loss
            return highest + abs(highest) + 1.0, np.zeros_like(v)
        latest.clear()
        latest[v.tobytes()] = loss, np.array(gradient)
        return loss, gradient

    def callback(xk: Vector) -> None:
        loss, gradient = latest.get(xk.tobytes()) or history.evaluate(xk)
        history.record(len(history.steps), loss, gradient)

    if epochs == 0:
        return v, "no iterations"
    result = minimize(
        fun,
        v,
        jac=True,
        method="L-BFGS-B",
        callback=callback,
        options={"maxiter": epochs, "maxfun": 20 * epochs + 100, "gtol": TOLERANCE, "ftol": 1e-15, "maxls": 50},
    )
    if result.status == 0:
        return result.x, "converged" if np.abs(result.jac).max() <= TOLERANCE else "the loss falls no further"
    return result.x, UNFINISHED if result.status == 1 else "no lower point along the direction of descent"


def _descent(history: _History, v: Vector, epochs: int, lr: float | None) -> tuple[Vector, str]:
    first = history.steps[0]
    loss, gradient = history.evaluate(v)
    rate = 1.0 / max(1.0, first.gradient_norm) if lr is None else lr
    for iteration in range(1, epochs + 1):
        square = float(gradient @ gradient)
        if math.sqrt(square) <= TOLERANCE:
            return v, "converged"
        if lr is not None:
            v = v - rate * gradient
            loss, gradient = history.at(iteration, v)
            continue
        rate *= 2.0
        for _ in range(60):
            trial = v - rate * gradient
            lower, slope = history.evaluate(trial)
            if lower <= loss - 1e-4 * rate * square:  # Armijo's condition; false for NaN
                break
            rate /= 2.0
        else:
            return v, "no lower point along the gradient"
        v, loss, gradient = trial, lower, np.array(slope)
        history.record(iteration, loss, gradient)
    return v, UNFINISHED


Batches = Callable[[], Iterator[Evaluate]]


def _stochastic(
    history: _History, v: Vector, epochs: int, update: Callable[[Vector], Vector], batches: Batches
) -> tuple[Vector, str]:
    every = max(1, epochs // EVALUATIONS)
    for epoch in range(1, epochs + 1):
        for evaluate in batches():
            v = v - update(np.asarray(evaluate(v)[1]))
        if epoch % every == 0 or epoch == epochs:
            history.at(epoch, v)
    return v, "all epochs done"


def _adam(rate: float, decay: float = 0.9, square_decay: float = 0.999) -> Callable[[Vector], Vector]:
    """Adam's update, after Kingma and Ba."""
    mean: Any = 0.0
    square: Any = 0.0
    count = 0

    def update(gradient: Vector) -> Vector:
        nonlocal mean, square, count
        count += 1
        mean = decay * mean + (1 - decay) * gradient
        square = square_decay * square + (1 - square_decay) * gradient**2
        step: Vector = rate * (mean / (1 - decay**count)) / (np.sqrt(square / (1 - square_decay**count)) + 1e-8)
        return step

    return update


def _batches(function: Loss, inputs: Mapping[str, Any], size: int, random: np.random.Generator) -> Batches:
    """Gives the loss of some rows at a time, every row once, in random order."""
    rows, names = _rows(function)
    count = len(inputs[names[0]])

    def batches() -> Iterator[Evaluate]:
        order = random.permutation(count)
        for low in range(0, count, size):
            part = {name: np.asarray(inputs[name])[order[low : low + size]] for name in names}
            yield function.scipy(**{**inputs, **part}).fun

    if not count:
        raise InputError(f"there are no rows: {rows} = 0")
    return batches


def _rows(function: Loss) -> tuple[str, list[str]]:
    """The dim of the rows, and the inputs that have it as their first axis. Raises UnsupportedError."""
    data = [i for i in function.program.inputs if i.name not in function.wrt]
    named = (str(i.shape[0]) for i in data if i.shape and i.shape[0] == Poly.atom(str(i.shape[0])))
    rows = next(named, None)
    if rows is None:
        raise UnsupportedError("sgd and adam need data with rows: no data input has a first axis with a name")
    names = [i.name for i in data if i.shape and i.shape[0] == Poly.atom(rows)]
    for entry in function.program.inputs:
        others = entry.shape[1:] if entry.name in names else entry.shape
        if any(rows in p.dims for p in others):
            message = f"sgd and adam cannot take some rows of '{entry.name}': its axes depend on {rows} in another way"
            raise UnsupportedError(message, entry.span, "use lbfgs or gd")
    return rows, names
