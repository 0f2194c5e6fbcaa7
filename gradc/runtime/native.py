"""Machine code of gradc's own, that LLVM makes without Numba: functions of addresses and numbers."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from llvmlite import binding, ir

from gradc.runtime import cache

WORD, BOOL, NOTHING = ir.IntType(64), ir.IntType(1), ir.VoidType()
BYTES = ir.IntType(8).as_pointer()


def kept(name: str, files: Sequence[str], text: Callable[[], str]) -> Any:
    """The engine of the module under this name, which these files of the runtime write as LLVM text.

    It is kept in the cache, if that can be written to, for processes to come, which need not ask for the text.
    """
    sources = [Path(__file__).with_name(file).read_text(encoding="utf-8") for file in ("native.py", *files)]
    entry = cache.digest([name, *sources])
    try:
        code = cache.read(entry, f"{name}.o")
    except ValueError:
        cache.remove(entry)
        code = None
    if code is None:
        code = object_code(text())
        with suppress(OSError):
            cache.entry(entry, f'"""Machine code of gradc itself: {name}."""\n')
            cache.write(entry, f"{name}.o", code)
    return engine(code)


def _machine() -> Any:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(), features=binding.get_host_cpu_features().flatten(), jit=True
    )


def object_code(text: str) -> bytes:
    """The machine code of a module, given as LLVM text."""
    code: bytes = _machine().emit_object(binding.parse_assembly(text))
    return code


def _memory() -> dict[str, int]:
    """C's functions that give memory and take it back: they need no lock of Python's."""
    library = ctypes.CDLL(None) if os.name == "posix" else ctypes.CDLL("ucrtbase")
    found = {name: ctypes.cast(library[name], ctypes.c_void_p).value for name in ("malloc", "free")}
    return {name: address for name, address in found.items() if address is not None}


for _name, _address in _memory().items():
    binding.add_symbol(_name, _address)


def engine(code: bytes) -> Any:
    """What has the functions of this machine code; they live as long as it."""
    made = binding.create_mcjit_compiler(binding.parse_assembly(""), _machine())
    made.add_object_file(binding.ObjectFileRef.from_data(code))
    made.finalize_object()
    return made


class Function(ir.IRBuilder):  # type: ignore[misc]
    """Writes one function: loops and conditions beyond what its base class has."""

    def __init__(self, module: ir.Module, name: str, result: ir.Type, *arguments: ir.Type, public: bool = True) -> None:
        made = ir.Function(module, ir.FunctionType(result, arguments), name)
        if not public:
            made.linkage = "internal"
        super().__init__(made.append_basic_block())

    def reserved(self, size: Any, otherwise: Any) -> Any:
        """The address of so many bytes that are free to write to until `released`; without them, returns otherwise."""
        memory = self.call(self._known("malloc", BYTES, WORD), [self.most(size, WORD(1))])
        with self.if_then(self.icmp_unsigned("==", memory, BYTES(None))):
            self.ret(otherwise)
        return memory

    def released(self, memory: Any) -> None:
        self.call(self._known("free", NOTHING, BYTES), [self.bitcast(memory, BYTES)])

    def _known(self, name: str, result: ir.Type, *arguments: ir.Type) -> Any:
        kind = ir.FunctionType(result, arguments)
        return self.module.globals.get(name) or ir.Function(self.module, kind, name)

    def less(self, a: Any, b: Any) -> Any:
        return self.icmp_signed("<", a, b)

    def least(self, a: Any, b: Any) -> Any:
        return self.select(self.less(a, b), a, b)

    def most(self, a: Any, b: Any) -> Any:
        return self.select(self.less(a, b), b, a)

    def parts(self, length: Any, most: int) -> Any:
        """How many parts of so many at most there are."""
        return self.sdiv(self.add(length, WORD(most - 1)), WORD(most))

    def part(self, length: Any, k: Any, parts: Any) -> tuple[Any, Any]:
        """The first of a part of the numbers below a length, and how many it has; parts are as even as can be."""
        first = self.sdiv(self.mul(length, k), parts)
        return first, self.sub(self.sdiv(self.mul(length, self.add(k, WORD(1))), parts), first)

    @contextmanager
    def each(self, first: Any, last: Any, step: Any) -> Iterator[Any]:
        """A loop over first, first + step ... below last."""
        before, test, body, after = self.block, *(self.append_basic_block() for _ in range(3))
        self.branch(test)
        self.position_at_end(test)
        index = self.phi(WORD)
        index.add_incoming(first, before)
        self.cbranch(self.less(index, last), body, after)
        self.position_at_end(body)
        yield index
        index.add_incoming(self.add(index, step), self.block)
        self.branch(test)
        self.position_at_end(after)

    def carried(
        self, count: Any, step: int, start: Sequence[Any], turn: Callable[[Any, list[Any]], list[Any]]
    ) -> list[Any]:
        """What becomes of values by a turn at 0, step, 2 step ... below `count`."""
        before, test, loop, after = self.block, *(self.append_basic_block() for _ in range(3))
        self.branch(test)
        self.position_at_end(test)
        index, *held = (self.phi(v.type) for v in (WORD(0), *start))
        self.cbranch(self.less(index, count), loop, after)
        self.position_at_end(loop)
        new = turn(index, held)
        following = self.add(index, WORD(step))
        for phi, first, then in zip((index, *held), (WORD(0), *start), (following, *new), strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(then, self.block)
        self.branch(test)
        self.position_at_end(after)
        return held

    def unrolled(
        self, count: Any, step: int, turns: int, start: Sequence[Any], turn: Callable[[Any, int | None, list[Any]], Any]
    ) -> list[Any]:
        """What becomes of values by a turn at 0, step, 2 step ... below `count`, a multiple of the step.

        So many turns are written out. Each is told its number among them; the last ones, which are none of these, None.
        """
        size = step * turns
        whole = self.sub(count, self.srem(count, WORD(size)))

        def several(at: Any, values: list[Any]) -> list[Any]:
            for k in range(turns):
                values = turn(self.add(at, WORD(k * step)), k, values)
            return values

        def last(at: Any, values: list[Any]) -> Any:
            return turn(self.add(whole, at), None, values)

        return self.carried(self.sub(count, whole), step, self.carried(whole, size, start, several), last)

    def known(self, size: Any, sizes: Iterable[int], write: Callable[[int], None]) -> None:
        """Code for each size there may be, of which one is run."""
        done = self.append_basic_block()
        choice = self.switch(size, done)
        for k in sizes:
            block = self.append_basic_block()
            choice.add_case(WORD(k), block)
            self.position_at_end(block)
            write(k)
            self.branch(done)
        self.position_at_end(done)
