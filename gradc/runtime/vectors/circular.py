"""sin, cos and tan; arctan.

x = k*pi/2 + r with |r| <= pi/4. pi/2 is taken in parts whose products with k are exact, and r in two floats, so that
also numbers next to a multiple of pi/2 keep their digits. Beyond FAR that is not enough: the C library is asked.
"""

from __future__ import annotations

import math

from gradc.runtime.vectors.rare import unless
from gradc.runtime.vectors.values import Integer, Real, bits, copysign, fma, polynomial, real, select

FAR = 1e5
TWO_OVER_PI = 0.6366197723675814
PI_LOW = 1.2246467991473532e-16
"""What `math.pi` lacks."""
PARTS = (1.5707963267923333, 2.5633441515839558e-12, 1.0562999066987428e-23)
"""pi/2; the first two have 35 bits."""

SINE = (
    *(0.16666666666666632, -0.008333333333322436, 0.0001984126982982029),
    *(-2.755731369474017e-06, 2.5050758373049532e-08, -1.589680240324748e-10),
)
"""(y - sin(y))/y**3 in y**2, |y| <= pi/4; minimax, within 2**-58 of sin."""

COSINE = (
    *(0.0416666666666666, -0.0013888888888874133, 2.4801587289486572e-05),
    *(-2.75573143532987e-07, 2.0875723374532004e-09, -1.1359651916301204e-11),
)
"""(cos(y) - 1 + y**2/2)/y**4 in y**2, |y| <= pi/4; minimax, within 2**-64 of cos."""


def sin(x: Real) -> Real:
    """sin(r), cos(r), -sin(r) or -cos(r), by the last two bits of k."""
    sine, cosine, quadrant = sine_and_cosine(x)
    y = select((quadrant & 1) == 0, sine, cosine)
    return unless(abs(x) > FAR, real(bits(y) ^ ((quadrant & 2) << 62)), x, "sin")


def cos(x: Real) -> Real:
    """cos(r), -sin(r), -cos(r) or sin(r), by the last two bits of k."""
    sine, cosine, quadrant = sine_and_cosine(x)
    y = select((quadrant & 1) == 0, cosine, sine)
    return unless(abs(x) > FAR, real(bits(y) ^ (((quadrant + 1) & 2) << 62)), x, "cos")


def tan(x: Real) -> Real:
    """sin(x)/cos(x), within 3 ulp."""
    sine, cosine, quadrant = sine_and_cosine(x)
    odd = (quadrant & 1) == 1
    y = select(odd, cosine, sine) / select(odd, -sine, cosine)
    return unless(abs(x) > FAR, y, x, "tan")


def sine_and_cosine(x: Real) -> tuple[Real, Real, Integer]:
    """Both of r, and k, for |x| <= FAR."""
    t = fma(x, TWO_OVER_PI, x.format.round)
    k = t - x.format.round
    near = fma(k, -PARTS[0], x)
    second = k * PARTS[1]
    high = near - second
    r = fma(k, PARTS[2], second - (near - high))
    y = high - r
    excess = r - (high - y)
    z = y * y
    sine = y - fma(y * z, polynomial(z, SINE), excess)
    half = 0.5 * z
    most = 1.0 - half
    cosine = most + (((1.0 - most) - half) + fma(z * z, polynomial(z, COSINE), y * excess))
    return sine, cosine, bits(t)


ARCTANGENT = (
    *(-0.33333333333333326, 0.1999999999999769, -0.14285714285390486, 0.11111111088332663),
    *(-0.09090908150130561, 0.07692282885628997, -0.06666228636226863, 0.05877040230139701),
    *(-0.05218523231440018, 0.045040333633699116, -0.03348573827384496, 0.015206624867562621),
)
"""(arctan(x) - x)/x**3 in x**2, |x| <= tan(pi/8); minimax, within 2**-64."""


def arctan(x: Real) -> Real:
    """Of a = |x|, pi/2 - arctan(1/a) where a > tan(3*pi/8), and pi/4 + arctan((a - 1)/(a + 1)) down to tan(pi/8)."""
    size = abs(x)
    far, middle = size > math.tan(3 * math.pi / 8), size > math.tan(math.pi / 8)
    up = select(far, -1.0, select(middle, size - 1.0, size))
    down = select(far, size, select(middle, size + 1.0, 1.0))
    r = up / down
    z = r * r
    start = select(far, math.pi / 2, select(middle, math.pi / 4, 0.0))
    low = select(far, PI_LOW / 2, select(middle, PI_LOW / 4, 0.0))
    return copysign(start + (r + (fma(r * z, polynomial(z, ARCTANGENT), low))), x)
