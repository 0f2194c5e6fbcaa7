"""What each scalar function returns, in NumPy and SciPy: the reference the rest is measured against.

Constants are folded with these, and the reference evaluator uses them for whole arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def _special(name: str) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        from scipy import special  # SciPy is slow to import and rarely needed here

        return getattr(special, name)(*args)

    return call


def _polygamma(order: Any, x: Any) -> Any:
    """Of orders whose factorial is a double; NaN otherwise."""
    known = (order >= 0) & (order <= 170)
    return np.where(known, _special("polygamma")(np.where(known, order, 1), x), np.nan)


def _power(a: Any, b: Any) -> Any:
    """Whole numbers to a negative power are not whole numbers: the result is a float then."""
    whole = np.result_type(a, b).kind in "iu"
    return np.power(np.asarray(a, dtype=float) if whole and np.any(np.asarray(b) < 0) else a, b)


def _truncate(x: Any) -> Any:
    """Towards zero, to the nearest integer there is; NaN is 0."""
    limits = np.iinfo(np.int64)
    end = 2.0**63
    inside = np.where(np.abs(x) < end, x, 0.0).astype(np.int64)
    return np.where(x >= end, limits.max, np.where(x <= -end, limits.min, inside))


def _sigmoid(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, e) / (1.0 + e)


def _log_sigmoid(x: Any) -> Any:
    return np.minimum(x, 0.0) - np.log1p(np.exp(-np.abs(x)))


def _log1mexp(x: Any) -> Any:
    return np.where(x < -0.6931471805599453, np.log1p(-np.exp(x)), np.log(-np.expm1(x)))


def _log_cosh(x: Any) -> Any:
    large = np.abs(x) + np.log1p(np.exp(-2.0 * np.abs(x))) - 0.6931471805599453
    return np.where(np.abs(x) < 1.0, np.log1p(2.0 * np.sinh(0.5 * np.clip(x, -2, 2)) ** 2), large)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.true_divide,
    "floordiv": np.floor_divide,
    "mod": np.mod,
    "neg": np.negative,
    "power": _power,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "abs": np.abs,
    "sign": np.sign,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
    "truncate": _truncate,
    "step": lambda x: np.where(x >= 0, 1.0, np.where(np.isnan(x), np.nan, 0.0)),
    "relu": lambda x: np.maximum(x, 0.0),
    "leaky_relu": lambda x, slope: np.where(x >= 0, x, slope * x),
    "maximum": np.maximum,
    "minimum": np.minimum,
    "sqrt": np.sqrt,
    "cbrt": np.cbrt,
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "arcsin": np.arcsin,
    "arccos": np.arccos,
    "arctan": np.arctan,
    "arctan2": np.arctan2,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "arcsinh": np.arcsinh,
    "arccosh": np.arccosh,
    "arctanh": np.arctanh,
    "hypot": np.hypot,
    "erf": _special("erf"),
    "erfc": _special("erfc"),
    "lgamma": _special("gammaln"),
    "digamma": _special("digamma"),
    "polygamma": _polygamma,
    "sigmoid": _sigmoid,
    "log_sigmoid": _log_sigmoid,
    "softplus": lambda x: np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x))),
    "logaddexp": np.logaddexp,
    "log1mexp": _log1mexp,
    "log_cosh": _log_cosh,
    "elu": lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x)),
}
"""NumPy's functions for every row of `gradc.ops`, for arrays and numbers alike."""
