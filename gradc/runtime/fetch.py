"""Workers that stand still are fetched to the leader's core.

Threads of other libraries may wait busily for work of their own. A worker then has to share its core with them, and
loses it for some milliseconds in the middle of a chunk, when the leader has nothing left to do but to wait for it.
"""

from __future__ import annotations

from llvmlite import ir

from gradc.runtime.job import MOVABLE, Worker
from gradc.runtime.jobcode import Code
from gradc.runtime.native import NOTHING, WORD

CORES = 1024
"""How many cores the system's sets of them are for."""


def write(module: ir.Module) -> None:
    """`void fetch(job)`: moves each worker here that has not run since this was called before."""
    code = Code(module, "fetch", NOTHING)
    if MOVABLE:
        cores = _here(code)
        first = code.ptrtoint(code.place("workers"), WORD)
        with code.each(WORD(0), code.get("size"), WORD(1)) as k:
            row = code.inttoptr(code.add(first, code.mul(k, WORD(len(Worker._fields_) * 8))), WORD.as_pointer())
            thread, clock, *shown = (code.gep(row, [WORD(c)]) for c in range(len(Worker._fields_)))
            before = [code.load(place) for place in shown]
            number = ir.IntType(32)
            failed = code.ask("clock_gettime", number, code.trunc(code.load(clock), number), shown[0])
            same = [code.icmp_signed("==", code.load(place), b) for place, b in zip(shown, before, strict=True)]
            told = code.icmp_signed("==", failed, number(0))
            with code.if_then(code.and_(told, code.and_(*same))):
                code.set("fetched", WORD(1))
                of = code.trunc(code.load(thread), number)
                code.ask("sched_setaffinity", number, of, WORD(CORES // 8), cores)
    code.ret_void()


def _here(code: Code) -> ir.Value:
    """The set of cores that has only the one that this runs on."""
    words = CORES // 64
    cores = code.alloca(WORD, words)
    for k in range(words):
        code.store(WORD(0), code.gep(cores, [WORD(k)]))
    core = code.zext(code.ask("sched_getcpu", ir.IntType(32)), WORD)
    of = code.gep(cores, [code.lshr(core, WORD(6))])
    code.store(code.shl(WORD(1), code.and_(core, WORD(63))), of)
    return cores
