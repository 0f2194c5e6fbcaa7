"""Textbook models, as text, as Python functions and as SymPy expressions: the three agree, and with NumPy."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from models import MODELS, Inputs
from models_python import FUNCTIONS
from models_sympy import EXPRESSIONS

import gradc
from gradc.derive import derive
from gradc.frontends.text import program
from gradc.loops import Routine

POINTS = [(name, point) for name, model in MODELS.items() for point in model.points]


@cache
def compiled(name: str) -> gradc.Function:
    return gradc.compile(MODELS[name].text)


def complex_step(name: str, inputs: Inputs, field: str) -> npt.NDArray[np.float64]:
    value = np.asarray(inputs[field], dtype=complex)
    gradient = np.empty(value.shape)
    for at in np.ndindex(value.shape):
        moved = value.copy()
        moved[at] += 1e-30j
        gradient[at] = np.imag(MODELS[name].formula(**{**inputs, field: moved})) / 1e-30
    return gradient


def close(given: Any, expected: Any, tolerance: float = 1e-12) -> bool:
    scale = np.linalg.norm(np.ravel(expected))
    return bool(np.linalg.norm(np.ravel(given) - np.ravel(expected)) <= tolerance * (1 + scale))


@pytest.mark.parametrize(("name", "point"), POINTS)
def test_numpy_agrees(name: str, point: str) -> None:
    inputs = MODELS[name].points[point]
    value, gradient = compiled(name).value_and_grad(**inputs)
    assert close(value, np.real(MODELS[name].formula(**inputs)))
    for field, given in gradient._asdict().items():
        assert close(given, complex_step(name, inputs, field), 1e-11), field


@pytest.mark.parametrize("name", FUNCTIONS)
def test_python_functions_agree(name: str) -> None:
    agrees(name, gradc.compile(FUNCTIONS[name], backend="python"))


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_sympy_expressions_agree(name: str) -> None:
    expression, wrt = EXPRESSIONS[name]
    agrees(name, gradc.compile(expression, wrt=wrt, backend="python"))


def test_every_model_is_there_in_all_three_ways() -> None:
    assert set(FUNCTIONS) == set(EXPRESSIONS) == set(MODELS)


def agrees(name: str, function: gradc.Function) -> None:
    """A vector may be a matrix of one column, as SymPy's are."""
    ranks = {i.name: len(i.shape) for i in function.signature}
    for point, inputs in MODELS[name].points.items():
        wanted, slopes = compiled(name).value_and_grad(**inputs)
        columns = {k: v[:, None] if ranks[k] > np.ndim(v) else v for k, v in inputs.items()}
        value, gradient = function.value_and_grad(**columns)
        assert close(value, wanted), point
        for field, given in gradient._asdict().items():
            assert close(given, getattr(slopes, field)), (point, field)
        assert set(gradient._fields) == set(slopes._fields)


# the code that is generated


def routine(name: str) -> Routine:
    return derive(program(MODELS[name].text)).routine("value_and_grad", True)


def stored(name: str, dim: str) -> list[str]:
    """The arrays that have a dim as an axis, gradients excepted."""
    found = (a for a in routine(name).allocations() if any(dim in length.dims for length in a.shape))
    return [a.array for a in found if not a.array.endswith("_bar")]


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"cox", "gp", "kalman"}))
def test_losses_over_rows_are_one_sweep_and_store_no_column(name: str) -> None:
    assert routine(name).sweeps("n") == 1
    assert not stored(name, "n")


def test_ratings_are_visited_row_by_row() -> None:
    assert routine("ratings").sweeps("nnz") == 0
    assert not stored("ratings", "nnz")


def test_risk_sets_are_no_matrix() -> None:
    shapes = [a.shape for a in routine("cox").allocations()]
    assert all(sum("n" in length.dims for length in shape) <= 1 for shape in shapes)


def test_matrices_are_factored_once() -> None:
    text = compiled("gp").source
    assert text[text.index("def value_and_grad(") :].count(" lu(") == 1
