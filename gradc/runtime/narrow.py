"""Products of matrices whose result has few rows: the large factor streams by once, while registers hold the result.

BLAS copies its factors before it multiplies, which few rows do not repay, and waits for memory while it does. Here
blocks of the result are so large that multiplications outweigh loads, and so small that all of it stays in registers;
what comes next is asked for from memory meanwhile.
"""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir

from gradc.runtime.lanes import Lanes, register
from gradc.runtime.native import BOOL, NOTHING, WORD, engine

ROWS = 5
"""The most rows of a block."""
LONG = 16
"""Vectors that an axis must have to be worth it: up to two are loaded at its end for the sake of one number."""
MOST = 32
"""The most rows of a result."""
SUMMED = 1024, 128
"""How much of the axis that is summed is taken at a time, of scalar products and of sums of rows: what fits in L1."""
SYMBOLS = {64: "gradc_narrow_d", 32: "gradc_narrow_s"}
"""`bool narrow(a, a0, a1, b, b0, b1, c, c0, m, n, k, add)` by the bits of a number: C = A B, added to C or not.

Strides are in numbers, those of C's columns 1. False, and nothing done, if blocks do not pay for such a product.
"""


def columns() -> int:
    """The most columns of a block, of numbers or vectors: there are half as many registers where they are shorter."""
    return 4 if register() == 64 else 2


@functools.cache
def address(bits: int) -> int:
    """Where the function of `SYMBOLS` is. Its machine code is made when a process first asks for it."""
    made = engine(text(bits))
    _kept.append(made)
    found: int = made.get_function_address(SYMBOLS[bits])
    return found


_kept: list[Any] = []


def text(bits: int) -> str:
    module = ir.Module(SYMBOLS[bits])
    real = ir.DoubleType() if bits == 64 else ir.FloatType()
    pointer = real.as_pointer()
    dots = (WORD, pointer, WORD, pointer, WORD, pointer, WORD, WORD, WORD, WORD, BOOL, *[WORD] * columns())
    sums = (WORD, pointer, WORD, WORD, pointer, WORD, pointer, WORD, WORD, WORD, BOOL)
    product = (pointer, WORD, WORD, pointer, WORD, pointer, WORD, WORD, WORD, WORD, WORD, BOOL)
    if register():
        for name, write, arguments in (
            ("block_of_dots", _block_of_dots, dots),
            ("block_of_sums", _block_of_sums, sums),
            ("dots", _dots, product),
            ("sums", _sums, product),
        ):
            write(Lanes(module, name, real, NOTHING, *arguments, public=False))
    _narrow(Lanes(module, SYMBOLS[bits], real, BOOL, *(pointer, WORD, WORD) * 2, pointer, WORD, WORD, WORD, WORD, BOOL))
    return str(module)


def _block_of_dots(code: Lanes) -> None:
    """Scalar products of some rows of A and `left` rows of B, of `length`, stored by the strides of C.

    The last vectors are loaded so that they end with the rows. What lies `ahead` of those of B is fetched.
    """
    size, a, a0, b, b0, c, c0, c1, length, left, adds, *ahead = code.function.args
    lanes = WORD(code.lanes)
    chosen = [code.least(WORD(s), code.sub(left, WORD(1))) for s in range(columns())]
    theirs = [code.at(b, code.mul(s, b0)) for s in chosen]

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
        sums = multiplied(code.sub(length, lanes), sums, code.from_lane(code.sub(lanes, over)))
        for s in range(columns()):
            with code.if_then(code.less(WORD(s), left)):
                for r in range(rows):
                    place = code.at(c, code.mul(WORD(r), c0), code.mul(WORD(s), c1))
                    before, total = code.load(place), code.sum(sums[r * columns() + s])
                    code.store(code.select(adds, code.fadd(before, total), total), place)

    code.known(size, ROWS, write)
    code.ret_void()


