"""Second derivatives of random programs: the gradient along a direction is a program, whose gradient differences judge.

So adjoints of adjoints are tested: of scatters, places, running sums, guarded reads, extremes and linear algebra.
"""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from msgspec.structs import replace
from random_programs import Program
from test_random_programs import GRADIENT, VALUE, called, fields, poisoned, programs, same, settled

import gradc
from gradc.build import Builder
from gradc.derive import Derived, derive
from gradc.errors import UnsupportedError
from gradc.evaluate import evaluate_value
from gradc.function import Function
from gradc.ir import Node
from gradc.program import Value

LARGEST = 60
"""Parameters of more elements are not told apart by differences in a short time."""
NOTHING = 1e-14
"""What is left of numbers that cancel; differences may be 0 there."""


def along(derived: Derived) -> Derived:
    """The program of the gradient along the data `to_NAME`, which the text declares beside each param."""
    assert derived.gradient is not None
    build = Builder(derived.program.graph)
    directions = {n.name: n for n in build.graph.nodes if n.op == "input"}
    total: Node = build.const(0.0)
    for name, bar in derived.gradient.items():
        to = directions[f"to_{name}"]
        at = [build.const(0) if a is None else build.index(a) for a in bar.axes]
        product = build.op("mul", bar.node, build.read(to, to.axes, at))
        summed = build.reduce("sum", [a for a in bar.axes if a is not None], product)
        total = build.op("add", total, summed)
    return derive(replace(derived.program, result=Value(total)), derived.wrt)


def with_directions(program: Program) -> Program:
    """The same program, with directions of its params as data."""
    random = np.random.default_rng(1)
    directions = dict(re.findall(r"^(\w+): param(.*)$", program.text, re.MULTILINE))
    lines = [f"to_{name}: data{shape}" for name, shape in directions.items()]
    inputs = dict(program.inputs)
    for name in directions:
        to = random.normal(size=np.shape(inputs[name]))
        inputs[f"to_{name}"] = to if to.ndim else float(to)
    return Program("\n".join([*lines, program.text]), inputs, program.dims, program.smooth)


def derived_again(first: Function) -> Function:
    return Function.of(along(first._derived), first._origin, first._options, first._restore)


def check(program: Program) -> None:
    program = with_directions(program)
    first = gradc.compile(program.text, backend="python", cache=False)
    if not (first._derived.gradient and first.wrt):
        return
    value, gradient = called(first.value_and_grad, program.inputs, program)
    try:
        second = derived_again(first)
    except UnsupportedError as error:
        assert "unknown length" in str(error), str(program)  # noqa: PT017
        return
    with poisoned():
        slope, again = called(second.value_and_grad, program.inputs, program)
    expected = math.fsum(float(np.sum(f * program.inputs[f"to_{name}"])) for name, f in fields(gradient).items())
    scale = max(1.0, *(float(np.abs(f).max(initial=0.0)) for f in fields(gradient).values()))
    if math.isfinite(expected) and not program.is_empty:
        same(program, "gradient along a direction: its program, itself", slope / scale, expected / scale, 10 * VALUE)
    for name, bar in (second._derived.gradient or {}).items():
        reference = evaluate_value(bar.node, bar.axes, program.inputs, program.dims)
        if np.isfinite(reference).all():
            same(program, f"{name}_bar, again: generated code, graph", fields(again)[name], reference, 10 * GRADIENT)
    check_differences(program, second, value, slope)


def check_differences(program: Program, second: Function, value: float, slope: float) -> None:
    """The gradient of the gradient; where the first one is flat by decree, the second is what it is."""
    flat = re.search(r"stop_gradient|std\(|norm\(", program.text)
    many = sum(np.size(program.inputs[name]) for name in second.wrt) > LARGEST
    if not program.smooth or program.is_empty or flat or many or not max(abs(value), abs(slope)) < 1e5:
        return
    report = second.check(**program.inputs)
    wrong = [row for row in report.rows if row.error > report.rtol and abs(row.given - row.expected) > NOTHING]
    assert not wrong, f"{report}\n\n{program}"
    assert report.failure is None, f"{report}\n\n{program}"


@settled(60)
@given(programs())
def test_second_derivatives(program: Program) -> None:
    check(program)


@pytest.mark.nightly
@settled(3000)
@given(programs())
def test_second_derivatives_nightly(program: Program) -> None:
    check(program)
