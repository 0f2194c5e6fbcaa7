"""Sweeps in compiled code: a kernel called for each chunk of the rows, on the threads of `gradc.runtime.pool`."""

from __future__ import annotations

from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_constant
from numba.extending import intrinsic, models, register_model, typeof_impl

from gradc.runtime import pool
from gradc.runtime.job import MOST

for _name, _address in pool.symbols().items():
    binding.add_symbol(_name, _address)


class Kernel:
    """A function that a sweep calls, as compiled code gets it: by what it is, not by where it lies in memory."""

    def __init__(self, dispatcher: Any) -> None:
        self.dispatcher = dispatcher


class KernelType(types.Opaque):  # type: ignore[misc]
    def __init__(self, dispatcher: Any) -> None:
        self.dispatcher = dispatcher
        super().__init__(f"Kernel({dispatcher.py_func.__module__}.{dispatcher.py_func.__name__})")

    @property
    def key(self) -> Any:
        return self.dispatcher


register_model(KernelType)(models.OpaqueModel)


@typeof_impl.register(Kernel)
def _type_of(kernel: Kernel, _: Any) -> KernelType:
    return KernelType(kernel.dispatcher)


@lower_constant(KernelType)
def _nothing(context: Any, builder: Any, kernel: Any, value: Any) -> Any:
    return context.get_dummy_value()


CHUNK = (types.int64, types.int64, types.int64)


def _compiled(typing: Any, kernel: KernelType, args: Any) -> tuple[Any, Any]:
    """The signature of the kernel for these arguments, and what is compiled for it."""
    called = types.Dispatcher(kernel.dispatcher).get_call_type(typing, (*CHUNK, *args.types), {})
    return called, kernel.dispatcher.overloads[called.args]


@intrinsic
def _in_chunks(typing, kernel, rows, chunks, reach, args):  # type: ignore[no-untyped-def]
    """The kernel for all chunks, on threads if there are several; then for the rows that reach into the next chunk.

    A chunk that no thread has brought to an end is run here, where it can raise what it raises.
    """
    called, compiled = _compiled(typing, kernel, args)
    i64 = types.int64

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, rows, chunks, reach, packed = values
        context.add_linking_libs([compiled.library])
        given = [builder.extract_value(packed, k) for k in range(len(args.types))]
        one, zero = context.get_constant(i64, 1), context.get_constant(i64, 0)
        done = cgutils.alloca_once(builder, ir.IntType(8), MOST)
        cgutils.memset(builder, done, ir.IntType(64)(MOST), 0)

        def run(chunk: Any, first: Any, last: Any) -> None:
            context.call_internal(builder, compiled.fndesc, called, [chunk, first, last, *given])

        with builder.if_then(builder.icmp_signed(">", chunks, one)):
            data = cgutils.make_anonymous_struct(builder, [rows, chunks, reach, done, *given])
            _hand_out(context, builder, compiled, called, data, chunks)
        with cgutils.for_range(builder, chunks) as loop, builder.if_then(_is_zero(builder, done, loop.index)):
            first, last = _bounds(builder, rows, chunks, loop.index)
            run(loop.index, first, builder.sub(last, reach))
        again = builder.select(builder.icmp_signed(">", reach, zero), chunks, zero)
        with cgutils.for_range(builder, again) as loop:
            first, last = _bounds(builder, rows, chunks, loop.index)
            start = builder.sub(last, reach)
            run(loop.index, builder.select(builder.icmp_signed(">", first, start), first, start), last)
        return context.get_dummy_value()

    return types.void(kernel, i64, i64, i64, args), codegen


def _is_zero(builder: Any, array: Any, index: Any) -> Any:
    return builder.icmp_unsigned("==", builder.load(builder.gep(array, [index])), ir.IntType(8)(0))


def _bounds(builder: Any, rows: Any, chunks: Any, chunk: Any) -> tuple[Any, Any]:
    """The first row of a chunk, and the one behind its last."""
    after = builder.add(chunk, ir.IntType(64)(1))
    first, last = (builder.sdiv(builder.mul(rows, k), chunks) for k in (chunk, after))
    return first, last


def _hand_out(context: Any, builder: Any, compiled: Any, called: Any, data: Any, chunks: Any) -> None:
    """Asks the pool to run all chunks; they mark those that came through."""
    place = cgutils.alloca_once_value(builder, data)
    job = _trampoline(context, builder.module, compiled, called, place.type)
    byte = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte, byte, ir.IntType(64)])
    runner = cgutils.get_or_insert_function(builder.module, kind, pool.SYMBOL)
    builder.call(runner, [builder.bitcast(job, byte), builder.bitcast(place, byte), chunks])


def _trampoline(context: Any, module: Any, compiled: Any, called: Any, pointer: Any) -> Any:
    """`void job(void *data, int64 chunk)`: one chunk, its arguments out of the struct."""
    byte, i64 = ir.IntType(8).as_pointer(), ir.IntType(64)
    name = module.get_unique_name(f"{compiled.fndesc.mangled_name}.chunk")
    job = ir.Function(module, ir.FunctionType(ir.VoidType(), [byte, i64]), name)
    job.linkage = "internal"
    builder = ir.IRBuilder(job.append_basic_block())
    chunk = job.args[1]
    data = builder.load(builder.bitcast(job.args[0], pointer))
    rows, chunks, reach, done = (builder.extract_value(data, k) for k in range(4))
    first, last = _bounds(builder, rows, chunks, chunk)
    last = builder.sub(last, reach)
    arguments = [chunk, first, last, *(builder.extract_value(data, k) for k in range(4, len(called.args) + 1))]
    function = context.declare_function(module, compiled.fndesc)
    status, _ = context.call_conv.call_function(builder, function, called.return_type, called.args, arguments)
    with builder.if_then(status.is_ok):
        builder.store(ir.IntType(8)(1), builder.gep(done, [chunk]))
    builder.ret_void()
    return job


OWN = {"in_chunks": _in_chunks}
"""By the names that generated modules use."""
