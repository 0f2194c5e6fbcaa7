"""Makes nodes: constants fold and local identities apply as a node is made, so that no pass has to look for them.

An identity keeps the value for every argument, NaN and infinities included, up to rounding and the sign of a zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np

from gradc.bounds import in_range, integer_poly
from gradc.extents import Index, Poly, Term, in_order
from gradc.ir import Graph, Node, Number, Place, Read, Reduce, Type
from gradc.numerics import FUNCTIONS
from gradc.ops import ARITHMETIC, OPS

PUSH_LIMIT = 4
"""A read of a value at other places recomputes it there when that costs no more than this; otherwise it is stored."""

SMALL_CONDITION = 16
"""Conditions of more parts than this are not looked through."""

LOGIC = frozenset({"and", "or", "not"})
COMPARISONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})


class Builder:
    """Makes nodes of one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

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
        """A polynomial as an integer node, term by term."""
        total: Node | None = None
        for monomial, coefficient in sorted(poly.terms, key=lambda t: t[1] < 0):
            term: Node | None = None
            for atom in monomial:
                if isinstance(atom, Term):
                    name = {"//": "floordiv", "min": "minimum", "max": "maximum"}[atom.op]
                    factor = self.op(name, *(self.integer(p) for p in atom.args))
                else:
                    factor = self.index(atom) if isinstance(atom, Index) else self.dim(atom)
                term = factor if term is None else self.op("mul", term, factor)
            size = self.const(abs(coefficient))
            term = size if term is None else self.op("mul", size, term)
            sign = "sub" if coefficient < 0 else "add"
            total = self.op(sign, self.const(0) if total is None else total, term) if total or coefficient < 0 else term
        return total or self.const(0)

    # scalar functions

    def op(self, name: str, *args: Node) -> Node:
        """A scalar function of these arguments, simplified."""
        args = self._promoted(name, args)
        if {a.op for a in args} == {"const"}:
            folded = self._folded(name, args)
            if folded is not None:
                return folded
        return self._identity(name, args) or self.graph.node(name, args)

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
        return self.graph.node("select", (condition, a, b))

    def convert(self, value: Node, type_: Type) -> Node:
        if value.type == type_:
            return value
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

    # structure

    def reduce(self, kind: str, over: Iterable[Index], value: Node) -> Node:
        """A reduction. What does not vary is pulled out of a sum; along an index the value lacks, it is counted.

        An extreme only takes part where such an index has a range at all.
        """
        over = frozenset(over)
        for i in reversed(in_order(over)):
            if i not in value.indices and kind in ("sum", "prod"):
                count = self.length(i.extent)
                value = self.op("mul", count, value) if kind == "sum" else self.op("power", value, count)
            elif i not in value.indices and i.extent.indices:
                some = self.op("gt", self.length(i.extent), self.const(0))
                worst = float("-inf") if kind == "max" else float("inf")
                value = self.select(some, self.convert(value, "float"), self.const(worst))
        over &= value.indices
        if not over:
            return value
        if value.op == "select" and not over & value.args[0].indices:
            arms = (self.reduce(kind, over, a) for a in value.args[1:])
            return self.select(value.args[0], *arms)
        if kind != "sum":
            return self.graph.node("reduce", (value,), Reduce(kind, over))  # type: ignore[arg-type]
        factor, summand, divisor = self._split_factors(
            self.convert(value, "int") if value.type == "bool" else value, over
        )
        total = self.graph.node("reduce", (summand,), Reduce("sum", over))
        if factor is not None:
            total = self.op("mul", factor, total)
        return total if divisor is None else self.op("div", total, divisor)

    def scan(self, index: Index, value: Node) -> Node:
        if index not in value.indices:
            position = self.op("add", self.index(index), self.const(1))
            return self.op("mul", position, value)
        return self.graph.node("scan", (value,), index)

    def read(self, value: Node, axes: Sequence[Index], at: Sequence[Node]) -> Node:
        """The value with each axis replaced by an integer expression, all at once."""
        plain = (self._plain_position(e) for e in at)
        places = {a: e for a, e in zip(axes, plain, strict=True) if a in value.indices and not _is_index(e, a)}
        if value.op != "input" and any(in_range(e, a) != "proved" for a, e in places.items()):
            axes = in_order(places)  # stays a read of this value, so that it is this value's length that is checked
            return self.graph.node("read", (value, *(places[a] for a in axes)), Read(tuple(axes)))
        return self._read(value, places) if places else value

    def _plain_position(self, e: Node) -> Node:
        """A position made of numbers, dims and indices, in its one normal form."""
        poly = integer_poly(e) if e.op not in ("const", "dim", "index", "read") else None
        return e if poly is None else self.integer(poly)

    def place(
        self, value: Node, axes: tuple[Index, ...], at: Sequence[Node], kept: frozenset[Index], guard: Node | None
    ) -> Node:
        args = (value, *at) if guard is None else (value, *at, guard)
        return self.graph.node("place", args, Place(axes, kept, guard is not None))

    def scatter(self, places: Sequence[Node]) -> Node:
        distinct: dict[Node, int] = {}
        for p in places:
            distinct[p] = distinct.get(p, 0) + 1
        summands = []
        for p, times in distinct.items():
            if times > 1:
                assert isinstance(p.attr, Place)
                p = self.graph.node("place", (self.op("mul", self.const(times), p.args[0]), *p.args[1:]), p.attr)
            summands.append(p)
        return self.graph.node("scatter", tuple(summands), places[0].axes)

    # inside

    def _promoted(self, name: str, args: tuple[Node, ...]) -> tuple[Node, ...]:
        if name in LOGIC:
            return tuple(self.convert(a, "bool") for a in args)
        if {a.type for a in args} == {"float"}:
            return args
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
        with np.errstate(all="ignore"):
            result = FUNCTIONS[name](*values)
        if OPS[name].result == "bool":
            return self.const(bool(result))
        return self.const(int(result) if isinstance(result, np.integer | int) else float(result))

    def _identity(self, name: str, args: tuple[Node, ...]) -> Node | None:
        a = args[0]
        b = args[1] if len(args) > 1 else None
        if name == "neg" and a.op == "neg":
            return a.args[0]
        if name == "not" and a.op == "not":
            return a.args[0]
        if b is None:
            return None
        if name == "add":
            return self._sum(a, b)
        if name == "sub":
            if _is_const(b, 0) and a.type == b.type and math.copysign(1, b.value) > 0:
                return a
            if a.op == "neg":
                return self.op("neg", self.op("add", a.args[0], b))
            return self.op("add", a, b.args[0]) if b.op == "neg" else None
        if name == "mul":
            return self._product(a, b)
        if name == "div":
            return self._quotient(a, b)
        if name == "floordiv":
            return a if _is_const(b, 1) and a.type == "int" else None
        if name == "power":
            return self._power(a, b)
        if name in ("maximum", "minimum"):
            return a if a is b else None
        return self._condition(name, a, b) if name in ("and", "or") else None

    def _condition(self, name: str, a: Node, b: Node) -> Node | None:
        """What `and` or `or` comes to, where one side says something of the other."""
        absorbing, other = name == "or", "and" if name == "or" else "or"
        for p, q in ((a, b), (b, a)):
            if p.op == "const":
                return p if bool(p.value) is absorbing else q
            known = _parts(p, name)
            if q in known or (q.op == other and not known.isdisjoint(_parts(q, other))):
                return p
            if self.op("not", q) in known:
                return self.const(absorbing)
        return None

    def _sum(self, a: Node, b: Node) -> Node | None:
        if a.type == "int" and b.type == "int":
            if _is_const(a, 0):
                return b
            if _is_const(b, 0) and a.type == b.type and math.copysign(1, b.value) > 0:
                return a
            if b.op == "const" and isinstance(b.value, int) and b.value < 0:
                return self.op("sub", a, self.const(-b.value))
        if b.op == "neg":
            return self.op("sub", a, b.args[0])
        if a.op == "neg":
            return self.op("sub", b, a.args[0])
        return self.op("mul", self.const(2), a) if a is b else None

    def _product(self, a: Node, b: Node) -> Node | None:
        if b.op == "const" and a.op != "const":
            return self.op("mul", b, a)
        if _is_const(a, 1):
            return self.convert(b, "float") if a.type == "float" and b.type == "int" else b
        if _is_const(a, -1):
            return self.op("neg", self.convert(b, "float") if a.type == "float" else b)
        if _is_const(a, 0) and a.type == b.type == "int":
            return a
        if a.op == "neg":
            return self.op("neg", self.op("mul", a.args[0], b))
        if b.op == "neg":
            return self.op("neg", self.op("mul", a, b.args[0]))
        if b.op == "mul" and _is_moderate(b.args[0]) and b.type == "float":
            if _is_moderate(a):
                return self.op("mul", self.op("mul", a, b.args[0]), b.args[1])
            return self.op("mul", b.args[0], self.op("mul", a, b.args[1]))
        if a.op == "mul" and _is_moderate(a.args[0]) and a.type == "float":
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

    def _split_factors(self, value: Node, over: frozenset[Index]) -> tuple[Node | None, Node, Node | None]:
        """(factor, summand, divisor), value = factor*summand/divisor, where only the summand varies along `over`."""
        factor: Node | None = None
        divisor: Node | None = None
        while value.op in ("neg", "mul", "div"):
            a, b = value.args[0], value.args[-1]
            if value.op == "neg":
                fixed, value = self.const(-1.0), a
            elif not (over & b.indices) and value.op == "mul":
                fixed, value = b, a
            elif not (over & a.indices) and value.op == "mul":
                fixed, value = a, b
            elif not (over & b.indices) and value.op == "div" and divisor is None:
                divisor, value = b, self.convert(a, "float")
                continue
            else:
                break
            factor = fixed if factor is None else self.op("mul", factor, fixed)
        return factor, value, divisor

    def _read(self, value: Node, places: dict[Index, Node]) -> Node:
        if value.op == "index":
            return places[value.index]
        if value.op in ("input", "scatter", "reduce", "scan"):
            axes = [a for a in (value.axes if value.op == "input" else in_order(places)) if a in places]
            return self.graph.node("read", (value, *(places[a] for a in axes)), Read(tuple(axes)))
        if value.op == "read" and value.guard is None:
            inner = dict(zip(value.axes, value.subscripts, strict=True))
            moved = {a: self.read(e, list(places), list(places.values())) for a, e in inner.items()}
            moved |= {a: e for a, e in places.items() if a in value.args[0].indices and a not in inner}
            return self.read(value.args[0], list(moved), list(moved.values()))
        if (value.op in OPS or value.op in ("select", "convert", "stop")) and self._pushable(value):
            args = [self.read(a, list(places), list(places.values())) for a in value.args]
            if value.op == "select":
                return self.select(*args)
            if value.op == "convert":
                return self.convert(args[0], value.type)
            return self.stop(args[0]) if value.op == "stop" else self.op(value.op, *args)
        axes = in_order(places)
        return self.graph.node("read", (value, *(places[a] for a in axes)), Read(tuple(axes)))

    def _pushable(self, value: Node) -> bool:
        """Whether it costs next to nothing to compute the value again at another place."""
        cost, stack = 0, [value]
        while stack and cost <= PUSH_LIMIT:
            n = stack.pop()
            if n.op in OPS or n.op in ("select", "convert", "stop"):
                cost += OPS[n.op].weight if n.op in OPS else ARITHMETIC
                stack += n.args
            elif n.op not in ("const", "dim", "index", "input") and not (n.op == "read" and n.args[0].op == "input"):
                return False
        return cost <= PUSH_LIMIT


def _parts(condition: Node, name: str) -> set[Node]:
    """What a condition joins by `and` or `or`, if that is not much."""
    found, stack = {condition}, [condition]
    while stack and len(found) < SMALL_CONDITION:
        n = stack.pop()
        if n.op == name:
            found.update(n.args)
            stack += n.args
    return found


def _is_const(node: Node, value: float) -> bool:
    return node.op == "const" and node.value == value


def _is_moderate(node: Node) -> bool:
    """A constant that may be multiplied earlier or later without a new overflow, within reason."""
    return node.op == "const" and 1e-30 < abs(node.value) < 1e30


def _is_index(node: Node, index: Index) -> bool:
    return node.op == "index" and node.attr == index


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
