"""Products of matrices and vectors in compiled code: in place, through BLAS where that pays.

Numba's own products allocate what they return; these write, or add, to arrays that are there.
"""

from __future__ import annotations

from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from gradc.emit.arrays import multiply, multiply_add
from gradc.runtime import blas

SMALL = 4096
"""Products of fewer multiplications are done in loops: they are over before BLAS has looked at its arguments."""

for _name, _address in blas.symbols().items():
    binding.add_symbol(_name, _address)


@intrinsic
def _gemm(typing, kind, ta, tb, m, n, k, a, lda, b, ldb, beta, c, ldc):  # type: ignore[no-untyped-def]
    """C = op(A) op(B) + beta C, column by column as BLAS has it. Transpositions are 'N' or 'T' as numbers."""
    number = kind
    signature = types.void(
        number, *(types.int64,) * 5, *(types.uintp, types.int64) * 2, number, types.uintp, types.int64
    )

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        real = context.get_value_type(number)
        byte, i32 = ir.IntType(8), ir.IntType(32)

        def reference(value: Any) -> Any:
            return cgutils.alloca_once_value(builder, value)

        def small(value: Any, width: Any) -> Any:
            return reference(builder.trunc(value, width))

        def pointer(value: Any) -> Any:
            return builder.inttoptr(value, real.as_pointer())

        _, ta, tb, m, n, k, a, lda, b, ldb, beta, c, ldc = values
        given = [
            small(ta, byte), small(tb, byte), small(m, i32), small(n, i32), small(k, i32), reference(real(1.0)),
            pointer(a), small(lda, i32), pointer(b), small(ldb, i32), reference(beta), pointer(c), small(ldc, i32),
        ]  # fmt: skip
        name = "gradc_dgemm" if number == types.float64 else "gradc_sgemm"
        kind = ir.FunctionType(ir.VoidType(), [v.type for v in given])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, name), given)
        return context.get_dummy_value()

    return signature, codegen


FLAGS = {"fastmath": {"reassoc", "contract"}, "error_model": "numpy"}


@overload(multiply, jit_options=FLAGS)
def _multiply(a, b, out):  # type: ignore[no-untyped-def]
    def run(a, b, out):  # type: ignore[no-untyped-def]
        _product(a, b, out, 0)

    return run


@overload(multiply_add, jit_options=FLAGS)
def _multiply_add(a, b, out):  # type: ignore[no-untyped-def]
    def run(a, b, out):  # type: ignore[no-untyped-def]
        _product(a, b, out, 1)

    return run


def _product(a: Any, b: Any, out: Any, add: int) -> None:
    """out = a @ b, or out += a @ b. Compiled code only."""
    raise NotImplementedError


@overload(_product, jit_options=FLAGS)
def _choose(a, b, out, add):  # type: ignore[no-untyped-def]
    if a.ndim == 2 and b.ndim == 2:
        return _matrix_matrix
    if a.ndim == 2:
        return _by_columns_of_transposed if a.layout == "F" else _matrix_vector
    return _vector_transposed if b.layout == "F" else _vector_matrix


def _matrix_matrix(a, b, out, add):  # type: ignore[no-untyped-def]
    m, n = out.shape
    k = a.shape[1]
    if m * n * k < SMALL:
        for i in range(m):
            for j in range(n):
                total = out[i, j] if add else out.dtype.type(0)
                for p in range(k):
                    total += a[i, p] * b[p, j]
                out[i, j] = total
        return
    size = out.itemsize
    a_flips, b_flips = a.strides[1] != size, b.strides[1] != size
    a_lead = (a.strides[1] if a_flips else a.strides[0]) // size
    b_lead = (b.strides[1] if b_flips else b.strides[0]) // size
    # rows for BLAS's columns: the transposed product of the transposed factors
    _gemm(
        out.dtype.type(0), 84 if b_flips else 78, 84 if a_flips else 78, n, m, k, b.ctypes.data, max(b_lead, 1),
        a.ctypes.data, max(a_lead, 1), out.dtype.type(add), out.ctypes.data, out.strides[0] // size,
    )  # fmt: skip


def _matrix_vector(a, b, out, add):  # type: ignore[no-untyped-def]
    for i in range(a.shape[0]):
        total = out.dtype.type(0)
        for j in range(a.shape[1]):
            total += a[i, j] * b[j]
        out[i] = out[i] + total if add else total


def _vector_matrix(a, b, out, add):  # type: ignore[no-untyped-def]
    """Four rows at a time: each element of the result is loaded and stored once for the four."""
    rows, columns = b.shape
    if not add:
        for j in range(columns):
            out[j] = 0
    whole = rows - rows % 4
    for i in range(0, whole, 4):
        p, q, r, s = a[i], a[i + 1], a[i + 2], a[i + 3]
        for j in range(columns):
            out[j] += p * b[i, j] + q * b[i + 1, j] + r * b[i + 2, j] + s * b[i + 3, j]
    for i in range(whole, rows):
        for j in range(columns):
            out[j] += a[i] * b[i, j]


def _by_columns_of_transposed(a, b, out, add):  # type: ignore[no-untyped-def]
    _product(b, a.T, out, add)


def _vector_transposed(a, b, out, add):  # type: ignore[no-untyped-def]
    _product(b.T, a, out, add)


OWN = {"multiply": multiply, "multiply_add": multiply_add}
"""What generated modules call, in the form that Numba compiles the functions above for."""
