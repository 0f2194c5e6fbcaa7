"""How many rows a chunk and a tile have, and what is copied for a tile."""

from __future__ import annotations

import itertools
import re

import pytest
from cases import CASES
from test_sweeps import ROSENBROCK

import gradc

CHUNKED = {
    "x: param[n]\nlogsumexp(x)": {32},
    ROSENBROCK: {8},
    "x: param[n, m]\nsum(logsumexp(x, axis=1))": {8},
    "x: param[n]\ni: index[n]\nw: param[k]\nsum(x*w[i])": {8},
    CASES["softmax"].path.read_text(): {8},
}


@pytest.mark.parametrize("text", CHUNKED)
def test_chunks_are_many_where_few_rows_cost_nothing(text: str) -> None:
    """They cost where tiles get smaller, arrays are added up, or rows that reach into other chunks are run later."""
    source = gradc.compile(text, cache=False).source
    gradient = source[source.index("def value_and_grad_rows") :]
    assert {int(c) for c in re.findall(r"chunks\w* = (\d+) if", gradient)} == CHUNKED[text]


PACKED = {
    "x: param[n, m]\nsum(logsumexp(x, axis=1))": True,
    "x: data[n, m]\nv: param[m]\nsum(softmax(x*v, axis=1)**2)": True,
    "x: data[n, m]\nv: param[k]\nsum(logsumexp(x[i, j]*v[j] for j in range(k)) for i in range(n))": False,
    "a: data[n, m]\nw: param[m, k]\nx: data[n, k]\nz = a @ w\n"
    "sum((z[i, j] - x[i, j])**2 for i in range(n) for j in range(k))": False,
}


@pytest.mark.parametrize("text", PACKED)
def test_rows_that_functions_are_taken_of_are_packed(text: str) -> None:
    """All of each row, and with the rows last: with gaps between them, LLVM leaves numbers one by one."""
    assert ("x_tile" in gradc.compile(text, cache=False).source) is PACKED[text]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rows_of_arrays_of_a_tile_are_an_odd_number_of_lines_apart(dtype: str) -> None:
    """A power of two apart, the numbers of one row would have to share few places of the first cache."""
    lines = 8 if dtype == "float64" else 16
    for text in (next(iter(PACKED)), CASES["softmax"].path.read_text(), ROSENBROCK):
        source = gradc.compile(text, dtype=dtype, cache=False).source
        (height,) = set(re.findall(r"tile = (.*)  # rows", source[source.index("def value_and_grad_rows") :]))
        for m, K in itertools.product((1, 3, 10, 30, 64, 128, 1000), (2, 10, 100)):
            rows = eval(height, {}, {"m": m, "d": m, "K": K, "max": max, "min": min})
            assert rows % (2 * lines) == lines
            assert 2 * lines < rows < 64 * lines
