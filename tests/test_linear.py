"""Linear algebra: values against NumPy, gradients against complex steps and differences, whatever the matrices."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy_shim import directional, run
from random_algebra import inputs, program
from test_random_programs import poisoned

import gradc
from gradc.api import parse
from gradc.derive import derive
from gradc.evaluate import evaluate_value
from gradc.ir import Graph, Linear, Node, validate
from gradc.linear import REFERENCE

HEAD = "A: param[d, d]\nB: param[d, k]\nb: param[d]\nS: param[n, d, d]\nx: param[n, d]\nt: param = 1.0\n"
SPD = "[[sum(A[i, p]*A[j, p] for p in range(d)) + (3.0 if i == j else 0.0) for j in range(d)] for i in range(d)]"
PROGRAMS = {
    "solve": "sum(solve(A, b)**2)",
    "solve matrix": "sum(solve(A, B)**3)",
    "solve transposed": "sum(solve(A.T, b)*b) + sum(solve(A, b))",
    "solve itself": "sum(solve(A, A[::-1])**2) + solve(A, A[0])[0]",
    "solve ones": "sum(solve(A, 0*b + 1)) + sum(solve(A, [1.0 for i in range(d)]))",
    "solve stacks": "sum(solve(S, B)**2) + sum(solve(A, [S[i] for i in range(n)]))",
    "solve each": "sum([sum(solve(S[i], x[i])**2) for i in range(n)])",
    "solve shared": "sum([sum(solve(A, x[i])**2) for i in range(n)])",
    "solve one": "sum(solve(A[:1, :1], b[:1])**2) + sum(solve(A[:1, :1], B[:1]))",
    "inv": "sum(inv(A)**3) + inv(A.T)[0, d - 1]",
    "det": "det(A)**2 + det(A.T)",
    "det each": "sum(det(S)**2) + sum(det(S[i] + A) for i in range(n))",
    "logdet": f"logdet({SPD})",
    "logdet each": "sum(logdet(S[i] @ S[i].T) for i in range(n))",
    "leading blocks": "K = A @ A.T\nsum(logdet(K[:i + 1, :i + 1]) for i in range(d))",
    "triangular loop": "K = A @ A.T\nsum(solve(K[i:, i:], b[i:])[0]*b[i] for i in range(d))",
    "cholesky": f"K = {SPD}\nsum(cholesky(K)**2)*cholesky(K)[d - 1, 0]",
    "cholesky each": "sum(cholesky([S[i] @ S[i].T for i in range(n)])**3)",
    "chained": "L = cholesky(A @ A.T)\nz = solve(L, b)\nz @ z + logdet(L @ L.T) + sum(inv(L) @ B)",
}
SIZES = {"d": 4, "k": 3, "n": 2}


def data(seed: int = 0, d: int = 4, k: int = 3, n: int = 2) -> dict[str, Any]:
    return inputs(seed, d, n, k)


def tangents_of(values: dict[str, Any], seed: int = 9) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=np.shape(v)) for name, v in values.items()}


def along(gradient: Any, tangents: dict[str, Any]) -> float:
    return sum(float(np.sum(np.asarray(getattr(gradient, name)) * v)) for name, v in tangents.items())


def agrees(text: str, values: dict[str, Any], sizes: dict[str, int], backend: str, **options: Any) -> None:
    """Value, and derivative along random tangents, are those of NumPy."""
    function = gradc.compile(text, backend=backend, **options)
    value, gradient = function.value_and_grad(**values)
    tangents = tangents_of(values)
    assert value == pytest.approx(np.real(run(text, values, sizes)), rel=1e-9, abs=1e-9), text
    size = sum(float(np.sum(np.abs(np.asarray(getattr(gradient, n)) * v))) for n, v in tangents.items())
    expected = directional(text, values, sizes, tangents)
    assert along(gradient, tangents) == pytest.approx(expected, rel=1e-8, abs=1e-8 * max(1.0, size)), text


@pytest.mark.parametrize("formula", PROGRAMS.values(), ids=PROGRAMS)
def test_values_and_gradients(formula: str) -> None:
    text = HEAD + formula
    derived = derive(parse(text))
    validate(derived.program.graph)
    agrees(text, data(), SIZES, "python")
    expected = run(text, data(), SIZES)
    reference = evaluate_value(derived.value.node, derived.value.axes, data(), SIZES)
    assert float(reference) == pytest.approx(expected, rel=1e-10)
    assert gradc.compile(text, backend="python").check(**data(1)).ok


def test_compiled() -> None:
    every = "def scaled(y):\n    return y/(1 + abs(stop_gradient(y)))\n"
    terms = []
    for name in ("solve matrix", "solve each", "inv", "det each", "leading blocks", "chained"):
        *lines, last = PROGRAMS[name].replace("K", f"K{len(terms)}").split("\n")
        every += "".join(line + "\n" for line in lines)
        terms.append(f"scaled({last})")
    text = HEAD + every + " + ".join(terms)
    plain, compiled = (gradc.compile(text, backend=b).value_and_grad(**data()) for b in ("python", "numba"))
    assert compiled[0] == pytest.approx(plain[0], rel=1e-12)
    for found, expected in zip(compiled[1], plain[1], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("backend", ["python", "numba"])
def test_sizes(backend: str) -> None:
    text = "A: param[d, d]\nb: param[d]\nK = A@A.T\ndet(A) + logdet(K) + sum(solve(A, b)) + sum(inv(A) + cholesky(K))"
    function = gradc.compile(text, backend=backend)
    for d in (0, 1, 2, 7, 40):
        values = {name: v for name, v in data(d, d=d).items() if name in ("A", "b")}
        value, gradient = function.value_and_grad(**values)
        assert value == pytest.approx(run(text, values, {"d": d}), rel=1e-8)
        tangents = tangents_of(values)
        assert along(gradient, tangents) == pytest.approx(directional(text, values, {"d": d}, tangents), rel=1e-6)


@pytest.mark.parametrize("backend", ["python", "numba"])
def test_matrices_without_a_result(backend: str) -> None:
    """Nothing raises: what divides by zero says so, and what is not positive definite has no factor at all."""
    rank = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]])
    zero, one = np.zeros((3, 3)), np.eye(3)
    algebra = gradc.compile("A: param[d, d]\nb: param[d]\nsolve(A, b)", backend=backend)
    assert not np.isfinite(algebra(rank, np.ones(3))).all()
    assert not np.isfinite(algebra(zero, np.ones(3))).any()
    assert np.isnan(algebra(np.full((3, 3), np.nan), np.ones(3))).all()
    inverse = gradc.compile("A: param[d, d]\ninv(A)", backend=backend)
    assert not np.isfinite(inverse(zero)).any(axis=0).all()
    logdet = gradc.compile("A: param[d, d]\nlogdet(A)", backend=backend)
    assert logdet(zero) == -np.inf
    assert logdet(np.diag([1.0, 0.0, 1.0])) == -np.inf
    assert np.isnan(logdet(np.diag([1.0, -1.0, 1.0])))
    assert logdet(one[[1, 2, 0]]) == 0
    assert np.isnan(logdet(one[[1, 0, 2]]))
    assert np.isnan(logdet(zero * np.nan))
    assert logdet(1e300 * one) == pytest.approx(3 * np.log(1e300))
    det = gradc.compile("A: param[d, d]\ndet(A)", backend=backend)
    assert det(zero) == 0
    assert det(np.diag([1e200, 1e200, 0.0])) == 0
    assert np.isnan(det(zero * np.nan))
    factor = gradc.compile("A: param[d, d]\ncholesky(A)", backend=backend)
    for bad in (zero, -one, np.diag([1.0, -1.0, 1.0]), np.full((3, 3), np.nan), rank - 9 * one):
        assert np.isnan(factor(bad)).all()
    np.testing.assert_array_equal(factor(4 * one), 2 * one)


@pytest.mark.parametrize("backend", ["python", "numba"])
def test_gradient_of_the_determinant_of_singular_matrices(backend: str) -> None:
    function = gradc.compile("A: param[d, d]\ndet(A)", backend=backend)
    rng = np.random.default_rng(3)
    for d in (1, 2, 3, 4, 6):
        full = rng.normal(size=(d, d))
        low, high = rng.normal(size=(d, d - 1)) @ rng.normal(size=(d - 1, d)), np.outer(full[0], full[-1])
        integers = np.round(5 * full)
        integers[0] = integers[-1]
        graded = full * np.logspace(0, 9, d) * np.logspace(3, -7, d)[:, None]
        for a in (full, low, high, integers, np.zeros((d, d)), np.diag(np.arange(d) * 1.0), graded):
            gradient = function.grad(a).A
            expected = REFERENCE["cofactors"](a)
            scale = np.array([[np.prod(np.linalg.norm(np.delete(np.delete(a, i, 0), j, 1), axis=1)) for j in range(d)]
                              for i in range(d)])  # fmt: skip
            assert (np.abs(gradient - expected) <= 1e-13 * scale + 1e-300).all(), (a, gradient, expected)


def test_badly_conditioned() -> None:
    d = 8
    hilbert = 1 / (np.arange(d)[:, None] + np.arange(d) + 1)
    b = np.ones(d)
    for backend in ("python", "numba"):
        function = gradc.compile("A: param[d, d]\nb: param[d]\nsum(solve(A, b))", backend=backend)
        value, gradient = function.value_and_grad(hilbert, b)
        x, y = np.linalg.solve(hilbert, b), np.linalg.solve(hilbert.T, b)
        assert value == pytest.approx(x.sum(), rel=1e-5)
        np.testing.assert_allclose(gradient.b, y, rtol=1e-5)
        np.testing.assert_allclose(gradient.A, -np.outer(y, x), rtol=1e-4)


GP = """
x: data[n, d]
y: data[n]
s: param[d]
c: param = 0.3
noise: param = -1.0
K = [[exp(c - sum((x[i] - x[j])**2*exp(s))/2) + (exp(noise) if i == j else 0.0) for j in range(n)] for i in range(n)]
L = cholesky(K)
alpha = solve(K, y)
y @ alpha/2 + sum(log(L[i, i]) for i in range(n)) + logdet(K)/2 + n/2*log(2*pi)
"""


@pytest.mark.parametrize("backend", ["python", "numba"])
def test_gaussian_process(backend: str) -> None:
    rng = np.random.default_rng(0)
    values = {"x": rng.normal(size=(7, 2)), "y": rng.normal(size=7), "s": rng.normal(size=2), "c": 0.3, "noise": -1.0}
    function = gradc.compile(GP.lstrip(), backend=backend)
    value, gradient = function.value_and_grad(**values)
    sizes = {"n": 7, "d": 2}
    assert value == pytest.approx(run(GP, values, sizes), rel=1e-12)
    for name in ("s", "c", "noise"):
        tangents = {name: np.ones(np.shape(values[name]))}
        assert along(gradient, tangents) == pytest.approx(directional(GP, values, sizes, tangents), rel=1e-10)
    assert function.check(**values).ok


def test_one_factorisation_serves_all() -> None:
    text = HEAD + "logdet(A) + sum(solve(A, b)) + sum(solve(A.T, B)) + sum(inv(A)) + log(det(A))"
    source = gradc.compile(text).source
    assert source[source.index("def value_and_grad(") :].count(" lu(") == 1
    assert source[source.index("def value(") : source.index("def value_and_grad")].count(" lu(") == 1


def test_what_is_shared_is_factored_before_the_loop() -> None:
    function = gradc.compile(HEAD + PROGRAMS["solve shared"], backend="python")
    assert calls(function, "lu", data()) == 1


def calls(function: gradc.Function, name: str, values: dict[str, Any]) -> int:
    """How often value and gradient call a helper of the generated module."""
    count = 0
    names: dict[str, Any] = {}
    source = function.source
    exec(source[: source.index("\n\ntry:\n    from numba")], names)
    original = names[name]

    def counted(*args: Any) -> Any:
        nonlocal count
        count += 1
        return original(*args)

    names[name] = counted
    with np.errstate(all="ignore"):
        names["value_and_grad"](*(values[entry.name] for entry in function.signature))
    return count


ARMS = {
    "sum(solve(A, b)) if t > 0 else t*t": 0,
    "u = solve(A, b)\nu @ u + u[0] if t > 0 else t*sum(b)": 0,
    "u = logdet(A)\nv = u*det(A + 1.0)\n(v if t > 5 else 1.0) if t > 0 else t": 0,
    "(logdet(A) if det(A) > 0 else 2*t) if t > 0 else t": 0,
    "C = inv(A)\nif t > 0:\n    r = sum(C @ b) + sum(C)\nelse:\n    r = t*b[1]\nr": 0,
    "sum(solve(S[i], x[i])[0] if x[i, 0] > 0 else x[i, 1] for i in range(n))": 2,
    "sum([sum(solve(S[i], x[i])) if x[i, 0] > 0 else x[i, 1] for i in range(n)])": 2,
    "(sum(solve(A, b)) if det(A) != 0 else 0.0) + t": 1,
    "t + (0.0 if t < 0 and sum(b) < 1e9 else sum(cholesky(A)))": 0,
}


@pytest.mark.parametrize(("formula", "factored"), ARMS.items())
def test_an_arm_that_is_not_taken_is_not_run(formula: str, factored: int) -> None:
    values = data(2, n=4) | {"A": np.zeros((4, 4)), "t": -1.0}
    values["x"] = np.abs(values["x"])
    values["x"][1::2, 0] = -1
    values["S"][1::2] = 0
    text = HEAD + formula
    plain = gradc.compile(text, backend="python")
    assert calls(plain, "lu" if "cholesky" not in text else "cholesky", values) == factored
    for function in (plain, gradc.compile(text)):
        value, gradient = function.value_and_grad(**values)
        assert np.isfinite(value)
        assert all(np.isfinite(g).all() for g in gradient)
        tangents = tangents_of(values)
        expected = directional(text, values, {"d": 4, "k": 3, "n": 4}, tangents)
        assert along(gradient, tangents) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("backend", ["python", "numba"])
def test_an_element_that_is_not_used(backend: str) -> None:
    """The condition is about elements of the solution, so it is found; what it leaves out contributes nothing."""
    text = "A: param[d, d]\nb: param[d]\nu = solve(A, b)\nsum([u[i] if b[i] > 9 else b[i]*b[i] for i in range(d)])"
    value, gradient = gradc.compile(text, backend=backend).value_and_grad(np.zeros((3, 3)), [1.0, 2.0, 3.0])
    assert value == 14
    assert (gradient.A == 0).all()
    np.testing.assert_array_equal(gradient.b, [2, 4, 6])


def test_what_has_not_been_factored_is_not_solved_with_in_second_derivatives() -> None:
    """The slope reads the solution at places of which no condition is known: it is run under its own."""
    text = "A: data[d, d]\nb: param[d]\nm: param[n]\nt: param\nw: param\n"
    text += "def f(w):\n    return exp(sum(solve(A, b))*m*w)[0] if t > 0 else 1\ngrad(f)(w)"
    function = gradc.compile(text, backend="python")
    values: dict[str, Any] = {"m": np.ones(2), "w": 0.5} | {k: data(2)[k] for k in "Ab"}
    with poisoned():
        value, gradient = function.value_and_grad(**{**values, "t": -1.0})
        assert value == 0
        assert not any(np.any(g) for g in gradient)
        assert function.check(**{**values, "t": 1.0}).ok


def test_rows_on_threads() -> None:
    """Many matrices are factored by chunks, the same to the last bit whoever runs them."""
    text = "S: param[n, d, d]\nx: data[n, d]\nw: param[d]\nmean([x[i] @ solve(S[i], x[i]*w) for i in range(n)])"
    rng = np.random.default_rng(0)
    values = {
        "S": rng.normal(size=(4000, 5, 5)) + 3 * np.eye(5),
        "x": rng.normal(size=(4000, 5)),
        "w": rng.normal(size=5),
    }
    one, two = (gradc.compile(text, threads=k) for k in (1, 2))
    (value, gradient), (other, same) = one.value_and_grad(**values), two.value_and_grad(**values)
    assert "in_chunks(value_and_grad_rows, n, " in one.source
    assert value == other
    assert all((a == b).all() for a, b in zip(gradient, same, strict=True))
    solutions = np.linalg.solve(values["S"], (values["x"] * values["w"])[:, :, None])[:, :, 0]
    assert value == pytest.approx(np.mean(np.sum(values["x"] * solutions, axis=1)), rel=1e-12)
    adjoint = np.linalg.solve(values["S"].transpose(0, 2, 1), values["x"][:, :, None])[:, :, 0] / 4000
    np.testing.assert_allclose(gradient.S, -adjoint[:, :, None] * solutions[:, None], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gradient.w, np.sum(adjoint * values["x"], axis=0), rtol=1e-9)
    arrays = one.source[one.source.index("def value_and_grad_rows") : one.source.index("def value_and_grad(")]
    assert " empty((n" not in arrays


def test_calls_at_the_same_time() -> None:
    function = gradc.compile(GP.lstrip())
    rng = np.random.default_rng(0)
    values = [{"x": rng.normal(size=(60, 3)), "y": rng.normal(size=60), "s": rng.normal(size=3)} for _ in range(4)]
    alone = [function.value_and_grad(**v) for v in values]
    found: list[Any] = [None] * 4

    def call(k: int) -> None:
        for _ in range(5):
            found[k] = function.value_and_grad(**values[k])

    threads = [threading.Thread(target=call, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for (value, gradient), (expected, exactly) in zip(found, alone, strict=True):
        assert value == expected
        assert all(np.array_equal(a, b) for a, b in zip(gradient, exactly, strict=True))


def test_from_the_cache_without_numba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADC_CACHE_DIR", str(tmp_path))
    script = f"""
