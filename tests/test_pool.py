"""The pool of threads: every chunk is run once, by as many threads as may, whoever else asks at the same time."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from gradc.runtime import pool
from gradc.runtime.job import MOVABLE

KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)


def run(chunks: int, work: Callable[[int, int], object]) -> None:
    """As compiled code would: `work(data, chunk)` for every chunk."""
    data = 12345
    kernel = KERNEL(lambda data, chunk: work(data, chunk) and None)
    address = ctypes.cast(kernel, ctypes.c_void_p).value
    assert address is not None
    pool._run(address, data, chunks)


def recorded(chunks: int) -> tuple[Counter[tuple[int, int]], set[int]]:
    """How often each (data, chunk) is run, and the threads that run them."""
    times: Counter[tuple[int, int]] = Counter()
    threads: set[int] = set()

    def work(data: int, chunk: int) -> None:
        times[data, chunk] += 1
        threads.add(threading.get_ident())

    run(chunks, work)
    return times, threads


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_every_chunk_is_run_once(threads: int) -> None:
    with pool.limited(threads):
        for turn in range(300):
            chunks = turn % 9
            times, by = recorded(chunks)
            assert times == Counter({(12345, chunk): 1 for chunk in range(chunks)})
            assert len(by) <= threads
            if threads == 1 and chunks:
                assert by == {threading.get_ident()}


def test_chunks_run_at_the_same_time() -> None:
    """Three chunks of which none can end before the others have begun, on awake workers and on sleeping ones."""
    for pause in (0, 0, 0.05):
        time.sleep(pause)
        together = threading.Barrier(3, timeout=60)
        with pool.limited(3):
            run(3, lambda data, chunk, meet=together.wait: meet())
        assert not together.broken


def test_workers_go_to_sleep() -> None:
    with pool.limited(3):
        recorded(8)
    end = time.monotonic() + 60
    while pool._pool().awake and time.monotonic() < end:
        time.sleep(0.001)
    assert pool._pool().awake == 0
    assert pool._pool().job.size >= 2


def test_threads_that_ask_at_once_get_all_their_chunks() -> None:
    """Only one of them has the workers; the others do their chunks themselves."""
    start = threading.Barrier(4, timeout=60)

    def ask(_: int) -> list[Counter[tuple[int, int]]]:
        start.wait()
        return [recorded(5)[0] for _ in range(100)]

    with pool.limited(3), ThreadPoolExecutor(4) as callers:
        expected = Counter({(12345, chunk): 1 for chunk in range(5)})
        assert all(times == expected for found in callers.map(ask, range(4)) for times in found)


def test_a_kernel_that_asks_for_chunks_itself_gets_them() -> None:
    inner: list[int] = []
    with pool.limited(3):
        run(4, lambda data, chunk: inner.extend(k for _, k in recorded(3)[0]))
    assert sorted(inner) == sorted([0, 1, 2] * 4)


def test_an_interrupt_waits_for_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    own, begun = pool._Pool(), threading.Event()
    done: list[int] = []

    def work(data: int, chunk: int) -> None:
        begun.set()
        time.sleep(0.05)
        done.append(chunk)

    def interrupted(helpers: int) -> None:
        wake(helpers)
        assert begun.wait(60)
        raise KeyboardInterrupt

    wake = own._wake
    monkeypatch.setattr(own, "_wake", interrupted)
    kernel = KERNEL(work)
    address = ctypes.cast(kernel, ctypes.c_void_p).value
    assert address is not None
    with pytest.raises(KeyboardInterrupt):
        own.run(address, 0, 6, 2)
    assert sorted(done) == list(range(6))
    assert (own.job.open, own.job.running) == (0, 0)
    assert not own.leading.locked()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_has_workers_of_its_own() -> None:
    with pool.limited(3):
        recorded(8)
        child = os.fork()
        if not child:
            together = threading.Barrier(2, timeout=60)
            try:
                run(2, lambda data, chunk: together.wait())
            finally:
                os._exit(1 if together.broken else 0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    pool._pool.cache_clear()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pool.limited(8):
        times, by = recorded(8)
    assert len(times) == 8
    assert by == {threading.get_ident()}
    pool._pool.cache_clear()


moving = pytest.mark.skipif(not MOVABLE or len(pool._allowed()) < 2, reason="threads stay where they are")


@moving
def test_workers_keep_off_the_core_of_the_leader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where other threads wait busily, the scheduler would have both on one core, in turns."""
    mine = pool._allowed()
    with pool.limited(3):
        for core in (*mine, *mine):
            monkeypatch.setattr(pool, "_core", lambda core=core: core)
            job = pool._pool().job
            for _ in range(100):
                recorded(4)
                if not job.fetched:  # else a worker stood still, and they are where they were fetched to
                    break
            assert [os.sched_getaffinity(w.thread) for w in job.workers[: job.size]] == [mine - {core} or mine] * 2
    assert pool._allowed() == mine


@moving
def test_a_worker_that_stands_still_is_fetched_to_the_leader() -> None:
    """It has a chunk and no core: here because it sleeps, elsewhere because another library's threads hold them all."""
    both, leader, job = threading.Barrier(2), threading.get_ident(), pool._pool().job
    cores: list[set[int]] = []

    def work(data: int, chunk: int) -> None:
        both.wait(60)
        end = time.monotonic() + 60
        while threading.get_ident() != leader and not job.fetched and time.monotonic() < end:
            time.sleep(0.01)
        if threading.get_ident() != leader:
            cores.append(os.sched_getaffinity(0))

    with pool.limited(2):
        run(2, work)
        assert job.fetched
        assert [len(c) for c in cores] == [1]
        times, _ = recorded(8)
    assert times == {(12345, chunk): 1 for chunk in range(8)}
