"""tanh, by expm1."""

from __future__ import annotations

from gradc.runtime.vectors.exponential import halved_expm1
from gradc.runtime.vectors.values import Real, at_most, copysign, fma, select


def tanh(x: Real) -> Real:
    """t/(t + 2), or 1 - 2/(t + 2) where t is large, with t = expm1(2*|x|)."""
    size = abs(x)
    s, p = halved_expm1(2.0 * at_most(size, 20.0))
    large = size > 0.6
    ratio = select(large, 1.0, fma(s, p, s - 0.5)) / fma(s, p, s + 0.5)
    return select(size < 2.0**-28, x, copysign(select(large, 1.0 - ratio, ratio), x))
