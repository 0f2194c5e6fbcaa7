"""How a job gets to threads that are awake: machine code of gradc's own, which needs neither locks nor Python.

Waking a thread takes longer than many a sweep. So a worker that is through with a job looks out for the next one for a
moment, and goes to sleep only then.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from gradc.runtime.native import NOTHING, WORD, Function, engine

BYTES = ir.IntType(8).as_pointer()
ORDER = "seq_cst"
TURNS = 1000
"""How often somebody looks before giving up the core: some tens of microseconds."""


class Job(ctypes.Structure):
    """What a leader shares with its workers: chunks of a kernel's data, for so many `places` of helpers.

    While `open` is not 0 it numbers the job, and the other fields stay. `running` are the workers that look at it: the
    leader comes back when it has closed the job and there are none, so `data` may lie on its stack. A worker counts
    itself in before it looks again whether the job is open: one of the two always sees the other.
    """

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("open", "next", "running", "places", "chunks")),
        *((name, ctypes.c_void_p) for name in ("kernel", "data")),
    )


FIELDS = {field[0]: k for k, field in enumerate(Job._fields_)}


@dataclass(frozen=True)
class Handover:
    """`open(job, number)` lets workers in; `lead(job)` takes part and comes back when every chunk has been run.

    `serve(job, seen)` works at any job but `seen`, until there has been none for a while; it returns the number of the
    last. They run without Python's lock.
    """

    open: Callable[[Any, int], None]
    lead: Callable[[Any], None]
    serve: Callable[[Any, int], int]


@functools.cache
def handover() -> Handover:
    """The machine code, made when a process first needs it."""
    code = engine(str(_module()))
    job, word = ctypes.POINTER(Job), ctypes.c_int64

    def function(name: str, result: Any, *arguments: Any) -> Any:
        made = ctypes.CFUNCTYPE(result, *arguments)(code.get_function_address(f"gradc_{name}"))
        made.engine = code  # type: ignore[attr-defined]  # it lives as long as this
        return made

    return Handover(function("open", None, job, word), function("lead", None, job), function("serve", word, job, word))


def _module() -> ir.Module:
    module = ir.Module("gradc_handover")
    _open(module)
    _work(module)
    _lead(module)
    _serve(module)
    return module


class _Code(Function):
    """Writes one function, whose first argument is the job."""

    def __init__(self, module: ir.Module, name: str, result: ir.Type, *more: ir.Type) -> None:
        super().__init__(module, f"gradc_{name}", result, BYTES, *more)
        fields = ir.LiteralStructType([WORD] * len(FIELDS))
        self.job = self.bitcast(self.function.args[0], fields.as_pointer())

    def place(self, field: str) -> ir.Value:
        return self.gep(self.job, [ir.IntType(32)(0), ir.IntType(32)(FIELDS[field])])

    def get(self, field: str) -> ir.Value:
        return self.load_atomic(self.place(field), ORDER, 8)

    def set(self, field: str, value: ir.Value) -> None:
        self.store_atomic(value, self.place(field), ORDER, 8)

    def count(self, field: str, by: int) -> ir.Value:
        """Adds to a field; the value it had."""
        return self.atomic_rmw("add", self.place(field), WORD(by), ORDER)

    def pause(self) -> None:
        """Tells the processor that this is a loop that waits."""
        if platform.machine() in ("x86_64", "AMD64"):
            self._call("llvm.x86.sse2.pause", NOTHING)

    def step_aside(self) -> None:
        """Gives the core to another thread, if one is waiting for it."""
        if hasattr(os, "sched_yield"):
            self._call("sched_yield", ir.IntType(32))

    def _call(self, name: str, result: ir.Type) -> None:
        known = self.module.globals.get(name)
        self.call(known or ir.Function(self.module, ir.FunctionType(result, []), name), [])

    def go_on_if(self, condition: ir.Value, otherwise: ir.Block) -> None:
        """Goes on here or somewhere else."""
        here = self.append_basic_block()
        self.cbranch(condition, here, otherwise)
        self.position_at_end(here)


def _open(module: ir.Module) -> None:
    code = _Code(module, "open", NOTHING, WORD)
    code.set("open", code.function.args[1])
    code.ret_void()


def _work(module: ir.Module) -> None:
    """Runs chunks until there are none left."""
    code = _Code(module, "work", NOTHING)
    loop, done = code.append_basic_block(), code.append_basic_block()
    kernel = code.get("kernel")
    code.branch(loop)
    code.position_at_end(loop)
    chunk = code.count("next", 1)
    code.go_on_if(code.icmp_signed("<", chunk, code.get("chunks")), done)
    kind = ir.FunctionType(NOTHING, [BYTES, WORD]).as_pointer()
    code.call(code.inttoptr(kernel, kind), [code.inttoptr(code.get("data"), BYTES), chunk])
    code.branch(loop)
    code.position_at_end(done)
    code.ret_void()


def _lead(module: ir.Module) -> None:
    code = _Code(module, "lead", NOTHING)
    start, wait, long, done = code.block, *(code.append_basic_block() for _ in range(3))
    code.call(module.get_global("gradc_work"), code.function.args)
    code.set("open", WORD(0))
    code.branch(wait)
    code.position_at_end(wait)
    turn = code.phi(WORD)
    code.go_on_if(code.icmp_signed("!=", code.get("running"), WORD(0)), done)
    after = code.add(turn, WORD(1))
    code.go_on_if(code.icmp_signed("<", turn, WORD(TURNS)), long)
    code.pause()
    code.branch(wait)
    soon = code.block
    code.position_at_end(long)
    code.step_aside()
    code.branch(wait)
    for value, block in ((WORD(0), start), (after, soon), (after, long)):
        turn.add_incoming(value, block)
    code.position_at_end(done)
    code.ret_void()


def _serve(module: ir.Module) -> None:
    code = _Code(module, "serve", WORD, WORD)
    start, done, enter, leave, idle = code.block, *(code.append_basic_block() for _ in range(4))
    _, before = code.function.args
    look = code.append_basic_block()
    code.branch(look)
    code.position_at_end(look)
    seen, turn = code.phi(WORD), code.phi(WORD)
    number = code.get("open")
    new = code.and_(code.icmp_signed("!=", number, WORD(0)), code.icmp_signed("!=", number, seen))
    code.cbranch(new, enter, idle)

    code.position_at_end(enter)
    code.count("running", 1)
    code.go_on_if(code.icmp_signed("==", code.get("open"), number), leave)
    code.go_on_if(code.icmp_signed(">", code.count("places", -1), WORD(0)), leave)
    code.call(module.get_global("gradc_work"), code.function.args[:1])
    code.branch(leave)
    code.position_at_end(leave)
    code.count("running", -1)
    code.branch(look)

    code.position_at_end(idle)
    after = code.add(turn, WORD(1))
    code.go_on_if(code.icmp_signed("<", turn, WORD(TURNS)), done)
    code.pause()
    code.branch(look)
    waited = code.block
    code.position_at_end(done)
    code.ret(seen)
    for value, block in ((before, start), (number, leave), (seen, waited)):
        seen.add_incoming(value, block)
    for value, block in ((WORD(0), start), (WORD(0), leave), (after, waited)):
        turn.add_incoming(value, block)
