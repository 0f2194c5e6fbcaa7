"""How far memory grows beyond the inputs during a sweep over the rows: `python -m benchmarks.memory WHO ROWS`.

Each measurement has a process of its own, and reads the peak from Linux, which can be told to forget an earlier one.
(`getrusage` would do elsewhere, were it not that a process begins with the peak of the one that started it.)
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradc
from benchmarks.rows import LOGISTIC, logistic_in_numpy, logistic_inputs

FEATURES = 10
PROCESS = Path("/proc/self")


@dataclass
class Growth:
    """Bytes of the inputs, and by how many the process grew at most while it took value and gradient."""

    name: str
    rows: int
    inputs: int
    growth: int


def growths(sizes: Sequence[int] = (300_000, 3_000_000)) -> list[Growth]:
    """Of the logistic loss, in gradc and in NumPy, which keeps arrays as long as the rows."""
    if not (PROCESS / "clear_refs").exists():
        return []
    return [_measured(name, rows) for name in ("gradc", "NumPy by hand") for rows in sizes]


def _measured(name: str, rows: int) -> Growth:
    command = [sys.executable, "-m", "benchmarks.memory", name, str(rows)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Growth(name, rows, *json.loads(done.stdout))


def measure(name: str, rows: int) -> tuple[int, int]:
    """(bytes of the inputs, bytes beyond them at the peak), in this process. Compiling comes before."""
    run: Callable[..., Any] = gradc.compile(LOGISTIC).value_and_grad if name == "gradc" else logistic_in_numpy
    inputs = logistic_inputs(rows, FEATURES)
    w, b, x, t = inputs
    run(w, b, x[:1000], t[:1000])
    (PROCESS / "clear_refs").write_text("5")  # the peak is now what is resident
    before = _bytes("VmRSS")
    run(*inputs)
    return w.nbytes + x.nbytes + t.nbytes, _bytes("VmHWM") - before


def _bytes(field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+) kB", (PROCESS / "status").read_text())
    assert found is not None
    return int(found[1]) * 1024


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
