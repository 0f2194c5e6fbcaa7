"""Random programs: values and gradients against the reference evaluator, CPython, and differences."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy_shim as shim
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from random_programs import REDUCERS, SAFE, Drawn, Program, Seeded, generate

import gradc
from gradc import api, ir
from gradc.errors import InputError, UnsupportedError
from gradc.evaluate import evaluate_value

VALUE, GRADIENT, SHIM, SLOPE, BACKENDS = 1e-11, 1e-10, 1e-9, 1e-8, 1e-11
"""How far results may be apart, relative to their norm, or absolute below 1."""
EMPTY = np.empty
HAS_FACTORS = re.compile(r"\b(solve|det|logdet|inv|cholesky)\(")


@st.composite
def programs(draw: st.DrawFn) -> Program:
    return generate(Drawn(draw, st.integers))


def settled(examples: int) -> settings:
    return settings(
        max_examples=examples,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


def agree(a: Any, b: Any, tolerance: float) -> bool:
    """Norm-wise; infinities and NaNs must stand at the same places."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    finite = np.isfinite(a)
    if a.shape != b.shape or not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return False
    return bool(np.linalg.norm(a[finite] - b[finite]) <= tolerance * max(1.0, float(np.linalg.norm(a[finite]))))


def same(program: Program, what: str, given: Any, expected: Any, tolerance: float) -> None:
    assert agree(given, expected, tolerance), f"{what}\n\n{program}\n\ngiven    {given!r}\nexpected {expected!r}"


def called(function: Any, inputs: Mapping[str, Any], program: Program) -> Any:
    """The result of a call that must leave its inputs alone; programs that need longer axes are passed over."""
    before = {name: np.copy(value) for name, value in inputs.items()}
    try:
        result = function(**inputs)
    except InputError as error:
        assume(not program.is_empty)
        assume("of an empty range" not in str(error) or not is_refused_by_cpython(program))
        raise
    except UnsupportedError as error:  # factors of matrices in loops whose ranges are data
        assume("stored for each turn of a loop" not in str(error) or not HAS_FACTORS.search(program.text))
        raise
    for name, value in before.items():
        assert np.array_equal(value, inputs[name]), f"input {name} was changed\n\n{program}"
    return result


def fields(gradient: Any) -> dict[str, Any]:
    return dict(zip(gradient._fields, gradient, strict=True))


def in_cpython(program: Program) -> Any:
    """The value, or None for arrays of no elements that CPython cannot tell the shape of."""
    if 0 in program.dims.values():
        return None  # quotients of empty sums: which of them is taken first decides between 0 and NaN
    try:
        return shim.run(program.text, program.inputs, program.dims)
    except shim.UnknowableError:
        return None
    except (ValueError, IndexError):
        assume(not program.is_empty)
        raise


def is_refused_by_cpython(program: Program) -> bool:
    """Whether there is nothing to take the least of for it either: `range(i + 1, n - 1)` is empty for an n of two."""
    try:
        shim.run(program.text, program.inputs, program.dims)
    except (ValueError, shim.UnknowableError):
        return True
    return False


@contextmanager
def poisoned() -> Iterator[None]:
    """New arrays are full of NaNs, or of positions out of any range: what is used has to be written before."""

    def filled(shape: Any, dtype: Any = float, **settings: Any) -> Any:
        array = EMPTY(shape, dtype, **settings)
        array.fill(np.nan if array.dtype.kind in "fc" else -(2**62) if array.dtype.kind == "i" else 1)
        return array

    with patch("numpy.empty", filled):
        yield


def check(program: Program) -> None:
    with poisoned():
        check_poisoned(program)


