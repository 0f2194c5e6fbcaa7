"""Products of matrices and vectors by rows, against NumPy: vectors of any length, and nothing else touched."""

from __future__ import annotations

import ctypes
import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from layouts import at_the_end
from llvmlite import ir

from gradc.runtime import lanes, streams
from gradc.runtime.native import engine, object_code

WORD = ctypes.c_int64
DTYPES = {"float64": ir.DoubleType(), "float32": ir.FloatType()}
REGISTERS = (0, 16, lanes.register())
Product = Callable[[Any, Any, Any, bool], None]


def compiled(dtype: str, register: int, monkeypatch: pytest.MonkeyPatch, both: bool = True) -> tuple[Product, Product]:
    """`out = A v` and `out = v B`, or added to it, with vectors of so many bytes; as they are together or alone."""
    monkeypatch.setattr(lanes, "register", lambda: register)
    module = ir.Module()
    functions = [make(module, DTYPES[dtype]) for make in (streams.matrix_vector, streams.vector_matrix)]
    assert streams.matrix_vector(module, DTYPES[dtype]) is functions[0]
    for function in functions:
        function.linkage = "external"
    if not both:
        module.globals[streams.BOTH.format(DTYPES[dtype])].initializer = ir.IntType(1)(0)
    made, address = engine(object_code(str(module))), ctypes.c_void_p
    lengths = (address, WORD, WORD, ctypes.c_bool)
    first = ctypes.CFUNCTYPE(None, address, WORD, address, *lengths)(made.get_function_address(functions[0].name))
    second = ctypes.CFUNCTYPE(None, address, address, WORD, *lengths)(made.get_function_address(functions[1].name))

    def matrix_vector(a: Any, v: Any, out: Any, add: bool) -> None:
        first(a.ctypes.data, a.strides[0] // a.itemsize, v.ctypes.data, out.ctypes.data, *a.shape, add)

    def vector_matrix(v: Any, b: Any, out: Any, add: bool) -> None:
        second(v.ctypes.data, b.ctypes.data, b.strides[0] // b.itemsize, out.ctypes.data, *b.shape, add)

    matrix_vector.keep = vector_matrix.keep = made  # type: ignore[attr-defined]
    return matrix_vector, vector_matrix


@pytest.mark.skipif(os.name != "posix", reason="asks the system to forbid memory")
@pytest.mark.parametrize("register", REGISTERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_remainder_and_nothing_beyond_the_arrays(
    dtype: str, register: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix_vector, vector_matrix = compiled(dtype, register, monkeypatch)
    rng = np.random.default_rng(0)
    short, long = (1, 2, 3, 7, 8, 9, 15, 16, 17, 33), (300, 513)
    shapes = [*itertools.product(short, (*short, *long)), *itertools.product(long, short), (3, 1100), (1100, 3)]
    for (m, n), add in itertools.product(shapes, (False, True)):
        a, v, w = (at_the_end(rng.normal(size=s).astype(dtype)) for s in ((m, n), n, m))
        exact, size = a.astype(float), np.abs(a).astype(float)
        for product, given, expected, bound in (
            (matrix_vector, (a, v), exact @ v, size @ np.abs(v)),
            (vector_matrix, (w, a), w @ exact, np.abs(w) @ size),
        ):
            out = at_the_end(np.full(len(expected), 7.0 if add else np.nan, dtype))
            product(*given, out, add)
            limit = 4 * np.finfo(dtype).eps * (np.sqrt(m + n) * bound + 7.0)
            assert (np.abs(out - expected - (7.0 if add else 0.0)) <= limit).all(), (m, n, add, product)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_to_add_up(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix_vector, vector_matrix = compiled(dtype, lanes.register(), monkeypatch)
    for product, shape in ((matrix_vector, (3, 0)), (vector_matrix, (0, 3))):
        given = (np.ones(shape, dtype), np.ones(0, dtype))
        for add, expected in ((False, 0.0), (True, 7.0)):
            out = np.full(4, 7.0, dtype)
            product(*(given if product is matrix_vector else given[::-1]), out, add)
            assert out.tolist() == [expected] * 3 + [7.0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_in_any_order_in_memory(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same row again and again, rows backwards, some columns of a wide matrix."""
    matrix_vector, vector_matrix = compiled(dtype, lanes.register(), monkeypatch)
    rng = np.random.default_rng(0)
    wide = rng.integers(-9, 9, size=(40, 60)).astype(dtype)
    v, w = rng.integers(-9, 9, size=23).astype(dtype), rng.integers(-9, 9, size=40).astype(dtype)
    for a in (np.broadcast_to(wide[0, :23], (40, 23)), wide[::-1, :23], wide[:, 30:53]):
        out, sums = np.empty(40, dtype), np.empty(23, dtype)
        matrix_vector(a, v, out, False)
        vector_matrix(w, a, sums, False)
        assert out.tolist() == (a @ v).tolist()
        assert sums.tolist() == (w @ a).tolist()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_bits_of_a_row_do_not_depend_on_its_neighbours(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix_vector, _ = compiled(dtype, lanes.register(), monkeypatch)
    rng = np.random.default_rng(0)
    for n in (3, 16, 50, 300, 700):
        a, v = rng.normal(size=(45, n)).astype(dtype), rng.normal(size=n).astype(dtype)
        whole, alone = np.empty(45, dtype), np.empty(45, dtype)
        matrix_vector(a, v, whole, False)
        for i in range(45):
            matrix_vector(a[i : i + 1], v, alone[i : i + 1], False)
        assert whole.tobytes() == alone.tobytes()


def asked(
    shape: tuple[int, int], dtype: str, register: int, monkeypatch: pytest.MonkeyPatch, both: bool = True
) -> Iterator[list[int]]:
    """How far behind the start of a matrix that lies what each of its products asks for."""
    places: list[int] = []
    note = ctypes.CFUNCTYPE(None, ctypes.c_int64)(places.append)

    def fetch(code: lanes.Lanes, pointer: Any) -> None:
        address = ir.Constant(ir.IntType(64), ctypes.cast(note, ctypes.c_void_p).value)
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)]).as_pointer()
        code.call(code.inttoptr(address, kind), [code.ptrtoint(pointer, ir.IntType(64))])

    monkeypatch.setattr(lanes.Lanes, "fetch", fetch)
    matrix_vector, vector_matrix = compiled(dtype, register, monkeypatch, both)
    a = np.ones(shape, dtype)
    for product, given in ((matrix_vector, (a, a[0])), (vector_matrix, (a[:, 0].copy(), a))):
        places.clear()
        product(*given, np.empty(max(shape), dtype), False)
        yield [place - a.ctypes.data for place in places]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("register", REGISTERS)
def test_both_products_ask_for_each_line_of_a_tile_to_come(
    dtype: str, register: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    length = 50 * np.dtype(dtype).itemsize
    for places in asked((16, 50), dtype, register, monkeypatch):
        first = min(places)
        assert first > 16 * length + streams.AHEAD - length
        assert {(place - first) // length for place in places} == set(range(16))
        reached = np.array(sorted(places))
        assert (np.diff(reached) <= lanes.LINE).all()
        assert reached[-1] - first + lanes.LINE >= 16 * length
        assert len(places) <= 16 * (length // lanes.LINE + 2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("register", REGISTERS)
def test_each_tiny_row_of_a_tile_to_come_is_asked_for_once(
    dtype: str, register: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = np.dtype(dtype).itemsize
    found = []
    for places in asked((16, 15), dtype, register, monkeypatch):
        assert min(places) > 16 * 15 * size + streams.AHEAD - 15 * size
        rows = [place // (15 * size) for place in places]
        found += sorted(set(rows))
        assert {rows.count(row) for row in rows} == {-(-15 // (max(register, 16) // size))}
    assert sorted(found) == list(range(min(found), min(found) + 16))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "both"), [((16, 50), False), ((16, 700), True)])
def test_nothing_is_asked_for_by_one_product_alone_or_of_long_rows(
    shape: tuple[int, int], both: bool, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for what is at hand."""
    for places in asked(shape, dtype, lanes.register(), monkeypatch, both):
        assert min(places) >= 0
        assert max(places) < np.empty(shape, dtype).nbytes


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_are_asked_for_where_both_products_are(dtype: str) -> None:
    module, real = ir.Module(), DTYPES[dtype]
    for make, both in ((streams.vector_matrix, 0), (streams.vector_matrix, 0), (streams.matrix_vector, 1)):
        make(module, real)
        assert module.globals[streams.BOTH.format(real)].initializer.constant == both
