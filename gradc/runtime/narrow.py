"""Products of matrices whose result has few rows: the large factor streams by once, while registers hold the result.

BLAS copies its factors before it multiplies, which few rows do not repay, and waits for memory while it does. Here
blocks of the result are so large that multiplications outweigh loads, and so small that all of it stays in registers;
what comes next is asked for from memory meanwhile.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from gradc.runtime.lanes import LINE, Lanes, register
from gradc.runtime.native import BOOL, NOTHING, WORD
from gradc.runtime.registers import accumulated, put_part, store

ROWS = 5
"""The most rows of a block."""
LONG = 16
"""Vectors that an axis must have to be worth it: up to two are loaded at its end for the sake of one number."""
MOST = 32
"""The most rows of a result."""
SUMMED = 50, 16
"""Vectors full of the axis summed that are taken at a time, for scalar products and for sums of rows.

Rows of A fit in L1 so, and rows of B on as many pages as it knows the places of.
"""
TURNS = 4
"""Turns that are written out, of a block's sums of rows."""
PANEL = 96
"""How many columns have scalar products with a part of A before the next part of it is taken."""


def columns() -> int:
    """The most columns of a block, of numbers or vectors: there are half as many registers where they are shorter."""
    return 4 if register() == 64 else 2


def write(module: ir.Module, real: Any) -> None:
    """`bool dots(...)` and `sums(...)`, of the products whose B has columns, or rows, that lie together.

    They take `a, a0, a1, b, stride, c, c0, c1, m, n, k, add` as in `gradc.runtime.matrices`; the stride is B's other.
    """
    pointer = real.as_pointer()
    dots = (WORD, pointer, WORD, pointer, WORD, pointer, WORD, WORD, WORD, WORD, BOOL, *[WORD] * columns())
    sums = (WORD, pointer, WORD, pointer, WORD, pointer, WORD, WORD, BOOL)
    copied = (pointer, WORD, WORD, WORD, WORD, pointer, WORD, WORD)
    product = (pointer, WORD, WORD, pointer, WORD, pointer, WORD, WORD, WORD, WORD, WORD, BOOL)
    for name, written, result, arguments in (
        ("block_of_dots", _block_of_dots, NOTHING, dots),
        ("block_of_sums", _block_of_sums, NOTHING, sums),
        ("copied_rows", _copy, NOTHING, copied),
        ("dots", _dots, BOOL, product),
        ("sums", _sums, BOOL, product),
    ):
        written(Lanes(module, name, real, result, *arguments, public=False))


def pays(code: Lanes, rows: Any, summed: Any, stride: Any, long: Any) -> Any:
    """Whether it does for a result of so few rows, and a B that is long along the axis of this stride."""
    few = code.and_(code.icmp_signed("<=", rows, WORD(MOST)), code.less(WORD(0), summed))
    enough = code.icmp_signed(">=", long, WORD(LONG * code.lanes))
    return code.and_(few, code.and_(code.icmp_signed("==", stride, WORD(1)), enough))


def _summed(code: Lanes, way: int) -> int:
    return SUMMED[way] * code.lanes


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
            return accumulated(code, map(loaded, ours), x, sums)

        def turn(at: Any, number: int | None, sums: list[Any]) -> list[Any]:
            if not number:  # of the turns that a line is good for
                for p, offset in zip(theirs, ahead, strict=True):
                    code.fetch(code.at(p, at, offset))
            return multiplied(at, sums)

        over = code.srem(length, lanes)
        sums = code.unrolled(
            code.sub(length, over), code.lanes, LINE // register(), [code.zero] * rows * columns(), turn
        )

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
    """Sums of `length` rows of B times numbers of some rows of A; these lie together, `apart` from one turn's to the
    next's.
    """
    size, a, apart, b, b0, c, c0, length, adds = code.function.args
    offsets = [WORD(v * code.lanes) for v in range(columns())]

    def write(rows: int) -> None:
        def turn(at: Any, number: int | None, sums: list[Any]) -> list[Any]:
            line, row = code.at(a, code.mul(at, apart)), code.at(b, code.mul(at, b0))
            vectors = [code.vector_at(code.at(row, offset)) for offset in offsets]
            numbers = (code.spread(code.load(code.at(line, WORD(r)))) for r in range(rows))
            return accumulated(code, numbers, vectors, sums)

        sums = code.unrolled(length, 1, TURNS, [code.zero] * rows * columns(), turn)
        by_rows = [sums[r * columns() : (r + 1) * columns()] for r in range(rows)]
        store(code, by_rows, lambda r, v: code.at(c, code.mul(WORD(r), c0), offsets[v]), adds)

    code.known(size, range(1, ROWS + 1), write)
    code.ret_void()