def check_poisoned(program: Program) -> None:
    parsed = api.parse(program.text)
    compiled = gradc.compile(program.text, backend="python", cache=False)
    value = called(compiled, program.inputs, program)
    ir.validate(parsed.graph)
    ir.validate(compiled.program.graph)
    try:
        reference = evaluate_value(parsed.result.node, parsed.result.axes, program.inputs, program.dims)
    except IndexError:  # it also runs the arms that are not taken, which nothing guards yet
        own = compiled._derived.value
        try:
            reference = evaluate_value(own.node, own.axes, program.inputs, program.dims)
        except IndexError:
            assume(not program.is_empty)
            raise
    same(program, "value: generated code, graph", value, reference, VALUE)
    python = in_cpython(program)
    if python is not None:
        if not agree(value, python, SHIM):
            assume(not shim.is_close_call(program.text, program.inputs, program.dims))
        same(program, "value: generated code, CPython", value, python, SHIM)
    if np.ndim(value) == 0 and compiled.wrt:
        check_gradient(program, compiled, value, python)


def check_gradient(program: Program, compiled: gradc.Function, value: float, python: Any) -> None:
    again, gradient = called(compiled.value_and_grad, program.inputs, program)
    same(program, "value: value_and_grad, value", again, value, VALUE)
    for name, bar in (compiled._derived.gradient or {}).items():
        reference = evaluate_value(bar.node, bar.axes, program.inputs, program.dims)
        same(program, f"{name}_bar: generated code, graph", fields(gradient)[name], reference, GRADIENT)
    if python is None or not math.isfinite(value) or not program.smooth:
        return
    random = np.random.default_rng(0)
    tangents = {name: random.normal(size=np.shape(field)) for name, field in fields(gradient).items()}
    if not all_along(program, tangents, gradient):
        for name, tangent in tangents.items():  # which one is it?
            same_slope(program, name, fields(gradient)[name], tangent, slack(program))
        raise AssertionError(f"gradient, complex step along all params\n\n{program}")


def same_slope(program: Program, name: str, bar: Any, tangent: Any, tolerance: float) -> None:
    """The slope along a tangent of one param, by its adjoint and by a complex step."""
    slope = shim.directional(program.text, program.inputs, program.dims, {name: tangent})
    if math.isnan(slope) and 0 in program.dims.values() and "logsumexp(" in program.text:
        return  # a complex infinity, of nothing, times a complex number is NaN
    scale = max(1.0, float(np.abs(bar).max(initial=0.0)))
    what = f"along {tangent!r}, {name}_bar = {bar!r}: gradient, complex step"
    same(program, what, float(np.sum(bar * tangent)) / scale, slope / scale, tolerance)


def slack(program: Program) -> float:
    """How far slopes may be apart: second derivatives are differences."""
    return SLOPE if "grad(" not in program.text else 1e-6


def all_along(program: Program, tangents: dict[str, Any], gradient: Any) -> bool:
    """Whether the gradient agrees with a complex step of all params."""
    slope = shim.directional(program.text, program.inputs, program.dims, tangents)
    given = math.fsum(float(np.sum(field * tangents[name])) for name, field in fields(gradient).items())
    if "std(" in program.text and not np.isfinite([slope, given]).all():
        return True  # rows of one element: a root of 0
    scale = max(1.0, *(float(np.abs(field).max(initial=0.0)) for field in fields(gradient).values()))
    return agree(given / scale, slope / scale, slack(program))


@settled(300)
@given(programs())
def test_random_programs(program: Program) -> None:
    check(program)


@pytest.mark.nightly
@settled(6000)
@given(programs())
def test_random_programs_nightly(program: Program) -> None:
    check(program)


def check_differences(program: Program) -> None:
    compiled = gradc.compile(program.text, backend="python", cache=False)
    value = called(compiled, program.inputs, program)
    assume(np.ndim(value) == 0 and abs(value) < 1e6 and program.smooth and compiled.wrt)
    assume("stop_gradient" not in program.text and "std(" not in program.text and 0 not in program.dims.values())
    assume(not ("logsumexp(" in program.text and " if " in program.text))  # of nothing it is -inf: 0*inf has no slope
    report = compiled.check(**program.inputs)
    assert report.ok, f"{report}\n\n{program}"


@settled(40)
@given(programs())
def test_gradients_are_those_of_differences(program: Program) -> None:
    check_differences(program)


@pytest.mark.nightly
@settled(1000)
@given(programs())
def test_gradients_are_those_of_differences_nightly(program: Program) -> None:
    check_differences(program)


