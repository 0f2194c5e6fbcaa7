"""Which inputs a SymPy expression has: it declares none, so they are found in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sympy
from msgspec import Struct, field
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.matrices.expressions.slice import MatrixSlice

from gradc.bounds import integer_poly
from gradc.build import Builder
from gradc.errors import ShapeError, UnsupportedError
from gradc.extents import ONE, ZERO, Poly, Term
from gradc.frontends.sympy.forms import Part
from gradc.frontends.sympy.integers import Integers, Scope, elements, within
from gradc.frontends.sympy.names import Names
from gradc.frontends.sympy.walk import Parts, bound_variables, place, printed
from gradc.ir import Graph, Node
from gradc.program import Input, Kind

CONSTANT = (sympy.Identity, sympy.ZeroMatrix, sympy.OneMatrix)
SMALL = (sympy.Symbol, sympy.Idx, sympy.Integer)
"""What is compared at no cost."""
Range = tuple[Poly, Poly]
"""First and last value of a subscript."""


class Array(Struct):
    """An array of the expression: its shape, or for each axis the ranges of the subscripts that it is read at."""

    symbol: Part
    shape: tuple[Poly, ...] | None
    ranges: list[list[Range]] = field(default_factory=list)


class Inputs:
    """Finds inputs: scalars, arrays with their shapes, integers that are subscripts, symbols that are lengths.

    A symbol in a bound is a length if an axis is that long, an integer otherwise.
    """

    def __init__(self, parts: Parts, names: Names) -> None:
        self.parts, self.names = parts, names
        self.integers = Integers(Builder(Graph()), names)
        self.scalars: dict[str, Part] = {}
        self.arrays: dict[str, Array] = {}
        self.subscripts: set[str] = set()
        self.lengths: dict[str, Part] = {}
        self.bounds: dict[str, Part] = {}
        self.dims: set[str] = set()
        self.unknown: dict[tuple[object, ...], int] = {}

    def find(self, root: Part, wrt: Sequence[Part | str] | None) -> tuple[Input, ...]:
        """All inputs: those in `wrt` in their order, then the others by name. Without `wrt` all are, by name."""
        self._visit(root)
        self._check_indices()
        for symbol in wrt or ():
            if isinstance(symbol, sympy.IndexedBase | sympy.MatrixSymbol):
                self._array(symbol)
            elif isinstance(symbol, sympy.Symbol):
                self.scalars.setdefault(self.names.claim(symbol), symbol)
        shapes = {name: self._shape(name, array) for name, array in self.arrays.items()}
        self.dims = {*self.lengths}.union(*(length.dims for shape in shapes.values() for length in shape))
        for name in self.dims:
            self.scalars.pop(name, None)
            if name in self.wrt_names(wrt):
                raise UnsupportedError(f"wrt: '{name}' is a length, and has no derivative")
        for name in self.bounds.keys() - self.dims:
            self.subscripts.add(name)
            self.scalars[name] = self.bounds[name]
        found = {name: Input(name, self._kind(name, s, wrt)) for name, s in self.scalars.items()}
        for name, shape in shapes.items():
            found[name] = Input(name, self._kind(name, self.arrays[name].symbol, wrt), shape)
        self._check_lengths(found.values())
        first = [n for n in self.wrt_names(wrt) if n in found]
        first += sorted(n for n in found if n not in first and found[n].kind == "param")
        return tuple(found[n] for n in dict.fromkeys([*first, *sorted(found)]))

    def wrt_names(self, wrt: Sequence[Part | str] | None) -> list[str]:
        """What to differentiate by, as names of inputs."""
        return [s if isinstance(s, str) else self.names.of(s) for s in wrt or ()]

    def _kind(self, name: str, symbol: Part, wrt: Sequence[Part | str] | None) -> Kind:
        if name in self.subscripts:
            return "index"
        if wrt is None:
            return "data" if symbol.is_integer else "param"
        return "param" if name in self.wrt_names(wrt) else "data"

    def _visit(self, root: Part) -> None:
        """Every part once for each meaning that the index variables in it have."""
        seen = set()
        stack = [(root, Scope())]
        while stack:
            e, scope = stack.pop()
            key = (id(e), *(scope.variables.get(v) for v in self.parts.variables(e)))
            if key in seen:
                continue
            seen.add(key)
            if isinstance(e, sympy.Sum | sympy.Product):
                for limit in reversed(e.limits):
                    stack += [(p, scope) for p in elements(limit[1:])]
                    scope = self.integers.opened(e, limit, scope, self._bound)[1]
                stack.append((e.function, scope))
            elif isinstance(e, ElementwiseApplyFunction):
                argument = self.integers.build.const(0.0)
                inner = Scope({**scope.variables, **dict.fromkeys(e.function.variables, argument)}, scope.loops)
                stack += [(e.function.expr, inner), (e.expr, scope)]
            elif isinstance(e, sympy.FunctionMatrix):
                stack.append((e.lamda.expr, self.integers.entries(e, scope, self._length)[1]))
            elif isinstance(e, MatrixSlice):
                stack += [(e.parent, scope), *((p, scope) for p in elements(self.parts.of(e)[1:]))]
                for start, stop, step in (e.rowslice, e.colslice):
                    self.integers.poly(stop - start, scope, self._length)
                    self.integers.node(start + step, scope, self._bound)
            elif isinstance(e, CONSTANT):
                for length in e.shape:
                    self.integers.poly(length, Scope(), self._length)
            elif isinstance(e, sympy.Indexed):
                self._read(e, scope)
                stack += [(p, scope) for p in elements(e.indices)]
            elif isinstance(e, sympy.MatrixSymbol):
                self._array(e)
            elif isinstance(e, sympy.Symbol):
                if e not in scope.variables:
                    self.scalars.setdefault(self.names.claim(e), e)
            else:
                if isinstance(e, MatrixElement):
                    self._subscripts(e.indices, scope)
                stack += [(p, scope) for p in self.parts.of(e)]

    def _length(self, e: Part) -> Node:
        if not isinstance(e, sympy.Symbol):
            raise UnsupportedError("lengths are made of numbers and symbols", place(e), "no data in them")
        name = self.names.claim(e)
        self.lengths[name] = e
        return self.integers.build.dim(name)

    def _bound(self, e: Part) -> Node:
        """A part of the bound of a sum: a length or an integer, which remains to be seen, or an element of an array."""
        if isinstance(e, sympy.Indexed):
            return self._unknown(e)
        if not isinstance(e, sympy.Symbol):
            raise UnsupportedError(f"index {printed(e)} is not summed over", place(e), "no sum around this one has it")
        name = self.names.claim(e)
        self.bounds[name] = e
        return self.integers.build.dim(name)

    def _unknown(self, e: Part) -> Node:
        """An integer of which nothing is known before a call, other than where it comes from."""
        if not isinstance(e, sympy.Indexed):
            return self.integers.build.input(self.names.claim(e), (), "int")
        name = self.names.claim(e.base)
        self.subscripts.add(name)
        key = (name, *(s if isinstance(s, SMALL) else id(s) for s in e.indices))
        return self.integers.build.input(f"{name} {self.unknown.setdefault(key, len(self.unknown))}", (), "int")

    def _read(self, e: Part, scope: Scope) -> None:
        array = self._array(e.base)
        rank = len(e.indices)
        if len(array.shape if array.shape is not None else array.ranges or e.indices) != rank:
            raise ShapeError(f"{printed(e.base)} does not always have the same number of subscripts", place(e))
        self._subscripts(e.indices, scope)
        array.ranges = array.ranges or [[] for _ in range(rank)]
        for subscript, ranges in zip(e.indices, array.ranges, strict=True):
            position = integer_poly(self.integers.node(subscript, scope, self._unknown))
            if array.shape is None and position is not None and _has_range(position, subscript):
                ranges.append((-((-position).bounding()), position.bounding()))

    def _subscripts(self, subscripts: Iterable[Part], scope: Scope) -> None:
        """Symbols and arrays in a subscript are integers."""
        for p in (p for s in subscripts for p in within(s)):
            if isinstance(p, sympy.Indexed):
                self.subscripts.add(self.names.claim(p.base))
            elif isinstance(p, sympy.Symbol) and p not in scope.variables:
                name = self.names.claim(p)
                self.subscripts.add(name)
                self.scalars.setdefault(name, p)

    def _array(self, symbol: Part) -> Array:
        if not isinstance(symbol, sympy.IndexedBase | sympy.MatrixSymbol):
            raise UnsupportedError(f"elements of {type(symbol).__name__} are not supported", place(symbol))
        name = self.names.claim(symbol)
        if name not in self.arrays:
            if isinstance(symbol, sympy.IndexedBase) and (symbol.offset or symbol.strides):
                raise UnsupportedError("offsets and strides of arrays are not supported", place(symbol))
            shape = symbol.shape
            lengths = None if shape is None else tuple(self.integers.poly(n, Scope(), self._length) for n in shape)
            self.arrays[name] = Array(symbol, lengths)
        return self.arrays[name]

    def _shape(self, name: str, array: Array) -> tuple[Poly, ...]:
        if array.shape is not None:
            return array.shape
        hint = f"give it a shape: IndexedBase('{name}', shape=(n,))"
        if not array.ranges:
            raise UnsupportedError(f"the shape of '{name}' is not known", place(array.symbol), hint)
        lengths = []
        for axis, ranges in enumerate(array.ranges):
            if not any(first == ZERO for first, _ in ranges):
                what = "no sum over its subscript starts at 0" if ranges else "no sum over its subscript has a length"
                raise UnsupportedError(
                    f"the length of axis {axis} of '{name}' is not known: {what}", place(array.symbol), hint
                )
            last = [end for _, end in ranges]
            longest = [a for a in last if all((a - b).is_nonnegative() for b in last)]
            if not longest:
                shown = ", ".join(str(a + ONE) for a in dict.fromkeys(last))
                message = f"the length of axis {axis} of '{name}' may be any of {shown}"
                raise UnsupportedError(message, place(array.symbol), hint)
            lengths.append(longest[0] + ONE)
        return tuple(lengths)

    def _check_indices(self) -> None:
        """SymPy moves a Piecewise out of what stands within a sum, and leaves its indices behind."""
        binding = (sympy.Sum, sympy.Product, sympy.FunctionMatrix)
        bound = {v for e in self.parts.order if isinstance(e, binding) for v in bound_variables(e)}
        for symbol in (*self.scalars.values(), *self.bounds.values()):
            if symbol in bound:
                raise UnsupportedError(
                    f"'{printed(symbol)}' is an index, and also stands outside of the sum or matrix that it belongs to",
                    place(symbol),
                    "SymPy takes a Piecewise out of what is in a sum: write Heaviside, KroneckerDelta or bounds for it",
                )

    def _check_lengths(self, inputs: Iterable[Input]) -> None:
        shapes = [poly for i in inputs for poly in i.shape]
        bare = {str(p) for p in shapes if p == Poly.atom(str(p))}
        symbols = {**self.bounds, **self.lengths}
        for dim in sorted(self.dims):
            if dim not in bare:
                hint = f"an array with an axis of this length does: IndexedBase('x', shape=({dim},))"
                raise ShapeError(f"nothing tells what '{dim}' is", place(symbols[dim]), hint)
        for i in inputs:
            for poly in i.shape:
                if poly.constant is not None and poly.constant < 0:
                    raise ShapeError(f"the length {poly} of '{i.name}' is negative")


def _has_range(position: Poly, subscript: Part) -> bool:
    """Whether a subscript goes from one number to another as the index of a sum does."""
    if any(isinstance(a, Term) for a in position.atoms):
        return False
    varies = position.indices or isinstance(subscript, sympy.Symbol | sympy.Idx)
    known = position.has_bound and (-position).has_bound
    return bool(varies) and known and not position.bounding().entries | (-position).bounding().entries
