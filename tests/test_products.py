"""Matrix products in compiled code against NumPy, for every layout of the operands, and the guard around BLAS."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
import threadpoolctl
from layouts import by_rows, some_rows, tile, tile_transposed, transposed
from numba import types

import gradc
from gradc.runtime import blas, products

multiply, multiply_add = products.OWN["multiply"], products.OWN["multiply_add"]
DTYPES = {"float64": types.float64, "float32": types.float32}
SIZES = (0, 1, 2, 5, 17, 100)


def _any(number: Any, rank: int) -> Any:
    return types.Array(number, rank, "A")


def compiled(dtype: str, ranks: tuple[int, int, int], add: bool) -> Callable[..., None]:
    """The product of arrays of these ranks, and of any layout, compiled once."""
    if add:

        def run(a, b, out):  # type: ignore[no-untyped-def]
            multiply_add(a, b, out)

    else:

        def run(a, b, out):  # type: ignore[no-untyped-def]
            multiply(a, b, out)

    signature = types.void(*(_any(DTYPES[dtype], rank) for rank in ranks))
    function: Callable[..., None] = numba.njit(signature, error_model="numpy")(run)
    return function


def any_strides(a: Any) -> Any:
    """Row-major for NumPy: along axes of length 1 strides may be anything."""
    strides = tuple(-8 * s if length == 1 else s for s, length in zip(a.strides, a.shape, strict=True))
    return np.lib.stride_tricks.as_strided(a, a.shape, strides)


LAYOUTS = (by_rows, transposed, some_rows, tile, tile_transposed, any_strides)


@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_products_of_matrices(dtype: str, add: bool) -> None:
    run = compiled(dtype, (2, 2, 2), add)
    rng = np.random.default_rng(0)
    tolerance = 1e-13 if dtype == "float64" else 1e-5
    for m, n, k in [*itertools.product(SIZES, repeat=3), (1, 5000, 1), (5000, 1, 1), (1, 1, 5000)]:
        a, b = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
        before = rng.normal(size=(m, n)).astype(dtype) if add else np.full((m, n), np.nan, dtype)
        expected = (before if add else 0) + a.astype(float) @ b.astype(float)
        for left, right in itertools.product(LAYOUTS, repeat=2):
            for target in (by_rows, tile):
                out = target(before.copy())
                run(left(a), right(b), out)
                error = np.abs(out - expected).max(initial=0.0)
                assert error <= tolerance * max(k, 1), (m, n, k, left, right, target)


@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_products_with_vectors(dtype: str, add: bool) -> None:
    matrix_vector, vector_matrix = compiled(dtype, (2, 1, 1), add), compiled(dtype, (1, 2, 1), add)
    rng = np.random.default_rng(0)
    tolerance = 1e-13 if dtype == "float64" else 1e-5
    for m, k in itertools.product(SIZES, repeat=2):
        a = rng.normal(size=(m, k)).astype(dtype)
        u, v = rng.normal(size=m).astype(dtype), rng.normal(size=k).astype(dtype)
        for layout in (by_rows, some_rows, tile, any_strides):
            for run, left, right, expected in (
                (matrix_vector, layout(a), v, a.astype(float) @ v),
                (vector_matrix, u, layout(a), u @ a.astype(float)),
            ):
                before = rng.normal(size=len(expected)).astype(dtype) if add else np.full(len(expected), np.nan, dtype)
                out = before.copy()
                run(left, right, out)
                error = np.abs(out - (expected + before if add else expected)).max(initial=0.0)
                assert error <= tolerance * max(m, k, 1), (m, k, layout)


SOFTMAX = "W: param[K, d]\nb: param[K]\nx: data[n, d]\nt: index[n]\nmean(cross_entropy_with_logits(x @ W.T + b, t))"
RNG = np.random.default_rng(1)
X = {
    "one column": RNG.normal(size=(5000, 1)),
    "one column that was a vector": RNG.normal(size=5000)[:, None],
    "the last row": RNG.normal(size=(7, 784))[::-1][:1],
    "a row spread out": np.broadcast_to(RNG.normal(size=784), (1, 784)),
    "some rows": RNG.normal(size=(1000, 20))[100:900],
}


@pytest.fixture(scope="module")
def softmax() -> tuple[gradc.Function, gradc.Function]:
    return gradc.compile(SOFTMAX), gradc.compile(SOFTMAX, backend="python")


def agree(given: tuple[float, Any], expected: tuple[float, Any]) -> bool:
    pairs = zip((given[0], *given[1]), (expected[0], *expected[1]), strict=True)
    return all(np.allclose(a, b, rtol=1e-10, atol=1e-12) for a, b in pairs)


@pytest.mark.parametrize("name", X)
def test_data_of_any_strides(softmax: tuple[gradc.Function, gradc.Function], name: str) -> None:
    x = X[name]
    n, d = x.shape
    inputs = {"W": RNG.normal(size=(10, d)), "b": np.ones(10), "x": x, "t": RNG.integers(0, 10, n)}
    compiled, python = softmax
    assert agree(compiled.value_and_grad(**inputs), python.value_and_grad(**inputs))


def fill_the_heap_with_nan() -> None:
    kept = [np.full(size, np.nan) for size in (10, 100, 1000, 10_000, 100_000) for _ in range(50)]
    del kept


def test_what_lay_in_memory_does_not_come_through(softmax: tuple[gradc.Function, gradc.Function]) -> None:
    compiled, python = softmax
    for n, d, K in ((1, 1, 1), (700, 33, 10), (64, 5, 3), (1000, 1, 20), (3, 784, 10), (10, 0, 3)):
        inputs = {"W": RNG.normal(size=(K, d)), "b": np.ones(K), "x": RNG.normal(size=(n, d)), "t": np.zeros(n, int)}
        fill_the_heap_with_nan()
        assert agree(compiled.value_and_grad(**inputs), python.value_and_grad(**inputs)), (n, d, K)


def threads_of_blas() -> list[int]:
    """Of the library that compiled code calls."""
    return [library.get_num_threads() for library in blas._libraries()]


def test_blas_has_its_threads_back_after_a_call(softmax: tuple[gradc.Function, gradc.Function]) -> None:
    inputs = {"W": np.ones((10, 20)), "b": np.ones(10), "x": np.ones((500, 20)), "t": np.zeros(500, int)}
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = threads_of_blas()
        assert set(before) == {2}
        softmax[0].value_and_grad(**inputs)
        assert threads_of_blas() == before
        with pytest.raises(ZeroDivisionError), blas.ONE_THREAD:
            1 / 0  # noqa: B018
        assert threads_of_blas() == before


def test_blas_of_others_keeps_its_threads() -> None:
    apart = {library["filepath"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"}
    apart -= {library.filepath for library in blas._libraries()}

    def theirs() -> list[int]:
        return [b["num_threads"] for b in threadpoolctl.threadpool_info() if b["filepath"] in apart]

    with threadpoolctl.threadpool_limits(2, user_api="blas"), blas.ONE_THREAD:
        assert set(threads_of_blas()) == {1}
        assert theirs() == [2] * len(apart)


def overlap(in_before_the_other: bool) -> list[list[int]]:
    """What this thread sees while another one is in as well, when that has left, and when both have, still alive."""
    entered, leave, left, done = (threading.Event() for _ in range(4))

    def other() -> None:
        with blas.ONE_THREAD:
            entered.set()
            leave.wait(10)
        left.set()
        done.wait(10)

    seen = []
    thread = threading.Thread(target=other)
    if in_before_the_other:
        guard = blas.ONE_THREAD
        guard.__enter__()
        thread.start()
        assert entered.wait(10)
    else:
        thread.start()
        assert entered.wait(10)
        guard = blas.ONE_THREAD
        guard.__enter__()
    seen.append(threads_of_blas())
    leave.set()
    assert left.wait(10)
    seen.append(threads_of_blas())
    guard.__exit__(None, None, None)
    seen.append(threads_of_blas())
    done.set()
    thread.join(10)
    return seen


@pytest.mark.parametrize("in_before_the_other", [True, False])
def test_blas_is_on_one_thread_until_the_last_call_is_over(in_before_the_other: bool) -> None:
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = threads_of_blas()
        one = [1] * len(before)
        assert overlap(in_before_the_other) == [one, one, before]


def test_blas_is_on_one_thread_whichever_thread_calls() -> None:
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        with blas.ONE_THREAD:
            pass
        seen = []

        def call() -> None:
            with blas.ONE_THREAD:
                seen.append(threads_of_blas())

        thread = threading.Thread(target=call)
        thread.start()
        thread.join(10)
        before = threads_of_blas()
    assert seen == [[1] * len(before)]
