"""exp, exp2 and expm1.

exp(x) = 2**k * exp(r) with k the integer nearest to x/log(2) and r = x - k*log(2), |r| <= log(2)/2, where a polynomial
serves. k*LN2_HIGH is exact; what rounding r loses is kept where it counts.
"""

from __future__ import annotations

from gradc.runtime.vectors.values import (
    BIAS,
    MANTISSA,
    ROUND,
    Integer,
    Real,
    at_least,
    at_most,
    bits,
    fma,
    polynomial,
    real,
    select,
)

LOG2_E = 1.4426950408889634
LN2 = 0.6931471805599453
LN2_HIGH, LN2_LOW = 0.6931471805582987, 1.6465949582897082e-12
"""log(2) in two parts, the high one of 38 bits."""

SECOND_ORDER = (
    *(0.5, 0.16666666666666685, 0.04166666666666672, 0.008333333333316751, 0.0013888888888859575),
    *(0.00019841269897037406, 2.480158737181307e-05, 2.7557234252895378e-06, 2.7557234824618903e-07),
    *(2.511223566041362e-08, 2.0926532521393137e-09),
)
"""(exp(r) - 1 - r)/r**2 for |r| <= log(2)/2; minimax, within 2**-64 of exp."""


def exp(x: Real) -> Real:
    """(1 + p) * 2**k. Arguments are held within the range in which the result is neither 0 nor infinite, and a bit."""
    p, k = power_of_e(at_most(at_least(x, -746.0), 710.0))
    return scaled(1.0 + p, k)


def power_of_e(x: Real, rest: Real | None = None) -> tuple[Real, Integer]:
    """p and k, such that exp(x + rest) = (1 + p)*2**k; k is in the lowest bits. `rest` is below 1e-4."""
    t = fma(x, LOG2_E, ROUND)
    k = t - ROUND
    r = fma(k, -LN2_LOW, fma(k, -LN2_HIGH, x))
    if rest is not None:
        r = r + rest
    return fma(r * r, polynomial(r, SECOND_ORDER), r), bits(t)


def exp2(x: Real) -> Real:
    """exp(r*log(2)) * 2**k with k the integer nearest to x, r = x - k."""
    x = at_most(at_least(x, -1076.0), 1025.0)
    t = x + ROUND
    r = (x - (t - ROUND)) * LN2
    return scaled(1.0 + fma(r * r, polynomial(r, SECOND_ORDER), r), bits(t))


def scaled(y: Real, k: Integer) -> Real:
    """y * 2**k with k in the lowest 12 bits: in two steps, so that it may overflow or become subnormal."""
    total = (k + 2 * BIAS) & 0xFFF
    half = total >> 1
    return y * real(half << MANTISSA) * real((total - half) << MANTISSA)


def expm1(x: Real) -> Real:
    """2**k * (exp(r) - 1) + (2**k - 1). Where k = 0 that is exp(r) - 1; below 2**-54 it is x."""
    y = at_most(at_least(x, -50.0), 710.0)
    s, p = halved_expm1(y)
    result = 2.0 * fma(s, p, s - 0.5)
    return select(abs(x) < 2.0**-54, x, result)


def halved_expm1(x: Real) -> tuple[Real, Real]:
    """s = 2**(k - 1) and p = expm1(r), such that expm1(x)/2 = s*p + (s - 1/2)."""
    t = fma(x, LOG2_E, ROUND)
    k = t - ROUND
    high = fma(k, -LN2_HIGH, x)
    r = fma(k, -LN2_LOW, high)
    lost = fma(k, -LN2_LOW, high - r)
    p = r + fma(r * r, polynomial(r, SECOND_ORDER), fma(lost, r, lost))
    s = real((bits(t) + (BIAS - 1)) << MANTISSA)
    return s, p
