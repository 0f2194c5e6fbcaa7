"""exp, exp2 and expm1.

exp(x) = 2**k * exp(r) with k the integer nearest to x/log(2) and r = x - k*log(2), |r| <= log(2)/2, where a polynomial
serves. k times the high part of log(2) is exact; what rounding r loses is kept where it counts.
"""

from __future__ import annotations

from gradc.runtime.vectors.values import (
    FLOAT32,
    FLOAT64,
    Format,
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
"""(exp(r) - 1 - r)/r**2 for |r| <= log(2)/2; minimax, within 2**-61 of exp(r) - 1, or 2**-28 of exp(r)."""

OF_EXP = {
    FLOAT64: (
        *(0.5000000000000011, 0.16666666666666413, 0.04166666666653016, 0.008333333333494486, 0.0013888888943629077),
        *(0.00019841269506519688, 2.4801493099877013e-05, 2.7557586430346135e-06, 2.7630248066541834e-07),
        2.5000042896524453e-08,
    ),
    FLOAT32: SECOND_ORDER[FLOAT32],
}
"""The same with one term less, for what 1 is added to: within 2**-57 of exp(r), or 2**-28."""


def exp(x: Real) -> Real:
    """(1 + p) * 2**k. Arguments are held within the range in which the result is neither 0 nor infinite, and a bit."""
    least, most = RANGE[x.format]
    return power(*power_of_e(at_most(at_least(x, least), most)))


def power_of_e(x: Real, rest: Real | None = None) -> tuple[Real, Integer]:
    """p and k, such that exp(x + rest) = (1 + p)*2**k; k is as `scaled` takes it. `rest` is below 1e-4."""
    rounding = _rounding(x.format)
    t = fma(x, LOG2_E, rounding)
    k = t - rounding
    ln2_high, ln2_low = LN2_PARTS[x.format]
    r = fma(k, -ln2_low, fma(k, -ln2_high, x))
    if rest is not None:
        r = r + rest
    return fma(r * r, polynomial(r, OF_EXP[x.format]), r), bits(t)


def exp2(x: Real) -> Real:
    """exp(r*log(2)) * 2**k with k the integer nearest to x, r = x - k."""
    x = at_most(at_least(x, -1076.0), 1025.0)
    rounding = _rounding(x.format)
    t = x + rounding
    r = (x - (t - rounding)) * LN2
    return power(fma(r * r, polynomial(r, OF_EXP[x.format]), r), bits(t))


def _rounding(format: Format) -> float:
    """Added to a number below 2**(mantissa - 2), it leaves the nearest integer, and in the lowest bits that as `scaled`
    takes it: what is split in two there must not be negative.
    """
    return format.round + (0 if has_ldexp() else 2 * format.bias)


def power(p: Real, k: Integer) -> Real:
    """(1 + p) * 2**k."""
    if has_ldexp():
        return ldexp(1.0 + p, k)
    first, second = _powers(p.format, k)
    return fma(first, p, first) * second


def scaled(y: Real, k: Integer) -> Real:
    """y * 2**k. k is in the lowest bits, plus what `_rounding` adds."""
    if has_ldexp():
        return ldexp(y, k)
    first, second = _powers(y.format, k)
    return y * first * second


def _powers(format: Format, k: Integer) -> tuple[Real, Real]:
    """Two powers of two whose product is 2**k: it may overflow or become subnormal, which neither of them does."""
    half = k >> 1
    return real(half << format.mantissa), real((k - half) << format.mantissa)


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
