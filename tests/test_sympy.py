"""SymPy expressions: values against SymPy's own numbers, gradients against its derivatives, meaning by definition."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import IndexedBase, MatrixSymbol, Piecewise, Rational, Sum, Symbol, symbols

import gradc
from gradc.derive import derive
from gradc.errors import Source, Span
from gradc.evaluate import evaluate
from gradc.frontends.sympy import program
from gradc.frontends.sympy.lower import Lowering
from gradc.frontends.sympy.walk import Parts
from gradc.ir import validate

X, Y, Z = symbols("x y z", real=True)
N, M, K = symbols("n m K", integer=True)
i, j = symbols("i j", integer=True)
ROWS, ALSO = (i, 0, N - 1), (j, 0, N - 1)
W, V, A = IndexedBase("w"), IndexedBase("v"), IndexedBase("A")
FUNCTIONS = (
    "sin", "cos", "tan", "cot", "sec", "csc", "asin", "acos", "atan", "acot", "sinh",
    "cosh", "tanh", "coth", "sech", "csch", "asinh", "atanh", "acsch", "asech", "exp", "log",
    "sqrt", "Abs", "sign", "Heaviside", "floor", "ceiling", "frac", "gamma", "loggamma", "digamma", "factorial",
    "erf", "erfc",
)  # fmt: skip


def compiled(expression: Any, **options: Any) -> gradc.Function:
    return gradc.compile(expression, backend="python", **options)


def scalar_results(expression: Any, point: dict[Any, float]) -> list[float]:
    """Value and derivatives by the reference evaluator."""
    derived = derive(program(expression, tuple(point)))
    validate(derived.program.graph)
    assert derived.gradient is not None
    roots = [derived.value.node, *(derived.gradient[s.name].node for s in point)]
    return [float(v) for v in evaluate(roots, {s.name: v for s, v in point.items()}, {})]


def close(got: float, wanted: Any, tolerance: float = 1e-12) -> bool:
    return abs(got - float(wanted)) <= tolerance * max(1.0, abs(float(wanted)))


# scalars


@pytest.mark.parametrize("at", [0.3, 0.71, -0.4])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_one_number(name: str, at: float) -> None:
    expression = getattr(sympy, name)(X)
    exact = {X: sympy.Float(at, 30)}
    wanted = expression.evalf(30, exact)
    value, slope = scalar_results(expression, {X: at})
    if not wanted.is_real:
        assert math.isnan(value) or name == "loggamma"
        return
    assert close(value, wanted)
    step = sympy.Float("1e-15", 40)
    above, below = (expression.evalf(40, {X: exact[X] + s * step}) for s in (1, -1))
    assert close(slope, (above - below) / (2 * step), 1e-11)


@pytest.mark.parametrize(
    "expression",
    [
        X**3,
        X**-2,
        X ** Rational(5, 2),
        X ** Rational(-1, 2),
        X**Y,
        2**X,
        X / (Y * Z**2),
        -X / 3 + Rational(7, 4) * Y,
        sympy.E**X * sympy.pi,
        X * sympy.EulerGamma + sympy.GoldenRatio + sympy.Catalan,
        sympy.atan2(Y, X),
        sympy.Mod(X, Y),
        sympy.polygamma(0, X) + sympy.polygamma(2, Y),
        sympy.log(X, Y),
        sympy.acosh(1 + X) + sympy.acoth(1 + Y) + sympy.asec(1 + Z) + sympy.acsc(1 + X),
        sympy.Max(X, Y, Z, X * Y),
        sympy.Min(X, Y, Rational(1, 2)),
        sympy.KroneckerDelta(sympy.floor(X), 0) * Y,
        sympy.Heaviside(X - Y, 0) * X,
        sympy.ITE(X > Y, Y > Z, Y < Z),
        Piecewise((X, sympy.Xor(X > 1, Y > 1, Z > 1)), (Y, sympy.Or(X < Y, sympy.Not(Y < Z))), (Z, True)),
        sympy.Float("0.1", 30) * X + 10**30 * Y - 3,
        sympy.re(X + Y) + sympy.conjugate(Symbol("z")),
        sympy.arg(Symbol("z") - 3) * X + sympy.arg(Symbol("z") ** 2 + 1) * Y + Z,
    ],
    ids=str,
)
def test_expressions_of_numbers(expression: Any) -> None:
    point = {X: 0.7, Y: 1.9, Z: 2.3}
    exact = {s: sympy.Float(v, 70) for s, v in point.items()}
    if expression.is_Boolean:
        expression = Piecewise((X, expression), (Y, True))
    expression = expression.xreplace({Symbol("z"): Z})
    value, *slopes = scalar_results(expression, point)
    assert close(value, expression.subs(exact).evalf(30))
    step = sympy.Float("1e-15", 70)
    for s, slope in zip(point, slopes, strict=True):
        above, below = (expression.subs({**exact, s: exact[s] + k * step}).evalf(70) for k in (1, -1))
        assert close(slope, (above - below) / (2 * step), 1e-11)


def test_points_that_are_special() -> None:
    nan, inf = math.nan, math.inf
    cases = [
        (sympy.Heaviside(X), 0.0, 0.5, 0.0),
        (sympy.Heaviside(X, Rational(1, 4)), 0.0, 0.25, 0.0),
        (sympy.Abs(X), 0.0, 0.0, 0.0),
        (sympy.sign(X), 0.0, 0.0, 0.0),
        (sympy.Max(X, 0), 0.0, 0.0, 0.5),
        (sympy.acot(X), 0.0, math.pi / 2, -1.0),
        (Piecewise((sympy.log(X), X > 0), (0, True)), 0.0, 0.0, 0.0),
        (Piecewise((X, X > 0), evaluate=False), -1.0, nan, 0.0),
        (X + sympy.oo * sympy.Heaviside(Y, evaluate=False), 1.0, inf, 1.0),
        (sympy.gamma(X), -1.5, float(sympy.gamma(-1.5)), float(sympy.gamma(-1.5) * sympy.digamma(-1.5))),
        (sympy.log(sympy.gamma(X)), 400.5, float(sympy.loggamma(400.5)), float(sympy.digamma(400.5))),
        (sympy.log(sympy.gamma(X)), -0.5, nan, 0.0),
        (sympy.log(sympy.factorial(X)), 400.5, float(sympy.loggamma(401.5)), float(sympy.digamma(401.5))),
    ]
    for expression, at, value, slope in cases:
        got = scalar_results(expression, {X: at, Y: 1.0})
        for g, wanted in zip(got, (value, slope), strict=False):
            assert g == pytest.approx(wanted, rel=1e-12, nan_ok=True), expression


@pytest.mark.parametrize("z", [-1e4, -700.0, -37.0, -1.0, 0.0, 2.0, 40.0, 1e4])
@pytest.mark.parametrize(
    "form",
    [
        sympy.log(1 / (1 + sympy.exp(-Z))),
        -sympy.log(1 + sympy.exp(-Z)),
        sympy.log(1 + sympy.exp(Z)),
        sympy.log(sympy.exp(Z) / (1 + sympy.exp(Z))),
        sympy.log(1 - 1 / (1 + sympy.exp(-Z))),
    ],
    ids=str,
)
def test_stable_forms(form: Any, z: float) -> None:
    value, slope = scalar_results(form, {Z: z})
    with mpmath.workdps(10_000):  # e**1e4 beside 1
        exact = sympy.lambdify(Z, form, "mpmath")
        at = mpmath.mpf(z)
        wanted = exact(at)
        wanted_slope = (exact(at + mpmath.mpf(10) ** -4900) - wanted) / mpmath.mpf(10) ** -4900
    assert value == pytest.approx(float(wanted), rel=1e-12, abs=1e-300)
    assert slope == pytest.approx(float(wanted_slope), rel=1e-12, abs=1e-300)


# random expressions


def trees() -> st.SearchStrategy[Any]:
    numbers = st.fractions(-3, 3, max_denominator=5).map(lambda f: Rational(f.numerator, f.denominator))
    leaves = st.one_of(st.sampled_from([X, Y, Z]), st.sampled_from([X, Y, Z]), numbers, st.just(sympy.pi))
    unary: list[Callable[[Any], Any]] = [
        sympy.sin,
        sympy.tanh,
        sympy.exp,
        sympy.atan,
        sympy.erf,
        sympy.Abs,
        sympy.Heaviside,
        lambda u: sympy.log(2 + u**2),
        lambda u: sympy.sqrt(1 + u**2),
        lambda u: 1 / (1 + sympy.exp(-u)),
        lambda u: sympy.loggamma(3 + sympy.cos(u)),
        lambda u: (1 + u**2) ** Rational(-3, 2),
    ]
    binary: list[Callable[[Any, Any], Any]] = [
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: a * b,
        lambda a, b: a / (1 + b**2),
        sympy.Max,
        lambda a, b: sympy.Min(a, b, 1),
        lambda a, b: Piecewise((a, b > 0), (b, True)),
        lambda a, b: Piecewise((a * b, sympy.And(a > 0, b < 1)), (sympy.log(1 + a**2), a < b), (2, True)),
    ]

    def grow(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        one = st.tuples(st.sampled_from(unary), inner).map(lambda t: t[0](t[1]))
        two = st.tuples(st.sampled_from(binary), inner, inner).map(lambda t: t[0](t[1], t[2]))
        return one | two

    return st.recursive(leaves, grow, max_leaves=6)


def check_tree(expression: Any, numbers: list[float]) -> None:
    point = dict(zip((X, Y, Z), numbers, strict=True))
    exact = {s: sympy.Float(v, 40) for s, v in point.items()}
    wanted = sympy.N(expression.subs(exact), 30)
    if not wanted.is_finite or abs(wanted) > 1e100:
        return
    value, *slopes = scalar_results(expression, point)
    noise = max(abs(sympy.N(expression.subs({s: v * (1 + k) for s, v in exact.items()}), 30) - wanted) for k in
                (sympy.Float("1e-15", 40), -sympy.Float("1e-15", 40)))  # fmt: skip
    assert abs(value - wanted) <= 1e-11 * max(1, abs(wanted)) + 100 * noise
    step = sympy.Float("1e-12", 40)
    for s, slope in zip(point, slopes, strict=True):
        above, below = (sympy.N(expression.subs({**exact, s: exact[s] + k * step}), 40) for k in (1, -1))
        central, right = (above - below) / (2 * step), (above - wanted) / step
        if abs(central - right) < 1e-5 * max(1, abs(central)):  # no kink
            assert close(slope, central, 1e-7)


POINTS = st.lists(st.floats(-2.5, 2.5).filter(lambda v: abs(v) > 1e-3), min_size=3, max_size=3)


@given(trees(), POINTS)
@settings(max_examples=60, deadline=None)
def test_random_expressions(expression: Any, numbers: list[float]) -> None:
    check_tree(expression, numbers)


@pytest.mark.nightly
@given(trees(), POINTS)
@settings(max_examples=3000, deadline=None)
def test_many_random_expressions(expression: Any, numbers: list[float]) -> None:
    check_tree(expression, numbers)


# inputs


def test_order_and_kinds_of_inputs() -> None:
    k = Symbol("k", integer=True)
    loss = X * Sum(W[i] ** k, ROWS) + Z * Y
    assert str(compiled(loss)) == "gradc.Function(w: param[n], x: param, y: param, z: param, k: data)"
    assert str(compiled(loss, wrt=[Z, W])) == "gradc.Function(z: param, w: param[n], k: data, x: data, y: data)"
    assert str(compiled(loss, wrt=["z", "k"])) == "gradc.Function(z: param, k: param, w: data[n], x: data, y: data)"
    assert compiled(loss, wrt=Z).wrt == ("z",)
    assert compiled(X, wrt=[Y, X]).grad(1.0, 2.0) == (0.0, 1.0)
    assert compiled(sympy.Integer(3))() == 3.0
    for wrt, message in ((["q"], "no input 'q'"), ([N], "'n' is a length"), ([X, X], "given twice")):
        with pytest.raises(gradc.UnsupportedError, match=message):
            compiled(loss, wrt=wrt)


@pytest.mark.parametrize(
    ("name", "input"),
    [
        ("x", "x"),
        (r"\alpha", "alpha"),
        ("x_{1}", "x_1"),
        (r"\beta_{i,j}", "beta_i_j"),
        ("π", "π"),
        ("np", "np"),
        ("value_and_grad", "value_and_grad"),
        ("float", "float"),
        ("exp", "exp"),
        ("lambda_", "lambda_"),
        ("ﬁ", "fi"),
    ],
)
def test_names(name: str, input: str) -> None:
    function = gradc.compile(sympy.exp(Symbol(name)) ** 2 + Sum(Symbol(name) * W[i], ROWS))
    values = {"w": np.array([1.0, 2.0]), input: 0.5}
    assert function(**values) == pytest.approx(math.exp(1.0) + 1.5)


HOSTILE = (
    "__import__('os').system('true')", "x y", "lambda", "", "_x", "1x", "x; y", "x\ny", '"""', "# x", "x=1", "out",
    "sparse", "x{1}", "None", "x.y", "x[0]", "\\", "x\u202e", "x" * 50 + "()",
)  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_are_no_names(name: str) -> None:
    symbol = Symbol(name)
    for expression in (symbol + X, Sum(IndexedBase(symbol)[i], ROWS), Sum(W[i], (i, 0, symbol))):
        with pytest.raises(gradc.ParseError, match="cannot be the name of an input"):
            gradc.compile(expression)
    bound = compiled(Sum(W[Symbol(name, integer=True)], (Symbol(name, integer=True), 0, N - 1)))
    assert bound([1.0, 2.0]) == 3.0  # the index of a sum is no input: nobody has to write its name
    compile(bound.source, "generated", "exec")


