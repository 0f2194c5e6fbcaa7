"""A block of a product in registers: its sums, and where they go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gradc.runtime.lanes import Lanes
from gradc.runtime.native import WORD


def accumulated(code: Lanes, numbers: Iterable[Any], vectors: Sequence[Any], sums: Sequence[Any]) -> list[Any]:
    """The sums, row by row of numbers, with a product more in each.

    Numbers are asked for as their row comes: LLVM holds as many at once as are there, and sums have to give way.
    """
    found: list[Any] = []
    for number in numbers:
        found += [code.fused(number, vector, sums[len(found) + v]) for v, vector in enumerate(vectors)]
    return found


def store(code: Lanes, sums: Sequence[Sequence[Any]], place: Callable[[int, int], Any], adds: Any) -> None:
    """Puts rows of sums into a result, by the place of each vector, or adds them to it."""
    with code.if_else(adds) as (then, otherwise):
        with then:
            for r, row in enumerate(sums):
                for v, total in enumerate(row):
                    code.put(code.fadd(code.vector_at(place(r, v)), total), place(r, v))
        with otherwise:
            for r, row in enumerate(sums):
                for v, total in enumerate(row):
                    code.put(total, place(r, v))


def put_part(
    code: Lanes,
    block: Any,
    width: Any,
    place: Any,
    c0: Any,
    c1: Any,
    rows: tuple[Any, Any],
    columns: tuple[Any, Any],
    adds: Any,
) -> None:
    """Puts rows and columns, from the first below the last, of a block with so wide rows in its place, or adds them."""
    one = WORD(1)
    with code.each(*rows, one) as r, code.each(*columns, one) as q:
        number = code.at(place, code.mul(r, c0), code.mul(q, c1))
        old, new = code.load(number), code.load(code.at(block, code.mul(r, width), q))
        code.store(code.select(adds, code.fadd(old, new), new), number)
