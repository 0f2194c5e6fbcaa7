# ruff: noqa: F821, F722
"""Python functions as sources: the same graph as the text, what their names mean, errors at the user's own lines."""

from __future__ import annotations

import functools
import math
import pickle
from collections.abc import Callable
from math import exp as exponential
from typing import Any

import numpy as np
import numpy as onp
import pytest

import gradc

ALPHA = 0.25
TABLE = np.ones(3)


def text_of(function: gradc.Function) -> str:
    """The generated module, but for the comments that say where things come from."""
    return "\n".join(line.split("  # ")[0] for line in function.source.splitlines() if not line.strip().startswith("#"))


def soft(v, a=ALPHA):
    return np.log(1 + onp.exp(v)) * a


def both(v):
    return soft(v) + soft(v, a=2 * ALPHA)


def logistic(
    w: gradc.param[d],
    b: gradc.param,
    x: gradc.data[n, d],
    t: gradc.data[n],
    lam: gradc.data = 0.01,
) -> Any:
    """L2-regularised logistic regression."""
    z = x @ w + b
    y = sigmoid(z)
    return np.mean(bce(y, t)) + lam / 2 * np.sum(w**2)


LOGISTIC = '''"""L2-regularised logistic regression."""
w: param[d]
b: param
x: data[n, d]
t: data[n]
lam: data = 0.01
z = x @ w + b
y = sigmoid(z)
mean(bce(y, t)) + lam/2*sum(w**2)
'''


def test_a_function_gives_the_same_code_as_the_text() -> None:
    function, text = gradc.compile(logistic), gradc.compile(LOGISTIC)
    assert text_of(function) == text_of(text)
    assert list(map(str, function.signature)) == list(map(str, text.signature))
    line = logistic.__code__.co_firstlineno + 8
    assert f"# z = x @ w + b   (test_python_source.py:{line})" in function.source


def made(scale: float) -> gradc.Function:
    shift = np.float64(0.5)

    @gradc.compile
    def loss(w: gradc.param[d], s: gradc.param = 2.0):
        def inner(z):
            return z * scale

        if s > 0:  # noqa: SIM108
            u = inner(w)
        else:
            u = w - shift
        return np.sum(both(u)) + exponential(-s) + ALPHA * math.pi

    return loss


def test_functions_take_numbers_and_helpers_from_around_them() -> None:
    loss, w = made(3.0), np.array([0.2, -0.4])

    def soft_value(v: Any, a: float = 0.25) -> Any:
        return np.log1p(np.exp(v)) * a

    expected = np.sum(soft_value(3 * w) + soft_value(3 * w, 0.5)) + np.exp(-2.0) + 0.25 * np.pi
    assert loss(w) == pytest.approx(expected, rel=1e-14)
    assert loss.check(w).ok
    expected = np.sum(soft_value(w - 0.5) + soft_value(w - 0.5, 0.5)) + np.exp(1.0) + 0.25 * np.pi
    assert loss(w, -1.0) == pytest.approx(expected, rel=1e-14)


def test_functions_pickle_with_what_they_took() -> None:
    loss, w = made(1.5), np.array([0.2, -0.4])
    again = pickle.loads(pickle.dumps(loss))
    assert again.source == loss.source
    assert again.value_and_grad(w)[0] == loss.value_and_grad(w)[0]


def test_the_function_is_never_called() -> None:
    def loss(w: gradc.param):
        return float(w) * print(w)

    with pytest.raises(gradc.UnsupportedError, match="'print' is not part of the language"):
        gradc.compile(loss)


def undefined(w: gradc.param[d]):
    return nonsense(w)


def looped(w: gradc.param[d]):
    with w:
        return w


def bare(w):
    return w


def recursive(w: gradc.param):
    return recursive(w)


def tabled(w: gradc.param[d]):
    return sum(w * TABLE)


def unhelpful(w: gradc.param):
    return wrong_helper(w)


def wrong_helper(v):
    return v + missing_name


def starred(*w: gradc.param):
    return w


def badly_shaped(w: gradc.param["import os"]):
    return sum(w)


async def waiting(w: gradc.param):
    return w


@pytest.mark.parametrize(
    ("function", "message", "at"),
    [
        (undefined, "unknown function 'nonsense'", 1),
        (looped, "`with` is not part of the language", 1),
        (bare, "'w' has no annotation", 0),
        (recursive, "'recursive' calls itself", 1),
        (tabled, "'TABLE' is a value of type ndarray from outside", 1),
        (starred, "* and ** arguments", 0),
        (badly_shaped, "a dim is an integer", 0),
        (waiting, "expected a function written with def", None),
    ],
)
def test_errors_point_into_the_users_file(function: Callable[..., Any], message: str, at: int | None) -> None:
    with pytest.raises(gradc.GradcError) as caught:
        gradc.compile(function)
    assert message in caught.value.message
    if at is not None:
        assert caught.value.line == function.__code__.co_firstlineno + at
        assert caught.value.file == __file__


def test_an_error_in_a_helper_points_into_the_helper() -> None:
    with pytest.raises(gradc.ParseError) as caught:
        gradc.compile(unhelpful)
    assert caught.value.line == wrong_helper.__code__.co_firstlineno + 1
    assert caught.value.column == 16


@pytest.mark.parametrize("source", [lambda w: w, print, int, np.exp, made, 3, None])
def test_what_is_not_a_function_with_a_source_is_refused(source: Any) -> None:
    with pytest.raises(gradc.GradcError):
        gradc.compile(source)