def check_backends(program: Program) -> None:
    compiled = gradc.compile(program.text, cache=False)
    python = gradc.compile(program.text, backend="python", cache=False)
    value = called(python, program.inputs, program)
    same(program, "value: Numba, Python", called(compiled, program.inputs, program), value, BACKENDS)
    if np.ndim(value) == 0 and compiled.wrt:
        gradient = fields(compiled.grad(**program.inputs))
        for name, expected in fields(python.grad(**program.inputs)).items():
            same(program, f"{name}_bar: Numba, Python", gradient[name], expected, BACKENDS)


@settled(5)
@given(programs())
def test_numba_gives_what_python_gives(program: Program) -> None:
    check_backends(program)


@pytest.mark.nightly
@settled(300)
@given(programs())
def test_numba_gives_what_python_gives_nightly(program: Program) -> None:
    check_backends(program)


@settled(40)
@given(programs())
def test_the_same_program_gives_the_same_code(program: Program) -> None:
    first, second = (gradc.compile(program.text, backend="python", cache=False).source for _ in range(2))
    assert first == second, str(program)


@settled(40)
@given(programs())
def test_an_unused_input_changes_nothing(program: Program) -> None:
    compiled = gradc.compile(program.text, backend="python", cache=False)
    more = gradc.compile(f"unused: param[3, unused_dim]\n{program.text}", backend="python", cache=False)
    value = called(compiled, program.inputs, program)
    inputs = {**program.inputs, "unused": np.ones((3, 2))}
    same(program, "value: with an unused input, without", more(**inputs), value, VALUE)
    assume(np.ndim(value) == 0 and compiled.wrt)
    gradient = fields(more.grad(**inputs))
    assert np.array_equal(gradient["unused"], np.zeros((3, 2)))
    for name, expected in fields(compiled.grad(**program.inputs)).items():
        same(program, f"{name}_bar: with an unused input, without", gradient[name], expected, GRADIENT)


def test_a_doubled_loss_has_a_doubled_gradient() -> None:
    for seed in range(40):
        program = generate(Seeded(seed))
        *lines, result = program.text.splitlines()
        doubled = Program("\n".join([*lines, f"2*({result})"]), program.inputs, program.dims, program.smooth)
        one, two = (gradc.compile(p.text, backend="python", cache=False) for p in (program, doubled))
        if program.is_empty or not one.wrt or re.search(r"^if .*\n    return", program.text, re.MULTILINE):
            continue
        gradient = fields(two.grad(**program.inputs))
        for name, expected in fields(one.grad(**program.inputs)).items():
            same(doubled, f"{name}_bar: of twice the loss", gradient[name], 2 * np.asarray(expected), VALUE)


CALLS = (
    "cumsum softmax log_softmax cross_entropy cross_entropy_with_logits stop_gradient dot matmul outer transpose where"
)
PIECES = (
    " @ ", ".T", "None", "::2]", "::-1]", " if ", " and ", " or ", " not ", " % 2 == 0", ": index[n]", "[:-1]",
    "in zip(", "in enumerate(", "in range(i", "keepdims=True", "2*d", "axis=-1",
)  # fmt: skip


def test_programs_cover_the_language() -> None:
    texts = [generate(Seeded(seed)).text for seed in range(600)]
    together = "\n".join(texts)
    words = {template.split("(")[0] for template in SAFE.values() if template[0].isalpha()}
    words |= {*REDUCERS, *CALLS.split()}
    missing = {word for word in words if f"{word}(" not in together and f"{word}=" not in together}
    assert not missing
    for piece in PIECES:
        assert piece in together, piece
    assert len(set(texts)) > 590


def test_failing_programs_are_reported_with_their_text_and_inputs() -> None:
    program = Program("w: param[n]\nsum(w)", {"w": np.array([1.0, 2.5])}, {"n": 2}, True)
    with pytest.raises(AssertionError) as caught:
        same(program, "value", 3.5, 3.25, VALUE)
    for piece in ("w: param[n]", "sum(w)", "array([1. , 2.5])", "n = 2", "given    3.5", "expected 3.25"):
        assert piece in str(caught.value)
