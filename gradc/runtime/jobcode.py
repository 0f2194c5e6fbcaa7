"""How machine code reads and writes a job."""

from __future__ import annotations

import os
import platform
from typing import Any

from llvmlite import ir

from gradc.runtime.job import Job
from gradc.runtime.native import NOTHING, WORD, Function

BYTES = ir.IntType(8).as_pointer()
ORDER = "seq_cst"
FIELDS = {field[0]: k for k, field in enumerate(Job._fields_)}


class Code(Function):
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
            self.ask("llvm.x86.sse2.pause", NOTHING)

    def step_aside(self) -> None:
        """Gives the core to another thread, if one is waiting for it."""
        if hasattr(os, "sched_yield"):
            self.ask("sched_yield", ir.IntType(32))

    def ask(self, name: str, result: ir.Type, *arguments: Any) -> ir.Value:
        """Calls a function of the system."""
        kind = ir.FunctionType(result, [a.type for a in arguments])
        known = self.module.globals.get(name)
        return self.call(known or ir.Function(self.module, kind, name), arguments)

    def go_on_if(self, condition: ir.Value, otherwise: ir.Block) -> None:
        """Goes on here or somewhere else."""
        here = self.append_basic_block()
        self.cbranch(condition, here, otherwise)
        self.position_at_end(here)
