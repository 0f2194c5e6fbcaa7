"""The benchmarks' machinery, on tiny workloads and without timing anything that matters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import __main__, libraries, memory, report, scaling
from benchmarks.bounds import moved, multiplied
from benchmarks.mixture import MIXTURE, mixture_in_numba
from benchmarks.race import Built, Contestant, Workload, agree, interleaved, race
from benchmarks.rows import LOGISTIC, logistic_in_numpy, logistic_inputs
from benchmarks.scalar import by_tape, evaluate, point, program, random_operations
from gradc.api import compile as compiled

INPUTS = logistic_inputs(20, 3)


def wrong(*inputs: Any) -> Any:
    value, w_bar, b_bar = logistic_in_numpy(*inputs)
    return value, w_bar * (1 + 1e-6), b_bar


def broken(*inputs: Any) -> Any:
    raise ValueError("no such | shape")


def contestant(name: str, function: Callable[..., Any], needs: str | None = None) -> Contestant:
    return Contestant(name, lambda: Built(partial(function, *INPUTS)), needs)


def tiny(ours: Contestant) -> Iterator[Workload]:
    yield Workload(
        "logistic",
        "logistic regression, n=20 d=3",
        [
            libraries.hand("NumPy", logistic_in_numpy, *INPUTS),
            ours,
            contestant("liar", wrong),
            contestant("broken", broken),
            contestant("absent", logistic_in_numpy, "no_such_library"),
        ],
        [moved(480), multiplied(240)],
    )


def test_contestants_are_timed_if_they_are_there_and_agree() -> None:
    found = race(next(tiny(libraries.gradc_alone(LOGISTIC, *INPUTS))), rounds=3)
    status = {e.name: e.status for e in found.entries}
    assert status == {
        "NumPy by hand": "agrees",
        "gradc": "agrees",
        "liar": "WRONG",
        "broken": "failed",
        "absent": "not installed",
    }
    assert {e.name for e in found.entries if e.median is not None} == {"NumPy by hand", "gradc"}
    ours = found.entry("gradc")
    assert ours is not None
    assert ours.value is not None
    assert found.rounds == 3
    assert found.cores is not None
    assert found.cores > 0
    assert all(time > 0 for time in found.bounds.values())
    lines = report.race_table(found).splitlines()
    assert lines[0] == "| contestant | median | / gradc | first call | result |"
    assert {line.split("|")[1].strip() for line in lines[2:4]} == {"NumPy by hand", "gradc"}
    assert any(line.startswith("| liar | - |") and line.endswith("| WRONG |") for line in lines)
    assert any(line.startswith("| absent | - |") and line.endswith("| not installed |") for line in lines)
    assert "| broken | - | - | - | failed: ValueError: no such \\| shape |" in lines
    assert [line for line in lines if line.endswith("| bound |")] == lines[-2:]
    summary = report.summary([found]).splitlines()
    assert summary[0].endswith("| cores |")
    assert "NumPy by hand |" in summary[2]
    assert summary[2].endswith(f"| {report.digits(found.cores)} |")


def test_every_turn_begins_with_an_untimed_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.race.AT_LEAST", 0.0)
    calls: list[str] = []
    times = interleaved({name: partial(calls.append, name) for name in "ab"}, rounds=4)
    assert {name: len(each) for name, each in times.items()} == {"a": 4, "b": 4}
    turns = calls[4:]
    assert len(turns) == 4 * 2 * 2
    assert turns[::2] == turns[1::2]


@pytest.mark.parametrize(
    ("found", "same"),
    [([1.0, 2.0, 3.0], True), ([1.0, 2.0, 3.0 + 1e-6], False), ([1.0 + 1e-6, 2.0, 3.0], False), ([1.0, 2.0], False)],
)
def test_agreement_is_to_seven_digits(found: list[float], same: bool) -> None:
    assert agree(np.array(found), np.array([1.0, 2.0, 3.0]), 1e-7) is same
    assert not agree(np.full(len(found), np.nan), np.array([1.0, 2.0, 3.0]), 1e-7)


def test_random_expressions_are_the_same_in_every_form() -> None:
    operations, unused = random_operations(60)
    x = point()
    value, gradient = by_tape(operations, unused, x)
    used = {k for o in operations for k in ((o.left,) if o.kind in ("sin", "bell") else (o.left, o.right))}
    assert used | set(unused) == set(range(70))
    assert evaluate(operations, unused, x, np) == pytest.approx(value, rel=1e-12)
    ours = compiled(program(operations, unused), backend="python").value_and_grad(*x)
    assert ours[0] == pytest.approx(value, rel=1e-12)
    assert list(ours[1]) == pytest.approx(gradient, rel=1e-9)


def test_mixture_by_hand_is_the_program() -> None:
    rng = np.random.default_rng(0)
    d, K = 2, 3
    L = np.tril(rng.normal(size=(K, d, d)), -1)
    inputs = (rng.normal(size=K), rng.normal(size=(K, d)), rng.normal(size=(K, d)), L, rng.normal(size=(4, d)))
    value, *gradient = mixture_in_numba.py_func(*inputs)
    ours = compiled(MIXTURE, backend="python").value_and_grad(*inputs)
    assert ours[0] == pytest.approx(value, rel=1e-12)
    for mine, theirs in zip(ours[1], gradient, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)


def test_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(__main__, "WORKLOADS", {"logistic": partial(tiny, contestant("gradc", logistic_in_numpy))})
    monkeypatch.setattr(__main__, "DOCS", tmp_path)
    __main__.main(["logistic", "--rounds", "2", "--seconds", "0", "--write", "--json", str(tmp_path / "figures.json")])
    page = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert "- CPU: " in page
    assert "### logistic regression, n=20 d=3" in page
    assert ("benchmarks.svg" in page) == (tmp_path / "benchmarks.svg").exists()
    assert "| gradc |" in capsys.readouterr().out
    assert '"status": "WRONG"' in (tmp_path / "figures.json").read_text()
    with pytest.raises(SystemExit):
        __main__.main(["no-such-name"])


def test_scaling_and_memory_are_told() -> None:
    rows = scaling.of_rows(sizes=(10, 100), rounds=2)
    steps = [scaling.Step(100, 2e-6, 0.5)]
    told = report.scaling_section(rows, steps)
    assert [step.size for step in rows] == [10, 100]
    assert "| 100 | 500 ms | 2 µs | 20 ns |" in told
    told = report.memory_section([memory.Growth("gradc", 3000, 2_000_000, 500_000)])
    assert "| gradc | 3,000 | 2.0 MB | 0.5 MB |" in told


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-"), (1234.5, "1,234 s"), (0.0123, "12.3 ms"), (4.5e-7, "450 ns"), (3e-10, "0.3 ns")]
)
def test_durations_have_three_digits(seconds: float | None, text: str) -> None:
    assert report.duration(seconds) == text
