"""Sweeps in compiled code: a kernel called for each chunk of the rows, on the threads of `gradc.runtime.pool`."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_constant
from numba.extending import intrinsic, models, overload, register_model, typeof_impl

from gradc.emit.arrays import in_chunks
from gradc.runtime import pool

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
def _call(typing: Any, kernel: Any, chunk: Any, first: Any, last: Any, args: Any) -> Any:
    """`kernel(chunk, first, last, *args)`, raising what it raises."""
    called, compiled = _compiled(typing, kernel, args)

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        arguments = [*values[1:4], *(builder.extract_value(values[4], k) for k in range(len(args.types)))]
        context.add_linking_libs([compiled.library])
        context.call_internal(builder, compiled.fndesc, called, arguments)
        return context.get_dummy_value()

    return types.void(kernel, *CHUNK, args), codegen


@intrinsic
def _hand_out(typing: Any, kernel: Any, rows: Any, chunks: Any, reach: Any, args: Any, done: Any) -> Any:
    """Calls the kernel for every chunk, on threads; marks in `done` those that came through."""
    called, compiled = _compiled(typing, kernel, args)

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        context.add_linking_libs([compiled.library])
        done_array = context.make_array(done)(context, builder, values[5])
        members = [values[1], values[2], values[3], done_array.data]
        members += [builder.extract_value(values[4], k) for k in range(len(args.types))]
        data = cgutils.alloca_once_value(builder, cgutils.make_anonymous_struct(builder, members))
        job = _trampoline(context, builder.module, compiled, called, data.type)
        byte = ir.IntType(8).as_pointer()
        runner = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [byte, byte, ir.IntType(64)]), pool.SYMBOL
        )
        builder.call(runner, [builder.bitcast(job, byte), builder.bitcast(data, byte), values[2]])
        return context.get_dummy_value()

    return types.void(kernel, *CHUNK, args, done), codegen


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
    first = builder.sdiv(builder.mul(rows, chunk), chunks)
    last = builder.sub(builder.sdiv(builder.mul(rows, builder.add(chunk, i64(1))), chunks), reach)
    arguments = [chunk, first, last, *(builder.extract_value(data, k) for k in range(4, len(called.args) + 1))]
    function = context.declare_function(module, compiled.fndesc)
    status, _ = context.call_conv.call_function(builder, function, called.return_type, called.args, arguments)
    with builder.if_then(status.is_ok):
        builder.store(ir.IntType(8)(1), builder.gep(done, [chunk]))
    builder.ret_void()
    return job


@overload(in_chunks)
def _in_chunks(kernel, rows, chunks, reach, args):  # type: ignore[no-untyped-def]
    def run(kernel, rows, chunks, reach, args):  # type: ignore[no-untyped-def]
        done = np.zeros(chunks, np.uint8)
        if chunks > 1:
            _hand_out(kernel, rows, chunks, reach, args, done)
        for chunk in range(chunks):
            if not done[chunk]:
                _call(kernel, chunk, rows * chunk // chunks, rows * (chunk + 1) // chunks - reach, args)
        for chunk in range(chunks if reach > 0 else 0):
            first, last = rows * chunk // chunks, rows * (chunk + 1) // chunks
            _call(kernel, chunk, max(first, last - reach), last, args)

    return run


OWN = {"in_chunks": in_chunks}
"""What generated modules call, in the form that Numba compiles the function above for."""
