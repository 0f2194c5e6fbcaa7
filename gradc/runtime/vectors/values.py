"""Numbers whose arithmetic writes LLVM instructions: what the functions of this package are written in.

Calling a Python function with a `Real` writes the function's arithmetic into an LLVM function, one instruction an
operation, without flags: no optimiser regroups or fuses them, whatever it may do to the code around. There are no
branches; a choice is a `select` between two results. Code like that, put into a loop, LLVM vectorises.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from llvmlite import ir

INT64, DOUBLE = ir.IntType(64), ir.DoubleType()


class Truth:
    """The result of a comparison."""

    def __init__(self, builder: ir.IRBuilder, value: Any) -> None:
        self.builder, self.value = builder, value


class Integer:
    """A 64-bit pattern: arithmetic wraps around, shifts fill with zeros."""

    def __init__(self, builder: ir.IRBuilder, value: Any) -> None:
        self.builder, self.value = builder, value

    def _apply(self, operation: str, other: Integer | int) -> Integer:
        right = other.value if isinstance(other, Integer) else INT64(other)
        return Integer(self.builder, getattr(self.builder, operation)(self.value, right))

    def __add__(self, other: Integer | int) -> Integer:
        return self._apply("add", other)

    def __sub__(self, other: Integer | int) -> Integer:
        return self._apply("sub", other)

    def __rsub__(self, other: int) -> Integer:
        return Integer(self.builder, self.builder.sub(INT64(other), self.value))

    def __and__(self, other: Integer | int) -> Integer:
        return self._apply("and_", other)

    def __xor__(self, other: Integer | int) -> Integer:
        return self._apply("xor", other)

    def __lshift__(self, other: int) -> Integer:
        return self._apply("shl", other)

    def __rshift__(self, other: int) -> Integer:
        return self._apply("lshr", other)

    def __eq__(self, other: object) -> Truth:  # type: ignore[override]
        right = other.value if isinstance(other, Integer) else INT64(other)
        return Truth(self.builder, self.builder.icmp_unsigned("==", self.value, right))

    __hash__ = None  # type: ignore[assignment]


class Real:
    """A float64. Comparisons with NaN are false."""

    def __init__(self, builder: ir.IRBuilder, value: Any) -> None:
        self.builder, self.value = builder, value

    def _apply(self, operation: str, left: Real | float, right: Real | float) -> Real:
        return Real(self.builder, getattr(self.builder, operation)(_llvm(left), _llvm(right)))

    def __add__(self, other: Real | float) -> Real:
        return self._apply("fadd", self, other)

    def __radd__(self, other: float) -> Real:
        return self._apply("fadd", other, self)

    def __sub__(self, other: Real | float) -> Real:
        return self._apply("fsub", self, other)

    def __rsub__(self, other: float) -> Real:
        return self._apply("fsub", other, self)

    def __mul__(self, other: Real | float) -> Real:
        return self._apply("fmul", self, other)

    def __rmul__(self, other: float) -> Real:
        return self._apply("fmul", other, self)

    def __truediv__(self, other: Real | float) -> Real:
        return self._apply("fdiv", self, other)

    def __rtruediv__(self, other: float) -> Real:
        return self._apply("fdiv", other, self)

    def __neg__(self) -> Real:
        return Real(self.builder, self.builder.fneg(self.value))

    def __abs__(self) -> Real:
        return _intrinsic("llvm.fabs", self)

    def _compare(self, relation: str, other: Real | float) -> Truth:
        return Truth(self.builder, self.builder.fcmp_ordered(relation, self.value, _llvm(other)))

    def __lt__(self, other: Real | float) -> Truth:
        return self._compare("<", other)

    def __le__(self, other: Real | float) -> Truth:
        return self._compare("<=", other)

    def __gt__(self, other: Real | float) -> Truth:
        return self._compare(">", other)

    def __ge__(self, other: Real | float) -> Truth:
        return self._compare(">=", other)

    def __eq__(self, other: object) -> Truth:  # type: ignore[override]
        assert isinstance(other, (Real, float))
        return self._compare("==", other)

    __hash__ = None  # type: ignore[assignment]


def _llvm(x: Real | float) -> Any:
    return x.value if isinstance(x, Real) else DOUBLE(x)


def _intrinsic(name: str, x: Real, *others: Real | float) -> Real:
    arguments = [_llvm(a) for a in (x, *others)]
    signature = ir.FunctionType(DOUBLE, [DOUBLE] * len(arguments))
    function = x.builder.module.declare_intrinsic(name, [DOUBLE], signature)
    return Real(x.builder, x.builder.call(function, arguments))


def select(condition: Truth, yes: Real | float, no: Real | float) -> Real:
    """One of two values; both are computed."""
    return Real(condition.builder, condition.builder.select(condition.value, _llvm(yes), _llvm(no)))


def fma(a: Real, b: Real | float, c: Real | float) -> Real:
    """a*b + c, rounded once where the machine has an instruction for that, twice where not."""
    return _intrinsic("llvm.fmuladd", a, b, c)


def polynomial(x: Real, coefficients: Sequence[float]) -> Real:
    """c[0] + c[1]*x + c[2]*x**2 + ..., of two coefficients or more.

    Neighbours are joined to a polynomial in x**2, and so on (Estrin's scheme): a chain of few operations, for scalars.
    """
    terms: list[Real | float] = list(coefficients)
    while len(terms) > 1:
        pairs: list[Real | float] = [fma(x, high, low) for low, high in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + terms[len(pairs) * 2 :]
        x = x * x
    (result,) = terms
    assert isinstance(result, Real)
    return result


def quotient(a: Real | float, a_low: Real | float, b: Real, b_low: Real | float) -> Real:
    """(a + a_low)/(b + b_low), the low parts being what rounding a and b has lost; b is neither huge nor tiny."""
    inverse = 1.0 / b
    q = a * inverse
    return fma(inverse, fma(-q, b, a) + (a_low - q * b_low), q)


def copysign(magnitude: Real, sign: Real) -> Real:
    return _intrinsic("llvm.copysign", magnitude, sign)


def at_least(x: Real, bound: float) -> Real:
    """max(x, bound), and NaN for NaN."""
    return select(x < bound, bound, x)


def at_most(x: Real, bound: float) -> Real:
    """min(x, bound), and NaN for NaN."""
    return select(x > bound, bound, x)


def bits(x: Real) -> Integer:
    """The bit pattern of a float."""
    return Integer(x.builder, x.builder.bitcast(x.value, INT64))


def real(i: Integer) -> Real:
    """The float of a bit pattern."""
    return Real(i.builder, i.builder.bitcast(i.value, DOUBLE))


def pattern(x: float) -> int:
    """The bit pattern of a number."""
    return int(struct.unpack("<q", struct.pack("<d", x))[0])


BIAS, MANTISSA = 1023, 52
"""2**k has the bit pattern (k + BIAS) << MANTISSA."""

ROUND = 1.5 * 2.0**MANTISSA
"""Added to a number below 2**50, it leaves the nearest integer, also in the lowest bits of the pattern."""
