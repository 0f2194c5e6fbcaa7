"""The calculus: SymPy proves every partial, mpmath measures every function, and every kink is what is published.

SymPy reads a partial through a small translator of Python's syntax tree, by whitelist; no text is ever evaluated.
"""

from __future__ import annotations

import ast
import math
import operator
import random
from collections.abc import Callable, Mapping
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp

from gradc.numerics import FUNCTIONS
from gradc.ops import ALIASES, CALLABLE, COMPOSITES, OPS, REALS, Op

HALF = sp.Rational(1, 2)


def _floor(x: Any) -> Any:
    """floor(x) for every x but the integers, in a form that SymPy can differentiate."""
    return x - HALF - sp.atan(sp.tan(sp.pi * (x - HALF))) / sp.pi


def _where(condition: Any, a: Any, b: Any) -> Any:
    return sp.Piecewise((a, condition), (b, True))


def _truth(condition: Any) -> Any:
    return _where(condition, sp.Integer(1), sp.Integer(0))


DEFINITIONS: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "floordiv": lambda a, b: _floor(a / b),
    "mod": lambda a, b: a - b * _floor(a / b),
    "neg": lambda x: -x,
    "power": lambda a, b: a**b,
    "lt": lambda a, b: _truth(a < b),
    "le": lambda a, b: _truth(a <= b),
    "gt": lambda a, b: _truth(a > b),
    "ge": lambda a, b: _truth(a >= b),
    "eq": lambda a, b: _truth(sp.Eq(a, b)),
    "ne": lambda a, b: _truth(sp.Ne(a, b)),
    "and": lambda a, b: _truth(sp.And(sp.Ne(a, 0), sp.Ne(b, 0))),
    "or": lambda a, b: _truth(sp.Or(sp.Ne(a, 0), sp.Ne(b, 0))),
    "not": lambda x: _truth(sp.Eq(x, 0)),
    "abs": lambda x: _where(x > 0, x, -x),
    "sign": lambda x: sp.Piecewise((1, x > 0), (-1, x < 0), (0, True)),
    "floor": _floor,
    "truncate": lambda x: _where(x > 0, _floor(x), -_floor(-x)),
    "ceil": lambda x: -_floor(-x),
    "round": lambda x: _floor(x + HALF),
    "step": lambda x: _truth(x >= 0),
    "relu": lambda x: _where(x > 0, x, sp.Integer(0)),
    "leaky_relu": lambda x, slope: _where(x > 0, x, slope * x),
    "maximum": lambda a, b: _where(a > b, a, b),
    "minimum": lambda a, b: _where(a < b, a, b),
    "sqrt": sp.sqrt,
    "cbrt": lambda x: x ** sp.Rational(1, 3),
    "exp": sp.exp,
    "exp2": lambda x: sp.Integer(2) ** x,
    "expm1": lambda x: sp.exp(x) - 1,
    "log": sp.log,
    "log2": lambda x: sp.log(x) / sp.log(2),
    "log10": lambda x: sp.log(x) / sp.log(10),
    "log1p": lambda x: sp.log(1 + x),
    "sin": sp.sin,
    "cos": sp.cos,
    "tan": sp.tan,
    "arcsin": sp.asin,
    "arccos": sp.acos,
    "arctan": sp.atan,
    "arctan2": lambda a, b: sp.atan(a / b),  # b > 0
    "sinh": sp.sinh,
    "cosh": sp.cosh,
    "tanh": sp.tanh,
    "arcsinh": sp.asinh,
    "arccosh": sp.acosh,
    "arctanh": sp.atanh,
    "hypot": lambda a, b: sp.sqrt(a**2 + b**2),
    "erf": sp.erf,
    "erfc": sp.erfc,
    "lgamma": sp.loggamma,
    "digamma": sp.digamma,
    "polygamma": sp.polygamma,
    "sigmoid": lambda x: 1 / (1 + sp.exp(-x)),
    "log_sigmoid": lambda x: sp.log(1 / (1 + sp.exp(-x))),
    "softplus": lambda x: sp.log(1 + sp.exp(x)),
    "logaddexp": lambda a, b: sp.log(sp.exp(a) + sp.exp(b)),
    "log1mexp": lambda x: sp.log(1 - sp.exp(x)),
    "log_cosh": lambda x: sp.log(sp.cosh(x)),
    "elu": lambda x, alpha: _where(x > 0, x, alpha * (sp.exp(x) - 1)),
}

