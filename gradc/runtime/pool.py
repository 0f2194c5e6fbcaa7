"""Chunks of a sweep on a pool of threads. Compiled code asks for it; each chunk writes to places of its own.

Whatever happens to the pool, no chunk is lost: those that are not marked as done are run by the code that asked.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress

SYMBOL = "gradc_run_chunks"
"""What compiled code calls: `void run(void (*kernel)(void *, int64), void *data, int64 chunks)`."""
MOST = 64
"""The most threads, and the most chunks of a sweep. Threads are started as they are needed."""

_asked = threading.local()
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


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MOST, thread_name_prefix="gradc")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not live on in a fork


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run(kernel: int, data: int, chunks: int) -> None:
    """Runs all chunks; comes back when no thread is at work on one."""
    function = _job(kernel)
    left = iter(range(chunks))

    def work() -> None:
        for chunk in left:
            function(data, chunk)

    threads = getattr(_asked, "threads", None) or _cores()
    helpers: list[Future[None]] = []
    try:
        for _ in range(min(threads, chunks, MOST) - 1):
            with suppress(RuntimeError):  # when Python is going down, there are no more threads to be had
                helpers.append(_pool().submit(work))
        work()
    finally:
        for helper in helpers:
            if not helper.cancel():
                helper.exception()


_callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(_run)


def symbols() -> dict[str, int]:
    """Where compiled code finds what it calls."""
    address = ctypes.cast(_callback, ctypes.c_void_p).value
    assert address is not None
    return {SYMBOL: address}
