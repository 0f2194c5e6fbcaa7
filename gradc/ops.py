"""The calculus: one row per scalar function. Pure data.

Partials are written in gradc's own expression language, over the row's parameters and `y`, the value of the function.
A partial of `None` is zero everywhere. Where an expression in `y` would cancel (`1 - y*y` for tanh), it is not used.
"""

from __future__ import annotations

import math
from typing import Literal

from msgspec import Struct

ARITHMETIC, DIVISION, TRANSCENDENTAL = 1, 4, 8
"""Weights by which operations are counted; a square root counts as a division."""

Result = Literal["float", "int", "bool", "same"]
Interval = tuple[float, float]
Kinks = tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]
INF, NAN = float("inf"), float("nan")
REALS: Interval = (-INF, INF)


class Op(Struct, frozen=True):
    """A scalar function: what it is called, what it costs, its partial derivatives, where it is defined.

    `infix` is its operator in generated code, if it has one; `result` is its type, "same" that of its arguments.
    `domain` is, per parameter, the open interval in which it is smooth; `kinks` lists (arguments, partials there).
    """

    name: str
    params: tuple[str, ...]
    partials: tuple[str | None, ...]
    weight: int = TRANSCENDENTAL
    domain: tuple[Interval, ...] = ()
    infix: str | None = None
    result: Result = "float"
    kinks: Kinks = ()

    @property
    def chooses(self) -> bool:
        """Whether an argument may lose to another, or to a constant, and then has no influence at all."""
        return any(p is not None and (" if " in p or "sign(" in p) for p in self.partials)


def _unary(
    name: str,
    partial: str | None,
    domain: Interval = REALS,
    weight: int = TRANSCENDENTAL,
    result: Result = "float",
    kinks: tuple[tuple[float, float], ...] = (),
) -> Op:
    return Op(name, ("x",), (partial,), weight, (domain,), None, result, tuple(((at,), (d,)) for at, d in kinks))


def _arithmetic(
    name: str,
    sign: str,
    da: str | None,
    db: str | None,
    weight: int,
    result: Result,
    b: Interval = REALS,
    kinks: Kinks = (),
) -> Op:
    return Op(name, ("a", "b"), (da, db), weight, (REALS, b), sign, result, kinks)


def _logic(name: str, sign: str) -> Op:
    return Op(name, ("a", "b"), (None, None), ARITHMETIC, (REALS, REALS), sign, "bool")


