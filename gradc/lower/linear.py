"""Linear algebra of the language: `solve`, `inv`, `det`, `logdet`, `cholesky` as functions of whole matrices.

As in NumPy they take the last two axes of an array for a matrix, and the axes before them number matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gradc.build import Builder
from gradc.errors import ShapeError, Span
from gradc.extents import ONE, Index, Poly, in_order
from gradc.ir import Node
from gradc.lower.arrays import Arrays
from gradc.program import Value

Axes = tuple[Index | None, ...]


class Matrix(NamedTuple):
    """A matrix, or a vector, as a node and its axes; the other indices of the node number matrices."""

    node: Node
    axes: tuple[Index, ...]

    @property
    def transposed(self) -> Matrix:
        return Matrix(self.node, self.axes[::-1])


def factored(build: Builder, a: Matrix, guard: Node | None = None) -> Matrix:
    """A matrix as its triangular factors, with a last row that says which rows were exchanged."""
    rows, columns = a.axes
    extent, occurrence = rows.extent + ONE, 0
    while (longer := Index(extent, occurrence)) in a.node.indices:
        occurrence += 1
    axes = (longer, columns)
    return Matrix(build.linear("lu", [a], axes, guard), axes)


def matrix_of(factors: Matrix) -> Matrix:
    """What was factored."""
    return Matrix(factors.node.arrays[0], factors.node.inner[0])


def solved(build: Builder, a: Matrix, b: Matrix, axes: tuple[Index, ...], guard: Node | None = None) -> Node:
    """The x of a @ x = b. A matrix and its transpose have their factors in common."""
    straight = in_order(a.axes) == [*a.axes]
    factors = factored(build, a if straight else a.transposed, guard)
    return build.linear("lu_solve" if straight else "lu_solve_transposed", [factors, b], axes, guard)


def inverted(build: Builder, a: Matrix, guard: Node | None = None) -> Matrix:
    """The inverse, over the same axes: what solves for the columns of the identity."""
    diagonal = build.op("eq", *map(build.index, a.axes))
    identity = build.select(diagonal, build.const(1.0), build.const(0.0))
    return Matrix(solved(build, a, Matrix(identity, a.axes), a.axes, guard), a.axes)


class LinearAlgebra:
    """The functions, of array values."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays, self.build = arrays, arrays.build

    def solve(self, a: Value, b: Value, span: Span) -> Value:
        """As in NumPy, b is a vector if it has one axis; else its last two are those of a matrix."""
        if not b.axes:
            raise ShapeError("solve() needs a vector or a matrix on the right", span, "divide by a number with /")
        self._check_square("solve", a, span)
        inner = min(len(b.axes), 2)
        as_vectors = "b of several axes is a matrix; for one vector each: [solve(A[i], b[i]) for i in range(n)]"
        self._agree("solve", (a.shape[-1], b.shape[-inner]), span, as_vectors if inner == 2 else None)
        each = self._each([a.axes[:-2], b.axes[:-inner]], "solve", span)
        length = a.shape[-2]
        matrix = self._whole(a, (length, length), each)
        right = self._whole(b, (length, *b.shape[len(b.axes) - inner + 1 :]), each)
        return self._result(solved(self.build, matrix, right, right.axes), each, right.axes)

    def inv(self, a: Value, span: Span) -> Value:
        each, matrix = self._square("inv", a, span)
        return self._result(inverted(self.build, matrix).node, each, matrix.axes)

    def determinant(self, name: str, a: Value, span: Span) -> Value:
        """`det` and `logdet`."""
        each, matrix = self._square(name, a, span)
        same = Matrix(matrix.node, tuple(in_order(matrix.axes)))
        return Value(self.build.linear(f"lu_{name}", [factored(self.build, same)], (), None), each)

    def cholesky(self, a: Value, span: Span) -> Value:
        """The factor of (a + a.T)/2: both triangles count, and share the gradient."""
        build = self.build
        each, matrix = self._square("cholesky", a, span)
        mirrored = build.read(matrix.node, matrix.axes, [build.index(i) for i in matrix.axes[::-1]])
        symmetric = Matrix(build.op("mul", build.const(0.5), build.op("add", matrix.node, mirrored)), matrix.axes)
        return self._result(build.linear("cholesky", [symmetric], matrix.axes, None), each, matrix.axes)

    def _square(self, name: str, a: Value, span: Span) -> tuple[Axes, Matrix]:
        """The axes that number the matrices, and one of these."""
        self._check_square(name, a, span)
        each = self._each([a.axes[:-2]], name, span)
        return each, self._whole(a, (a.shape[-2],) * 2, each)

    def _check_square(self, name: str, a: Value, span: Span) -> None:
        if len(a.axes) < 2:
            given = "a vector" if a.axes else "a number"
            raise ShapeError(f"{name}() needs a square matrix, not {given}", span)
        self._agree(f"{name}() needs a square matrix", (a.shape[-2], a.shape[-1]), span, None)

    def _agree(self, what: str, lengths: tuple[Poly, Poly], span: Span, hint: str | None) -> None:
        try:
            self.arrays.agree(*lengths, what, span)
        except ShapeError as error:
            raise ShapeError(error.message, span, hint) from None

    def _each(self, axes: Sequence[Axes], name: str, span: Span) -> Axes:
        """The axes before those of the matrices, broadcast."""
        rank = max(len(a) for a in axes)
        padded = [(None,) * (rank - len(a)) + a for a in axes]
        chosen: list[Index | None] = []
        for position in range(rank):
            there = [a for p in padded if (a := p[position]) is not None]
            for other in there[1:]:
                self.arrays.agree(there[0].extent, other.extent, name, span)
            chosen.append(self.arrays.choose(there, chosen))
        return tuple(chosen)

    def _whole(self, value: Value, lengths: tuple[Poly, ...], each: Axes) -> Matrix:
        """One of the matrices, or vectors, that are numbered by `each`; `lengths` are those of its axes."""
        outer = len(value.axes) - len(lengths)
        axes: list[Index] = []
        for given, length in zip(value.axes[outer:], lengths, strict=True):
            fits = given is not None and given.extent == length
            chosen = self.arrays.choose([given], [*each, *axes]) if fits else None
            axes.append(chosen or self.arrays.fresh(length, [*each, *axes]))
        numbered = each[len(each) - outer :]
        targets = (b if a is not None else None for a, b in zip(value.axes, numbered, strict=False))
        return Matrix(self.arrays.renamed(value, [*targets, *axes]), tuple(axes))

    def _result(self, node: Node, each: Axes, axes: tuple[Index, ...]) -> Value:
        """An array value; its axes of length 1 are such that broadcast."""
        single = [i for i in axes if i.extent == ONE]
        node = self.build.read(node, single, [self.build.const(0)] * len(single))
        return Value(node, (*each, *(None if i in single else i for i in axes)))
