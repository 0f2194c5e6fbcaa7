"""Products of large matrices, a panel of columns at a time, while the next panel is asked for from memory.

Blocks of the result are so large that multiplications outweigh loads, and so small that all of it stays in registers.
Their columns are vectors of rows of B, their rows numbers of A. Both are read as they lie, but for a B whose columns
lie together: of that one panel is copied at a time. BLAS copies all of both, a sixth of its time where rows are few.
"""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir

from gradc.runtime.lanes import Lanes, register
from gradc.runtime.native import BOOL, NOTHING, WORD
from gradc.runtime.registers import write_sums

VECTORS = 3
"""The most vectors of a row of a block."""
SUMMED, TALL = 512, 512
"""How much of the axis that is summed, and how many rows of A, are taken at a time: what fits in L2."""
COPIED = 192
"""How much of the axis that is summed is copied at a time: 36 kilobytes, since the copy is on a thread's stack."""
LARGE, SHORT = 1 << 20, 256
"""The fewest multiplications of a product, and the longest that its shortest axis may be, for panels to pay."""
LINE = 64
"""Bytes that memory gives at once."""


def rows() -> tuple[int, int]:
    """How many rows a block has: there are half as many registers where they are shorter."""
    return (4, 8) if register() == 64 else (2, 4)


def write(module: ir.Module, real: Any) -> None:
    """`void panels(a, a0, a1, b, b0, b1, c, c0, m, n, k, add)`, as in `gradc.runtime.matrices`."""
    pointer = real.as_pointer()
    block = (WORD, pointer, WORD, WORD, pointer, WORD, pointer, WORD, WORD, WORD, WORD, BOOL, pointer, WORD, WORD)
    for vectors in range(1, VECTORS + 1):
        _block(Lanes(module, f"block_of_{vectors}", real, NOTHING, *block, public=False), vectors)
    _copy(Lanes(module, "copied", real, NOTHING, pointer, WORD, WORD, WORD, pointer, public=False))
    product = (*(pointer, WORD, WORD) * 2, pointer, WORD, WORD, WORD, WORD, BOOL)
    _panels(Lanes(module, "panels", real, NOTHING, *product, public=False))


def pays(code: Lanes, b0: Any, b1: Any, m: Any, n: Any, k: Any) -> Any:
    """Whether such a product pays: BLAS does without copies for small ones, and is as fast for large ones.

    A block must fit in, and one axis of B be without gaps.
    """
    sizes = (m, max(rows())), (n, VECTORS * code.lanes), (k, code.lanes), (code.mul(m, code.mul(n, k)), LARGE)
    tests = [code.icmp_signed(">=", size, WORD(least)) for size, least in sizes]
    tests.append(code.icmp_signed("<=", code.least(m, code.least(n, k)), WORD(SHORT)))
    tests.append(code.or_(*(code.icmp_signed("==", stride, WORD(1)) for stride in (b0, b1))))
    return functools.reduce(code.and_, tests)


def _block(code: Lanes, vectors: int) -> None:
    """A block of sums; meanwhile it asks for what lies `ahead`, and for the block's own place.

    What lies ahead is asked for once a turn, at two strides: of eight turns, and of all eights times 8.
    """
    *block, ahead, inner, outer = code.function.args

    def meanwhile(at: Any) -> None:
        rest = code.and_(at, WORD(7))
        code.fetch(code.at(ahead, code.mul(rest, inner), code.mul(code.sub(at, rest), outer)))

    write_sums(code, rows(), vectors, block, first=code.fetch, meanwhile=meanwhile)


def _copy(code: Lanes) -> None:
    """`length` rows of a panel of so many vectors, whose columns lie together: its rows lie together then."""
    b, b1, vectors, length, out = code.function.args
    lanes, width = WORD(code.lanes), WORD(VECTORS * code.lanes)
    with code.each(WORD(0), length, lanes) as p, code.each(WORD(0), vectors, WORD(1)) as v:
        first = code.least(p, code.sub(length, lanes))
        columns = code.at(b, first, code.mul(code.mul(v, lanes), b1))
        place = code.at(out, code.mul(first, width), code.mul(v, lanes))
        found = [code.vector_at(code.at(columns, code.mul(WORD(r), b1))) for r in range(code.lanes)]
        for r, row in enumerate(code.transposed(found)):
            code.put(row, code.at(place, WORD(r * VECTORS * code.lanes)))
    code.ret_void()


def _panels(code: Lanes) -> None:
    a, a0, a1, b, b0, b1, c, c0, m, n, k, add = code.function.args
    zero, one, lanes, width = (WORD(x) for x in (0, 1, code.lanes, VECTORS * code.lanes))
    few, many = map(WORD, rows())
    room = code.alloca(code.real, COPIED * VECTORS * code.lanes)
    room.align = LINE
    by_rows = code.icmp_signed("==", b1, one)
    parts = code.select(by_rows, code.parts(k, SUMMED), code.parts(k, COPIED))
    stretches = code.parts(m, TALL)
    # the blocks share out the panel to come: a line of each row, or eight columns
    inner = code.select(by_rows, b0, b1)
    share = code.select(by_rows, WORD(8 * LINE // code.bits), code.mul(WORD(8), b1))
    with code.each(zero, parts, one) as part, code.each(zero, stretches, one) as stretch:
        start, length = code.part(k, part, parts)
        top, height = code.part(m, stretch, stretches)
        adds = code.or_(add, code.icmp_signed("!=", part, zero))
        with code.each(zero, n, width) as j:
            vectors = code.least(WORD(VECTORS), code.parts(code.sub(n, j), code.lanes))
            first = code.least(j, code.sub(n, code.mul(vectors, lanes)))
            given = code.at(b, code.mul(start, b0), code.mul(first, b1))
            following = code.at(given, code.mul(width, b1))
            with code.if_then(code.not_(by_rows)):
                code.call(code.module.get_global("copied"), [given, b1, vectors, length, room])
            panel, apart = code.select(by_rows, given, room), code.select(by_rows, b0, width)

            def write(vectors: int) -> None:
                function = code.module.get_global(f"block_of_{vectors}")
                with code.each(zero, height, many) as i:
                    left = code.sub(height, i)
                    size = code.select(code.less(few, left), many, few)
                    row = code.least(i, code.sub(height, size))
                    done = code.sub(i, row), code.sub(j, first)
                    row = code.add(top, row)
                    ours = code.at(a, code.mul(row, a0), code.mul(start, a1))
                    place = code.at(c, code.mul(row, c0), first)
                    ahead = code.at(following, code.mul(code.and_(code.sdiv(i, many), WORD(3)), share))
                    products = [size, ours, a0, a1, panel, apart, place, c0, length, *done, adds]
                    code.call(function, [*products, ahead, inner, b0])

            code.known(vectors, range(1, VECTORS + 1), write)
    code.ret_void()