def kept(function: Callable[..., Any]) -> Callable[..., Any]:
    return functools.wraps(function)(lambda *args: function(*args))


@kept
def decorated(w: gradc.param):
    return w


class Model:
    def loss(self, w: gradc.param):
        return w


def unreturned(w: gradc.param):
    """A title."""
    w * w


def unfinished(w: gradc.param):
    y = w * w  # noqa: F841


def calls_unreturned(w: gradc.param):
    return helped(w)


def helped(v):
    v + 1


SQUARE = lambda w: w * w  # noqa: E731


@pytest.mark.parametrize(
    ("source", "place", "below", "message"),
    [
        (SQUARE, SQUARE, 0, "a lambda cannot say what its inputs are"),
        (decorated, decorated.__wrapped__, 0, "'decorated' is wrapped by a decorator"),  # type: ignore[attr-defined]
        (functools.lru_cache(both), both, 0, "'both' is wrapped by a decorator"),
        (functools.partial(logistic, lam=0.1), logistic, 0, "a functools.partial has no text"),
        (Model().loss, Model.loss, 0, "'loss' is not a Python function"),
        (unreturned, unreturned, 2, "an expression alone does nothing"),
        (unfinished, unfinished, 1, "there is no result"),
        (calls_unreturned, helped, 1, "an expression alone does nothing"),
    ],
)
def test_errors_of_whole_functions_have_a_place(source: Any, place: Any, below: int, message: str) -> None:
    with pytest.raises(gradc.GradcError) as caught:
        gradc.compile(source)
    assert caught.value.message == message
    assert (caught.value.file, caught.value.line) == (__file__, place.__code__.co_firstlineno + below)
    assert caught.value.hint
    if below:
        assert caught.value.hint == "write: return ..."


def test_the_decorator_takes_options() -> None:
    @gradc.compile(dtype="float32", wrt=["x"], backend="python")
    def loss(w: gradc.param[d], x: gradc.data[d]):
        return np.sum(w * x)

    assert isinstance(loss, gradc.Function)
    assert loss.dtype == "float32"
    assert loss.grad([1.0, 2.0], [3.0, 4.0])._fields == ("x",)

    @gradc.compile()
    def plain(w: gradc.param):
        return w * w

    assert plain.dtype == "float64"
    with pytest.raises(gradc.UnsupportedError, match="dtype 'int8' is not known"):
        gradc.compile(dtype="int8")(both)


def test_a_function_without_a_source_is_refused() -> None:
    space: dict[str, Any] = {"gradc": gradc}
    exec("def f(w: gradc.param):\n    return w", space)
    with pytest.raises(gradc.UnsupportedError, match="cannot be found"):
        gradc.compile(space["f"])


def test_kinds_say_what_they_are() -> None:
    assert repr(gradc.param["n", "d"]) == "gradc.param['n', 'd']"
    assert repr(gradc.index) == "gradc.index"


def exp(v: Any) -> Any:
    return 3 * v


def named_like_a_helper(w: gradc.param):
    return exponential(w) + exp(w)


def with_base(w: gradc.param):
    return math.log(w, 2) + np.sum(np.ones(2)[:, np.newaxis])


def keywords(w: gradc.param[n], *, scale: gradc.data = 0.5, power: gradc.index = 2):
    return scale * np.sum(w**power)


def test_names_of_libraries_mean_the_library() -> None:
    """Whatever the user's own functions are called, and whatever they call those of libraries."""
    assert gradc.compile(named_like_a_helper, backend="python")(1.0) == pytest.approx(math.e + 3)
    assert gradc.compile(with_base, backend="python")(8.0) == 5.0


def test_arguments_that_are_given_by_name_alone() -> None:
    function = gradc.compile(keywords, backend="python")
    assert function([1.0, 2.0]) == 2.5
    assert function([1.0, 2.0], power=3, scale=1.0) == 9.0
    assert function.grad([1.0, 2.0], power=3).w.tolist() == [1.5, 6.0]


COMPILED = gradc.compile("x: param\nx*x")


def calls_what_is_compiled(w: gradc.param):
    return COMPILED(w)


class Sigmoid:
    """What a user may call like a function of the language, and mean something else."""

    def __call__(self, v: float) -> float:
        return v


def hiding_a_function() -> Callable[..., Any]:
    sigmoid = Sigmoid()

    def loss(w: gradc.param):
        return sigmoid(w)

    return loss


@pytest.mark.parametrize(
    ("function", "hint"),
    [(calls_what_is_compiled, "a helper is a plain function"), (hiding_a_function(), "written with def")],
)
def test_what_cannot_be_called_is_not_taken_for_something_else(function: Callable[..., Any], hint: str) -> None:
    with pytest.raises(gradc.UnsupportedError, match="from outside") as caught:
        gradc.compile(function)
    assert hint in (caught.value.hint or "")


def times(factor: float) -> Any:
    def scaled(v: Any) -> Any:
        return factor * v

    return scaled


twice, thrice = times(2.0), times(3.0)


def mixed(x: gradc.param) -> Any:
    return twice(x) + 10.0 * thrice(x) + twice(thrice(x))


def test_functions_that_one_def_has_made_keep_what_is_theirs() -> None:
    function = gradc.compile(mixed, cache=False)
    assert function.value_and_grad(3.0) == (mixed(3.0), (38.0,))
    assert pickle.loads(pickle.dumps(function))(3.0) == mixed(3.0)
