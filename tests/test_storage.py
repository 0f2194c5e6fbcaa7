"""Arrays that compiled code makes: what LLVM knows of them, and who owns their memory."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

import gradc
from gradc.runtime.indexing import from_the_start
from gradc.runtime.storage import OWN

empty, zeros = OWN["empty"], OWN["zeros"]


def compiled(function: Any) -> Any:
    return numba.njit(error_model="numpy")(function)


@pytest.mark.parametrize("made", ["empty", "zeros"])
def test_loops_that_write_new_arrays_are_vectorised_without_asking_for_overlaps(made: str) -> None:
    new = OWN[made]

    @compiled
    def picked(x: Any, t: Any) -> Any:
        out = new(t.size)
        for i in range(t.size):
            out[i] = 2.0 * x[t[i]]
        return out

    x, t = np.random.default_rng(0).normal(size=9), np.arange(50) % 9
    with from_the_start():
        assert np.array_equal(picked(x, t), 2.0 * x[t])
    (text,) = picked.inspect_llvm().values()
    assert "llvm.masked.gather" in text or " x double>" in text
    assert "vector.memcheck" not in text


def test_each_owner_holds_its_own_memory() -> None:
    @compiled
    def several(n: int) -> Any:
        first, second = empty((2, n)), zeros(n)
        for k in range(n):
            first[0, k], first[1, k] = k, -k
        row = first[1]
        for k in range(n):
            second[k] += row[k]
        return row, second

    kept = [several(100) for _ in range(100)]
    for row, second in kept:
        assert np.array_equal(row, -np.arange(100.0))
        assert np.array_equal(second, row)


def test_what_is_written_last_is_there_when_another_reads_it() -> None:
    """Through an address that LLVM does not know to be that of the array."""

    @compiled
    def read(a: Any) -> float:
        total = 0.0
        for k in range(a.size):
            total += a[k]
        return total

    @compiled
    def written(n: int) -> Any:
        a = empty(n)
        before = read(np.zeros(1))
        for k in range(n):
            a[k] = 1.0
        middle = read(a)
        for k in range(n):
            a[k] = 2.0
        return before, middle, read(a)

    assert written(1000) == (0.0, 1000.0, 2000.0)


def test_new_arrays_begin_with_a_line_of_the_caches() -> None:
    function = gradc.compile("x: param[n]\ny: param[m, n]\nsum(sin(x)) + sum(cos(y))", cache=False)
    for n in (1, 3, 50, 1001):
        kept = [function.grad(np.ones(n), np.ones((5, n))) for _ in range(4)]
        assert all(a.ctypes.data % 64 == 0 for g in kept for a in g)