_ROWS = (
    # arithmetic
    _arithmetic("add", "+", "1", "1", ARITHMETIC, "same"),
    _arithmetic("sub", "-", "1", "-1", ARITHMETIC, "same"),
    _arithmetic("mul", "*", "b", "a", ARITHMETIC, "same"),
    _arithmetic(
        "div", "/", "1/b", "-y/b", DIVISION, "float", (0.0, INF), (((1.0, 0.0), (INF, -INF)), ((0.0, 0.0), (INF, NAN)))
    ),
    _arithmetic("floordiv", "//", None, None, DIVISION, "same", (0.0, INF), (((4.0, 2.0), (0.0, 0.0)),)),
    _arithmetic("mod", "%", "1", "-(a//b)", DIVISION, "same", (0.0, INF), (((4.0, 2.0), (1.0, -2.0)),)),
    Op("neg", ("x",), ("-1",), ARITHMETIC, (REALS,), "-", "same"),
    Op(
        "power",
        ("a", "b"),
        ("0 if b == 0 else b*a**(b - 1)", "0 if a == 0 and b > 0 else y*log(a)"),
        TRANSCENDENTAL,
        ((0.0, INF), REALS),
        "**",
        "same",
        (
            ((0.0, 0.0), (0.0, -INF)),
            ((2.0, 0.0), (0.0, math.log(2))),
            ((0.0, 2.0), (0.0, 0.0)),
            ((0.0, 1.0), (1.0, 0.0)),
            ((0.0, 0.5), (INF, 0.0)),
            ((0.0, -1.0), (-INF, -INF)),
            ((-2.0, 3.0), (12.0, NAN)),
        ),
    ),
    # conditions
    _logic("lt", "<"),
    _logic("le", "<="),
    _logic("gt", ">"),
    _logic("ge", ">="),
    _logic("eq", "=="),
    _logic("ne", "!="),
    _logic("and", "and"),
    _logic("or", "or"),
    Op("not", ("x",), (None,), ARITHMETIC, (REALS,), "not", "bool"),
    # pieces of lines
    _unary("abs", "sign(x)", weight=ARITHMETIC, result="same", kinks=((0.0, 0.0),)),
    _unary("sign", None, weight=ARITHMETIC, result="same", kinks=((0.0, 0.0),)),
    _unary("floor", None, weight=ARITHMETIC, kinks=((1.0, 0.0),)),
    _unary("ceil", None, weight=ARITHMETIC, kinks=((1.0, 0.0),)),
    _unary("round", None, weight=ARITHMETIC, kinks=((0.5, 0.0),)),
    _unary("truncate", None, weight=ARITHMETIC, result="int", kinks=((1.0, 0.0),)),
    _unary("step", None, weight=ARITHMETIC, kinks=((0.0, 0.0),)),
    _unary("relu", "1 if x > 0 else 0", weight=ARITHMETIC, kinks=((0.0, 0.0),)),
    Op(
        "leaky_relu",
        ("x", "slope"),
        ("1 if x >= 0 else slope", "0 if x >= 0 else x"),
        2 * ARITHMETIC,
        (REALS, REALS),
        kinks=(((0.0, 0.25), (1.0, 0.0)),),
    ),
    Op(
        "maximum",
        ("a", "b"),
        ("1 if a > b else (0.5 if a == b else 0)", "1 if b > a else (0.5 if a == b else 0)"),
        ARITHMETIC,
        (REALS, REALS),
        result="same",
        kinks=(((1.0, 1.0), (0.5, 0.5)),),
    ),
    Op(
        "minimum",
        ("a", "b"),
        ("1 if a < b else (0.5 if a == b else 0)", "1 if b < a else (0.5 if a == b else 0)"),
        ARITHMETIC,
        (REALS, REALS),
        result="same",
        kinks=(((1.0, 1.0), (0.5, 0.5)),),
    ),
    # powers, exponentials, logarithms
    _unary("sqrt", "1/(2*y + 0)", (0.0, INF), DIVISION, kinks=((0.0, INF), (-0.0, INF))),  # -0 + 0 is 0
    _unary("cbrt", "1/(3*y*y)", (0.0, INF), kinks=((0.0, INF),)),
    _unary("exp", "y"),
    _unary("exp2", "y*0.6931471805599453"),
    _unary("expm1", "exp(x)"),
    _unary("log", "1/x", (0.0, INF), kinks=((0.0, INF),)),
    _unary("log2", "1/(x*0.6931471805599453)", (0.0, INF), kinks=((0.0, INF),)),
    _unary("log10", "1/(x*2.302585092994046)", (0.0, INF), kinks=((0.0, INF),)),
    _unary("log1p", "1/(1 + x)", (-1.0, INF), kinks=((-1.0, INF),)),
    # circular and hyperbolic
    _unary("sin", "cos(x)"),
    _unary("cos", "-sin(x)"),
    _unary("tan", "1 + y*y", (-1.5, 1.5)),
    _unary("arcsin", "1/sqrt((1 - x)*(1 + x))", (-1.0, 1.0), kinks=((1.0, INF), (-1.0, INF))),
    _unary("arccos", "-1/sqrt((1 - x)*(1 + x))", (-1.0, 1.0), kinks=((1.0, -INF), (-1.0, -INF))),
    _unary("arctan", "1/(1 + x*x)"),
    Op(
        "arctan2",
        ("a", "b"),
        (
            "0 if hypot(a, b) == 0 else b/hypot(a, b)/hypot(a, b)",
            "0 if hypot(a, b) == 0 else -a/hypot(a, b)/hypot(a, b)",
        ),
        TRANSCENDENTAL,
        (REALS, (0.0, INF)),
        kinks=(((0.0, 0.0), (0.0, 0.0)),),
    ),
    _unary("sinh", "cosh(x)"),
    _unary("cosh", "sinh(x)"),
    _unary("tanh", "4*sigmoid(2*x)*sigmoid(-(2*x))"),
    _unary("arcsinh", "1/hypot(1, x)"),
    _unary("arccosh", "1/(sqrt(x - 1)*sqrt(x + 1))", (1.0, INF), kinks=((1.0, INF),)),
    _unary("arctanh", "1/((1 - x)*(1 + x))", (-1.0, 1.0), kinks=((1.0, INF), (-1.0, INF))),
    Op(
        "hypot",
        ("a", "b"),
        ("0 if y == 0 else a/y", "0 if y == 0 else b/y"),
        TRANSCENDENTAL,
        (REALS, REALS),
        kinks=(((0.0, 0.0), (0.0, 0.0)),),
    ),
    # special
    _unary("erf", "1.1283791670955126*exp(-x*x)"),
    _unary("erfc", "-1.1283791670955126*exp(-x*x)"),
    _unary("lgamma", "digamma(x)", (0.0, INF), kinks=((0.0, -INF), (-1.0, NAN))),
    _unary("digamma", "polygamma(1, x)", (0.0, INF), kinks=((0.0, INF), (-1.0, INF))),
    Op("polygamma", ("m", "x"), (None, "polygamma(m + 1, x)"), TRANSCENDENTAL, ((1.0, 4.0), (0.0, INF))),
    # activations
    _unary("sigmoid", "y*sigmoid(-x)"),
    _unary("log_sigmoid", "sigmoid(-x)"),
    _unary("softplus", "sigmoid(x)"),
    Op(
        "logaddexp",
        ("a", "b"),
        ("sigmoid(a - b)", "sigmoid(b - a)"),
        kinks=(((1.0, 1.0), (0.5, 0.5)),),
        domain=(REALS, REALS),
    ),
    _unary("log1mexp", "-1/abs(expm1(-x))", (-INF, 0.0), kinks=((0.0, -INF),)),
    _unary("log_cosh", "tanh(x)"),
    Op(
        "elu",
        ("x", "alpha"),
        ("1 if x >= 0 else alpha*exp(x)", "0 if x > 0 else expm1(x)"),
        TRANSCENDENTAL,
        (REALS, REALS),
        kinks=(((0.0, 2.0), (1.0, 0.0)),),
    ),
)

