"""Losses in every spelling: exact to 1e-12, value and gradient, however large their arguments."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from spellings import ONE, PAIRS, POSITIVE, ROWS, TARGETS, error, exact

import gradc
from gradc.build import Builder
from gradc.rewrite import stabilise

FAR = (0.0, 0.7, -0.7, 37.5, -37.5, 700.0, -700.0, 1e4, -1e4)
VECTORS = ([0.3, -0.2, 0.1, 0.9], [-35, 0, -50, -38], [30, 30, -5, 2], [1e4, 9990, 1e4, -1e4], [-9e3, 8e3, 7990, 1e4])
GIVEN: dict[str, tuple[str, Any]] = {
    "w": ("data", 0.25),
    "v": ("data", 2.5),
    "p": ("data[n]", np.array([0.1, 0.2, 0.3, 0.6])),
    "o": ("data[n]", np.array([0.0, 1.0, 0.0, 0.0])),
    "k": ("index", 1),
}


def check(text: str, head: str, points: Sequence[dict[str, Any]], wrt: Sequence[str], backend: str = "python") -> None:
    function = gradc.compile(head + text, backend=backend, cache=False)
    for point in points:
        value, gradient = function.value_and_grad(**point)
        wanted, slopes = exact(text, point, wrt)
        given = np.concatenate([np.ravel(getattr(gradient, name)) for name in wrt])
        assert error(float(value), wanted) < 1e-12, f"value {value} at {point}"
        for g, s in zip(given, slopes, strict=True):
            assert error(float(g), s) < 1e-12, f"gradient {g} at {point}"


def numbers(text: str) -> list[float]:
    return [z / 2 if "tanh" in text or "2*z" in text else z for z in FAR]


@pytest.mark.parametrize("text", ONE)
def test_numbers(text: str) -> None:
    near = () if text == "log(1 - tanh(z))" else (1e-9, -1e-5)  # which is 0 at 0, and is not spelt log1p(-tanh(z))
    check(text, "z: param\n", [{"z": z} for z in (*numbers(text), *near)], ["z"])


@pytest.mark.parametrize("text", POSITIVE)
def test_positive_numbers(text: str) -> None:
    check(text, "z: param\n", [{"z": z} for z in (1e-9, *FAR) if z > 0], ["z"])


@pytest.mark.parametrize("text", TARGETS)
def test_targets(text: str) -> None:
    points = [{"z": z, "t": t} for z in (0.7, -37.5, 37.5, 700.0, -1e4) for t in (0.0, 1.0)]
    check(text, "z: param\nt: data\n", points, ["z"])


def declared(text: str) -> tuple[str, dict[str, Any]]:
    used = [name for name in GIVEN if re.search(rf"\b{name}\b", text)]
    return "".join(f"{name}: {GIVEN[name][0]}\n" for name in used), {name: GIVEN[name][1] for name in used}


@pytest.mark.parametrize("text", PAIRS)
def test_pairs(text: str) -> None:
    head, given = declared(text)
    pairs = [(0.5, 35.0), (35.0, -2.0), (720.0, 0.5), (1e4, 9990.5), (-9999.0, 1e4), (9990.5, -1e4)]
    check(text, f"a: param\nb: param\n{head}", [{"a": a, "b": b, **given} for a, b in pairs], ["a", "b"])


@pytest.mark.parametrize("text", ROWS)
def test_rows(text: str) -> None:
    head, given = declared(text)
    check(text, f"x: param[n]\n{head}", [{"x": np.array(x, float), **given} for x in VECTORS], ["x"])


@pytest.mark.parametrize("w", [0.0, -0.1, 0.3])
@pytest.mark.parametrize("v", [0.0, -0.4, 2.5])
@pytest.mark.parametrize(
    "text", ["log(exp(a)/(exp(a) + v*exp(b)))", "log(2*exp(a)/(2*exp(a) + v*exp(b) + w*exp(a/2)))"]
)
def test_weights_of_either_sign(text: str, v: float, w: float) -> None:
    points = [{"a": a, "b": b, "v": v, "w": w} for a, b in ((0.5, 0.3), (3.0, 0.5), (9e3, 8.999e3))]
    check(text, "a: param\nb: param\nv: param\nw: param\n", points, ["a", "b", "v", "w"])


@pytest.mark.parametrize("texts", [ONE[:16], ONE[16:32], ONE[32:]], ids=["first", "second", "third"])
def test_compiled(texts: Sequence[str]) -> None:
    """One compilation for many: the arms that are not taken contribute nothing."""
    chosen = " else ".join(f"({t}) if k == {number}" for number, t in enumerate(texts)) + " else z"
    function = gradc.compile(f"z: param\nk: index\n{chosen}", cache=False)
    for number, text in enumerate(texts):
        for z in (-37.5, 0.7, 700.0, -5e3):
            value, gradient = function.value_and_grad(z=z, k=number)
            wanted, (slope,) = exact(text, {"z": z}, ["z"])
            assert error(float(value), wanted) < 1e-12, f"{text} at {z}: {value}"
            assert error(float(gradient.z), slope) < 1e-12, f"{text} at {z}: {gradient.z}"


@pytest.mark.parametrize(
    ("plain", "other"),
    [
        ("log(sigmoid(z))", "def f(u):\n    return 1/(1 + exp(-u))\nlog(f(z))"),
        ("log(1 + exp(z))", "def one(u):\n    s = exp(u)\n    return 1 + s\nlog(one(z))"),
        ("log(sigmoid(z))", "if z > 0:\n    y = 1/(1 + exp(-z))\nelse:\n    y = exp(z)/(1 + exp(z))\nlog(y)"),
        ("log(sigmoid(z))", "y = where(z > 0, 1/(1 + exp(-z)), exp(z)/(1 + exp(z)))\nlog(y)"),
        ("log(1 + exp(z))/log(2)", "log2(1 + exp(z))"),
        ("z", "log1p(expm1(z))"),
        (
            "log(exp(-z) + 3*exp(-z/2)) - log(exp(-z/2) + 2*exp(-2*z))",
            "log((exp(-z) + 3*exp(-z/2))/(exp(-z/2) + 2*exp(-2*z)))",
        ),
    ],
)
def test_helpers_names_and_arms(plain: str, other: str) -> None:
    functions = [gradc.compile(f"z: param\n{t}", backend="python") for t in (plain, other)]
    for z in (-1e4, -700.0, -1.0, 0.0, 2.0, 800.0, 1e4):
        (a, da), (b, db) = (f.value_and_grad(z) for f in functions)
        assert a == pytest.approx(b, rel=1e-15)
        assert da.z == pytest.approx(db.z, rel=1e-15)


def test_rows_by_axis() -> None:
    """Softmax over an axis of a matrix: every row as it is alone."""
    z = np.array(VECTORS, float)
    k = np.array([1, 1, 3, 0, 2])
    one = gradc.compile("z: param[K]\nk: index\n-log(softmax(z)[k])", backend="python")
    rows = [one.value_and_grad(row, at) for row, at in zip(z, k, strict=True)]
    for text in (
        "sum(cross_entropy(softmax(z), k))",
        "y = exp(z)/sum(exp(z), axis=1, keepdims=True)\n-sum(log(y[i, k[i]]) for i in range(n))",
        "y = softmax(z, axis=1)\n-sum(one_hot(k, 4)*log(y))",
    ):
        value, gradient = gradc.compile(f"z: param[n, K]\nk: index[n]\n{text}", cache=False).value_and_grad(z, k)
        assert value == pytest.approx(sum(v for v, _ in rows), rel=1e-14)
        np.testing.assert_allclose(gradient.z, [g.z for _, g in rows], rtol=1e-12, atol=1e-307)


@pytest.mark.parametrize("text", ["log(sum(exp(x)))", "log(softmax(x)[0])", "sum(exp(x)/sum(exp(x))*x)"])
def test_infinities_are_as_in_the_limit(text: str) -> None:
    function = gradc.compile(f"x: param[n]\n{text}", backend="python")
    masked = np.array([0.5, 1.0, -np.inf])
    if "*x" not in text:
        value, gradient = function.value_and_grad(masked)
        alone, slopes = function.value_and_grad(masked[:2])
        assert value == pytest.approx(alone, rel=1e-15)
        np.testing.assert_allclose(gradient.x, [*slopes.x, 0.0], rtol=1e-15)
    assert np.isnan(function(np.array([0.5, np.nan])))


@pytest.mark.parametrize("text", [*ONE, *POSITIVE, *(t for t in TARGETS if "\n" not in t)])
def test_a_stable_form_is_left_alone(text: str) -> None:
    program = gradc.api.parse(f"z: param\nt: data\n{text}")
    once = stabilise(Builder(program.graph), program.provenance, program.result.node)
    assert stabilise(Builder(program.graph), program.provenance, once) is once


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("-log(1/(1 + exp(-z)))", "computed as log_sigmoid(z)"),
        ("log(exp(z) + exp(2))", "computed as logaddexp(a, b)"),
        ("log(cosh(z))", "computed as log_cosh(z)"),
        ("log(1 + exp(z)) - 0.3*z", "computed as bce(sigmoid(z), t)"),
    ],
)
def test_every_rewrite_is_announced(text: str, note: str) -> None:
    assert note in gradc.compile(f"z: param\n{text}").source


@pytest.mark.parametrize("text", ["log(x*x)", "log(x*y)", "log(prod(v))", "exp(log(x))", "sqrt(x*x)", "log(x)*2"])
def test_what_would_change_meaning_is_left_alone(text: str) -> None:
    program = gradc.api.parse(f"x: param\ny: param\nv: param[n]\n{text}")
    node = program.result.node
    assert stabilise(Builder(program.graph), program.provenance, node) is node
