"""How cost grows: of a row with the number of rows, of an operation with the length of the expression."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import gradc
from benchmarks.race import interleaved
from benchmarks.rows import LOGISTIC, logistic_inputs
from benchmarks.scalar import point, program, random_operations

FEATURES = 10


@dataclass
class Step:
    """A size, the seconds a call takes there, and those from the text to the first gradient."""

    size: int
    call: float
    first: float | None = None


def of_rows(sizes: Sequence[int] = (10**3, 10**4, 10**5, 10**6, 10**7), rounds: int = 31) -> list[Step]:
    """Value and gradient of the logistic loss, compiled once for all sizes."""
    w, b, x, t = logistic_inputs(max(sizes), FEATURES)
    function = gradc.compile(LOGISTIC)
    runs = {n: partial(function.value_and_grad, w, b, x[:n], t[:n]) for n in sizes}
    return [Step(n, statistics.median(times)) for n, times in interleaved(runs, rounds).items()]


def of_operations(sizes: Sequence[int] = (10**2, 10**3, 10**4, 10**5), rounds: int = 31) -> list[Step]:
    """Value and gradient of random expressions, each compiled on its own."""
    runs, first, x = {}, {}, point()
    for count in sizes:
        text = program(*random_operations(count))
        start = time.perf_counter()
        runs[count] = partial(gradc.compile(text, cache=False).value_and_grad, *x)
        runs[count]()
        first[count] = time.perf_counter() - start
    return [Step(n, statistics.median(times), first[n]) for n, times in interleaved(runs, rounds).items()]