DISCRETE = {("polygamma", "m")}
"""Parameters that are integers by nature: there is nothing to differentiate."""

CONSTANTS = {math.log(2): sp.log(2), math.log(10): sp.log(10), 2 / math.sqrt(math.pi): 2 / sp.sqrt(sp.pi), 0.5: HALF}
"""The numbers that stand in partials as their nearest doubles."""

BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
RELATIONS = {ast.Lt: sp.Lt, ast.LtE: sp.Le, ast.Gt: sp.Gt, ast.GtE: sp.Ge, ast.Eq: sp.Eq, ast.NotEq: sp.Ne}


def translated(text: str, names: Mapping[str, Any]) -> Any:
    """A partial's text as a SymPy expression."""

    def walk(node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=int(n)):
                return sp.Integer(n)
            case ast.Constant(value=float(n)):
                return CONSTANTS[n]
            case ast.Name(id=name):
                return names[name]
            case ast.UnaryOp(op=ast.USub(), operand=a):
                return -walk(a)
            case ast.BinOp(left=a, op=ast.FloorDiv(), right=b):
                return DEFINITIONS["floordiv"](walk(a), walk(b))
            case ast.BinOp(left=a, op=op, right=b):
                return BINARY[type(op)](walk(a), walk(b))
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return DEFINITIONS[name](*map(walk, args))
            case ast.IfExp(test=c, body=a, orelse=b):
                return _where(walk(c), walk(a), walk(b))
            case ast.Compare(left=a, ops=[op], comparators=[b]):
                return RELATIONS[type(op)](walk(a), walk(b))
            case ast.BoolOp(op=ast.And(), values=values):
                return sp.And(*map(walk, values))
        raise AssertionError(f"not in the whitelist: {ast.dump(node)}")

    return walk(ast.parse(text, mode="eval").body)


BY_NUMBERS = {"abs", "log1mexp", "leaky_relu", "maximum", "minimum", "hypot", "elu"}
"""Rows for which SymPy is left with a piece at the kink itself: for these the points on either side must do."""


def drawn(row: Op, rng: random.Random) -> list[Any]:
    """A random point in the open domain, to 80 digits: at a kink with probability none."""
    point = []
    for name, (low, high) in zip(row.params, row.domain, strict=True):
        if (row.name, name) in DISCRETE:
            point.append(sp.Integer(rng.randint(int(low), int(high))))
        else:
            bottom = max(low, -4)
            top = min(high, bottom + 8)
            share = sp.Rational(rng.randint(1, 10**20 - 1), 10**20)
            point.append(sp.Float(bottom + share * (sp.Rational(top) - sp.Rational(bottom)), 80))
    return point


def sides(row: Op, k: int, partial: str | None) -> tuple[list[Any], Any, Any]:
    """The symbols; the derivative of the row's function by its k-th parameter; what this text says it is."""
    symbols = [
        sp.Symbol(p, real=True, positive=True if low >= 0 else None)
        for p, (low, _) in zip(row.params, row.domain, strict=True)
    ]
    value = DEFINITIONS[row.name](*symbols)
    names = {**dict(zip(row.params, symbols, strict=True)), "y": value}
    return symbols, sp.diff(value, symbols[k]), sp.Integer(0) if partial is None else translated(partial, names)


def agrees(row: Op, k: int, partial: str | None) -> bool:
    """Whether the text is the derivative, to 30 digits at 20 points."""
    symbols, wanted, claimed = sides(row, k, partial)
    rng = random.Random(row.name)
    points = [drawn(row, rng) for _ in range(20)]
    if row.domain[0] == REALS:
        assert {bool(p[0] > 0) for p in points} == {True, False}, "the points are all on one side"
    if len(row.params) == 2:
        assert {bool(p[0] > p[1]) for p in points} == {True, False}, "the points are all on one side"
    for point in points:
        at = dict(zip(symbols, point, strict=True))
        a, b = (e.subs(at).evalf(60) for e in (wanted, claimed))
        if not abs(a - b) < sp.Float("1e-30", 60) * max(1, abs(a)):
            return False
    return True


