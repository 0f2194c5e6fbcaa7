"""Linear algebra in compiled code, through LAPACK.

Matrices of generated code are stored by rows, LAPACK's by columns: what it is given is the transposed matrix. Functions
take addresses and strides in elements; a vector is a matrix of one column.
"""

from __future__ import annotations

from math import nan
from typing import Any

import numba
from llvmlite import binding, ir
from numba import int32, int64, types
from numba.core import cgutils
from numba.extending import intrinsic

from gradc.runtime import blas, storage

LOWER, UPPER, LEFT, NOT_UNIT = ord("L"), ord("U"), ord("L"), ord("N")
NOT_TRANSPOSED, TRANSPOSED = ord("N"), ord("T")

for _name, _address in blas.symbols().items():
    binding.add_symbol(_name, _address)

jit = numba.njit(
    fastmath={"reassoc", "contract"}, error_model="numpy", nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True
)


def _fortran(name: str, characters: int, status: bool) -> Any:
    """A call of a function of LAPACK or BLAS, its arguments in a tuple, the characters first. Returns its status."""

    def typed(typing, args):  # type: ignore[no-untyped-def]
        numbers = (t.dtype for t in args.types if isinstance(t, types.CPointer | types.Array))
        symbol = f"gradc_{'d' if types.float64 in numbers else 's'}{name}"

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            byte, i32 = ir.IntType(8), ir.IntType(32)
            given = []
            for k, kind in enumerate(args.types):
                value = builder.extract_value(values[0], k)
                if isinstance(kind, types.Array):
                    value = context.make_array(kind)(context, builder, value).data
                elif not isinstance(kind, types.CPointer):
                    whole = kind == types.int64
                    value = builder.trunc(value, byte if k < characters else i32) if whole else value
                    value = cgutils.alloca_once_value(builder, value)
                given.append(value)
            result = cgutils.alloca_once_value(builder, i32(0))
            given += [result] if status else []
            called = ir.FunctionType(ir.VoidType(), [v.type for v in given])
            builder.call(cgutils.get_or_insert_function(builder.module, called, symbol), given)
            return builder.sext(builder.load(result), ir.IntType(64))

        return types.int64(args), codegen

    typed.__name__ = typed.__qualname__ = f"gradc_{name}"
    return intrinsic(typed)


_getrf = _fortran("getrf", 0, True)
_getrs = _fortran("getrs", 1, True)
_potrf = _fortran("potrf", 1, True)
_trsm = _fortran("trsm", 4, False)


@intrinsic
def _new(typing, like, length):  # type: ignore[no-untyped-def]
    """An array of as many numbers of the type that a pointer points to, or that a type is of."""
    number = like.dtype
    array = types.Array(number, 1, "C")

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return storage.new(context, builder, array, [values[1]])._getvalue()

    return array(like, types.int64), codegen


@jit
def _copy(a, a0, a1, b, b0, b1, m, n):  # type: ignore[no-untyped-def]
    """b = a, matrices of m rows and n columns."""
    for i in range(m):
        for j in range(n):
            b[i * b0 + j * b1] = a[i * a0 + j * a1]


@jit
def _lu(a, a0, a1, n, n_, f, f0, f1, longer, n__):  # type: ignore[no-untyped-def]
    """The factors of a.T as LAPACK has them, and with which row it has exchanged each."""
    if n > 0:
        pivots = _new(int32, n)
        _copy(a, a0, a1, f, f0, 1, n, n)
        _getrf((n, n, f, f0, pivots))
        for k in range(n):
            f[n * f0 + k] = pivots[k] - 1


@jit
def _lu_solution(flip, f, f0, n, b, b0, b1, m, out, out0, out1):  # type: ignore[no-untyped-def]
    if n > 0 and m > 0:
        pivots, x = _new(int32, n), _new(f, n * m)
        for k in range(n):
            pivots[k] = int(f[n * f0 + k]) + 1
        _copy(b, b0, b1, x, 1, n, n, m)
        _getrs((flip, n, m, f, f0, pivots, x, n))
        _copy(x, 1, n, out, out0, out1, n, m)


@jit
def _lu_solve(f, f0, f1, longer, n, b, b0, b1, n_, m, out, out0, out1, n__, m_):  # type: ignore[no-untyped-def]
    _lu_solution(TRANSPOSED, f, f0, n, b, b0, b1, m, out, out0, out1)


@jit
def _lu_solve_transposed(f, f0, f1, longer, n, b, b0, b1, n_, m, out, out0, out1, n__, m_):  # type: ignore[no-untyped-def]
    _lu_solution(NOT_TRANSPOSED, f, f0, n, b, b0, b1, m, out, out0, out1)


@jit
def _triangular(triangle, a, a0, a1, n, b, b0, b1, m, out, out0, out1):  # type: ignore[no-untyped-def]
    if n > 0 and m > 0:
        whole, x, one = _new(a, n * n), _new(a, n * m), _new(a, 1)
        one[0] = 1
        _copy(a, a0, a1, whole, 1, n, n, n)
        _copy(b, b0, b1, x, 1, n, n, m)
        _trsm((LEFT, triangle, NOT_TRANSPOSED, NOT_UNIT, n, m, one, whole, n, x, n))
        _copy(x, 1, n, out, out0, out1, n, m)


