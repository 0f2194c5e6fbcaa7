"""What is not chosen contributes nothing: neither the arm of an `if`, nor the side of a minimum that lost.

The oracle is the program without the loser: its gradient must be the same, however the loser overflows.
"""

from __future__ import annotations

import itertools
import random
import re
from typing import Any

import numpy as np
import pytest

import gradc
from gradc.build import Builder
from gradc.extents import Index, Poly
from gradc.ir import Graph, Node, reachable

LOSERS = (
    "cosh(1000*{x})",
    "exp(900*{x}*{x})",
    "sum(exp(800*{x}*v))",
    "{x}/(w - w)",
    "-log(({x} - {x})*w)",
    "sinh(1e3*{x})**2",
)
"""Infinite at 1, with an infinite derivative."""
WRAPPERS = ("{u}", "{u}*{u}", "sqrt({u})", "{u} + sin({x})", "2 + {u}", "3*{u}/w", "sum(v*{u})", "max(v*{u})")
CHOICES = (
    "minimum({g}, {u})",
    "minimum({u}, {g})",
    "-maximum(-({g}), -({u}))",
    "({g}) - relu(2.0 - ({u}))",
    "({g}) + clip({u}, -2.0, 3.0)",
    "({g}) if {u} > 5 else {u}",
    "where({u} < inf, {u}, {g})",
    "min([({g}) + ({u})*(k > 0) if k > 0 else {g} for k in range(3)])",
    "({g}) + huber(minimum({u}, 0.0))",
)
HEAD = "x: param\nw: param\nv: param[n]\n"


def gradient(text: str, backend: str) -> np.ndarray:
    got = gradc.compile(HEAD + text, backend=backend, cache=False).grad(1.0, 0.5, np.array([1.0, 1.5, 2.0]))
    return np.array([got.x, got.w, *got.v])


def drawn(rng: random.Random) -> tuple[str, str]:
    """A program with a loser in it, and what it comes to without."""
    winner = rng.choice(("sin(x)*w", "x*x + sum(v)", "exp(w) - x", "w*prod(v)"))
    loser = rng.choice(LOSERS).format(x=rng.choice(("x", "(x*2*w)", "(v[0]*x)")))
    for _ in range(rng.randint(0, 3)):
        loser = rng.choice(WRAPPERS).format(u=f"({loser})", x="x")
    return rng.choice(CHOICES).format(g=winner, u=f"({loser})"), winner


@pytest.mark.parametrize("seed", range(60))
def test_a_loser_has_no_influence(seed: int) -> None:
    text, winner = drawn(random.Random(seed))
    np.testing.assert_allclose(gradient(text, "python"), gradient(winner, "python"), rtol=1e-14, err_msg=text)


@pytest.mark.parametrize("backend", ["python", "numba"])
@pytest.mark.parametrize(
    ("text", "at", "slope"),
    [
        ("minimum(x, cosh(1000*x))", 1.0, 1.0),
        ("x + relu(-cosh(1000*x))", 1.0, 1.0),
        ("abs(sqrt(x))", 0.0, 0.0),
        ("u = log(x)\nu if u > -5 else x", 0.0, 1.0),
        ("u = log(x) if x > -1 else 0.0\nu if u > -5 else x", 0.0, 1.0),
        ("minimum(1.0, 1/x) + x", 0.0, 1.0),
        ("hinge(exp(1000*x), 1) + x", 2.0, 1.0),
        ("hypot(sqrt(x), 0.0)", 0.0, 0.0),
    ],
)
def test_zero_times_infinity(text: str, at: float, slope: float, backend: str) -> None:
    assert gradc.compile(f"x: param\n{text}", backend=backend, cache=False).grad(at).x == slope


def test_products_are_not_guarded() -> None:
    """The adjoint of a layer stays a matrix product: what is finite needs no choice."""
    text = "W: param[h, d]\nx: data[n, d]\nsum(relu(relu(x @ W.T) @ W))"
    assert "multiply_add(" in gradc.compile(text).source
    assert "!= 0.0" not in gradc.compile(text).source


@pytest.mark.parametrize(
    "text",
    [
        "minimum(x, cosh(1000*x)) if x > 0 else 0",
        "0 if x < 0 else where(x > 0.5, minimum(x, exp(900*x)), 2)",
        "sum((minimum(x, cosh(1000*x)) if k > 0 else x) for k in range(3))/3",
    ],
)
def test_losers_inside_of_arms(text: str) -> None:
    assert gradc.compile(f"x: param\n{text}", backend="python").grad(1.0).x == pytest.approx(1.0)


