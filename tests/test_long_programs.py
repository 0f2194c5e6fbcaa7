"""A program of twice the length takes at most about twice the work: counted in calls, from the text to the source."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest

import gradc
from gradc.schedule.levels import MOST_AT_ONCE

SCALAR = "x: param\n"
VECTOR = "w: param[n]\n"
MATRIX = "A: param[n, n]\nv: param[n]\n"


def repeated(first: str, step: Callable[[int], str], last: str) -> Callable[[int], str]:
    return lambda n: first + "".join(map(step, range(n))) + last


def joined(first: str, step: Callable[[int], str], between: str, last: str) -> Callable[[int], str]:
    return lambda n: first + between.join(map(step, range(n))) + last


PROGRAMS: dict[str, Callable[[int], str]] = {
    "if": repeated(
        SCALAR + "y = x\nz = x\n", lambda k: f"if y > z + {k}:\n y = y*z\nelse:\n z = z*y\n", "y + z"
    ),
    "elif": repeated(
        SCALAR + "if x:\n y = 1\n", lambda k: f"elif x > {k}:\n y = {k}*x\n", "else:\n y = 2\ny"
    ),
    "early returns": repeated(
        SCALAR + "def f(x):\n", lambda k: f" if x > {k}:\n  return {k}*x\n", " return 2\nf(x)"
    ),
    "conditional expressions": repeated(SCALAR, lambda k: f"{k}*x if x > {k} else ", "x"),
    "where": repeated(VECTOR + "y = w\n", lambda k: f"y = where(y > {k}, y*w, y + 1)\n", "sum(y)"),
    "helpers": repeated(SCALAR + "def f(a): return sin(a)*a\ny = x\n", lambda k: "y = f(y)\n", "y"),
    "list": joined(SCALAR + "y = tanh([", lambda k: f"x*{k}", ", ", "])\nsum(y*y)"),
    "elements of a list": lambda n: f"{SCALAR}y = [{', '.join(f'x**{k}' for k in range(n))}]\n"
    + " + ".join(f"y[{k}]" for k in range(n)),
    "stack": joined(VECTOR + "y = stack([", lambda k: f"w*{k}", ", ", "])\nsum(y*y)"),
    "concatenate": joined(VECTOR + "y = concatenate([", lambda k: f"w*{k}", ", ", "])\nsum(y*y)"),
    "max": joined(SCALAR + "max([", lambda k: f"x*{k}", ", ", "])"),
    "slices": repeated(VECTOR + "y = w\n", lambda k: "y = tanh(y[1:]) + y[:-1]\n", "sum(y)"),
    "slices of many lengths": joined(VECTOR, lambda k: f"sum(w[{k}:]*w[:n - {k}])", " + ", ""),
    "gathers": repeated(VECTOR + "t: index[n]\ny = w\n", lambda k: "y = tanh(y[t])\n", "sum(y)"),
    "running sums": repeated(VECTOR + "y = w\n", lambda k: "y = tanh(cumsum(y))\n", "sum(y)"),
    "products": repeated(MATRIX + "y = v\n", lambda k: "y = tanh(A @ y)\n", "sum(y)"),
    "one product": lambda n: f"{MATRIX}sum({' @ '.join(['A'] * n)})",
    "products of many lengths": lambda n: "".join(f"A{k}: param[d{k}, d{k + 1}]\n" for k in range(n))
    + f"sum({' @ '.join(f'A{k}' for k in range(n))})",
    "layers": lambda n: "x: data[n, d]\n" + "".join(f"W{k}: param[d, d]\n" for k in range(n)) + "h = x\n"
    + "".join(f"h = relu(h @ W{k})\n" for k in range(n)) + "sum(h)",
    "linear algebra": repeated(MATRIX + "y = v\n", lambda k: "y = solve(A, y)\n", "sum(y)"),
    "dims": lambda n: "".join(f"w{k}: param[d{k}]\n" for k in range(n))
    + " + ".join(f"sum(w{k}**2)" for k in range(n)),
    "dims in turn": lambda n: "".join(f"w{k}: param[d{k}]\n" for k in range(n)) + "y = 1\n"
    + "".join(f"y = sum(tanh(w{k}*y))\n" for k in range(n)) + "y",
    "ranges": joined(VECTOR, lambda k: f"sum(w[i] for i in range({k}, n))", " + ", ""),
    "means": repeated(VECTOR + "y = w\n", lambda k: "y = tanh(y - mean(y))\n", "sum(y*y)"),
    "params": lambda n: "".join(f"w{k}: param\n" for k in range(n)) + " + ".join(f"w{k}**2" for k in range(n)),
    "exponentials": repeated(SCALAR + "y = x\n", lambda k: "y = log(1 + exp(y))\n", "y"),
    "integers": repeated(SCALAR + "k: index\nj = k\n", lambda k: "j = (j*3 + 1)//2 % 7\n", "x*j"),
}  # fmt: skip


def calls(text: str) -> int:
    """How many calls of Python and C functions it takes to compile a text to source."""
    count = 0

    def counted(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        assert gradc.compile(text, backend="python", cache=False).source
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_work_is_linear(program: Callable[[int], str]) -> None:
    calls(program(3))  # what is made once in a process
    assert calls(program(160)) < 2.3 * calls(program(80))


def test_gradients_by_arrays_of_many_lengths() -> None:
    """Their loops are not arranged all at once."""
    many, random = 2 * MOST_AT_ONCE, np.random.default_rng(1)
    lengths = random.integers(1, 5, many + 1)
    text = "x: data[n, d0]\n" + "".join(f"A{k}: param[d{k}, d{k + 1}]\nb{k}: param[d{k + 1}]\n" for k in range(many))
    text += "h = x\ny = 1\n" + "".join(
        f"h = tanh(h @ A{k} + b{k})\ny = y + mean(h)*sum(b{k}**2)\n" for k in range(many)
    )
    function = gradc.compile(text + "sum(h**2) + y", backend="python", cache=False)
    inputs = {f"A{k}": random.normal(size=lengths[k : k + 2]) for k in range(many)}
    inputs |= {f"b{k}": random.normal(size=lengths[k + 1]) for k in range(many)} | {
        "x": random.normal(size=(3, lengths[0]))
    }
    h, y = inputs["x"], 1.0
    for k in range(many):
        h = np.tanh(h @ inputs[f"A{k}"] + inputs[f"b{k}"])
        y += np.mean(h) * np.sum(inputs[f"b{k}"] ** 2)
    assert function(**inputs) == pytest.approx(np.sum(h**2) + y, rel=1e-12)
    report = function.check(**inputs)
    assert report.ok, str(report)
