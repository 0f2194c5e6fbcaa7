"""The command line: `python -m benchmarks [name ...]`; without names, everything."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import dense, memory, mixture, plot, report, rows, scalar, scaling, vectors
from benchmarks.machine import describe
from benchmarks.race import Workload, race

WORKLOADS: dict[str, Callable[[], Iterator[Workload]]] = {
    "call": scalar.call,
    "rows": rows.rows,
    "logistic": rows.logistic,
    "softmax": dense.softmax,
    "perceptron": dense.perceptron,
    "mixture": mixture.mixture,
    "rosenbrock": vectors.rosenbrock,
    "logsumexp": vectors.logsumexp,
    "expression": scalar.expression,
}
DOCS = Path(__file__).parent.parent / "docs"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="gradc side by side with its peers.")
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join([*WORKLOADS, "scaling", "memory"]))
    parser.add_argument("--rounds", type=int, default=31, help="rounds of each race, at least (31)")
    parser.add_argument("--seconds", type=float, default=3.0, help="duration of the rounds of each race, at least (3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to a file")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md and docs/benchmarks.svg")
    given = parser.parse_args(arguments)
    unknown = set(given.names) - {*WORKLOADS, "scaling", "memory"}
    if unknown:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    results = measure(given.names or [*WORKLOADS, "scaling", "memory"], given.rounds, given.seconds)
    if given.json:
        given.json.write_text(json.dumps(asdict(results), indent=1) + "\n")
    if given.write:
        drawn = plot.draw(results.races, DOCS / "benchmarks.svg")
        text = report.document(results, "benchmarks.svg" if drawn else None)
        (DOCS / "benchmarks.md").write_text(text, encoding="utf-8")


def measure(names: Sequence[str], rounds: int, seconds: float) -> report.Results:
    """Everything by these names; each part is printed as soon as it is there."""
    results = report.Results(describe())
    for name in names:
        for workload in WORKLOADS.get(name, lambda: iter(()))():
            results.races.append(race(workload, rounds, seconds))
            print(report.race_section(results.races[-1]), end="\n\n", flush=True)
    if "scaling" in names:
        results.rows, results.operations = scaling.of_rows(rounds=rounds), scaling.of_operations(rounds=rounds)
        print(report.scaling_section(results.rows, results.operations), end="\n\n", flush=True)
    if "memory" in names:
        results.growths = memory.growths()
        print(report.memory_section(results.growths), end="\n\n", flush=True)
    if results.races:
        print(report.summary(results.races))
    return results


if __name__ == "__main__":
    main()
