"""Hostile SymPy: every object is compiled or refused with a GradcError; no name and no hook in it is run."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import attempts_sympy
import numpy as np
import pytest
import sympy
from attempts_sympy import A, Hooks, Text, i, j, k, n, rows, s, u, w, x, y
from mutations import watchdog
from sympy import IndexedBase, MatrixSymbol, Sum, Symbol

import gradc

GENEROUS = 30.0
"""Seconds for what takes milliseconds: a watchdog against hangs, not a measurement."""


@pytest.fixture(autouse=True)
def nothing_is_run() -> Iterator[None]:
    yield
    assert not vars(builtins).pop("executed", False)


def compiled(expression: Any, **options: Any) -> gradc.Function:
    """Compiled as far as Python's own compiler."""
    with watchdog(GENEROUS):
        function = gradc.compile(expression, backend="python", cache=False, **options)
        compile(function.source, "generated", "exec")
    return function


def refused(expression: Any, **options: Any) -> gradc.GradcError:
    with watchdog(GENEROUS), pytest.raises(gradc.GradcError) as caught:
        gradc.compile(expression, backend="python", cache=False, **options)
    assert len(str(caught.value)) < 2000
    assert "\n" not in caught.value.message
    return caught.value


def integer(name: str) -> Any:
    return Symbol(name, integer=True)


INPUTS: dict[str, Callable[[str], Any]] = {
    "a symbol": lambda name: Symbol(name) + 1,
    "a dummy": lambda name: sympy.Dummy(name) + 1,
    "a wild": lambda name: sympy.Wild(name) + 1,
    "an array": lambda name: Sum(IndexedBase(name)[i], rows),
    "a matrix": lambda name: sympy.Trace(MatrixSymbol(name, n, n)),
    "a length": lambda name: Sum(w[i], (i, 0, integer(name) - 1)),
    "lengths": lambda name: sympy.Trace(MatrixSymbol("A", integer(name), integer(name))),
    "an integer": lambda name: s[integer(name)],
    "a bound": lambda name: Sum(x**i, (i, 0, integer(name))),
}
FUNCTIONS: dict[str, Callable[[str], Any]] = {
    "a function": lambda name: sympy.Function(name)(x),
    "for each element": lambda name: sympy.Trace(A.applyfunc(sympy.Function(name))),
    "by formula": lambda name: sympy.Trace(sympy.FunctionMatrix(2, 2, sympy.Function(name))),
}
INDICES: dict[str, Callable[[str], Any]] = {
    "an index": lambda name: Sum(w[integer(name)], (integer(name), 0, n - 1)),
    "an Idx": lambda name: Sum(w[sympy.Idx(name)], (sympy.Idx(name), 0, n - 1)),
    "an Idx with a range": lambda name: Sum(w[sympy.Idx(name, n)], sympy.Idx(name, n)),
}


@pytest.mark.parametrize("name", attempts_sympy.NO_NAMES, ids=lambda name: ascii(name[:40]))
def test_names_that_are_refused_or_left_out(name: str) -> None:
    for make in INPUTS.values():
        assert "cannot be the name of an input" in refused(make(name)).message
    for make in FUNCTIONS.values():
        if name not in ("", "\0", "\ud800"):  # SymPy itself refuses these
            assert "is a function without a definition" in refused(make(name)).message
    for make in INDICES.values():  # nobody has to write the name of an index
        assert compiled(make(name))([1.0, 2.0]) == 3.0
    if name:
        formula = sympy.Lambda((Symbol(name), j), w[Symbol(name)] * j)
        both = sympy.Trace(sympy.FunctionMatrix(n, n, formula)) + Sum(w[i], rows)
        assert compiled(both)([3.0, 5.0]) == 3 + 5 + 5
    refused(x, wrt=[name])
    refused(x, wrt=name)


