"""`map`: value and gradient per row, against one call a row."""

from __future__ import annotations

import pickle
import random
import threading
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pytest
from cases import CASES, Case
from hypothesis import assume, given
from random_programs import Program
from test_function import compilations
from test_random_programs import GRADIENT, VALUE, agree, called, programs, settled

import gradc
from gradc import api, ir
from gradc.batch import batch
from gradc.derive import derive
from gradc.errors import GradcError, InputError, UnsupportedError
from gradc.evaluate import evaluate_value
from gradc.loops import Routine

ROWS = 3
EXPRESSION = "log(x1) + x1*x2 - sin(x2)"
PLAIN: dict[str, Any] = {"backend": "python", "cache": False}


def stacked(inputs: Mapping[str, Any], batched: Collection[str]) -> dict[str, Any]:
    """The inputs, with rows for those that are batched: as it is, with its elements in another order, and moved."""
    rng = np.random.default_rng(0)
    result = dict(inputs)
    for name in batched:
        row = np.asarray(inputs[name])
        other = rng.permutation(row.reshape(-1)).reshape(row.shape)
        moved = other[::-1] if row.ndim and row.dtype.kind == "i" else row + 0.1 * rng.normal(size=row.shape)
        result[name] = np.stack([row, other, row if row.dtype.kind == "i" and not row.ndim else moved])
    return result


def row_of(inputs: Mapping[str, Any], batched: Collection[str], k: int) -> dict[str, Any]:
    return {name: value[k] if name in batched else value for name, value in inputs.items()}


def check_rows(
    function: gradc.Function, inputs: Mapping[str, Any], batched: Collection[str], one: gradc.Function, what: object
) -> None:
    """Every row of the function's `map` is what a call of `one` with that row gives."""
    given = stacked(inputs, batched)
    before = {name: np.copy(value) for name, value in given.items()}
    values, gradient = function.map(**given)
    for name, value in before.items():
        assert np.array_equal(value, given[name]), f"input {name} was changed\n\n{what}"
    expected = [one.value_and_grad(**row_of(given, batched, k)) for k in range(ROWS)]
    about = f"rows of {', '.join(batched)}\n\n{what}"
    assert agree(values, [v for v, _ in expected], VALUE), f"value, {about}"
    assert gradient._fields == one.wrt
    for name, field in zip(one.wrt, gradient, strict=True):
        assert agree(field, [getattr(g, name) for _, g in expected], GRADIENT), f"{name}_bar, {about}"


def subsets(case: Case) -> list[list[str]]:
    """All params; everything else; each input alone; everything."""
    signature = gradc.compile(case.path, **PLAIN).signature
    names = [i.name for i in signature]
    params = [i.name for i in signature if i.kind == "param"]
    found = [params, [n for n in names if n not in params], *([n] for n in names), names]
    return [list(s) for s in dict.fromkeys(map(tuple, found)) if s]


@pytest.mark.parametrize(
    ("name", "batched"), [(c.name, s) for c in CASES.values() for s in subsets(c)], ids=lambda v: "-".join(v)
)
def test_examples(name: str, batched: list[str]) -> None:
    function = gradc.compile(CASES[name].path, **PLAIN)
    check_rows(function, CASES[name].inputs, batched, function, name)


@pytest.mark.parametrize("name", CASES)
def test_examples_compiled(name: str) -> None:
    case = CASES[name]
    check_rows(gradc.compile(case.path), case.inputs, list(case.inputs), gradc.compile(case.path, **PLAIN), name)


PROGRAMS = {
    "gathers and shared params": "w: param[d]\nx: data[n, d]\nt: index[n]\nv: param[n]\nmean((x @ w)*v[t])",
    "a scalar position": "w: param[d]\nk: index\nw[k]**2 + sum(w)",
    "running sums": "v: param[n]\nu: param[n]\nsum(u*cumsum(v)**2)",
    "triangles": "v: param[n]\nu: param[n]\nsum(v[i]*u[j]**2 for i in range(n) for j in range(i + 1))",
    "arms that are not taken": "a: param\nv: param[n]\nsum(log(v) if v > 0 else 0) + (1/a if a != 0 else a)",
    "scattered and gathered": "v: param[n]\nt: index[n]\nu: param[n]\ny = (v*u)[t]\nsum(exp(y)[t]*y)",
    "a summand without the rows": "v: param[n]\nu: param[n]\nt: index[n]\ny = 3*sin(v)\nsum(y[t]) + sum(u*y[t])",
    "ties": "v: param[n]\nu: param[n]\nmax(v)*min(u) + prod(v) + logsumexp(u - v)",
    "numbers alone": "a: param\nv: param[n]\nk: index\n3",
    "a param alone": "a: param\nv: param[n]\na",
    "the lengths of axes": "a: param\nv: param[n]\na*n + v[n-1] + v[0]*len(v)",
    "literal lengths": "a: param[1, 2]\nv: param[2, 2]\nsum(a*v @ v)",
    "whole numbers": "v: param[n]\nargmax(v)",
}
SIZES = {"n": 4, "d": 4}


