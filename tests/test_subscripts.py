"""NumPy's subscripts, judged by NumPy: the same text, evaluated by both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradc
from gradc.build import Builder
from gradc.extents import ONE, Index, Poly
from gradc.ir import Graph

HEAD = """x: param[n]
A: param[n, m, 3]
u: param[1, m]
idx: index[m]
idx2: index[2, m]
one: index[1]
k: index
l: index
"""
SLICES = (
    "x[k:l]", "x[k:]", "x[:l]", "x[l:k:-1]", "x[::-1]", "x[::-2]", "x[n - 1:0:-2]", "x[n - 2::-1]", "x[:n - 3]",
    "x[n - 3:]", "x[5:2:-1]", "x[k:l:2]", "x[-2:]", "x[:-2]", "x[-1:-3:-1]", "x[:1]", "x[1:2]", "x[k + 1:l - 1]",
    "x[-k:]", "x[:n//2]", "x[n//2:]", "x[(n + 1)//2::-2]", "x[1:] - x[:-1]", "x[2:] - 2*x[1:-1] + x[:-2]",
    "u[:, ::-1]", "u[::-1]", "u[0:1]", "u[1:]", "u[:k]", "u[k:l]", "u[0]", "u[-1]", "u[one]", "u[one, 0]",
)  # fmt: skip
GATHERS = (
    "x[idx]", "x[idx2]", "A[idx]", "A[:, idx % m]", "A[idx, :, idx % 3]", "A[0, :, idx % 3]", "A[:, 0, idx % 3]",
    "A[idx, idx % m]", "A[..., idx % 3]", "A[idx2, idx % m]", "A[idx[:, None], idx % m]", "A[:, idx % m, ..., idx % 3]",
    "A[idx, None, idx % m]", "A[:, None, idx % m]", "A[n - 1]", "A[idx][::-1, 0]", "x[idx[::-1]]", "A[-1, ..., 0]",
    "x[argmax(x)]", "A[argmax(x), 1]", "x[None, :, None]", "A[idx, 1:, None, idx % 3]", "A[k % n, l % m]", "x[k % n]",
    "x[(k*7) % n]", "x[idx // 2]", "x[:1]*x", "x + x[:1]", "x[idx2][1]",
)  # fmt: skip
BOUNDS = ((0, 2), (-2, 3), (1, -1), (-7, 9), (2, -3))


def inputs(n: int, k: int, l: int) -> dict[str, Any]:  # noqa: E741
    rng = np.random.default_rng(n)
    return {
        "x": rng.normal(size=n),
        "A": rng.normal(size=(n, 2, 3)),
        "u": rng.normal(size=(1, 2)),
        "idx": rng.integers(0, max(n, 1), 2),
        "idx2": rng.integers(0, max(n, 1), (2, 2)),
        "one": np.array([0]),
        "k": k,
        "l": l,
    }


def numpy(expression: str, given: dict[str, Any]) -> Any:
    return eval(expression, {"argmax": np.argmax, "n": len(given["x"]), "m": 2, **given})


@pytest.mark.parametrize("expression", [*SLICES, *GATHERS])
def test_subscripts_mean_what_they_mean_in_numpy(expression: str) -> None:
    function = gradc.compile(HEAD + expression, backend="python")
    total = gradc.compile(f"{HEAD}sum(1.3*({expression})**2)", backend="python")
    for n in (3, 1, 2, 5, 0)[: 5 if expression in SLICES else 4]:
        for k, l in BOUNDS:  # noqa: E741
            given = inputs(n, k, l)
            expected = numpy(expression, given)
            result = function(**given)
            assert np.shape(result) == np.shape(expected), (n, k, l)
            assert np.allclose(result, expected, rtol=1e-14), (n, k, l)
            assert n == 0 or total.check(**given).ok, (n, k, l)


@pytest.mark.parametrize("expression", ["x[k:l:2]", "x[l:k:-1]", "A[idx, 1:, None, idx % 3]", "u[one, 0]", "x[:1]*x"])
def test_subscripts_compiled(expression: str) -> None:
    function = gradc.compile(f"{HEAD}sum(({expression})**2)")
    plain = gradc.compile(f"{HEAD}sum(({expression})**2)", backend="python")
    for k, l in BOUNDS:  # noqa: E741
        given = inputs(5, k, l)
        value, gradient = function.value_and_grad(**given)
        assert value == pytest.approx(np.sum(numpy(expression, given) ** 2), rel=1e-13)
        for mine, other in zip(gradient, plain.grad(**given), strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("backend", ["python", "numba"])
@pytest.mark.parametrize(
    ("text", "good", "bad", "message"),
    [
        ("x: param[n]\nk: index\n[7.0 + x[0] for i in range(n)][k]", {"k": 2}, {"k": 3}, "'k': k = 3 is out of range"),
        ("x: param[n]\nk: index\n[7.0 for i in range(n)][k + 1]*x[0]", {"k": 1}, {"k": 2}, "index k \\+ 1 is out of"),
        ("x: param[n]\nk: index\n[x[0] for i in range(n)][argmax(x) + k]", {"k": -2}, {"k": 1}, "out of range"),
        ("x: param[n]\nk: index\nx[None][k, 0]", {"k": 0}, {"k": -1}, "'k': k = -1 is out of range: expected 0 to 0"),
        ("x: param[n]\nk: index\nx[k:][1]", {"k": 1}, {"k": 2}, "out of range"),
        ("x: param[n]\nk: index\nsum(x[i + k] for i in range(2))", {"k": 1}, {"k": 2}, "axis 0 of x"),
        ("x: param[n]\nk: index\nsum(x[i*i + k] for i in range(2))", {"k": 1}, {"k": 2}, "axis 0 of x"),
        (
            "x: param[n]\nt: index[m]\nx[t[0] + t[1]]",
            {"t": [1, 1]},
            {"t": [1, 2]},
            "index t\\[0\\] \\+ t\\[1\\] is out",
        ),
        ("x: param[n]\nt: index[m]\nx[t[0]]", {"t": [2]}, {"t": []}, "index 0 is out of range for an axis of length m"),
    ],
)
def test_positions_out_of_range(
    text: str, good: dict[str, Any], bad: dict[str, Any], message: str, backend: str
) -> None:
    function = gradc.compile(text, backend=backend)
    x = np.array([1.0, 2.0, 3.0])
    assert np.isfinite(function(x, **good))
    assert function.check(x, **good).ok
    with pytest.raises(gradc.InputError, match=message):
        function(x, **bad)
    with pytest.raises(gradc.InputError, match=message):
        function.value_and_grad(x, **bad)


def test_an_axis_that_is_stretched_must_not_be_empty() -> None:
    function = gradc.compile("x: param[n]\ny: param[m]\nsum(x[:1]*y)", backend="python")
    assert function([2.0, 3.0], [1.0, 4.0]) == 10.0
    with pytest.raises(gradc.InputError, match="must not be empty; given n = 0"):
        function([], [1.0])


@pytest.mark.parametrize(
    ("expression", "error", "message"),
    [
        ("x[x > 0]", gradc.UnsupportedError, "masks are not supported"),
        ("x[x]", gradc.ShapeError, "must be an integer"),
        ("x[:x[0]]", gradc.UnsupportedError, "the bounds of a slice"),
        ("x[::k]", gradc.UnsupportedError, "the step of a slice"),
        ("x[::0]", gradc.UnsupportedError, "the step of a slice"),
        ("u[1]", gradc.ShapeError, "index 1 is out of range for an axis of length 1"),
        ("u[-2]", gradc.ShapeError, "index -2 is out of range for an axis of length 1"),
        ("x[..., ...]", gradc.ShapeError, "only one"),
        ("x[0, 0]", gradc.ShapeError, "too many subscripts"),
    ],
)
def test_subscripts_that_are_refused(expression: str, error: type[gradc.GradcError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        gradc.compile(f"{HEAD}sum({expression})")
    assert caught.value.line == 9


def test_positions_are_checked_along_the_axis_that_they_are_positions_of() -> None:
    """`y[i][k]` is a read of y, but of `[y[k//2] for k in range(n)]` more positions would be right than there are."""
    build = Builder(Graph())
    i, other, j = Index(Poly.atom("n"), 0), Index(Poly.atom("n"), 1), Index(Poly.atom("d"), 0)
    z = build.op("exp", build.op("cosh", build.input("z", (i, j), "float")))
    position = build.input("t", (), "int")
    row = build.read(z, [i], [build.index(other)])
    assert (row.op, row.args[0]) == ("read", z)
    there = build.read(row, [j], [position])
    assert (there.args[0], set(there.axes)) == (z, {i, j})
    halved = build.read(z, [j], [build.op("floordiv", build.index(j), build.const(2))])
    assert build.read(halved, [j], [position]).args[0] is halved
    assert build.read(row, [other], [position]).args[0] is z
    short = Index(Poly.atom("n") - Poly.const(1), 0)
    most = build.read(z, [i], [build.index(short)])
    assert build.read(most, [short], [position]).args[0] is most
    diagonal = build.read(z, [i, j], [build.index(other), build.index(other)])
    assert build.read(diagonal, [other], [position]).args[0] is diagonal
    assert build.read(build.read(row, [j], [position]), [other], [build.index(i)]).axes == (j,)


def test_a_value_is_moved_along_the_axes_whose_positions_are_proved_before_it_is_read() -> None:
    """`z[i, t[i]]` of a matrix product reads the product there is for row i, and not a copy of all rows."""
    build = Builder(Graph())
    i, other, j, k = Index(Poly.atom("n"), 0), Index(Poly.atom("n"), 1), Index(Poly.atom("d"), 0), Index(ONE, 0)
    position = build.input("t", (i,), "int")
    rows = build.read(build.input("U", (j, k), "float"), [j], [build.input("c", (i,), "int")])
    product = build.reduce("sum", [k], build.op("mul", rows, build.input("W", (j, k), "float")))
    copied = build.read(product, [i], [build.index(other)])
    assert copied.op == "reduce"
    read = build.read(copied, [other, j], [build.index(i), position])
    assert (read.args, read.axes) == ((product, position), (j,))
