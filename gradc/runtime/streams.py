"""Products of a matrix and a vector, row by row; while short rows are multiplied, those to come are asked for.

Where a sweep has two such products of its data, the processor guesses what comes next while the first one reads from
memory, and forgets it over the second, which has its rows near at hand. So both ask for all lines to come: that is
faster than each of them asking for its half, as not all that is asked for comes in time. A product alone asks for
nothing: it would only disturb the guesses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from gradc.runtime.lanes import LINE, Lanes
from gradc.runtime.native import BOOL, NOTHING, WORD

SHORT = 1 << 11
"""The most bytes of rows that are asked for: of longer ones the processor's guesses are as good."""
TINY = 2 * LINE
"""Rows of fewer bytes are over before asking for all of them has paid: each product asks for every other one."""
ROWS = 8, 4
"""How many are added up at a time, of short rows and of long ones."""
AHEAD = 1 << 14
"""How many bytes before they are needed, at least."""
TILE = 1 << 18
"""A matrix of fewer bytes may be a tile of a larger one. Then what comes behind it is asked for."""


NAMES = "gradc_matrix_vector_{}", "gradc_vector_matrix_{}"
BOTH = "gradc_both_products_{}"
"""A constant: whether both are in a module, which is the code of a sweep."""


def matrix_vector(module: ir.Module, real: Any) -> ir.Function:
    """`void (a, a0, v, out, m, n, add)`: out = A v, added to it or not; a0 numbers lie between the rows of A."""
    p = real.as_pointer()
    return _made(module, NAMES[0], _matrix_vector, real, p, WORD, p, p, WORD, WORD, BOOL)


def vector_matrix(module: ir.Module, real: Any) -> ir.Function:
    """`void (v, b, b0, out, m, n, add)`: out = v B, added to it or not; b0 numbers lie between the rows of B."""
    p = real.as_pointer()
    return _made(module, NAMES[1], _vector_matrix, real, p, p, WORD, p, WORD, WORD, BOOL)


def _made(module: ir.Module, name: str, write: Callable[[_Rows], None], real: Any, *types: Any) -> ir.Function:
    name, known = name.format(real), module.globals
    if name not in known:
        if BOTH.format(real) not in known:
            both = ir.GlobalVariable(module, BOOL, BOTH.format(real))
            both.linkage, both.global_constant = "internal", True
        code = _Rows(module, name, real, NOTHING, *types, public=False)
        code.function.attributes.add("noinline")  # as a part of the kernel it would take LLVM longer
        write(code)
        known[BOTH.format(real)].initializer = BOOL(all(n.format(real) in known for n in NAMES))
    function: ir.Function = known[name]
    return function


