"""Integers of SymPy expressions: lengths, bounds of sums, subscripts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, product

import sympy

from gradc.bounds import integer_poly
from gradc.build import Builder
from gradc.errors import ShapeError, UnsupportedError
from gradc.extents import ONE, Index, Poly, Term, floor_div
from gradc.frontends.sympy.names import Names, identifier, spelt
from gradc.frontends.sympy.walk import Part, children, place, printed
from gradc.ir import Node

LARGEST = 500
MOST_LOOPS = 16
RESIDUES = 10_000
"""So many cases are tried to show that a quotient is an integer."""
Leaf = Callable[[Part], Node]


@dataclass(frozen=True)
class Scope:
    """What index variables stand for, and the loops that are open."""

    variables: Mapping[Part, Node] = field(default_factory=dict)
    loops: tuple[Index, ...] = ()


class Integers:
    """Makes integer nodes. A symbol in a bound or a shape is a length; its name is remembered in `dims`."""

    def __init__(self, build: Builder, names: Names) -> None:
        self.build, self.names = build, names
        self.dims: dict[str, Part] = {}
        self.index_names: dict[Index, str] = {}

    def length(self, symbol: Part) -> Node:
        if not isinstance(symbol, sympy.Symbol):
            raise UnsupportedError(
                "lengths and bounds are made of numbers, symbols and indices of sums", place(symbol), "no data in them"
            )
        name = self.names.claim(symbol)
        self.dims[name] = symbol
        return self.build.dim(name)

    def poly(self, e: Part, scope: Scope) -> Poly:
        """A bound or a length as a polynomial. Raises UnsupportedError for what is none."""
        poly = integer_poly(self.node(e, scope, self.length))
        if poly is None:
            raise UnsupportedError("not a bound or a length that can be worked with", place(e))
        return poly

    def opened(self, e: Part, scope: Scope) -> tuple[list[Index], Scope]:
        """The loops of a sum or product, from the outside in, and the scope within. Bounds are inclusive."""
        indices = []
        for limit in reversed(e.limits):
            start, end = (self.poly(bound, scope) for bound in limit[1:])
            extent = end - start + ONE
            if extent.constant is not None and extent.constant < 0:
                raise UnsupportedError(f"the range of {limit[0]} runs backwards", place(e))
            if extent == ONE:
                scope = Scope({**scope.variables, limit[0]: self.build.integer(start)}, scope.loops)
                continue
            index = next(i for k in count() if (i := Index(extent, k)) not in scope.loops)
            name = identifier(spelt(limit[0]))
            if name is not None:
                self.index_names.setdefault(index, name)
            position = self.build.integer(start + Poly.atom(index))
            scope = Scope({**scope.variables, limit[0]: position}, (*scope.loops, index))
            indices.append(index)
            if len(scope.loops) > MOST_LOOPS:
                raise UnsupportedError(f"more than {MOST_LOOPS} loops inside one another", place(e), "use fewer")
        return indices, scope

    def node(self, e: Part, scope: Scope, leaf: Leaf) -> Node:
        """An integer expression; `leaf` gives the symbols and elements that are no index variables."""
        fractions: dict[int, tuple[Node, int]] = {}
        parts = within(e)
        for p in parts:
            fractions[id(p)] = self._fraction(p, [fractions[id(a)] for a in _inside(p)], scope, leaf)
        node, divisor = fractions[id(e)]
        return node if divisor == 1 else self._quotient(e, node, divisor)

    def _fraction(self, e: Part, args: Sequence[tuple[Node, int]], scope: Scope, leaf: Leaf) -> tuple[Node, int]:
        """(numerator, divisor): SymPy writes n/2 - 1/2 for (n - 1)/2."""
        build = self.build
        if isinstance(e, sympy.Rational):
            if max(abs(int(e.p)), int(e.q)) >= 2**62:
                raise UnsupportedError("too large for an integer", place(e))
            return build.const(int(e.p)), int(e.q)
        if isinstance(e, sympy.Symbol | sympy.Idx | sympy.Indexed):
            known = scope.variables.get(e) if not isinstance(e, sympy.Indexed) else None
            if known is None and isinstance(e, sympy.Idx) and isinstance(e.label, sympy.Integer):
                known = build.const(int(e.label))
            node = known or leaf(e)
            if node.type != "int":
                raise ShapeError("a subscript must be an integer", place(e))
            return node, 1
        if isinstance(e, sympy.Add):
            divisor = math.lcm(*(d for _, d in args))
            total = build.const(0)
            for n, d in args:
                total = build.op("add", total, build.op("mul", build.const(divisor // d), n))
            return total, divisor
        if isinstance(e, sympy.Mul) or (isinstance(e, sympy.Pow) and e.exp.is_Integer and 0 < e.exp <= 8):
            factors = [*args] if isinstance(e, sympy.Mul) else [args[0]] * int(e.exp)
            total = build.const(1)
            for n, _ in factors:
                total = build.op("mul", total, n)
            return total, math.prod(d for _, d in factors)
        if isinstance(e, sympy.floor | sympy.ceiling):
            (n, d), sign = args[0], "neg" if isinstance(e, sympy.ceiling) else ""
            if d == 1:
                return n, 1
            below = build.op("floordiv", build.op("neg", n) if sign else n, build.const(d))
            return (build.op("neg", below) if sign else below), 1
        if isinstance(e, sympy.Max | sympy.Min | sympy.Mod) and all(d == 1 for _, d in args):
            name = {sympy.Max: "maximum", sympy.Min: "minimum", sympy.Mod: "mod"}[e.func]
            total = args[0][0]
            for n, _ in args[1:]:
                total = build.op(name, total, n)
            return total, 1
        if e is sympy.S.Infinity or e is sympy.S.NegativeInfinity:
            raise UnsupportedError("infinite ranges are not supported", place(e), "sum up to a length")
        raise UnsupportedError(f"{printed(e)} is not integer arithmetic", place(e), "use +, -, *, floor, Max, Min, Mod")

    def _quotient(self, e: Part, node: Node, divisor: int) -> Node:
        """n*(n - 1)/2 is an integer whatever n is; n/2 is not."""
        poly = integer_poly(node)
        atoms = sorted(poly.atoms, key=str) if poly is not None else []
        if poly is not None and divisor ** len(atoms) <= RESIDUES and not any(isinstance(a, Term) for a in atoms):
            points = (dict(zip(atoms, p, strict=True)) for p in product(range(divisor), repeat=len(atoms)))
            if all(poly.evaluate(point) % divisor == 0 for point in points):
                return self.build.integer(floor_div(poly, Poly.const(divisor)))
        raise UnsupportedError(f"{printed(e)} need not be an integer", place(e), "write floor(...)")


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
