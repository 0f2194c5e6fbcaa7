"""Scalar functions of nodes: constants fold and local identities apply as a node is made.

An identity keeps the value for every argument, NaN and infinities included, up to rounding and the sign of a zero.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial

import numpy as np

from gradc.bounds import integer_poly
from gradc.division import digits
from gradc.extents import ONE, Atom, Entry, Index, Poly, Term
from gradc.ir import Graph, Node, Number, Type
from gradc.numerics import FUNCTIONS
from gradc.ops import OPS

OF_FLOATS: dict[str, Callable[..., float]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "neg": operator.neg,
}
"""What Python does to floats as NumPy does, and never raises."""
LOGIC = frozenset({"and", "or", "not"})
COMPARISONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})
SMALL_CONDITION = 64
"""Conditions of more parts than this are not looked through."""


class Algebra:
    """Makes the nodes of one graph that are not loops: leaves and scalar functions."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._integers: dict[Poly, Node] = {}
        self._identities: dict[str, Callable[..., Node | None]] = {
            **{name: partial(self._undone, name) for name in ("neg", "not")},
            "add": self._sum,
            "sub": self._difference,
            "mul": self._product,
            "div": self._quotient,
            "power": self._power,
            **dict.fromkeys(("maximum", "minimum"), self._extreme),
            **{name: partial(self._digit, name) for name in ("floordiv", "mod")},
            **{name: partial(self._decided, name) for name in COMPARISONS},
            **{name: partial(self._condition, name) for name in ("and", "or")},
        }

    # leaves

    def const(self, value: Number) -> Node:
        return self.graph.node("const", (), value)

    def dim(self, name: str) -> Node:
        return self.graph.node("dim", (), name)

    def index(self, index: Index) -> Node:
        return self.graph.node("index", (), index)

    def input(self, name: str, axes: tuple[Index, ...], type_: Type) -> Node:
        return self.graph.node("input", (), (name, axes, type_))

    def length(self, poly: Poly) -> Node:
        """A polynomial as an integer node; one that may be negative stands for an empty axis, so 0."""
        node = self.integer(poly)
        return node if poly.is_nonnegative() else self.op("maximum", node, self.const(0))

    def integer(self, poly: Poly) -> Node:
        """A polynomial as an integer node: polynomials are made of one another, so each is written once."""
        if poly not in self._integers:
            self._integers[poly] = self._written(poly)
        return self._integers[poly]

    def _written(self, poly: Poly) -> Node:
        total: Node | None = None
        for monomial, coefficient in sorted(poly.terms, key=lambda t: t[1] < 0):
            term: Node | None = None
            for atom in monomial:
                factor = self._atom(atom)
                term = factor if term is None else self.op("mul", term, factor)
            size = self.const(abs(coefficient))
            term = size if term is None else self.op("mul", size, term)
            sign = "sub" if coefficient < 0 else "add"
            total = self.op(sign, self.const(0) if total is None else total, term) if total or coefficient < 0 else term
        return total or self.const(0)

    def _atom(self, atom: Atom) -> Node:
        if isinstance(atom, Entry):
            source = self.input(atom.name, atom.axes, "int")
            return self.read(source, atom.axes, [self.integer(p) for p in atom.at])
        if not isinstance(atom, Term):
            return self.index(atom) if isinstance(atom, Index) else self.dim(atom)
        a, b = (self.integer(p) for p in atom.args)
        if atom.op == "wrap":
            return self.select(self.op("ge", a, self.const(0)), a, self.integer(atom.args[0] + atom.args[1]))
        name = {"//": "floordiv", "%": "mod", "min": "minimum", "max": "maximum"}[atom.op]
        return self.op(name, a, b)

    def read(self, value: Node, axes: Sequence[Index], at: Sequence[Node]) -> Node:
        """The value with each axis replaced by an integer expression, all at once."""
        raise NotImplementedError

    # scalar functions

    def op(self, name: str, *args: Node) -> Node:
        """A scalar function of these arguments, simplified."""
        if name in LOGIC:
            args = tuple([self.convert(a, "bool") for a in args])
        else:
            for a in args:
                if a.type != "float":
                    args = self._promoted(name, args)
                    break
        if args[0].op == "const" == args[-1].op and all(a.op == "const" for a in args):
            folded = self._folded(name, args)
            if folded is not None:
                return folded
        identity = self._identities.get(name)
        simpler = None if identity is None else identity(*args)
        return self.graph.node(name, args) if simpler is None else simpler

    def select(self, condition: Node, a: Node, b: Node) -> Node:
        if condition.op == "const":
            return a if condition.value else b
        if a.type != b.type:
            a, b = (self.convert(v, "float" if "float" in (a.type, b.type) else "int") for v in (a, b))
        if a is b:
            return a
        if condition.op == "not":
            return self.select(condition.args[0], b, a)
        if a.op == "select" and a.args[0] is condition:
            return self.select(condition, a.args[1], b)
        if b.op == "select" and b.args[0] is condition:
            return self.select(condition, a, b.args[2])
        if b.op == "select" and b.args[2] is a and _excludes(b.args[0], condition):
            return b
        return self.graph.node("select", (condition, a, b))

    def convert(self, value: Node, type_: Type) -> Node:
        if value.type == type_:
            return value
        if value.type == "float" and type_ == "int":
            return self.op("truncate", value)
        if value.op == "const":
            kind = {"float": float, "int": int, "bool": bool}[type_]
            return self.const(kind(value.value))
        if type_ == "bool":
            return self.op("ne", value, self.const(0))
        if value.type == "bool":
            one, zero = (1.0, 0.0) if type_ == "float" else (1, 0)
            return self.select(value, self.const(one), self.const(zero))
        return self.graph.node("convert", (value,), type_)

    def stop(self, value: Node) -> Node:
        """The value, treated as a constant when it is differentiated."""
        return value if value.op in ("const", "dim", "index", "stop") else self.graph.node("stop", (value,))

    # inside

    def _promoted(self, name: str, args: tuple[Node, ...]) -> tuple[Node, ...]:
        wants_float = OPS[name].result == "float"
        mixed = any(a.type == "float" for a in args)
        done = []
        for a in args:
            if (mixed or wants_float) and a.type == "int" and a.op in ("mul", "power"):
                a = self._as_float(a)
            if a.type == "bool":
                a = self.convert(a, "float" if mixed or wants_float else "int")
            if a.op == "const" and a.type == "int" and (mixed or wants_float) and name != "polygamma":
                a = self.convert(a, "float")
            done.append(a)
        return tuple(done)

    def _as_float(self, product: Node) -> Node:
        """A product of integers as one of floats: used as a number it need not fit 64 bits."""
        factors, stack = [], [product]
        while stack:
            n = stack.pop()
            if n.op == "mul" and n.type == "int":
                stack += n.args[::-1]
            else:
                factors.append(n)
        total = self.convert(factors[0], "float")
        for f in factors[1:]:
            total = self.op("mul", total, f)
        return total

    def _folded(self, name: str, args: tuple[Node, ...]) -> Node | None:
        values = [a.value for a in args]
        if name in ("add", "sub", "mul", "neg", "floordiv", "mod", "power") and all(isinstance(v, int) for v in values):
            exact = _fold_integers(name, [int(v) for v in values])
            return None if exact is None else self.const(exact)
        if name in OF_FLOATS and all(type(v) is float for v in values):
            return self.const(OF_FLOATS[name](*values))
        with np.errstate(all="ignore"):
            result = FUNCTIONS[name](*values)
        if OPS[name].result == "bool":
            return self.const(bool(result))
        return self.const(int(result) if isinstance(result, np.integer | int) else float(result))

    def _undone(self, name: str, a: Node) -> Node | None:
        """What a function that is its own inverse has been applied to, if it has."""
        return a.args[0] if a.op == name else None

    def _extreme(self, a: Node, b: Node) -> Node | None:
        return a if a is b else None

    def _difference(self, a: Node, b: Node) -> Node | None:
        if is_const(b, 0) and a.type == b.type and math.copysign(1, b.value) > 0:
            return a
        if a.op == "neg":
            return self.op("neg", self.op("add", a.args[0], b))
        return self.op("add", a, b.args[0]) if b.op == "neg" else None

    def _condition(self, name: str, a: Node, b: Node) -> Node | None:
        """What `and` or `or` comes to, where one side says something of the other."""
        absorbing, other = name == "or", "and" if name == "or" else "or"
        for p, q in ((a, b), (b, a)):
            if p.op == "const":
                return p if bool(p.value) is absorbing else q
            known, inner = joined_parts(p, name), joined_parts(q, other)
            if q in known or any(_is_within(k, other, inner) for k in known):
                return p
            joined = q.args if q.op == name else ()
            left = [k for k in joined if not _is_within(p, other, joined_parts(k, other))]
            if len(left) < len(joined):
                return self.op(name, left[0], p) if left else p
            if self.op("not", q) in known or (p.op == "not" and q in joined_parts(p.args[0], other)):
                return self.const(absorbing)
        return None

    def _digit(self, name: str, a: Node, b: Node) -> Node | None:
        """Quotient or remainder of integers made of dims and loop indices, where no division is needed."""
        if not a.type == b.type == "int":
            return None
        p, q = integer_poly(a), integer_poly(b)
        known = None if p is None or q is None else digits(p, q)
        return None if known is None else self.integer(known[0] if name == "floordiv" else known[1])

    def _decided(self, name: str, a: Node, b: Node) -> Node | None:
        """A comparison of integers made of dims and loop indices that holds everywhere, or nowhere."""
        if not a.type == b.type == "int":
            return None
        if name in ("gt", "ge"):
            return self._decided("lt" if name == "gt" else "le", b, a)
        p, q = (integer_poly(e) if is_short(e) else None for e in (a, b))
        if p is None or q is None:
            return None
        gap = p - q
        if name in ("eq", "ne"):
            equal = False if (gap - ONE).is_nonnegative() or (-gap - ONE).is_nonnegative() else not gap.terms or None
            return None if equal is None else self.const(equal is (name == "eq"))
        strict = ONE if name == "lt" else Poly(())
        if (-gap - strict).is_nonnegative():
            return self.const(True)
        return self.const(False) if (gap - ONE + strict).is_nonnegative() else None

    def _sum(self, a: Node, b: Node) -> Node | None:
        if a.type == "int" and b.type == "int":
            if is_const(a, 0):
                return b
            if is_const(b, 0) and a.type == b.type and math.copysign(1, b.value) > 0:
                return a
            if b.op == "const" and isinstance(b.value, int) and b.value < 0:
                return self.op("sub", a, self.const(-b.value))
        if b.op == "neg":
            return self.op("sub", a, b.args[0])
        if a.op == "neg":
            return self.op("sub", b, a.args[0])
        return self.op("mul", self.const(2), a) if a is b else None

    def _product(self, a: Node, b: Node) -> Node | None:
        if a.op == b.op == "select" and a.args[0] is b.args[0] and a.args[1:] == b.args[:0:-1]:
            return self.op("mul", *a.args[1:])  # one of two and the other of them: sigmoid(x)*sigmoid(-x)
        if a.op == "const":
            if a.value == 1:
                return self.convert(b, "float") if a.type == "float" and b.type == "int" else b
            if a.value == -1:
                return self.op("neg", self.convert(b, "float") if a.type == "float" else b)
            if a.value == 0 and a.type == b.type == "int":
                return a
        elif b.op == "const":
            return self.op("mul", b, a)
        if a.op == "neg":
            return self.op("neg", self.op("mul", a.args[0], b))
        if b.op == "neg":
            return self.op("neg", self.op("mul", a, b.args[0]))
        if b.op == "mul" and b.type == "float" and _is_moderate(b.args[0]):
            if _is_moderate(a):
                return self.op("mul", self.op("mul", a, b.args[0]), b.args[1])
            return self.op("mul", b.args[0], self.op("mul", a, b.args[1]))
        if a.op == "mul" and a.type == "float" and _is_moderate(a.args[0]):
            return self.op("mul", a.args[0], self.op("mul", a.args[1], b))
        return None

    def _quotient(self, a: Node, b: Node) -> Node | None:
        if b.op == "const":
            if abs(b.value) == 1:
                a = self.convert(a, "float")
                return a if b.value == 1 else self.op("neg", a)
            if b.value and math.isfinite(b.value) and abs(math.frexp(b.value)[0]) == 0.5 and _is_moderate(b):
                return self.op("mul", self.const(float(1 / Fraction(b.value))), a)
        if a.op == "neg":
            return self.op("neg", self.op("div", a.args[0], b))
        return None

    def _power(self, a: Node, b: Node) -> Node | None:
        if b.op != "const":
            return None
        exponent = b.value
        if b.type == "float":
            a = self.convert(a, "float")
        if exponent == 0:
            return self.const(1.0 if "float" in (a.type, b.type) else 1)
        if exponent == 0.5:
            return None if a.op == "const" else self.op("sqrt", a)
        if exponent == -1:
            return self.op("div", self.const(1.0), a)
        if exponent in (1, 2, 3, 4):
            square = self.op("mul", a, a) if exponent > 1 else a
            if exponent == 3:
                return self.op("mul", square, a)
            return self.op("mul", square, square) if exponent == 4 else square
        if a.type == "int":
            return self.op("power", self.convert(a, "float"), b)
        return None


