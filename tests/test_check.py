"""The gradient check: it passes right gradients of awkward functions, and finds wrong ones of every kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gradc.check import DIRECTIONS, SAMPLED, Report, check_gradient

Array = npt.NDArray[np.float64]
RANDOM = np.random.default_rng(0)
N, D, H = 40, 4, 8
X, T = RANDOM.normal(size=(N, D)), RANDOM.normal(size=N)


def perceptron(at: dict[str, Any]) -> float:
    y = np.tanh(X @ at["W"] + at["c"]) @ at["V"] + at["b"]
    return float(np.mean((y - T) ** 2))


def perceptron_gradient(at: dict[str, Any]) -> dict[str, Any]:
    h = np.tanh(X @ at["W"] + at["c"])
    y_bar = 2 * (h @ at["V"] + at["b"] - T) / N
    z_bar = np.outer(y_bar, at["V"]) * (1 - h**2)
    return {"W": X.T @ z_bar, "c": z_bar.sum(0), "V": h.T @ y_bar, "b": y_bar.sum()}


def point(hidden: int = H) -> dict[str, Any]:
    random = np.random.default_rng(1)
    return {"W": random.normal(size=(D, hidden)), "c": np.zeros(hidden), "V": random.normal(size=hidden), "b": 0.3}


AT = point()
RIGHT = perceptron_gradient(AT)
NAMES = ("W", "c", "V", "b")


def check(gradient: dict[str, Any], **settings: Any) -> Report:
    return check_gradient(perceptron, gradient, AT, NAMES, **settings)


def scalar(f: Callable[[float], float], x: float, given: float, **settings: Any) -> Report:
    return check_gradient(lambda at: f(at["x"]), {"x": given}, {"x": x}, ["x"], **settings)


def test_a_right_gradient() -> None:
    report = check(RIGHT)
    assert report.ok
    assert report
    assert report.worst is not None
    assert report.worst.error < 1e-9
    assert [r.name for r in report.rows[:2]] == ["W[0, 0]", "W[0, 1]"]
    assert report.rows[-1].name == "b"
    assert len(report.rows) == D * H + H + H + 1
    assert str(report).startswith("gradient check passed: 49 comparisons of W, c, V, b with central differences")


@pytest.mark.parametrize(("field", "position"), [("W", (3, 7)), ("W", (0, 0)), ("c", (5,)), ("V", (2,)), ("b", ())])
def test_one_entry_off_by_a_ten_thousandth(field: str, position: tuple[int, ...]) -> None:
    wrong = {name: np.array(values) for name, values in RIGHT.items()}
    wrong[field][position] *= 1 + 1e-4
    report = check(wrong)
    assert not report.ok
    assert [(r.field, r.position) for r in report.rows if r.error > report.rtol] == [(field, position)]
    assert report.worst is not None
    assert report.worst.given == wrong[field][position]
    assert report.worst.expected == pytest.approx(RIGHT[field][position], rel=1e-9)
    assert report.worst.error == pytest.approx(1e-4, rel=1e-3)


def test_the_report_names_the_worst_entry() -> None:
    wrong = {**RIGHT, "W": RIGHT["W"].copy()}
    wrong["W"][3, 7] *= -1
    wrong["W"][1, 2] *= 1.01
    lines = str(check(wrong)).splitlines()
    assert lines[0].startswith("gradient check failed: W[3, 7] is wrong; 2 of 49 comparisons")
    assert lines[1].split() == ["entry", "gradient", "differences", "relative", "error"]
    assert lines[2].split()[:2] == ["W[3,", "7]"]
    assert "2.0e+00" in lines[2]
    assert lines[3].split()[:2] == ["W[1,", "2]"]
    assert len(lines) == 4


@pytest.mark.parametrize(
    "spoil",
    [lambda g: -g, lambda g: 0 * g, lambda g: 2 * g, lambda g: np.flip(g), lambda g: g + 1e-3, lambda g: g[::-1]],
    ids=["sign", "zero", "double", "flipped", "shifted", "rows"],
)
@pytest.mark.parametrize("field", ["W", "c", "V"])
def test_wrong_fields(field: str, spoil: Callable[[Array], Array]) -> None:
    report = check({**RIGHT, field: spoil(RIGHT[field])})
    assert not report.ok
    assert report.worst is not None
    assert report.worst.field == field


def test_a_transposed_gradient() -> None:
    m = RANDOM.normal(size=(5, 5))
    s = RANDOM.normal(size=(5, 5))
    right = 2 * m * s + s.T

    def value(at: dict[str, Any]) -> float:
        return float(np.sum(at["m"] ** 2 * s) + np.sum(at["m"].T * s))

    assert check_gradient(value, {"m": right}, {"m": m}, ["m"]).ok
    assert not check_gradient(value, {"m": right.T}, {"m": m}, ["m"]).ok
    report = check({**RIGHT, "W": RIGHT["W"].T})
    assert str(report) == "gradient check failed: the gradient of W has shape (8, 4), expected (4, 8)"


def test_large_fields_are_sampled() -> None:
    at = point(hidden=100)
    right = perceptron_gradient(at)
    report = check_gradient(perceptron, right, at, NAMES)
    rows = [r for r in report.rows if r.field == "W"]
    assert report.ok
    assert len(rows) == SAMPLED + DIRECTIONS
    assert len({r.position for r in rows}) == SAMPLED + 1
    assert rows[-1].name == "W along a random direction"
    assert [r.position for r in rows] == [r.position for r in check_gradient(perceptron, right, at, ["W"]).rows]
    other = check_gradient(perceptron, right, at, ["W"], seed=1).rows
    assert [r.position for r in rows] != [r.position for r in other]


def test_directions_find_what_the_sample_misses() -> None:
    at = point(hidden=100)
    right = perceptron_gradient(at)
    sampled = {r.position for r in check_gradient(perceptron, right, at, ["W"]).rows}
    missed = next(k for k in np.ndindex(D, 100) if k not in sampled)
    wrong = right["W"].copy()
    wrong[missed] += 0.01
    report = check_gradient(perceptron, {"W": wrong}, at, ["W"])
    assert not report.ok
    assert report.worst is not None
    assert report.worst.position is None


@pytest.mark.parametrize(
    ("f", "x", "slope"),
    [
        (np.exp, 700.0, np.exp(700.0)),
        (np.sin, 1e6, np.cos(1e6)),
        (lambda x: np.log(x) + 1 / x, 1e-6, 1e6 - 1e12),
        (lambda x: x**2 * 1e-200, 3.0, 6e-200),
        (lambda x: x**2 * 1e200, 3.0, 6e200),
        (lambda x: np.sqrt(x), 1e-9, 0.5 / np.sqrt(1e-9)),
        (lambda x: 1e12 + x**2, 3.0, 6.0),
        (lambda x: 1e10 + np.sin(x), 1.0, np.cos(1.0)),
        (lambda x: 1 + (x - 1) ** 2, 1.0, 0.0),
        (lambda x: np.exp(-50 * x**2), 0.7, -70 * np.exp(-24.5)),
        (lambda x: 5.0, 2.0, 0.0),
        (lambda x: abs(x), 1e-7, 1.0),
        (lambda x: np.floor(x), 1.5, 0.0),
        (lambda x: max(x - 0.999, 0.0), 1.0, 1.0),
    ],
    ids=[
        "exp",
        "sin",
        "pole",
        "tiny",
        "huge",
        "sqrt",
        "offset",
        "noise",
        "minimum",
        "bump",
        "constant",
        "abs",
        "floor",
        "relu",
    ],
)
def test_awkward_functions(f: Callable[[float], float], x: float, slope: float) -> None:
    with np.errstate(all="ignore"):
        assert scalar(f, x, slope).ok
        assert not scalar(f, x, slope * 1.01 + 0.01 * abs(f(x))).ok
        assert not scalar(f, x, -slope - 0.01 * abs(f(x))).ok


def test_tiny_entries_do_not_fail_by_rounding() -> None:
    weights = 10.0 ** np.arange(-14, 3)
    x = RANDOM.normal(size=17)
    assert check_gradient(lambda at: float(np.sum(weights * at["x"] ** 2)), {"x": 2 * weights * x}, {"x": x}, ["x"]).ok


@pytest.mark.parametrize(("given", "ok"), [(0.0, True), (0.5, True), (1.0, True), (-0.1, False), (1.1, False)])
def test_at_a_kink_slopes_in_between_are_right(given: float, ok: bool) -> None:
    report = scalar(lambda x: max(x, 0.0), 0.0, given)
    assert report.ok is ok
    assert report.rows[0].note == ("kink" if ok and given != 0.5 else "")
    assert ("at a kink" in str(report)) is (ok and given != 0.5)


def test_many_kinks() -> None:
    x, t = RANDOM.normal(size=(20_000, 3)), RANDOM.choice([-1.0, 1.0], 20_000)
    w = np.array([0.5, -1.0, 0.2])
    margin = 1 - t * (x @ w)
    right = -((margin > 0) * t) @ x / len(t)

    def hinge(at: dict[str, Any]) -> float:
        return float(np.mean(np.maximum(0, 1 - t * (x @ at["w"]))))

    assert check_gradient(hinge, {"w": right}, {"w": w}, ["w"]).ok
    for k in range(3):
        assert not check_gradient(hinge, {"w": right * np.where(np.arange(3) == k, 1 + 1e-4, 1)}, {"w": w}, ["w"]).ok


def test_smooth_functions_have_no_kinks() -> None:
    assert not scalar(lambda x: 50 * x**2, 0.0, 1e-3).ok
    assert not scalar(lambda x: 50 * x**2 + x, 0.0, 1.0001).ok


def test_what_is_not_finite() -> None:
    nowhere = scalar(lambda x: np.nan, 1.0, 1.0)
    assert not nowhere.ok
    assert str(nowhere) == "gradient check failed: the value is nan at this point: there is nothing to compare"
    infinite = check_gradient(lambda at: 1.0, {"x": np.array([[0.0, np.inf]])}, {"x": np.zeros((1, 2))}, ["x"])
    assert not infinite.ok
    assert str(infinite) == "gradient check failed: the gradient is inf at x[0, 1]: there is nothing to compare"
    alone = scalar(lambda x: 1.0 if x == 2.0 else np.inf, 2.0, 1.0)
    assert not alone.ok
    assert "the value is not finite around it" in str(alone)


def test_slopes_that_agree_by_accident() -> None:
    """With half the step one of two equal jumps is left behind, and the difference over the step is the same."""
    assert scalar(lambda x: float(x > 0.1) + float(x > -0.05), 0.0, 0.0).ok
    assert scalar(lambda x: 3 * x + float(x > 0.1) + float(x > -0.05), 0.0, 3.0).ok
    assert not scalar(lambda x: 3 * x + float(x > 0.1) + float(x > -0.05), 0.0, 3.0001).ok
    assert not scalar(lambda x: 3 * x + float(x > 0.1) + float(x > -0.05), 0.0, 0.0).ok
    assert not scalar(np.sin, 0.5, 0.0).ok


def test_single_precision() -> None:
    x = RANDOM.normal(size=8).astype(np.float32)

    def value(at: dict[str, Any]) -> float:
        return float(np.sum(np.tanh(np.float32(at["x"])), dtype=np.float32))

    right = 1 - np.tanh(x) ** 2
    single = {"rtol": 1e-3, "epsilon": float(np.finfo(np.float32).eps)}
    assert check_gradient(value, {"x": right}, {"x": x}, ["x"], **single).ok
    assert not check_gradient(value, {"x": right * 1.01}, {"x": x}, ["x"], **single).ok


def test_inputs_are_left_alone() -> None:
    before = {name: np.array(v) for name, v in AT.items()}
    check(RIGHT)
    assert all(np.array_equal(before[name], AT[name]) for name in NAMES)


def test_nothing_to_check() -> None:
    report = check_gradient(lambda at: 1.0, {"x": np.zeros(0)}, {"x": np.zeros(0)}, ["x"])
    assert report.ok
    assert report.worst is None
    assert "0 comparisons" in str(report)
