"""exp, exp2 and expm1.

exp(x) = 2**k * exp(r) with k the integer nearest to x/log(2) and r = x - k*log(2), |r| <= log(2)/2, where a polynomial
serves. k times the high part of log(2) is exact; what rounding r loses is kept where it counts.
"""

from __future__ import annotations

from gradc.runtime.vectors.values import (
    FLOAT32,
    FLOAT64,
    Integer,
    Real,
    at_least,
    at_most,
    bits,
    fma,
    has_ldexp,
    ldexp,
    polynomial,
    real,
    select,
)

LOG2_E = 1.4426950408889634
LN2 = 0.6931471805599453
LN2_PARTS = {
    FLOAT64: (0.6931471805582987, 1.6465949582897082e-12),
    FLOAT32: (0.693145751953125, 1.428606765330187e-06),
}
"""log(2) in two parts, the high one of 38 bits, or 15."""

RANGE = {FLOAT64: (-746.0, 710.0), FLOAT32: (-104.0, 89.0)}
"""Beyond it the exponential is 0 or infinite."""

SECOND_ORDER = {
    FLOAT64: (
        *(0.5, 0.16666666666666685, 0.04166666666666672, 0.008333333333316751, 0.0013888888888859575),
        *(0.00019841269897037406, 2.480158737181307e-05, 2.7557234252895378e-06, 2.7557234824618903e-07),
        *(2.511223566041362e-08, 2.0926532521393137e-09),
    ),
    FLOAT32: (0.4999999403953552, 0.1666652113199234, 0.04166838899254799, 0.008368736132979393, 0.001381455804221332),
}
"""(exp(r) - 1 - r)/r**2 for |r| <= log(2)/2; minimax, within 2**-64 of exp, or 2**-28."""


def exp(x: Real) -> Real:
    """(1 + p) * 2**k. Arguments are held within the range in which the result is neither 0 nor infinite, and a bit."""
    least, most = RANGE[x.format]
    p, k = power_of_e(at_most(at_least(x, least), most))
    return scaled(1.0 + p, k)


def power_of_e(x: Real, rest: Real | None = None) -> tuple[Real, Integer]:
    """p and k, such that exp(x + rest) = (1 + p)*2**k; k is in the lowest bits. `rest` is below 1e-4."""
    t = fma(x, LOG2_E, x.format.round)
    k = t - x.format.round
    ln2_high, ln2_low = LN2_PARTS[x.format]
    r = fma(k, -ln2_low, fma(k, -ln2_high, x))
    if rest is not None:
        r = r + rest
    return fma(r * r, polynomial(r, SECOND_ORDER[x.format]), r), bits(t)


def exp2(x: Real) -> Real:
    """exp(r*log(2)) * 2**k with k the integer nearest to x, r = x - k."""
    x = at_most(at_least(x, -1076.0), 1025.0)
    t = x + x.format.round
    r = (x - (t - x.format.round)) * LN2
    return scaled(1.0 + fma(r * r, polynomial(r, SECOND_ORDER[x.format]), r), bits(t))


def scaled(y: Real, k: Integer) -> Real:
    """y * 2**k: where there is no instruction for it in two steps, so that it may overflow or become subnormal.

    k is in the lowest bits, of which one more counts than exponents have.
    """
    if has_ldexp():
        return ldexp(y, k)
    bias, mantissa = y.format.bias, y.format.mantissa
    total = (k + 2 * bias) & (4 * bias + 3)
    half = total >> 1
    return y * real(half << mantissa) * real((total - half) << mantissa)


def expm1(x: Real) -> Real:
    """2**k * (exp(r) - 1) + (2**k - 1). Where k = 0 that is exp(r) - 1; next to 0 it is x."""
    y = at_most(at_least(x, -50.0), RANGE[x.format][1])
    s, p = halved_expm1(y)
    result = 2.0 * fma(s, p, s - 0.5)
    return select(abs(x) < 2.0 ** -(x.format.mantissa + 2), x, result)


def halved_expm1(x: Real) -> tuple[Real, Real]:
    """s = 2**(k - 1) and p = expm1(r), such that expm1(x)/2 = s*p + (s - 1/2)."""
    t = fma(x, LOG2_E, x.format.round)
    k = t - x.format.round
    ln2_high, ln2_low = LN2_PARTS[x.format]
    high = fma(k, -ln2_high, x)
    r = fma(k, -ln2_low, high)
    lost = fma(k, -ln2_low, high - r)
    p = r + fma(r * r, polynomial(r, SECOND_ORDER[x.format]), fma(lost, r, lost))
    s = real((bits(t) + (x.format.bias - 1)) << x.format.mantissa)
    return s, p