def test_equal_names_of_different_symbols() -> None:
    for expression in (
        Symbol("x") + Symbol("x", positive=True),
        Symbol("x") + sympy.Dummy("x"),
        Symbol(r"\alpha") + Symbol("alpha"),
        Symbol("x") * Sum(IndexedBase("x")[i], ROWS),
        Sum(IndexedBase("x")[i] + IndexedBase("x", shape=(N,))[i], ROWS),
    ):
        with pytest.raises(gradc.ParseError, match="two different symbols are called"):
            gradc.compile(expression)


# errors


F = sympy.Function("f")
S, B = IndexedBase("s", shape=(3,)), MatrixSymbol("B", N, N)
ERRORS = [
    (F(X), "'f' is a function without a definition"),
    (X + sympy.I, "complex"),
    (sympy.Add(X, sympy.zoo, evaluate=False), "a division by zero"),
    (sympy.Derivative(X**2, X), r"call .doit\(\)"),
    (sympy.Integral(X, (X, 0, 1)), "Integral is not supported"),
    (sympy.LambertW(X), "LambertW is not supported"),
    (sympy.binomial(X, 2, evaluate=False), "write it with gamma"),
    (sympy.besselj(0, X), "besselj is not supported"),
    (sympy.DiracDelta(X), "DiracDelta is not supported"),
    (sympy.polygamma(Y, X), "order of polygamma"),
    (sympy.exp(B), "takes numbers, not matrices"),
    (Sum(W[i], (i, 0, sympy.oo)), "infinite ranges"),
    (Sum(W[i], (i, 5, 2)), "runs backwards"),
    (Sum(W[i], (i, 0, N / 2)), "need not be an integer"),
    (Sum(W[i], (i, 0, W[0])), "no sum over its subscript has a length"),
    (sympy.Trace(sympy.Identity(sympy.Max(W[0], 1))), "no data in them"),
    (
        Sum(sympy.exp(Sum(Piecewise((W[j], i < j), (0, True)), ALSO)), ROWS),
        "'j' is an index, and also stands outside",
    ),
    (
        Sum(
            sympy.Trace(sympy.FunctionMatrix(2, 2, sympy.Lambda((i, j), Piecewise((W[K], i < K), (0, True))))),
            (K, 0, N - 1),
        ),
        "is an index, and also stands outside",
    ),
    (Sum(W[i], ROWS) + i, "'i' is an index, and also stands outside"),
    (Sum(W[i], (i, 1, N)), "no sum over its subscript starts at 0"),
    (W[0] + W[1], "no sum over its subscript has a length"),
    (Sum(W[i], ROWS) * Sum(W[i], (i, 0, M - 1)), "may be any of n, m"),
    (Sum(sympy.IndexedBase("o")[2 * i], ROWS), "nothing tells what 'n' is"),
    (Sum(W[i] + W[i, i], ROWS), "same number of subscripts"),
    (S[3], "out of range"),
    (S[Rational(3, 2)], "need not be an integer"),
    (S[sympy.Float(1.5)], "not integer arithmetic"),
    (S[sympy.sin(X)], "not integer arithmetic"),
    (S[sympy.Idx("k")], "is not summed over"),
    (IndexedBase("o", shape=(2,), offset=1)[0], "offsets"),
    (sympy.Trace(B ** Rational(1, 2)), "integers up to"),
    (sympy.Trace(B**N), "integers up to"),
    (sympy.Trace(sympy.DiagMatrix(B)), "a matrix of one column"),
    (sympy.FiniteSet(X), "FiniteSet is not supported"),
    (sympy.Tuple(X, Y), "Tuple is not supported"),
    (sympy.Lambda(X, X**2), "Lambda is not supported"),
]


