"""What is looked at at all: parts as SymPy's constructors make them. `Basic.__new__` and subclasses make anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sympy
from sympy.core.function import FunctionClass
from sympy.matrices import expressions as m
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.matrices.expressions.slice import MatrixSlice
from sympy.matrices.expressions.special import GenericIdentity, GenericZeroMatrix

Part = Any
"""Any object of SymPy."""
Form = Callable[[Sequence[Part]], bool]


def is_known(e: object) -> bool:
    """Whether it is of one of SymPy's own classes, or a symbol."""
    return isinstance(e, sympy.Symbol) or (isinstance(e, sympy.Basic) and _is_own(type(e)))


def is_well_formed(e: Part) -> bool:
    """Whether it has such arguments as its class asks for."""
    kind = type(e)
    form = next((FORMS[k] for k in kind.__mro__ if k in FORMS), None)
    if form is not None:
        return form(e.args)
    return not isinstance(kind, FunctionClass) or _takes(kind, len(e.args))


def _is_own(kind: type) -> bool:
    return str(kind.__module__).partition(".")[0] in ("sympy", "None")


def _takes(kind: FunctionClass, count: int) -> bool:
    return kind.nargs is None or bool(kind.nargs.contains(count))


def _numbers(least: int, most: int | None = None) -> Form:
    return lambda args: least <= len(args) <= (most or len(args)) and not any(_is_python(a) for a in args)


def _matrices(least: int, most: int | None = None) -> Form:
    return lambda args: least <= len(args) <= (most or len(args)) and all(_is_matrix(a) for a in args)


def _with_limits(args: Sequence[Part]) -> bool:
    limits = args[1:]
    return len(limits) > 0 and all(
        isinstance(limit, sympy.Tuple) and len(limit) > 0 and isinstance(limit[0], sympy.Symbol | sympy.Idx)
        for limit in limits
    )


def _is_function(e: Part, arguments: int) -> bool:
    return isinstance(e, sympy.Lambda) and len(e.variables) == len(e.signature) == arguments


def _is_matrix(e: Part) -> bool:
    return bool(getattr(e, "is_Matrix", False))


def _is_python(e: Part) -> bool:
    return not isinstance(e, sympy.Basic | sympy.MatrixBase)


def _never(args: Sequence[Part]) -> bool:
    return False


FORMS: dict[type, Form] = {
    sympy.Add: _numbers(1),
    sympy.Mul: _numbers(1),
    sympy.Pow: _numbers(2, 2),
    sympy.log: _numbers(1, 1),
    sympy.And: _numbers(1),
    sympy.Or: _numbers(1),
    sympy.Xor: _numbers(1),
    sympy.ITE: _numbers(3, 3),
    sympy.Max: _numbers(1),
    sympy.Min: _numbers(1),
    sympy.core.relational.Relational: _numbers(2, 2),
    sympy.Piecewise: lambda args: all(isinstance(a, sympy.functions.elementary.piecewise.ExprCondPair) for a in args),
    sympy.KroneckerDelta: lambda args: (
        len(args) in (2, 3) and all(isinstance(a, sympy.Tuple) and len(a) == 2 for a in args[2:])
    ),
    sympy.Sum: _with_limits,
    sympy.Product: _with_limits,
    sympy.Indexed: lambda args: len(args) > 1 and isinstance(args[0], sympy.IndexedBase),
    MatrixElement: lambda args: len(args) == 3 and _is_matrix(args[0]),
    m.MatAdd: _matrices(1),
    m.MatMul: lambda args: any(_is_matrix(a) for a in args),
    m.MatPow: lambda args: len(args) == 2 and _is_matrix(args[0]) and not _is_matrix(args[1]),
    m.HadamardProduct: _matrices(1),
    m.HadamardPower: _numbers(2, 2),
    m.KroneckerProduct: _matrices(1),
    **{k: _matrices(1, 1) for k in (m.Transpose, m.Adjoint, m.Trace, m.Determinant)},
    **{k: _matrices(1, 1) for k in (m.DiagMatrix, m.DiagonalMatrix, m.DiagonalOf)},
    m.DotProduct: _matrices(2, 2),
    m.BlockDiagMatrix: _matrices(1),
    m.BlockMatrix: lambda args: (
        len(args) == 1 and isinstance(args[0], sympy.MatrixBase) and all(_is_matrix(a) for a in args[0].flat())
    ),
    m.FunctionMatrix: lambda args: len(args) == 3 and _is_function(args[2], 2),
    ElementwiseApplyFunction: lambda args: len(args) == 2 and _is_function(args[0], 1) and _is_matrix(args[1]),
    MatrixSlice: lambda args: (
        len(args) == 3 and _is_matrix(args[0]) and all(isinstance(a, sympy.Tuple) and len(a) == 3 for a in args[1:])
    ),
    GenericIdentity: _never,
    GenericZeroMatrix: _never,
}
