"""How a job gets to threads that are awake: machine code of gradc's own, which needs neither locks nor Python.

Waking a thread takes longer than many a sweep. So a worker that is through with a job looks out for the next one for a
moment, and goes to sleep only then.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from msgspec import Struct

from gradc.runtime import fetch
from gradc.runtime.job import Job
from gradc.runtime.jobcode import BYTES, Code
from gradc.runtime.native import NOTHING, WORD, kept

TURNS = 1000
"""How often a leader looks whether its workers are done before it does something about it: some 20 microseconds."""
PATIENCE = 10 * TURNS
"""How often a worker looks for the next job before it sleeps. From one job of a call to the next it takes 30 to 100
microseconds, and a worker that was woken a moment ago may be kept waiting by other libraries' threads.
"""


class Handover(Struct, frozen=True):
    """`open(job, number)` lets workers in; `lead(job)` takes part and comes back when every chunk has been run.

    `serve(job, seen)` works at any job but `seen`, until there has been none for a while, or it is in the leader's way;
    it returns the number of the last. They run without Python's lock.
    """

    open: Callable[[Any, int], None]
    lead: Callable[[Any], None]
    serve: Callable[[Any, int], int]


@functools.cache
def handover() -> Handover:
    """The machine code, made or taken from the cache when a process first needs it."""
    code = kept("gradc_handover", ("fetch.py", "handover.py", "job.py", "jobcode.py"), lambda: str(_module()))
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
    fetch.write(module)
    _lead(module)
    _serve(module)
    return module


def _open(module: ir.Module) -> None:
    code = Code(module, "open", NOTHING, WORD)
    code.set("open", code.function.args[1])
    code.ret_void()


def _work(module: ir.Module) -> None:
    """Runs chunks until there are none left."""
    code = Code(module, "work", NOTHING)
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
    code = Code(module, "lead", NOTHING)
    look, wait, done = (code.append_basic_block() for _ in range(3))
    code.call(module.get_global("gradc_work"), code.function.args)
    code.set("open", WORD(0))
    before = code.block
    code.branch(look)
    code.position_at_end(look)
    turn = code.phi(WORD)
    code.go_on_if(code.icmp_signed("!=", code.get("running"), WORD(0)), done)
    code.cbranch(code.icmp_signed("<", turn, WORD(TURNS)), wait, late := code.append_basic_block())
    code.position_at_end(wait)
    code.pause()
    after = code.add(turn, WORD(1))
    code.branch(look)
    code.position_at_end(late)
    code.call(module.get_global("gradc_fetch"), code.function.args)
    code.step_aside()
    code.branch(look)
    for value, block in ((WORD(0), before), (after, wait), (WORD(0), late)):
        turn.add_incoming(value, block)
    code.position_at_end(done)
    code.ret_void()


def _serve(module: ir.Module) -> None:
    code = Code(module, "serve", WORD, WORD)
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
    fetched = code.icmp_signed("!=", code.get("fetched"), WORD(0))
    code.count("running", -1)
    code.cbranch(fetched, done, look)

    code.position_at_end(idle)
    after = code.add(turn, WORD(1))
    more = code.icmp_signed("<", turn, WORD(PATIENCE))
    code.pause()
    code.cbranch(more, look, done)
    code.position_at_end(done)
    last = code.phi(WORD)
    code.ret(last)
    for value, block in ((before, start), (number, leave), (seen, idle)):
        seen.add_incoming(value, block)
    for value, block in ((WORD(0), start), (WORD(0), leave), (after, idle)):
        turn.add_incoming(value, block)
    for value, block in ((number, leave), (seen, idle)):
        last.add_incoming(value, block)