class _Rows(Lanes):
    """Code that goes along rows of so many numbers: vectors, and some lanes of a last one."""

    def along(self, apart: Any, count: Any, length: Any) -> None:
        """What holds for all of these rows, of which there are `count`."""
        lanes, size = WORD(self.lanes), WORD(self.bits // 8)
        self.line = LINE * 8 // self.bits // self.lanes
        self.last = self.mul(self.sdiv(self.sub(length, WORD(1)), lanes), lanes)
        self.mask = self.not_(self.from_lane(self.sub(length, self.last)))
        row = self.mul(apart, size)
        row = self.select(self.icmp_signed("==", row, WORD(0)), size, row)  # one row as all of them: no division by 0
        self.short, self.tiny = self.icmp_signed("<=", row, WORD(SHORT)), self.less(row, WORD(TINY))
        tile = self.icmp_signed("<=", self.mul(count, row), WORD(TILE))
        rows = self.add(self.select(tile, count, WORD(0)), self.sdiv(WORD(AHEAD), row))
        ahead = self.mul(self.add(rows, WORD(1)), apart)
        both = self.load(self.module.globals[BOTH.format(self.real)])
        self.ahead = self.select(self.and_(self.short, both), ahead, WORD(0))

    def ask(self, row: Any, *offsets: Any) -> None:
        self.fetch(self.at(row, self.ahead, *offsets))


def _matrix_vector(code: _Rows) -> None:
    a, a0, v, out, m, n, add = code.function.args
    zero, one, lanes = WORD(0), WORD(1), WORD(code.lanes)
    code.along(a0, m, n)
    end = code.some_at(code.mask, code.at(v, code.last))

    def product(row: Any, asks: bool, turns: int = 1) -> Any:
        def turn(j: Any, number: int | None, sums: list[Any]) -> list[Any]:
            if asks and not number:
                code.ask(row, j)
            return [code.fused(code.vector_at(code.at(row, j)), code.vector_at(code.at(v, j)), *sums)]

        (total,) = code.unrolled(code.last, code.lanes, turns, [code.zero], turn)
        if asks:
            code.ask(row, code.last)
        return code.fused(code.some_at(code.mask, code.at(row, code.last)), end, total)

    whole = code.sub(m, code.srem(m, lanes))

    def several(every: int, turns: int) -> None:
        with code.each(zero, whole, lanes) as i:
            rows = code.at(a, code.mul(i, a0))
            pointers = [code.at(rows, code.mul(WORD(r), a0)) for r in range(code.lanes)]
            sums = code.sums([product(p, r % every == 0, turns) for r, p in enumerate(pointers)])
            place = code.at(out, i)
            code.put(code.select(code.spread(add), code.fadd(code.vector_at(place), sums), sums), place)

    with code.if_else(code.tiny) as (tiny, others):
        with tiny:
            several(2, 1)
        with others:
            several(1, code.line)
    with code.each(whole, m, one) as i:
        place, total = code.at(out, i), code.sum(product(code.at(a, code.mul(i, a0)), False))
        code.store(code.select(add, code.fadd(code.load(place), total), total), place)
    code.ret_void()


def _vector_matrix(code: _Rows) -> None:
    v, b, b0, out, m, n, add = code.function.args
    zero, one = WORD(0), WORD(1)
    code.along(b0, m, n)
    with code.if_then(code.not_(add)), code.each(zero, n, one) as j:
        code.store(code.real(0.0), code.at(out, j))

    def added(i: Any, count: int, every: int = 1, turns: int = 1) -> None:
        rows = [code.at(b, code.mul(code.add(i, WORD(r)), b0)) for r in range(count)]
        factors = [code.spread(code.load(code.at(v, i, WORD(r)))) for r in range(count)]

        def total(before: Any, read: Callable[[Any], Any]) -> Any:
            sums = [before, code.zero]
            for k, (row, factor) in enumerate(zip(rows, factors, strict=True)):
                sums[k % 2] = code.fused(factor, read(row), sums[k % 2])
            return code.fadd(*sums)

        def ask(place: Any) -> None:
            for row in rows[every - 1 :: every]:
                code.ask(row, place)

        def turn(j: Any, number: int | None, _: list[Any]) -> list[Any]:
            if not number:
                ask(j)
            place = code.at(out, j)
            code.put(total(code.vector_at(place), lambda row: code.vector_at(code.at(row, j))), place)
            return []

        code.unrolled(code.last, code.lanes, turns, [], turn)
        ask(code.last)
        place = code.at(out, code.last)
        before = code.some_at(code.mask, place)
        new = total(before, lambda row: code.some_at(code.mask, code.at(row, code.last)))
        code.put_some(code.mask, new, place)

    some = code.select(code.short, *map(WORD, ROWS))
    whole = code.sub(m, code.srem(m, some))

    def several(count: int, every: int, turns: int) -> None:
        with code.each(zero, whole, some) as i:
            added(i, count, every, turns)

    with code.if_else(code.tiny) as (tiny, others):
        with tiny:
            several(ROWS[0], 2, 1)
        with others, code.if_else(code.short) as (short, long):
            with short:
                several(ROWS[0], 1, code.line)
            with long:
                several(ROWS[1], 1, code.line)
    with code.each(whole, m, one) as i:
        added(i, 1)
    code.ret_void()
