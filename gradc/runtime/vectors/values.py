"""Numbers whose arithmetic writes LLVM instructions: what the functions of this package are written in.

Calling a Python function with a `Real` writes the function's arithmetic into an LLVM function, one instruction an
operation, without flags: no optimiser regroups or fuses them, whatever it may do to the code around. There are no
branches; a choice is a `select` between two results. Code like that, put into a loop, LLVM vectorises.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from typing import Any

from llvmlite import binding, ir
from msgspec import Struct

from gradc.runtime.native import Function

DOUBLE, FLOAT = ir.DoubleType(), ir.FloatType()


class Format(Struct, frozen=True):
    """How numbers are made of bits: 2**k has the pattern (k + bias) << mantissa."""

    real: Any
    integer: Any
    code: str
    bias: int
    mantissa: int

    @property
    def round(self) -> float:
        """Added to a number below 2**(mantissa - 2), it leaves the nearest integer, also in the lowest bits."""
        return 1.5 * 2.0**self.mantissa

    def pattern(self, x: float) -> int:
        """The bit pattern of a number."""
        return int.from_bytes(struct.pack(f"<{self.code}", x), "little")


FLOAT64, FLOAT32 = Format(DOUBLE, ir.IntType(64), "d", 1023, 52), Format(FLOAT, ir.IntType(32), "f", 127, 23)


class Arithmetic(Function):
    """Writes one function of a number. Its constants are parts of instructions, or `variables` that nobody changes.

    In a loop, constants that there are no registers for are made anew in each turn, by two instructions each. What LLVM
    has to read from memory it reads once, before the loop, and instructions take it from the stack.
    """

    def __init__(self, module: ir.Module, name: str, format: Format, variables: bool) -> None:
        super().__init__(module, name, format.real, format.real)
        self.variables = variables

    def constant(self, x: float, format: Format) -> Any:
        if not self.variables:
            return format.real(x)
        name = f"gradc_constant_{format.code}{format.pattern(x):x}"
        variable = self.module.globals.get(name)
        if variable is None:
            variable = ir.GlobalVariable(self.module, format.real, name)
            variable.linkage, variable.initializer = "linkonce_odr", format.real(x)  # one for all functions in a module
        value = self.load(variable, align=(format.mantissa + 12) // 8)
        value.set_metadata("invariant.load", self.module.add_metadata([]))
        return value


class Truth:
    """The result of a comparison of numbers of a format."""

    def __init__(self, builder: Arithmetic, value: Any, format: Format) -> None:
        self.builder, self.value, self.format = builder, value, format


class Integer:
    """The bit pattern of a float: arithmetic wraps around, shifts fill with zeros."""

    def __init__(self, builder: Arithmetic, value: Any, format: Format) -> None:
        self.builder, self.value, self.format = builder, value, format

    def _apply(self, operation: str, other: Integer | int) -> Integer:
        right = other.value if isinstance(other, Integer) else self.format.integer(other)
        return Integer(self.builder, getattr(self.builder, operation)(self.value, right), self.format)

    def __add__(self, other: Integer | int) -> Integer:
        return self._apply("add", other)

    def __sub__(self, other: Integer | int) -> Integer:
        return self._apply("sub", other)

    def __rsub__(self, other: int) -> Integer:
        return Integer(self.builder, self.builder.sub(self.format.integer(other), self.value), self.format)

    def __and__(self, other: Integer | int) -> Integer:
        return self._apply("and_", other)

    def __xor__(self, other: Integer | int) -> Integer:
        return self._apply("xor", other)

    def __lshift__(self, other: int) -> Integer:
        return self._apply("shl", other)

    def __rshift__(self, other: int) -> Integer:
        return self._apply("lshr", other)

    def __eq__(self, other: object) -> Truth:  # type: ignore[override]
        right = other.value if isinstance(other, Integer) else self.format.integer(other)
        return Truth(self.builder, self.builder.icmp_unsigned("==", self.value, right), self.format)

    __hash__ = None  # type: ignore[assignment]


class Real:
    """A float64 or float32. Comparisons with NaN are false."""

    def __init__(self, builder: Arithmetic, value: Any, format: Format = FLOAT64) -> None:
        self.builder, self.value, self.format = builder, value, format

    def _apply(self, operation: str, left: Real | float, right: Real | float) -> Real:
        a, b = (_llvm(self.builder, x, self.format) for x in (left, right))
        return Real(self.builder, getattr(self.builder, operation)(a, b), self.format)

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
        return Real(self.builder, self.builder.fneg(self.value), self.format)

    def __abs__(self) -> Real:
        return _intrinsic("llvm.fabs", self)

    def _compare(self, relation: str, other: Real | float) -> Truth:
        compared = self.builder.fcmp_ordered(relation, self.value, _llvm(self.builder, other, self.format))
        return Truth(self.builder, compared, self.format)

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


def _llvm(builder: Arithmetic, x: Real | float, format: Format) -> Any:
    return x.value if isinstance(x, Real) else builder.constant(x, format)


def _intrinsic(name: str, x: Real, *others: Real | float) -> Real:
    arguments = [_llvm(x.builder, a, x.format) for a in (x, *others)]
    kind = x.format.real
    function = x.builder.module.declare_intrinsic(name, [kind], ir.FunctionType(kind, [kind] * len(arguments)))
    return Real(x.builder, x.builder.call(function, arguments), x.format)


def select(condition: Truth, yes: Real | float, no: Real | float) -> Real:
    """One of two values; both are computed."""
    a, b = (_llvm(condition.builder, x, condition.format) for x in (yes, no))
    return Real(condition.builder, condition.builder.select(condition.value, a, b), condition.format)


def fma(a: Real, b: Real | float, c: Real | float) -> Real:
    """a*b + c, rounded once where the machine has an instruction for that, twice where not."""
    return _intrinsic("llvm.fmuladd", a, b, c)


def polynomial(x: Real, coefficients: Sequence[float]) -> Real:
    """c[0] + c[1]*x + c[2]*x**2 + ..., of two coefficients or more.

    Even and odd powers apart: chains half as long, for one multiplication more.
    """
    square = x * x
    even, odd = (_horner(square, coefficients[start::2]) for start in (0, 1))
    return fma(x, odd, even)


def _horner(x: Real, coefficients: Sequence[float]) -> Real | float:
    result: Real | float = coefficients[-1]
    for c in coefficients[-2::-1]:
        result = fma(x, result, c)
    return result


def quotient(a: Real | float, a_low: Real | float, b: Real, b_low: Real | float) -> Real:
    """(a + a_low)/(b + b_low), the low parts being what rounding a and b has lost; b is neither huge nor tiny."""
    inverse = 1.0 / b
    q = a * inverse
    return fma(inverse, fma(-q, b, a) + (a_low - q * b_low), q)


@functools.cache
def has_few_registers() -> bool:
    """Whether vectors have 16 registers: fewer than functions have constants."""
    features = binding.get_host_cpu_features()
    return bool(features.get("avx2")) and not features.get("avx512f")


@functools.cache
def has_ldexp() -> bool:
    """Whether `ldexp` is one instruction, of vectors too: elsewhere LLVM calls the C library for each number."""
    return binding.llvm_version_info >= (22,) and bool(binding.get_host_cpu_features().get("avx512f"))


def ldexp(y: Real, k: Integer) -> Real:
    """y * 2**k, rounded once. k is in the lowest bits, as `Format.round` leaves it."""
    i32 = ir.IntType(32)
    if k.format.integer == i32:
        spare = i32(31 - (k.format.mantissa - 2))
        power = k.builder.ashr(k.builder.shl(k.value, spare), spare)
    else:
        power = k.builder.trunc(k.value, i32)
    kind = ir.FunctionType(y.format.real, [y.format.real, i32])
    name = f"llvm.ldexp.{y.format.real.intrinsic_name}.i32"
    function = y.builder.module.globals.get(name) or ir.Function(y.builder.module, kind, name)
    return Real(y.builder, y.builder.call(function, [y.value, power]), y.format)


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
    return Integer(x.builder, x.builder.bitcast(x.value, x.format.integer), x.format)


def real(i: Integer) -> Real:
    """The float of a bit pattern."""
    return Real(i.builder, i.builder.bitcast(i.value, i.format.real), i.format)
