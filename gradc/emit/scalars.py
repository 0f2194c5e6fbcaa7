"""Scalar functions that generated modules carry, where NumPy has none. Their text is copied into the module.

Each works on NumPy floats and compiled alike, with IEEE results and no exceptions.
"""

# mypy: disable-error-code="no-any-return,return-value"
# Numbers are NumPy's here, whose functions are typed for arrays.

from math import erf as c_erf
from math import erfc as c_erfc
from math import lgamma as c_lgamma

from numpy import exp, expm1, float64, floor, inf, int64, log, log1p, maximum, minimum, nan, pi, sinh, tan


def truncate(x: float) -> int:
    """Towards zero, to the nearest integer there is; NaN is 0."""
    if x >= 9223372036854775808.0:
        return int64(9223372036854775807)
    if x <= -9223372036854775808.0:
        return int64(-9223372036854775807 - 1)
    return int64(x) if x == x else int64(0)


def step(x: float) -> float:
    return float64(1.0 if x >= 0.0 else (0.0 if x < 0.0 else nan))


def relu(x: float) -> float:
    return maximum(x, 0.0)


def leaky_relu(x: float, slope: float) -> float:
    return x if x >= 0.0 else slope * x


def elu(x: float, alpha: float) -> float:
    return x if x > 0.0 else alpha * expm1(x)


def sigmoid(x: float) -> float:
    small = exp(-abs(x))
    return (1.0 if x >= 0.0 else small) / (1.0 + small)


def softplus(x: float) -> float:
    return maximum(x, 0.0) + log1p(exp(-abs(x)))


def log_sigmoid(x: float) -> float:
    return minimum(x, 0.0) - log1p(exp(-abs(x)))


def logaddexp(a: float, b: float) -> float:
    gap = 0.0 if a == b else abs(a - b)
    return maximum(a, b) + log1p(exp(-gap))


def log1mexp(x: float) -> float:
    """log(1 - exp(x)), for negative x."""
    return log1p(-exp(x)) if x < -0.6931471805599453 else log(-expm1(x))


def log_cosh(x: float) -> float:
    size = abs(x)
    if size < 1.0:
        half = sinh(0.5 * x)
        return log1p(2.0 * half * half)
    return size + log1p(exp(-2.0 * size)) - 0.6931471805599453


def erf(x: float) -> float:
    return float64(c_erf(x))


def erfc(x: float) -> float:
    return float64(c_erfc(x))


def lgamma(x: float) -> float:
    if x != x or x == inf:
        return x
    if x == -inf or (x <= 0.0 and x == floor(x)) or x > 1e305:
        return float64(inf)
    return float64(c_lgamma(x))


def digamma(x: float) -> float:
    """Recurrence up to 10, then the asymptotic series; reflection below zero (DLMF 5.5.4, 5.11.2)."""
    if x == 0.0:
        return float64(-inf if 1.0 / float64(x) > 0.0 else inf)
    if x < 0.0 and x == floor(x):
        return float64(nan)
    total = float64(0.0)
    y = float64(x)
    if y < 0.0:
        total -= pi / tan(pi * (y - floor(y)))
        y = 1.0 - y
    while y < 10.0:
        total -= 1.0 / y
        y += 1.0
    r = 1.0 / (y * y)
    series = r * (1 / 12 - r * (1 / 120 - r * (1 / 252 - r * (1 / 240 - r * (1 / 132 - r * (691 / 32760 - r / 12))))))
    return total + log(y) - 0.5 / y - series


def polygamma(m: int, x: float) -> float:
    """Derivative m of digamma: recurrence up to 20 + 2*m, then the asymptotic series (DLMF 5.15.5, 5.15.8).

    NaN below 0, and above 170, whose factorial is no double any more.
    """
    if m == 0:
        return digamma(x)
    if m < 0 or m > 170:
        return float64(nan)
    sign = 1.0 if m % 2 else -1.0
    y = float64(x)
    if y <= 0.0 and y == floor(y):
        return float64(inf) if m % 2 else float64(nan)
    if y != y or y < -1e6:
        return float64(nan)
    total = float64(0.0)
    while True:
        power = float64(1.0)
        for k in range(1, m + 1):
            power *= k / y
        if y >= 20.0 + 2 * m:
            break
        total += power / y
        y += 1.0
    total += power / m + 0.5 * power / y
    term = (m + 1) / 2.0 * power / (y * y)
    total += term / 6.0
    term *= (m + 2) * (m + 3) / (12.0 * y * y)
    total -= term / 30.0
    term *= (m + 4) * (m + 5) / (30.0 * y * y)
    total += term / 42.0
    term *= (m + 6) * (m + 7) / (56.0 * y * y)
    total -= term / 30.0
    term *= (m + 8) * (m + 9) / (90.0 * y * y)
    total += term * 5.0 / 66.0
    return sign * total


FUNCTIONS = (
    *(truncate, step, relu, leaky_relu, elu, sigmoid, softplus, log_sigmoid, logaddexp, log1mexp, log_cosh),
    *(erf, erfc, lgamma, digamma, polygamma),
)
