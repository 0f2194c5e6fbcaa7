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

CENTRE = 3.75
SCALED = (
    *(1.2375126308378275, -0.1402405985855468, 0.0035854154854665808, 0.08227673849012361),
    *(-0.10880393014189747, 0.09230432116125199, -0.0586933985856511, 0.028362277402989362),
    *(-0.00974657961268159, 0.0017556260112961356, 0.0002937141021000681, -0.0002901550180032672),
    *(5.164692496334724e-05, 2.2387702936774693e-05, -1.1437176522362676e-05, -9.816431169470351e-07),
    *(1.7372007661522587e-06, -4.5570174796778045e-08, -2.39870408865406e-07, 1.3641679136430908e-08),
    2.442735434248591e-08,
)
"""exp(x**2)*erfc(x)*(1 + 2*x) in q = (x - CENTRE)/(x + CENTRE), 1/2 <= x <= 27.5; minimax, within 2**-56."""


def erf(x: Real) -> Real:
    """A polynomial for |x| < 1, then 1 - exp(another)."""
    size = at_most(abs(x), 6.0)
    far = copysign(1.0 - exp(size * polynomial(size, FAR)), x)
    return select(size < 1.0, erf_near(x), far)


def erf_near(x: Real) -> Real:
    """erf(x) for |x| <= 1."""
    return fma(x, polynomial(x * x, NEAR), x)


def erfc(x: Real) -> Real:
    """1 - erf(x) for |x| < 1/2, else exp(-x**2) * SCALED(q)/(1 + 2*x) or 2 - erfc(-x). Within 3 ulp.

    exp is given x**2 in two floats, and scales last, since a subnormal has no digits to lose.
    """
    size = at_most(abs(x), 28.0)
    high = real(bits(size) & -(1 << 27))
    p, k = power_of_e(-(high * high), (high - size) * (high + size))
    q = (size - CENTRE) / (size + CENTRE)
    more = q * polynomial(q, SCALED[1:])
    top, bottom = SCALED[0] + more, 1.0 + 2.0 * size
    ratio = quotient(top, (SCALED[0] - top) + more, bottom, 2.0 * size - (bottom - 1.0))
    y = scaled(fma(p, ratio, ratio), k)
    return select(size < 0.5, 1.0 - erf_near(x), select(x < 0.0, 2.0 - y, y))
