"""A block of a product in registers: vectors of rows of B times numbers of rows of A, added up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gradc.runtime.lanes import Lanes
from gradc.runtime.native import WORD


def write_sums(
    code: Lanes,
    sizes: Iterable[int],
    vectors: int,
    block: Sequence[Any],
    first: Callable[[Any], None] = lambda place: None,
    meanwhile: Callable[[Any], None] = lambda at: None,
) -> None:
    """The body of a function with the arguments `size, a, a0, a1, b, b0, c, c0, length, above, before, adds`.

    C = sums of `length` rows of B times numbers of `size` rows of A, one of `sizes`; added to C or not. The rows of C
    `above` and its columns `before` are left alone: they are there already. `first` is done with each vector's place in
    C, `meanwhile` at each turn.
    """
    size, a, a0, a1, b, b0, c, c0, length, above, before, adds = block
    offsets = [WORD(v * code.lanes) for v in range(vectors)]

    def write(rows: int) -> None:
        ours = [code.at(a, code.mul(WORD(r), a0)) for r in range(rows)]
        places = [[code.at(c, code.mul(WORD(r), c0), offset) for offset in offsets] for r in range(rows)]
        for place in (p for row in places for p in row):
            first(place)

        def turn(at: Any, sums: list[Any]) -> list[Any]:
            meanwhile(at)
            x = [code.vector_at(code.at(b, code.mul(at, b0), offset)) for offset in offsets]
            w = [code.spread(code.load(code.at(p, code.mul(at, a1)))) for p in ours]
            return [code.fused(w[k // vectors], x[k % vectors], total) for k, total in enumerate(sums)]

        sums = code.carried(length, 1, [code.zero] * rows * vectors, turn)
        everywhere = code.spread(adds)
        new = [code.from_lane(code.sub(before, offset)) for offset in offsets]
        for r in range(rows):
            with code.if_then(code.icmp_signed("<=", above, WORD(r))):
                for v, place in enumerate(places[r]):
                    old, total = code.vector_at(place), sums[r * vectors + v]
                    total = code.select(everywhere, code.fadd(old, total), total)
                    code.put(code.select(new[v], total, old), place)

    code.known(size, sizes, write)
    code.ret_void()
