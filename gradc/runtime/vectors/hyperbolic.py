"""sinh, cosh and tanh, by expm1 and exp."""

from __future__ import annotations

from gradc.runtime.vectors.exponential import halved_expm1, power, power_of_e
from gradc.runtime.vectors.values import Real, at_most, copysign, fma, polynomial, quotient, select

SINE = (
    *(0.16666666666666669, 0.008333333333333139, 0.0001984126984143768, 2.7557319155335935e-06),
    *(2.5052123398851216e-08, 1.6057240309376575e-10, 7.759313379960058e-13),
)
"""(sinh(x) - x)/x**3 in x**2, |x| <= 1; minimax, within 2**-63."""


def sinh(x: Real) -> Real:
    """h - 1/(4*h) with h = exp(|x|)/2; a polynomial for |x| < 1."""
    size = abs(x)
    half = half_exp(size)
    square = x * x
    near = fma(x * square, polynomial(square, SINE), x)
    return select(size < 1.0, near, copysign(half - 0.25 / half, x))


def cosh(x: Real) -> Real:
    """h + 1/(4*h) with h = exp(|x|)/2."""
    half = half_exp(abs(x))
    return half + 0.25 / half


def half_exp(x: Real) -> Real:
    """exp(x)/2 for x >= 0, halved before it could overflow."""
    p, k = power_of_e(at_most(x, 711.0))
    return power(p, k - 1)


def tanh(x: Real) -> Real:
    """t/(t + 2), or 1 - 2/(t + 2) where t is large, with t = expm1(2*|x|)."""
    size = abs(x)
    s, p = halved_expm1(2.0 * at_most(size, 20.0))
    t, more = fma(s, p, s - 0.5), fma(s, p, s + 0.5)
    t_low, more_low = s * p - (t - (s - 0.5)), s * p - (more - (s + 0.5))
    large = size > 0.6
    ratio = quotient(select(large, 1.0, t), select(large, 0.0, t_low), more, more_low)
    return select(size < 2.0 ** -(x.format.mantissa // 2 + 2), x, copysign(select(large, 1.0 - ratio, ratio), x))
