"""Random SymPy expressions over sums, gathers, ragged ranges and matrices, and what they mean, by mpmath.

`meaning` walks an expression by definition: sums are Python's, matrices mpmath's, nothing is simplified.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import mpmath
import numpy as np
import sympy
from sympy import FunctionMatrix, IndexedBase, Lambda, MatrixSymbol, Piecewise, Product, Sum, Symbol, symbols
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.matrices.expressions.slice import MatrixSlice

SIZES = {"n": 3, "m": 2, "K": 4}
DIGITS = 40
n, m, K = symbols("n m K", integer=True, positive=True)
x, y, k = Symbol("x"), Symbol("y"), Symbol("k", integer=True)
w, v, c = IndexedBase("w", shape=(n,)), IndexedBase("v", shape=(m,)), IndexedBase("c", shape=(K,))
T = IndexedBase("T", shape=(n, m))
kind, item = IndexedBase("kind", shape=(n,), integer=True), IndexedBase("item", shape=(K,), integer=True)
start = IndexedBase("start", shape=(n + 1,), integer=True)
A, B, u = MatrixSymbol("A", n, n), MatrixSymbol("B", n, m), MatrixSymbol("u", n, 1)
LENGTHS = {"n": n, "m": m, "K": K}
Scope = tuple[tuple[Any, str], ...]
"""Index variables in sight, each with the length it stays below."""


def inputs(random: Random) -> dict[str, Any]:
    """A point; no two numbers are equal, so that nothing is at a kink."""
    draw = np.random.default_rng(random.randrange(2**32)).normal
    shapes = {"w": (3,), "v": (2,), "c": (4,), "T": (3, 2), "A": (3, 3), "B": (3, 2), "u": (3, 1)}
    values: dict[str, Any] = {name: draw(size=shape) for name, shape in shapes.items()}
    cuts = sorted(random.choices(range(5), k=2))
    values |= {"kind": random.choices(range(2), k=3), "item": random.choices(range(3), k=4), "start": [0, *cuts, 4]}
    return values | {"x": float(draw()), "y": float(draw()), "k": random.randrange(3)}


class Expressions:
    """Grows expressions; `size` is about how many parts they have."""

    def __init__(self, random: Random) -> None:
        self.random, self.variables = random, 0

    def fresh(self) -> Any:
        self.variables += 1
        return Symbol(f"i{self.variables}", integer=True)

    def below(self, length: str, scope: Scope) -> Any:
        """A subscript for an axis of this length."""
        r = self.random
        own = [i for i, limit in scope if limit == length]
        choices = [*own, *own, *own, sympy.Integer(r.randrange(SIZES[length])), LENGTHS[length] - 1]
        choices += [LENGTHS[length] - 1 - i for i in own]
        if length == "m":
            choices += [kind[i] for i, limit in scope if limit == "n"] + [sympy.Mod(i, m) for i, _ in scope]
            choices += [sympy.floor(i / 2) for i, limit in scope if limit in ("n", "K")]
        if length == "n":
            choices += [item[i] for i, limit in scope if limit == "K"] + [k]
            choices += [sympy.Min(i, n - 1) for i, limit in scope if limit == "K"]
            choices += [kind[i] + 1 for i, limit in scope if limit == "n"]
        return r.choice(choices)

    def leaf(self, scope: Scope) -> Any:
        r = self.random
        choices = [
            lambda: r.choice([x, y]),
            lambda: sympy.Rational(r.randrange(-4, 5), r.randrange(1, 4)),
            lambda: w[self.below("n", scope)],
            lambda: v[self.below("m", scope)],
            lambda: c[self.below("K", scope)],
            lambda: T[self.below("n", scope), self.below("m", scope)],
            lambda: A[self.below("n", scope), self.below("n", scope)],
            lambda: u[self.below("n", scope), 0],
        ]
        if scope:
            choices += [lambda: (r.choice(scope)[0] + 1) / n]
        return r.choice(choices)()

    def range(self, scope: Scope) -> tuple[Any, Any, str]:
        """First, last and length of what an index may go through."""
        length = self.random.choice(["n", "m", "K"])
        ranges = [(0, LENGTHS[length] - 1, length)] * 3 + [(1, LENGTHS[length] - 1, length), (0, k, "n")]
        for i, limit in scope:
            if limit in LENGTHS:
                ranges += [(0, i, limit), (i + 1, LENGTHS[limit] - 1, limit), (0, i - 1, limit)]
            if limit == "n":
                ranges += [(start[i], start[i + 1] - 1, "K")] * 2 + [(0, start[i] - 1, "K"), (kind[i], 1, "m")]
        return self.random.choice(ranges)

    def number(self, size: int, scope: Scope = ()) -> Any:
        r = self.random
        if size <= 1:
            return self.leaf(scope)
        part = lambda: self.number(r.randrange(1, max(2, size - 1)), scope)  # noqa: E731
        choices = [
            lambda: part() + part(),
            lambda: part() - part(),
            lambda: part() * part(),
            lambda: part() / (2 + part() ** 2),
            lambda: r.choice([sympy.sin, sympy.tanh, sympy.atan, sympy.Abs])(part()),
            lambda: sympy.exp(sympy.tanh(part())),
            lambda: sympy.log(1 + part() ** 2),
            lambda: sympy.log(1 + sympy.exp(part())),
            lambda: sympy.Max(part(), part()),
            lambda: Piecewise((part(), part() > part()), (part(), True)),
            lambda: self.matrix_number(size, scope),
        ]
        if scope:
            choices += [
                lambda: Piecewise((part(), r.choice(scope)[0] < r.choice(scope)[0] + 1), (part(), True)),
                lambda: sympy.KroneckerDelta(r.choice(scope)[0], r.choice(scope)[0]) * part(),
            ]
        if len(scope) < 3:
            choices += [lambda: self.total(size, scope)] * 8
        return r.choice(choices)()

    def total(self, size: int, scope: Scope) -> Any:
        limits, inner = [], scope
        for _ in range(self.random.choice([1, 1, 2])):
            first, last, length = self.range(inner)
            i = self.fresh()
            limits.insert(0, (i, first, last))
            inner = (*inner, (i, length))
        body = self.number(size - 1, inner)
        return Product(1 + body / 10, *limits) if self.random.random() < 0.1 else Sum(body, *limits)

    def matrix_number(self, size: int, scope: Scope) -> Any:
        r = self.random
        square = self.matrix(size - 1, scope)
        regular = square * square.T + 2 * sympy.Identity(n)
        choices = [
            lambda: sympy.Trace(square),
            lambda: sympy.Trace(square * self.matrix(1, scope)),
            lambda: sympy.log(sympy.Determinant(regular)),
            lambda: sympy.log(sympy.Determinant(regular) ** sympy.Rational(-1, 2) * 3),
            lambda: sympy.Trace(u.T * regular.I * u),
            lambda: sympy.Determinant(square),
            lambda: square[self.below("n", scope), self.below("n", scope)],
            lambda: sympy.Trace(B.T * square * B),
        ]
        return r.choice(choices)()

    def matrix(self, size: int, scope: Scope) -> Any:
        """A matrix of n rows and columns."""
        r = self.random

        def by_formula() -> Any:
            i, j = self.fresh(), self.fresh()
            return FunctionMatrix(n, n, Lambda((i, j), self.number(min(size, 4), (*scope, (i, "n"), (j, "n")))))

        choices = [lambda: A, lambda: B * B.T, lambda: sympy.DiagMatrix(u), by_formula, by_formula]
        if size > 1:
            inner = lambda: self.matrix(size - 2, scope)  # noqa: E731
            choices += [
                lambda: inner() + self.number(2, scope) * inner(),
                lambda: inner() * inner(),
                lambda: sympy.HadamardProduct(inner(), A),
                lambda: inner().T,
                lambda: ElementwiseApplyFunction(sympy.Lambda(x, sympy.tanh(x) * 2), inner()),
                lambda: sympy.DiagonalMatrix(inner()),
                lambda: sympy.BlockMatrix([[B, sympy.DiagonalOf(A)]]) * sympy.BlockMatrix([[B.T], [u.T]]),
                lambda: sympy.BlockMatrix([[A[0 : n - 1, 0:n]], [u.T]]),
            ]
        return r.choice(choices)()


def grown(seed: int, size: int) -> tuple[Any, dict[str, Any]] | None:
    """An expression and a point, or None where SymPy itself fails to put it together."""
    random = Random(seed)
    values = inputs(random)
    try:
        return Expressions(random).number(size), values
    except (TypeError, AttributeError, ValueError, NotImplementedError):  # sorting mixes up matrices and numbers
        return None


# what they mean

FUNCTIONS: dict[Any, Any] = {
    sympy.sin: mpmath.sin,
    sympy.tanh: mpmath.tanh,
    sympy.cos: mpmath.cos,
    sympy.sinh: mpmath.sinh,
    sympy.cosh: mpmath.cosh,
    sympy.atan: mpmath.atan,
    sympy.exp: mpmath.exp,
    sympy.log: mpmath.log,
    sympy.Abs: abs,
    sympy.Max: max,
    sympy.Min: min,
    sympy.floor: mpmath.floor,
    sympy.Mod: lambda a, b: a - b * mpmath.floor(a / b),
    sympy.KroneckerDelta: lambda a, b: mpmath.mpf(1 if a == b else 0),
    sympy.StrictGreaterThan: lambda a, b: a > b,
    sympy.GreaterThan: lambda a, b: a >= b,
    sympy.StrictLessThan: lambda a, b: a < b,
    sympy.LessThan: lambda a, b: a <= b,
    sympy.Equality: lambda a, b: a == b,
    sympy.Unequality: lambda a, b: a != b,
    sympy.And: lambda *a: all(a),
    sympy.Or: lambda *a: any(a),
    sympy.Not: lambda a: not a,
    sympy.ITE: lambda a, b, c: b if a else c,
    sympy.conjugate: lambda a: a,
    sympy.re: lambda a: a,
    sympy.im: lambda a: mpmath.mpf(0),
    sympy.arg: lambda a: mpmath.pi if a < 0 else mpmath.mpf(0),
}


def determinant(a: Any) -> Any:
    """Of three rows, by Sarrus: mpmath's fails on some singular matrices."""
    if a.rows != 3:
        return mpmath.det(a)
    columns = [(j, (j + 1) % 3, (j + 2) % 3) for j in range(3)]
    down = mpmath.fsum(a[0, p] * a[1, q] * a[2, r] for p, q, r in columns)
    return down - mpmath.fsum(a[2, p] * a[1, q] * a[0, r] for p, q, r in columns)