def inputs_of(text: str) -> dict[str, Any]:
    rng = np.random.default_rng(5)
    program = api.parse(text)
    shapes = {i.name: tuple(p.length(SIZES) for p in i.shape) for i in program.inputs}
    draw = {"index": lambda shape: rng.integers(0, 4, shape)}
    return {i.name: draw.get(i.kind, lambda shape: rng.normal(size=shape))(shapes[i.name]) for i in program.inputs}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_subset(name: str) -> None:
    function = gradc.compile(PROGRAMS[name], **PLAIN)
    inputs = inputs_of(PROGRAMS[name])
    for chosen in range(1, 2 ** len(inputs)):
        batched = [n for k, n in enumerate(inputs) if chosen >> k & 1]
        check_rows(function, inputs, batched, function, PROGRAMS[name])


def test_scalar_positions() -> None:
    values, gradient = gradc.compile("w: param[d]\nk: index\n2*w[k]", **PLAIN).map([5, 6, 7], [2, 0])
    assert values.tolist() == [14, 10]
    assert gradient.w.tolist() == [[0, 0, 2], [2, 0, 0]]


def test_data_may_be_differentiated_too() -> None:
    function = gradc.compile(PROGRAMS["gathers and shared params"], wrt=["x", "v"], **PLAIN)
    inputs = inputs_of(PROGRAMS["gathers and shared params"])
    for name in inputs:
        check_rows(function, inputs, [name], function, name)


# random programs


def some_of(program: Program) -> list[str]:
    rng = random.Random(program.text)
    return [n for n in program.inputs if rng.random() < 0.5] or [rng.choice(list(program.inputs))]


def scalar_loss(program: Program, **options: Any) -> gradc.Function:
    function = gradc.compile(program.text, cache=False, **options)
    assume(function.wrt and np.ndim(called(function, program.inputs, program)) == 0)
    return function


def check(program: Program) -> None:
    function, batched = scalar_loss(program, backend="python"), some_of(program)
    check_rows(function, program.inputs, batched, function, program)
    derived = batch(derive(api.parse(program.text)), batched)
    ir.validate(derived.program.graph)
    assert derived.routine("value_and_grad", True).sweeps("rows") == 1
    given, dims = stacked(program.inputs, batched), {**program.dims, "rows": ROWS}
    assert derived.gradient is not None
    results = dict(zip(function.wrt, function.map(**given)[1], strict=True))
    for name, v in derived.gradient.items():
        reference = evaluate_value(v.node, v.axes, given, dims)
        assert agree(results[name], reference, GRADIENT), f"{name}_bar: generated code, graph\n\n{program}"


@settled(150)
@given(programs())
def test_random_programs_by_rows(program: Program) -> None:
    check(program)


@pytest.mark.nightly
@settled(4000)
@given(programs())
def test_random_programs_by_rows_nightly(program: Program) -> None:
    check(program)


def check_compiled(program: Program) -> None:
    one = scalar_loss(program, backend="python")
    check_rows(gradc.compile(program.text, cache=False), program.inputs, some_of(program), one, program)


@settled(5)
@given(programs())
def test_random_programs_by_rows_compiled(program: Program) -> None:
    check_compiled(program)


@pytest.mark.nightly
@settled(200)
@given(programs())
def test_random_programs_by_rows_compiled_nightly(program: Program) -> None:
    check_compiled(program)


# what is generated


def mapped(text: str, *batched: str) -> Routine:
    return batch(derive(api.parse(text)), batched).routine("value_and_grad", True)


def test_an_expression_is_one_loop_over_the_rows() -> None:
    routine = mapped(EXPRESSION, "x1", "x2")
    assert routine.sweeps("rows") == 1
    assert [a.array for a in routine.allocations()] == ["result", "x1_bar", "x2_bar"]


@pytest.mark.parametrize("batched", [("w",), ("x",), ("t",), ("w", "b"), ("x", "t"), ("w", "b", "x", "t", "lam")])
def test_rows_are_the_outermost_loop(batched: tuple[str, ...]) -> None:
    """Whatever the data are, one sweep goes over the rows, and inside it nothing has their length."""
    routine = mapped(CASES["logistic"].path.read_text(), *batched)
    outputs = {"result", "w_bar", "b_bar"}
    assert routine.sweeps("rows") == 1
    assert all(a.array in outputs for a in routine.allocations() if any("rows" in p.dims for p in a.shape))


def test_the_users_names_win() -> None:
    text = "rows: param[rows_3]\nx: param[rows_2]\nrows_4 = sin(x)\nsum(rows)*sum(rows_4)"
    function = gradc.compile(text, **PLAIN)
    inputs = {"rows": np.arange(2.0), "x": np.arange(4.0)}
    check_rows(function, inputs, ["rows"], function, text)
    assert str(batch(derive(api.parse(text)), ["x"]).program.input("x")) == "x: param[rows_5, rows_2]"


