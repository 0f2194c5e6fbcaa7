"""One thread more for long jobs when others take part of the cores, where no number of threads is asked for."""

from __future__ import annotations

import ctypes
import threading
from collections import deque

import pytest

from gradc.runtime import crowd, pool
from gradc.runtime.crowd import LONG, MEMORY, Crowd


class Clocks:
    """Time as these jobs see it: their own, the leader's and one worker's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall = self.leader = self.worker = 0
        self.crowd = Crowd()
        monkeypatch.setattr(crowd, "MOVABLE", True)
        monkeypatch.setattr(crowd.time, "perf_counter_ns", lambda: self.wall)
        monkeypatch.setattr(crowd.time, "thread_time_ns", lambda: self.leader)

    def ran(self) -> int:
        return self.worker

    def job(self, took: int, leader: float, worker: float) -> bool:
        """One that took so long, while its two threads had these parts of a core; whether a crowd is expected then."""
        self.crowd.begin()
        self.wall += took
        self.leader += int(leader * took)
        self.worker += int(worker * took)
        self.crowd.end([self], 2)  # type: ignore[list-item]
        return self.crowd.expected


def test_a_long_job_with_too_little_of_the_cores_finds_a_crowd(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not Clocks(monkeypatch).job(LONG, 1.0, 0.8)
    assert Clocks(monkeypatch).job(LONG, 1.0, 0.5)
    assert Clocks(monkeypatch).job(LONG, 0.5, 1.0)
    assert not Clocks(monkeypatch).job(LONG - 1, 0.5, 0.5)


def test_clocks_count_from_one_long_job_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(monkeypatch)
    assert [clocks.job(LONG, 1.0, part) for part in (1.0, 1.0, 0.5)] == [False, False, True]


def test_a_crowd_is_reckoned_with_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(monkeypatch)
    clocks.job(LONG, 0.5, 0.5)
    later = [clocks.job(LONG, 1.0, 1.0) for _ in range(MEMORY)]
    assert later == [True] * (MEMORY - 1) + [False]


def test_where_threads_have_no_clocks_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(monkeypatch)
    monkeypatch.setattr(crowd, "MOVABLE", False)
    assert not clocks.job(LONG, 0.1, 0.1)


@pytest.mark.parametrize(("found", "more", "threads"), [(0, True, 2), (1, False, 2), (1, True, 3)])
def test_one_thread_more_works_in_a_crowd(found: int, more: bool, threads: int) -> None:
    """All of them hold a chunk at the same time; no fourth would find a place."""
    own, meet = pool._Pool(), threading.Barrier(threads)
    own.crowd.left = found
    by: deque[int] = deque()

    def work(data: int, chunk: int) -> None:
        if chunk < threads:
            meet.wait(60)
        by.append(threading.get_ident())

    kernel = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(work)
    address = ctypes.cast(kernel, ctypes.c_void_p).value
    assert address is not None
    assert own.run(address, 0, 12, 1, more)
    assert len(by) == 12
    assert len(set(by)) == threads
    assert own.job.size == threads - 1


def test_a_crowd_brings_no_more_threads_than_chunks() -> None:
    own = pool._Pool()
    own.crowd.left = 1
    kernel = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(lambda data, chunk: None)
    address = ctypes.cast(kernel, ctypes.c_void_p).value
    assert address is not None
    assert own.run(address, 0, 2, 1, True)
    assert own.job.size == 1


def test_a_number_of_threads_that_is_asked_for_is_not_exceeded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    class Spy:
        def run(self, kernel: int, data: int, chunks: int, helpers: int, more: bool) -> bool:
            asked.append(more)
            return True

    monkeypatch.setattr(pool, "_pool", Spy)
    monkeypatch.setattr(pool, "_allowed", lambda: {0, 1})
    pool._run(0, 0, 8)
    with pool.limited(2):
        pool._run(0, 0, 8)
    assert asked == [True, False]
