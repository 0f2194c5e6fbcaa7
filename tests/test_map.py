"""`map`: value and gradient per row, against one call a row."""

from __future__ import annotations

import pickle
import random
import sys
import threading
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pytest
from cases import CASES
from hypothesis import assume, given
from random_programs import Program
from test_random_programs import GRADIENT, VALUE, agree, called, programs, settled

import gradc
from gradc import ir
from gradc.batch import batch
from gradc.errors import InputError, UnsupportedError
from gradc.evaluate import evaluate_value
from gradc.loops import Routine

ROWS = 3
EXPRESSION = "log(x1) + x1*x2 - sin(x2)"
ATTENTION = "w: param[d]\nx: data[n, d]\nt: index[n]\nv: param[n]\nk: index = 0\nmean((x @ w)*v[t]) + w[k]"


def stacked(inputs: Mapping[str, Any], batched: Collection[str], limits: Mapping[str, int] | None = None) -> Any:
    """The inputs, with other values of the same sort in each row of those that are batched."""
    rng = np.random.default_rng(0)
    given = dict(inputs)
    for name in batched:
        row = np.asarray(inputs[name])
        if row.dtype.kind == "i":  # positions: other ones within the range of those given
            given[name] = np.stack([rng.permutation(row.reshape(-1)).reshape(row.shape) for _ in range(ROWS)])
        else:
            given[name] = np.stack([row + 0.1 * k * rng.normal(size=row.shape) for k in range(ROWS)])
    return given


def row_of(inputs: Mapping[str, Any], batched: Collection[str], k: int) -> dict[str, Any]:
    return {name: value[k] if name in batched else value for name, value in inputs.items()}


def check_rows(function: gradc.Function, inputs: Mapping[str, Any], batched: Collection[str], what: object) -> None:
    """Every row of `map` is what a call with that row gives."""
    values, gradient = called_map(function, inputs)
    expected = [function.value_and_grad(**row_of(inputs, batched, k)) for k in range(ROWS)]
    assert values.shape == (ROWS,), f"{what}"
    assert agree([v for v, _ in expected], values, VALUE), f"{what}\n{batched}\n{values} {expected}"
    assert gradient._fields == function.wrt
    for name, field in zip(function.wrt, gradient, strict=True):
        rows = [getattr(g, name) for _, g in expected]
        assert field.shape == (ROWS, *np.shape(rows[0])), f"{what}\n{batched} {name}"
        assert agree(rows, field, GRADIENT), f"{what}\nbatched: {batched}\n{name}_bar\n{field}\n{rows}"


def called_map(function: gradc.Function, inputs: Mapping[str, Any]) -> Any:
    before = {name: np.copy(value) for name, value in inputs.items()}
    result = function.map(**inputs)
    for name, value in before.items():
        assert np.array_equal(value, inputs[name], equal_nan=True), f"input {name} was changed"
    return result
