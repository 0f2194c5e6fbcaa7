"""Memory of large results, kept for the next ones of the same size.

The system takes back what is freed at the end of the heap, and gives it page by page when it is asked for again, each
filled with zeros: a call that returns three arrays of 8 MB took 7.4 ms, of which it computed for 4.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import binding, ir

from gradc.runtime.native import BYTES, NOTHING, WORD, Function, kept

LEAST, MOST = 1 << 22, 1 << 25
"""The bytes of an array whose memory is kept: smaller ones stay in the heap, and larger ones are too much to keep."""
SLOTS = 8
"""For how many arrays memory is kept at most."""
TAKE, PUT_BACK = "gradc_take", "gradc_put_back"
"""`char *take(size)`: memory for so many bytes, or null. `void put_back(char *)`: it is free for others."""
RECORD = 2
"""Where Numba's table of functions has the one that makes a record of memory and of what takes it back."""
HEAD = 64
"""Bytes before those that are given, for their number and for what the C library knows them by."""


@functools.cache
def symbols() -> dict[str, int]:
    """Where compiled code finds both. Arrays may outlive all modules of Python, so the code stays until the end."""
    made = kept("gradc_reuse", ["reuse.py"], text)
    found = {name: made.get_function_address(name) for name in (TAKE, PUT_BACK)}
    made.detach()
    return found


def declare() -> None:
    """Tells LLVM where both are: what Numba has in its cache calls them too."""
    for symbol, address in symbols().items():
        binding.add_symbol(symbol, address)


def text() -> str:
    """The functions as LLVM has them. Any thread may be in them: what is in a slot is exchanged, never looked at."""
    module = ir.Module("gradc_reuse")
    slots = ir.GlobalVariable(module, ir.ArrayType(WORD, SLOTS), "slots")
    slots.linkage, slots.initializer = "internal", ir.Constant(slots.value_type, None)
    _put_back(_Slots(module, PUT_BACK, NOTHING, BYTES))
    _take(_Slots(module, TAKE, BYTES, WORD))
    return str(module)


class _Slots(Function):
    """Code with slots that are empty or hold an array's address, with its head before it."""

    @contextmanager
    def every(self) -> Iterator[Any]:
        """For the place of each slot."""
        with self.each(WORD(0), WORD(SLOTS), WORD(1)) as k:
            yield self.gep(self.module.globals["slots"], [WORD(0), k])

    @contextmanager
    def every_full(self) -> Iterator[Any]:
        """For what was in each slot that was not empty; it is now."""
        with self.every() as slot:
            found = self.atomic_rmw("xchg", slot, WORD(0), "acq_rel")
            with self.if_then(self.icmp_unsigned("!=", found, WORD(0))):
                yield found

    def size(self, array: Any) -> Any:
        return self.inttoptr(self.sub(array, WORD(8)), WORD.as_pointer())

    def start(self, array: Any) -> Any:
        """By which the C library knows it."""
        return self.inttoptr(self.sub(array, WORD(16)), WORD.as_pointer())

    def given_up(self, array: Any) -> None:
        self.released(self.inttoptr(self.load(self.start(array)), BYTES))


def _put_back(code: _Slots) -> None:
    """Into the first empty slot; if there is none, it is given up."""
    array = code.ptrtoint(code.function.args[0], WORD)
    with code.every() as slot:
        found = code.cmpxchg(slot, WORD(0), array, "acq_rel", "acquire")
        with code.if_then(code.extract_value(found, 1)):
            code.ret_void()
    code.given_up(array)
    code.ret_void()


def _take(code: _Slots) -> None:
    """What a slot has of just this size, or new memory. Then one array that is kept for another size is given up."""
    (size,) = code.function.args
    new = code.append_basic_block()
    with code.every_full() as array:
        with code.if_then(code.icmp_unsigned("==", code.load(code.size(array)), size)):
            code.ret(code.inttoptr(array, BYTES))
        code.call(code.module.get_global(PUT_BACK), [code.inttoptr(array, BYTES)])
    with code.every_full() as array:
        code.given_up(array)
        code.branch(new)
    code.branch(new)
    code.position_at_end(new)
    memory = code.reserved(code.add(size, WORD(2 * HEAD)), BYTES(None))
    start = code.ptrtoint(memory, WORD)
    array = code.and_(code.add(start, WORD(2 * HEAD)), WORD(-HEAD))
    code.store(size, code.size(array))
    code.store(start, code.start(array))
    code.ret(code.inttoptr(array, BYTES))


def memory(module: ir.Module, alignment: int) -> Any:
    """`char *(bytes)` in a module that Numba compiles: Numba's record of new memory for an array, or null."""
    name = "gradc_memory"
    if name in module.globals:
        return module.globals[name]
    declare()
    function = ir.Function(module, ir.FunctionType(BYTES, [WORD]), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    code, (size,) = ir.IRBuilder(function.append_basic_block()), function.args

    def outside(name: str, result: Any, *arguments: Any) -> Any:
        return module.globals.get(name) or ir.Function(module, ir.FunctionType(result, arguments), name)

    keeps = [code.icmp_unsigned(c, size, WORD(b)) for c, b in ((">=", LEAST), ("<=", MOST))]
    with code.if_then(code.and_(*keeps)):
        taken = code.call(outside(TAKE, BYTES, WORD), [size])
        with code.if_then(code.icmp_unsigned("!=", taken, BYTES(None))):
            put_back = outside(PUT_BACK, NOTHING, BYTES)
            record = ir.FunctionType(BYTES, [BYTES, put_back.type]).as_pointer()
            table = code.call(outside("NRT_get_api", record.as_pointer()), [])
            code.ret(code.call(code.load(code.gep(table, [WORD(RECORD)])), [taken, put_back]))
    new = outside("NRT_MemInfo_alloc_aligned", BYTES, WORD, ir.IntType(32))
    code.ret(code.call(new, [size, ir.IntType(32)(alignment)]))
    return function
