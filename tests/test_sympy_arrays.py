"""SymPy's arrays: sums by their definition, matrices against NumPy, losses against the same as text."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy
from sympy import IndexedBase, MatrixSymbol, Piecewise, Product, Rational, Sum, Symbol, symbols

import gradc

X, Y, Z = symbols("x y z", real=True)
N, M, K = symbols("n m K", integer=True)
i, j = symbols("i j", integer=True)
ROWS, ALSO = (i, 0, N - 1), (j, 0, N - 1)
W, V, A = IndexedBase("w"), IndexedBase("v"), IndexedBase("A")


def compiled(expression: Any, **options: Any) -> gradc.Function:
    return gradc.compile(expression, backend="python", **options)


# index notation


def by_definition(e: Any, values: dict[str, Any], bound: dict[Any, int]) -> float:
    """What an expression of sums means, written down once more."""

    def part(p: Any) -> float:
        return by_definition(p, values, bound)

    if isinstance(e, Symbol | sympy.Idx):
        return bound[e] if e in bound else float(values[e.name])
    if isinstance(e, sympy.Indexed):
        return float(values[e.base.label.name][tuple(round(part(s)) for s in e.indices)])
    if isinstance(e, Sum | Product):
        *inner, (index, low, high) = e.limits
        body = e.func(e.function, *inner) if inner else e.function
        terms = [
            by_definition(body, values, {**bound, index: k}) for k in range(round(part(low)), round(part(high)) + 1)
        ]
        return math.fsum(terms) if isinstance(e, Sum) else math.prod(terms)
    if isinstance(e, sympy.KroneckerDelta):
        return float(e.func(*(round(part(p)) for p in e.args[:2]), *e.args[2:]))
    if isinstance(e, Piecewise):
        return next(part(arm) for arm, holds in e.args if part(holds))
    if not e.args:
        return float(bool(e)) if e.is_Boolean else float(e)
    result = e.func(*(sympy.Float(part(p), 17) for p in e.args))
    return float(bool(result)) if result.is_Boolean else float(result)


SUMS = {
    "quadratic form": Sum(W[i] * A[i, j] * W[j], ROWS, ALSO),
    "triangle": Sum(sympy.sin(W[i]) * W[j], (j, 0, i), ROWS),
    "strict triangle": Sum((W[i] - W[j]) ** 2, (j, i + 1, N - 1), (i, 0, N - 2)) + Sum(W[i], ROWS),
    "nested": Sum(sympy.exp(-Sum(A[i, j] * V[j], (j, 0, M - 1))), ROWS) / N,
    "one index, two sums": Sum(W[i], ROWS) * Sum(V[i] ** 2, (i, 0, M - 1)),
    "one element, two ranges": Sum(W[i], ROWS) * Sum(W[i], (i, 1, N - 1)) + Sum(W[i], (j, 0, 1), ROWS),
    "an index used again inside": Sum(W[i] * Sum(V[i], (i, 0, M - 1)), ROWS),
    "product": Product(1 + W[i] / 3, ROWS) + Sum(Product(W[j], (j, 0, i)), ROWS),
    "neighbours": Sum((W[i + 1] - W[i]) ** 2, (i, 0, N - 2)) + Sum(W[i] * W[i - 1], (i, 1, N - 1)) + Sum(W[i], ROWS),
    "reversed": Sum(W[i] * W[N - 1 - i], ROWS),
    "an index as a number": Sum(W[i] * (i + 1) ** 2 / (N + i), ROWS),
    "conditions on indices": Sum(Piecewise((W[i], i < j), (W[j] ** 2, sympy.Eq(i, j)), (2, True)), ROWS, ALSO),
    "delta": Sum(sympy.KroneckerDelta(i, j) * W[i] * W[j], ROWS, ALSO),
    "delta in a range": Sum(sympy.KroneckerDelta(i, j, (1, 2)) * W[i] * W[j], ROWS, ALSO),
    "half a range": Sum(W[2 * i], (i, 0, sympy.floor((N + 1) / 2) - 1)) + Sum(W[i], ROWS),
    "empty": Sum(W[i], ROWS) + Sum(W[i] * W[j], (j, N, N - 1), ROWS),
    "subscripts that are shifted": Sum(W[i + 1] - W[i], ROWS) + Sum(V[i + j] * A[i, j], ROWS, (j, 0, M - 1)),
    "every other": Sum(W[2 * i] * W[2 * i + 1], ROWS) * Sum(V[i], ROWS),
    "quotients": Sum(W[sympy.floor(i / M)] * V[sympy.Mod(i, M)], (i, 0, N * M - 1)) + Sum(W[i], ROWS) * Sum(
        V[i], (i, 0, M - 1)
    ),
    "a number of elements": Sum(W[i] * V[2], (i, 0, 2)) + V[0] + Sum(V[i], (i, 0, M - 1)),
    "large integers": Sum(i**9 * W[i], ROWS) + Sum((10**6 * i) ** 4, ROWS) * W[0],
}  # fmt: skip


@pytest.mark.parametrize("name", SUMS)
def test_index_notation(name: str) -> None:
    rng = np.random.default_rng(3)
    function = compiled(SUMS[name])
    sizes = {"n": 4, "m": 3}
    values = {i.name: rng.uniform(0.3, 1.7, [p.length(sizes) for p in i.shape]) for i in function.signature}
    wanted = by_definition(SUMS[name], {**values, **sizes}, {})
    assert function(**values) == pytest.approx(wanted, rel=1e-13)
    assert function.check(**values).ok


def test_index_inputs() -> None:
    k, p = IndexedBase("k", integer=True), Symbol("p", integer=True)
    x = IndexedBase("x", shape=(M,))
    function = compiled(Sum(x[k[i]] * x[k[i] - k[i] + p], ROWS) + x[p] * p)
    assert str(function) == "gradc.Function(x: param[m], k: index[n], p: index)"
    values, at = np.array([2.0, 3.0, 5.0]), np.array([0, 2, 2])
    assert function(values, at, 1) == (2 + 5 + 5) * 3 + 3
    assert function.grad(values, at, 1).x.tolist() == [3.0, 12.0 + 1, 6.0]
    with pytest.raises(gradc.InputError, match="k"):
        function(values, [0, 3, 1], 1)


def test_ranges_that_are_data() -> None:
    """Rows of different lengths, one behind the other."""
    start, item, p = IndexedBase("start"), IndexedBase("item", shape=(M,)), sympy.Idx("p")
    function = compiled(Sum(W[i] * V[item[p]] ** 2, (p, start[i], start[i + 1] - 1), ROWS) + Sum(V[i], (i, 0, K - 1)))
    assert str(function) == "gradc.Function(v: param[K], w: param[n], item: index[m], start: index[n + 1])"
    values = {"v": [2.0, 3.0, 5.0], "w": [1.0, 10.0, 100.0], "start": [0, 2, 2, 3], "item": [2, 0, 1]}
    assert function(**values) == 25 + 4 + 900 + 10
    assert function.grad(**values).v.tolist() == [1 + 2 * 2, 1 + 2 * 3 * 100, 1 + 2 * 5]
    assert function.grad(**values).w.tolist() == [29, 0, 9]
    assert function(**{**values, "start": [0, 2, 1, 3]}) == 25 + 4 + 100 * (4 + 9) + 10  # the second row is empty
    with pytest.raises(gradc.InputError, match="item"):
        function(**{**values, "start": [0, 2, 2, 4]})
    with pytest.raises(gradc.InputError, match="item"):
        function(**{**values, "start": [-1, 2, 2, 3]})


def test_integers_in_bounds_that_are_no_lengths() -> None:
    exponential = compiled(Sum(X**i / sympy.factorial(i), (i, 0, K)))
    assert str(exponential) == "gradc.Function(x: param, K: index)"
    assert exponential(0.5, 20) == pytest.approx(math.exp(0.5), rel=1e-15)
    assert exponential(0.5, 0) == 1.0
    assert exponential(0.5, -3) == 0.0
    assert exponential.grad(0.5, 20).x == pytest.approx(math.exp(0.5), rel=1e-15)
    with pytest.raises(gradc.UnsupportedError, match="may be any of"):
        compiled(Sum(W[i], (i, 0, K)) * Sum(W[i], ROWS))


def test_rows_of_triangles() -> None:
    t = IndexedBase("t", shape=(N,), integer=True)
    x = IndexedBase("x", shape=(M,))
    function = compiled(Sum(x[t[i] * (t[i] + 1) / 2], ROWS))
    assert function([1.0, 2.0, 4.0, 8.0], [0, 2, 1]) == 1 + 8 + 2


def test_ranges_of_indices_declared_with_them() -> None:
    i = sympy.Idx("i", N)
    assert compiled(Sum(W[i] ** 2, i))([1.0, 2.0]) == 5.0
    assert compiled(Sum(W[i] * W[sympy.Idx(1, N)], i))([1.0, 2.0]) == 6.0


def test_shapes() -> None:
    d = symbols("d", integer=True)
    packed = IndexedBase("l", shape=(d * (d - 1) / 2,))
    function = compiled(Sum(packed[i] ** 2, (i, 0, d * (d - 1) / 2 - 1)) * Sum(W[i], (i, 0, d - 1)))
    assert function([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]) == 42.0
    with pytest.raises(gradc.InputError):
        function([1.0, 2.0], [1.0, 1.0, 1.0])
    single = IndexedBase("s", shape=(N, 1))
    assert compiled(Sum(single[i, 0], ROWS))([[1.0], [2.0]]) == 3.0


# matrices


def test_matrices() -> None:
    rng = np.random.default_rng(5)
    P, Q, R = MatrixSymbol("P", N, N), MatrixSymbol("Q", N, N), MatrixSymbol("R", N, M)
    u, r = MatrixSymbol("u", N, 1), MatrixSymbol("r", 1, N)
    p, q, s = rng.normal(size=(3, 3)), rng.normal(size=(3, 3)), rng.normal(size=(3, 2))
    a, b = rng.normal(size=(3, 1)), rng.normal(size=(1, 3))
    given = {"P": p, "Q": q, "R": s, "u": a, "r": b, "x": 0.7}
    hadamard, power = sympy.HadamardProduct(P, Q), sympy.HadamardPower(P, 2)
    cases = [
        (sympy.Trace(P * Q), np.trace(p @ q)),
        (sympy.Trace(P * Q.T * P), np.trace(p @ q.T @ p)),
        (sympy.Trace(P + 2 * Q - X * sympy.Identity(N)), np.trace(p + 2 * q - 0.7 * np.eye(3))),
        (u.T * P * Q * u, (a.T @ p @ q @ a).item()),
        (r * P * u + X * r * u, (b @ p @ a + 0.7 * b @ a).item()),
        ((r * P * u)[0, 0], (b @ p @ a).item()),
        (sympy.Trace(R * R.T * P**3), np.trace(s @ s.T @ p @ p @ p)),
        (sympy.Trace(hadamard * power), np.trace((p * q) @ p**2)),
        (sympy.Trace((P.T * Q).applyfunc(sympy.tanh)), np.trace(np.tanh(p.T @ q))),
        (Sum(P.applyfunc(sympy.sin)[i, j] * (P * Q)[j, i], ROWS, ALSO), np.sum(np.sin(p) * (p @ q).T)),
        (sympy.Trace(sympy.OneMatrix(N, N) * P), p.sum()),
        (sympy.DotProduct(u, r), (b @ a).item()),
        (P[0, 1] * Q[N - 1, 0] + R[1, 1], p[0, 1] * q[2, 0] + s[1, 1]),
        (sympy.Trace(P + sympy.ZeroMatrix(N, N)) ** 2 * sympy.sin(X), np.trace(p) ** 2 * math.sin(0.7)),
    ]  # fmt: skip
    for expression, wanted in cases:
        function = compiled(expression)
        inputs = {i.name: given[i.name] for i in function.signature}
        assert function(**inputs) == pytest.approx(wanted, rel=1e-12), expression
        assert function.check(**inputs).ok, expression


def test_linear_algebra() -> None:
    rng = np.random.default_rng(6)
    P, Q, R = MatrixSymbol("P", N, N), MatrixSymbol("Q", N, N), MatrixSymbol("R", N, M)
    u, r = MatrixSymbol("u", N, 1), MatrixSymbol("r", 1, N)
    p, q, s = np.eye(3) * 3 + rng.normal(size=(3, 3)), rng.normal(size=(3, 3)), rng.normal(size=(3, 2))
    a, b = rng.normal(size=(3, 1)), rng.normal(size=(1, 3))
    given = {"P": p, "Q": q, "R": s, "u": a, "r": b, "x": 0.7}
    i = np.linalg.inv(p)
    cases = [
        (u.T * P.I * u, (a.T @ i @ a).item()),
        (r * Q * P.I * P.T.I * u, (b @ q @ i @ i.T @ a).item()),
        (sympy.Trace(P.I * Q), np.trace(i @ q)),
        (sympy.Trace(Q * P.I), np.trace(q @ i)),
        (sympy.Trace(P**-2 * Q), np.trace(i @ i @ q)),
        (sympy.Trace(X * (P + X * sympy.Identity(N)).I), 0.7 * np.trace(np.linalg.inv(p + 0.7 * np.eye(3)))),
        (sympy.Trace(R.T * P.I * R), np.trace(s.T @ i @ s)),
        (P.I[0, 1], i[0, 1]),
        (sympy.Determinant(P) * X, np.linalg.det(p) * 0.7),
        (sympy.log(sympy.Determinant(P * P.T)) / 2, math.log(abs(np.linalg.det(p)))),
        (sympy.log(sympy.Determinant(P + 100 * sympy.Identity(N))), math.log(np.linalg.det(p + 100 * np.eye(3)))),
    ]
    for expression, wanted in cases:
        function = compiled(expression)
        inputs = {i.name: given[i.name] for i in function.signature}
        assert function(**inputs) == pytest.approx(wanted, rel=1e-11), expression
        assert function.check(**inputs).ok, expression
    assert "lu_solve(" in compiled(u.T * P.I * u).source
    assert math.isnan(compiled(sympy.log(sympy.Determinant(P)))(np.diag([1.0, -1.0])))


def test_matrices_by_formula_and_in_parts() -> None:
    rng = np.random.default_rng(9)
    P, Q, u = MatrixSymbol("P", N, N), MatrixSymbol("Q", N, M), MatrixSymbol("u", N, 1)
    p, q, a = np.eye(4) * 3 + rng.normal(size=(4, 4)), rng.normal(size=(4, 2)), rng.normal(size=(4, 1))
    given = {"P": p, "Q": q, "u": a, "x": 0.7, "w": rng.normal(size=4)}
    distance = np.exp(-0.7 * (given["w"][:, None] - given["w"]) ** 2)
    kernel = sympy.FunctionMatrix(N, N, sympy.Lambda((i, j), sympy.exp(-X * (W[i] - W[j]) ** 2)))
    k = symbols("k", integer=True)
    squares = sympy.FunctionMatrix(N, M, sympy.Lambda((i, j), Sum(P[i, k] * Q[k, j] * (i + 2 * j), (k, 0, N - 1))))
    weighted = p @ q * (np.arange(4)[:, None] + 2 * np.arange(2))
    scaled = sympy.FunctionMatrix(N, N, sympy.Lambda((i, j), (k + i + 1) * P[i, j]))
    whole = Sum(W[i], ROWS) - Sum(W[i], ROWS)
    cases = [
        (sympy.Trace(u.T * (kernel + sympy.Identity(N)).I * u),
         (a.T @ np.linalg.solve(distance + np.eye(4), a)).item()),
        (sympy.log(sympy.Determinant(kernel)) + whole, np.log(np.linalg.det(distance))),
        (sympy.Trace(squares * Q.T), np.trace(weighted @ q.T)),
        (Sum(sympy.Determinant(scaled), (k, 0, 2)), np.linalg.det(p) * 24 * sum(map(math.comb, (4, 5, 6), (4, 4, 4)))),
        (sympy.Trace(sympy.FunctionMatrix(1, 1, sympy.Lambda((i, j), X + i + j))), 0.7),
        (sympy.Trace(P[0:2, 1:3]), p[0, 1] + p[1, 2]),
        (sympy.Trace(P[0 : N - 1, 1:N]), np.trace(p, 1)),
        (sympy.Trace(P[0:4:2, 0:4:2]), p[0, 0] + p[2, 2]),
        (sympy.Trace(Q[:, 0].T * Q[:, 1]), q[:, 0] @ q[:, 1]),
        (Sum(sympy.Determinant(P[k : k + 2, k : k + 2]), (k, 0, N - 2)),
         sum(np.linalg.det(p[t : t + 2, t : t + 2]) for t in range(3))),
        (Sum(sympy.Determinant(P[0:k, 0:k]), (k, 1, N)), sum(np.linalg.det(p[:t, :t]) for t in range(1, 5))),
        (sympy.Determinant(sympy.BlockMatrix([[P, Q], [Q.T, sympy.Identity(M)]])),
         np.linalg.det(np.block([[p, q], [q.T, np.eye(2)]]))),
        (sympy.Determinant(sympy.BlockDiagMatrix(P, Q.T * Q)), np.linalg.det(p) * np.linalg.det(q.T @ q)),
        (sympy.Trace(sympy.BlockMatrix([[P * u, Q]]) * sympy.BlockMatrix([[u.T], [Q.T]])),
         np.trace(np.hstack([p @ a, q]) @ np.vstack([a.T, q.T]))),
        (sympy.Determinant(sympy.DiagMatrix(u) + P), np.linalg.det(np.diag(a[:, 0]) + p)),
        (sympy.Determinant(sympy.DiagMatrix(u.T) + P), np.linalg.det(np.diag(a[:, 0]) + p)),
        (sympy.Determinant(sympy.DiagonalMatrix(P) + P), np.linalg.det(np.diag(np.diag(p)) + p)),
        (sympy.Trace(sympy.DiagonalMatrix(Q) * Q.T), q[0, 0] ** 2 + q[1, 1] ** 2),
        (sympy.Trace(u.T * sympy.DiagonalOf(P)), a[:, 0] @ np.diag(p)),
        (sympy.Determinant(sympy.KroneckerProduct(P, Q.T * Q)), np.linalg.det(np.kron(p, q.T @ q))),
        (Sum(sympy.KroneckerProduct(P, Q)[i, j] * (i + j), (i, 0, N**2 - 1), (j, 0, N * M - 1)),
         (np.kron(p, q) * np.add.outer(np.arange(16), np.arange(8))).sum()),
    ]  # fmt: skip
    for expression, wanted in cases:
        function = compiled(expression)
        inputs = {i.name: given[i.name] for i in function.signature}
        assert function(**inputs) == pytest.approx(wanted, rel=1e-11), expression
        assert function.check(**inputs).ok, expression


def test_slices_end_where_the_matrix_does() -> None:
    P = MatrixSymbol("P", N, N)
    function = compiled(sympy.Trace(P[1:3, 1:3]))
    assert function(np.arange(9.0).reshape(3, 3)) == 4 + 8
    with pytest.raises(gradc.InputError):
        function(np.ones((2, 2)))


@pytest.mark.parametrize("n", [1, 2, 5, 700])
def test_logarithms_of_densities(n: int) -> None:
    """The determinant of a large matrix overflows or is 0 long before its logarithm is remarkable."""
    S, u = MatrixSymbol("S", N, N), MatrixSymbol("u", N, 1)
    quadratic = sympy.Trace(u.T * S.I * u)
    density = (2 * sympy.pi) ** (-N / 2) * sympy.Determinant(S) ** Rational(-1, 2) * sympy.exp(-quadratic / 2)
    rng = np.random.default_rng(n)
    root = rng.normal(size=(n, n)) / math.sqrt(n)
    s, a = 5 * (root @ root.T + np.eye(n)), rng.normal(size=(n, 1))
    wanted = -(a.T @ np.linalg.solve(s, a)).item() / 2 - n * math.log(2 * math.pi) / 2 - np.linalg.slogdet(s)[1] / 2
    for form in (sympy.log(density), -sympy.log(1 / density), sympy.log(density**3) / 3):
        assert compiled(form)(S=s, u=a) == pytest.approx(wanted, rel=1e-12)
    if n < 10:
        assert compiled(sympy.log(density)).check(S=s, u=a).ok
        assert compiled(sympy.log(sympy.det(2 * sympy.pi * S)))(s) == pytest.approx(
            np.linalg.slogdet(2 * np.pi * s)[1], rel=1e-12
        )


def test_logarithms_of_products_with_a_negative_determinant() -> None:
    S, d = MatrixSymbol("S", N, N), np.diag([1.0, -2.0])
    det = sympy.Determinant(S)
    for form, wanted in (
        (sympy.log(-det), math.log(2)),
        (sympy.log(X * det), math.log(6)),
        (sympy.log(det**2), math.log(4)),
        (sympy.log(det**-2), -math.log(4)),
        (sympy.log(det * sympy.Determinant(3 * S)), math.log(36)),
        (sympy.log(2 * det), math.nan),
        (sympy.log(2 / det), math.nan),
        (sympy.log(sympy.pi / sympy.sqrt(det)), math.nan),
    ):
        function = compiled(form, wrt=[S])
        inputs = {"S": d, "x": -3.0}
        given = {i.name: inputs[i.name] for i in function.signature}
        assert function(**given) == pytest.approx(wanted, rel=1e-14, nan_ok=True), form


def test_matrices_written_out() -> None:
    E = MatrixSymbol("E", 2, 2)
    rotation = sympy.Matrix([[sympy.cos(X), -sympy.sin(X)], [sympy.sin(X), sympy.cos(X)]])
    function = compiled(sympy.Trace(rotation * E * E), wrt=[X, E])
    e = np.array([[1.0, 2.0], [0.5, -1.0]])
    turn = np.array([[math.cos(0.3), -math.sin(0.3)], [math.sin(0.3), math.cos(0.3)]])
    assert function(0.3, e) == pytest.approx(np.trace(turn @ e @ e))
    assert function.check(0.3, e).ok
    assert gradc.compile(rotation * Y)(0.3, 2.0) == pytest.approx(2 * turn)
    assert compiled(sympy.Matrix([[X, Y]]))(1.0, 2.0).tolist() == [[1.0, 2.0]]


def test_compiled_code() -> None:
    rng = np.random.default_rng(0)
    x, w, t, b = IndexedBase("x"), IndexedBase("w"), IndexedBase("t"), Symbol("b")
    z = Sum(x[i, j] * w[j], (j, 0, K - 1)) + b
    loss = Sum(sympy.log(1 + sympy.exp(-t[i] * z)), ROWS) / N
    function = gradc.compile(loss, wrt=[w, b])
    rows, signs = rng.normal(size=(40, 3)), rng.choice([-1.0, 1.0], 40)
    weights = rng.normal(size=3)
    value, gradient = function.value_and_grad(weights, 0.3, signs, rows)
    margin = signs * (rows @ weights + 0.3)
    assert value == pytest.approx(np.mean(np.log1p(np.exp(-margin))), rel=1e-13)
    slope = -signs / (1 + np.exp(margin)) / 40
    np.testing.assert_allclose(gradient.w, slope @ rows, rtol=1e-12)
    assert gradient.b == pytest.approx(slope.sum(), rel=1e-12)
    assert "# Sum(log(1 + exp(-(b + Sum(w[j]*x[i, j]" in function.source
    assert "for i in range" in function.source
    again = pickle.loads(pickle.dumps(function))
    assert again(weights, 0.3, signs, rows) == value
    assert again.wrt == ("w", "b")


# the same losses as text


def poisson() -> tuple[Any, str]:
    x, w, k = IndexedBase("x", shape=(N, M)), IndexedBase("w", shape=(M,)), IndexedBase("k", shape=(N,))
    rate = sympy.exp(Sum(x[i, j] * w[j], (j, 0, M - 1)))
    loss = -Sum(-rate + k[i] * sympy.log(rate) - sympy.loggamma(k[i] + 1), ROWS)
    text = "w: param[m]\nk: data[n]\nx: data[n, m]\nz = x @ w\nsum(exp(z) - k*z + lgamma(k + 1))"
    return loss, text


def softmax_regression() -> tuple[Any, str]:
    x, w, t = IndexedBase("x", shape=(N, M)), IndexedBase("w", shape=(K, M)), IndexedBase("t", shape=(N,), integer=True)
    j, c = symbols("j c", integer=True)
    scores = Sum(w[c, j] * x[i, j], (j, 0, M - 1))
    loss = Sum(sympy.log(Sum(sympy.exp(scores), (c, 0, K - 1))) - Sum(w[t[i], j] * x[i, j], (j, 0, M - 1)), ROWS) / N
    head = "w: param[K, m]\nt: index[n]\nx: data[n, m]\nz = x @ w.T\n"
    text = head + "mean(logsumexp(z, axis=1) - [z[i, t[i]] for i in range(n)])"
    return loss, text


def mixture() -> tuple[Any, str]:
    x, a, mu = IndexedBase("x", shape=(N, M)), IndexedBase("a", shape=(K,)), IndexedBase("mu", shape=(K, M))
    c, j = symbols("c j", integer=True)
    distance = Sum((x[i, j] - mu[c, j]) ** 2, (j, 0, M - 1))
    loss = -Sum(sympy.log(Sum(sympy.exp(a[c] - distance / 2), (c, 0, K - 1))), ROWS)
    text = (
        "mu: param[K, m]\na: param[K]\nx: data[n, m]\n"
        "-sum(logsumexp([a[c] - sum((x[i, j] - mu[c, j])**2 for j in range(m))/2 for c in range(K)]) for i in range(n))"
    )
    return loss, text


@pytest.mark.parametrize("make", [poisson, softmax_regression, mixture])
def test_losses_that_are_texts_too(make: Callable[[], tuple[Any, str]]) -> None:
    expression, text = make()
    written = gradc.compile(text, backend="python")
    symbolic = compiled(expression, wrt=written.wrt)
    rng = np.random.default_rng(8)
    sizes = {"n": 7, "m": 3, "K": 4}
    values = {i.name: rng.normal(size=[p.length(sizes) for p in i.shape]) for i in written.signature}
    values |= {"t": rng.integers(0, 4, 7)} if "t" in values else {}
    values |= {"k": rng.poisson(2.0, 7)} if "k" in values else {}
    assert {str(i) for i in symbolic.signature} == {str(i) for i in written.signature}
    wanted, gradient = written.value_and_grad(**values)
    value, slopes = symbolic.value_and_grad(**values)
    assert value == pytest.approx(wanted, rel=1e-12)
    for name in written.wrt:
        np.testing.assert_allclose(getattr(slopes, name), getattr(gradient, name), rtol=1e-11, atol=1e-13)
    far = {**values, "x": values["x"] * 500}
    if make is not poisson:  # exponentials of scores of a thousand
        assert symbolic(**far) == pytest.approx(written(**far), rel=1e-12)
