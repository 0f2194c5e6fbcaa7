"""Statements: `if`, `def` helpers and their derivatives, against formulas in NumPy and against differences."""

from __future__ import annotations

import math

import numpy as np
import pytest

import gradc

POINTS = (-1.7, -0.4, 0.3, 0.9, 2.6)


def value(text: str, **inputs: object) -> float:
    function = gradc.compile(text, backend="python", cache=False)
    assert function.check(**inputs).ok
    return float(function(**inputs))


def refused(text: str) -> gradc.GradcError:
    with pytest.raises(gradc.GradcError) as caught:
        gradc.compile(text)
    assert caught.value.line is not None
    return caught.value


# several names at once


def test_several_names_take_the_parts_of_a_value() -> None:
    text = """
x: param[3]
A: data[n, d]

def f(v):
    p, q, r = v
    [p, q] = q, p
    return p - 2*q + r**2
a, b, c = 2*x
a, b = b*c, a
n, d = A.shape
rows, k = len(A), 3
s = [f(v) for v in A]
a - 5*b + n*x[0] + d*x[1] + k*rows*x[2] + sum(s)
"""
    x, A = np.array([0.7, -1.2, 0.4]), np.arange(12.0).reshape(4, 3)
    a, b, c = 2 * x
    expected = b * c - 5 * a + 4 * x[0] + 3 * x[1] + 12 * x[2] + (A[:, 1] - 2 * A[:, 0] + A[:, 2] ** 2).sum()
    assert value(text, x=x, A=A) == pytest.approx(expected, rel=1e-14)


def test_how_many_names_there_are_is_checked() -> None:
    assert "3 names: lengths 2 and 3 do not agree" in str(refused("x: param[2]\na, b, c = x\na"))
    assert "2 names for a number" in str(refused("x: param\na, b = x\na"))
    assert "1 name for 2 values" in str(refused("x: param[n, d]\na, = x.shape\na"))
    assert "* is not part of the language" in str(refused("x: param[3]\na, *b = x\na"))
    with pytest.raises(gradc.InputError, match="lengths n and 2 must be equal"):
        gradc.compile("x: param[n]\na, b = x\na*b", backend="python")([1.0, 2.0, 3.0])


# if


@pytest.mark.parametrize("a", POINTS)
def test_the_arm_that_is_taken_is_the_one_that_counts(a: float) -> None:
    text = "a: param\nif a > 1:\n    u = log(a)\n    y = u*u\nelif a > 0:\n    y = sqrt(a)\nelse:\n    y = -a\ny + 1"
    expected = math.log(a) ** 2 if a > 1 else math.sqrt(a) if a > 0 else -a
    assert value(text, a=a) == pytest.approx(expected + 1, rel=1e-15)


@pytest.mark.parametrize("a", POINTS)
def test_a_name_keeps_its_value_where_no_arm_assigns_it(a: float) -> None:
    text = "a: param\ny = 3*a\nif a > 0:\n    y = y*a\n    y += 1\ny"
    assert value(text, a=a) == pytest.approx(3 * a * a + 1 if a > 0 else 3 * a, rel=1e-15)


def test_conditions_on_arrays_choose_element_by_element() -> None:
    x = np.array(POINTS)
    text = "x: param[n]\nif x > 0:\n    y = log(x)\nelse:\n    y = exp(x)\nsum(y)"
    assert value(text, x=x) == pytest.approx(np.where(x > 0, np.log(np.abs(x)), np.exp(x)).sum(), rel=1e-14)


@pytest.mark.parametrize("a", POINTS)
def test_a_program_may_return_from_arms(a: float) -> None:
    text = """
a: param
if a > 1:
    if a > 2:
        return a**3
    b = 2*a
elif a > 0:
    return sin(a)
else:
    b = a
return b*b
"""
    expected = a**3 if a > 2 else math.sin(a) if 0 < a <= 1 else (2 * a if a > 1 else a) ** 2
    assert value(text, a=a) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: param\nif a > 0:\n    b = a\nb", "'b' is assigned in one arm"),
        ("a: param\nif a > 0:\n    return a", "not every case has a result"),
        ("a: param\nif a > 0:\n    return a\nelse:\n    return -a\nb = a", "never reached"),
        ("a: param\nreturn a\na", "never reached"),
        ("x: param[n]\ns = sum(x)\nif s > 0:\n    y = x\nelse:\n    y = 0\nsum(y)", "1 axes in one arm"),
        ("a: param\nif a > 0:\n    b: data\na", "a declaration inside another block"),
        ("a: param\nif a > 0:\n    def f(x): return x\na", "a helper inside another block"),
        ("a: param\nif a > 0:\n    a*a\na", "an expression alone does nothing"),
        ("a: param\npass", "there is no result"),
    ],
)
def test_wrong_ifs_are_refused(text: str, message: str) -> None:
    assert message in refused(text).message


