"""What a result is made of is kept in its array, unless somebody could read it there when the result is written."""

from __future__ import annotations

import re

import numpy as np
import pytest
import test_random_derivatives
import test_random_programs
from random_draws import Program

import gradc

KEPT = {
    "logsumexp": "x: param[n]\nlogsumexp(x)",
    "matrix": "x: param[n, m]\nlogsumexp(x)",
    "on the way": "x: param[n]\na: data[n]\nsum(exp(x))**2 + 3*sum(a*x)",
    "named": "x: param[n]\ne = exp(x)\nsum(e)**2",
    "before": "x: param[n]\ne = exp(x)\nsum(e*e)*sum(e)",
}
ELSEWHERE = {
    "cheap": "x: param[n]\nsum(3*x)*sum(x*x)",
    "other places": "x: param[n]\ne = exp(x)\nsum(e)*sum(e[i]*e[n - 1 - i] for i in range(n))",
    "two results": "x: param[n]\ny: param[n]\nsum(exp(x*y))**2",
    "another result": "x: param[n]\ny: param[n]\ne = exp(x)\nsum(e)*sum(e*y)",
}


def gradient_of(text: str) -> str:
    """The statements of the gradient, without comments."""
    source = gradc.compile(text, cache=False).source
    lines = source[source.index("def value_and_grad") :].splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


@pytest.mark.parametrize("name", KEPT)
def test_what_is_kept_is_computed_once(name: str) -> None:
    code = gradient_of(KEPT[name])
    assert (len(re.findall(r"[^+]= exp\(", code)), code.count("empty(")) == (1, 1), code


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_others_read_has_another_place(name: str) -> None:
    code = gradient_of(ELSEWHERE[name])
    assert len(re.findall(r" [xy]_bar\[.*\] = ", code)) == code.count("_bar = empty("), code


@pytest.mark.parametrize("name", [*KEPT, *ELSEWHERE])
def test_derivatives(name: str) -> None:
    text = {**KEPT, **ELSEWHERE}[name]
    random, dims = np.random.default_rng(0), {"n": 5, "m": 3}
    shapes = {i.name: tuple(dims[str(length)] for length in i.shape) for i in gradc.compile(text).signature}
    program = Program(text, {name: random.normal(size=shape) for name, shape in shapes.items()}, dims, True)
    test_random_programs.check(program)
    test_random_derivatives.check(program)
    compiled, plain = (gradc.compile(text, cache=False, backend=b) for b in ("numba", "python"))
    large = {name: random.normal(size=tuple(300 * length for length in shape)) for name, shape in shapes.items()}
    for got, expected in zip(compiled.grad(**large), plain.grad(**large), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12)
