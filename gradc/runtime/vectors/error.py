"""erf and erfc."""

from __future__ import annotations

from gradc.runtime.vectors.exponential import exp, power_of_e, scaled
from gradc.runtime.vectors.values import Real, at_most, bits, copysign, fma, polynomial, quotient, real, select

NEAR = (
    *(0.12837916709551256, -0.3761263890318355, 0.11283791670945253, -0.02686617064327622),
    *(0.005223977607423468, -0.0008548325989696758, 0.00012055295320494294, -1.4924744663335489e-05),
    *(1.6447517677871873e-06, -1.6209175911748696e-07, 1.3722976265924504e-08, -7.801188874097751e-10),
)
"""erf(x)/x - 1 in x**2, |x| <= 1; minimax, within 2**-56."""

FAR = (
    *(-1.1283788566470843, -0.6366226422482997, -0.1027603992787017, 0.019096913555724754),
    *(0.00026412180918427604, -0.0017634369438661952, 0.0006476903756917013, -5.733704392705379e-05),
    *(-5.899074947087335e-05, 3.803335331792261e-05, -1.3349964191637424e-05, 3.251678377738972e-06),
    *(-5.748654090351952e-07, 7.306612226531712e-08, -6.363077261970804e-09, 3.408384087761831e-10),
    -8.477376948189797e-12,
)
"""log(erfc(x))/x, 1 <= x <= 6; minimax, within 2**-55 of erf."""

CENTRE = 4.0
SCALED = (
    *(1.2329951186255526, -0.13962111684056253, 0.015379652102620081, 0.06809705425469295),
    *(-0.10103906603632774, 0.09373283499833691, -0.06633036581158672, 0.03716751553780825),
    *(-0.016197734066530602, 0.005031969973015743, -0.0007577732183055176, -0.00019925664834752075),
    *(0.0001506213269027857, -2.4399481463448267e-05, -1.1220940613621915e-05, 5.71070067300774e-06),
    *(2.917027798269398e-07, -8.276324168733934e-07, 7.699137673538068e-08, 1.1313661000172438e-07),
    *(-1.910680467228865e-08, -1.6518018341515838e-08, 1.7092523103262458e-09, 2.0790162989989896e-09),
    2.810290941848277e-10,
)
"""exp(x**2)*erfc(x)*(1 + 2*x) in q = (x - CENTRE)/(x + CENTRE), 0 <= x <= 27.5; minimax, within 2**-61."""


def erf(x: Real) -> Real:
    size = at_most(abs(x), 6.0)
    far = copysign(1.0 - exp(size * polynomial(size, FAR)), x)
    return select(size < 1.0, erf_near(x), far)


def erf_near(x: Real) -> Real:
    """erf(x) for |x| <= 1."""
    return fma(x, polynomial(x * x, NEAR), x)


def erfc(x: Real) -> Real:
    """1 - erf(x) for |x| < 1/2, else exp(-x**2) * SCALED(q)/(1 + 2*x) or 2 - erfc(-x). Within 4 ulp.

    exp is given x**2 in two floats, and scales last, since a subnormal has no digits to lose.
    """
    size = at_most(abs(x), 28.0)
    high = real(bits(size) & -(1 << 27))
    p, k = power_of_e(-(high * high), (high - size) * (high + size))
    divisor = 1.0 + 2.0 * size
    low = 2.0 * size - (divisor - 1.0)
    q = (size - CENTRE) / (size + CENTRE)
    y = scaled(quotient(p * polynomial(q, SCALED), 0.0, divisor, low), k)
    return select(size < 0.5, 1.0 - erf_near(x), select(x < 0.0, 2.0 - y, y))
