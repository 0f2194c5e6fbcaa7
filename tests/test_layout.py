"""Matrices of a tile lie with its rows first where loops run along rows of data, and nobody else needs them."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from msgspec.structs import replace

import gradc
from gradc.extents import Index, Poly
from gradc.loops import Accumulate, Apply, Element, Expr, For, Name, Product, View
from gradc.schedule.layout import laid_out, rows_first

FACTORS = "U: param[n, k]\nV: param[m, k]\nr: data[n, m]\nsum((r - U @ V.T)**2) + 0.1*sum(U**2)"
SEVERAL = "W: param[d, m]\nb: param[m]\nx: data[n, d]\nr: data[n, m]\nmean((x @ W + b - r)**2)"
INPUTS = "x: data[n, d]\nW: param[m, d]\nr: data[n, m]\ns: data[n, m]\nu: data[n]\n"
FIRST = {
    "factors": FACTORS,
    "regressions": SEVERAL,
    "of rows": INPUTS + "sum(u[i]*(x @ W.T - r)[i, j]**2 for i in range(n) for j in range(m))",
    "handed on": INPUTS + "z = x @ W.T\nsum(z*r) + sum(((z*s) @ W)**2)",
}
LAST = {
    "functions": INPUTS + "sum(exp(x @ W.T)*r)",
    "no rows of data": INPUTS + "sum((x @ W.T)**2)",
    "other places": INPUTS + "z = x @ W.T\nsum((z[i, j] - r[i, m - 1 - j])**2 for i in range(n) for j in range(m))",
    "beside one that lies otherwise": INPUTS
    + "z = x @ W.T\ny = (x*x) @ W.T\nsum(z*y*r) + sum(sin(y[i, j]) for i in range(n) for j in range(m - 1))",
    "functions elsewhere": INPUTS + "z = x @ W.T\nsum(z*r) + sum(tanh(z @ W) * 2)**2 + sum(sin(z))",
}


def kernel(text: str) -> str:
    source = gradc.compile(text, cache=False).source
    return source[source.index("def value_and_grad_rows") : source.index("def value_and_grad(")]


@pytest.mark.parametrize("name", FIRST)
def test_rows_first(name: str) -> None:
    code = kernel(FIRST[name])
    assert "= empty((tile, m))" in code, code
    assert "= empty((m, tile))" not in code, code
    assert re.search(r"for i in range\(start, stop\):\n +for \w+ in range\(m\):", code), code


@pytest.mark.parametrize("name", LAST)
def test_rows_last(name: str) -> None:
    code = kernel(LAST[name])
    assert re.search(r"(z|result_sum\w*) = empty\(\(m, tile\)\)", code), code
    assert not re.search(r"(z|result_sum\w*) = empty\(\(tile, m\)\)", code), code


def inputs(n: int, m: int, d: int) -> dict[str, Any]:
    rng = np.random.default_rng(n + m)
    shapes = {"x": (n, d), "W": (m, d), "r": (n, m), "s": (n, m), "u": (n,)}
    return {name: rng.normal(size=shape) / 3 for name, shape in shapes.items()}


def by_hand(name: str, W: npt.NDArray[Any], x: Any, r: Any, s: Any, u: Any) -> Any:
    z = x @ W.T
    if name == "of rows":
        return np.sum(u[:, None] * (z - r) ** 2)
    if name == "handed on":
        return np.sum(z * r) + np.sum(((z * s) @ W) ** 2)
    if name == "other places":
        return np.sum((z - r[:, ::-1]) ** 2)
    if name == "beside one that lies otherwise":
        y = (x * x) @ W.T
        return np.sum(z * y * r) + np.sum(np.sin(y[:, :-1]))
    return np.sum(z * r) + np.sum(np.tanh(z @ W) * 2) ** 2 + np.sum(np.sin(z))


@pytest.mark.parametrize(
    "name", ["of rows", "handed on", *(name for name in LAST if name[0] in "bo"), "functions elsewhere"]
)
@pytest.mark.parametrize("backend", ["numba", "python"])
def test_results(name: str, backend: str) -> None:
    """Against NumPy and complex steps, with rows and columns that fill no tile and no vector."""
    function = gradc.compile({**FIRST, **LAST}[name], backend=backend, cache=False)
    for n, m, d in ((1, 1, 1), (3, 9, 2), (90, 13, 70), (7, 70, 11)):
        given = inputs(n, m, d)
        value, gradient = function.value_and_grad(**given)
        assert value == pytest.approx(by_hand(name, **given), rel=1e-12)
        for k, j in itertools.product({0, m - 1}, {0, d - 1}):
            step = given["W"].astype(complex)
            step[k, j] += 1e-30j
            assert gradient.W[k, j] == pytest.approx(by_hand(name, **given | {"W": step}).imag / 1e-30, rel=1e-10)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_regressions_and_factors(dtype: str) -> None:
    rtol = 1e-12 if dtype == "float64" else 1e-4
    rng = np.random.default_rng(0)
    for n, m, d in ((1, 1, 1), (50, 10, 5), (123, 70, 20)):
        U, V, r = rng.normal(size=(n, d)), rng.normal(size=(m, d)), rng.normal(size=(n, m))
        value, (U_bar, V_bar) = gradc.compile(FACTORS, dtype=dtype, cache=False).value_and_grad(U, V, r)
        e = U @ V.T - r
        assert value == pytest.approx(np.sum(e**2) + 0.1 * np.sum(U**2), rel=rtol)
        np.testing.assert_allclose(U_bar, 2 * e @ V + 0.2 * U, rtol=rtol, atol=100 * rtol)
        np.testing.assert_allclose(V_bar, 2 * e.T @ U, rtol=rtol, atol=100 * rtol)
        W, b = rng.normal(size=(d, m)), rng.normal(size=m)
        value, (W_bar, b_bar) = gradc.compile(SEVERAL, dtype=dtype, cache=False).value_and_grad(W, b, U, r)
        e = U @ W + b - r
        assert value == pytest.approx(np.mean(e**2), rel=rtol)
        np.testing.assert_allclose(W_bar, 2 * U.T @ e / e.size, rtol=rtol, atol=100 * rtol)
        np.testing.assert_allclose(b_bar, 2 * e.sum(0) / e.size, rtol=rtol, atol=100 * rtol)


PICKED = "E: param[v, k]\nW: param[m, k]\ni: index[n]\nt: data[n, m]\n"
GATHERED = {
    "one": PICKED + "mean((E[i] @ W.T - t)**2)",
    "exponentials": PICKED + "mean(exp(E[i] @ W.T)*t)",
    "beside itself": PICKED + "mean((E[i] @ W.T - t)**2) + sum(E[i]**2) + sum(E)",
    "two": PICKED + "j: index[n]\nmean(((E[i] + 0.0*W[0, 0]) @ W.T - t)**2) + sum((E[j] @ W.T)*t)",
}


def picked(name: str, E: npt.NDArray[Any], W: Any, i: Any, t: Any, j: Any = None) -> Any:
    z = E[i] @ W.T
    if name == "exponentials":
        return np.mean(np.exp(z) * t)
    loss = np.mean((z - t) ** 2)
    if name == "beside itself":
        return loss + np.sum(E[i] ** 2) + np.sum(E)
    return loss if name == "one" else loss + np.sum((E[j] @ W.T) * t)


@pytest.mark.parametrize("name", GATHERED)
@pytest.mark.parametrize("backend", ["numba", "python"])
def test_rows_that_an_index_picks_are_put_together_for_products(name: str, backend: str) -> None:
    """Against NumPy and complex steps; the same rows are picked several times, others never."""
    function = gradc.compile(GATHERED[name], backend=backend, cache=False)
    code = function.source
    assert re.search(r"E_tile(_2)?\[(\w - start, \w)\] = E\[\w_\w+, \w\]", code), code
    assert re.search(r"multiply\(.*E_tile", code), code
    for n, m, v, k in ((1, 1, 1, 1), (100, 13, 7, 20), (40, 70, 300, 9)):
        rng = np.random.default_rng(n)
        given: dict[str, Any] = {
            "E": rng.normal(size=(v, k)) / 2,
            "W": rng.normal(size=(m, k)),
            "t": rng.normal(size=(n, m)),
        }
        given |= {index: rng.integers(0, v, n) for index in "ij" if f"{index}: index" in GATHERED[name]}
        value, gradient = function.value_and_grad(**given)
        assert value == pytest.approx(picked(name, **given), rel=1e-12)
        for array, at in (("E", (given["i"][0], 0)), ("E", (v - 1, k - 1)), ("W", (m - 1, 0)), ("W", (0, k - 1))):
            step = given[array].astype(complex)
            step[at] += 1e-30j
            expected = picked(name, **given | {array: step}).imag / 1e-30
            assert getattr(gradient, array)[at] == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_rows_put_together_count_for_the_height_of_a_tile() -> None:
    """Beside the data, and the arrays for the product, the residual and the adjoint of what was picked."""
    assert "2048//(2*k + 3*m + 2)" in kernel(GATHERED["one"])


def test_other_rows_that_are_picked_stay_where_they_are() -> None:
    """Under a condition or by arithmetic they may be out of range; parts of rows are no rows; nor is once enough."""
    condition = PICKED + "s: data[n]\nsum(sum(E[i[r], c]*W[q, c] for c in range(k))*t[r, q] if s[r] > 0 else 0.0 "
    condition += "for r in range(n) for q in range(m))"
    arithmetic = (
        PICKED + "sum(sum(E[i[r] // 2, c]*W[q, c] for c in range(k))*t[r, q] for r in range(n) for q in range(m))"
    )
    part = "E: param[v, 30]\nW: param[m, 20]\ni: index[n]\nt: data[n, m]\n"
    part += "sum(sum(E[i[r], c]*W[q, c] for c in range(20))*t[r, q] for r in range(n) for q in range(m))"
    vector = "E: param[v, k]\nw: param[k]\ni: index[n]\nsum((E[i] @ w)**2)"
    for text in (condition, arithmetic, part, vector):
        assert "E_tile" not in gradc.compile(text, cache=False).source


def test_loops_run_along_rows_that_an_index_picks() -> None:
    """There is nothing to be gained from a tile."""
    text = "E: param[v, k]\nF: param[v, k]\ni: index[n]\nj: index[n]\ny: data[n]\n"
    text += "mean((sum(E[i[r], c]*F[j[r], c] for c in range(k)) - y[r])**2 for r in range(n))"
    function = gradc.compile(text, cache=False)
    code = kernel(text)
    assert "tile" not in code
    assert re.search(r"for c in range\(k\):\n( +# .*\n)* +E_bar\[i_r, c\] \+= .*F\[j_r, c\]", code), code
    rng = np.random.default_rng(0)
    E, F, y = rng.normal(size=(7, 9)), rng.normal(size=(7, 9)), rng.normal(size=50)
    i, j = rng.integers(0, 7, 50), rng.integers(0, 7, 50)
    value, gradient = function.value_and_grad(E, F, i, j, y)
    e = np.sum(E[i] * F[j], axis=1) - y
    E_bar = np.zeros_like(E)
    np.add.at(E_bar, i, 2 / 50 * e[:, None] * F[j])
    assert value == pytest.approx(np.mean(e**2), rel=1e-12)
    np.testing.assert_allclose(gradient.E, E_bar, rtol=1e-12, atol=1e-14)


def test_an_index_out_of_range_is_found_before_rows_are_put_together() -> None:
    function = gradc.compile(GATHERED["one"], cache=False)
    E, W, t = np.ones((3, 4)), np.ones((2, 4)), np.ones((5, 2))
    for wrong in (3, -1, 10**12):
        with pytest.raises(gradc.InputError, match="out of range"):
            function.value_and_grad(E, W, np.array([0, 1, 2, wrong, 0]), t)


ROWS, COLUMNS, SUMMED = (Index(Poly.atom(name), 0) for name in "nmk")
SIZES = {"z": (3, 5), "a": (3, 4), "b": (4, 5), "v": (4,), "w": (3,), "t": (3,), "s": (4,)}


def multiplied(product: Product, arrays: dict[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """What the product gives for arrays as they lie."""

    def viewed(v: View) -> npt.NDArray[Any]:
        assert len(v.slices) == arrays[v.array].ndim
        return arrays[v.array].T if v.transposed else arrays[v.array]

    return np.asarray(viewed(product.left) @ viewed(product.right))


@pytest.mark.parametrize("first", ["".join(c) for k in range(4) for c in itertools.combinations("zab", k)])
@pytest.mark.parametrize("flips", list(itertools.product((False, True), repeat=2)), ids=str)
def test_products_are_the_same_however_their_matrices_lie(first: str, flips: tuple[bool, bool]) -> None:
    """A matrix that lies otherwise has its axes in the other order; the result comes in the order of its target."""
    names = set(first)
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=shape) for name, shape in SIZES.items()}
    lying = dict(arrays)
    for name, flipped in zip("ab", flips, strict=True):
        lying[name] = arrays[name].T if flipped else arrays[name]
    whole = (None, None)
    matrices = Product(
        View("z", whole), View("a", whole, flips[0]), View("b", whole, flips[1]), True, (ROWS, COLUMNS, SUMMED)
    )
    of_rows = {n: a.T if n in names else a for n, a in lying.items()}
    expected = arrays["a"] @ arrays["b"]
    np.testing.assert_allclose(multiplied(laid_out(matrices, names), of_rows), expected.T if "z" in names else expected)
    if not any(flips):
        row = Product(View("t", (None,)), View("a", whole), View("v", (None,)), True, (ROWS, SUMMED))
        np.testing.assert_allclose(multiplied(laid_out(row, names), of_rows), arrays["a"] @ arrays["v"])
        column = replace(row, target=View("s", (None,)), left=View("w", (None,)), right=View("a", whole))
        np.testing.assert_allclose(multiplied(laid_out(column, names), of_rows), arrays["w"] @ arrays["a"])
        for product in (laid_out(row, names), laid_out(column, names)):
            assert not product.left.transposed
            assert not product.right.transposed


def test_what_a_loop_across_rows_needs_spoils_others() -> None:
    """The first loop needs `y` as the second does, and so `z` lies as the first one has it, for the third, too."""
    i, k = Name("i", "int"), Name("k", "int")
    z, y, r = Element("z", (k,), "float"), Element("y", (k,), "float"), Element("r", (i, k), "float")

    def adding(value: Expr) -> For:
        return For(COLUMNS, "k", (Accumulate(Name("total", "float"), "add", value),))

    row = For(ROWS, "i", ())
    both = adding(Apply("mul", (z, Apply("mul", (y, r), "float")), "float"))
    function, one = adding(Apply("sin", (y,), "float")), adding(Apply("mul", (z, r), "float"))
    assert rows_first([both, one], row, {}, "zy") == ({"z", "y"}, [both, one])
    assert rows_first([one, function], row, {}, "zy") == ({"z"}, [one])
    assert rows_first([both, function, one], row, {}, "zy") == (set(), [])
