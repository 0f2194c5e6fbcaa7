"""Code with the vectors of numbers that this processor has, for functions of gradc's own."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from llvmlite import binding, ir

from gradc.runtime.native import NOTHING, WORD, Function

NEAR = 2
"""LLVM's word for L2."""
LINE = 64
"""Bytes that memory gives at once."""
I32 = ir.IntType(32)


@functools.cache
def register() -> int:
    """Bytes of the vectors that this processor multiplies and adds at once; 0 if it has too few for blocks."""
    features = binding.get_host_cpu_features()
    return 64 if features.get("avx512f") else 32 if features.get("fma") or features.get("neon") else 0


class Lanes(Function):
    """Writes a function with vectors of numbers."""

    def __init__(self, module: ir.Module, name: str, real: Any, *types: Any, public: bool = True) -> None:
        super().__init__(module, name, *types, public=public)
        self.real, self.bits = real, 64 if isinstance(real, ir.DoubleType) else 32
        self.lanes = 8 * (register() or 16) // self.bits
        self.vector = ir.VectorType(real, self.lanes)
        self.zero = ir.Constant(self.vector, [real(0.0)] * self.lanes)

    def fused(self, a: Any, b: Any, c: Any) -> Any:
        """a b + c, rounded once where the processor does that as fast."""
        return self._intrinsic("llvm.fmuladd.{}", self.vector, a, b, c)

    def _intrinsic(self, name: str, result: Any, *values: Any) -> Any:
        """Calls what LLVM has for vectors like these, whose name in braces is to be filled in."""
        name = name.format(f"v{self.lanes}f{self.bits}")
        kind = ir.FunctionType(result, [v.type for v in values])
        return self.call(self.module.globals.get(name) or ir.Function(self.module, kind, name), values)

    def fetch(self, pointer: Any) -> None:
        """Asks for what lies there, to be near when it is needed. There need be nothing."""
        byte = ir.IntType(8).as_pointer()
        ask = self.module.declare_intrinsic("llvm.prefetch", [byte], ir.FunctionType(NOTHING, [byte, I32, I32, I32]))
        self.call(ask, [self.bitcast(pointer, byte), I32(0), I32(NEAR), I32(1)])

    def line_in(self, memory: Any, size: int) -> Any:
        """The first place for numbers after the beginning of bytes whose address is a multiple of so many."""
        place = self.ptrtoint(memory, WORD)
        place = self.add(place, self.sub(WORD(size), self.urem(place, WORD(size))))
        return self.inttoptr(place, self.real.as_pointer())

    def at(self, pointer: Any, *offsets: Any) -> Any:
        return self.gep(pointer, [functools.reduce(self.add, offsets)])

    def vector_at(self, pointer: Any) -> Any:
        return self.load(self.bitcast(pointer, self.vector.as_pointer()), align=self.bits // 8)

    def some_at(self, mask: Any, pointer: Any) -> Any:
        """The lanes of the mask; the others, which need not be there, are 0."""
        place = self.bitcast(pointer, self.vector.as_pointer())
        return self._intrinsic("llvm.masked.load.{}.p0", self.vector, place, I32(self.bits // 8), mask, self.zero)

    def put_some(self, mask: Any, vector: Any, pointer: Any) -> None:
        place = self.bitcast(pointer, self.vector.as_pointer())
        self._intrinsic("llvm.masked.store.{}.p0", NOTHING, vector, place, I32(self.bits // 8), mask)

    def put(self, vector: Any, pointer: Any) -> None:
        self.store(vector, self.bitcast(pointer, self.vector.as_pointer()), align=self.bits // 8)

    def spread(self, value: Any) -> Any:
        """The same value in all lanes."""
        vector = ir.VectorType(value.type, self.lanes)
        nothing = ir.Constant(vector, ir.Undefined)
        zeros = ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        return self.shuffle_vector(self.insert_element(nothing, value, I32(0)), nothing, zeros)

    def from_lane(self, first: Any) -> Any:
        """Which lanes are not before this one."""
        lanes = ir.Constant(ir.VectorType(WORD, self.lanes), list(range(self.lanes)))
        return self.icmp_signed(">=", lanes, self.spread(first))

    def sums(self, vectors: list[Any]) -> Any:
        """The sum of each of as many vectors as they have lanes, as lanes."""
        apart = 1
        while apart < self.lanes:
            vectors = [self.fadd(*self._paired(x, y, apart)) for x, y in zip(vectors[::2], vectors[1::2], strict=True)]
            apart *= 2
        return vectors[0]

    def transposed(self, vectors: list[Any]) -> list[Any]:
        """Of as many vectors as they have lanes, the first lanes of all, their second lanes, and so on."""
        apart, found = 1, list(vectors)
        while apart < self.lanes:
            for r in range(self.lanes):
                if not r & apart:
                    found[r], found[r + apart] = self._paired(found[r], found[r + apart], apart)
            apart *= 2
        return found

    def _paired(self, x: Any, y: Any, apart: int) -> Iterator[Any]:
        """Lanes of both, each in its half of every so many, and those they are to be added to."""
        kind = ir.VectorType(I32, self.lanes)
        for first in (0, apart):
            lanes = [
                q - q % (2 * apart) + (q % apart) + first + (self.lanes if q & apart else 0) for q in range(self.lanes)
            ]
            yield self.shuffle_vector(x, y, ir.Constant(kind, lanes))

    def sum(self, vector: Any) -> Any:
        """The sum of the lanes, added up in the order of `sums`."""
        apart, kind = 1, ir.VectorType(I32, self.lanes)
        while apart < self.lanes:
            turned = ir.Constant(kind, [(q + apart) % self.lanes for q in range(self.lanes)])
            vector = self.fadd(vector, self.shuffle_vector(vector, vector, turned))
            apart *= 2
        return self.extract_element(vector, I32(0))