def test_what_undoes_itself_is_not_done() -> None:
    build = Builder(Graph())
    x = build.convert(build.index(Index(Poly.const(2), 0)), "float")
    condition = build.op("gt", x, build.const(0.5))
    for name, value in (("neg", x), ("not", condition)):
        once = build.op(name, value)
        assert once.op == name
        assert build.op(name, once) is value


def test_conditions_come_to_what_they_say() -> None:
    """Whatever `and` and `or` are simplified to, all truth values give the same."""
    build, draws = Builder(Graph()), np.random.default_rng(0)
    numbers = [build.convert(build.index(Index(Poly.const(2), 10 + k)), "float") for k in range(4)]
    atoms = [build.op("gt", n, build.const(0.5)) for n in numbers]
    cases = np.array(list(itertools.product([False, True], repeat=len(atoms)))).T
    shortened = 0
    for _ in range(300):
        nodes, meant = list(atoms), list(cases)
        for _ in range(8):
            a, b = draws.integers(len(nodes), size=2)
            name = ("and", "or", "not")[draws.integers(3)]
            nodes.append(build.op("not", nodes[a]) if name == "not" else build.op(name, nodes[a], nodes[b]))
            meant.append({"not": ~meant[a], "and": meant[a] & meant[b], "or": meant[a] | meant[b]}[name])
        values: dict[Node, Any] = dict(zip(atoms, cases, strict=True))
        for n in reachable(nodes):
            if n.op == "const" and n.type == "bool":
                values[n] = np.full(cases.shape[1], n.value)
            elif n.op in ("and", "or", "not"):
                known = [values[x] for x in n.args]
                values[n] = (
                    ~known[0] if n.op == "not" else known[0] & known[1] if n.op == "and" else known[0] | known[1]
                )
        for n, m in zip(nodes, meant, strict=True):
            assert np.array_equal(values[n], m)
        shortened += len(set(nodes)) < len(nodes)
    assert shortened > 100


SCORES = "x: data[n, e]\nW: param[d, e]\nt: index[n]\ns: index[n]\nz = x @ W.T\n"
OTHERS = "sum(exp(z[i, j]) for j in range(d) if {})"
EXCLUSIVE = {
    "equal": (OTHERS.format("j != t[i]") + " - 2*z[i, t[i]]", True),
    "the other way": (OTHERS.format("t[i] != j") + " - 2*z[i, t[i]]", True),
    "the other one first": ("-2*z[i, t[i]] + " + OTHERS.format("j != t[i]"), True),
    "another place": (OTHERS.format("j != t[i]") + " - 2*z[i, s[i]]", False),
    "the same": (OTHERS.format("j == t[i]") + " - 2*z[i, t[i]]", False),
}


@pytest.mark.parametrize("name", EXCLUSIVE)
def test_contributions_of_which_one_is_zero_are_one_choice(name: str) -> None:
    summand, one = EXCLUSIVE[name]
    function = gradc.compile(f"{SCORES}sum([{summand} for i in range(n)])", cache=False)
    adjoint = next(line for line in function.source.splitlines() if re.match(r" *z_bar.*\[.* = ", line))
    assert (" + " not in adjoint) is one, adjoint
    rng = np.random.default_rng(0)
    x, w, t, s = rng.normal(size=(6, 3)), rng.normal(size=(4, 3)), rng.integers(0, 4, 6), rng.integers(0, 4, 6)
    bar, rows = np.exp(x @ w.T), np.arange(6)
    bar = np.where((np.arange(4) == t[:, None]) == (name == "the same"), bar, 0.0)
    bar[rows, s if name == "another place" else t] -= 2.0
    (got,) = function.grad(x=x, W=w, t=t, s=s)
    np.testing.assert_allclose(got, bar.T @ x, rtol=1e-13, atol=1e-13)


ARMS = {
    "several uses in one arm": ("(x*sin(x)*exp(w*x) if c > 0.0 else w)**2", 3),
    "uses in both arms": ("(x*sin(x) - w if c > 0.0 else w*x*cos(x))**2", 3),
    "behind a minus": ("w - (x - x*sin(x) if c > 0.0 else x)**2", 3),
    "one in another": ("((x*sin(x) if w > 1.0 else x*x*w) if c > 0.0 else x*w)**2", 6),
    "one after another": ("(x*x if c > 0.0 else w*x)*(sin(x)*x if c > 0.0 else x)", 4),
    "an equality and its opposite": ("(x*x*w if c == 1.0 else w)*(sin(x)*x if c != 1.0 else x)", 4),
}
"""Programs, and how many selects they and their adjoints have together."""