@jit
def _solve_lower(a, a0, a1, n, n_, b, b0, b1, n__, m, out, out0, out1, n___, m_):  # type: ignore[no-untyped-def]
    _triangular(LOWER, a, a0, a1, n, b, b0, b1, m, out, out0, out1)


@jit
def _solve_upper(a, a0, a1, n, n_, b, b0, b1, n__, m, out, out0, out1, n___, m_):  # type: ignore[no-untyped-def]
    _triangular(UPPER, a, a0, a1, n, b, b0, b1, m, out, out0, out1)


@jit
def _cholesky(a, a0, a1, n, n_, out, out0, out1, n__, n___):  # type: ignore[no-untyped-def]
    if n > 0:
        factor = _new(a, n * n)
        _copy(a, a0, a1, factor, 1, n, n, n)
        fails = _potrf((LOWER, n, factor, n)) != 0
        for k in range(n):
            fails = fails or not factor[k * n + k] > 0
        for i in range(n):
            for j in range(n):
                out[i * out0 + j * out1] = nan if fails else factor[i + j * n] if j <= i else 0.0


@jit
def _cofactors(a, a0, a1, n, n_, out, out0, out1, n__, n___):  # type: ignore[no-untyped-def]
    """As in `gradc.emit.algebra`, element by element."""
    u, x, y, rows, columns = _new(a, n * n), _new(a, n), _new(a, n * n), _new(int64, n), _new(int64, n)
    _copy(a, a0, a1, u, n, 1, n, n)
    for k in range(n):
        rows[k] = columns[k] = k
    product, last = 1.0, n - 1
    for k in range(n):
        p, q, largest = k, k, -1.0
        for i in range(k, n):
            for j in range(k, n):
                if not abs(u[i * n + j]) <= largest:
                    p, q, largest = i, j, abs(u[i * n + j])
        if largest == 0 and k < last:
            for i in range(n):
                for j in range(n):
                    out[i * out0 + j * out1] = 0
            return
        if p != k:
            product, rows[k], rows[p] = -product, rows[p], rows[k]
            for j in range(n):
                u[k * n + j], u[p * n + j] = u[p * n + j], u[k * n + j]
        if q != k:
            product, columns[k], columns[q] = -product, columns[q], columns[k]
            for i in range(n):
                u[i * n + k], u[i * n + q] = u[i * n + q], u[i * n + k]
        for i in range(k + 1, n):
            u[i * n + k] /= u[k * n + k]
            for j in range(k + 1, n):
                u[i * n + j] -= u[i * n + k] * u[k * n + j]
        if k < last:
            product *= u[k * n + k]
    determinant = product * u[n * n - 1] if n > 0 and u[n * n - 1] != 0 else 0.0
    for j in range(n):
        for i in range(n):
            y[j * n + i] = 0
        for i in range(min(j, last - 1), -1, -1):
            total = u[i * n + last] if j == last else 1.0 if i == j else 0.0
            for k in range(i + 1, min(j, last - 1) + 1):
                total -= u[i * n + k] * x[k]
            x[i] = total / u[i * n + i]
            y[j * n + i] = (-product if j == last else determinant) * x[i]
        if j == last:
            y[j * n + j] = product
    for k in range(last - 1, -1, -1):
        for i in range(k + 1, n):
            for j in range(n):
                y[k * n + j] -= u[i * n + k] * y[i * n + j]
    for i in range(n):
        for j in range(n):
            out[rows[i] * out0 + columns[j] * out1] = y[i * n + j]


def _algebra(name: str, function: Any, arrays: int) -> Any:
    """`name(a, .., out)` for code that Numba compiles: the function with addresses, strides and lengths."""

    def compiled(typing: Any, *given: Any) -> Any:
        kinds = [k for g in given for k in (types.CPointer(g.dtype), *(types.int64,) * 4)]
        called = types.Dispatcher(function).get_call_type(typing, tuple(kinds), {})

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            flat = []
            for kind, value in zip(given, values, strict=True):
                array = context.make_array(kind)(context, builder, value)
                shape = cgutils.unpack_tuple(builder, array.shape)
                strides = [builder.sdiv(s, array.itemsize) for s in cgutils.unpack_tuple(builder, array.strides)]
                one = context.get_constant(types.int64, 1)
                flat += [array.data, *(*strides, one)[:2], *(*shape, one)[:2]]
            overload = function.overloads[called.args]
            context.add_linking_libs([overload.library])
            context.call_internal(builder, overload.fndesc, called, flat)
            return context.get_dummy_value()

        return types.void(*given), codegen

    def of_two(typing, a, out):  # type: ignore[no-untyped-def]
        return compiled(typing, a, out)

    def of_three(typing, a, b, out):  # type: ignore[no-untyped-def]
        return compiled(typing, a, b, out)

    typed = of_two if arrays == 2 else of_three
    typed.__name__ = typed.__qualname__ = f"gradc_{name}"
    return intrinsic(typed)


OWN = {
    "lu": _algebra("lu", _lu, 2),
    "lu_solve": _algebra("lu_solve", _lu_solve, 3),
    "lu_solve_transposed": _algebra("lu_solve_transposed", _lu_solve_transposed, 3),
    "solve_lower": _algebra("solve_lower", _solve_lower, 3),
    "solve_upper": _algebra("solve_upper", _solve_upper, 3),
    "cholesky": _algebra("cholesky", _cholesky, 2),
    "cofactors": _algebra("cofactors", _cofactors, 2),
}
"""By the names that generated modules use."""
