"""Races: contestants do the same work, are checked to agree, and are timed in turn, round after round.

Whatever slows the machine for a while then slows all of them alike. Medians of the rounds are compared.
"""

from __future__ import annotations

import importlib
import itertools
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.bounds import Bound, cores, worked

Run = Callable[[], Any]
AT_LEAST = 2e-3
"""Seconds: what is faster is repeated within a round until it has taken about this long."""
PAUSE = 0.12
"""Seconds: BLAS's threads spin for a tenth of a second."""


class Built(NamedTuple):
    """What is timed: value and gradient, as `(value, gradient)` or flat `(value, *gradients)`; perhaps value alone."""

    gradient: Run
    value: Run | None = None


@dataclass(frozen=True)
class Contestant:
    """`build` compiles and binds the inputs; `needs` names a library without which there is nothing to build."""

    name: str
    build: Callable[[], Built]
    needs: str | None = None


@dataclass(frozen=True)
class Workload:
    """The first contestant is the reference for all. `bounds` are lower bounds on the time, for different reasons."""

    name: str
    title: str
    contestants: Sequence[Contestant]
    bounds: Sequence[Bound]


@dataclass
class Entry:
    """How a contestant did. `status`: "agrees", "WRONG", "not installed", "failed". Times are in seconds.

    `first` is from the inputs to the first gradient: what has to be traced, compiled, loaded. `median` and `value` are
    of a call that follows.
    """

    name: str
    status: str
    note: str = ""
    first: float | None = None
    median: float | None = None
    least: float | None = None
    value: float | None = None


@dataclass
class Race:
    """A workload's results. `bounds`: what bounds the time, and the time.

    `cores`: how much more all cores did than one, meanwhile. Virtual ones may share a real one, now and then.
    """

    name: str
    title: str
    rounds: int
    entries: list[Entry]
    bounds: dict[str, float] = field(default_factory=dict)
    cores: float | None = None

    def entry(self, name: str) -> Entry | None:
        return next((e for e in self.entries if e.name == name), None)


def race(workload: Workload, rounds: int = 31, seconds: float = 0.0, rtol: float = 1e-7) -> Race:
    """Builds, compares and times all contestants that are there."""
    entries: list[Entry] = []
    runs: dict[tuple[str, Any], Run] = {}
    expected = None
    for contestant in workload.contestants:
        entry, built, found = _first(contestant)
        entries.append(entry)
        if built is None or found is None:
            continue
        expected = found if expected is None else expected
        if not agree(found, expected, rtol):
            entry.status = "WRONG"
            continue
        runs["gradient", entry.name] = built.gradient
        if built.value is not None:
            runs["value", entry.name] = built.value
    runs |= {("bound", bound.text): bound.run for bound in workload.bounds}
    runs |= {("cores", threads): worked(threads) for threads in {1, cores()}}
    times = interleaved(runs, rounds, seconds)
    for entry in entries:
        if timed := times.get(("gradient", entry.name)):
            entry.median, entry.least = statistics.median(timed), min(timed)
        if timed := times.get(("value", entry.name)):
            entry.value = statistics.median(timed)
    bounds = {b.text: b.factor * statistics.median(times["bound", b.text]) for b in workload.bounds}
    one, all_ = (times["cores", threads] for threads in (1, cores()))
    together = statistics.median(cores() * a / b for a, b in zip(one, all_, strict=True))
    return Race(workload.name, workload.title, len(one), entries, bounds, together)


def _first(contestant: Contestant) -> tuple[Entry, Built | None, npt.NDArray[np.float64] | None]:
    """Builds and runs once. Importing the library is not timed."""
    if contestant.needs is not None:
        try:
            importlib.import_module(contestant.needs)
        except ImportError as error:
            return Entry(contestant.name, "not installed", str(error)), None, None
    start = time.perf_counter()
    try:
        built = contestant.build()
        result = built.gradient()
        first = time.perf_counter() - start
        return Entry(contestant.name, "agrees", first=first), built, numbers(result)
    except Exception as error:  # whatever another library raises is part of the report
        return Entry(contestant.name, "failed", f"{type(error).__name__}: {error}"[:200]), None, None


def numbers(result: Any) -> npt.NDArray[np.float64]:
    """The value, summed if it is an array, followed by all entries of the gradients."""
    value, *gradients = result
    return np.concatenate([[np.sum(np.asarray(value, dtype=float))], *_flat(gradients)])


def _flat(parts: Any) -> list[npt.NDArray[np.float64]]:
    if isinstance(parts, list | tuple):
        return [flat for part in parts for flat in _flat(part)]
    return [np.asarray(parts, dtype=float).ravel()]


def agree(found: npt.NDArray[np.float64], expected: npt.NDArray[np.float64], rtol: float) -> bool:
    """Values by their relative difference; gradients too, but for entries that are tiny beside the largest."""
    if found.shape != expected.shape or abs(found[0] - expected[0]) > rtol * max(1.0, abs(expected[0])):
        return False
    scale = np.abs(expected[1:]).max(initial=0.0)
    return bool(np.allclose(found[1:], expected[1:], rtol=rtol, atol=rtol * scale))


def interleaved(runs: Mapping[Any, Run], rounds: int, seconds: float = 0.0) -> dict[Any, list[float]]:
    """Times of one call of each, round by round: at least so many rounds, and at least so many seconds of them.

    The order changes from round to round. Libraries' threads keep spinning after a call, at the cost of whoever comes
    next: so there is a pause before every turn, and the turn begins with a call that is not timed.
    """
    for run in runs.values():
        run()
    repeats = {key: max(1, min(20_000, int(AT_LEAST / _time(run, 1)))) for key, run in runs.items()}
    times: dict[Any, list[float]] = {key: [] for key in runs}
    order, shuffle = list(runs), random.Random(0).shuffle
    done, start = 0, time.perf_counter()
    while done < rounds or time.perf_counter() - start < seconds:
        shuffle(order)
        for key in order:
            time.sleep(PAUSE)
            runs[key]()
            times[key].append(_time(runs[key], repeats[key]))
        done += 1
    return times


def _time(run: Run, repeats: int) -> float:
    start = time.perf_counter()
    for _ in itertools.repeat(None, repeats):
        run()
    return (time.perf_counter() - start) / repeats