class UndecidedError(Exception):
    """Two sides of a condition that are equal but for rounding."""


def meaning(e: Any, point: Mapping[str, Any], bound: Mapping[Any, int]) -> Any:
    """The value of an expression: a number, or a list of rows. Raises KeyError for an index outside of its sum."""

    def part(p: Any) -> Any:
        return meaning(p, point, bound)

    def whole(p: Any) -> int:
        return int(mpmath.nint(part(p)))

    def table(rows: int, columns: int, entry: Any) -> Any:
        return mpmath.matrix([[entry(i, j) for j in range(columns)] for i in range(rows)])

    if isinstance(e, Symbol):
        value = point[e.name] if e.name in point else bound[e]
        return mpmath.mpf(value) if isinstance(value, int) else value
    if isinstance(e, sympy.Indexed):
        return point[e.base.label.name][tuple(whole(s) for s in e.indices)]
    if isinstance(e, Sum | Product):
        *inner, (index, low, high) = e.limits
        body = e.func(e.function, *inner) if inner else e.function
        terms = [meaning(body, point, {**bound, index: i}) for i in range(whole(low), whole(high) + 1)]
        return mpmath.fsum(terms) if isinstance(e, Sum) else mpmath.fprod(terms)
    if isinstance(e, Piecewise):
        return next(part(arm) for arm, holds in e.args if part(holds))
    if e.is_Boolean and not e.args:
        return bool(e)
    if isinstance(e, MatrixSymbol):
        return mpmath.matrix(point[e.name].tolist())
    if isinstance(e, sympy.Identity):
        return mpmath.eye(whole(e.shape[0]))
    if isinstance(e, FunctionMatrix):
        i, j = e.lamda.variables
        rows, columns = (whole(length) for length in e.shape)
        return table(rows, columns, lambda p, q: meaning(e.lamda.expr, point, {**bound, i: p, j: q}))
    if isinstance(e, ElementwiseApplyFunction):
        (variable,) = e.function.variables
        return part(e.expr).apply(lambda a: meaning(e.function.expr, {**point, variable.name: a}, bound))
    if isinstance(e, MatrixSlice):
        (top, _, down), (left, _, right) = ([whole(p) for p in s] for s in (e.rowslice, e.colslice))
        rows, columns = (whole(length) for length in e.shape)
        parent = part(e.parent)
        return table(rows, columns, lambda i, j: parent[top + i * down, left + j * right])
    if isinstance(e, sympy.BlockMatrix):
        blocks = [[part(b) for b in row] for row in e.blocks.tolist()]
        lines = [[a for b in row for a in b[i, :]] for row in blocks for i in range(row[0].rows)]
        return mpmath.matrix(lines)
    if e.is_Rational:
        return mpmath.mpf(e.p) / e.q
    if not e.args:
        return mpmath.mpf(sympy.Float(e, DIGITS + 5)._mpf_)
    args = [part(p) for p in e.args]
    if isinstance(e, MatrixElement):
        return args[0][int(args[1]), int(args[2])]
    if isinstance(e, sympy.Trace):
        return mpmath.fsum(args[0][i, i] for i in range(args[0].rows))
    if isinstance(e, sympy.Determinant):
        return determinant(args[0])
    if isinstance(e, sympy.Transpose):
        return args[0].T
    if isinstance(e, sympy.Inverse):
        return args[0] ** -1
    if isinstance(e, sympy.DiagMatrix):
        return mpmath.diag(list(args[0]))
    if isinstance(e, sympy.DiagonalMatrix):
        return table(args[0].rows, args[0].cols, lambda i, j: args[0][i, j] if i == j else mpmath.mpf(0))
    if isinstance(e, sympy.DiagonalOf):
        return mpmath.matrix([args[0][i, i] for i in range(args[0].rows)])
    if isinstance(e, sympy.HadamardProduct):
        return table(args[0].rows, args[0].cols, lambda i, j: mpmath.fprod(a[i, j] for a in args))
    if isinstance(e, sympy.HadamardPower):
        return args[0].apply(lambda a: a ** int(args[1]))
    if isinstance(e, sympy.Pow | sympy.MatPow):
        return args[0] ** (int(args[1]) if e.exp.is_Integer else args[1])
    if isinstance(e, sympy.Add | sympy.MatAdd | sympy.Mul | sympy.MatMul):
        total = args[0]
        for a in args[1:]:
            total = total + a if isinstance(e, sympy.Add | sympy.MatAdd) else total * a
        return total
    if e.is_Relational and 0 < abs(args[0] - args[1]) < mpmath.mpf(10) ** (5 - DIGITS):
        raise UndecidedError
    return FUNCTIONS[e.func](*args)
