"""The table of kinks and poles: what value and gradient are where a derivative does not exist, or is infinite.

The rows of scalar functions come from `gradc.ops`; formulas and reductions have theirs here. `table` is the published
text, and a test evaluates every row of it.
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct

from gradc.numerics import FUNCTIONS
from gradc.ops import OPS, Op

INF, NAN = math.inf, math.nan
Numbers = float | tuple[float, ...]


SPELT = {"truncate": "int"}
"""Functions that a program calls by another name."""


class Kink(Struct, frozen=True):
    """An expression, a point, and there its value and its derivative by each name."""

    expression: str
    at: dict[str, Numbers]
    value: float
    slopes: dict[str, Numbers]


HEAD = """# Kinks and poles

What gradc returns where a function has no derivative, or an infinite one. The table is generated from the rules that
the compiler differentiates by (`gradc/ops.py`, `gradc/kinks.py`), and every row of it is evaluated by a test.

Three rules stand behind it. What is not chosen contributes nothing: an arm of an `if` that is not taken, the side of a
maximum that loses, whatever its own derivative is. Where sides tie, they share. Comparisons and roundings have the
derivative 0 everywhere. The poles of `tan` lie between the doubles: it has a large value at pi/2, and a large slope.
The gradient of a determinant, its cofactors, is there for singular matrices too; its second derivatives go by way of
the inverse, and are NaN there.

| expression | at | value | derivative |
|---|---|---|---|
"""


def rows() -> list[Kink]:
    """All rows of the table, scalar functions first."""
    scalars = [_of_op(op, at, slopes) for op in OPS.values() for at, slopes in op.kinks]
    return [*scalars, *FORMULAS, *REDUCTIONS]


def table() -> str:
    """The published text, in Markdown."""
    return HEAD + "".join(f"| {' | '.join(_cells(k))} |\n" for k in rows())


def _of_op(op: Op, at: tuple[float, ...], slopes: tuple[float, ...]) -> Kink:
    expression = (
        f" {op.infix} ".join(op.params) if op.infix else f"{SPELT.get(op.name, op.name)}({', '.join(op.params)})"
    )
    with np.errstate(all="ignore"):
        value = float(FUNCTIONS[op.name](*map(np.float64, at)))
    return Kink(expression, dict(zip(op.params, at, strict=True)), value, dict(zip(op.params, slopes, strict=True)))


def _kink(expression: str, at: dict[str, Numbers], value: float, *slopes: Numbers) -> Kink:
    return Kink(expression, at, value, dict(zip(at, slopes, strict=True)))


FORMULAS = (
    _kink("reciprocal(x)", {"x": 0.0}, INF, -INF),
    _kink("clip(x, -1, 2)", {"x": -1.0}, -1.0, 0.5),
    _kink("clip(x, -1, 2)", {"x": 2.0}, 2.0, 0.5),
    _kink("hinge(y, t)", {"y": 1.0, "t": 1.0}, 0.0, -0.5, -0.5),
    _kink("zero_one(y, t)", {"y": 0.0, "t": 1.0}, 1.0, 0.0, 0.0),
    _kink("huber(r)", {"r": 1.0}, 0.5, 1.0),
    _kink("huber(r)", {"r": -1.0}, 0.5, -1.0),
    _kink("huber(r)", {"r": 0.0}, 0.0, 0.0),
    _kink("bce(y, t)", {"y": 0.0, "t": 1.0}, INF, -INF, INF),
    _kink("bce(y, t)", {"y": 1.0, "t": 0.0}, INF, INF, -INF),
    _kink("where(a < b, a, b)", {"a": 1.0, "b": 1.0}, 1.0, 0.0, 1.0),
    _kink("log(x) if x > 0 else 0", {"x": 0.0}, 0.0, 0.0),
    _kink("sqrt(x) if x > 0 else 0", {"x": 0.0}, 0.0, 0.0),
    _kink("minimum(x, exp(1000*x))", {"x": 1.0}, 1.0, 1.0),
    _kink("relu(-cosh(1000*x))", {"x": 1.0}, 0.0, 0.0),
)
"""Formulas, and choices between them."""

REDUCTIONS = (
    _kink("max(x)", {"x": (1.0, 3.0, 3.0)}, 3.0, (0.0, 0.5, 0.5)),
    _kink("min(x)", {"x": (2.0, 2.0, 2.0, 2.0)}, 2.0, (0.25, 0.25, 0.25, 0.25)),
    _kink("norm(x)", {"x": (0.0, 0.0)}, 0.0, (0.0, 0.0)),
    _kink("std(x)", {"x": (1.0, 1.0)}, 0.0, (0.0, 0.0)),
    _kink("prod(x)", {"x": (0.0, 2.0, 3.0)}, 0.0, (6.0, 0.0, 0.0)),
    _kink("prod(x)", {"x": (0.0, 0.0, 3.0)}, 0.0, (0.0, 0.0, 0.0)),
    _kink("logsumexp(x)", {"x": (0.0, -INF)}, 0.0, (1.0, 0.0)),
)
"""Functions of whole arrays."""


def _cells(k: Kink) -> tuple[str, ...]:
    at = ", ".join(f"{name} = {_text(v)}" for name, v in k.at.items())
    slopes = ", ".join(_text(s) for s in k.slopes.values())
    return f"`{k.expression}`", at, _text(k.value), slopes


def _text(value: Numbers) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_text, value))}]"
    return "NaN" if math.isnan(value) else f"{value:g}"
