"""Empty ranges: what is summed over nothing has no influence, whatever it is; an extreme of nothing is an error."""

from __future__ import annotations

import random

import numpy as np
import pytest

import gradc

HEAD = """x: param[k]
u: param[n]
c: param
start: index[n + 1]
"""
SINGULAR = ("log({})", "1/{}", "{}**-1", "sqrt({})", "exp({})", "1/(1 - exp({}))", "lgamma({})", "{}", "{0}*log({0})")
SMOOTH = ("sin(x[p])", "x[p]", "exp(-x[p]**2)", "1", "x[p]**2", "(x[p] + {0})", "log({0} + exp(x[p]))", "{0}")
JOINED = ("{a}*{b}", "{b}*{a}", "{b}/{a}", "-{a}*{b}", "{a}*{b}*{a}", "{a}", "{b}/{a}/2", "2*{b}/{a}")
AROUND = ("{}", "sin({})", "{}**2", "exp(-{}**2)", "{} + u[i]", "{}*u[i]", "{}/u[i]", "log(1 + {}**2)")
ROWS = "range(start[i], start[i + 1])"
NOTHING = (0.0, -0.0, np.inf, -np.inf, np.nan, -1.0, 800.0)


class Drawn:
    """A program of sums over rows of entries, in which numbers of the row stand as factors."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.text = HEAD + " + ".join(self.total() for _ in range(self.random.randint(1, 2)))

    def total(self) -> str:
        if self.random.random() < 0.3:  # along an axis that is empty as a whole
            return f"sum({self.product('c').replace('[p]', '')}*(1 + 0*x))"
        return f"sum({self.pick(AROUND).format(self.row(2))} for i in range(n))"

    def row(self, depth: int) -> str:
        inside = self.product("u[i]")
        if depth and self.random.random() < 0.3:
            inside = f"{inside}*{self.row(depth - 1).replace('p]', 'q]').replace('for p', 'for q')}"
        filtered = " if x[p] > -0.5" if self.random.random() < 0.2 else ""
        return f"sum({inside} for p in {ROWS}{filtered})"

    def product(self, name: str) -> str:
        a, b = (self.pick(forms).format(name) for forms in (SINGULAR, SMOOTH))
        return self.pick(JOINED).format(a=a, b=b)

    def pick(self, items: tuple[str, ...]) -> str:
        return self.random.choice(items)


def given(seed: int, entries: bool) -> tuple[dict[str, object], np.ndarray]:
    """Inputs, and which of the rows are empty."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(0, 3, 5) if entries else np.zeros(5, int)
    start = np.concatenate([[0], np.cumsum(lengths)])
    numbers = {"x": draw.normal(size=start[-1]), "u": draw.uniform(0.2, 0.8, 5), "c": 0.6, "start": start}
    return numbers, lengths == 0


def insensitive(text: str) -> bool:
    """Whether nothing but sums over rows knows the numbers of a row."""
    return not any(around in text for around in ("+ u[i] for i", "*u[i] for i", "/u[i] for i"))


def check(seed: int, entries: bool, backend: str = "python") -> None:
    """What belongs to empty ranges is replaced by infinities and such: neither value nor gradient may notice."""
    text = Drawn(seed).text
    function = gradc.compile(text, backend=backend, cache=False)
    inputs, empty = given(seed, entries)
    value, gradient = function.value_and_grad(**inputs)
    for worst in NOTHING:
        numbers = {**inputs, "c": 0.6 if entries else worst}
        if insensitive(text):
            numbers["u"] = np.where(empty, worst, inputs["u"])
        other, slopes = function.value_and_grad(**numbers)
        np.testing.assert_array_equal(value, other, f"with {worst}:\n{text}")
        for name, wanted in gradient._asdict().items():
            if name == "c" and not entries:  # 0 times the slope of a function of c, wherever that has none
                continue
            found = getattr(slopes, name)
            np.testing.assert_array_equal(wanted, found, f"{name} with {worst}:\n{text}")


@pytest.mark.parametrize("seed", range(60))
def test_what_belongs_to_empty_ranges_has_no_influence(seed: int) -> None:
    check(seed, entries=seed % 3 > 0)