@pytest.mark.parametrize("name", attempts_sympy.NAMES)
def test_odd_names_have_their_values(name: str) -> None:
    def value(make: Callable[[str], Any], given: Any) -> Any:
        function = compiled(make(name))
        own = [e.name for e in function.signature if e.name not in ("x", "s")]
        fixed = {e.name: {"x": 1.0, "s": [1.0, 2.0, 4.0]}[e.name] for e in function.signature if e.name not in own}
        assert function.check(**{own[0]: given}, **fixed).ok
        return function(**{own[0]: given}, **fixed)

    for kind in ("a symbol", "a dummy", "a wild"):
        assert value(INPUTS[kind], 2.0) == 3.0
    assert value(INPUTS["an array"], [1.0, 2.0]) == 3.0
    assert value(INPUTS["a matrix"], [[1.0, 9.0], [9.0, 2.0]]) == 3.0
    assert value(INPUTS["a length"], [1.0, 2.0]) == 3.0
    assert value(INPUTS["lengths"], [[1.0, 9.0], [9.0, 2.0]]) == 3.0
    assert value(INPUTS["an integer"], 1) == 2.0
    assert value(INPUTS["a bound"], 3) == 4.0
    for make in INDICES.values():
        assert compiled(make(name))([1.0, 2.0]) == 3.0


def test_such_names_compiled_together() -> None:
    symbols = [Symbol(name) for name in attempts_sympy.NAMES]
    function = gradc.compile(sympy.Add(*(symbol**2 for symbol in symbols)), wrt=symbols, cache=False)
    point = np.linspace(0.1, 2, len(symbols))
    value, gradient = function.value_and_grad(*point)
    assert value == pytest.approx(np.sum(point**2), rel=1e-13)
    assert np.asarray(gradient) == pytest.approx(2 * point, rel=1e-13)


@pytest.mark.parametrize("name", attempts_sympy.REFUSED)
def test_refused(name: str) -> None:
    refused(attempts_sympy.REFUSED[name]())


@pytest.mark.parametrize("name", attempts_sympy.DEEP)
def test_deep_and_long_expressions_end(name: str) -> None:
    expression = attempts_sympy.DEEP[name]()
    with watchdog(GENEROUS), suppress(gradc.GradcError):
        assert gradc.compile(expression, backend="python", cache=False).source


@pytest.mark.parametrize("name", attempts_sympy.NUMBERS)
def test_numbers_are_the_nearest_there_are(name: str) -> None:
    number, nearest = attempts_sympy.NUMBERS[name]
    assert compiled(number)() == pytest.approx(nearest, rel=1e-15, nan_ok=True)
    total = compiled(sympy.Add(x, number, evaluate=False))
    assert total(0.0) == pytest.approx(nearest, rel=1e-15, nan_ok=True)
    assert total.grad(0.0).x == 1.0
    scaled = compiled(sympy.Mul(number, x, evaluate=False))
    assert scaled.grad(1.0).x == pytest.approx(nearest, rel=1e-15, nan_ok=True)
    for power in (sympy.Pow(x, number, evaluate=False), sympy.Pow(number, x, evaluate=False)):
        compiled(power)(2.0)


@pytest.mark.parametrize("name", attempts_sympy.NO_NUMBERS)
def test_complex_numbers_are_refused(name: str) -> None:
    number = attempts_sympy.NO_NUMBERS[name]
    for kind in (sympy.Add, sympy.Mul, sympy.Pow, sympy.Max, sympy.Eq):
        refused(attempts_sympy.raw(kind, x, number))
    refused(number)


@pytest.mark.parametrize("name", attempts_sympy.NO_INTEGERS)
def test_no_subscripts_bounds_or_lengths(name: str) -> None:
    part = attempts_sympy.NO_INTEGERS[name]
    raw, zero = attempts_sympy.raw, sympy.Integer(0)
    refused(raw(sympy.Indexed, s, part))
    refused(raw(Sum, w[i], sympy.Tuple(i, zero, part)))
    refused(raw(Sum, w[i], sympy.Tuple(i, part, n)))
    refused(raw(sympy.Product, w[i], sympy.Tuple(i, zero, part)))
    refused(raw(sympy.Trace, raw(sympy.Identity, part)))
    refused(raw(sympy.matrices.expressions.matexpr.MatrixElement, A, part, zero))


