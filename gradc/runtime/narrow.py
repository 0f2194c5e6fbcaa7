"""Products of matrices whose result has few rows: the large factor streams by once, while registers hold the result.

BLAS copies its factors before it multiplies, which few rows do not repay, and waits for memory while it does. Here
blocks of the result are so large that multiplications outweigh loads, and so small that all of it stays in registers;
what comes next is asked for from memory meanwhile.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from gradc.runtime.lanes import Lanes, register
from gradc.runtime.native import BOOL, NOTHING, WORD
from gradc.runtime.registers import write_sums

ROWS = 5
"""The most rows of a block."""
LONG = 16
"""Vectors that an axis must have to be worth it: up to two are loaded at its end for the sake of one number."""
MOST = 32
"""The most rows of a result."""
SUMMED = 3200, 1024
"""Bytes of the axis summed that are taken at a time, for scalar products and for sums of rows: they fit in L1."""
PANEL = 96
"""How many columns have scalar products with a part of A before the next part of it is taken."""


def columns() -> int:
    """The most columns of a block, of numbers or vectors: there are half as many registers where they are shorter."""
    return 4 if register() == 64 else 2


def write(module: ir.Module, real: Any) -> None:
    """`void dots(...)` and `sums(...)`, of the products whose B has columns, or rows, that lie together.

    They take `a, a0, a1, b, stride, c, c0, c1, m, n, k, add` as in `gradc.runtime.matrices`; the stride is B's other.
    """
    pointer = real.as_pointer()
    dots = (WORD, pointer, WORD, pointer, WORD, pointer, WORD, WORD, WORD, WORD, BOOL, *[WORD] * columns())
    sums = (WORD, pointer, WORD, WORD, pointer, WORD, pointer, WORD, WORD, WORD, BOOL)
    product = (pointer, WORD, WORD, pointer, WORD, pointer, WORD, WORD, WORD, WORD, WORD, BOOL)
    for name, written, arguments in (
        ("block_of_dots", _block_of_dots, dots),
        ("block_of_sums", _block_of_sums, sums),
        ("dots", _dots, product),
        ("sums", _sums, product),
    ):
        written(Lanes(module, name, real, NOTHING, *arguments, public=False))


def pays(code: Lanes, rows: Any, summed: Any, stride: Any, long: Any) -> Any:
    """Whether it does for a result of so few rows, and a B that is long along the axis of this stride."""
    few = code.and_(code.icmp_signed("<=", rows, WORD(MOST)), code.less(WORD(0), summed))
    enough = code.icmp_signed(">=", long, WORD(LONG * code.lanes))
    return code.and_(few, code.and_(code.icmp_signed("==", stride, WORD(1)), enough))


def _summed(code: Lanes, way: int) -> int:
    return SUMMED[way] * 8 // code.bits


def _block_of_dots(code: Lanes) -> None:
    """Scalar products of some rows of A and `left` rows of B, of `length`, stored by the strides of C.

    The last vectors are loaded so that they end with the rows. What lies `ahead` of those of B is fetched.
    """
    size, a, a0, b, b0, c, c0, c1, length, left, adds, *ahead = code.function.args
    lanes = WORD(code.lanes)
    chosen = [code.least(WORD(s), code.sub(left, WORD(1))) for s in range(columns())]
    theirs = [code.at(b, code.mul(s, b0)) for s in chosen]
    totals = code.alloca(code.real, ROWS * columns())

    def write(rows: int) -> None:
        ours = [code.at(a, code.mul(WORD(r), a0)) for r in range(rows)]

        def multiplied(at: Any, sums: list[Any], only: Any = None) -> list[Any]:
            def loaded(pointer: Any) -> Any:
                vector = code.vector_at(code.at(pointer, at))
                return vector if only is None else code.select(only, vector, code.zero)

            x = [loaded(p) for p in theirs]
            w = [loaded(p) for p in ours]
            return [code.fused(w[k // columns()], x[k % columns()], total) for k, total in enumerate(sums)]

        def turn(at: Any, sums: list[Any]) -> list[Any]:
            for p, offset in zip(theirs, ahead, strict=True):
                code.fetch(code.at(p, at, offset))
            return multiplied(at, sums)

        over = code.srem(length, lanes)
        sums = code.carried(code.sub(length, over), code.lanes, [code.zero] * rows * columns(), turn)

        def end(_: Any, sums: list[Any]) -> list[Any]:
            return multiplied(code.sub(length, lanes), sums, code.from_lane(code.sub(lanes, over)))

        sums = code.carried(over, code.lanes, sums, end)
        whole = len(sums) - len(sums) % code.lanes
        for k in range(0, whole, code.lanes):
            code.put(code.sums(sums[k : k + code.lanes]), code.at(totals, WORD(k)))
        for k in range(whole, len(sums)):
            code.store(code.sum(sums[k]), code.at(totals, WORD(k)))
        for s in range(columns()):
            with code.if_then(code.less(WORD(s), left)):
                for r in range(rows):
                    place = code.at(c, code.mul(WORD(r), c0), code.mul(WORD(s), c1))
                    before, total = code.load(place), code.load(code.at(totals, WORD(r * columns() + s)))
                    code.store(code.select(adds, code.fadd(before, total), total), place)

    code.known(size, range(1, ROWS + 1), write)
    code.ret_void()


def _block_of_sums(code: Lanes) -> None:
    """Sums of `length` rows of B times numbers of some rows of A; the first `skip` columns of C are left alone."""
    *block, skip, adds = code.function.args
    write_sums(code, range(1, ROWS + 1), columns(), [*block, WORD(0), skip, adds])


def _dots(code: Lanes) -> None:
    """C = A B, where the columns of B lie together; so do rows of A, once they are copied if they do not."""
    a, a0, a1, b, b1, c, c0, c1, m, n, k, add = code.function.args
    zero, one, step = WORD(0), WORD(1), WORD(columns())
    room = code.alloca(code.real, MOST * _summed(code, 0))
    panels, parts, blocks = code.parts(n, PANEL), code.parts(k, _summed(code, 0)), code.parts(m, ROWS)
    together = code.icmp_signed("==", a1, one)
    with code.each(zero, panels, one) as panel, code.each(zero, parts, one) as part:
        first, number = code.part(n, panel, panels)
        start, length = code.part(k, part, parts)
        last = code.add(first, number)
        adds = code.or_(add, code.icmp_signed("!=", part, zero))
        rows = code.at(a, code.mul(start, a1))
        with code.if_then(code.not_(together)), code.each(zero, m, one) as r, code.each(zero, length, one) as q:
            code.store(
                code.load(code.at(rows, code.mul(r, a0), code.mul(q, a1))), code.at(room, code.mul(r, length), q)
            )
        rows, apart = code.select(together, rows, room), code.select(together, a0, length)
        with code.each(first, last, step) as j, code.each(zero, blocks, one) as block:
            i, size = code.part(m, block, blocks)
            place = code.at(c, code.mul(i, c0), code.mul(j, c1))
            left = code.least(step, code.sub(last, j))
            given = [size, code.at(rows, code.mul(i, apart)), apart, code.at(b, code.mul(j, b1), start), b1]
            asked = _shares(code, block, blocks, code.mul(step, b1))
            code.call(code.module.get_global("block_of_dots"), [*given, place, c0, c1, length, left, adds, *asked])
    code.ret_void()


def _shares(code: Lanes, block: Any, blocks: Any, ahead: Any) -> list[Any]:
    """How far ahead a block fetches, column by column: the blocks share out the next ones, so that none waits."""
    shares = (code.sdiv(code.mul(WORD(s), blocks), WORD(columns())) for s in range(columns()))
    return [code.select(code.icmp_signed("==", block, s), ahead, WORD(0)) for s in shares]


def _sums(code: Lanes) -> None:
    """C = A B, where the rows of B lie together; those of C too, or they are put together first."""
    a, a0, a1, b, b0, c, c0, c1, m, n, k, add = code.function.args
    zero, one, width = WORD(0), WORD(1), WORD(columns() * code.lanes)
    room = code.alloca(code.real, ROWS * columns() * code.lanes)
    parts, blocks = code.parts(k, _summed(code, 1)), code.parts(m, ROWS)
    together = code.icmp_signed("==", c1, one)
    with code.each(zero, parts, one) as part:
        start, length = code.part(k, part, parts)
        adds = code.or_(add, code.icmp_signed("!=", part, zero))
        with code.each(zero, n, width) as j, code.each(zero, blocks, one) as block:
            i, size = code.part(m, block, blocks)
            first = code.least(j, code.sub(n, width))
            skip = code.sub(j, first)
            factors = [
                *(size, code.at(a, code.mul(i, a0), code.mul(start, a1)), a0, a1),
                *(code.at(b, code.mul(start, b0), first), b0),
            ]
            place = code.at(c, code.mul(i, c0), code.mul(first, c1))
            block_of_sums = code.module.get_global("block_of_sums")
            with code.if_else(together) as (then, otherwise):
                with then:
                    code.call(block_of_sums, [*factors, place, c0, length, skip, adds])
                with otherwise:
                    code.call(block_of_sums, [*factors, room, width, length, zero, BOOL(0)])
                    with code.each(skip, width, one) as q, code.each(zero, size, one) as r:
                        number = code.at(place, code.mul(r, c0), code.mul(q, c1))
                        before, total = code.load(number), code.load(code.at(room, code.mul(r, width), q))
                        code.store(code.select(adds, code.fadd(before, total), total), number)
    code.ret_void()