def _block_of_sums(code: Lanes) -> None:
    """Sums of `length` rows of B times numbers of some rows of A; the first `skip` columns of C are left alone."""
    size, a, a0, a1, b, b0, c, c0, length, skip, adds = code.function.args
    offsets = [WORD(v * code.lanes) for v in range(columns())]

    def write(rows: int) -> None:
        ours = [code.at(a, code.mul(WORD(r), a0)) for r in range(rows)]

        def turn(at: Any, sums: list[Any]) -> list[Any]:
            x = [code.vector_at(code.at(b, code.mul(at, b0), offset)) for offset in offsets]
            w = [code.spread(code.load(code.at(p, code.mul(at, a1)))) for p in ours]
            return [code.fused(w[k // columns()], x[k % columns()], total) for k, total in enumerate(sums)]

        sums = code.carried(length, 1, [code.zero] * rows * columns(), turn)
        everywhere = code.spread(adds)
        for v, offset in enumerate(offsets):
            new = code.from_lane(code.sub(skip, offset))
            for r in range(rows):
                place = code.at(c, code.mul(WORD(r), c0), offset)
                before, total = code.vector_at(place), sums[r * columns() + v]
                total = code.select(everywhere, code.fadd(before, total), total)
                code.put(code.select(new, total, before), place)

    code.known(size, ROWS, write)
    code.ret_void()


def _dots(code: Lanes) -> None:
    """C = A B, where the columns of B lie together; so do rows of A, once they are copied if they do not."""
    a, a0, a1, b, b1, c, c0, c1, m, n, k, add = code.function.args
    zero, one, step = WORD(0), WORD(1), WORD(columns())
    room = code.alloca(code.real, ROWS * SUMMED[0])
    parts, blocks = code.parts(k, SUMMED[0]), code.parts(m, ROWS)
    together = code.icmp_signed("==", a1, one)
    panel = code.select(together, step, n)  # what is copied is used for all columns
    with code.each(zero, n, panel) as first, code.each(zero, parts, one) as part:
        start, length = code.part(k, part, parts)
        last = code.least(code.add(first, panel), n)
        adds = code.or_(add, code.icmp_signed("!=", part, zero))
        with code.each(zero, blocks, one) as block:
            i, size = code.part(m, block, blocks)
            rows = code.at(a, code.mul(i, a0), code.mul(start, a1))
            with code.if_then(code.not_(together)), code.each(zero, size, one) as r, code.each(zero, length, one) as q:
                number = code.load(code.at(rows, code.mul(r, a0), code.mul(q, a1)))
                code.store(number, code.at(room, code.mul(r, length), q))
            rows, apart = code.select(together, rows, room), code.select(together, a0, length)
            with code.each(first, last, step) as j:
                place = code.at(c, code.mul(i, c0), code.mul(j, c1))
                left = code.least(step, code.sub(last, j))
                given = [size, rows, apart, code.at(b, code.mul(j, b1), start), b1, place, c0, c1, length, left]
                code.call(code.module.get_global("block_of_dots"), [*given, adds, *_shares(code, block, blocks, b1)])
    code.ret_void()


def _shares(code: Lanes, block: Any, blocks: Any, apart: Any) -> list[Any]:
    """How far ahead a block fetches, column by column: the blocks share out the next ones, so that none waits."""
    step = WORD(columns())
    shares = (code.sdiv(code.mul(WORD(s), blocks), step) for s in range(columns()))
    return [code.select(code.icmp_signed("==", block, s), code.mul(step, apart), WORD(0)) for s in shares]


def _sums(code: Lanes) -> None:
    """C = A B, where the rows of B lie together; those of C too, or they are put together first."""
    a, a0, a1, b, b0, c, c0, c1, m, n, k, add = code.function.args
    zero, one, width = WORD(0), WORD(1), WORD(columns() * code.lanes)
    room = code.alloca(code.real, ROWS * columns() * code.lanes)
    parts, blocks = code.parts(k, SUMMED[1]), code.parts(m, ROWS)
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


def _narrow(code: Lanes) -> None:
    """Chooses what to do with the product as it is, or with the transposed product of the transposed factors."""
    a, a0, a1, b, b0, b1, c, c0, m, n, k, add = code.function.args
    one = WORD(1)
    if register():
        for x, x0, x1, y, y0, y1, z0, z1, rows, length in (
            (a, a0, a1, b, b0, b1, c0, one, m, n),
            (b, b1, b0, a, a1, a0, one, c0, n, m),
        ):
            few = code.and_(code.icmp_signed("<=", rows, WORD(MOST)), code.less(WORD(0), k))
            for name, stride, apart, long in (("dots", y0, y1, k), ("sums", y1, y0, length)):
                pays = code.and_(
                    code.icmp_signed("==", stride, one), code.icmp_signed(">=", long, WORD(LONG * code.lanes))
                )
                with code.if_then(code.and_(few, pays)):
                    code.call(code.module.get_global(name), [x, x0, x1, y, apart, c, z0, z1, rows, length, k, add])
                    code.ret(BOOL(1))
    code.ret(BOOL(0))