@pytest.mark.parametrize("name", ARMS)
def test_adjoints_of_arms_are_arms_of_one_adjoint(name: str) -> None:
    text, selects = ARMS[name]
    function = gradc.compile(f"x: param\nw: param\nc: data\n{text}", cache=False)
    assert function.adjoint_listing.count("select(") == selects, function.adjoint_listing
    for c, w in itertools.product((-1.0, 1.0), (0.4, 1.4)):
        report = function.check(x=0.7, w=w, c=c)
        assert report.ok, report


def test_equal_contributions_are_one_product() -> None:
    """`w*x` and `x*w` are equal."""
    function = gradc.compile("x: param\nw: param\nw*x*x + w*sin(x)", cache=False)
    assert "x_bar = w*cos(x) + 2.0*result_product" in function.source, function.source


@pytest.mark.parametrize("backend", ["python", "numba"])
def test_what_holds_all_around_is_not_asked_again(backend: str) -> None:
    """In a loop that is run under a condition, reads and sums are under none, and a place is checked once."""
    read = "x[2*k[i] + j]"
    arm = f"sum(sin({read})*{read} for j in range(3))"
    text = f"x: param[m]\nc: data[n]\nk: index[n]\nsum([{arm} if c[i] > 0.0 else 0.0 for i in range(n)])"
    function = gradc.compile(text, backend=backend, cache=False)
    sweep = function.source[
        function.source.index("def value_and_grad_rows") : function.source.index("def value_and_grad(")
    ]
    assert sweep.count("raise ") == sweep.count("if result_test:") == 1, sweep
    assert "result_test and" not in sweep
    x = np.arange(6.0) / 5
    value, (bar,) = function.value_and_grad(x, [1.0, -1.0], [1, 5])
    assert value == pytest.approx(np.sum(x[2:5] * np.sin(x[2:5])), rel=1e-14)
    np.testing.assert_allclose(bar[2:5], np.sin(x[2:5]) + x[2:5] * np.cos(x[2:5]), rtol=1e-14)
    assert not bar[[0, 1, 5]].any()
    with pytest.raises(gradc.InputError, match="out of range of axis 0 of x"):
        function.value_and_grad(x, [1.0, 1.0], [1, 5])


@pytest.mark.parametrize("arm", ["sin(x*{})", "x*w*{}", "w - x*x*{}"])
def test_the_adjoint_of_a_chain_of_arms_grows_like_the_chain(arm: str) -> None:
    """Conditions are taken apart only where there are few of them."""

    def selects(arms: int) -> int:
        cases = [f"    {'elif' if k else 'if'} c < {k}:\n        return {arm.format(k + 2)}\n" for k in range(arms)]
        function = gradc.compile(
            f"x: param\nw: param\nc: data\ndef f(x, w):\n{''.join(cases)}    return x*w\nf(x, w)", cache=False
        )
        return function.adjoint_listing.count("select(")

    assert selects(160) - selects(80) < 1.1 * (selects(240) - selects(160))
    assert selects(240) - selects(160) < 1.1 * (selects(160) - selects(80))


@pytest.mark.parametrize("backend", ["python", "numba"])
def test_a_check_in_a_loop_that_may_not_run_is_made_again_behind_it(backend: str) -> None:
    arm = "sum(sin(x[k[i]*(j + 1)]) for j in range(3)) if c[i] > 0.0 else 0.0"
    total = "sum(sum(sin(s[i]*y[k[i]*(j + 1)] + 1.0) for j in range(3)) for i in range(n))"
    head = "x: param[m]\ny: param[m]\nc: data[n]\nk: index[n]\n"
    function = gradc.compile(f"{head}s = [{arm} for i in range(n)]\n{total}", backend=backend, cache=False)
    x = np.arange(6.0) / 5
    assert function(x, x, [-1.0], [1]) == pytest.approx(3 * np.sin(1.0), rel=1e-14)
    with pytest.raises(gradc.InputError, match="out of range of axis 0 of y"):
        function(x, x, [-1.0], [-1])
