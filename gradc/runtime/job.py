"""A job for threads: what a leader shares with its workers."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from contextlib import suppress

MOST = 64
"""The most threads that work at a job, and the most chunks it has."""
MOVABLE = hasattr(os, "sched_setaffinity") and hasattr(time, "pthread_getcpuclockid")
"""Whether the system tells how long a thread has run, and lets it be moved."""


class Worker(ctypes.Structure):
    """A worker as the system knows it: its thread, the clock that counts how long it ran, what that showed last."""

    _fields_ = tuple((name, ctypes.c_int64) for name in ("thread", "clock", "seconds", "nanoseconds"))

    @classmethod
    def of(cls, thread: threading.Thread) -> Worker:
        """A thread that has been started."""
        assert thread.native_id is not None
        assert thread.ident is not None
        return cls(thread.native_id, time.pthread_getcpuclockid(thread.ident) if MOVABLE else 0, 0, 0)

    def ran(self) -> int:
        """For how many nanoseconds, where the system tells."""
        return time.clock_gettime_ns(self.clock)

    def move(self, cores: set[int]) -> None:
        """Lets it use these cores only, where the system can do that. It is a wish: work goes on without it."""
        if cores and MOVABLE:
            with suppress(OSError):
                os.sched_setaffinity(self.thread, cores)


class Job(ctypes.Structure):
    """What a leader shares with its workers: chunks of a kernel's data, for so many `places` of helpers.

    While `open` is not 0 it numbers the job, and the other fields stay. `running` are the workers that look at it: the
    leader comes back when it has closed the job and there are none, so `data` may lie on its stack. A worker counts
    itself in before it looks again whether the job is open: one of the two always sees the other. `fetched` is 1 when
    workers have been moved to the leader's core; there are `size` of them in `workers`.
    """

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("open", "next", "running", "places", "chunks", "fetched", "size")),
        *((name, ctypes.c_void_p) for name in ("kernel", "data")),
        ("workers", Worker * MOST),
    )
