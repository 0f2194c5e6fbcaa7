"""What the machine allows: data can be moved, and numbers multiplied, only so fast.

A bound is measured in the rounds of the race it belongs to, by code that does that part of the work and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numba
import numpy as np

SIDE = 1024
"""Of the square matrices whose product gives the rate of multiplications."""


@dataclass(frozen=True)
class Bound:
    """`run` is timed; the bound is `factor` times what it takes."""

    text: str
    run: Callable[[], Any]
    factor: float = 1.0


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def moved(read: int, written: int = 0) -> Bound:
    """So many bytes read and written once, by all cores, from and to arrays of just these sizes."""
    parts = cores()
    source, target = np.ones(read // 8), np.ones(written // 8)
    pairs = list(zip(np.array_split(source, parts), np.array_split(target, parts), strict=True))

    def run() -> float:
        return float(sum(_pool(parts).map(_sweep, *zip(*pairs, strict=True))))

    text = f"{read / 1e6:.0f} MB read" + (f", {written / 1e6:.0f} MB written" if written else "")
    return Bound(f"{text}, once", run)


def multiplied(flops: float) -> Bound:
    """So many floating point operations at the rate of NumPy's product of square matrices."""
    a = np.ones((SIDE, SIDE))
    return Bound(
        f"{flops / 1e6:.3g} Mflop at dgemm's rate",
        partial(np.dot, a, a, np.empty_like(a)),
        flops / (2 * SIDE**3),
    )


def called(*arguments: float) -> Bound:
    """The call, from Python, of a compiled function that returns its arguments."""
    return Bound("the call of a compiled function that does nothing", partial(_nothing, *arguments))


def worked(times: int) -> Callable[[], Any]:
    """The same arithmetic so many times, on as many threads: where they are cores, it takes as long as once."""
    numbers = [np.ones(1024)] * times
    return lambda: list(_pool(times).map(_squares, numbers))


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers)


@numba.njit(nogil=True, fastmath=True)
def _sweep(source: Any, target: Any) -> Any:
    total = 0.0
    for i in range(source.size):
        total += source[i]
    for i in range(target.size):
        target[i] = 1.0
    return total


@numba.njit(nogil=True, fastmath=True)
def _squares(numbers: Any) -> Any:
    total = 0.0
    for _ in range(10_000):
        for x in numbers:
            total += x * x
        numbers[0] = 1.0 + 1e-300 * total
    return total


@numba.njit
def _nothing(*arguments: Any) -> Any:
    return arguments