OPS: dict[str, Op] = {op.name: op for op in _ROWS}
"""All scalar functions of the graph, by name."""

COMPOSITES: dict[str, str] = {
    "square(x)": "x*x",
    "reciprocal(x)": "1/x",
    "gelu(x)": "x/2*erfc(-x/1.4142135623730951)",
    "silu(x)": "x*sigmoid(x)",
    "squared_error(y, t)": "(y - t)**2",
    "bce(y, t)": "-(t*log(y) + (1 - t)*log(1 - y))",
    "bce_with_logits(z, t)": "-(t*log(sigmoid(z)) + (1 - t)*log(1 - sigmoid(z)))",
    "hinge(y, t)": "maximum(0, 1 - t*y)",
    "zero_one(y, t)": "1.0 if y*t <= 0 else 0.0",
    "huber(r, delta=1.0)": "r*r/2 if abs(r) <= delta else delta*(abs(r) - delta/2)",
}
"""Elementwise functions that are nothing but their formula, in gradc's own language."""

ALIASES: dict[str, str] = {
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "atan2": "arctan2",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
    "absolute": "abs",
    "fabs": "abs",
    "pow": "power",
    "rint": "round",
    "gammaln": "lgamma",
    "expit": "sigmoid",
    "log_expit": "log_sigmoid",
}
"""Other spellings of the same functions."""

CALLABLE = frozenset(name for name, op in OPS.items() if op.infix is None) - {"truncate"} | {"power"}
"""Rows a program may call by name; the others have operators of their own, and what truncates is called int()."""