@pytest.mark.parametrize("seed", range(2))
def test_compiled(seed: int) -> None:
    check(seed, entries=True, backend="numba")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("sum(softmax(v)*w)", 0.0),
        ("sum(v*logsumexp(v))", 0.0),
        ("sum(v*log(sum(w)))", 0.0),
        ("sum(v/n)", 0.0),
        ("sum(v)/n", np.nan),
        ("mean(v)", np.nan),
        ("sum(v[i]*w[j]/sum(v) for i in range(n) for j in range(n))", 0.0),
        ("sum(log(sum(w)) for i in range(n))", 0.0),
        ("sum(v*(1/c))", 0.0),
        ("sum(-c*w)", 0.0),
        ("prod(v*log(c))", 1.0),
        ("sum(dot(v, w)/dot(v, v)*w)", 0.0),
    ],
)
def test_an_empty_axis(text: str, value: float) -> None:
    function = gradc.compile(f"v: param[n]\nw: data[n]\nc: data\n{text}", backend="python", cache=False)
    for c in (0.0, np.inf, np.nan):
        np.testing.assert_equal(function([], [], c), value)
        assert function.grad([], [], c).v.shape == (0,)


def test_some_ranges_are_empty() -> None:
    text = "sum(sum(x[j]/x[i] for j in range(i)) for i in range(n))"
    value, gradient = gradc.compile(f"x: param[n]\n{text}", backend="python", cache=False).value_and_grad([0.0, 1, 2])
    assert value == 0.5
    np.testing.assert_array_equal(gradient.x, [1.5, 0.5, -0.25])


EXTREMES = (
    ("sum(max(x[j] for j in range(i)) for i in range(n))", "max"),
    ("sum(min(x[j] for j in range(i)) for i in range(n))", "min"),
    ("sum(argmax([x[j] for j in range(i)])*x[i] for i in range(n))", "max"),
    ("sum(max(c for j in range(i)) for i in range(n))", "an element"),
    ("sum(max(x[i:n-1]) for i in range(n))", "max"),
    ("sum(max(x[s[i]:s[i + 1]]) for i in range(m - 1))", "max"),
    ("sum(max(x[p] for p in range(s[i], s[i + 1])) for i in range(m - 1))", "max"),
    ("max(x[i]*x[j] for i in range(1) for j in range(i))", "max"),
)


@pytest.mark.parametrize("backend", ["python", "numba"])
@pytest.mark.parametrize(("text", "what"), EXTREMES)
def test_an_extreme_of_an_empty_range_is_an_error(text: str, what: str, backend: str) -> None:
    function = gradc.compile(f"x: param[n]\ns: index[m]\nc: param\n{text}", backend=backend, cache=False)
    for call in (function, function.grad):
        with pytest.raises(gradc.InputError, match=rf"{what} of an empty range \(<text>:4\)"):
            call([1.0, 2.0, 3.0], [0, 2, 2], 0.5)


@pytest.mark.parametrize("arm", ["max(x[p] for p in range(s[i], s[i + 1]))", "max(x[s[i]:s[i + 1]])"])
def test_where_it_is_not_taken_it_is_none(arm: str) -> None:
    text = f"x: param[n]\ns: index[m]\nsum({arm} if s[i + 1] > s[i] else 7.0 for i in range(m - 1))"
    value, gradient = gradc.compile(text, backend="python", cache=False).value_and_grad([1.0, 3, 2], [0, 2, 2, 3])
    assert value == 12
    np.testing.assert_array_equal(gradient.x, [0, 1, 1])


def test_an_extreme_over_several_ranges_needs_one_position() -> None:
    function = gradc.compile("x: param[n]\nmax(x[i]*x[j] for i in range(n) for j in range(i))", backend="python")
    assert function([1.0, 3, 2]) == 6
    with pytest.raises(gradc.InputError, match="max of an empty range"):
        function([1.0])


@pytest.mark.parametrize(
    ("text", "slopes"),
    [
        ("log(sum(x[1:]))", [0, np.inf, np.inf]),
        ("1/sum(x[k])", [0, -np.inf, -np.inf]),
        ("sqrt(sum((z @ x)**2))", [0, 0, 0]),
        ("sqrt(sum(z)) + x[0]", [1, 0, 0]),
    ],
)
def test_an_infinite_slope_reaches_only_what_is_summed(text: str, slopes: list[float]) -> None:
    function = gradc.compile(f"x: param[n]\nk: index[m]\nz: param[o, n]\n{text}", backend="python", cache=False)
    np.testing.assert_array_equal(function.grad([1.0, 0.0, 0.0], [1, 2], np.zeros((0, 3))).x, slopes)
