"""The README shows what really happens."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from cases import CASES

import gradc
from gradc.lower.calls import ALL_FUNCTIONS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PYTHON, SHELL = ([m[1] for m in re.finditer(rf"```{kind}\n(.*?)```", README, re.S)] for kind in ("python", "sh"))


def test_program_shown_is_the_example() -> None:
    assert PYTHON[0] == CASES["logistic"].path.read_text()


def test_sweep_shown_is_generated() -> None:
    source = gradc.compile(CASES["logistic"].path).source
    assert PYTHON[1] in source[source.index("def value_and_grad") :]
    assert PYTHON[1].lstrip().startswith("for start in range(first, last, tile):")


def test_python_shown_runs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    exec(compile(PYTHON[2], "README.md", "exec"), names)
    assert "def value_and_grad(w, b, x, t, lam):" in capsys.readouterr().out
    assert names["found"].fun < names["value"]
    file = tmp_path / "shown.py"  # functions are read by their source
    file.write_text(PYTHON[3])
    exec(compile(PYTHON[3], str(file), "exec"), names)
    assert capsys.readouterr().out == "(3,)\n(1.0, Gradient(a=-4.0))\n"


def test_functions_listed_are_those_there_are() -> None:
    language = README[README.index("## The language") : README.index("## Examples")]
    listed = {w for block in re.findall(r"`([a-z0-9_\s]+)`", language) for w in block.split()}
    shown = ALL_FUNCTIONS - {"polygamma", "matmul", "float"}
    assert shown | {"grad"} <= listed


def test_ci_runs_the_test_command_shown() -> None:
    command = next(c for c in SHELL if "pytest" in c)
    run = (ROOT / ".ci/run").read_text()
    assert all(step.strip() in run for step in command.split("&&"))


def test_every_example_is_listed() -> None:
    assert set(re.findall(r"`examples/(\w+)\.gradc` \|", README)) == set(CASES)