def test_an_arm_that_is_not_taken_gives_no_nan() -> None:
    text = "x: param\nu = log(x)\nif x > 0:\n    y = u*u\nelse:\n    y = 0.0\ny"
    function = gradc.compile(text, backend="python", cache=False)
    assert function.value_and_grad(0.0) == (0.0, (0.0,))
    assert function.value_and_grad(-1.0) == (0.0, (0.0,))


def test_many_ifs_in_a_row_take_linear_room() -> None:
    lines = [f"if x > {k}:\n    x = x*1.5\nelse:\n    y = y + x" for k in range(2000)]
    function = gradc.compile("\n".join(["x: param\ny = 0.0", *lines, "x + y"]), backend="python", cache=False)
    assert len(function.graph.nodes) < 13_000


# helpers


def test_helpers_are_written_out() -> None:
    text = """
x: param[n]
scale = 3
def square(v, by=1.0):
    "the square"
    u = v*by
    return u*u
def twice(v):
    return square(v) + square(by=scale, v=v)
sum(twice(x)) + square(x[0])
"""
    x = np.array(POINTS)
    assert value(text, x=x) == pytest.approx((x * x + 9 * x * x).sum() + x[0] ** 2, rel=1e-14)


def test_a_helper_sees_the_names_of_the_program_as_they_are_when_it_is_called() -> None:
    text = "a: param\nk = 2\ndef f(v): return v*k\nk = 5\nb = f(a)\nk = 7\nb + f(a)"
    assert value(text, a=1.5) == pytest.approx(12 * 1.5)


def test_a_helper_does_not_see_the_loop_variables_of_its_caller() -> None:
    error = refused("x: param[n]\ndef f(v): return v*k\nsum(f(x[k]) for k in range(n))")
    assert "unknown name 'k'" in error.message
    assert error.line == 2


def test_names_inside_a_helper_are_its_own() -> None:
    assert value("a: param\nu = a\ndef f(v):\n    u = v*v\n    return u\nf(a) + u", a=1.5) == pytest.approx(3.75)
    assert "unknown name 'u'" in refused("a: param\nu = a\ndef f(v):\n    w = u\n    u = v\n    return w\nf(a)").message


def test_helpers_shadow_functions_and_are_shadowed_by_values() -> None:
    assert value("a: param\ndef exp(v): return 2*v\nexp(a)", a=1.5) == 3.0
    assert value("a: param\ndef f(v): return 2*v\nb = f(a)\nf = b + 1\nf", a=1.5) == 4.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: param\ndef f(v): return f(v)\nf(a)", "'f' calls itself"),
        ("a: param\ndef f(v): return g(v)\ndef g(v): return f(v)\nf(a)", "'f' calls itself"),
        ("a: param\ndef f(v): return v\nf(a, a)", "f() takes 1 arguments, 2 given"),
        ("a: param\ndef f(v): return v\nf()", "f() needs 'v'"),
        ("a: param\ndef f(v): return v\nf(a, v=a)", "argument 'v' given twice"),
        ("a: param\ndef f(v): return v\nf(w=a)", "argument 'w' unknown"),
        ("a: param\ndef f(*v): return a\nf(a)", "plain parameters"),
        ("a: param\ndef f(v):\n    v*v\nf(a)", "an expression alone does nothing"),
        ("a: param\ndef f(v):\n    u = v\nf(a)", "there is no result"),
        ("a: param\ndef f(v): return v\nf", "'f' is a function"),
        ("a: param\n@f\ndef f(v): return v\nf(a)", "decorators"),
        ("a: param\ndef f(v):\n    def g(u): return u\n    return g(v)\nf(a)", "a helper inside another block"),
        ("a: param\nf(a)\ndef f(v): return v", "unknown function 'f'"),
    ],
)
def test_wrong_helpers_are_refused(text: str, message: str) -> None:
    assert message in refused(text).message