PARTIALS = [(op, k) for op in OPS.values() for k, p in enumerate(op.params) if (op.name, p) not in DISCRETE]
IDS = [f"{op.name}-{op.params[k]}" for op, k in PARTIALS]


def test_every_row_has_a_definition_here() -> None:
    assert DEFINITIONS.keys() == OPS.keys()


def test_rows_are_well_formed() -> None:
    for name, op in OPS.items():
        assert op.name == name
        assert len(op.params) == len(op.partials) == len(op.domain)
        assert all(low < high for low, high in op.domain)
        assert all(len(at) == len(ds) == len(op.params) for at, ds in op.kinks)
    assert OPS.keys() >= BY_NUMBERS | {name for name, _ in DISCRETE}
    assert all(OPS[name].partials[OPS[name].params.index(p)] is None for name, p in DISCRETE)
    assert OPS.keys() >= CALLABLE
    assert set(ALIASES.values()) <= CALLABLE
    assert not ALIASES.keys() & (OPS.keys() | {c.partition("(")[0] for c in COMPOSITES})


@pytest.mark.parametrize(("row", "k"), PARTIALS, ids=IDS)
def test_partials_are_proved(row: Op, k: int) -> None:
    assert agrees(row, k, row.partials[k])
    if row.name not in BY_NUMBERS:
        _, wanted, claimed = sides(row, k, row.partials[k])
        assert sp.simplify(wanted - claimed) == 0


@pytest.mark.parametrize(("row", "k"), PARTIALS, ids=IDS)
def test_wrong_partials_are_not(row: Op, k: int) -> None:
    """The proof above bites: on a sign, a missing term, a small factor."""
    right = row.partials[k]
    if right is None:
        assert not agrees(row, k, "1")
    else:
        assert not agrees(row, k, f"-({right})")
        assert not agrees(row, k, f"({right})*(1 + 1/10**20)")
        assert not agrees(row, k, None)


@pytest.mark.parametrize("name", ["floor", "ceil", "round", "floordiv", "mod"])
def test_the_smooth_forms_of_steps_are_right(name: str) -> None:
    exact = {
        "floor": sp.floor,
        "ceil": sp.ceiling,
        "round": lambda x: sp.floor(x + HALF),
        "floordiv": lambda a, b: sp.floor(a / b),
        "mod": sp.Mod,
    }
    rng = random.Random(name)
    for _ in range(20):
        point = drawn(OPS[name], rng)
        assert abs((DEFINITIONS[name](*point) - exact[name](*point)).evalf(40)) < 1e-30


@pytest.mark.parametrize("text", ["x.y", "__import__('os')", "[x]", "f(x)", "x if x < 1 < 2 else 0", "0.25", "x and y"])
def test_the_translator_is_a_whitelist(text: str) -> None:
    with pytest.raises((AssertionError, KeyError)):
        translated(text, {"x": sp.Symbol("x")})


# numerics against mpmath


def _truths(function: Callable[..., bool]) -> Callable[..., Any]:
    return lambda *args: mpmath.mpf(function(*args))


