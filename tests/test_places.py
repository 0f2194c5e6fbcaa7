"""What is added to one place of each row stands in the loop that writes the row: an adjoint is written once."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import gradc

ONCE = {
    "a class": "x: param[n, m]\nt: index[n]\nsum(logsumexp(x[i]) - x[i, t[i]] for i in range(n))",
    "a column": "x: param[n, m]\nsum(exp(x)) + sum(x[i, 0]**3 for i in range(n))",
    "the last column": "x: param[n, m]\nsum(tanh(x)) + sum(exp(x[:, -1]))",
    "a diagonal": "x: param[n, n]\nsum(tanh(x)) + sum(x[i, i]**3 for i in range(n))",
    "another diagonal": "x: param[n, n]\nsum(tanh(x)) + sum(x[i, n - 1 - i]**3 for i in range(n))",
    "rows of columns": "x: param[n, m]\nt: index[m]\nsum(tanh(x)) + sum(x[t[j], j]**2 for j in range(m))",
    "three axes": "x: param[n, m, k]\nt: index[n]\n"
    "sum(tanh(x)) + sum(x[i, t[i], l]**2 for i in range(n) for l in range(k))",
    "two places": "x: param[n, m]\nt: index[n]\ns: index[n]\n"
    "sum(tanh(x)) + sum(x[i, t[i]]*x[i, s[i]] for i in range(n))",
    "a condition": "x: param[n, m]\nt: index[n]\nw: data[n]\n"
    "sum(tanh(x)) + sum((x[i, t[i]]**2 if w[i] > 0 else w[i]) for i in range(n))",
    "what rows sum up": "x: param[n, m]\nt: index[n]\nsum(sum(tanh(x[i]))**2*exp(x[i, t[i]]) for i in range(n))",
}
APART = {
    "one place": "x: param[n, m]\nsum(tanh(x)) + x[0, 0]**3",
    "places of pairs": "x: param[n, m]\nt: index[n, m]\n"
    "sum(tanh(x)) + sum(x[i, t[i, j]]**2 for i in range(n) for j in range(m))",
    "rows picked": "x: param[n, m]\nt: index[n]\nsum(tanh(x)) + sum(x[t[i], 0]**2 for i in range(n))",
    "some of the rows": "x: param[n, m]\nsum(tanh(x)) + sum(x[i + 1, 0]**2 for i in range(n - 1))",
}
"""More, or fewer, than one place for each row."""


def given(function: gradc.Function) -> dict[str, npt.NDArray[Any]]:
    rng = np.random.default_rng(0)
    sizes = {"n": 5, "m": 3, "k": 2}
    shapes = {i.name: tuple(sizes[str(length)] for length in i.shape) for i in function.signature}
    kinds = {i.name: i.kind for i in function.signature}
    return {
        name: rng.integers(0, 3, shape) if kinds[name] == "index" else rng.normal(size=shape)
        for name, shape in shapes.items()
    }


def writes(text: str) -> int:
    """How often the text adds or assigns to an element of the adjoint of x."""
    source = gradc.compile(text, cache=False).source
    return len(re.findall(r"x_bar\[[^]]*\] (?:[-+]?=)", re.sub(r"\[(\w+\[[^]]*\])", "[", source)))


@pytest.mark.parametrize("name", ONCE)
def test_an_adjoint_is_written_once(name: str) -> None:
    source = gradc.compile(ONCE[name], cache=False).source
    assert re.search(r"x_bar = empty\(", source)
    assert writes(ONCE[name]) == 1


@pytest.mark.parametrize("name", APART)
def test_other_places_are_added_to(name: str) -> None:
    source = gradc.compile(APART[name], cache=False).source
    assert re.search(r"x_bar = zeros\(", source)


@pytest.mark.parametrize("text", [*ONCE.values(), *APART.values()])
@pytest.mark.parametrize("backend", ["python", "numba"])
def test_gradients_are_those_of_differences(text: str, backend: str) -> None:
    function = gradc.compile(text, backend=backend, cache=False)
    report = function.check(**given(function))
    assert report.ok, report


@pytest.mark.parametrize("backend", ["python", "numba"])
@pytest.mark.parametrize(
    ("function", "slope"),
    [("sqrt(sum(x[i, t[i]]**2 for i in range(n)))", np.nan), ("log(sum(x[i, t[i]] for i in range(n)))", np.inf)],
)
def test_what_is_infinite_at_one_place_is_nothing_to_the_others(function: str, slope: float, backend: str) -> None:
    text = f"x: param[n, m]\nt: index[n]\nsum(tanh(x)) + {function}"
    gradient = gradc.compile(text, backend=backend, cache=False).grad(x=np.zeros((2, 3)), t=[0, 2])
    np.testing.assert_array_equal(gradient.x, [[slope, 1, 1], [1, 1, slope]])
