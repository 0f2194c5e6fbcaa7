"""Adjoints of linear algebra: of each function of `gradc.linear`, what its arguments receive.

Solutions, determinants and inverses: M. Giles, "An extended collection of matrix derivative results for forward and
reverse mode algorithmic differentiation" (2008). Cholesky's factor: I. Murray, "Differentiation of the Cholesky
decomposition" (2016). Everything is made of ordinary nodes, which have adjoints themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gradc.build import Builder
from gradc.extents import Index
from gradc.ir import Node
from gradc.lower.linear import Matrix, inverted, matrix_of

Received = Iterator[tuple[Matrix, Node]]


def received(build: Builder, y: Node, bar: Node, guard: Node | None) -> Received:
    """Arguments of y, each with an element of the adjoint it receives, at its axes, when that of y is `bar`.

    What has been factored receives in place of its factors. Linear algebra is run where the guard holds.
    """
    return RULES[y.kind](_Adjoint(build, y, bar, guard))


class _Adjoint:
    """One function, its arguments and its adjoint, as matrices and vectors."""

    def __init__(self, build: Builder, y: Node, bar: Node, guard: Node | None) -> None:
        self.build, self.y, self.guard = build, y, guard
        self.result, self.bar = Matrix(y, y.axes), Matrix(bar, y.axes)
        self.arguments = [Matrix(a, axes) for a, axes in zip(y.arrays, y.inner, strict=True)]

    def apply(self, kind: str, a: Matrix, b: Matrix, axes: tuple[Index, ...]) -> Matrix:
        return Matrix(self.build.linear(kind, [a, b], axes, self.guard), axes)

    def at(self, value: Matrix, axes: tuple[Index, ...]) -> Node:
        """An element of the value, where these are its indices."""
        return self.build.read(value.node, value.axes, [self.build.index(i) for i in axes])

    def times(self, a: Matrix, b: Matrix, axes: tuple[Index, ...]) -> Matrix:
        """The product of two matrices."""
        occurrence = 0
        while (k := Index(a.axes[1].extent, occurrence)) in axes or k in self.y.each:
            occurrence += 1
        product = self.build.op("mul", self.at(a, (axes[0], k)), self.at(b, (k, axes[1])))
        return Matrix(self.build.reduce("sum", [k], product), axes)

    def outer(self, a: Matrix, b: Matrix, axes: tuple[Index, ...]) -> Node:
        """a @ b.T of two matrices; of two vectors, as if they were columns."""
        if len(a.axes) == 2:
            return self.times(a, b.transposed, axes).node
        return self.build.op("mul", self.at(a, axes[:1]), self.at(b, axes[1:]))

    def where(self, relation: str, axes: tuple[Index, ...], value: Node) -> Node:
        """The value where this holds of its row and column, else 0."""
        test = self.build.op(relation, *map(self.build.index, axes))
        return self.build.select(test, value, self.build.const(0.0))


def _solution(r: _Adjoint) -> Received:
    """x = A^-1 b: the adjoint of b is A^-T x_bar, and that of A is -b_bar x^T. For x = A^-T b as well, transposed."""
    factors, b = r.arguments
    plain = r.y.kind == "lu_solve"
    b_bar = r.apply("lu_solve_transposed" if plain else "lu_solve", factors, r.bar, b.axes)
    yield b, b_bar.node
    a = matrix_of(factors)
    yield a, r.build.op("neg", r.outer(*((b_bar, r.result) if plain else (r.result, b_bar)), a.axes))


def _triangular_solution(r: _Adjoint) -> Received:
    """As `_solution`; the other triangle is not looked at and receives nothing."""
    a, b = r.arguments
    lower = r.y.kind == "solve_lower"
    b_bar = r.apply("solve_upper" if lower else "solve_lower", a.transposed, r.bar, b.axes)
    yield b, b_bar.node
    yield a, r.where("ge" if lower else "le", a.axes, r.build.op("neg", r.outer(b_bar, r.result, a.axes)))


def _determinant(r: _Adjoint) -> Received:
    """The cofactors, which singular matrices have too."""
    a = matrix_of(r.arguments[0])
    cofactors = r.build.linear("cofactors", [a], a.axes, r.guard)
    yield a, r.build.op("mul", r.bar.node, cofactors)


def _log_determinant(r: _Adjoint) -> Received:
    """A^-T"""
    a = matrix_of(r.arguments[0])
    inverse = inverted(r.build, a, r.guard)
    yield a, r.build.op("mul", r.bar.node, r.at(inverse.transposed, a.axes))


def _cofactors(r: _Adjoint) -> Received:
    """C = det(A) W, where W = A^-T: sum(C_bar*W) C - C C_bar^T W. NaN if A is singular."""
    build, (a,) = r.build, r.arguments
    w = inverted(build, a, r.guard).transposed
    total = build.reduce("sum", r.bar.axes, build.op("mul", r.bar.node, r.at(w, r.bar.axes)))
    second = r.times(Matrix(r.outer(r.result, r.bar, a.axes), a.axes), w, a.axes)
    yield a, build.op("sub", build.op("mul", total, r.at(r.result, a.axes)), second.node)


def _cholesky(r: _Adjoint) -> Received:
    """L^-T P L^-1, where P is the lower triangle of L^T L_bar with its diagonal halved.

    That is for changes of A that leave it symmetric; there are no others, since what is factored is (A + A^T)/2.
    """
    build, (a,), factor = r.build, r.arguments, r.result
    product = r.times(factor.transposed, r.bar, a.axes).node
    half = build.op("mul", build.const(0.5), product)
    p = Matrix(build.op("add", r.where("gt", a.axes, product), r.where("eq", a.axes, half)), a.axes)
    left = r.apply("solve_upper", factor.transposed, p, a.axes)
    both = r.apply("solve_upper", factor.transposed, left.transposed, a.axes)
    yield a, r.at(both.transposed, a.axes)


RULES: dict[str, Callable[[_Adjoint], Received]] = {
    "lu_solve": _solution,
    "lu_solve_transposed": _solution,
    "lu_det": _determinant,
    "lu_logdet": _log_determinant,
    "cofactors": _cofactors,
    "cholesky": _cholesky,
    "solve_lower": _triangular_solution,
    "solve_upper": _triangular_solution,
}
