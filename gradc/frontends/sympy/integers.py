"""Integers of SymPy expressions: lengths, bounds of sums, subscripts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from itertools import count, product

import sympy
from msgspec import Struct, field

from gradc.bounds import integer_poly
from gradc.build import Builder
from gradc.errors import ShapeError, UnsupportedError
from gradc.extents import ONE, ZERO, Atom, Index, Poly, floor_div
from gradc.frontends.sympy.forms import Part
from gradc.frontends.sympy.names import Names, identifier, spelt
from gradc.frontends.sympy.walk import children, place, printed
from gradc.ir import Node

LARGEST = 500
MOST_LOOPS = 16
RESIDUES = 10_000
"""So many cases are tried to show that a quotient is an integer."""
HIGHEST = 8
"""The highest power in an integer expression."""
Fraction = tuple[Node, Node]
"""Numerator and denominator."""
Leaf = Callable[[Part], Node]
"""What symbols and elements of arrays are as integers."""


class Scope(Struct, frozen=True):
    """What index variables stand for, and the loops that are open."""

    variables: Mapping[Part, Node] = field(default_factory=dict)
    loops: tuple[Index, ...] = ()


class Integers:
    """Makes integer nodes, and opens the loops of sums."""

    def __init__(self, build: Builder, names: Names) -> None:
        self.build, self.names = build, names
        self.index_names: dict[Index, str] = {}

    def poly(self, e: Part, scope: Scope, leaf: Leaf) -> Poly:
        """A bound or a length as a polynomial. Raises UnsupportedError for what is none."""
        poly = integer_poly(self.node(e, scope, leaf))
        if poly is None:
            raise UnsupportedError("not a bound or a length that can be worked with", place(e))
        return poly

    def opened(self, e: Part, limit: Part, scope: Scope, leaf: Leaf) -> tuple[Index | None, Scope]:
        """The loop of one limit of a sum or product, and the scope within."""
        variable, *bounds = limit
        if len(bounds) != 2:
            raise UnsupportedError(f"the bounds of {printed(variable)} are missing", place(e), "write (i, 0, n - 1)")
        start, end = (self.poly(bound, scope, leaf) for bound in bounds)
        extent = end - start + ONE
        if extent.constant is not None and extent.constant < 0:
            raise UnsupportedError(f"the range of {printed(variable)} runs backwards", place(e))
        return self._loop(e, variable, start, extent, scope)

    def entries(self, e: Part, scope: Scope, leaf: Leaf) -> tuple[tuple[Index | None, ...], Scope]:
        """The axes of a matrix that is given by the formula of its entries, and the scope within the formula."""
        if len(e.lamda.variables) != 2:
            raise UnsupportedError("the function of a FunctionMatrix takes a row and a column", place(e))
        axes = []
        for variable, length in zip(e.lamda.variables, e.shape, strict=True):
            axis, scope = self._loop(e, variable, ZERO, self.poly(length, Scope(), leaf), scope)
            axes.append(axis)
        return tuple(axes), scope

    def _loop(self, e: Part, variable: Part, start: Poly, extent: Poly, scope: Scope) -> tuple[Index | None, Scope]:
        """A loop and the scope within; of one turn there is no loop."""
        if extent == ONE:
            return None, Scope({**scope.variables, variable: self.build.integer(start)}, scope.loops)
        if len(scope.loops) == MOST_LOOPS:
            raise UnsupportedError(f"more than {MOST_LOOPS} loops inside one another", place(e), "use fewer")
        index = next(i for k in count() if (i := Index(extent, k)) not in scope.loops)
        name = identifier(spelt(variable))
        if name is not None:
            self.index_names.setdefault(index, name)
        position = self.build.integer(start + Poly.atom(index))
        return index, Scope({**scope.variables, variable: position}, (*scope.loops, index))

    def node(self, e: Part, scope: Scope, leaf: Leaf) -> Node:
        """An integer expression; `leaf` gives the symbols and elements that are no index variables."""
        fractions: dict[int, Fraction] = {}
        for p in within(e):
            fractions[id(p)] = self._fraction(p, [fractions[id(a)] for a in _inside(p)], scope, leaf)
        return self._quotient(e, *fractions[id(e)])

    def _fraction(self, e: Part, args: Sequence[Fraction], scope: Scope, leaf: Leaf) -> Fraction:
        """SymPy writes n/2 - 1/2 for (n - 1)/2."""
        build, one = self.build, self.build.const(1)
        if isinstance(e, sympy.Rational):
            if max(abs(int(e.p)), int(e.q)) >= 2**62:
                raise UnsupportedError("too large for an integer", place(e))
            return build.const(int(e.p)), build.const(int(e.q))
        if isinstance(e, sympy.Symbol | sympy.Idx | sympy.Indexed):
            known = scope.variables.get(e) if not isinstance(e, sympy.Indexed) else None
            if known is None and isinstance(e, sympy.Idx) and isinstance(e.label, sympy.Integer):
                known = build.const(int(e.label))
            node = known or leaf(e)
            if node.type != "int":
                raise ShapeError("a subscript must be an integer", place(e))
            return node, one
        if isinstance(e, sympy.Add):
            return reduce(self._added, args)
        if isinstance(e, sympy.Mul):
            return reduce(self._multiplied, args)
        if isinstance(e, sympy.Pow) and e.exp.is_Integer and 0 < abs(e.exp) <= HIGHEST:
            base = args[0] if e.exp > 0 else args[0][::-1]
            if base[1] is not build.const(0):
                return reduce(self._multiplied, [base] * abs(int(e.exp)))
        if isinstance(e, sympy.floor):
            return build.op("floordiv", *args[0]), one
        if isinstance(e, sympy.ceiling):
            above, below = args[0]
            return build.op("neg", build.op("floordiv", build.op("neg", above), below)), one
        if isinstance(e, sympy.Max | sympy.Min | sympy.Mod) and all(below is one for _, below in args):
            name = {sympy.Max: "maximum", sympy.Min: "minimum", sympy.Mod: "mod"}[e.func]
            return reduce(lambda a, b: build.op(name, a, b), [above for above, _ in args]), one
        if e is sympy.S.Infinity or e is sympy.S.NegativeInfinity:
            raise UnsupportedError("infinite ranges are not supported", place(e), "sum up to a length")
        raise UnsupportedError(f"{printed(e)} is not integer arithmetic", place(e), "use +, -, *, floor, Max, Min, Mod")

    def _added(self, a: Fraction, b: Fraction) -> Fraction:
        build, (p, q), (r, s) = self.build, a, b
        if q.op == s.op == "const":
            common = math.lcm(int(q.value), int(s.value))
            p, r = (build.op("mul", build.const(common // int(d.value)), n) for n, d in (a, b))
            return build.op("add", p, r), build.const(common)
        if q is not s:
            p, r, q = build.op("mul", p, s), build.op("mul", r, q), build.op("mul", q, s)
        return build.op("add", p, r), q

    def _multiplied(self, a: Fraction, b: Fraction) -> Fraction:
        above, below = (self.build.op("mul", *pair) for pair in zip(a, b, strict=True))
        return above, below

    def _quotient(self, e: Part, node: Node, divisor: Node) -> Node:
        """n*(n - 1)/2 is an integer whatever n is; n/2 is not."""
        poly, by = integer_poly(node), int(divisor.value) if divisor.op == "const" else 0
        if by == 1:
            return node
        atoms = {a for m, _ in poly.terms for a in m} if poly is not None else set()
        if poly is not None and by > 0 and by ** len(atoms) <= RESIDUES:
            points = (dict(zip(atoms, p, strict=True)) for p in product(range(by), repeat=len(atoms)))
            if all(_value(poly, point) % by == 0 for point in points):
                return self.build.integer(floor_div(poly, Poly.const(by)))
        raise UnsupportedError(f"{printed(e)} need not be an integer", place(e), "write floor(...)")


def _value(poly: Poly, point: Mapping[Atom, int]) -> int:
    return sum(c * math.prod(point[a] for a in m) for m, c in poly.terms)


def elements(parts: Iterable[Part]) -> list[Part]:
    """The elements of arrays in integer expressions."""
    return [p for e in parts for p in within(e) if isinstance(p, sympy.Indexed)]


def within(e: Part) -> list[Part]:
    """The parts of an integer expression, arguments first; elements of arrays are not looked into."""
    order: dict[int, Part] = {}
    stack = [(e, False)]
    while stack:
        p, complete = stack.pop()
        if complete:
            order.setdefault(id(p), p)
        elif id(p) not in order:
            stack.append((p, True))
            stack += [(a, False) for a in _inside(p)]
        if len(order) + len(stack) > LARGEST:
            raise UnsupportedError("this subscript or bound is too complicated", place(e), "give it a name of its own")
    return list(order.values())


def _inside(p: Part) -> tuple[Part, ...]:
    return () if isinstance(p, sympy.Indexed | sympy.Symbol | sympy.Idx) else children(p)