EXACT: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "floordiv": lambda a, b: mpmath.floor(a / b),
    "mod": lambda a, b: a - b * mpmath.floor(a / b),
    "neg": operator.neg,
    "power": mpmath.power,
    "lt": _truths(operator.lt),
    "le": _truths(operator.le),
    "gt": _truths(operator.gt),
    "ge": _truths(operator.ge),
    "eq": _truths(operator.eq),
    "ne": _truths(operator.ne),
    "and": _truths(lambda a, b: bool(a) and bool(b)),
    "or": _truths(lambda a, b: bool(a) or bool(b)),
    "not": _truths(operator.not_),
    "abs": abs,
    "sign": mpmath.sign,
    "floor": mpmath.floor,
    "truncate": lambda x: mpmath.sign(x) * mpmath.floor(min(abs(x), mpmath.mpf(2**63 - (x > 0)))),
    "ceil": mpmath.ceil,
    "round": mpmath.nint,
    "step": _truths(lambda x: x >= 0),
    "relu": lambda x: max(x, mpmath.mpf(0)),
    "leaky_relu": lambda x, slope: x if x >= 0 else slope * x,
    "maximum": max,
    "minimum": min,
    "sqrt": mpmath.sqrt,
    "cbrt": lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)),
    "exp": mpmath.exp,
    "exp2": lambda x: mpmath.power(2, x),
    "expm1": mpmath.expm1,
    "log": mpmath.log,
    "log2": lambda x: mpmath.log(x, 2),
    "log10": mpmath.log10,
    "log1p": mpmath.log1p,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "tan": mpmath.tan,
    "arcsin": mpmath.asin,
    "arccos": mpmath.acos,
    "arctan": mpmath.atan,
    "arctan2": mpmath.atan2,
    "sinh": mpmath.sinh,
    "cosh": mpmath.cosh,
    "tanh": mpmath.tanh,
    "arcsinh": mpmath.asinh,
    "arccosh": mpmath.acosh,
    "arctanh": mpmath.atanh,
    "hypot": mpmath.hypot,
    "erf": mpmath.erf,
    "erfc": mpmath.erfc,
    "lgamma": mpmath.loggamma,
    "digamma": mpmath.digamma,
    "polygamma": lambda m, x: mpmath.polygamma(int(m), x),
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "log_sigmoid": lambda x: -mpmath.log1p(mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "logaddexp": lambda a, b: max(a, b) + mpmath.log1p(mpmath.exp(-abs(a - b))),
    "log1mexp": lambda x: mpmath.log(-mpmath.expm1(x)),
    "log_cosh": lambda x: mpmath.log1p(2 * mpmath.sinh(x / 2) ** 2),
    "elu": lambda x, alpha: x if x > 0 else alpha * mpmath.expm1(x),
}

LOOSER = {"erfc": 1.5e-13}
"""SciPy's erfc takes exp(-x*x) of the rounded square: an error of x*x ulps, which is 10^3 where erfc underflows."""

UNIT = {"lgamma": 1.0}
"""Near its zeros at 1 and 2 SciPy's lgamma is right to an ulp of 1, not of the result."""


def sampled(low: float, high: float, rng: random.Random) -> float:
    """A double in the open interval: of all magnitudes near finite ends and zero, and spread evenly."""
    while True:
        small = 10 ** rng.uniform(-12, 1.5)
        if math.isinf(low):
            x = rng.choice([-small, small]) if rng.random() < 0.7 else rng.uniform(-30, 30)
        elif math.isinf(high):
            x = low + (small if rng.random() < 0.7 else 10 ** rng.uniform(0, 3))
        else:
            x = rng.choice([low + small, high - small, rng.uniform(low, high), (low + high) / 2 + small])
        if low < x < high:
            return x


def doubles(row: Op, count: int) -> list[tuple[float, ...]]:
    """Points in the row's domain."""
    rng = random.Random(row.name)
    points = [[sampled(low, high, rng) for low, high in row.domain] for _ in range(count)]
    discrete = [(row.name, p) in DISCRETE for p in row.params]
    return [tuple(float(round(x)) if d else x for x, d in zip(p, discrete, strict=True)) for p in points]


def test_every_row_has_its_numerics_and_no_other() -> None:
    assert FUNCTIONS.keys() == OPS.keys()
    assert EXACT.keys() == OPS.keys()
    assert OPS.keys() >= LOOSER.keys() | UNIT.keys()