def test_map_leaves_the_source_alone() -> None:
    text = PROGRAMS["scattered and gathered"]
    first, second = gradc.compile(text, **PLAIN), gradc.compile(text, **PLAIN)
    second.map(**stacked(inputs_of(text), ["v"]))
    assert first.source == second.source


# calls


def test_lists_defaults_positions_and_names() -> None:
    function = gradc.compile("a: param\nb: param = 2\na*b", **PLAIN)
    for values, gradient in (function.map([1, 2, 3]), function.map(a=np.array([1, 2, 3])), function.map([1, 2, 3], 2)):
        assert values.tolist() == [2, 4, 6]
        assert gradient.a.tolist() == [2, 2, 2]
        assert gradient.b.tolist() == [1, 2, 3]
    assert function.map(3, b=[4, 5])[1]._asdict().keys() == {"a", "b"}
    assert function.map(3, b=[4, 5])[1].a.tolist() == [4, 5]


def test_no_rows() -> None:
    values, gradient = gradc.compile(PROGRAMS["gathers and shared params"], **PLAIN).map(
        np.ones((0, 2)), np.ones((3, 2)), [0, 1, 1], np.ones(3)
    )
    assert values.shape == (0,)
    assert [g.shape for g in gradient] == [(0, 2), (0, 3)]


def test_one_compilation_a_subset() -> None:
    function = gradc.compile(EXPRESSION, cache=False)
    with compilations() as seen:
        function.map(np.ones(2), np.ones(2))
        both = seen.count
        function.map(np.ones(7), np.ones(7))
        assert seen.count == both
        function.map(np.ones(2), 1.0)
        one = seen.count
        function.map(np.ones(7), 1.0)
        assert seen.count == one > both


def test_pickle_and_threads() -> None:
    function = gradc.compile(EXPRESSION)
    x1, x2 = np.linspace(1, 2, 50), np.linspace(3, 4, 50)
    expected = pickle.loads(pickle.dumps(function)).map(x1, x2)[1]
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(function.map(x1, x2)[1])) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(results) == 8
    assert all(np.array_equal(r, expected) for r in results)
    assert np.array_equal(pickle.loads(pickle.dumps(function)).map(x1, x2)[1], expected)


LOSS = "w: param[d]\nx: data[n, d]\nt: index[n]\ny = x @ w\nsum(y[t]) + sum(y[1:] - y[:-1])"
GOOD = {"w": np.ones(2), "x": np.ones((3, 2)), "t": [0, 1, 2]}
WRONG: dict[str, tuple[str, dict[str, Any], type[GradcError], str]] = {
    "no rows": (LOSS, {}, InputError, "no input has one more leading axis\n    give one or more of w, x, t an axis"),
    "two lengths": (
        LOSS,
        {"w": np.ones((4, 2)), "x": np.ones((5, 3, 2))},
        InputError,
        "input 'x': expected x[rows, n, d] with rows = 4 by 'w', given an array of shape (5, 3, 2)",
    ),
    "two axes more": (LOSS, {"w": np.ones((1, 4, 2))}, InputError, "input 'w': expected w[d], given an array of shape"),
    "two axes more beside rows": (
        LOSS,
        {"w": np.ones((4, 2)), "x": np.ones((2, 4, 3, 2))},
        InputError,
        "input 'x': expected x[n, d], given",
    ),
    "other lengths": (LOSS, {"w": np.ones((4, 3))}, InputError, "expected x[n, d] with d = 3 by 'w'"),
    "ragged": (LOSS, {"w": [[1, 2], [3]]}, InputError, "input 'w': expected w[d]"),
    "text": (LOSS, {"w": [["a", "b"]]}, InputError, "input 'w': expected numbers"),
    "a position": (LOSS, {"t": [[0, 1, 2], [0, 3, 0]]}, InputError, "input 't': t[1, 1] = 3 is out of range"),
    "a stranger": (LOSS, {"v": np.ones(3)}, InputError, "unknown input 'v'"),
    "lengths to be compared": (
        "u: param[n]\nv: param[m]\nsum(u[1:]*v)",
        {"u": np.ones((2, 3)), "v": np.ones(3)},
        InputError,
        "given m = 3, n = 3",
    ),
    "computed positions": (
        "v: param[n]\nk: index\nv[2*k]",
        {"v": np.ones(3), "k": np.array([0, 1, 2])},
        InputError,
        "out of range of axis 0 of v",
    ),
    "an array": ("w: param[d]\n2*w", {"w": np.ones((4, 3))}, UnsupportedError, "the result has shape (d): only a"),
    "no params": ("w: data[d]\nsum(w)", {"w": np.ones((4, 3))}, UnsupportedError, "nothing to differentiate by"),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors(name: str) -> None:
    text, inputs, error, says = WRONG[name]
    with pytest.raises(error) as caught:
        gradc.compile(text, **PLAIN).map(**({**GOOD, **inputs} if text is LOSS else inputs))
    assert says in str(caught.value)


def test_a_missing_input_is_named() -> None:
    with pytest.raises(InputError, match="input 'x' is missing"):
        gradc.compile(LOSS, **PLAIN).map(np.ones((4, 2)))
