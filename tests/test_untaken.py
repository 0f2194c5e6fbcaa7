"""An arm that is not taken contributes nothing, and its loops and reads do not run."""

from __future__ import annotations

import builtins
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import gradc
from gradc.evaluate import evaluate_value

SIZES = {"n": 4, "d": 3, "m": 5}


def turns(text: str, **inputs: Any) -> list[int]:
    """The lengths of the ranges that value_and_grad runs over, in order."""
    module: dict[str, Any] = {}
    plain = gradc.compile(text, cache=False).source.replace("from numba import njit", "raise ImportError")
    exec(plain, module)
    seen: list[int] = []

    def counting(*bounds: int) -> Iterator[int]:
        seen.append(len(builtins.range(*bounds)))
        return iter(builtins.range(*bounds))

    module["range"] = counting
    module["value_and_grad"](**inputs)
    return [k for k in seen if k > 1]


def test_the_loops_of_an_arm_that_is_not_taken_do_not_run() -> None:
    text = "a: param\nx: data[n]\ny: data[m]\nsum(exp(a*x)) if a > 0 else sum(sin(a*y))"
    x, y = np.ones(7), np.ones(11)
    assert set(turns(text, a=1.0, x=x, y=y)) == {7}
    assert set(turns(text, a=-1.0, x=x, y=y)) == {11}


def test_the_loops_of_an_if_statement_do_not_run() -> None:
    text = """
a: param
x: data[n]
y: data[m]
flag: index
r = 0.0
if flag == 1:
    s = sum((a*x - 1)**2)
    if s > 0:
        r = s + sum(cos(a*y))
r + a
"""
    x, y = np.ones(7), np.ones(11)
    assert turns(text, a=2.0, x=x, y=y, flag=0) == []
    assert set(turns(text, a=2.0, x=x, y=y, flag=1)) == {7, 11}


def test_the_inner_loops_of_rows_that_do_not_take_the_arm_do_not_run() -> None:
    body = "sum(exp(w[j]*x[i, j]) for j in range(d)) if t[i] > 0 else t[i]"
    text = f"w: param[d]\nx: data[n, d]\nt: data[n]\nsum({body} for i in range(n))"
    w, x = np.ones(3), np.ones((5, 3))
    assert turns(text, w=w, x=x, t=np.array([1.0, -1, -1, 1, -1])).count(3) == 2 + 2  # and two for w_bar


def test_reads_of_an_arm_that_is_not_taken_do_not_run() -> None:
    text = "w: param[m]\nk: index[n]\nflag: index\nsum(w[k[i]]**2 for i in range(n)) if flag > 0 else w[0]"
    function = gradc.compile(text, backend="python", cache=False)
    w, wild = np.arange(1.0, 5.0), [1, 99, -3]
    assert function.value_and_grad(w, wild, 0)[0] == 1.0
    with pytest.raises(gradc.InputError):
        function(w, wild, 1)


class Programs:
    """Random programs of choices between sums, with conditions on numbers and on rows."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def text(self) -> str:
        inputs = ["a: param", "w: param[d]", "v: param[m]", "x: data[n, d]", "t: data[n]", "k: index[n]", "flag: index"]
        lines = [f"s = {self.number(2)}"]
        if self.rng.random() < 0.5:
            lines += [f"if {self.condition()}:", f"    s = s*{self.number(1)}", "else:", f"    u = {self.number(1)}"]
            lines += ["    s = u*u + s"]
        return "\n".join([*inputs, *lines, f"s + {self.number(1)}"])

    def condition(self) -> str:
        return self.rng.choice(["a > 0", "flag > 0", "sum(w) > 0", "a > 0 and flag > 0", "not a > 0.5 or flag == 1"])

    def number(self, depth: int) -> str:
        kind = self.rng.choice(["leaf", "sum", "sum", "choice", "choice", "product"] if depth else ["leaf", "sum"])
        if kind == "leaf":
            return self.rng.choice(["a", "log(a)", "sqrt(a)", "w[0]", "v[k[0]]", "logsumexp(w)", "sum(v)", "max(w)"])
        if kind == "sum":
            reduction = self.rng.choice(["sum", "sum", "mean", "logsumexp", "max"])
            return f"{reduction}({self.row(2)} for i in range(n))"
        if kind == "choice":
            return f"({self.number(depth - 1)} if {self.condition()} else {self.number(depth - 1)})"
        return f"{self.number(depth - 1)}*{self.number(depth - 1)}"

    def row(self, depth: int) -> str:
        kind = self.rng.choice(["leaf", "inner", "choice", "choice", "product"] if depth else ["leaf", "inner"])
        if kind == "leaf":
            return self.rng.choice(["t[i]*a", "sin(t[i] + w[0])", "v[k[i]]", "log(t[i])*a", "x[i, 0]*v[0]", "a"])
        if kind == "inner":
            body = self.rng.choice(["w[j]*x[i, j]", "exp(w[j])", "sqrt(x[i, j])*w[j]", "tanh(a*x[i, j])"])
            reduction = self.rng.choice(["sum", "sum", "logsumexp", "prod", "min"])
            return f"{reduction}({body} for j in range(d))"
        if kind == "choice":
            condition = self.rng.choice(["t[i] > 0", "x[i, 1] > t[i]", "k[i] > 1", "sum(x[i]) > 0", self.condition()])
            return f"({self.row(depth - 1)} if {condition} else {self.row(depth - 1)})"
        return f"{self.row(depth - 1)}*{self.row(depth - 1)}"


def compared(seed: int, backend: str = "python") -> None:
    text = Programs(seed).text()
    function = gradc.compile(text, backend=backend, cache=False)
    rng = np.random.default_rng(seed)
    for flag in (0, 1):
        inputs = {
            "a": rng.normal(), "w": rng.normal(size=3), "v": rng.normal(size=5), "x": rng.normal(size=(4, 3)),
            "t": rng.normal(size=4), "k": rng.integers(0, 5, 4), "flag": flag,
        }  # fmt: skip
        value, gradient = function.value_and_grad(**inputs)
        derived = function._derived
        exact = evaluate_value(derived.value.node, (), inputs, SIZES)
        np.testing.assert_allclose(value, exact, rtol=1e-9, atol=1e-12, err_msg=text)
        assert derived.gradient is not None
        for name, field in derived.gradient.items():
            exact = evaluate_value(field.node, field.axes, inputs, SIZES)
            np.testing.assert_allclose(getattr(gradient, name), exact, rtol=1e-8, atol=1e-10, err_msg=f"{text}\n{name}")
        if np.isfinite(value):
            worst = max((row.error for row in function.check(**inputs).rows), default=np.nan)
            assert worst < 1e-4, f"{text}\n{worst}\n{inputs}"  # more than rounding near the kinks of extremes


@pytest.mark.parametrize("seed", range(60))
def test_random_choices(seed: int) -> None:
    compared(seed)


@pytest.mark.parametrize("seed", range(1000, 1003))
def test_random_choices_compiled(seed: int) -> None:
    compared(seed, "numba")
