"""Products of large matrices: blocks of the result in registers, made of factors that are copied into lines.

Blocks are so large that multiplications outweigh loads, and so small that all of a block stays in registers. Its
columns are vectors of rows of B, its rows numbers of A. What a turn of its sums needs lies together, in the order of
turns: a line of numbers of A, one of vectors of B. So much of A is copied as fits in L2, and a panel of columns of B at
a time, which fits in L1; meanwhile the next panel is asked for from memory.
"""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir

from gradc.runtime.lanes import LINE, Lanes, register
from gradc.runtime.native import BOOL, NOTHING, WORD
from gradc.runtime.registers import accumulated, put_part, store

VECTORS = 3
"""The most vectors of a row of a block."""
SUMMED, TALL = 200, 128
"""How much of the axis that is summed, and how many rows of A, are copied at a time."""
LARGE, SHORT = 1 << 20, 256
"""The fewest multiplications of a product, and the longest that its shortest axis may be, for panels to pay."""
TURNS = 8
"""Turns of a block's sums that are written out."""


def rows() -> int:
    """How many rows a block has: there are half as many registers where they are shorter."""
    return 8 if register() == 64 else 4


def write(module: ir.Module, real: Any) -> None:
    """`bool panels(a, a0, a1, b, b0, b1, c, c0, m, n, k, add)`, as in `gradc.runtime.matrices`."""
    pointer = real.as_pointer()
    block = (pointer, pointer, pointer, WORD, WORD, BOOL, pointer, WORD, WORD)
    for vectors in range(1, VECTORS + 1):
        _block(Lanes(module, f"block_of_{vectors}", real, NOTHING, *block, public=False), vectors)
    _copy(Lanes(module, "copied", real, NOTHING, pointer, WORD, WORD, WORD, WORD, WORD, pointer, public=False))
    product = (*(pointer, WORD, WORD) * 2, pointer, WORD, WORD, WORD, WORD, BOOL)
    _panels(Lanes(module, "panels", real, BOOL, *product, public=False))


def pays(code: Lanes, a0: Any, a1: Any, b0: Any, b1: Any, m: Any, n: Any, k: Any) -> Any:
    """Whether such a product pays: BLAS is as fast for small ones, and for large ones.

    A block must fit in, and each factor have an axis without gaps.
    """
    sizes = (
        (m, code.lanes),
        (n, VECTORS * code.lanes),
        (k, max(TURNS, code.lanes)),
        (code.mul(m, code.mul(n, k)), LARGE),
    )
    tests = [code.icmp_signed(">=", size, WORD(least)) for size, least in sizes]
    tests.append(code.icmp_signed("<=", code.least(m, code.least(n, k)), WORD(SHORT)))
    for strides in ((a0, a1), (b0, b1)):
        tests.append(code.or_(*(code.icmp_signed("==", stride, WORD(1)) for stride in strides)))
    return functools.reduce(code.and_, tests)


