"""Elementwise functions over NumPy for `numpy_shim`, of complex numbers whose imaginary parts are a tangent.

Each is made from a real function and its derivatives where NumPy's complex one will not do: at kinks, in the tails.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

TWO_BY_ROOT_PI = 2 / math.sqrt(math.pi)


def _smooth(value: Callable[..., Any], *partials: Callable[..., Any] | float) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        args = tuple(np.asarray(a, float) if np.asarray(a).dtype.kind in "biu" else a for a in args)
        if not any(map(np.iscomplexobj, args)):
            return value(*args)
        points = [np.real(a) for a in args]
        slopes = [p(*points) if callable(p) else p for p in partials]
        moved = (np.where(np.imag(a) == 0, 0.0, s) * np.imag(a) for a, s in zip(args, slopes, strict=True))
        return value(*points) + 1j * builtins.sum(moved)

    return call


def _sigmoid(x: Any) -> Any:
    return special.expit(np.asarray(x, float))[()]


def _half(better: Any) -> Callable[..., Any]:
    return lambda a, b: np.where(better(a, b), 1.0, np.where(a == b, 0.5, 0.0))


def _leaky_relu(x: Any, slope: Any = 0.01) -> Any:
    return _smooth(
        lambda x, s: np.where(x >= 0, x, s * x),
        lambda x, s: np.where(x >= 0, 1.0, s),
        lambda x, s: np.where(x >= 0, 0.0, x),
    )(x, slope)


def _elu(x: Any, alpha: Any = 1.0) -> Any:
    return _smooth(
        lambda x, a: np.where(x > 0, x, a * np.expm1(x)),
        lambda x, a: np.where(x >= 0, 1.0, a * np.exp(x)),
        lambda x, a: np.where(x > 0, 0.0, np.expm1(x)),
    )(x, alpha)


def _gelu(x: Any) -> Any:
    phi = 1 / math.sqrt(2 * math.pi)
    return _smooth(lambda x: x * special.ndtr(x), lambda x: special.ndtr(x) + x * phi * np.exp(-x * x / 2))(x)


SIGMOID = _smooth(_sigmoid, lambda x: _sigmoid(x) * _sigmoid(-x))
LOG = _smooth(np.log, lambda x: 1 / x)
MAXIMUM = _smooth(np.maximum, _half(np.greater), lambda a, b: _half(np.greater)(b, a))
MINIMUM = _smooth(np.minimum, _half(np.less), lambda a, b: _half(np.less)(b, a))
ABS = _smooth(np.abs, np.sign)


def _huber(r: Any, delta: Any = 1.0) -> Any:
    return np.where(np.abs(np.real(r)) <= np.real(delta), r * r / 2, delta * (ABS(r) - delta / 2))[()]


def _bce(y: Any, t: Any) -> Any:
    return -(t * LOG(y) + (1 - t) * LOG(1 - y))


def _softplus(x: Any) -> Any:
    return _smooth(lambda x: np.logaddexp(0.0, x), _sigmoid)(x)


def _where(c: Any, a: Any, b: Any) -> Any:
    return np.where(np.real(c) != 0, a, b)[()]


def _flat(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Zero derivative everywhere."""
    return lambda x: function(np.real(x))


def _clip(x: Any, lo: Any = None, hi: Any = None) -> Any:
    x = x if lo is None else MAXIMUM(x, lo)
    return x if hi is None else MINIMUM(x, hi)


EXP = _smooth(np.exp, np.exp)
SQRT = _smooth(np.sqrt, lambda x: 0.5 / np.sqrt(x))
SCALARS: dict[str, Any] = {
    "abs": ABS,
    "sign": _flat(np.sign),
    "floor": _flat(np.floor),
    "ceil": _flat(np.ceil),
    "round": _flat(np.rint),
    "step": _flat(lambda x: np.where(x >= 0, 1.0, np.where(np.isnan(x), np.nan, 0.0))[()]),
    "exp": EXP,
    "exp2": _smooth(np.exp2, lambda x: np.exp2(x) * math.log(2)),
    "expm1": _smooth(np.expm1, np.exp),
    "log": LOG,
    "log2": _smooth(np.log2, lambda x: 1 / x / math.log(2)),
    "log10": _smooth(np.log10, lambda x: 1 / x / math.log(10)),
    "log1p": _smooth(np.log1p, lambda x: 1 / (1 + x)),
    "sqrt": SQRT,
    "cbrt": _smooth(np.cbrt, lambda x: 1 / (3 * np.cbrt(x) ** 2)),
    "sin": _smooth(np.sin, np.cos),
    "cos": _smooth(np.cos, lambda x: -np.sin(x)),
    "tan": _smooth(np.tan, lambda x: 1 / np.cos(x) ** 2),
    "arcsin": _smooth(np.arcsin, lambda x: 1 / np.sqrt(1 - x * x)),
    "arccos": _smooth(np.arccos, lambda x: -1 / np.sqrt(1 - x * x)),
    "arctan": _smooth(np.arctan, lambda x: 1 / (1 + x * x)),
    "arctan2": _smooth(np.arctan2, lambda a, b: b / (a * a + b * b), lambda a, b: -a / (a * a + b * b)),
    "sinh": _smooth(np.sinh, np.cosh),
    "cosh": _smooth(np.cosh, np.sinh),
    "tanh": _smooth(np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "arcsinh": _smooth(np.arcsinh, lambda x: 1 / np.sqrt(1 + x * x)),
    "arccosh": _smooth(np.arccosh, lambda x: 1 / np.sqrt(x * x - 1)),
    "arctanh": _smooth(np.arctanh, lambda x: 1 / (1 - x * x)),
    "hypot": _smooth(np.hypot, lambda a, b: a / np.hypot(a, b), lambda a, b: b / np.hypot(a, b)),
    "square": lambda x: x * x,
    "reciprocal": lambda x: 1.0 / x,
    "erf": _smooth(special.erf, lambda x: TWO_BY_ROOT_PI * np.exp(-x * x)),
    "erfc": _smooth(special.erfc, lambda x: -TWO_BY_ROOT_PI * np.exp(-x * x)),
    "lgamma": _smooth(special.gammaln, special.digamma),
    "digamma": _smooth(special.digamma, lambda x: special.polygamma(1, x)),
    "maximum": MAXIMUM,
    "minimum": MINIMUM,
    "clip": _clip,
    "where": _where,
    "sigmoid": SIGMOID,
    "log_sigmoid": lambda x: -_softplus(-x),
    "relu": _smooth(lambda x: np.maximum(x, 0.0), lambda x: np.where(x > 0, 1.0, 0.0)),
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "softplus": _softplus,
    "gelu": _gelu,
    "silu": lambda x: x * SIGMOID(x),
    "squared_error": lambda y, t: (y - t) * (y - t),
    "bce": _bce,
    "bce_with_logits": lambda z, t: t * _softplus(-z) + (1 - t) * _softplus(z),
    "hinge": lambda y, t: MAXIMUM(0, 1 - t * y),
    "zero_one": lambda y, t: np.where(np.real(y * t) <= 0, 1.0, 0.0)[()],
    "huber": _huber,
}