import sys, numpy as np, gradc
f = gradc.compile({PROGRAMS["chained"]!r}.join([{HEAD!r}, ""]))
rng = np.random.default_rng(0)
A, B, b = rng.normal(size=(3, 3)), rng.normal(size=(3, 2)), rng.normal(size=3)
print(f.value_and_grad(A, B, b, np.zeros((1, 3, 3)), np.zeros((1, 3)))[1].A.tolist(), "numba" in sys.modules)
"""
    first, second = (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split("] ")
        for _ in range(2)
    )
    assert first[0] == second[0]
    assert first[1].strip() == "True"
    assert second[1].strip() == str(sys.platform != "linux")


@pytest.mark.parametrize("backend", ["python", "numba"])
def test_float32(backend: str) -> None:
    text = HEAD + "K = A @ A.T\nsum(cholesky(K + B @ B.T)) + logdet(K) + sum(solve(A, b)) + sum(inv(A)) + det(A)"
    values = data(4)
    function = gradc.compile(text, dtype="float32", backend=backend)
    value, gradient = function.value_and_grad(**values)
    assert value == pytest.approx(run(text, values, SIZES), rel=1e-4)
    expected = gradc.compile(text, backend="python").grad(**values)
    assert gradient.A.dtype == np.float32
    for found, exact in zip(gradient, expected, strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "formula",
    [
        "sum(solve(A, b)**2)",
        "sum(solve(A.T, b)**3)",
        "det(A)**2",
        "det(A)",
        "logdet(A @ A.T)**2",
        "sum(inv(A)**2)",
        "sum(cholesky(A @ A.T + outer(b, b))**3)",
        "logdet(A @ A.T + outer(b, b)) + b @ solve(A @ A.T, b)",
    ],
)
def test_second_derivatives(formula: str) -> None:
    """The gradient of the gradient along a tangent, against differences of the gradient."""
    head = "A: param[d, d]\nb: param[d]\n"
    nested = (
        f"{head}V: data[d, d]\nv: data[d]\ndef f(A, b):\n    return {formula}\n"
        "sum(grad(f, 0)(A, b)*V) + sum(grad(f, 1)(A, b)*v)"
    )
    values = {name: v for name, v in data(5, d=3).items() if name in ("A", "b")}
    tangents = tangents_of(values)
    first = gradc.compile(head + formula, backend="python")
    second = gradc.compile(nested, backend="python").grad(**values, V=tangents["A"], v=tangents["b"])

    def moved(step: float) -> list[Any]:
        return [np.asarray(g) for g in first.grad(*(values[n] + step * tangents[n] for n in ("A", "b")))]

    h = 1e-4
    for k, found in enumerate(second):
        near, far = moved(h)[k] - moved(-h)[k], moved(2 * h)[k] - moved(-2 * h)[k]
        np.testing.assert_allclose(found, (8 * near - far) / (12 * h), rtol=1e-7, atol=1e-7)


def test_named_as_numpy_does() -> None:
    text = "np.linalg.det(A) + sum(np.linalg.inv(A)) + sum(numpy.linalg.solve(A, b)) + sum(linalg.cholesky(A @ A.T))"
    function = gradc.compile(HEAD + text, backend="python")
    same = gradc.compile(
        HEAD + text.replace("numpy.", "np.").replace("np.", "").replace("linalg.", ""), backend="python"
    )
    assert function(**data()) == same(**data())


def test_names_of_the_users_win() -> None:
    text = (
        "lu: param[d, d]\nsolve_upper: param[d]\nlinalg: param = 2.0\npivot = solve(lu, solve_upper)\nsum(pivot)*linalg"
    )
    for backend in ("python", "numba"):
        value = gradc.compile(text, backend=backend)(np.diag([1.0, 2.0]), [3.0, 4.0])
        assert value == 10


@pytest.mark.parametrize(
    ("expression", "column", "message"),
    [
        ("sum(solve(B, b))", 5, "solve() needs a square matrix: lengths d and k do not agree"),
        ("sum(solve(A, x[0]*1.0)) + sum(solve(A, x))", 31, "solve: lengths d and n do not agree"),
        ("det(b)", 1, "det() needs a square matrix, not a vector"),
        ("logdet(t)", 1, "logdet() needs a square matrix, not a number"),
        ("sum(solve(A, t))", 5, "solve() needs a vector or a matrix on the right"),
        ("sum(cholesky(S[0, :2]))", 5, "cholesky() needs a square matrix"),
        ("sum(inv(A, A))", 5, "inv() takes 1 arguments, 2 given"),
        ("sum(solve(A))", 5, "solve() needs 'b'"),
        ("sum(inv(A, axis=0))", 5, "inv(): argument 'axis' unknown"),
    ],
)
def test_errors(expression: str, column: int, message: str) -> None:
    with pytest.raises(gradc.GradcError) as caught:
        gradc.compile(HEAD + expression)(**data())
    assert message in str(caught.value)
    if caught.value.span is not None:
        assert (caught.value.span.line, caught.value.span.column) == (7, column)


def test_rules_of_the_graph() -> None:
    parsed = parse(HEAD + "det(A)").graph
    (matrix,) = (n for n in parsed.nodes if n.op == "linear" and n.kind == "lu")
    rows, columns = matrix.inner[0]

    def wrong(attr: Linear, *args: Node) -> str:
        graph = Graph()
        graph.nodes = list(parsed.nodes)
        graph.node("linear", args, attr)
        with pytest.raises(AssertionError) as caught:
            validate(graph)
        return str(caught.value)

    a = matrix.args[0]
    (vector,) = (n for n in parsed.nodes if n.op == "input" and n.name == "b")
    (number,) = (n for n in parsed.nodes if n.op == "input" and n.name == "t")
    assert "does not have" in wrong(Linear("cholesky", ((rows, columns),), (rows,)), vector)
    assert "also numbers matrices" in wrong(Linear("solve_lower", ((rows, columns), ()), (columns,)), a, vector)
    assert "not a condition" in wrong(Linear("cholesky", ((rows, columns),), (rows, columns), True), a, number)


@pytest.mark.parametrize("block", range(4))
def test_random_programs(block: int) -> None:
    for seed in range(20 * block, 20 * block + 20):
        random_program(seed, "python")


@pytest.mark.nightly
@pytest.mark.parametrize("block", range(20))
def test_random_programs_nightly(block: int) -> None:
    for seed in range(10_000 + 100 * block, 10_100 + 100 * block):
        random_program(seed, "numba" if seed % 10 == 0 else "python")


def random_program(seed: int, backend: str) -> None:
    rng = np.random.default_rng(seed)
    sizes = {"d": int(rng.integers(2, 5)), "n": int(rng.integers(1, 4)), "k": 2}
    values = inputs(seed, **sizes)
    text = program(seed)
    if np.isfinite(run(text, values, sizes)):
        agrees(text, values, sizes, backend)