@pytest.mark.parametrize("row", OPS.values(), ids=lambda op: op.name)
def test_functions_against_mpmath(row: Op) -> None:
    worst, at = 0.0, None
    for point in doubles(row, 300):
        with mpmath.workdps(50), np.errstate(all="ignore"):
            given = FUNCTIONS[row.name](*(np.array([x]) for x in point)).item()
            exact = EXACT[row.name](*map(mpmath.mpf, point))
            if abs(exact) < 2.3e-308 and abs(given) < 2.3e-308:
                continue  # no digits are promised below the normal doubles
            unit = max(abs(exact), UNIT.get(row.name, 0.0))
            error = float(abs(given - exact) / unit) if unit else abs(float(given))
            if abs(exact) > mpmath.mpf(np.finfo(float).max):
                error = 0.0 if math.isinf(given) else math.inf
        if not error <= worst:
            worst, at = error, point
    assert worst < LOOSER.get(row.name, 1e-14), f"{worst:.3g} at {at}"


@pytest.mark.parametrize("row", OPS.values(), ids=lambda op: op.name)
def test_functions_of_arrays_are_those_of_numbers(row: Op) -> None:
    points = doubles(row, 20)
    with np.errstate(all="ignore"):
        together = FUNCTIONS[row.name](*np.array(points).T)
        single = [FUNCTIONS[row.name](*q) for q in points]
    # NumPy's vectorised loops may round an element differently than its scalar path
    assert np.allclose(np.asarray(together, float), np.asarray(single, float), rtol=1e-15, atol=0)


@pytest.mark.parametrize(
    ("name", "args", "value"),
    [
        ("sigmoid", (-math.inf,), 0.0),
        ("sigmoid", (math.inf,), 1.0),
        ("sigmoid", (-745.0,), math.exp(-745.0)),
        ("log_sigmoid", (-1e300,), -1e300),
        ("log_sigmoid", (-math.inf,), -math.inf),
        ("log_sigmoid", (math.inf,), 0.0),
        ("softplus", (-math.inf,), 0.0),
        ("softplus", (1e300,), 1e300),
        ("softplus", (math.inf,), math.inf),
        ("elu", (-math.inf, 2.0), -2.0),
        ("elu", (math.inf, 2.0), math.inf),
        ("relu", (-math.inf,), 0.0),
        ("leaky_relu", (math.inf, 0.0), math.inf),
        ("step", (0.0,), 1.0),
        ("step", (-0.0,), 1.0),
        ("step", (-math.inf,), 0.0),
        ("power", (0.0, 0.0), 1.0),
        ("round", (2.5,), 2.0),
        ("truncate", (-2.5,), -2),
        ("truncate", (math.inf,), 2**63 - 1),
        ("truncate", (-1e300,), -(2**63)),
        ("truncate", (math.nan,), 0),
        ("floordiv", (-7, 2), -4),
        ("mod", (-7, 2), 1),
        ("mod", (-7.5, 2.0), 0.5),
        ("floordiv", (1.0, 0.0), math.inf),
        ("hypot", (1e200, 1e200), math.sqrt(2) * 1e200),
        ("erfc", (27.5,), float(mpmath.erfc(27.5))),
    ],
)
def test_edges(name: str, args: tuple[float, ...], value: float) -> None:
    with np.errstate(all="ignore"):
        given = FUNCTIONS[name](*args)
    assert given == value or (math.isfinite(value) and given == pytest.approx(value, rel=1e-13, abs=0))


@pytest.mark.parametrize(
    "name",
    [n for n, op in OPS.items() if op.result in ("float", "same") and n != "polygamma"],
)
def test_nan_stays_nan(name: str) -> None:
    row = OPS[name]
    with np.errstate(all="ignore"):
        assert np.isnan(FUNCTIONS[name](*([math.nan] * len(row.params))))


# kinks

NUMBERS: dict[type[ast.AST], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.FloorDiv: "floordiv",
    ast.Pow: "power",
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
    ast.Eq: "eq",
    ast.NotEq: "ne",
}


