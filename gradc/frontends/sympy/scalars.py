"""SymPy's scalar functions as nodes: a row a class. Everything is real; integers become floats when computed with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import reduce

import sympy
from sympy import functions as f

from gradc.algebra import is_const
from gradc.build import Builder
from gradc.errors import UnsupportedError
from gradc.frontends.sympy.forms import Part
from gradc.ir import Node
from gradc.ops import OPS

Rule = Callable[[Builder, Part, Sequence[Node]], Node]
EXACT = 2**53
"""Integers up to this are floats without rounding."""


def real(build: Builder, name: str, *args: Node) -> Node:
    """A scalar function of real numbers: arithmetic on SymPy's integers does not overflow."""
    if OPS[name].result == "same" and not any(a.type == "float" for a in args):
        args = tuple(build.convert(a, "float") for a in args)
    return build.op(name, *args)


def const(build: Builder, value: float) -> Node:
    return build.const(float(value))


def same(name: str) -> Rule:
    """The function of gradc that has SymPy's arguments."""
    return lambda build, e, args: real(build, name, *args)


def folded(name: str) -> Rule:
    """A function of two arguments, applied from the left to any number of them."""
    return lambda build, e, args: reduce(lambda a, b: real(build, name, a, b), args)


def inverted(name: str) -> Rule:
    """1/f(x), as sec is of cos."""
    return lambda build, e, args: real(build, "div", const(build, 1), real(build, name, *args))


def of_inverse(name: str) -> Rule:
    """f(1/x), as asec is of acos."""
    return lambda build, e, args: real(build, name, real(build, "div", const(build, 1), *args))


def number(build: Builder, e: Part, args: Sequence[Node]) -> Node:
    if isinstance(e, sympy.Rational):
        p, q = int(e.p), int(e.q)
        if q == 1 and abs(p) < EXACT:
            return build.const(p)
        try:
            return const(build, float(Fraction(p, q)))
        except OverflowError:
            return const(build, float("inf") if p > 0 else -float("inf"))
    return const(build, float(e))


def add(build: Builder, e: Part, args: Sequence[Node]) -> Node:
    """What is added before what is subtracted: SymPy puts -1 + x for x - 1."""
    minus = [a for a in args if _is_negative(a)]
    terms = [a for a in args if not _is_negative(a)]
    if not terms:
        return real(build, "neg", add(build, e, [real(build, "neg", a) for a in minus]))
    total = reduce(lambda a, b: real(build, "add", a, b), terms)
    return reduce(lambda a, b: real(build, "sub", a, real(build, "neg", b)), minus, total)


def mul(build: Builder, e: Part, args: Sequence[Node]) -> Node:
    return product(build, e.args, args)


def product(build: Builder, parts: Sequence[Part], args: Sequence[Node]) -> Node:
    """A quotient if there are negative powers, which have become 1/x; the sign goes in front."""
    above: list[Node] = []
    below: list[Node] = []
    sign = 1
    for part, a in zip(parts, args, strict=True):
        if isinstance(part, sympy.Rational) and max(abs(part.p), part.q) < EXACT:
            sign = -1 if part.p < 0 else 1
            above += [const(build, abs(int(part.p)))] if abs(part.p) != 1 else []
            below += [const(build, int(part.q))] if part.q != 1 else []
        elif a.op == "div" and is_const(a.args[0], 1):
            below.append(a.args[1])
        else:
            above.append(a)
    value = reduce(lambda a, b: real(build, "mul", a, b), above, const(build, 1))
    if below:
        value = real(build, "div", value, reduce(lambda a, b: real(build, "mul", a, b), below))
    return value if sign > 0 else real(build, "neg", value)


def power(build: Builder, e: Part, args: Sequence[Node]) -> Node:
    base, exponent = args
    if base.op == "const" and isinstance(e, sympy.Pow) and e.base is sympy.E:
        return real(build, "exp", exponent)
    if exponent.op == "const" and exponent.value < 0:
        below = base if exponent.value == -1 else power(build, e, (base, build.op("neg", exponent)))
        return real(build, "div", const(build, 1), below)
    if exponent.type == "int":
        return build.op("power", build.convert(base, "float"), exponent)
    return real(build, "power", base, exponent)


def heaviside(build: Builder, e: Part, args: Sequence[Node]) -> Node:
    x, at_zero = args
    half = real(build, "div", real(build, "add", const(build, 1), real(build, "sign", x)), const(build, 2))
    return half if is_const(at_zero, 0.5) else build.select(real(build, "eq", x, const(build, 0)), at_zero, half)


def arccot(build: Builder, e: Part, args: Sequence[Node]) -> Node:
    """SymPy's is odd, and pi/2 at 0."""
    (x,) = args
    one, zero = const(build, 1), const(build, 0)
    right = real(build, "arctan2", one, x)
    left = real(build, "arctan2", const(build, -1), real(build, "neg", x))
    return build.select(real(build, "ge", x, zero), right, left)


def gamma(build: Builder, e: Part, args: Sequence[Node]) -> Node:
    size = real(build, "exp", real(build, "lgamma", args[0]))
    return build.select(_gamma_is_positive(build, args[0]), size, real(build, "neg", size))


def log_gamma(build: Builder, x: Node) -> Node:
    """log(gamma(x)), which overflows long after gamma does; not a number where that is negative."""
    return build.select(_gamma_is_positive(build, x), real(build, "lgamma", x), const(build, float("nan")))


def _gamma_is_positive(build: Builder, x: Node) -> Node:
    parity = real(build, "mod", real(build, "floor", x), const(build, 2))
    zero = const(build, 0)
    return build.op("or", real(build, "gt", x, zero), real(build, "eq", parity, zero))


