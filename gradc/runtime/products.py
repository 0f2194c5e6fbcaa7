"""Products of matrices and vectors in compiled code: in place, through BLAS where that pays.

Numba's own products allocate what they return, and are compiled for every layout; these write, or add, to arrays that
are there, which they take by their addresses and strides.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from gradc.runtime import blas, matrices, storage, streams

SMALL = 4096
"""Products of fewer multiplications are done in loops: they are over before BLAS has looked at its arguments."""
NOT_TRANSPOSED, TRANSPOSED = ord("N"), ord("T")

for _name, _address in blas.symbols().items():
    binding.add_symbol(_name, _address)

jit = numba.njit(
    fastmath={"reassoc", "contract"}, error_model="numpy", nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True
)


@intrinsic
def _gemm(typing, flip_a, flip_b, m, n, k, a, lead_a, b, lead_b, beta, c, lead_c):  # type: ignore[no-untyped-def]
    """C = op(A) op(B) + beta C, column by column as BLAS has it; all matrices are pointers to numbers of one type."""
    number = a.dtype
    signature = types.void(*(types.int64,) * 5, *(a, types.int64) * 2, number, a, types.int64)

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        real, byte, i32 = context.get_value_type(number), ir.IntType(8), ir.IntType(32)
        given = []
        for k, (kind, value) in enumerate(zip(signature.args, values, strict=True)):
            if kind == types.int64:
                value = builder.trunc(value, byte if k < 2 else i32)
            pointer = isinstance(kind, types.CPointer)
            given.append(value if pointer else cgutils.alloca_once_value(builder, value))
        given.insert(5, cgutils.alloca_once_value(builder, real(1.0)))
        function = ir.FunctionType(ir.VoidType(), [v.type for v in given])
        name = "gradc_dgemm" if number == types.float64 else "gradc_sgemm"
        builder.call(cgutils.get_or_insert_function(builder.module, function, name), given)
        return context.get_dummy_value()

    return signature, codegen


def declare(bits: int) -> None:
    """Tells LLVM where the function of `gradc.runtime.matrices` is: what Numba has in its cache calls it too."""
    binding.add_symbol(matrices.SYMBOLS[bits], matrices.address(bits))


@intrinsic
def _own(typing, a, a0, a1, b, b0, b1, c, c0, m, n, k, add):  # type: ignore[no-untyped-def]
    """What `gradc.runtime.matrices` does for such a product, if it does."""
    bits = c.dtype.bitwidth

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        declare(bits)
        *given, adds = values
        given.append(builder.trunc(adds, ir.IntType(1)) if adds.type != ir.IntType(1) else adds)
        function = ir.FunctionType(ir.IntType(1), [v.type for v in given])
        return builder.call(cgutils.get_or_insert_function(builder.module, function, matrices.SYMBOLS[bits]), given)

    i64 = types.int64
    return types.boolean(*(a, i64, i64) * 2, c, i64, i64, i64, i64, types.boolean), codegen


@jit
def _layout(rows_apart, columns_apart, rows, columns):  # type: ignore[no-untyped-def]
    """Whether a matrix is stored by rows or by columns, and how far these are apart.

    NumPy gives an axis of length 1 any stride: it decides nothing.
    """
    if columns == 1 or (rows > 1 and columns_apart == 1):
        return NOT_TRANSPOSED, max(rows_apart, 1)
    return TRANSPOSED, max(columns_apart, 1)


@jit
def _matrices(a, a0, a1, b, b0, b1, c, c0, m, n, k, add):  # type: ignore[no-untyped-def]
    """C = A B + add C, add 0 or 1; the strides 0 and 1 of A and B are in elements, C's rows lie together."""
    zero = add - add
    if m * n * k < SMALL:
        for i in range(m):
            for j in range(n):
                total = c[i * c0 + j] if add else zero
                for p in range(k):
                    total += a[i * a0 + p * a1] * b[p * b0 + j * b1]
                c[i * c0 + j] = total
        return
    if _own(a, a0, a1, b, b0, b1, c, c0, m, n, k, add != zero):
        return
    # rows for BLAS's columns: the transposed product of the transposed factors
    flip_a, lead_a = _layout(a0, a1, m, k)
    flip_b, lead_b = _layout(b0, b1, k, n)
    _gemm(flip_b, flip_a, n, m, k, b, lead_b, a, lead_a, add, c, c0)


@jit
def _add(a, out, out0, m, n):  # type: ignore[no-untyped-def]
    """Adds a matrix, or a vector as one of one row, whose elements lie together."""
    for i in range(m):
        for j in range(n):
            out[i * out0 + j] += a[i * n + j]


def _product(name: str, add: bool) -> Any:
    """`name(a, b, out)` for code that Numba compiles.

    What is added to float64, of float32 factors, is computed apart in float32.
    """

    def typed(typing, a, b, out):  # type: ignore[no-untyped-def]
        number, apart = a.dtype, add and a.dtype != out.dtype
        pointer, length = types.CPointer(number), types.int64
        both = a.ndim == b.ndim == 2
        called: Any = None
        if both:
            kinds = (*(pointer, length, length) * 2, pointer, *(length,) * 4, number)
            called = types.Dispatcher(_matrices).get_call_type(typing, kinds, {})
        adds = (pointer, types.CPointer(out.dtype), length, length, length)
        added = types.Dispatcher(_add).get_call_type(typing, adds, {}) if apart else None

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            x, y, z = (context.make_array(t)(context, builder, v) for t, v in zip((a, b, out), values, strict=True))
            (x_shape, x_strides), (y_shape, y_strides) = (_sizes(builder, s) for s in (x, y))
            total = z
            if apart:
                z = storage.new(context, builder, types.Array(number, out.ndim, "C"), _sizes(builder, total)[0])
            adds = add and not apart
            if both:
                m, k = x_shape
                given = [x.data, *x_strides, y.data, *y_strides, z.data, _sizes(builder, z)[1][0], m, y_shape[1], k]
                compiled = _matrices.overloads[called.args]
                context.add_linking_libs([compiled.library])
                start = context.get_constant(number, float(adds))
                context.call_internal(builder, compiled.fndesc, called, [*given, start])
            else:
                real = context.get_value_type(number)
                if a.ndim == 2:
                    function = streams.matrix_vector(builder.module, real)
                    given = [x.data, x_strides[0], y.data, z.data, *x_shape]
                else:
                    function = streams.vector_matrix(builder.module, real)
                    given = [x.data, y.data, y_strides[0], z.data, *y_shape]
                builder.call(function, [*given, ir.IntType(1)(adds)])
            if added is not None:
                shape, strides = _sizes(builder, total)
                rows = shape[0] if out.ndim == 2 else context.get_constant(length, 1)
                adding = _add.overloads[added.args]
                context.add_linking_libs([adding.library])
                context.call_internal(builder, adding.fndesc, added, [z.data, total.data, strides[0], rows, shape[-1]])
                context.nrt.decref(builder, types.Array(number, out.ndim, "C"), z._getvalue())
            return context.get_dummy_value()

        return types.void(a, b, out), codegen

    typed.__name__ = typed.__qualname__ = f"gradc_{name}"
    return intrinsic(typed)


def _sizes(builder: Any, array: Any) -> tuple[list[Any], list[Any]]:
    """The shape and the strides, these in elements."""
    strides = cgutils.unpack_tuple(builder, array.strides)
    return cgutils.unpack_tuple(builder, array.shape), [builder.sdiv(s, array.itemsize) for s in strides]


OWN = {"multiply": _product("multiply", False), "multiply_add": _product("multiply_add", True)}
"""By the names that generated modules use."""
