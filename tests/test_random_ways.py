"""Random programs another way: as Python functions, in float32, in tiny tiles and chunks, on several threads."""

from __future__ import annotations

import linecache
import re
import warnings
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from random_programs import Program
from test_random_programs import GRADIENT, VALUE, called, check_poisoned, fields, poisoned, programs, same, settled
from test_sweeps import tiny

import gradc
from gradc.errors import GradcError

FILES = count()
JUMPS = re.compile(r" if |if |where|floor|ceil|round|step|sign|any|all\(|arg(max|min)| % | // | [<>]|zero_one|stop")
"""What may change by much where inputs change by little: then float32 and float64 need not agree."""


def as_function(text: str) -> Any:
    """The program as a Python function of a module of its own."""
    lines = text.splitlines()
    found = [re.fullmatch(r"(\w+): (param|data|index)(?:\[(.*)\])?", line) for line in lines]
    params = []
    for m in filter(None, found):
        dims = ", ".join(f'"{d.strip()}"' for d in m[3].split(",")) if m[3] else ""
        params.append(f"{m[1]}: gradc.{m[2]}[{dims}]" if dims else f"{m[1]}: gradc.{m[2]}")
    body = [line for line, m in zip(lines, found, strict=True) if not m]
    module = "\n".join(
        [f"def loss({', '.join(params)}):", *(f"    {b}" for b in body[:-1]), f"    return {body[-1]}\n"]
    )
    name = f"<program {next(FILES)}>"
    linecache.cache[name] = (len(module), None, module.splitlines(keepends=True), name)
    names: dict[str, Any] = {"gradc": gradc}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # Python sees a list subscripted by a tuple
        exec(compile(module, name, "exec"), names)
    return names["loss"]


def check_function(program: Program) -> None:
    text = gradc.compile(program.text, backend="python", cache=False)
    function = gradc.compile(as_function(program.text), backend="python", cache=False)
    assert list(map(str, function.signature)) == list(map(str, text.signature)), str(program)
    assert function.adjoint_listing == text.adjoint_listing, str(program)


@settled(60)
@given(programs())
def test_python_functions_give_the_same_graph(program: Program) -> None:
    check_function(program)


@pytest.mark.nightly
@settled(2000)
@given(programs())
def test_python_functions_give_the_same_graph_nightly(program: Program) -> None:
    check_function(program)


def check_single(program: Program) -> None:
    """float32 runs, gives float32, and what float64 gives where nothing jumps."""
    near = {
        name: np.asarray(v, np.float32)[()] if np.asarray(v).dtype.kind == "f" else v
        for name, v in program.inputs.items()
    }
    single = gradc.compile(program.text, backend="python", dtype="float32", cache=False)
    double = gradc.compile(program.text, backend="python", cache=False)
    with poisoned():
        value = called(single, near, program)
        expected = called(double, near, program)
        assert np.ndim(value) == np.ndim(expected)
        if np.ndim(value) or not single.wrt:
            return
        given_, exact = fields(single.grad(**near)), fields(double.grad(**near))
    assert all(np.ndim(bar) == 0 or bar.dtype == np.float32 for bar in given_.values()), str(program)
    largest = max(abs(expected), *(float(np.abs(g).max(initial=0.0)) for g in exact.values()))
    if JUMPS.search(program.text) or not largest < 1e2:
        return
    same(program, "value: float32, float64", value, expected, 1e-3)
    for name, bar in given_.items():
        same(program, f"{name}_bar: float32, float64", bar, exact[name], 1e-2)


@settled(20)
@given(programs())
def test_float32(program: Program) -> None:
    check_single(program)


@pytest.mark.nightly
@settled(2000)
@given(programs())
def test_float32_nightly(program: Program) -> None:
    check_single(program)


def check_tiny(program: Program) -> None:
    with tiny(), poisoned():
        check_poisoned(program)


@settled(30)
@given(programs())
def test_tiny_tiles_and_chunks(program: Program) -> None:
    check_tiny(program)


@pytest.mark.nightly
@settled(3000)
@given(programs())
def test_tiny_tiles_and_chunks_nightly(program: Program) -> None:
    check_tiny(program)


def check_threads(program: Program) -> None:
    """The same bits on one, two and three threads; and what plain Python gives."""
    with tiny():
        python = gradc.compile(program.text, backend="python", cache=False)
        value = called(python, program.inputs, program)
        results = []
        for threads in (1, 2, 3):
            function = gradc.compile(program.text, threads=threads, cache=False)
            if np.ndim(value) or not function.wrt:
                results.append((function(**program.inputs), {}))
            else:
                again, gradient = function.value_and_grad(**program.inputs)
                results.append((again, fields(gradient)))
    first, *others = results
    same(program, "value: Numba, Python", first[0], value, 10 * VALUE)
    expected = fields(python.grad(**program.inputs)) if first[1] else {}
    for name, bar in first[1].items():
        same(program, f"{name}_bar: Numba, Python", bar, expected[name], 10 * GRADIENT)
    for other in others:
        assert np.array_equal(other[0], first[0], equal_nan=True), str(program)
        for name, bar in first[1].items():
            assert np.array_equal(other[1][name], bar, equal_nan=True), f"{name}_bar\n\n{program}"


@settled(2)
@given(programs())
def test_threads(program: Program) -> None:
    check_threads(program)


@pytest.mark.nightly
@settled(100)
@given(programs())
def test_threads_nightly(program: Program) -> None:
    check_threads(program)


def check_map(program: Program) -> None:
    """Every row of a map is a call of its own."""
    function = gradc.compile(program.text, backend="python", cache=False)
    called(function, program.inputs, program)
    if not function._derived.gradient or not function.wrt:
        return
    rows = {i.name: np.stack([np.asarray(program.inputs[i.name])] * 2) for i in function.signature if i.kind == "param"}
    for k, name in enumerate(rows):
        rows[name][1] *= 1 + 0.1 * (k % 3)
    try:
        values, gradients = function.map(**{**program.inputs, **rows})
    except GradcError as error:
        assert "cannot" in str(error) or "unknown length" in str(error), f"{error}\n\n{program}"  # noqa: PT017
        return
    for k in range(2):
        given_ = {name: row[k] for name, row in rows.items()}
        value, gradient = function.value_and_grad(**{**program.inputs, **given_})
        same(program, f"value of row {k}", values[k], value, VALUE)
        for name, bar in fields(gradient).items():
            same(program, f"{name}_bar of row {k}", getattr(gradients, name)[k], bar, 10 * GRADIENT)


@settled(20)
@given(programs())
def test_map(program: Program) -> None:
    check_map(program)


@pytest.mark.nightly
@settled(2000)
@given(programs())
def test_map_nightly(program: Program) -> None:
    check_map(program)
