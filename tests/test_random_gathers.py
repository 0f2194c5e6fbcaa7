"""Random gathers against CPython over NumPy, their gradients against a complex step along each input."""

from __future__ import annotations

import numpy as np
import numpy_shim as shim
import pytest
from random_gathers import generate
from test_random_programs import fields, same, same_slope

import gradc

TOLERANCE = 1e-10


def check(seed: int) -> None:
    program = generate(seed)
    function = gradc.compile(program.text, backend="python", cache=False)
    value, gradient = function.value_and_grad(**program.inputs)
    same(program, "value", value, shim.run(program.text, program.inputs, program.dims), TOLERANCE)
    random = np.random.default_rng(0)
    for name, bar in fields(gradient).items():
        same_slope(program, name, bar, random.normal(size=np.shape(bar)), TOLERANCE)


@pytest.mark.parametrize("part", range(4))
def test_random_gathers(part: int) -> None:
    for seed in range(part, 400, 4):
        check(seed)


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(10))
def test_random_gathers_nightly(part: int) -> None:
    for seed in range(1000 + part, 11000, 10):
        check(seed)