def joined_parts(condition: Node, name: str) -> set[Node]:
    """What a condition joins by `and` or `or`, and what is joined on the way; of what is too much, some."""
    found: set[Node] = set()
    stack = [condition]
    while stack and len(found) < SMALL_CONDITION:
        n = stack.pop()
        if n not in found:
            found.add(n)
            stack += n.args if n.op == name else ()
    return found.union(stack)


def _is_within(condition: Node, name: str, known: set[Node]) -> bool:
    """Whether all that a condition joins by `and` or `or` in the end is known."""
    joints: set[Node] = set()
    stack = [condition]
    while stack and len(joints) < SMALL_CONDITION:
        n = stack.pop()
        if n.op == name and n not in joints:
            joints.add(n)
            stack += n.args
        elif n.op != name and n not in known:
            return False
    return known.issuperset(stack)


def is_const(node: Node, value: float) -> bool:
    return node.op == "const" and node.value == value


def is_short(node: Node) -> bool:
    """A few operations on dims and loop indices, and no data."""
    count, stack = 0, [node]
    while stack and count < 30:
        n = stack.pop()
        count += 1
        if n.op not in ("const", "dim", "index") and n.op not in OPS:
            return False
        stack += n.args
    return not stack


def _is_moderate(node: Node) -> bool:
    """A constant that may be multiplied earlier or later without a new overflow, within reason."""
    return node.op == "const" and 1e-30 < abs(node.value) < 1e30


def _fold_integers(name: str, values: list[int]) -> Number | None:
    """Exact integer arithmetic. What does not fit 64 bits goes on as a float; divided by 0 is 0, as in NumPy."""
    a, b = values[0], values[-1]
    if name == "neg":
        result: Number = -a
    elif name in ("floordiv", "mod"):
        result = 0 if not b else a // b if name == "floordiv" else a % b
    elif name == "power":
        with np.errstate(all="ignore"):
            small = (b >= 0 and abs(a) <= 1) or (b >= 0 and b * max(1, a.bit_length()) <= 64)
            result = a**b if small else float(np.power(float(a), float(b)))
    else:
        result = a + b if name == "add" else a - b if name == "sub" else a * b
    return result if isinstance(result, float) or abs(result) < 2**63 else float(result)


def _excludes(equal: Node, condition: Node) -> bool:
    """Whether the condition is that two values differ, and the other one that they are equal."""
    return (
        equal.op == "eq" and condition.op in ("lt", "gt", "ne") and frozenset(equal.args) == frozenset(condition.args)
    )
