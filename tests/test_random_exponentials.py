"""Sums of exponentials over axes that other terms have, too, in NumPy's notation: NumPy says what they are.

Rewritten forms take the largest exponent out of sums. In `exp(s) + sum(exp(s))` one s is summed and the other is not,
by the same index: what is done to both must not be done inside the sum.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import gradc

HEAD = "s: param[n]\nt: param[n]\nm: param[n, n]\nc: param\n"
POINT: dict[str, Any] = {
    "s": np.array([0.1, 0.2, 0.3, 0.4]),
    "t": np.array([0.5, -0.3, 0.2, 0.7]),
    "m": np.sin(np.arange(16.0)).reshape(4, 4),
    "c": 0.3,
}
SMALLEST = [
    "log(sum(exp(s) + sum(exp(s))))",
    "sum(log(exp(2*s) + sum(exp(s))))",
    "sum((exp(s) + sum(exp(s)))/sum(exp(s)))",
    "sum(((exp(s) - mean(exp(s)))/sum(exp(s)))**2)",
    "sum((exp(-s) + sum(exp(s)))/(1 + exp(s)))",
    "sum(exp(s)*0 + sum(exp(s)))/(1 + sum(exp(s)))",
    "sum(where(s > 0.25, sum(exp(s)), 0.0)/(1 + exp(t)))",
    "sum(log(exp(s)/(exp(s) + sum(exp(t)))))",
    "sum(((exp(m) - mean(exp(m), axis=0))/(1 + sum(exp(m))))**2)",
    "sum(((exp(m) - mean(exp(m), axis=1)[:, None])/(1 + sum(exp(m))))**2)",
    "sum(log(exp(m) + sum(exp(m), axis=0) + sum(exp(m), axis=1)[:, None]))",
    "sum(log(sum(exp(m.T) + sum(exp(m), axis=0), axis=1)))",
]


class Drawn:
    """Texts of numbers, vectors and matrices, made of exponentials, sums and quotients."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def number(self, depth: int) -> str:
        if not depth:
            return self.random.choice(["exp(c)", "c", "1.0", "sum(exp(s))", "mean(exp(t))", "exp(s[0])", "sum(exp(m))"])
        kind = self.random.randrange(5)
        if kind < 2:
            return f"({self.number(depth - 1)} {self.sign} {self.number(self.less(depth))})"
        if kind == 2:
            return f"log({self.number(depth - 1)})"
        return f"{self.random.choice(['sum', 'mean'])}({self.random.choice([self.vector, self.matrix])(depth - 1)})"

    def vector(self, depth: int) -> str:
        if not depth:
            sums = ["sum(exp(m), axis=0)", "sum(exp(m), axis=1)", "mean(exp(m), axis=0)"]
            return self.random.choice(["exp(s)", "s", "exp(-s)", "exp(t)", "exp(s + t)", *sums])
        other = self.random.choice([self.vector, self.number])(self.less(depth))
        kind = self.random.randrange(7)
        if kind < 3:
            return f"({self.vector(depth - 1)} {self.sign} {other})"
        if kind < 5:
            return f"({self.vector(depth - 1)}/{self.random.choice([other, f'(1.0 + {other})'])})"
        if kind == 5:
            return f"log({self.vector(depth - 1)})"
        reduced = self.random.choice(["sum", "sum", "mean", "max", "logsumexp"])
        return f"{reduced}({self.matrix(depth - 1)}, axis={self.random.randrange(2)})"

    def matrix(self, depth: int) -> str:
        if not depth:
            return self.random.choice(["exp(m)", "m", "exp(m.T)", "exp(-m)", "exp(m - max(m, axis=0))"])
        other = self.random.choice([self.matrix, self.vector, self.number])(self.less(depth))
        kind = self.random.randrange(8)
        if kind < 3:
            return f"({self.matrix(depth - 1)} {self.sign} {other})"
        if kind == 3:
            return f"({self.matrix(depth - 1)} + {self.vector(self.less(depth))}[:, None])"
        if kind < 6:
            return f"({self.matrix(depth - 1)}/{self.random.choice([other, f'(1.0 + {other})'])})"
        if kind == 6:
            return f"log({self.matrix(depth - 1)})"
        return f"where(m > {self.random.choice(['s', '0.1', 's[:, None]'])}, {self.matrix(depth - 1)}, 0.0)"

    @property
    def sign(self) -> str:
        return self.random.choice("+-*")

    def less(self, depth: int) -> int:
        return self.random.randrange(depth)

    def text(self) -> str:
        return f"sum({self.random.choice([self.vector, self.matrix, self.matrix])(self.random.randrange(1, 5))})"


def in_numpy(text: str) -> float:
    names = {name: getattr(np, name) for name in ("exp", "log", "sum", "mean", "max", "where")}
    with np.errstate(all="ignore"):
        found = eval(text, {**names, "logsumexp": lambda x, axis: np.log(np.sum(np.exp(x), axis=axis)), **POINT})
    return float(found)


def check(text: str) -> None:
    expected = in_numpy(text)
    value = gradc.compile(HEAD + text, backend="python", cache=False)(**POINT)
    assert not np.isfinite(expected) or value == pytest.approx(expected, rel=1e-8, abs=1e-8), text


@pytest.mark.parametrize("text", SMALLEST)
def test_smallest(text: str) -> None:
    check(text)
    function = gradc.compile(HEAD + text, cache=False)
    assert function(**POINT) == pytest.approx(in_numpy(text), rel=1e-12)
    assert function.check(**POINT).ok


@pytest.mark.parametrize("block", range(6))
def test_random(block: int) -> None:
    for seed in range(50 * block, 50 * block + 50):
        check(Drawn(seed).text())


@pytest.mark.nightly
@pytest.mark.parametrize("block", range(50))
def test_random_at_length(block: int) -> None:
    for seed in range(200 * block, 200 * block + 200):
        check(Drawn(1000 + seed).text())
