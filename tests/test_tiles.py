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


def gradient(text: str) -> str:
    """The kernels of value and gradient, without comments."""
    source = re.sub(r" *#.*\n", "", gradc.compile(text, cache=False).source)
    return source[source.index("def value_and_grad_rows") : source.index("def value_and_grad(")]


WRITTEN = {
    "x: param[n, 3]\nw: data[n]\nsum(tanh(x[i, j])*w[i] for i in range(n) for j in range(3))": True,
    "x: param[n, m]\nt: data[n, m]\nsum(t*softmax(exp(x), axis=1))": False,
    "x: param[n, m]\nt: data[n, m]\nsum(t*log_softmax(x, axis=1)**2) + sum(exp(x))": True,
    "x: param[n, m]\nt: data[n]\nsum((logsumexp(x, axis=1) - t)**2)": False,  # scaled, without a function, at the end
    "x: param[n, m]\nsum(tanh(x[i, j + 1])*sum(exp(x[i])) for i in range(n) for j in range(m - 1))": False,
}


@pytest.mark.parametrize("text", WRITTEN)
def test_matrices_that_functions_write_are_put_back_in_the_end(text: str) -> None:
    code = gradient(text)
    last = re.search(r"for j in range\(\w\):\n +x_bar\[i, j\] = x_bar_tile\[j, i - start\]\n", code)
    assert (last is not None) is WRITTEN[text], code
    assert not WRITTEN[text] or code.count("x_bar[") == 1


def test_what_is_packed_for_one_loop_is_read_by_all() -> None:
    code = gradient("x: param[n, m]\nsum(logsumexp(x, axis=1))")
    assert code.count("x[i, j]") == 1
    assert "maximum(result_max[i - start], x_tile[j, i - start])" in code


def test_a_share_of_each_class_takes_no_logarithm_and_no_quotient_for_each() -> None:
    """Nor does its derivative: that of the largest is known from the sum of the others."""
    code = gradient("x: param[n, m]\nt: data[n, m]\nsum(t*log_softmax(x, axis=1))")
    loops = re.findall(r"for j in range\(m\):\n((?: {12}.*\n)+)", code)
    assert len(loops) > 3
    assert not any(word in loop for loop in loops for word in ("log(", "log1p(", "/"))


def test_chunks_add_to_vectors_of_their_own() -> None:
    """Those of neighbours share a line of the caches: two cores would take it from each other at each addition."""
    code = gradient(
        "t: param[n]\na: param[m]\nb: param[m]\ny: data[n, m]\n"
        "sum(softplus(a[j]*(t[i] - b[j])) - y[i, j]*a[j]*j for i in range(n) for j in range(m))"
    )
    rows, after = re.split(r"\n    for k in range\(a_bar\w*\.size\):\n", code, maxsplit=1)
    assert re.search(r"a_bar\w*\[j\] \+= ", rows)
    assert "_bar_parts[" not in rows
    assert after.startswith("        a_bar_parts[chunk, k] += a_bar[k]\n")


def test_places_are_read_before_loops_along_the_rows_that_they_point_to() -> None:
    code = gradient(
        "A: param[k, m]\nc: index[n]\nx: data[n, m]\nsum(abs(A[c[i], j] - x[i, j]) for i in range(n) for j in range(m))"
    )
    assert re.search(r"        c_i = c\[i\]\n        for j in range\(m\):\n", code)
    assert code.count("c[") == 1


def test_places_that_change_with_the_loop_are_read_in_it() -> None:
    code = gradient(
        "A: param[k, m]\nc: index[m]\nx: data[n, m]\nsum(tanh(A[c[j], j]*x[i, j]) for i in range(n) for j in range(m))"
    )
    assert "A[c[j], j]" in code
