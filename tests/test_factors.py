"""Factors of matrix products are stored, however cheap; nothing is left in loops that nobody reads."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np
import pytest
import random_rows
from cases import CASES
from random_programs import Seeded

import gradc
from gradc.loops import Product, walk

GIVEN = "x: data[n, d]\nA: param[h, d]\nB: param[k, h]\n"
PRODUCTS = {
    "relu": (GIVEN + "sum(relu(x @ A.T) @ B.T)", 3),
    "relu and a sum of squares": (GIVEN + "sum((relu(x @ A.T) @ B.T)**2)", 5),
    "shifted": ("b: param[d]\nW: param[h, d]\nx: data[n, d]\nsum(((x - b) @ W.T)**2)", 3),
    "squares of data": ("W: param[h, d]\nx: data[n, d]\nsum(((x*x) @ W.T)**2)", 2),
    "squares of params": ("W: param[h, d]\nx: data[n, d]\nsum((x @ (W*W).T)**2)", 2),
    "a choice": (GIVEN + "z = x @ A.T\nsum(where(z > 1, z, 1 - z) @ B.T)**2", 3),
}
"""With how many products of two matrices."""
LOOPS = {
    "a handful": "W: param[4, d]\nx: data[n, 4]\nsum(sum(relu(x[i, k])*W[k, j] for k in range(4))**2"
    " for i in range(n) for j in range(d))",
    "a vector": "w: param[d]\nx: data[n, d]\nsum((relu(x) @ w)**2)",
}


def products(text: str) -> int:
    routine = next(r for r in gradc.compile(text, cache=False)._module.routines if r.name == "value_and_grad")
    return sum(isinstance(s, Product) and len(s.loops) == 3 for s, _ in walk(routine.body))


@pytest.mark.parametrize("name", PRODUCTS)
def test_products(name: str) -> None:
    text, count = PRODUCTS[name]
    assert products(text) == count


@pytest.mark.parametrize("name", LOOPS)
def test_loops_of_single_multiplications(name: str) -> None:
    assert products(LOOPS[name]) == 0


def test_factors_of_three_axes_are_computed_again() -> None:
    text = "c: param[h, d]\nW: param[k, d]\nx: data[n, d]\n" + (
        "sum(sum((x[i, q] - c[j, q])*W[l, q] for q in range(d))**2"
        " for i in range(n) for j in range(h) for l in range(k))"
    )
    for routine in gradc.compile(text, cache=False)._module.routines:
        assert not [a for a in routine.allocations() if a.array.startswith("result_diff")]


@pytest.mark.parametrize("name", [*PRODUCTS, *LOOPS])
def test_gradients(name: str) -> None:
    text = PRODUCTS[name][0] if name in PRODUCTS else LOOPS[name]
    function = gradc.compile(text, cache=False)
    sizes = {"n": 30, "d": 9, "h": 11, "k": 10, "4": 4}
    rng = np.random.default_rng(1)
    given: dict[str, Any] = {i.name: rng.normal(size=[sizes[str(s)] for s in i.shape]) for i in function.signature}
    report = function.check(**given)
    assert report.ok, report


def unread(source: str) -> list[str]:
    """The variables that a loop assigns and nothing in it reads."""
    found = []
    for loop in (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.For)):
        names = [n for n in ast.walk(loop) if isinstance(n, ast.Name)]
        read = {n.id for n in names if isinstance(n.ctx, ast.Load)}
        assigned = {t.id for s in loop.body if isinstance(s, ast.Assign) for t in s.targets if isinstance(t, ast.Name)}
        found += sorted(assigned - read)
    return found


def test_unread_variables_are_found() -> None:
    assert unread("for i in range(3):\n    a = 1\n    b = a\n    for j in range(b):\n        c = 2\n") == ["c"]


CONVOLUTION = (
    "k: param[p, q]\nx: data[n, m]\ny: data[n, m]\n"
    "sum((sum(k[a, b]*x[i + a, j + b] for a in range(p) for b in range(q)) - y[i, j])**2"
    " for i in range(n - p) for j in range(m - q))"
)
READ = [*(c.path.read_text() for c in CASES.values()), *(t for t, _ in PRODUCTS.values()), *LOOPS.values(), CONVOLUTION]


@pytest.mark.parametrize("text", READ, ids=range(len(READ)))
def test_nothing_is_computed_for_nobody(text: str) -> None:
    assert not unread(gradc.compile(text, backend="python", cache=False).source)


@pytest.mark.parametrize("block", range(5))
def test_nothing_is_computed_for_nobody_at_random(block: int) -> None:
    for seed in range(30 * block, 30 * block + 30):
        text = random_rows.generate(Seeded(seed)).text
        assert not unread(gradc.compile(text, backend="python", cache=False).source), text


TWICE = """a: data[n, K]
b: param[K, 10]
c: data[n, 10]
w: data[n, h]
x: param[h]
y: param[K]
t: index[n]
u: param[n]
v = tanh(sum((tanh(a) @ b)*c, axis=1) @ w)
z = w @ x
p = [cumsum(y[t])[i] if z[i] < 0.1 else z[i]*cumsum(y[t])[i] for i in range(n)]
p @ [sum(u[j]*u[i] for j in range(i)) for i in range(n)] + sum(v)
"""


def test_what_is_computed_again_is_kept_for_one_row_only() -> None:
    """The second time `tanh(a)` is needed in two loops over one row, one of which has another loop inside."""
    function = gradc.compile(TWICE, backend="python", cache=False)
    routine = next(r for r in function._module.routines if r.name == "value_and_grad")
    assert not [a for a in routine.allocations() if [str(length) for length in a.shape] == ["n", "K"]]
    rng = np.random.default_rng(0)
    shapes = {"a": (5, 9), "b": (9, 10), "c": (5, 10), "w": (5, 3), "x": 3, "y": 9, "u": 5}
    given: dict[str, Any] = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    assert function.check(**given, t=rng.integers(0, 9, 5)).ok
