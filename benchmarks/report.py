"""Results as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.memory import Growth
from benchmarks.race import Entry, Race
from benchmarks.scaling import Step

OURS = "gradc"


@dataclass
class Results:
    """All that one run has measured."""

    machine: dict[str, str]
    races: list[Race] = field(default_factory=list)
    rows: list[Step] = field(default_factory=list)
    operations: list[Step] = field(default_factory=list)
    growths: list[Growth] = field(default_factory=list)


def document(results: Results, picture: str | None) -> str:
    """The whole page; `picture` is the file of the plot."""
    parts = ["# Benchmarks", INTRODUCTION]
    parts.append("\n".join(f"- {name}: {value}" for name, value in results.machine.items()))
    if results.races:
        parts += ["## At a glance", summary(results.races), SUMMARY]
        if picture:
            parts += [f"![Times of all contestants relative to gradc's]({picture})"]
        parts += ["## Contestants", CONTESTANTS]
        parts += [race_section(each) for each in results.races]
    if results.rows or results.operations:
        parts.append(scaling_section(results.rows, results.operations))
    if results.growths:
        parts.append(memory_section(results.growths))
    return "\n\n".join(parts) + "\n"


INTRODUCTION = """\
Value and gradient together, in float64: how long gradc takes beside other libraries and loops by hand, and beside what
the machine allows. Written by `python -m benchmarks --write`; `pip install -e '.[benchmarks]'` brings the libraries.

Contestants get the same numbers, in their own array type, and must agree with the first to 7 digits before they are
timed. Then all take turns, round after round in changing order; a turn is an untimed call and then timed ones. Times
are medians over the rounds. Threads are what each library chooses for itself; loops by hand have one."""

SUMMARY = """\
*Best other*: the fastest contestant but gradc, hand-written ones included. *Bound*: the same bytes read and written
once by all cores, or the same number of floating point operations at the rate of `numpy.dot` of square matrices, or the
call of a compiled function that does nothing; the largest of those that apply, measured in the same rounds. *Gradient /
value*: gradc's time for value and gradient over that for the value alone. *Cores*: how many times as much arithmetic
all cores did as one, in the same rounds; where that is 1, two virtual cores were one real one."""

CONTESTANTS = """\
*First call*: from the text or the function to the first gradient, compilation included, in a process where the
libraries are already imported. Nothing is taken from a cache on disk, except by PyTorch."""

MEMORY = """\
By how much a process grows at most, beyond the inputs, while it takes value and gradient of logistic regression on
10 features:"""


def summary(races: Iterable[Race]) -> str:
    """One line a race."""
    lines = []
    for race in races:
        ours, best = race.entry(OURS), best_other(race)
        mine = ours.median if ours else None
        bound = max(race.bounds.values(), default=None)
        value = ours.value if ours else None
        other = f"{duration(best.median)} {best.name}" if best else "-"
        theirs = best.median if best else None
        lines.append(
            [
                race.title,
                duration(mine),
                other,
                ratio(mine, theirs),
                duration(bound),
                ratio(mine, bound),
                ratio(mine, value),
                digits(race.cores) if race.cores else "-",
            ]
        )
    names = ["workload", "gradc", "best other", "gradc / best", "bound", "gradc / bound", "gradient / value", "cores"]
    return table(names, lines)


def best_other(race: Race) -> Entry | None:
    """The fastest timed contestant that is not gradc."""
    timed = [e for e in race.entries if e.median is not None and not e.name.startswith(OURS)]
    return min(timed, key=lambda e: e.median or 0.0, default=None)


def race_section(race: Race) -> str:
    command = f"python -m benchmarks {race.name.split()[0]}"
    return f"### {race.title}\n\n{race_table(race)}\n\n{race.rounds} rounds. Command: `{command}`."


def race_table(race: Race) -> str:
    """The contestants that were timed, fastest first; then the others, and why; then the bounds."""
    ours = race.entry(OURS)
    mine = ours.median if ours else None
    entries = sorted(race.entries, key=lambda e: float("inf") if e.median is None else e.median)
    lines = [[e.name, duration(e.median), ratio(e.median, mine), duration(e.first), _status(e)] for e in entries]
    lines += [[f"*{text}*", duration(time), ratio(time, mine), "", "bound"] for text, time in race.bounds.items()]
    return table(["contestant", "median", "/ gradc", "first call", "result"], lines)


def _status(entry: Entry) -> str:
    return f"{entry.status}: {entry.note}" if entry.status == "failed" else entry.status


def scaling_section(rows: Iterable[Step], operations: Iterable[Step]) -> str:
    by_row = [[f"{s.size:,}", duration(s.call), duration(s.call / s.size)] for s in rows]
    by_operation = [[f"{s.size:,}", duration(s.first), duration(s.call), duration(s.call / s.size)] for s in operations]
    parts = ["## Scaling"]
    if by_row:
        parts += ["Logistic regression on 10 features, one compiled function for all sizes:"]
        parts += [table(["rows", "value and gradient", "per row"], by_row)]
    if by_operation:
        parts += ["Random expressions of 10 numbers:"]
        parts += [table(["operations", "first call", "value and gradient", "per operation"], by_operation)]
    return "\n\n".join(parts)


def memory_section(growths: Iterable[Growth]) -> str:
    lines = [[g.name, f"{g.rows:,}", f"{g.inputs / 1e6:.1f} MB", f"{g.growth / 1e6:.1f} MB"] for g in growths]
    return f"## Memory\n\n{MEMORY}\n\n" + table(["contestant", "rows", "inputs", "growth"], lines)


def table(names: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are set to the right."""
    rule = ["---", *["---:"] * (len(names) - 1)]
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in [names, rule, *cells])


def duration(seconds: float | None) -> str:
    """Three digits and a unit."""
    if seconds is None:
        return "-"
    scale, unit = next(((s, u) for s, u in UNITS if seconds >= s), UNITS[-1])
    return f"{digits(seconds / scale)} {unit}"


UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def ratio(time: float | None, other: float | None) -> str:
    return digits(time / other) if time is not None and other else "-"


def digits(number: float) -> str:
    """Three of them, without an exponent."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}" if number >= 1e-3 else f"{number:.6f}"
