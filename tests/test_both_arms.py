"""Choices in compiled loops: which arms are computed in any case, and that results are what the text says."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np
import pytest

import gradc
from gradc.derive import derive
from gradc.frontends.text import program
from gradc.runtime.choices import both_arms


def calls(text: str) -> list[str]:
    """The choices of which the function for values computes both arms."""
    routine = derive(program(text)).routine("value", False)
    function = gradc.compile(text, cache=False)
    tree, names = both_arms(function.source, routine, function.signature, "float64")
    assert isinstance(tree, ast.Module)
    values = [f for f in tree.body if isinstance(f, ast.FunctionDef) and not f.name.startswith("value_and_grad")]
    inside = (n for f in values for n in ast.walk(f))
    return [ast.unparse(n) for n in inside if isinstance(n, ast.Call) and ast.unparse(n.func) in names]


def test_what_a_loop_along_an_array_reads_is_there() -> None:
    text = "x: param[n]\nt: data[n]\nc: data[n]\nsum(t[i]*x[i] if c[i] > 0 else x[i] for i in range(n))"
    assert calls(text) == ["choose(c[i] > 0.0, t[i] * x[i], x[i])"]
    assert calls(text.replace("c", "choose")) == ["choose_(choose[i] > 0.0, t[i] * x[i], x[i])"]


CHOSEN = {
    "before the start": ("x: param[n]\nsum(x[i - 1]*x[i] if i > 0 else 1.0 for i in range(n))", "x[i - 1]"),
    "behind the end": ("x: param[n]\ny: data[m]\nsum(x[i]*y[i] if i < m else 1.0 for i in range(n))", "y["),
    "picked": (
        "x: param[n]\nk: index[n]\ny: data[m]\nsum(x[i]*y[k[i]] if k[i] < m else 1.0 for i in range(n))",
        "y[",
    ),
    "a function": ("x: param[n]\nsum(exp(x[i]) if x[i] < 0 else 1.0 for i in range(n))", "exp"),
    "a remainder": ("k: index[n]\nx: param[n]\nsum(x[i]*(7 // k[i] if k[i] > 0 else 1) for i in range(n))", "//"),
}


@pytest.mark.parametrize("name", CHOSEN)
def test_what_may_not_be_there_or_is_costly_is_left_to_the_choice(name: str) -> None:
    text, arm = CHOSEN[name]
    assert arm in gradc.compile(text, cache=False).source
    assert not any(arm in call for call in calls(text))


GIVEN: dict[str, Any] = {
    "x": np.array([1.5, -2.0, 0.25, -0.5, -0.0, 3.0, 1e-320]),
    "y": np.array([2.0, 0.5, -1.0]),
    "k": np.array([0, 9, 2, 3, 1, 0, 2]),
}
RESULTS = {
    "before the start": lambda x, y, k: 1.0 + np.sum(x[:-1] * x[1:]),
    "behind the end": lambda x, y, k: np.sum(x[:3] * y) + 4.0,
    "picked": lambda x, y, k: np.sum(np.where(k < 3, x * np.append(y, np.full(9, np.nan))[k], 1.0)),
    "a function": lambda x, y, k: np.sum(np.where(x < 0, np.exp(x), 1.0)),
    "a remainder": lambda x, y, k: np.sum(x * np.where(k > 0, 7 // np.maximum(k, 1), 1)),
}


@pytest.mark.parametrize("name", CHOSEN)
def test_results_are_those_of_the_text(name: str) -> None:
    """Arms that are not chosen are not there, or divide by zero."""
    function = gradc.compile(CHOSEN[name][0], cache=False)
    given = {i.name: GIVEN[i.name] for i in function.signature}
    value, gradient = function.value_and_grad(**given)
    expected = RESULTS[name](**GIVEN)
    assert function(**given) == pytest.approx(expected, rel=1e-14)
    assert value == pytest.approx(expected, rel=1e-14)
    for k in range(GIVEN["x"].size):
        step = GIVEN["x"] + 0.0
        step[k] += 1e-6
        slope = (RESULTS[name](**GIVEN | {"x": step}) - expected) / 1e-6
        assert gradient.x[k] == pytest.approx(slope, abs=1e-5)
