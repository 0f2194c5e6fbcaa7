"""Loops whose ranges are ragged, triangular, strided or slices: CPython runs the same text, and judges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy_shim
import pytest
import random_ranges
from random_programs import Program

import gradc
from gradc import api
from gradc.evaluate import evaluate_value
from gradc.loops import For, Sweep, walk

SPARSE = """val: param[nnz]
x: param[d]
col: index[nnz]
start: index[n + 1]
y: data[n]
z = [sum(val[p]*x[col[p]] for p in range(start[i], start[i + 1])) for i in range(n)]
mean((z - y)**2)
"""


@contextmanager
def tiny() -> Iterator[None]:
    """Whatever is compiled meanwhile has several chunks, and tiles of two or three rows."""
    constants = {"TILE_STEP": 1, "TILE_LEAST": 2, "TILE_MOST": 3, "SWEEP_WORK": 1, "CHUNKS": 3, "MANY_CHUNKS": 3}
    with patch.multiple("gradc.emit.printer", **constants):
        yield


@pytest.fixture(autouse=True)
def empty_lists_hold_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPython cannot tell the shape of what an empty loop would give; in these programs it is a number."""

    def array(items: Iterable[Any]) -> Any:
        return np.array(list(items))

    monkeypatch.setattr("shim_arrays.array", array)
    monkeypatch.setitem(numpy_shim.FUNCTIONS, "array_", array)


def check(p: Program, backend: str = "python") -> None:
    """Value against CPython and the reference evaluator, gradient against complex steps."""
    function = gradc.compile(p.text, backend=backend, cache=False)
    value, gradient = function.value_and_grad(**p.inputs)
    expected = numpy_shim.run(p.text, p.inputs, p.dims)
    assert np.isclose(value, expected, rtol=1e-9, atol=1e-9, equal_nan=True), f"{value}, not {expected}\n{p}"
    assert np.isclose(function(**p.inputs), value, rtol=1e-12, atol=1e-12, equal_nan=True), str(p)
    reference = evaluate_value(api.parse(p.text).result.node, (), p.inputs, p.dims)
    assert np.isclose(reference, expected, rtol=1e-9, atol=1e-9, equal_nan=True), str(p)
    if not np.isfinite(expected):
        return
    rng = np.random.default_rng(0)
    for name in function.wrt:
        bar = getattr(gradient, name)
        tangent = rng.normal(size=np.shape(bar))
        slope = numpy_shim.directional(p.text, p.inputs, p.dims, {name: tangent})
        tolerance = 1e-8 * max(1.0, np.abs(bar).max(initial=0.0))
        assert np.isclose(np.sum(bar * tangent), slope, rtol=1e-8, atol=tolerance), f"gradient by {name}\n{p}"


def check_seeds(seeds: Iterable[int], backend: str = "python") -> None:
    """Programs that would have to store over a loop of unknown length are refused; there are few."""
    refused = 0
    seeds = list(seeds)
    for seed in seeds:
        try:
            if seed % 2:
                with tiny():
                    check(random_ranges.generate(seed), backend)
            else:
                check(random_ranges.generate(seed), backend)
        except gradc.UnsupportedError as error:
            if "would have to be stored" not in error.message:
                raise
            refused += 1
    assert refused <= 1 + len(seeds) // 20


@pytest.mark.parametrize("block", range(4))
def test_random_ranges(block: int) -> None:
    check_seeds(range(30 * block, 30 * block + 30))


def test_random_ranges_compiled() -> None:
    check_seeds((3, 8), "numba")


@pytest.mark.nightly
@pytest.mark.parametrize("block", range(10))
def test_random_ranges_nightly(block: int) -> None:
    check_seeds(range(1000 + 200 * block, 1200 + 200 * block))


@pytest.mark.nightly
@pytest.mark.parametrize("block", range(4))
def test_random_ranges_compiled_nightly(block: int) -> None:
    check_seeds(range(5000 + 20 * block, 5020 + 20 * block), "numba")


# a sparse matrix by rows


def sparse(counts: Iterable[int], d: int, seed: int = 0) -> tuple[dict[str, Any], np.ndarray]:
    """Inputs of the program, and the matrix."""
    rng = np.random.default_rng(seed)
    start = np.concatenate([[0], np.cumsum(list(counts))]).astype(np.int64)
    n, nnz = len(start) - 1, int(start[-1])
    given = {
        "val": rng.normal(size=nnz),
        "x": rng.normal(size=d),
        "col": rng.integers(0, d, nnz),
        "start": start,
        "y": rng.normal(size=n),
    }
    matrix = np.zeros((n, d))
    for i in range(n):
        np.add.at(matrix[i], given["col"][start[i] : start[i + 1]], given["val"][start[i] : start[i + 1]])
    return given, matrix


