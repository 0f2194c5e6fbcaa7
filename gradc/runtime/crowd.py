"""Whether others take part of the cores from long jobs, in which case one thread more gets the job a larger part.

The scheduler gives every thread that wants to run the same share of a core. Two threads beside one that waits busily
get two thirds of two cores each; a third has them get three quarters.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from gradc.runtime.job import MOVABLE, Worker

LONG = 4_000_000
"""Nanoseconds. What is shorter takes one or two of the scheduler's slices, and shares are a matter of luck."""

ENOUGH = 0.85
"""The part of the cores that a job has when nobody else wants them; not 1, as its last chunks end one after another."""


MEMORY = 16
"""Long jobs that a crowd is reckoned with after it has been found: with one thread more it does not show."""


class Crowd:
    """Whether to reckon with others, going by the last long jobs and where the system tells."""

    def __init__(self) -> None:
        self.left = self.start = self.leader = self.shown = 0

    @property
    def expected(self) -> bool:
        return self.left > 0

    def begin(self) -> None:
        """A job begins, led by this thread."""
        self.start, self.leader = time.perf_counter_ns(), time.thread_time_ns()

    def end(self, workers: Iterable[Worker], threads: int) -> None:
        """It was a job for so many cores. Workers do next to nothing between one and the next."""
        took = time.perf_counter_ns() - self.start
        if took >= LONG and MOVABLE:
            shown = sum(worker.ran() for worker in workers)
            ran = time.thread_time_ns() - self.leader + shown - self.shown
            self.shown = shown
            self.left = MEMORY if ran < ENOUGH * threads * took else max(self.left - 1, 0)
