"""Which inputs a SymPy expression has: it declares none, so they are found in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import sympy
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction

from gradc.bounds import integer_poly
from gradc.errors import ShapeError, UnsupportedError
from gradc.extents import ONE, Poly, Term
from gradc.frontends.sympy.integers import Integers, Scope, within
from gradc.frontends.sympy.walk import Part, Parts, place
from gradc.program import Input, Kind

LENGTHS = (sympy.Identity, sympy.ZeroMatrix, sympy.OneMatrix)
Range = tuple[Poly, Poly]
"""First and last value of an index."""


@dataclass
class Array:
    """An array of the expression: its shape, or for each axis the ranges of indices that it is read at."""

    symbol: Part
    shape: tuple[Poly, ...] | None
    ranges: list[list[Range]] = field(default_factory=list)


class Inputs:
    """Finds inputs: scalars, arrays with their shapes, integers that are subscripts, symbols that are lengths."""

    def __init__(self, parts: Parts, integers: Integers) -> None:
        self.parts, self.integers, self.names = parts, integers, integers.names
        self.scalars: dict[str, Part] = {}
        self.arrays: dict[str, Array] = {}
        self.subscripts: set[str] = set()

    def find(self, root: Part, wrt: Sequence[Part | str] | None) -> tuple[Input, ...]:
        """All inputs: those in `wrt` in their order, then the others by name. Without `wrt` all are, by name."""
        self._visit(root)
        for symbol in wrt or ():
            if isinstance(symbol, sympy.IndexedBase | sympy.MatrixSymbol):
                self._array(symbol)
            elif isinstance(symbol, sympy.Symbol):
                self.scalars.setdefault(self.names.claim(symbol), symbol)
        for name in self.integers.dims:
            self.scalars.pop(name, None)
            if name in self.wrt_names(wrt):
                raise UnsupportedError(f"wrt: '{name}' is a length, and has no derivative")
        found = {name: Input(name, self._kind(name, s, wrt)) for name, s in self.scalars.items()}
        for name, array in self.arrays.items():
            found[name] = Input(name, self._kind(name, array.symbol, wrt), self._shape(name, array))
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
                stack.append((e.function, self.integers.opened(e, scope)[1]))
            elif isinstance(e, ElementwiseApplyFunction):
                argument = self.integers.build.const(0.0)
                inner = Scope({**scope.variables, **dict.fromkeys(e.function.variables, argument)}, scope.loops)
                stack += [(e.function.expr, inner), (e.expr, scope)]
            elif isinstance(e, sympy.Indexed):
                self._read(e, scope)
                stack += [(p, scope) for s in e.indices for p in within(s) if isinstance(p, sympy.Indexed)]
            elif isinstance(e, sympy.MatrixSymbol):
                self._array(e)
            elif isinstance(e, LENGTHS):
                for length in e.shape:
                    self.integers.poly(length, Scope())
            elif isinstance(e, sympy.Symbol):
                if e not in scope.variables:
                    self.scalars.setdefault(self.names.claim(e), e)
            else:
                if isinstance(e, sympy.matrices.expressions.matexpr.MatrixElement):
                    self._subscripts(e.indices, scope)
                stack += [(p, scope) for p in self.parts.of(e)]

    def _read(self, e: Part, scope: Scope) -> None:
        array = self._array(e.base)
        rank = len(e.indices)
        if len(array.shape if array.shape is not None else array.ranges or e.indices) != rank:
            raise ShapeError(f"{e.base} does not always have the same number of subscripts", place(e))
        self._subscripts(e.indices, scope)
        array.ranges = array.ranges or [[] for _ in range(rank)]
        for subscript, ranges in zip(e.indices, array.ranges, strict=True):
            node = scope.variables.get(subscript) if isinstance(subscript, sympy.Symbol | sympy.Idx) else None
            position = integer_poly(node) if node is not None and array.shape is None else None
            if position is not None and not any(isinstance(a, Term) for a in position.atoms):
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
            self.arrays[name] = Array(
                symbol, None if shape is None else tuple(self.integers.poly(length, Scope()) for length in shape)
            )
        return self.arrays[name]

    def _shape(self, name: str, array: Array) -> tuple[Poly, ...]:
        if array.shape is not None:
            return array.shape
        hint = f"give it a shape: IndexedBase('{name}', shape=(n,))"
        if not array.ranges:
            raise UnsupportedError(f"the shape of '{name}' is not known", place(array.symbol), hint)
        lengths = []
        for axis, ranges in enumerate(array.ranges):
            if not any(first == Poly.const(0) for first, _ in ranges):
                what = "no sum over its subscript starts at 0" if ranges else "no subscript is the index of a sum"
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

    def _check_lengths(self, inputs: Iterable[Input]) -> None:
        shapes = [poly for i in inputs for poly in i.shape]
        bare = {str(p) for p in shapes if p == Poly.atom(str(p))}
        for dim in sorted(self.integers.dims):
            if dim not in bare:
                hint = f"an array with an axis of this length does: IndexedBase('x', shape=({dim},))"
                raise ShapeError(f"nothing tells what '{dim}' is", place(self.integers.dims[dim]), hint)
        for i in inputs:
            for poly in i.shape:
                if poly.constant is not None and poly.constant < 0:
                    raise ShapeError(f"the length {poly} of '{i.name}' is negative")
