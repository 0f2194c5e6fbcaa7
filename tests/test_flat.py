"""Loops over all elements of arrays are one loop over their memory; others stay loops over rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradc
from gradc.count import cost
from gradc.extents import Index, Poly
from gradc.loops import Accumulate, Apply, Assign, Element, For, Name, Product, Stmt, Sweep, walk
from gradc.ops import TRANSCENDENTAL
from gradc.program import Input, Provenance
from gradc.schedule.names import Names
from gradc.schedule.roles import roles
from gradc.schedule.together import Together, together

FLAT = {
    "function": "x: param[n, d]\nsum(tanh(x)**2)",
    "several arrays": "c: param\nx: param[n, d]\ny: data[n, d]\nsum(c*bce_with_logits(x, y))",
    "three axes": "x: param[n, d, 3]\nsum(sigmoid(x)*x)",
    "named values": "x: param[n, d]\ny: data[n, d]\nz = x - y\nmean(where(abs(z) < 1, z*z/2, abs(z) - 0.5))",
    "under a condition": "c: param\nx: param[n, d]\nsum(tanh(x)*c) if c > 0 else c",
}
TOGETHER = {
    "something of a column": "b: param[d]\nx: param[n, d]\nsum(tanh(x*b))",
    "data": "m: param[d]\ns: param[d]\nx: data[n, d]\nsum(((x - m)/s)**2)/2 + n*sum(log(abs(s)))",
    "along the first axis": "x: param[n, d]\nsum(logsumexp(x, axis=0))",
    "extremes": "x: param[n, d]\nsum(max(x, axis=0)) + sum(min(x, axis=0)**2)",
    "columns of a number": "b: param[3]\nx: param[n, 3]\nsum(exp(x*b))",
    "which column": "b: param[d]\nk: index[d]\nx: data[n, d]\nsum(tanh(x*b)*k)",
    "under a condition too": "c: param\nb: param[d]\nx: param[n, d]\nsum(tanh(x*b)*c) if c > 0 else c",
}
BESIDE = {
    "something of a row": "b: param[n]\nx: param[n, d]\nsum(tanh(x[i, j]*b[i]) for i in range(n) for j in range(d))",
    "weights of rows": "w: param[n]\nx: param[n, d]\nsum(w[i]*tanh(x[i, j]) for i in range(n) for j in range(d))",
    "picked rows": "A: param[k, d]\nc: index[n]\nx: data[n, d]\n"
    "sum(tanh(A[c[i], j]*x[i, j]) for i in range(n) for j in range(d))",
    "persons and items": "p: param[n]\na: param[d]\nb: param[d]\ny: data[n, d]\n"
    "z = [[a[j]*(p[i] - b[j]) for j in range(d)] for i in range(n)]\nmean(softplus(z) - y*z)",
    "integers of rows": "k: index[n]\nx: param[n, d]\n"
    "sum(tanh(x[i, j])*(k[i] % 3) for i in range(n) for j in range(d))",
    "conditions of rows": "w: param[n]\nx: param[n, d]\n"
    "sum(tanh(x[i, j])*(1 if w[i] > 0 else w[i]) for i in range(n) for j in range(d))",
    "a diagonal": "c: param\nx: data[n, d, d]\nsum(tanh(x[i, j, j]*c) for i in range(n) for j in range(d))",
}
"""What belongs to rows is copied beside the elements, what rows add up is put aside."""
LONGER = {
    "products": "A: param[d, k]\nx: data[n, d, d]\ny: data[n, d, k]\n"
    "sum((sum(x[i, j, q]*A[q, l] for q in range(d)) - y[i, j, l])**2"
    " for i in range(n) for j in range(d) for l in range(k))",
    "a vector": "b: param[d]\nx: data[n, k, d]\nw: data[n, k]\n"
    "sum(tanh(x[i, j] @ b)*w[i, j] for i in range(n) for j in range(k))",
    "columns": "b: param[d]\nx: param[n, k, d]\nsum(tanh(x*b))",
    "own sums": "x: param[n, k, d]\nsum(tanh(sum(x, axis=2)))",
}
"""Rows of two axes with a third one inside."""
HANDFUL = {
    "a field": "A: param[3, 3]\nx: data[n, 3]\nv: data[n, 3]\nsum((tanh(x @ A.T) - v)**2)",
    "weights": "w: data[n]\nx: param[n, 3]\nsum(tanh(x[i, j])*w[i] for i in range(n) for j in range(3))",
    "labels": "W: param[k, d]\nb: param[k]\nx: data[n, d]\ny: data[n, k]\nmean(bce_with_logits(x @ W.T + b, y))",
}
"""Functions of few elements of a row, or of what products leave."""
ROWS = {
    "columns turned round": "b: param[d]\nx: param[n, d]\n"
    "sum(tanh(x[i, j]*b[d - 1 - j]) for i in range(n) for j in range(d))",
    "a column and its place": "b: param[d]\nx: param[n, d]\n"
    "sum(tanh(x[i, j]*b[j] + j) for i in range(n) for j in range(d))",
    "neighbours": "x: param[n, d]\nsum(tanh(x[i, j] - x[i, j + 1]) for i in range(n) for j in range(d - 1))",
    "part of the rows": "x: param[n, d]\nsum(tanh(x[i + 1, j]) for i in range(n - 1) for j in range(d))",
    "turned round": "x: param[n, n]\nsum(tanh(x[i, j]*x[j, i]) for i in range(n) for j in range(n))",
    "turned round alone": "x: param[n, n]\ny: data[n, n]\nsum(y*x.T)",
    "one element": "x: param[n, d]\nsum(tanh(x[i, j]*x[0, 0]) for i in range(n) for j in range(d))",
    "the place": "x: param[n, d]\nsum(tanh(x[i, j]*i) for i in range(n) for j in range(d))",
    "a triangle": "x: param[n, n]\nsum(tanh(x[i, j]) for i in range(n) for j in range(i))",
    "one axis": "x: param[n]\nsum(tanh(x))",
    "sums of rows": "x: param[n, d]\nsum(tanh(sum(x, axis=1)))",
}
SHAPES = [(5, 3), (4, 4), (1, 1), (0, 3), (3, 0), (300, 7), (2, 600)]


def sweeps(text: str) -> list[Sweep]:
    function = gradc.compile(text, cache=False)
    routines = function._module.routines
    found = [s for r in routines for s, _ in walk(r.body) if isinstance(s, Sweep)]
    assert found
    return found


@pytest.mark.parametrize("name", FLAT)
def test_one_loop_over_memory(name: str) -> None:
    for s in sweeps(FLAT[name]):
        assert [i for t, i in walk(s.body) if isinstance(t, For)] == [()], s
        assert "x" in s.flat.arrays, s


@pytest.mark.parametrize("name", LONGER)
def test_two_axes_are_one_of_longer_rows(name: str) -> None:
    for s in sweeps(LONGER[name]):
        assert "n*k" in str(s.flat.size) or "d*n" in str(s.flat.size) or "k*n" in str(s.flat.size), s.flat
        assert "x" in s.flat.arrays


def test_products_of_longer_rows() -> None:
    rng = np.random.default_rng(0)
    A, x, y = rng.normal(size=(9, 10)), rng.normal(size=(20, 9, 9)), rng.normal(size=(20, 9, 10))
    function = gradc.compile(LONGER["products"], cache=False)
    value, gradient = function.value_and_grad(A, x, y)
    assert value == pytest.approx(np.sum((x @ A - y) ** 2), rel=1e-12)
    np.testing.assert_allclose(gradient.A, 2 * np.einsum("ijq,ijl->ql", x, x @ A - y), rtol=1e-11)
    (sweep,) = (s for r in function._module.routines if r.gradient for s in r.body if isinstance(s, Sweep))
    assert sum(isinstance(s, Product) for s, _ in walk(sweep.body)) == 2


@pytest.mark.parametrize("name", TOGETHER)
def test_short_rows_put_together(name: str) -> None:
    assert any(s.rows for s in sweeps(TOGETHER[name]))
    for s in sweeps(TOGETHER[name]):
        if s.rows:
            (tiles,) = s.body
            assert [i for t, i in walk(tiles.body) if isinstance(t, For)] == [()], s


@pytest.mark.parametrize("name", BESIDE)
def test_what_belongs_to_rows_is_copied_beside_the_elements(name: str) -> None:
    function = gradc.compile(BESIDE[name], cache=False)
    (sweep,) = (s for r in function._module.routines if r.gradient for s, _ in walk(r.body) if isinstance(s, Sweep))
    assert sweep.rows
    taken = [i for s, i in walk(sweep.body) if isinstance(s, Assign | Accumulate) and cost(s) >= TRANSCENDENTAL]
    assert taken
    assert all(len(i) == 1 and i[0].extent == sweep.flat.size for i in taken)


def test_rows_of_an_arm_that_is_not_taken_are_not_copied() -> None:
    text = (
        "A: param[k, d]\nc: index[n]\nx: param[n, d]\n"
        "sum(tanh(x[i, j])*(A[c[i], j] if 0 <= c[i] < k else 1) for i in range(n) for j in range(d))"
    )
    A, x, wild = np.ones((2, 3)), np.ones((4, 3)), np.array([1, -(10**9), 0, -1])
    for backend in ("numba", "python"):
        value, gradient = gradc.compile(text, backend=backend, cache=False).value_and_grad(A, wild, x)
        assert value == pytest.approx(12 * np.tanh(1), rel=1e-12)
        np.testing.assert_allclose(gradient.A, np.full((2, 3), np.tanh(1)), rtol=1e-12)


@pytest.mark.parametrize("name", HANDFUL)
def test_functions_run_along_the_rows_of_a_tile(name: str) -> None:
    function = gradc.compile(HANDFUL[name], cache=False)
    (sweep,) = (s for r in function._module.routines if r.gradient for s, _ in walk(r.body) if isinstance(s, Sweep))
    around = [
        loops[-1] for s, loops in walk(sweep.body) if isinstance(s, Assign | Accumulate) and cost(s) >= TRANSCENDENTAL
    ]
    assert around
    assert all(i == sweep.index for i in around)


@pytest.mark.parametrize("name", ROWS)
def test_loops_over_rows(name: str) -> None:
    assert not any(s.flat.arrays or s.rows for s in sweeps(ROWS[name]))


def inputs(function: gradc.Function, n: int, d: int) -> dict[str, Any]:
    rng = np.random.default_rng(n + d)
    sizes = {"n": n, "d": d, "k": 5, "3": 3}

    def of(i: Input) -> Any:
        shape = [sizes[str(length)] for length in i.shape]
        return rng.integers(0, 5, shape) if i.kind == "index" else rng.normal(size=shape)

    return {i.name: of(i) for i in function.signature}


def test_vectors_of_a_row_are_not_put_together() -> None:
    def element(array: str, *at: str) -> Element:
        return Element(array, tuple(Name(a, "int") for a in at), "float")

    n, d = Poly.atom("n"), Poly.atom("d")
    shapes = {"x": (n, d), "t": (d,)}

    def put_together(*body: Stmt) -> Together | None:
        loop = For(Index(n, 0), "i", (For(Index(d, 0), "j", body),))
        found = roles(loop)
        assert found is not None
        return together(loop, found, shapes, Names(Provenance(), ()), ("first", "last"))

    product = Apply("mul", (element("x", "i", "j"), element("t", "j")), "float")
    total = Accumulate(Name("total", "float"), "add", product)
    assert put_together(total) is not None
    assert put_together(Assign(element("t", "j"), element("x", "i", "j")), total) is None


BOTH = [(name, dtype) for name in (*FLAT, *TOGETHER, *BESIDE, *LONGER, *HANDFUL) for dtype in ("float64", "float32")]


@pytest.mark.parametrize(("name", "dtype"), [*BOTH, *((name, "float64") for name in ROWS)])
def test_same_as_uncompiled(name: str, dtype: str) -> None:
    text = {**FLAT, **TOGETHER, **BESIDE, **LONGER, **HANDFUL, **ROWS}[name]
    compiled, plain = (gradc.compile(text, dtype=dtype, cache=False, backend=b) for b in ("numba", "python"))
    rtol = 1e-12 if dtype == "float64" else 1e-4
    for n, d in SHAPES:
        if ("[0, 0]" in text or "max" in text or "mean" in text) and not n * d:
            continue
        given = inputs(plain, n, d)
        value, gradient = compiled.value_and_grad(**given)
        assert np.isclose(value, plain(**given), rtol=rtol, equal_nan=True)
        for name_, of in plain.grad(**given)._asdict().items():
            scale = np.max(np.abs(of), initial=1)
            np.testing.assert_allclose(getattr(gradient, name_), of, rtol=rtol, atol=rtol * scale)


@pytest.mark.parametrize(
    "text", [*FLAT.values(), *TOGETHER.values(), *BESIDE.values(), *LONGER.values(), *HANDFUL.values()]
)
def test_gradients_are_those_of_differences(text: str) -> None:
    function = gradc.compile(text, backend="python", cache=False)
    report = function.check(**inputs(function, 5, 3))
    assert report.ok, report


def test_chunks_of_elements_on_threads() -> None:
    x = np.random.default_rng(0).normal(size=(70_001, 3))
    values = set()
    for threads in (1, 2, 3):
        value, gradient = gradc.compile(FLAT["function"], threads=threads, cache=False).value_and_grad(x)
        np.testing.assert_allclose(gradient.x, 2 * np.tanh(x) / np.cosh(x) ** 2, rtol=1e-12, atol=1e-300)
        assert value == pytest.approx(np.sum(np.tanh(x) ** 2), rel=1e-12)
        values.add((value, gradient.x.tobytes()))
    assert len(values) == 1


def test_lengths_below_zero_are_not_multiplied() -> None:
    text = "x: param[n, d]\nt = cumsum(x[2:, 2:], axis=0)\ns = sum(t)\nsum(tanh(t - s)*t)"
    for backend in ("numba", "python"):
        function = gradc.compile(text, backend=backend, cache=False)
        for shape in ((1, 1), (0, 1), (0, 0)):
            value, gradient = function.value_and_grad(np.ones(shape))
            assert value == 0
            assert not gradient.x.any()


@pytest.mark.parametrize("text", [FLAT["function"], TOGETHER["something of a column"], LONGER["columns"]])
def test_the_text_alone_takes_any_array(text: str) -> None:
    function = gradc.compile(text, cache=False)
    module: dict[str, Any] = {}
    exec(function.source, module)
    given = inputs(function, 7, 3)
    x = given["x"]
    for layout in (np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2], x[::-1]):
        new = {**given, "x": layout}
        expected, alone = function.value_and_grad(**new), module["value_and_grad"](*new.values())
        assert alone[0] == pytest.approx(expected[0], rel=1e-12)
        for a, b in zip(alone[1], expected[1], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


def test_inputs_whose_elements_do_not_lie_together() -> None:
    x = np.random.default_rng(0).normal(size=(6, 8))
    for given in (x[::2, ::2], x.T, x[:, ::-1], x[:0]):
        for backend in ("numba", "python"):
            function = gradc.compile(FLAT["function"], backend=backend, cache=False)
            np.testing.assert_allclose(function.grad(given).x, 2 * np.tanh(given) / np.cosh(given) ** 2, rtol=1e-12)
