"""sinh, cosh and tanh, by expm1 and exp."""

from __future__ import annotations

from gradc.runtime.vectors.exponential import expm1_parts, power_of_e, scaled
from gradc.runtime.vectors.values import Real, at_most, copysign, fma, quotient, select


def sinh(x: Real) -> Real:
    """(t + t/(t + 1))/2 with t = expm1(|x|), by quarters so that only the result overflows."""
    size = at_most(abs(x), 710.5)
    s, p = expm1_parts(size, 2)
    quarter = fma(s, p, s - 0.25)
    low = s * p - (quarter - (s - 0.25))
    y = 2.0 * (quarter + (0.25 * quarter / fma(s, p, s) + low))
    return select(size < 2.0**-28, x, copysign(y, x))


def cosh(x: Real) -> Real:
    """h + 1/(4*h) with h = exp(|x|)/2."""
    p, k = power_of_e(at_most(abs(x), 711.0))
    half = scaled(1.0 + p, k - 1)
    return half + 0.25 / half


def tanh(x: Real) -> Real:
    """t/(t + 2), or 1 - 2/(t + 2) where t is large, with t = expm1(2*|x|)."""
    size = abs(x)
    s, p = expm1_parts(2.0 * at_most(size, 20.0), 1)
    t, more = fma(s, p, s - 0.5), fma(s, p, s + 0.5)
    t_low, more_low = s * p - (t - (s - 0.5)), s * p - (more - (s + 0.5))
    large = size > 0.6
    ratio = quotient(select(large, 1.0, t), select(large, 0.0, t_low), more, more_low)
    return select(size < 2.0**-28, x, copysign(select(large, 1.0 - ratio, ratio), x))
