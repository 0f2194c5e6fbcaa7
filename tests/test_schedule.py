"""Loops, storage and fusion, asserted on the loop program."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from cases import CASES, ROWS

import gradc
from gradc.derive import Derived, derive
from gradc.frontends.text import program
from gradc.loops import Routine


def gradient_of(text: str) -> Routine:
    return derive(program(text)).routine("value_and_grad", True)


def derived(name: str) -> Derived:
    return derive(program(CASES[name].path.read_text(), name))


@pytest.mark.parametrize("name", sorted(ROWS))
def test_row_losses_are_one_sweep_and_store_no_column(name: str) -> None:
    routine = derived(name).routine("value_and_grad", True)
    assert routine.sweeps("n") == 1
    assert not [a for a in routine.allocations() if any("n" in p.dims for p in a.shape)]


SWEEPS = {
    "w: param[d]\nx: data[n, d]\nsum((x @ w)**2)": 1,
    "w: param[d]\nx: data[n, d]\nt: data[n]\nsqrt(mean((x @ w - t)**2))": 1,
    "w: param[d]\nx: data[n, d]\nlog(mean(exp(x @ w)))": 2,
    "x: param[n]\nsum(exp(x))*sum(x*x)": 2,
    "x: param[n]\nsum(100*(x[1:] - x[:-1]**2)**2 + (1 - x[:-1])**2)": 1,
    "w: param[d]\nx: data[n, d]\nt: data[n]\nsum(t*softmax(x @ w)**2)": 4,
}


STANDARDISED = {
    "poisson": "count: data[n]\ncentre: data[d]\nscale: data[d]\n"
    "eta = ((x - centre)/scale) @ w\nmean(exp(eta) - count*eta)",
    "prior": "t: data[n]\npm: data[d]\nps: data[d]\nmean((x @ w - t)**2) + sum(((w - pm)/ps)**2)",
    "no target": "m: data[d]\ns: data[d]\nmean(tanh(((x - m)/s) @ w))",
    "softmax": "V: param[K, d]\nt: index[n]\nm: data[d]\ns: data[d]\n"
    "mean(cross_entropy_with_logits(((x - m)/s) @ V.T, t)) + sum(w)",
}


@pytest.mark.parametrize("name", STANDARDISED)
def test_columns_of_statistics_do_not_make_rows(name: str) -> None:
    routine = gradient_of("w: param[d]\nx: data[n, d]\n" + STANDARDISED[name])
    assert routine.sweeps("n") == 1
    assert not [a for a in routine.allocations() if any("n" in p.dims for p in a.shape)]


@pytest.mark.parametrize("text", SWEEPS)
def test_sweeps(text: str) -> None:
    assert gradient_of(text).sweeps("n") == SWEEPS[text]


def test_values_are_computed_again_rather_than_stored_along_rows() -> None:
    routine = gradient_of("x: param[n]\nsum(exp(x))*sum(x*x)")
    assert [a.array for a in routine.allocations()] == ["x_bar"]


def test_what_has_no_row_is_hoisted() -> None:
    routine = derived("gmm").routine("value_and_grad", True)
    text = gradc.compile(CASES["gmm"].path).source
    sweep = text[text.index("for p in range(n)") :]
    assert routine.sweeps("n") == 1
    assert "exp(q[" in text
    assert "exp(q[" not in sweep.split("def ")[0]


MEMORY = """
import numpy as np, gradc
from pathlib import Path

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

f = gradc.compile(Path({path!r}))
rng = np.random.default_rng(0)
K, d = 5, 2
def inputs(n):
    x, t = rng.normal(size=(n, d)), rng.integers(0, 2, n)
    return {inputs}
f.value_and_grad(**inputs(300_000))
grown = []
for n in (300_000, 3_000_000):
    given = inputs(n)
    Path("/proc/self/clear_refs").write_text("5")
    before = peak()
    f.value_and_grad(**given)
    grown.append(peak() - before)
print(*grown)
"""
INPUTS = {
    "logistic": "dict(w=np.ones(d), b=0.1, x=x, t=t*1.0)",
    "softmax": "dict(W=np.ones((K, d)), b=np.ones(K), x=x, t=t)",
    "gmm": "dict(alpha=np.ones(K), mu=rng.normal(size=(K, d)), q=np.ones((K, d)), L=np.ones((K, d, d)), x=x)",
}


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux's peak memory of a process")
@pytest.mark.parametrize("name", INPUTS)
def test_peak_memory_does_not_grow_with_rows(name: str) -> None:
    """A column of the larger call is 24 MB; the call may touch a megabyte of stack and heap, whatever its size."""
    code = MEMORY.format(path=str(CASES[name].path), inputs=INPUTS[name])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    small, large = map(int, done.stdout.split())
    assert small < 1024
    assert large < 1024
