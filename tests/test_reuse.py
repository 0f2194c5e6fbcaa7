"""Memory of large results: it is given again, but never twice at once, and what is not kept is given back."""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from llvmlite import binding

import gradc
from gradc.runtime import reuse
from gradc.runtime.native import engine, object_code

TEXT = "x: param[n]\nsum(x**2)"
ENOUGH = reuse.LEAST // 8


def gradient(n: int) -> np.ndarray:
    return np.asarray(gradc.compile(TEXT).grad(np.ones(n)).x)


def test_memory_is_used_again_by_results_of_the_same_size() -> None:
    found = gradient(ENOUGH)
    place = found.ctypes.data
    assert place % 64 == 0
    del found
    assert gradient(ENOUGH).ctypes.data == place


def test_results_that_live_have_memory_of_their_own() -> None:
    loss = gradc.compile(TEXT)
    results = [loss.grad(np.full(ENOUGH, float(k))).x for k in range(2 * reuse.SLOTS)]
    assert len({r.ctypes.data for r in results}) == len(results)
    for k, r in enumerate(results):
        assert (r == 2.0 * k).all()


def test_views_keep_the_memory() -> None:
    view = gradient(ENOUGH)[5:10]
    others = [gradient(ENOUGH) for _ in range(reuse.SLOTS)]
    others[0][:] = 7.0
    assert (view == 2.0).all()


@pytest.mark.skipif(sys.platform != "linux", reason="asks the system how much memory this process has")
@pytest.mark.parametrize(("size", "kept"), [(reuse.MOST, True), (reuse.MOST + 2**21, False)])
def test_only_so_large_results_are_kept(size: int, kept: bool) -> None:
    def pages() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    before = [gradient(size // 8)]
    most = pages()
    before.clear()
    assert (most - pages() < size // 2 // mmap.PAGESIZE) is kept


class Counted:
    """The functions over a C library that is watched."""

    def __init__(self, name: str) -> None:
        library = ctypes.CDLL(None) if os.name == "posix" else ctypes.CDLL("ucrtbase")
        library.malloc.restype, library.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
        self.held: dict[int, int] = {}
        self.enough = True

        @ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t)
        def malloc(size: int) -> int | None:
            if not self.enough:
                return None
            memory: int = library.malloc(ctypes.c_size_t(size))
            self.held[memory] = size
            return memory

        @ctypes.CFUNCTYPE(None, ctypes.c_void_p)
        def free(memory: int) -> None:
            del self.held[memory]
            library.free(memory)

        text = reuse.text()
        for function, called in (("malloc", malloc), ("free", free)):
            text = text.replace(f'@"{function}"', f'@"{name}_{function}"')
            binding.add_symbol(f"{name}_{function}", ctypes.cast(called, ctypes.c_void_p).value)
        self.kept = engine(object_code(text)), malloc, free
        self.take: Callable[[int], int | None] = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t)(
            self.kept[0].get_function_address(reuse.TAKE)
        )
        self.put_back: Callable[[int | None], None] = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(
            self.kept[0].get_function_address(reuse.PUT_BACK)
        )


@pytest.fixture
def counted(request: pytest.FixtureRequest) -> Iterator[Counted]:
    made = Counted(f"counted_{request.node.name}")
    yield made
    sizes = reuse.SLOTS + 1
    made.enough = False
    for size in range(1, sizes):  # each call that finds nothing drops one
        assert made.take(size * 10**6 + 1) is None
    assert not made.held


def test_no_more_is_kept_than_there_are_slots(counted: Counted) -> None:
    taken = [counted.take(100) for _ in range(reuse.SLOTS + 3)]
    assert len(set(taken)) == len(taken)
    for memory in taken:
        counted.put_back(memory)
    assert len(counted.held) == reuse.SLOTS
    again = [counted.take(100) for _ in range(reuse.SLOTS)]
    assert set(again) == set(taken[: reuse.SLOTS])
    for memory in again:
        counted.put_back(memory)


def test_sizes_no_longer_asked_for_are_dropped(counted: Counted) -> None:
    for memory in [counted.take(100) for _ in range(reuse.SLOTS)]:
        counted.put_back(memory)
    wanted = [counted.take(200) for _ in range(3)]
    assert sorted(counted.held.values()) == sorted(
        [100 + 2 * reuse.HEAD] * (reuse.SLOTS - 3) + [200 + 2 * reuse.HEAD] * 3
    )
    for memory in wanted:
        counted.put_back(memory)


def test_without_memory_there_is_none(counted: Counted) -> None:
    counted.enough = False
    assert counted.take(100) is None


def test_threads_never_get_the_same_memory(counted: Counted) -> None:
    """Each fills what it got with its own number, and finds nothing else in it when it puts it back."""
    wrong: list[str] = []

    def work(number: int) -> None:
        rng = random.Random(number)
        mine: list[tuple[int, int]] = []
        for _ in range(400):
            if mine and rng.random() < 0.5:
                memory, size = mine.pop(rng.randrange(len(mine)))
                if ctypes.string_at(memory, size) != bytes([number]) * size:
                    wrong.append(f"thread {number}")
                counted.put_back(memory)
            else:
                size = rng.choice((500, 900, 1700))
                memory = counted.take(size) or 0
                assert memory % reuse.HEAD == 0
                ctypes.memset(memory, number, size)
                mine.append((memory, size))
        for memory, _ in mine:
            counted.put_back(memory)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(counted.held) <= reuse.SLOTS


LAST = f"""
import builtins, sys
import numpy as np
import gradc
loss = gradc.compile({TEXT!r})
for keeper in (builtins, sys, np):
    keeper.kept_until_the_end = loss.grad(np.ones({ENOUGH})).x
again = gradc.compile({TEXT!r}, cache=False).grad(np.ones({ENOUGH})).x
"""


def test_arrays_may_outlive_all_modules() -> None:
    for _ in range(2):  # compiled, and from the cache
        subprocess.run([sys.executable, "-c", LAST], check=True)