def _copy(code: Lanes) -> None:
    """So many rows of A, of `length`: its numbers lie `row` apart, those of one row `column`."""
    a, a0, a1, rows, length, out, row, column = code.function.args
    zero, one = WORD(0), WORD(1)
    with code.each(zero, rows, one) as r, code.each(zero, length, one) as q:
        number = code.load(code.at(a, code.mul(r, a0), code.mul(q, a1)))
        code.store(number, code.at(out, code.mul(r, row), code.mul(q, column)))
    code.ret_void()


def _dots(code: Lanes) -> None:
    """C = A B, where the columns of B lie together; so do rows of A, once they are copied if they do not.

    False, and nothing done, if there is no memory for that; as `_sums`.
    """
    a, a0, a1, b, b1, c, c0, c1, m, n, k, add = code.function.args
    zero, one, step = WORD(0), WORD(1), WORD(columns())
    panels, parts, blocks = code.parts(n, PANEL), code.parts(k, _summed(code, 0)), code.parts(m, ROWS)
    together = code.icmp_signed("==", a1, one)
    room = _room(code, code.select(together, zero, m), _summed(code, 0))
    with code.each(zero, panels, one) as panel, code.each(zero, parts, one) as part:
        first, number = code.part(n, panel, panels)
        start, length = code.part(k, part, parts)
        last = code.add(first, number)
        adds = code.or_(add, code.icmp_signed("!=", part, zero))
        rows = code.at(a, code.mul(start, a1))
        with code.if_then(code.not_(together)):
            code.call(code.module.get_global("copied_rows"), [rows, a0, a1, m, length, room, length, one])
        rows, apart = code.select(together, rows, room), code.select(together, a0, length)
        with code.each(first, last, step) as j, code.each(zero, blocks, one) as block:
            i, size = code.part(m, block, blocks)
            place = code.at(c, code.mul(i, c0), code.mul(j, c1))
            left = code.least(step, code.sub(last, j))
            given = [size, code.at(rows, code.mul(i, apart)), apart, code.at(b, code.mul(j, b1), start), b1]
            asked = _shares(code, block, blocks, code.mul(step, b1))
            code.call(code.module.get_global("block_of_dots"), [*given, place, c0, c1, length, left, adds, *asked])
    code.released(room)
    code.ret(BOOL(1))


def _shares(code: Lanes, block: Any, blocks: Any, ahead: Any) -> list[Any]:
    """How far ahead a block fetches, column by column: the blocks share out the next ones, so that none waits."""
    shares = (code.sdiv(code.mul(WORD(s), blocks), WORD(columns())) for s in range(columns()))
    return [code.select(code.icmp_signed("==", block, s), ahead, WORD(0)) for s in shares]


def _sums(code: Lanes) -> None:
    """C = A B, where the rows of B lie together; those of C too, or they are put together first."""
    a, a0, a1, b, b0, c, c0, c1, m, n, k, add = code.function.args
    zero, one, width = WORD(0), WORD(1), WORD(columns() * code.lanes)
    block_of_sums = code.module.get_global("block_of_sums")
    corner = code.alloca(code.real, ROWS * columns() * code.lanes)
    parts, blocks = code.parts(k, _summed(code, 1)), code.parts(m, ROWS)
    together = code.icmp_signed("==", c1, one)
    numbers = _room(code, m, _summed(code, 1))
    with code.each(zero, parts, one) as part:
        start, length = code.part(k, part, parts)
        adds = code.or_(add, code.icmp_signed("!=", part, zero))
        copied = [code.at(a, code.mul(start, a1)), a0, a1, m, length, numbers, one, m]
        code.call(code.module.get_global("copied_rows"), copied)
        with code.each(zero, n, width) as j, code.each(zero, blocks, one) as block:
            i, size = code.part(m, block, blocks)
            first = code.least(j, code.sub(n, width))
            factors = size, code.at(numbers, i), m, code.at(b, code.mul(start, b0), first), b0
            place = code.at(c, code.mul(i, c0), code.mul(first, c1))
            before = code.sub(j, first)
            with code.if_else(code.and_(together, code.icmp_signed("==", before, zero))) as (then, otherwise):
                with then:
                    code.call(block_of_sums, [*factors, place, c0, length, adds])
                with otherwise:
                    code.call(block_of_sums, [*factors, corner, width, length, BOOL(0)])
                    put_part(code, corner, width, place, c0, c1, (zero, size), (before, width), adds)
    code.released(numbers)
    code.ret(BOOL(1))


def _room(code: Lanes, rows: Any, most: int) -> Any:
    """Memory for rows of so many numbers at most."""
    return code.bitcast(code.reserved(code.mul(rows, WORD(most * code.bits // 8)), BOOL(0)), code.real.as_pointer())