def _block(code: Lanes, vectors: int) -> None:
    """A block of sums over lines of A and B; meanwhile it asks for what lies `ahead`, and for the block's own place.

    What lies ahead is asked for at two places in eight turns, `inner` apart, at a stride of `outer` a turn.
    """
    ours, panel, c, c0, length, adds, ahead, inner, outer = code.function.args

    def place(row: int, vector: int) -> Any:
        return code.at(c, code.mul(WORD(row), c0), WORD(vector * code.lanes))

    for row in range(rows()):
        for vector in range(vectors):
            code.fetch(place(row, vector))

    def turn(at: Any, number: int | None, sums: list[Any]) -> list[Any]:
        if number in (0, TURNS // 2):
            code.fetch(code.at(ahead, code.mul(code.sub(at, WORD(number)), outer), inner if number else WORD(0)))
        theirs = code.at(panel, code.mul(at, WORD(VECTORS * code.lanes)))
        x = [code.vector_at(code.at(theirs, WORD(v * code.lanes))) for v in range(vectors)]
        line = code.at(ours, code.mul(at, WORD(code.lanes)))
        return accumulated(code, (code.spread(code.load(code.at(line, WORD(r)))) for r in range(rows())), x, sums)

    sums = code.unrolled(length, 1, TURNS, [code.zero] * rows() * vectors, turn)
    by_rows = [sums[r * vectors : (r + 1) * vectors] for r in range(rows())]
    store(code, by_rows, place, adds)
    code.ret_void()


def _copy(code: Lanes) -> None:
    """`length` lines of `vectors` vectors each, of `width` numbers: what lies `along` becomes line after line.

    The numbers of a line lie `across`; one of these strides is 1.
    """
    source, along, across, vectors, length, width, out = code.function.args
    zero, one, lanes = WORD(0), WORD(1), WORD(code.lanes)
    with code.if_else(code.icmp_signed("==", across, one)) as (then, otherwise):
        with then, code.each(zero, length, one) as p, code.each(zero, vectors, one) as v:
            offset = code.mul(v, lanes)
            vector = code.vector_at(code.at(source, code.mul(p, along), offset))
            code.put(vector, code.at(out, code.mul(p, width), offset))
        with otherwise, code.each(zero, length, lanes) as p, code.each(zero, vectors, one) as v:
            first = code.least(p, code.sub(length, lanes))
            columns = code.at(source, first, code.mul(code.mul(v, lanes), across))
            place = code.at(out, code.mul(first, width), code.mul(v, lanes))
            found = [code.vector_at(code.at(columns, code.mul(WORD(r), across))) for r in range(code.lanes)]
            for r, row in enumerate(code.transposed(found)):
                code.put(row, code.at(place, code.mul(WORD(r), width)))
    code.ret_void()


def _panels(code: Lanes) -> None:
    """False, and nothing done, if there is no memory for the copies."""
    a, a0, a1, b, b0, b1, c, c0, m, n, k, add = code.function.args
    zero, one, lanes, width = (WORD(x) for x in (0, 1, code.lanes, VECTORS * code.lanes))
    copied = code.module.get_global("copied")
    room = code.alloca(code.real, rows() * VECTORS * code.lanes)
    most = (VECTORS * code.lanes + TALL + code.lanes) * SUMMED
    memory = code.reserved(WORD(most * code.bits // 8 + LINE), BOOL(0))
    panel = code.line_in(memory, LINE)
    ours = code.at(panel, WORD(VECTORS * code.lanes * SUMMED))
    by_rows = code.icmp_signed("==", b1, one)
    parts, stretches = code.parts(k, SUMMED), code.parts(m, TALL)
    with code.each(zero, parts, one) as part, code.each(zero, stretches, one) as stretch:
        start, length = code.part(k, part, parts)
        top, height = code.part(m, stretch, stretches)
        adds = code.or_(add, code.icmp_signed("!=", part, zero))
        last = code.sub(height, lanes)
        with code.each(zero, height, lanes) as i:
            first = code.at(a, code.mul(code.add(top, code.least(i, last)), a0), code.mul(start, a1))
            code.call(copied, [first, a1, a0, one, length, lanes, code.at(ours, code.mul(i, length))])
        with code.each(zero, n, width) as j:
            vectors = code.least(WORD(VECTORS), code.parts(code.sub(n, j), code.lanes))
            left = code.least(j, code.sub(n, code.mul(vectors, lanes)))
            given = code.at(b, code.mul(start, b0), code.mul(left, b1))
            code.call(copied, [given, b0, b1, vectors, length, width, panel])
            following = code.at(given, code.mul(width, b1))

            def write(vectors: int) -> None:
                function = code.module.get_global(f"block_of_{vectors}")
                with code.each(zero, height, lanes) as i, code.each(zero, lanes, WORD(rows())) as r:
                    row = code.add(code.least(i, last), r)
                    place = code.at(c, code.mul(code.add(top, row), c0), left)
                    numbers = code.at(ours, code.mul(i, length), r)
                    ahead = _ahead(code, code.sdiv(code.add(i, r), WORD(rows())), by_rows, b0, b1)
                    asked = code.at(following, ahead), code.select(by_rows, b0, b1), b0
                    above, before = code.sub(i, row), code.sub(j, left)
                    new = code.and_(code.icmp_signed("<=", above, zero), code.icmp_signed("==", before, zero))
                    with code.if_else(new) as (then, otherwise):
                        with then:
                            code.call(function, [numbers, panel, place, c0, length, adds, *asked])
                        with otherwise:
                            code.call(function, [numbers, panel, room, width, length, BOOL(0), *asked])
                            ends = (code.most(above, zero), WORD(rows())), (before, WORD(vectors * code.lanes))
                            put_part(code, room, width, place, c0, one, *ends, adds)

            code.known(vectors, range(1, VECTORS + 1), write)
    code.released(memory)
    code.ret(BOOL(1))


def _ahead(code: Lanes, block: Any, by_rows: Any, b0: Any, b1: Any) -> Any:
    """Where a block begins to ask for the panel to come: the blocks share out the lines of eight rows, or columns."""
    share = code.mul(block, WORD(2))
    eights = code.and_(code.sdiv(share, WORD(8)), WORD(3))
    beside = code.mul(eights, code.select(by_rows, WORD(8 * LINE // code.bits), code.mul(WORD(8), b1)))
    return code.add(code.mul(code.and_(share, WORD(7)), code.select(by_rows, b0, b1)), beside)
