"""Chunks of a sweep on a pool of threads. Compiled code asks for it; each chunk writes to places of its own.

Whatever happens to the pool, no chunk is lost: the thread that asked runs what no other has taken.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue

from gradc.runtime.crowd import Crowd
from gradc.runtime.job import MOST, Job, Worker

SYMBOL = "gradc_run_chunks"
"""What compiled code calls: `void run(void (*kernel)(void *, int64), void *data, int64 chunks)`."""

_asked = threading.local()
_c = ctypes.CDLL(None) if os.name == "posix" else None
_job = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """At most this many threads for the sweeps that this thread starts."""
    before = getattr(_asked, "threads", None)
    _asked.threads = threads
    try:
        yield
    finally:
        _asked.threads = before


class _Pool:
    """Workers for one job at a time. So many of them are `awake`: they look for one, or soon will; the others sleep."""

    def __init__(self) -> None:
        from gradc.runtime.handover import handover

        self.code, self.job = handover(), Job()
        self.leading, self.counting = threading.Lock(), threading.Lock()
        self.alarm: SimpleQueue[None] = SimpleQueue()
        self.awake = self.number = 0
        self.crowd = Crowd()
        self.cores: set[int] = set()

    def run(self, kernel: int, data: int, chunks: int, helpers: int, more: bool = False) -> bool:
        """Runs all chunks, with so many workers at most, or one `more` in a crowd.

        False, and nothing done, if there is a job already.
        """
        if not self.leading.acquire(blocking=False):
            return False
        try:
            self.number += 1
            job, threads = self.job, helpers + 1
            helpers = min(helpers + (more and self.crowd.expected), chunks - 1)
            job.kernel, job.data, job.chunks, job.places, job.next = kernel, data, chunks, helpers, 0
            self._spread()
            self.crowd.begin()
            try:
                self.code.open(job, self.number)
                self._wake(helpers)
            finally:  # also when interrupted: workers must be through with the data before anybody goes back
                self.code.lead(job)
            self.crowd.end(job.workers[: job.size], threads)
            return True
        finally:
            self.leading.release()

    def _wake(self, helpers: int) -> None:
        """Sees to it that so many are awake. The job is open: whoever goes to sleep meanwhile looks at it once more."""
        if self.awake >= helpers:
            return
        with self.counting:
            while self.job.size < helpers and self._start():
                pass
            for _ in range(min(helpers, self.job.size) - self.awake):
                self.awake += 1
                self.alarm.put(None)

    def _spread(self) -> None:
        """Keeps the workers off the core that the leader is on.

        While another library's threads wait busily, every core looks taken, and the scheduler may well choose that one.
        """
        cores = _allowed() - {_core()}
        if cores != self.cores or self.job.fetched:
            with self.counting:
                self.cores, self.job.fetched = cores, 0
                for worker in self.job.workers[: self.job.size]:
                    worker.move(cores)

    def _start(self) -> bool:
        worker = threading.Thread(target=self._work, name="gradc", daemon=True)
        try:
            worker.start()
        except RuntimeError:  # when Python is going down, there are no more threads to be had
            return False
        job = self.job
        job.workers[job.size] = Worker.of(worker)
        job.workers[job.size].move(self.cores)
        job.size += 1
        return True

    def _work(self) -> None:
        seen = 0
        while True:
            self.alarm.get()
            while self._stays_awake(seen):
                seen = self.code.serve(self.job, seen)

    def _stays_awake(self, seen: int) -> bool:
        """Whether there is a job that a worker has not seen; if not it goes to sleep, and is not counted any more."""
        with self.counting:
            stays = self.job.open not in (0, seen)
            self.awake -= not stays
        return stays


@functools.cache
def _pool() -> _Pool:
    return _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not live on in a fork


def _allowed() -> set[int]:
    """The cores that this thread may use."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _core() -> int | None:
    """The core that this thread is on, where the system tells."""
    ask = getattr(_c, "sched_getcpu", None)
    return ask() if ask else None


def _run(kernel: int, data: int, chunks: int) -> None:
    """Runs all chunks; comes back when no thread is at work on one."""
    asked = getattr(_asked, "threads", None)
    helpers = min(asked or len(_allowed()), chunks, MOST) - 1
    if helpers and _pool().run(kernel, data, chunks, helpers, more=asked is None):
        return
    function = _job(kernel)
    for chunk in range(chunks):
        function(data, chunk)


_callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(_run)


def symbols() -> dict[str, int]:
    """Where compiled code finds what it calls."""
    address = ctypes.cast(_callback, ctypes.c_void_p).value
    assert address is not None
    return {SYMBOL: address}