def computed(text: str, names: Mapping[str, float]) -> Any:
    """A partial's value, through `FUNCTIONS`; only the arm that is taken is computed."""

    def walk(node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=int(n) | float(n)):
                return np.float64(n)
            case ast.Name(id=name):
                return np.float64(names[name])
            case ast.UnaryOp(op=ast.USub(), operand=a):
                return FUNCTIONS["neg"](walk(a))
            case ast.BinOp(left=a, op=op, right=b):
                return FUNCTIONS[NUMBERS[type(op)]](walk(a), walk(b))
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return FUNCTIONS[name](*map(walk, args))
            case ast.IfExp(test=c, body=a, orelse=b):
                return walk(a) if walk(c) else walk(b)
            case ast.Compare(left=a, ops=[op], comparators=[b]):
                return FUNCTIONS[NUMBERS[type(op)]](walk(a), walk(b))
            case ast.BoolOp(op=ast.And(), values=values):
                return all(walk(v) for v in values)
        raise AssertionError(f"not in the whitelist: {ast.dump(node)}")

    with np.errstate(all="ignore"):
        return walk(ast.parse(text, mode="eval").body)


def partials_at(row: Op, at: tuple[float, ...]) -> list[float]:
    with np.errstate(all="ignore"):
        y = FUNCTIONS[row.name](*map(np.float64, at))
    names = {**dict(zip(row.params, at, strict=True)), "y": float(y)}
    return [0.0 if p is None else float(computed(p, names)) for p in row.partials]


KINKS = [(op, at, stated) for op in OPS.values() for at, stated in op.kinks]


@pytest.mark.parametrize(("row", "at", "stated"), KINKS, ids=[f"{op.name}{at}" for op, at, _ in KINKS])
def test_kinks_are_as_stated(row: Op, at: tuple[float, ...], stated: tuple[float, ...]) -> None:
    np.testing.assert_array_equal(partials_at(row, at), stated)


PUBLISHED: list[tuple[str, tuple[float, ...], tuple[float, ...]]] = [
    ("abs", (0.0,), (0.0,)),
    ("abs", (-0.0,), (0.0,)),
    ("sign", (0.0,), (0.0,)),
    ("step", (0.0,), (0.0,)),
    ("floor", (2.0,), (0.0,)),
    ("truncate", (2.0,), (0.0,)),
    ("relu", (0.0,), (0.0,)),
    ("leaky_relu", (0.0, 0.01), (1.0, 0.0)),
    ("leaky_relu", (-0.0, 0.01), (1.0, 0.0)),
    ("elu", (0.0, 1.0), (1.0, 0.0)),
    ("elu", (-0.0, 3.0), (1.0, 0.0)),
    ("maximum", (2.0, 2.0), (0.5, 0.5)),
    ("minimum", (2.0, 2.0), (0.5, 0.5)),
    ("sqrt", (0.0,), (math.inf,)),
]
"""The user's contract, whatever the table says."""


@pytest.mark.parametrize(("name", "at", "promised"), PUBLISHED, ids=[f"{n}{at}" for n, at, _ in PUBLISHED])
def test_kinks_are_as_promised(name: str, at: tuple[float, ...], promised: tuple[float, ...]) -> None:
    assert partials_at(OPS[name], at) == list(promised)


@pytest.mark.parametrize("base", [0.0, 1.0, 2.5, -2.0, math.inf])
def test_a_zeroth_power_has_no_slope(base: float) -> None:
    assert partials_at(OPS["power"], (base, 0.0))[0] == 0


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0, 7.5])
def test_a_power_of_zero_has_no_slope_in_its_exponent(exponent: float) -> None:
    assert partials_at(OPS["power"], (0.0, exponent))[1] == 0


@pytest.mark.parametrize("row", [op for op in OPS.values() if any(op.partials)], ids=lambda op: op.name)
def test_partials_keep_their_digits_in_the_tails(row: Op) -> None:
    """As doubles, partials agree with mpmath's derivative far out, where `1 - y*y` would have none left."""
    for point in doubles(row, 20):
        given = partials_at(row, point)
        for k, text in enumerate(row.partials):
            if text is None:
                continue
            symbols = {p: sp.Float(x, 80) for p, x in zip(row.params, point, strict=True)}
            exact = float(translated(text, {**symbols, "y": DEFINITIONS[row.name](*symbols.values())}).evalf(50))
            assert given[k] == pytest.approx(exact, rel=1e-12, abs=1e-300), f"{row.params[k]} at {point}"
