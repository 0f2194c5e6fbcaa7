"""log, log1p, log2 and log10.

x = 2**k * m with sqrt(1/2) <= m < sqrt(2), and log(m) = 2*atanh(s) with s = f/(2 + f), f = m - 1. Of the series
2*s + 2/3*s**3 + ... the first term is taken apart as f - f**2/2 + s*f**2/2, whose first two parts lose nothing.
"""

from __future__ import annotations

import math

from gradc.runtime.vectors.exponential import LN2_PARTS
from gradc.runtime.vectors.values import FLOAT32, FLOAT64, Integer, Real, bits, copysign, fma, polynomial, real, select

ATANH = {
    FLOAT64: (
        *(0.6666666666666734, 0.3999999999941474, 0.2857142874239265, 0.22222198571113538),
        *(0.18183564509206024, 0.15314043983319817, 0.147960338660724),
    ),
    FLOAT32: (0.6666677594184875, 0.39977535605430603, 0.29871866106987),
}
"""(2*atanh(s) - 2*s)/s**3 in s**2, for m in the interval above; minimax, within 2**-59 of log(m), or 2**-30."""


def log(x: Real) -> Real:
    """k*log(2) + log(m)."""
    k, f = whole_and_rest(x)
    return with_edges(x, x, assembled(k, f))


def whole_and_rest(x: Real) -> tuple[Real, Real]:
    """k and m - 1 of a positive x, which may be subnormal."""
    small, digits = x < 2.0 ** (1 - x.format.bias), x.format.mantissa + 2
    k, m, _ = split(select(small, x * 2.0**digits, x))
    return k - select(small, float(digits), 0.0), m - 1.0


def log2(x: Real) -> Real:
    """Exact for powers of two."""
    return _in_base(x, (1.0, 0.0), (1.442695040255785, 6.331784189566044e-10))


def log10(x: Real) -> Real:
    """Exact for powers of ten."""
    return _in_base(x, (0.30102999566224753, 1.7336659603752853e-12), (0.43429448176175356, 1.414982685385801e-10))


def _in_base(x: Real, of_two: tuple[float, float], of_e: tuple[float, float]) -> Real:
    """The logarithm to the base in which 2 and e have these, each in a short and a long part."""
    k, f = whole_and_rest(x)
    half = 0.5 * f * f
    high = real(bits(f - half) & -(1 << 32))
    low = ((f - high) - half) + remainder(f, half)
    whole, part = k * of_two[0], high * of_e[0]
    total = whole + part
    rest = fma(k, of_two[1], fma(low + high, of_e[1], low * of_e[0]))
    return with_edges(x, x, total + (rest + ((whole - total) + part)))


def log1p(x: Real) -> Real:
    """log(u) with u = 1 + x; what rounding u loses is found exactly and added to m - 1."""
    u = 1.0 + x
    back = u - 1.0
    lost = (1.0 - (u - back)) + (x - back)
    k, m, scale = split(u)
    y = assembled(k, (m - 1.0) + lost * select(x < 2.0**60, scale, 0.0))
    return copysign(with_edges(u, x, y), x)


def log_of_one_plus_fraction(x: Real) -> Real:
    """log(1 + x) for 0 <= x <= 1, where 2**k is 1 or 2."""
    large = x > math.sqrt(2.0) - 1.0
    return assembled(select(large, 1.0, 0.0), select(large, 0.5 * x - 0.5, x))


def with_edges(positive: Real, x: Real, y: Real) -> Real:
    """y, but the infinity at the pole, where `positive` is 0, NaN beyond it, and x for an infinite or NaN x."""
    finite = select(x < math.inf, y, x)
    return select(positive <= 0.0, select(positive == 0.0, -math.inf, math.nan), finite)


def split(x: Real) -> tuple[Real, Real, Real]:
    """k, m and 2**-k of a positive normal x = 2**k * m, sqrt(1/2) <= m < sqrt(2)."""
    i, mantissa, more = bits(x), x.format.mantissa, x.format.bias + 1
    k = (i - x.format.pattern(math.sqrt(0.5)) + (more << mantissa)) >> mantissa
    shift = (k - more) << mantissa
    return as_real(k) - float(more), real(i - shift), real(x.format.pattern(1.0) - shift)


def as_real(k: Integer) -> Real:
    """A small non-negative integer as a float."""
    whole = 2.0**k.format.mantissa
    return real(k + k.format.pattern(whole)) - whole


def assembled(k: Real, f: Real) -> Real:
    """k*log(2) + log(1 + f)."""
    half = 0.5 * f * f
    ln2_high, ln2_low = LN2_PARTS[f.format]
    return fma(k, ln2_high, f - (half - fma(k, ln2_low, remainder(f, half))))


def remainder(f: Real, half: Real) -> Real:
    """log(1 + f) - f + half, where half = f**2/2."""
    s = f / (2.0 + f)
    z = s * s
    return s * fma(z, polynomial(z, ATANH[f.format]), half)