@pytest.mark.parametrize(
    "wrt",
    [
        *(Hooks(), [Hooks()], [None], 3, [3], [x, 3.0], [x + 1], [w[0]], [sympy.Function("f")], [sympy.Tuple(x)]),
        *(["q"], [x, x], [x, "x"], [Symbol("x", positive=True)], [Symbol("")], [IndexedBase("q")], {x: 1, 2: 3}),
        sympy.sin,
    ],
    ids=lambda wrt: type(wrt).__name__,
)  # fmt: skip
def test_what_cannot_be_differentiated_by(wrt: Any) -> None:
    refused(x * y, wrt=wrt)


def test_what_can_be_differentiated_by() -> None:
    for wrt in (x, [x], (x,), {x}, (e for e in (x,)), "x", ["x"], [Text("x")], Text("x"), np.array(["x"])):
        assert compiled(x * y, wrt=wrt).grad(2.0, 3.0) == (3.0,)
    assert compiled(x * y, wrt=[]).wrt == ()


def test_texts_that_are_unpleasant() -> None:
    assert compiled(Symbol(Text("x")) + 1)(2.0) == 3.0


def test_legal_and_odd() -> None:
    cases: list[tuple[Any, dict[str, Any], Any]] = [
        (x < y, {"x": 1.0, "y": 2.0}, 1.0),
        (sympy.Eq(x, y), {"x": 1.0, "y": 2.0}, 0.0),
        (sympy.true, {}, 1.0),
        (sympy.And(x < y, y < 3), {"x": 1.0, "y": 2.0}, 1.0),
        (sympy.Matrix(0, 0, []), {}, np.zeros((0, 0))),
        (sympy.Matrix(0, 3, []), {}, np.zeros((0, 3))),
        (sympy.Matrix([x, y]), {"x": 1.0, "y": 2.0}, [[1.0], [2.0]]),
        (sympy.SparseMatrix(2, 2, {(0, 1): x}), {"x": 3.0}, [[0.0, 3.0], [0.0, 0.0]]),
        (A * u, {"A": np.eye(2), "u": [[1.0], [2.0]]}, [[1.0], [2.0]]),
        (A[x, y], {"A": [[1.0, 2.0], [3.0, 4.0]], "x": 1, "y": 0}, 3.0),
        (Sum(w[w[i]], rows), {"w": [1, 0, 2]}, 3.0),
        (Sum(w[i], rows, rows), {"w": [1.0, 2.0]}, 6.0),
        (Sum(w[i], (i, sympy.Range(3))), {"w": [1.0, 2.0, 4.0]}, 7.0),
        (s[sympy.floor(-k / 2 + 1)], {"s": [1.0, 2.0, 4.0], "k": -1}, 2.0),
        (s[sympy.Mod(k, 0, evaluate=False)], {"s": [1.0, 2.0, 4.0], "k": 2}, 1.0),
        (sympy.Mul(x, sympy.Pow(0, -1, evaluate=False), evaluate=False), {"x": 1.0}, np.inf),
        (s[-1], {"s": [1.0, 2.0, 4.0]}, 4.0),
        (sympy.Pow(0, 0, evaluate=False) + x, {"x": 1.0}, 2.0),
        (sympy.Add(x, sympy.Mul(2, sympy.Add(1, 1, evaluate=False), evaluate=False), evaluate=False), {"x": 1.0}, 5.0),
    ]
    for expression, inputs, wanted in cases:
        np.testing.assert_allclose(compiled(expression)(**inputs), wanted)


def test_slices_beyond_the_matrix_are_errors() -> None:
    beyond = sympy.Tuple(sympy.Integer(0), n + 2, sympy.Integer(1))
    for part in (
        attempts_sympy.raw(sympy.matrices.expressions.slice.MatrixSlice, A, beyond, beyond),
        A[n - 3 : n, 0:n],
    ):
        function = compiled(part)
        with pytest.raises(gradc.InputError):
            function(np.eye(2))
