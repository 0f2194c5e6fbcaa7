"""Random compositions of array functions against CPython over NumPy, gradients against a complex step."""

from __future__ import annotations

import math

import numpy as np
import numpy_shim as shim
import pytest
from random_arrays import generate
from test_random_programs import fields, same, same_slope

import gradc
from gradc import ir
from gradc.evaluate import evaluate_value

TOLERANCE = 1e-8
"""Sums of large terms go through sines: their last digits differ with the order of the terms."""


def check(seed: int) -> None:
    program = generate(seed)
    function = gradc.compile(program.text, backend="python", cache=False)
    value, gradient = function.value_and_grad(**program.inputs)
    ir.validate(function.program.graph)
    own = function._derived.value
    reference = evaluate_value(own.node, own.axes, program.inputs, program.dims)
    same(program, "value: generated code, graph", value, reference, TOLERANCE)
    for name, bar in (function._derived.gradient or {}).items():
        expected = evaluate_value(bar.node, bar.axes, program.inputs, program.dims)
        same(program, f"{name}_bar: generated code, graph", fields(gradient)[name], expected, TOLERANCE)
    try:
        python = shim.run(program.text, program.inputs, program.dims)
    except (shim.UnknowableError, ValueError):
        assert 0 in program.dims.values(), str(program)  # NumPy does not know the shapes of empty lists
        return
    if math.isnan(value) and "logsumexp(" in program.text:
        return  # of nothing it is -inf, and a factor of a sum of nothing
    same(program, "value: generated code, CPython", value, python, TOLERANCE)
    if not math.isfinite(value) or abs(value) > 1e6:
        return
    random = np.random.default_rng(0)
    for name, field in fields(gradient).items():
        if not np.size(field):
            continue  # nothing moves; the step may still meet an infinity
        same_slope(program, name, field, random.normal(size=np.shape(field)), TOLERANCE)


@pytest.mark.parametrize("part", range(4))
def test_compositions(part: int) -> None:
    for seed in range(part, 160, 4):
        check(seed)


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(20))
def test_compositions_nightly(part: int) -> None:
    for seed in range(1000 + part, 5000, 20):
        check(seed)
