"""Loops along a row that add to neighbours are split, and give what their texts say."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import gradc
from gradc.extents import Index, Poly
from gradc.loops import Accumulate, Apply, Assign, Const, Element, For, Name, Stmt
from gradc.program import Provenance
from gradc.schedule.fission import apart
from gradc.schedule.names import Names

PAIRS = "for i in range(n - 1) for j in range(m - 1)"
SPLIT = {
    "squares": f"x: param[n, m]\nsum((x[i+1, j] - x[i, j])**2 + (x[i, j+1] - x[i, j])**2 {PAIRS})",
    "lengths": f"x: param[n, m]\nsum(sqrt((x[i+1, j] - x[i, j])**2 + (x[i, j+1] - x[i, j])**2 + 0.01) {PAIRS})",
    "in rows": "x: param[n, m]\nsum(tanh(x[i, j+1]*x[i, j]) for i in range(n) for j in range(m - 1))",
    "far": "x: param[n, m]\nsum(exp(x[i, j+3]*x[i, j] - x[i, j+1]) for i in range(n) for j in range(m - 3))",
    "three axes": "x: param[n, m, m]\nsum(sin(x[i, j, k+1]*x[i, j, k]) for i in range(n) for j in range(m)"
    " for k in range(m - 1))",
    "chosen": f"x: param[n, m]\nsum(abs(x[i, j+1] - x[i, j]) if x[i, j] > 0 else x[i+1, j]**3 {PAIRS})",
    "beside products": "x: param[n, m]\nW: param[m, m]\nsum((x @ W)**2)"
    " + sum(tanh(x[i, j+1]*x[i, j]) for i in range(n) for j in range(m - 1))",
}
WHOLE = {
    "one place": "x: param[n, m]\ny: data[n, m]\nsum(tanh(x[i, j+1]*y[i, j]) for i in range(n) for j in range(m - 1))",
    "rows": "x: param[n]\nsum(x[i+1]*x[i] for i in range(n - 1))",
    "rows that an index picks": "x: param[n, m]\na: index[e]\nb: index[e]\n"
    "sum((x[a[k], j] - x[b[k], j])**2 for k in range(e) for j in range(m))",
    "from both ends": "x: param[n, m]\nsum(tanh(x[i, j]*x[i, m-1-j]) for i in range(n) for j in range(m))",
    "triangle": "x: param[n, n]\nsum(tanh(x[i, j+1]*x[i, j]) for i in range(n) for j in range(i - 1))",
}
APART = re.compile(r"( +)for \w in range\(.*\):\n((?:\1 +(?:#|x_bar\[.*\] [+-]=).*\n)+)(?!\1 )")
"""A loop that adds to x_bar, and does nothing else."""


@pytest.mark.parametrize("name", SPLIT)
def test_each_column_has_a_loop(name: str) -> None:
    source = gradc.compile(SPLIT[name], cache=False).source
    loops = [re.findall(r"x_bar\[.*(\w[ +\d]*)\] [+-]=", body) for _, body in APART.findall(source)]
    assert len(loops) >= 2, source
    assert all(len(set(columns)) == 1 for columns in loops), loops


@pytest.mark.parametrize("name", WHOLE)
def test_others_stay_whole(name: str) -> None:
    source = gradc.compile(WHOLE[name], cache=False).source
    kernel = source[source.index("def value_and_grad_rows") : source.index("def value_and_grad(")]
    assert not re.search(r"^    (?!tile)\w+ = empty\(", kernel, re.M), kernel


@pytest.mark.parametrize("name", [*SPLIT, *WHOLE])
def test_gradients(name: str) -> None:
    text = {**SPLIT, **WHOLE}[name]
    functions = [gradc.compile(text, cache=False, threads=threads) for threads in (1, 2)]
    for n, m in ((6, 5), (2, 2), (1, 4), (0, 3), (40, 4)):
        rng = np.random.default_rng(n)
        sizes = {"n": n, "m": m}
        given: dict[str, Any] = {
            i.name: rng.integers(0, n, 7) if i.kind == "index" else rng.normal(size=[sizes[str(k)] for k in i.shape])
            for i in functions[0].signature
            if n or i.kind != "index"
        }
        if len(given) < len(functions[0].signature):
            continue
        report = functions[0].check(**given)
        assert report.ok, report
        once, again = (f.value_and_grad(**given) for f in functions)
        np.testing.assert_equal((once[0], *once[1]), (again[0], *again[1]))


def test_rows_on_threads() -> None:
    x = np.random.default_rng(0).normal(size=(700, 300))
    gradients = [gradc.compile(SPLIT["squares"], threads=k, cache=False).grad(x).x for k in (1, 2, 3)]
    expected = np.zeros_like(x)
    down, right = x[1:, :-1] - x[:-1, :-1], x[:-1, 1:] - x[:-1, :-1]
    expected[1:, :-1] += 2 * down
    expected[:-1, 1:] += 2 * right
    expected[:-1, :-1] -= 2 * (down + right)
    np.testing.assert_allclose(gradients[0], expected, rtol=1e-12, atol=1e-12)
    assert len({g.tobytes() for g in gradients}) == 1


J = Name("j", "int")
T = Name("t", "float")
NEXT = Element("x_bar", (Name("i", "int"), Apply("add", (J, Const(1)), "int")), "float")
HERE = Element("x_bar", (Name("i", "int"), J), "float")
COMPUTED = Assign(T, Apply("exp", (Element("y", (J,), "float"),), "float"))


def split(*body: Stmt) -> int:
    """How many loops there are afterwards."""
    return len(apart([For(Index(Poly.atom("m"), 0), "j", body)], Names(Provenance(), ()))[1])


def test_what_keeps_a_loop_whole() -> None:
    adds = Accumulate(NEXT, "add", T), Accumulate(HERE, "add", T)
    assert split(COMPUTED, *adds) == 3
    assert split(*adds) == 2
    assert split(COMPUTED, *adds, Assign(T, HERE)) == 1  # what they add to is read
    assert split(COMPUTED, Assign(HERE, T), *adds) == 1  # the next turn's += comes first
    total = Name("total", "float")
    runs = Accumulate(NEXT, "add", total), Accumulate(HERE, "add", T)
    assert split(COMPUTED, *runs) == 3
    assert split(COMPUTED, Accumulate(total, "add", T), *runs) == 1  # its sum so far is added
    twice = Element("x_bar", (Name("i", "int"), Apply("mul", (J, Const(2)), "int")), "float")
    assert split(COMPUTED, Accumulate(twice, "add", T), Accumulate(HERE, "add", T)) == 1
