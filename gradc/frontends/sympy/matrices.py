"""SymPy's matrix expressions: arrays of two axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import sympy
from sympy.matrices import expressions as m

from gradc.errors import ShapeError, Span, UnsupportedError
from gradc.extents import Index, Poly
from gradc.frontends.sympy import scalars
from gradc.frontends.sympy.forms import Part
from gradc.lower import construction
from gradc.lower.arrays import Arrays
from gradc.lower.functions import Functions
from gradc.lower.linear import LinearAlgebra
from gradc.lower.shaping import concatenate, reshape, transpose
from gradc.program import Value

HIGHEST = 64
"""Powers of matrices beyond this are refused."""


class Matrices:
    """Each rule makes the value of a part from those of its arguments. `rules` is the table."""

    def __init__(self, arrays: Arrays, length: Callable[[Part], Poly], span: Span) -> None:
        self.arrays, self.build, self.length, self.span = arrays, arrays.build, length, span
        self.functions, self.algebra = Functions(arrays), LinearAlgebra(arrays)
        self.rules: dict[type, Callable[[Part, Sequence[Value]], Value]] = {
            m.MatAdd: lambda e, args: reduce(lambda a, b: arrays.elementwise("add", [a, b], span), args),
            m.MatPow: self.power,
            m.HadamardProduct: lambda e, args: reduce(lambda a, b: arrays.elementwise("mul", [a, b], span), args),
            m.HadamardPower: self.elementwise_power,
            m.Transpose: lambda e, args: transpose(args[0]),
            m.Adjoint: lambda e, args: transpose(args[0]),
            m.Trace: self.trace,
            m.Inverse: lambda e, args: self.algebra.inv(args[0], span),
            m.Determinant: lambda e, args: self.algebra.determinant("det", args[0], span),
            m.DotProduct: self.dot,
            m.Identity: self.identity,
            m.ZeroMatrix: lambda e, args: Value(self.build.const(0.0), self._axes(e)),
            m.OneMatrix: lambda e, args: Value(self.build.const(1.0), self._axes(e)),
            m.DiagMatrix: self.with_diagonal,
            m.DiagonalMatrix: self.diagonal_part,
            m.DiagonalOf: self.diagonal,
            m.BlockMatrix: self.blocks,
            m.KroneckerProduct: lambda e, args: reduce(self.kronecker, args),
            sympy.MatrixBase: self.entries,
        }

    def product(self, e: Part, args: Sequence[Value]) -> Value:
        """A product of numbers and matrices. Of an inverse, what it is the inverse of is given."""
        factors = [(a, isinstance(p, m.Inverse)) for p, a in zip(e.args, args, strict=True) if a.axes]
        numbers = [(p, a.node) for p, a in zip(e.args, args, strict=True) if not a.axes]
        value = self.chain(factors)
        if not numbers:
            return value
        scale = scalars.product(self.build, *zip(*numbers, strict=True))
        return self.arrays.elementwise("mul", [Value(scale), value], self.span)

    def chain(self, factors: Sequence[tuple[Value, bool]]) -> Value:
        """From the end at which there is a vector; where there are inverses from the right, as systems to solve."""
        last, inverse = factors[-1]
        if last.axes[1] is not None and not any(i for _, i in factors):
            return reduce(self.matmul, [f for f, _ in factors])
        value = self.algebra.inv(last, self.span) if inverse else last
        for factor, inverse in factors[-2::-1]:
            value = self.algebra.solve(factor, value, self.span) if inverse else self.matmul(factor, value)
        return value

    def matmul(self, a: Value, b: Value) -> Value:
        return self.functions.matmul(a, b, self.span)

    def trace(self, e: Part, args: Sequence[Value]) -> Value:
        return self.arrays.contract([(args[0], "ii")], "", self.span, "trace")

    def trace_of_product(self, a: Value, b: Value) -> Value:
        """Only the diagonal of the product is computed."""
        return self.arrays.contract([(a, "ij"), (b, "ji")], "", self.span, "trace")

    def dot(self, e: Part, args: Sequence[Value]) -> Value:
        a, b = (Value(v.node, tuple(axis for axis in v.axes if axis is not None)) for v in args)
        return self.matmul(a, b) if a.axes else self.arrays.elementwise("mul", [a, b], self.span)

    def power(self, e: Part, args: Sequence[Value]) -> Value:
        base, exponent = args
        k = exponent.node.value if exponent.node.op == "const" and exponent.node.type == "int" else None
        if k is None or abs(k) > HIGHEST:
            raise UnsupportedError(f"a matrix is raised to integers up to {HIGHEST}", hint="write the product out")
        return self._repeated(base, int(k)) if k >= 0 else self.algebra.inv(self._repeated(base, -int(k)), self.span)

    def _repeated(self, base: Value, times: int) -> Value:
        result: Value | None = None
        while times:
            if times % 2:
                result = base if result is None else self.matmul(result, base)
            times //= 2
            base = self.matmul(base, base) if times else base
        return result if result is not None else self._identity(base.axes)

    def elementwise_power(self, e: Part, args: Sequence[Value]) -> Value:
        axes, nodes = self.arrays.aligned(args, self.span, "power")
        return Value(scalars.power(self.build, e, nodes), axes)

    def identity(self, e: Part, args: Sequence[Value]) -> Value:
        return self._identity(self._axes(e))

    def _identity(self, axes: tuple[Index | None, ...]) -> Value:
        row, column = axes
        if row is None or column is None:
            return Value(self.build.const(1.0), axes)
        hit = self.build.op("eq", self.build.index(row), self.build.index(column))
        return Value(self.build.select(hit, self.build.const(1.0), self.build.const(0.0)), axes)

    def with_diagonal(self, e: Part, args: Sequence[Value]) -> Value:
        """The matrix with a vector, of one row or of one column, on its diagonal."""
        (vector,) = args
        axes = tuple(a for a in vector.axes if a is not None)
        if len(axes) > 1:
            raise ShapeError("DiagMatrix takes a matrix of one column", hint="DiagonalMatrix is the diagonal of others")
        return construction.diagonal_matrix(self.arrays, Value(vector.node, axes or (None,)), 0, self.span)

    def diagonal_part(self, e: Part, args: Sequence[Value]) -> Value:
        """A matrix with 0 outside of its diagonal."""
        (matrix,) = args
        row, column = (self.build.const(0) if a is None else self.build.index(a) for a in matrix.axes)
        kept = self.build.select(self.build.op("eq", row, column), matrix.node, self.build.const(0.0))
        return Value(kept, matrix.axes)

    def diagonal(self, e: Part, args: Sequence[Value]) -> Value:
        value = construction.diagonal(self.arrays, args[0], 0, self.span, "DiagonalOf")
        return Value(value.node, (*value.axes, None))

    def blocks(self, e: Part, args: Sequence[Value]) -> Value:
        """Matrices beside and below one another."""
        columns = e.blocks.shape[1]
        rows = [concatenate(self.arrays, args[k : k + columns], 1, self.span) for k in range(0, len(args), columns)]
        return concatenate(self.arrays, rows, 0, self.span)

    def kronecker(self, a: Value, b: Value) -> Value:
        """Every entry of a times all of b: entry (i, j) stands in a at (i//rows, j//columns) of b."""
        product = self.arrays.contract([(a, "ij"), (b, "kl")], "ikjl", self.span, "KroneckerProduct")
        i, k, j, length = product.shape
        return reshape(self.arrays, product, (i * k, j * length), self.span)

    def entries(self, e: Part, args: Sequence[Value]) -> Value:
        """An explicit matrix: each entry put in its place."""
        axes = self._axes(e)
        columns = int(e.shape[1])
        written = tuple(a for a in axes if a is not None)
        places = []
        for k, value in enumerate(args):
            if value.axes:
                raise ShapeError("matrices of matrices are not supported")
            at = [self.build.const(p) for p, a in zip(divmod(k, columns), axes, strict=True) if a is not None]
            node = self.build.convert(value.node, "float")
            if not written:
                return Value(node, axes)
            places.append(self.build.place(node, written, at, node.indices, None))
        return Value(self.build.scatter(places) if places else self.build.const(0.0), axes)

    def _axes(self, e: Part) -> tuple[Index | None, ...]:
        axes: list[Index | None] = []
        for length in e.shape:
            extent = Poly.const(length) if isinstance(length, int) else self.length(length)
            axes.append(None if extent.constant == 1 else self.arrays.fresh(extent, axes))
        return tuple(axes)