def test_an_error_inside_a_helper_points_into_it() -> None:
    error = refused("a: param\ndef f(v):\n    return v + oops\nf(a)")
    assert (error.line, error.column) == (3, 16)


def test_helpers_of_helpers_do_not_grow_without_end() -> None:
    same = ["def f0(v): return v*v"] + [f"def f{k}(v): return f{k - 1}(v) + f{k - 1}(v)" for k in range(1, 40)]
    function = gradc.compile("\n".join(["a: param", *same, "f39(a)"]), backend="python", cache=False)
    assert function.value_and_grad(1.0) == (2.0**39, (2.0**40,))
    other = ["def f0(v): return v*v"] + [f"def f{k}(v): return f{k - 1}(2*v) + f{k - 1}(v + 1)" for k in range(1, 40)]
    assert "more than" in refused("\n".join(["a: param", *other, "f39(a)"])).message


# derivatives


def test_derivatives_of_helpers_nest() -> None:
    text = "a: param\ndef f(v): return sin(v)*v**2\ndef df(v): return grad(f)(v)\ngrad(df)(a)"
    a = 0.7
    expected = (2 - a * a) * math.sin(a) + 4 * a * math.cos(a)
    assert value(text, a=a) == pytest.approx(expected, rel=1e-14)
    assert value("a: param\ndef f(v): return sin(v)*v**2\ngrad(grad(f))(a)", a=a) == pytest.approx(expected, rel=1e-14)


def test_a_derivative_by_an_array_has_its_shape() -> None:
    text = "w: param[d]\ndef f(v, c): return sum(tanh(v)**2)*c\ng = grad(f)\nsum(g(w, 2.0)*w) + grad(f, k=1)(w, 1.0)"
    w = np.array(POINTS)
    expected = (4 * np.tanh(w) / np.cosh(w) ** 2 * w).sum() + (np.tanh(w) ** 2).sum()
    assert value(text, w=w) == pytest.approx(expected, rel=1e-13)


def test_each_turn_of_a_loop_differentiates_for_itself() -> None:
    text = """
w: param[d]
x: data[n, d]
def energy(v, z):
    return sum(log(1 + exp(v*z)))
def force(v, z):
    return -grad(energy)(v, z)
sum(sum(force(x[i], w)**2) for i in range(n))
"""
    rng = np.random.default_rng(1)
    w, x = rng.normal(size=3), rng.normal(size=(5, 3))
    assert value(text, w=w, x=x) == pytest.approx(((w / (1 + np.exp(-x * w))) ** 2).sum(), rel=1e-13)


def test_a_derivative_by_what_a_matrix_is_read_through() -> None:
    """The argument is a row of a matrix, transposed and gathered: its places must come out again."""
    text = """
A: param[n, n]
k: index[n]
def f(M):
    return sum(M[k[i], i]*M[i, 0] for i in range(n)) + sum(M @ M.T)
sum(grad(f)(A.T)*A)
"""
    rng = np.random.default_rng(2)
    a, k = rng.normal(size=(3, 3)), np.array([2, 0, 1])
    m, g = a.T, np.zeros((3, 3))
    for i in range(3):
        g[k[i], i] += m[i, 0]
        g[i, 0] += m[k[i], i]
    g += 2 * m.sum(0)
    assert value(text, A=a, k=k) == pytest.approx((g * a).sum(), rel=1e-13)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x: param[n]\ndef f(v): return v*v\nsum(grad(f)(x))", "whose result is a number"),
        ("a: param\ndef f(v): return v*v\ngrad(f, 1)(a)", "k must be the position of an argument"),
        ("a: param\ngrad(exp)(a)", "grad() takes a helper"),
        ("a: param\ndef f(v): return v*v\ngrad(f)", "a derivative is a function"),
        ("a: param\ngrad(a)", "grad() takes a helper"),
    ],
)
def test_wrong_derivatives_are_refused(text: str, message: str) -> None:
    assert message in refused(text).message