@pytest.mark.parametrize("backend", ["python", "numba"])
@pytest.mark.parametrize("counts", [(2, 0, 3, 1), (0,), (1,), (0, 0, 4), (5, 2, 0)])
def test_sparse_matrix(counts: tuple[int, ...], backend: str) -> None:
    given, matrix = sparse(counts, 3)
    for compiled in (None, tiny):
        if compiled is None:
            function = gradc.compile(SPARSE, backend=backend)
        else:
            with compiled():
                function = gradc.compile(SPARSE, backend=backend, cache=False)
                function.value_and_grad(**given)
        value, gradient = function.value_and_grad(**given)
        residual = matrix @ given["x"] - given["y"]
        rows = np.repeat(np.arange(len(counts)), counts)
        assert value == pytest.approx(np.mean(residual**2), rel=1e-13)
        slope = 2 * residual / len(counts)
        np.testing.assert_allclose(gradient.x, slope @ matrix, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(gradient.val, slope[rows] * given["x"][given["col"]], rtol=1e-12, atol=1e-14)


def test_sparse_matrix_is_one_sweep_that_stores_nothing() -> None:
    function = gradc.compile(SPARSE, backend="python")
    routine = function._derived.routine("value_and_grad", gradient=True)
    assert routine.sweeps("n") == 1
    assert any(isinstance(s, Sweep) for s in routine.body)
    loops = [s for s, _ in walk(routine.body) if isinstance(s, For) and not s.index.extent.has_bound]
    assert len(loops) == 2
    assert {a.array for a in routine.allocations()} == {"val_bar", "x_bar"}
    assert sum(line.strip().startswith("raise") for line in function.source.splitlines()) == 4


@pytest.mark.parametrize("backend", ["python", "numba"])
def test_sparse_matrix_out_of_range(backend: str) -> None:
    function = gradc.compile(SPARSE, backend=backend)
    given, _ = sparse((2, 0, 3, 1), 3)
    for change, message in [
        ({"start": [0, 2, 2, 5, 7]}, r"index out of range of axis 0 of val \(<text>:6\)"),
        ({"start": [-1, 2, 2, 5, 6]}, r"index out of range of axis 0 of val \(<text>:6\)"),
        ({"start": [0, 2, 2, 5, 10**12]}, "index out of range of axis 0 of val"),
        ({"col": [0, 1, 2, 3, 0, 0]}, r"input 'col': col\[3\] = 3 is out of range: expected 0 to 2"),
        ({"start": [0, 2, 2, 5]}, r"input 'start': axis 0 has length n \+ 1 = 5, given 4"),
    ]:
        with pytest.raises(gradc.InputError, match=message):
            function(**{**given, **change})
        with pytest.raises(gradc.InputError, match=message):
            function.value_and_grad(**{**given, **change})
    backwards = {**given, "start": [6, 5, 2, 2, 0]}  # ranges that end before they start are empty
    assert function(**backwards) == pytest.approx(np.mean(given["y"] ** 2))


def test_rows_of_map_have_their_own_ranges() -> None:
    function = gradc.compile(SPARSE, backend="python")
    given, _ = sparse((2, 0, 3, 1), 3)
    starts = np.array([given["start"], [0, 0, 0, 0, 0], [1, 4, 5, 5, 6]])
    values, gradient = function.map(**{**given, "start": starts})
    for k, start in enumerate(starts):
        value, alone = function.value_and_grad(**{**given, "start": start})
        assert values[k] == pytest.approx(value, rel=1e-13)
        np.testing.assert_allclose(gradient.val[k], alone.val, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(gradient.x[k], alone.x, rtol=1e-13, atol=1e-15)
    scalar = gradc.compile("x: param[n]\nk: index\nsum(exp(x[i]) for i in range(k, 0, -1))", backend="python")
    assert np.allclose(scalar.map([0.0, 0.0, 0.0], [0, 2, -3])[0], [0.0, 2.0, 0.0])
    lengths = gradc.compile("x: param[n]\nk: index\nsum(x[:k]*x[1:])", backend="python")
    with pytest.raises(gradc.UnsupportedError, match="lengths that depend on 'k' cannot differ"):
        lengths.map([1.0, 2.0], [1, 1])


# bounds of loops that are looked up


@pytest.mark.parametrize("backend", ["python", "numba"])
def test_bounds_that_are_looked_up_are_checked(backend: str) -> None:
    text = """x: param[n]
start: index[m]
row: index[k]
sum(x[p] for r in range(k) for p in range(start[row[r]], start[row[r] + 1]))
"""
    function = gradc.compile(text, backend=backend)
    x, start = np.arange(1.0, 6.0), [0, 2, 5]
    assert function(x, start, [1, 0, 1]) == 27.0
    assert function.value_and_grad(x, start, [1, 0, 1])[1].x.tolist() == [1, 1, 2, 2, 2]
    with pytest.raises(gradc.InputError, match=r"input 'row': row\[1\] = 3 is out of range: expected 0 to 2"):
        function(x, start, [0, 3])
    with pytest.raises(gradc.InputError, match="index out of range of axis 0 of start, in the bounds of a loop"):
        function(x, start, [0, 2])
    with pytest.raises(gradc.InputError, match="index out of range of axis 0 of x"):
        function(x, [0, 2, 6], [0, 1])
    assert function(x, start, []) == 0.0


@pytest.mark.parametrize("backend", ["python", "numba"])
def test_bounds_at_fixed_places_are_checked_at_the_call(backend: str) -> None:
    function = gradc.compile("x: param[n]\nt: index[m]\nsum(x[i] for i in range(t[0], t[1]))", backend=backend)
    assert function([1.0, 2.0, 4.0], [1, 3]) == 6.0
    with pytest.raises(gradc.InputError, match=r"index 1 is out of range for an axis of length m; given m = 1"):
        function([1.0, 2.0, 4.0], [1])


@pytest.mark.parametrize("backend", ["python", "numba"])
def test_bounds_in_an_arm_that_is_not_taken_are_not_read(backend: str) -> None:
    row = "sum(val[p]**2 for p in range(start[i - 1], start[i]))"
    head = "val: param[nnz]\nstart: index[n]\n"
    guarded = gradc.compile(f"{head}sum(({row}) if i > 0 else 0.5 for i in range(n))", backend=backend)
    value, gradient = guarded.value_and_grad([1.0, 2.0, 3.0], [0, 1, 3])
    assert (value, gradient.val.tolist()) == (14.5, [2.0, 4.0, 6.0])
    with pytest.raises(gradc.InputError, match="index out of range of axis 0 of start"):
        gradc.compile(f"{head}sum({row} for i in range(n))", backend=backend)([1.0, 2.0, 3.0], [0, 1, 3])


# what cannot be stored is computed again, or refused

HEAD = """val: param[nnz]
M: param[nnz, d]
x: param[d]
V: param[d, h]
col: index[nnz]
start: index[n + 1]
y: data[n]
"""


ROW = "p in range(start[i], start[i + 1])"
SLICE = "val[start[i]:start[i + 1]]"
BODIES = (
    f"sum(logsumexp(val[p]*x[col[p]] for {ROW}) for i in range(n) if start[i + 1] > start[i])",
    f"sum(sum(exp(M[p] @ x) for {ROW})*sum(sin(M[p] @ x) for {ROW}) for i in range(n))",
    f"sum(prod(1 + val[p]*x[col[p]] for {ROW})*y[i] for i in range(n))",
    f"Z = [sum(val[p]*V[col[p]] for {ROW}) for i in range(n)]\nsum(tanh(Z)**2)",
    f"sum(sum(val[p]*(M[p] @ softmax(M[p]*x)) for {ROW})**2 for i in range(n))",
    f"z = [sum(val[p]*x[col[p]] for {ROW}) for i in range(n)]\nsum(log(softmax(z))*y)",
    f"sum(sum(cumsum({SLICE})**2)*y[i] for i in range(n))",
    f"sum(val[p]*val[q]*sin(M[p] @ M[q]) for i in range(n) for {ROW} for q in range(start[i], p))",
    f"sum(sum(a*tanh(b) for a, b in zip({SLICE}, {SLICE}[::-1])) for i in range(n))",
)


@pytest.mark.parametrize(("text", "backend"), [(t, "python") for t in BODIES] + [(BODIES[k], "numba") for k in (1, 4)])
def test_bodies_of_ragged_loops(text: str, backend: str) -> None:
    rng = np.random.default_rng(1)
    start = np.array([0, 2, 2, 5, 6])
    given = {
        "val": rng.normal(size=6),
        "M": rng.normal(size=(6, 3)),
        "x": rng.normal(size=3),
        "V": rng.normal(size=(3, 2)),
        "col": np.array([0, 2, 1, 0, 2, 1]),
        "start": start,
        "y": rng.normal(size=4),
    }
    function = gradc.compile(HEAD + text, backend=backend)
    dims = {"nnz": 6, "d": 3, "h": 2, "n": 4}
    expected = evaluate_value(api.parse(HEAD + text).result.node, (), given, dims)
    assert function(**given) == pytest.approx(float(expected), rel=1e-12)
    report = function.check(**given)
    assert report.ok, report


def test_what_would_have_to_be_stored_is_refused() -> None:
    text = "sum(sum(cumsum([val[p] for p in range(start[i], start[i + 1])])**2) for i in range(n)) + sum(y)"
    function = gradc.compile(HEAD + text, backend="python")
    with pytest.raises(gradc.UnsupportedError, match="would have to be stored for each turn of a loop") as caught:
        function.value_and_grad(np.zeros(1), np.zeros((1, 1)), [1.0], np.zeros((1, 1)), [0], [0, 1], [0.0])
    assert caught.value.line == 8


# what is iterated over


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sum(k*a*b for k, (a, b) in enumerate(zip(x, y)))", sum(k * (k + 1) * (k + 2) for k in range(4))),
        ("sum(k*a for k, a in enumerate(x, 2))", 2 + 6 + 12 + 20),
        ("sum(a*k for a, k in zip(x, range(4)))", 20.0),
        ("sum(a*k*b for (k, a), b in zip(enumerate(x), y))", sum(k * (k + 1) * (k + 2) for k in range(4))),
        ("sum(sum(row) for row in [[a*b for a in x] for b in y])", 140.0),
        ("sum(a for a in x[::-2])", 6.0),
        ("sum(x[i] for i in range(3, 0, -2))", 6.0),
        ("sum(x[i] for i in range(0, n, 3))", 5.0),
        ("sum(x[i] for i in range(5, 0))", 0.0),
        ("sum(x[i]*x[j] for i in range(n) for j in range(i + 1, n))", 35.0),
        ("sum(x[i] for i in range(n) if i % 2 == 1)", 6.0),
        ("x_0 = x[0]\ni = 3.0\nsum(x[i] for i in range(2)) + i*x_0", 6.0),
        ("sum(x[i//2]*x[(7*i) % n] for i in range(n))", 1 * 1 + 1 * 4 + 2 * 3 + 2 * 2),
        ("sum(sum(x[i - 2:i + 1]) for i in range(n))", 0 + 0 + 6 + 9),
        ("sum([a for a in x[:1]] + x)", 14.0),
    ],
)
def test_what_is_iterated_over(text: str, expected: float) -> None:
    function = gradc.compile(f"x: param[n]\ny: param[n]\n{text}", backend="python")
    given = (np.arange(1.0, 5.0), np.arange(2.0, 6.0))
    assert function(*given) == expected
    assert function.check(*given).ok


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("sum(a for a, b in x)", gradc.ParseError, "2 names for 1 value"),
        ("sum(a for a in zip(x, x))", gradc.ParseError, "1 name for 2 values"),
        ("sum(a for k, a in zip(x, x, x))", gradc.ParseError, "2 names for 3 values"),
        ("sum(a*b for a, b in zip(x, w))", gradc.ShapeError, "zip: lengths n and d do not agree"),
        ("sum(a for a in reversed(x))", gradc.UnsupportedError, "reversed"),
        ("sum(a for a in 3)", gradc.ShapeError, "cannot iterate over a number"),
        ("sum(i for i in range())", gradc.ParseError, "range"),
        ("sum(i for i in range(1, 2, 3, 4))", gradc.ParseError, "range"),
        ("sum(i for i in range(0, 4, 0))", gradc.UnsupportedError, "the step of range"),
        ("sum(i for i in range(0, 4, n))", gradc.UnsupportedError, "the step of range"),
        ("sum(i for i in range(2.5))", gradc.ShapeError, "must be an integer"),
        ("sum(i for i in range(n/2))", gradc.ShapeError, "must be an integer"),
        ("sum(i for i in range(argmax(x)))", gradc.UnsupportedError, "the bounds of range"),
        ("sum(i for i in range(x))", gradc.ShapeError, "not an array"),
        ("[a for a in x if a > 0]", gradc.UnsupportedError, "one `for` and no `if`"),
        ("[[x[j] for j in range(t[i])] for i in range(n)]", gradc.ShapeError, "rows of different lengths"),
        ("sum(sum(x[i:] for i in range(n)))", gradc.ShapeError, "rows of different lengths"),
        ("max(x[i:] for i in range(n))", gradc.ShapeError, "rows of different lengths"),
        ("any(x[i:] for i in range(n))", gradc.ShapeError, "rows of different lengths"),
        ("sum(x[:t[i]] + x[:t[j]] for i in range(n) for j in range(n))", gradc.ShapeError, "cannot be shown"),
    ],
)
def test_loops_that_are_refused(text: str, error: type[gradc.GradcError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        gradc.compile(f"x: param[n]\nw: param[d]\nt: index[n]\n{text}")
    assert caught.value.line == 4
