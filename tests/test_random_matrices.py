"""Random programs of square matrices: transposes, products and gathers of one length, where axes can be confused.

The reference evaluator judges the generated code, differences judge the adjoint graph that both run.
"""

from __future__ import annotations

import random

import numpy as np
import pytest

import gradc
from gradc.api import parse
from gradc.evaluate import evaluate_value

HEAD = "x: param[d, d]\ny: param[d, d]\nz: data[d, d]\na: data[n, d]\nk: index[d]\nu = exp(x)\n"
LEAVES = ("x", "y", "z", "u", "x.T", "cumsum(x, axis=0)", "cumsum(x, axis=1)")
STEPS = (
    "({a} + {b})",
    "({a}*{b})",
    "({a}).T",
    "({a} @ {b})/3",
    "tanh({a})",
    "exp(-({a})**2)",
    "({a})[::-1]",
    "({a})[:, ::-1]",
    "softmax({a}, axis=0)",
    "softmax({a}, axis=1)",
    "({a} - mean({a}, axis=0, keepdims=True))",
    "({a})[k]",
    "[[sin(({a})[j, i]) for j in range(d)] for i in range(d)]",
)
RESULTS = (
    "mean(tanh(a @ {m}))",
    "sum({m}*z)",
    "log(3 + mean((a @ {m})**2))",
    "mean(logsumexp(a @ {m}, axis=1))",
    "sum(sin({m}))*sum({m}*y)",
    "sqrt(99 + sum({m}*m0.T)**2)",
)


def matrix(draw: random.Random, depth: int) -> str:
    if not depth:
        return draw.choice(LEAVES)
    return draw.choice(STEPS).format(a=matrix(draw, depth - 1), b=matrix(draw, draw.randrange(depth)))


def program(draw: random.Random) -> str:
    count = draw.randrange(1, 4)
    lines = [f"m{i} = {matrix(draw, draw.randrange(1, 4))}" for i in range(count)]
    total = "(" + " + ".join(f"m{i}" for i in range(count)) + ")" + draw.choice(("", ".T"))
    return HEAD + "\n".join([*lines, draw.choice(RESULTS).format(m=total)])


def check(seed: int, differences: bool) -> None:
    text = program(random.Random(seed))
    rng = np.random.default_rng(seed)
    shapes = {"x": (3, 3), "y": (3, 3), "z": (3, 3), "a": (4, 3)}
    inputs = {name: rng.normal(size=shape) * 0.5 for name, shape in shapes.items()} | {"k": np.array([2, 0, 2])}
    dims = {"d": 3, "n": 4}
    function = gradc.compile(text, backend="python")
    value, gradient = function.value_and_grad(**inputs)
    parsed = parse(text)
    expected = evaluate_value(parsed.result.node, (), inputs, dims)
    assert value == pytest.approx(float(expected), rel=1e-11, abs=1e-11), text
    assert function(**inputs) == pytest.approx(float(expected), rel=1e-11, abs=1e-11), text
    adjoint = function._derived.gradient
    assert adjoint is not None
    for name, bar in adjoint.items():
        reference = evaluate_value(bar.node, bar.axes, inputs, dims)
        tolerance = 1e-10 * max(1.0, np.abs(reference).max())
        np.testing.assert_allclose(getattr(gradient, name), reference, rtol=1e-10, atol=tolerance, err_msg=text)
    if differences:
        report = function.check(**inputs)
        assert report.ok, f"{text}\n{report}"


@pytest.mark.parametrize("block", range(5))
def test_random_matrix_programs(block: int) -> None:
    for seed in range(40 * block, 40 * block + 40):
        check(seed, differences=seed % 5 == 0)


@pytest.mark.nightly
@pytest.mark.parametrize("block", range(10))
def test_random_matrix_programs_nightly(block: int) -> None:
    for seed in range(1000 + 300 * block, 1300 + 300 * block):
        check(seed, differences=seed % 3 == 0)
