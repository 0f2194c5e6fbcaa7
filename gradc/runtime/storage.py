"""`empty` and `zeros` in compiled code, without the functions that Numba compiles anew for every shape of theirs."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from gradc.runtime import reuse
from gradc.runtime.native import BYTES

LARGE = 1 << 22
"""Arrays from so many bytes on are asked to be in huge pages."""
ALIGNMENT = 64
"""Bytes: a vector never lies in two lines of a cache, where an array's rows are whole lines."""


def new(context: Any, builder: Any, array: Any, lengths: Sequence[Any]) -> Any:
    """A new array of this type, its elements one behind the other; a ValueError if there are too many to count."""
    made = make_array(array)(context, builder)
    size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(array.dtype)))
    strides = [size]
    for length in reversed(lengths):
        product = builder.smul_with_overflow(strides[0], length)
        with builder.if_then(builder.extract_value(product, 1), likely=False):
            context.call_conv.return_user_exc(builder, ValueError, ("an array is too large",))
        strides.insert(0, builder.extract_value(product, 0))
    bytes_, *strides = strides
    memory = builder.call(reuse.memory(builder.module, ALIGNMENT), [bytes_])
    cgutils.guard_memory_error(context, builder, memory, msg="an array is too large")
    data = builder.bitcast(context.nrt.meminfo_data(builder, memory), made.data.type)
    shape, apart = (cgutils.pack_array(builder, v, ty=context.get_value_type(types.intp)) for v in (lengths, strides))
    populate_array(made, data=data, shape=shape, strides=apart, itemsize=size, meminfo=memory)
    return made


def _made(name: str, zeroed: bool) -> Any:
    def typed(typing, shape, dtype=None):  # type: ignore[no-untyped-def]
        lengths = shape.types if isinstance(shape, types.BaseTuple) else (shape,)
        number = types.float64 if dtype is None or isinstance(dtype, types.Omitted) else dtype.dtype
        array = types.Array(number, len(lengths), "C")

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            given = cgutils.unpack_tuple(builder, values[0]) if isinstance(shape, types.BaseTuple) else [values[0]]
            sizes = [context.cast(builder, v, t, types.intp) for v, t in zip(given, lengths, strict=True)]
            made = new(context, builder, array, sizes)
            if hasattr(mmap, "MADV_HUGEPAGE"):
                _in_huge_pages(builder, made.data, builder.mul(made.itemsize, made.nitems))
            made.data = _apart(builder, made.data)
            if zeroed:
                cgutils.memset(builder, made.data, builder.mul(made.itemsize, made.nitems), 0)
            return made._getvalue()

        return array(shape, types.none if dtype is None else dtype), codegen

    typed.__name__ = typed.__qualname__ = f"gradc_{name}"
    return intrinsic(typed)


def _in_huge_pages(builder: Any, data: Any, size: Any) -> None:
    """Asks for huge pages where an array is large, as NumPy does: memory that is new comes in far fewer faults."""
    word = ir.IntType(64)
    with builder.if_then(builder.icmp_unsigned(">=", size, word(LARGE))):
        start = builder.ptrtoint(data, word)
        whole = builder.and_(builder.add(start, word(mmap.PAGESIZE - 1)), word(-mmap.PAGESIZE))
        kind = ir.FunctionType(ir.IntType(32), [word, word, ir.IntType(32)])
        madvise = cgutils.get_or_insert_function(builder.module, kind, "madvise")
        builder.call(madvise, [whole, builder.sub(builder.add(start, size), whole), ir.IntType(32)(mmap.MADV_HUGEPAGE)])


def _apart(builder: Any, data: Any) -> Any:
    """The address of a new array, so that LLVM knows it to overlap with no other one.

    It does not see that from how Numba allocates, and would have loops ask; where a subscript is read from an array it
    cannot ask, and leaves them as they are. What a function returns `noalias` it believes, if it cannot look inside.
    """
    module, kind = builder.module, data.type
    function = module.globals.get("gradc_apart")
    if function is None:
        function = ir.Function(module, ir.FunctionType(BYTES, [BYTES]), "gradc_apart")
        function.linkage = "internal"
        function.attributes.add("noinline")
        function.attributes.add("optnone")
        function.return_value.add_attribute("noalias")
        ir.IRBuilder(function.append_basic_block()).ret(function.args[0])
    found = builder.call(function, [builder.bitcast(data, BYTES)])
    # whoever frees the array has its address too: to an instruction that might be anything it is told
    builder.asm(ir.FunctionType(ir.VoidType(), [BYTES]), "", "r,~{memory}", [found], True)
    return builder.bitcast(found, kind)


OWN = {"empty": _made("empty", False), "zeros": _made("zeros", True)}
"""By the names that generated modules use."""