def factorial(build: Builder, e: Part, args: Sequence[Node]) -> Node:
    return gamma(build, e, [real(build, "add", args[0], const(build, 1))])


def polygamma(build: Builder, e: Part, args: Sequence[Node]) -> Node:
    order, x = args
    if order.op != "const" or order.type != "int" or order.value < 0:
        raise UnsupportedError("the order of polygamma must be a number: 0, 1, 2 ...")
    return real(build, "digamma", x) if order.value == 0 else build.op("polygamma", order, build.convert(x, "float"))


def fractional(build: Builder, e: Part, args: Sequence[Node]) -> Node:
    return real(build, "sub", args[0], real(build, "floor", args[0]))


def itself(build: Builder, e: Part, args: Sequence[Node]) -> Node:
    """Numbers are real; what is complex is not a number here, and stays so."""
    return args[0]


def imaginary(build: Builder, e: Part, args: Sequence[Node]) -> Node:
    return real(build, "mul", const(build, 0), args[0])


def argument(build: Builder, e: Part, args: Sequence[Node]) -> Node:
    """The angle of a real number: SymPy asks for it where it has not been told that a symbol is real."""
    negative = real(build, "lt", args[0], const(build, 0))
    return build.select(negative, const(build, math.pi), const(build, 0))


def condition(build: Builder, e: Part, args: Sequence[Node]) -> Node:
    return build.const(e is sympy.S.true)


def chain(name: str) -> Rule:
    """Conditions joined, which SymPy's symbols may be too."""
    return lambda build, e, args: reduce(lambda a, b: build.op(name, a, b), args)


def negation(build: Builder, e: Part, args: Sequence[Node]) -> Node:
    return build.op("not", args[0])


def exclusive(build: Builder, e: Part, args: Sequence[Node]) -> Node:
    holds = [build.convert(a, "bool") for a in args]
    return reduce(lambda a, b: build.op("ne", a, b), holds)


def if_then_else(build: Builder, e: Part, args: Sequence[Node]) -> Node:
    return build.select(build.convert(args[0], "bool"), args[1], args[2])


def piecewise(build: Builder, e: Part, args: Sequence[Node]) -> Node:
    """The first arm whose condition holds; not a number if none does."""
    value = const(build, float("nan"))
    for arm, holds in zip(args[-2::-2], args[::-2], strict=True):
        value = build.select(build.convert(holds, "bool"), arm, value)
    return value


def delta(build: Builder, e: Part, args: Sequence[Node]) -> Node:
    """1 where two indices are equal and, if a range is given, within it."""
    i, j, *limits = args
    holds = real(build, "eq", i, j)
    for name, limit in zip(("ge", "le"), limits, strict=False):
        holds = build.op("and", holds, real(build, name, i, limit))
    return build.select(holds, const(build, 1), const(build, 0))


def _is_negative(node: Node) -> bool:
    return node.op == "neg" or (node.op == "const" and node.value < 0)


RULES: dict[type, Rule] = {
    sympy.Number: number,
    sympy.NumberSymbol: number,
    sympy.Add: add,
    sympy.Mul: mul,
    sympy.Pow: power,
    f.exp: same("exp"),
    f.log: same("log"),
    **{getattr(f, name): same(name) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "erf", "erfc", "sign")},
    **{getattr(f, f"a{name}"): same(f"arc{name}") for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    f.atan2: same("arctan2"),
    f.sec: inverted("cos"),
    f.csc: inverted("sin"),
    f.cot: inverted("tan"),
    f.sech: inverted("cosh"),
    f.csch: inverted("sinh"),
    f.coth: inverted("tanh"),
    f.acot: arccot,
    f.asec: of_inverse("arccos"),
    f.acsc: of_inverse("arcsin"),
    f.asech: of_inverse("arccosh"),
    f.acsch: of_inverse("arcsinh"),
    f.acoth: of_inverse("arctanh"),
    f.Abs: same("abs"),
    f.floor: same("floor"),
    f.ceiling: same("ceil"),
    f.frac: fractional,
    sympy.Mod: same("mod"),
    f.Max: folded("maximum"),
    f.Min: folded("minimum"),
    f.Heaviside: heaviside,
    f.gamma: gamma,
    f.factorial: factorial,
    f.loggamma: same("lgamma"),
    f.digamma: same("digamma"),
    f.polygamma: polygamma,
    f.KroneckerDelta: delta,
    f.conjugate: itself,
    f.re: itself,
    f.im: imaginary,
    f.arg: argument,
    f.Piecewise: piecewise,
    sympy.StrictLessThan: same("lt"),
    sympy.LessThan: same("le"),
    sympy.StrictGreaterThan: same("gt"),
    sympy.GreaterThan: same("ge"),
    sympy.Equality: same("eq"),
    sympy.Unequality: same("ne"),
    sympy.And: chain("and"),
    sympy.Or: chain("or"),
    sympy.Not: negation,
    sympy.Xor: exclusive,
    sympy.ITE: if_then_else,
    sympy.logic.boolalg.BooleanAtom: condition,
}
"""What each class of SymPy is made of, from the values of its arguments."""
HINTS = {
    "Derivative": "call .doit() first, or let gradc differentiate",
    "Integral": "call .doit() first",
    "Limit": "call .doit() first",
    "Subs": "call .doit() first",
    "binomial": "write it with gamma",
    "beta": "write it with gamma",
    "RisingFactorial": "write it with gamma",
    "FallingFactorial": "write it with gamma",
}
"""What to do about classes that are not there."""
