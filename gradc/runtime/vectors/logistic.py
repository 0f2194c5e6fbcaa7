"""The logistic function and its logarithm; softplus."""

from __future__ import annotations

from gradc.runtime.vectors.exponential import exp
from gradc.runtime.vectors.logarithm import log_of_one_plus_fraction
from gradc.runtime.vectors.values import Real, quotient, select


def sigmoid(x: Real) -> Real:
    """1/(1 + exp(-x)), without an exponential that could overflow."""
    small = exp(-abs(x))
    sum_ = 1.0 + small
    return quotient(select(x > 0.0, 1.0, small), 0.0, sum_, small - (sum_ - 1.0))


def softplus(x: Real) -> Real:
    """log(1 + exp(x))."""
    return select(x > 0.0, x, 0.0) + _log1p_of_exp(-abs(x))


def log_sigmoid(x: Real) -> Real:
    """-softplus(-x)."""
    return select(x < 0.0, x, 0.0) - _log1p_of_exp(-abs(x))


def _log1p_of_exp(x: Real) -> Real:
    return log_of_one_plus_fraction(exp(x))