@pytest.mark.parametrize(("expression", "message"), ERRORS, ids=[m for _, m in ERRORS])
def test_errors(expression: Any, message: str) -> None:
    with pytest.raises(gradc.GradcError, match=message) as caught:
        gradc.compile(expression)
    assert isinstance(caught.value, gradc.ParseError | gradc.ShapeError | gradc.UnsupportedError)
    assert caught.value.span is not None
    assert caught.value.file == "<sympy>"


def test_errors_show_the_part() -> None:
    with pytest.raises(gradc.UnsupportedError) as caught:
        gradc.compile(sympy.sin(X) * sympy.besselj(0, X + 1) + Y)
    assert caught.value.span == Span(Source("<sympy>", "besselj(0, x + 1)"), 1, 1, 17)


# size


def test_a_hundred_thousand_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shared parts are lowered once, and nothing recurses."""
    steps = 0
    advance = Lowering._advance

    def counted(self: Lowering, task: Any) -> Any:
        nonlocal steps
        steps += 1
        return advance(self, task)

    monkeypatch.setattr(Lowering, "_advance", counted)
    value: Any = X
    for k in range(50_000):  # as a tree this would have 2**50000 leaves
        value = sympy.Add(sympy.Mul(value, value, evaluate=False), Y if k % 2 else Z, evaluate=False)
    made = program(value, [X])
    assert len(Parts(value).order) == 100_003
    assert steps <= 2 * 100_003
    assert len(made.graph.nodes) <= 100_010


def test_long_sums_of_terms() -> None:
    terms = [Symbol(f"p{k % 500}") * Symbol(f"p{(7 * k + 1) % 500}") + k for k in range(5_000)]
    function = compiled(sympy.Add(*terms, evaluate=False))
    values = {f"p{k}": 1.0 + k / 500 for k in range(500)}
    wanted = math.fsum(values[f"p{k % 500}"] * values[f"p{(7 * k + 1) % 500}"] + k for k in range(5_000))
    assert function(**values) == pytest.approx(wanted, rel=1e-12)
