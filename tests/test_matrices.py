"""Products of matrices in gradc's own machine code, against NumPy: layouts, remainders, and nothing else touched."""

from __future__ import annotations

import ctypes
import functools
import itertools
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layouts import at_the_end, by_rows, transposed
from llvmlite import binding

from gradc.runtime import lanes, matrices, narrow, panels
from gradc.runtime.native import engine, object_code

WORD = ctypes.c_int64
LONG = 512
"""More than enough for an axis to be long, whatever the vectors."""
Place = Callable[[Any], Any]


@functools.cache
def compiled(dtype: str) -> Callable[[Any, Any, Any, bool], bool]:
    """`C = A B`, or `C += A B`, by strides; whether it was done."""
    size = np.dtype(dtype).itemsize
    return called(matrices.address(8 * size), size)


def called(address: int, size: int) -> Callable[[Any, Any, Any, bool], bool]:
    kind = ctypes.CFUNCTYPE(
        ctypes.c_bool, *(ctypes.c_void_p, WORD, WORD) * 2, ctypes.c_void_p, *[WORD] * 4, ctypes.c_bool
    )
    function = kind(address)

    def run(a: Any, b: Any, c: Any, add: bool) -> bool:
        strides = [tuple(s // size for s in x.strides) for x in (a, b, c)]
        assert strides[2][1] == 1
        return bool(
            function(a.ctypes.data, *strides[0], b.ctypes.data, *strides[1], c.ctypes.data, strides[2][0],
                     *c.shape, len(b), add)
        )  # fmt: skip

    return run


def inside(a: Any) -> Any:
    """With other numbers around it on all sides."""
    around = np.full((a.shape[0] + 2, a.shape[1] + 3), np.nan, a.dtype)
    around[1:-1, 1:-2] = a
    return around[1:-1, 1:-2]


def inside_transposed(a: Any) -> Any:
    return inside(a.T).T


LAYOUTS = (by_rows, transposed, inside, inside_transposed)
DTYPES = ("float64", "float32")


def check(run: Any, a: Any, b: Any, target: Place, add: bool) -> bool:
    before = np.full((len(a), b.shape[1]), 7.0 if add else np.nan, a.dtype)
    out = target(before)
    done: bool = run(a, b, out, add)
    if not done:
        assert np.array_equal(out, before, equal_nan=True)
        return False
    exact, size = a.astype(float) @ b.astype(float), np.abs(a).astype(float) @ np.abs(b).astype(float)
    limit = 4 * np.finfo(a.dtype).eps * (np.sqrt(len(b)) * size + 7.0)
    assert (np.abs(out - exact - (7.0 if add else 0.0)) <= limit).all(), (a.shape, b.shape, a.strides, b.strides)
    if target is inside:
        around = out.base.copy()
        around[1:-1, 1:-2] = np.nan
        assert np.isnan(around).all()
    return True


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_layout_and_every_remainder(dtype: str) -> None:
    run, rng = compiled(dtype), np.random.default_rng(0)
    short, long = (1, 2, 3, 4, 5, 6, 7, 11, 32), (LONG, LONG + 1, LONG + 7, LONG + 30)
    cases = [(m, n, k) for m, n in itertools.product(short, (1, 2, 3, 5, 9)) for k in long]
    cases += [(m, n, k) for m, k in itertools.product(short, (1, 2, 129, 260)) for n in long]
    cases += [(n, m, k) for m, n, k in cases[::5]]
    cases += [(3, 4, 1024), (3, 4, 1025), (7, 600, 2100), (7, 5, 2100)]
    used = 0
    for m, n, k in cases:
        a, b = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
        left, right = (LAYOUTS[i] for i in rng.integers(len(LAYOUTS), size=2))
        used += check(run, left(a), right(b), (by_rows, inside)[rng.integers(2)], bool(rng.integers(2)))
    if lanes.register():
        assert used > len(cases) // 4


VECTORS = pytest.mark.skipif(not lanes.register(), reason="this processor has too few vector registers")
WIDE = 48
"""As many columns as a panel of numbers in float32 has."""


@VECTORS
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("left", "right", "shape"),
    [
        (by_rows, transposed, (3, 7, LONG)),
        (transposed, transposed, (3, 7, LONG)),
        (by_rows, by_rows, (3, LONG, 7)),
        (transposed, by_rows, (3, LONG, 7)),
        (by_rows, by_rows, (LONG, 3, LONG)),
        (transposed, transposed, (LONG, 3, 7)),
        (transposed, by_rows, (LONG, 3, 7)),
    ],
)
def test_products_that_are_done_in_registers(
    dtype: str, left: Place, right: Place, shape: tuple[int, int, int]
) -> None:
    run, rng = compiled(dtype), np.random.default_rng(0)
    m, n, k = shape
    a, b = left(rng.normal(size=(m, k)).astype(dtype)), right(rng.normal(size=(k, n)).astype(dtype))
    assert check(run, a, b, inside, False)
    assert check(run, a, b, inside, True)


PANELS = [
    *((m, WIDE, 1100) for m in range(33, 42)),
    *((67, n, 500) for n in range(WIDE, WIDE + 50, 7)),
    *((90, 90, k) for k in range(130, 150)),
    (64, 1024, 16),
    (1030, 64, 35),
    (64, 64, 2 * LONG + 3),
    (256, 300, 300),
]


@VECTORS
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("left", "right"), list(itertools.product(LAYOUTS, repeat=2)))
def test_products_by_panels(dtype: str, left: Place, right: Place) -> None:
    """Every remainder of rows and columns; sums and rows of A in one part and in several."""
    run, rng = compiled(dtype), np.random.default_rng(0)
    for m, n, k in PANELS:
        a, b = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
        for add in (False, True):
            assert check(run, left(a), right(b), inside, add) is (m * n * k >= panels.LARGE), (m, n, k)


@VECTORS
@pytest.mark.parametrize("bits", [64, 32])
@pytest.mark.parametrize("width", [32, 64])
def test_products_with_vectors_of_other_processors(monkeypatch: pytest.MonkeyPatch, bits: int, width: int) -> None:
    """LLVM makes two vectors of one that is too long."""
    for module in (lanes, narrow, panels, matrices):
        monkeypatch.setattr(module, "register", lambda: width)
    made = engine(object_code(matrices.text(bits)))
    run = called(made.get_function_address(matrices.SYMBOLS[bits]), bits // 8)
    dtype, rng, few = f"float{bits}", np.random.default_rng(0), [(7, 3, LONG + 3), (7, 2 * LONG + 3, 67), (LONG, 5, 9)]
    for (m, n, k), left, right in itertools.product((*PANELS, *few), (by_rows, transposed), (by_rows, transposed)):
        a, b = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
        done = check(run, left(a), right(b), inside, True)
        assert done is (m * n * k >= panels.LARGE) or min(m, n) <= narrow.MOST, (m, n, k)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads the names of x86's registers")
@pytest.mark.parametrize("bits", [64, 32])
@pytest.mark.parametrize(("width", "processor"), [(32, "haswell"), (64, "skylake-avx512")])
def test_sums_of_blocks_stay_in_registers(
    monkeypatch: pytest.MonkeyPatch, bits: int, width: int, processor: str
) -> None:
    """LLVM holds on to more than there is room for when the order of a turn lets it: sums go by way of memory then."""
    for module in (lanes, narrow, panels, matrices):
        monkeypatch.setattr(module, "register", lambda: width)
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine(cpu=processor)
    lines = machine.emit_assembly(binding.parse_assembly(matrices.text(bits))).splitlines()
    whole = narrow.ROWS * narrow.columns()
    for function, multiplications in (
        (f"block_of_{panels.VECTORS}", panels.TURNS * panels.rows() * panels.VECTORS),
        ("block_of_dots", lanes.LINE // width * whole),
        ("block_of_sums", narrow.TURNS * whole),
    ):
        code = lines[lines.index(f"{function}:") :]
        code = code[: next(k for k, line in enumerate(code) if "cfi_endproc" in line)]
        blocks = [list(block) for label, block in itertools.groupby(code, lambda line: line.endswith(":")) if not label]
        loop = max(blocks, key=lambda block: sum("vfmadd" in line for line in block))
        assert sum("vfmadd" in line for line in loop) == multiplications
        assert not [line for line in loop if "mm" in line and "rsp)" in line], function


@VECTORS
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("right", [by_rows, transposed])
def test_the_bits_of_an_element_depend_on_its_row_and_its_column_alone(dtype: str, right: Place) -> None:
    run, rng = compiled(dtype), np.random.default_rng(0)
    a, b = rng.normal(size=(83, 1030)).astype(dtype), right(rng.normal(size=(1030, 190)).astype(dtype))
    whole, part = np.empty((83, 190), dtype), np.empty((41, 120), dtype)
    assert run(a, b, whole, False)
    assert run(a[37:78], b[:, 29:149], part, False)
    assert np.array_equal(whole[37:78, 29:149], part)


@VECTORS
def test_numbers_that_are_not_finite_stay_in_their_rows_and_columns() -> None:
    run, rng = compiled("float64"), np.random.default_rng(0)
    a, b = rng.normal(size=(83, 300)), rng.normal(size=(300, 100))
    a[82, 7], b[3, 99], out = np.nan, np.inf, np.full((83, 100), np.nan)
    assert run(a, b, out, False)
    assert np.isfinite(out[:82, :99]).all()
    assert np.isnan(out[82]).all()
    assert np.isinf(out[:82, 99]).all()


@VECTORS
@pytest.mark.parametrize("enough", [True, False])
def test_memory_for_copies_is_given_back_and_need_not_be_there(enough: bool) -> None:
    library = ctypes.CDLL(None) if os.name == "posix" else ctypes.CDLL("ucrtbase")
    library.malloc.restype, library.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    given: list[int | None] = []
    taken: list[int] = []

    @ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t)
    def malloc(size: int) -> int | None:
        given.append(library.malloc(ctypes.c_size_t(size)) if enough else None)
        return given[-1]

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    def free(memory: int) -> None:
        taken.append(memory)
        library.free(memory)

    text = matrices.text(64)
    for name, function in (("malloc", malloc), ("free", free)):
        text = text.replace(f'@"{name}"', f'@"counted_{name}_{enough}"')
        binding.add_symbol(f"counted_{name}_{enough}", ctypes.cast(function, ctypes.c_void_p).value)
    made = engine(object_code(text))
    run = called(made.get_function_address(matrices.SYMBOLS[64]), 8)
    for m, n, k in [(90, 90, 140), (3, LONG, 67), (3, 7, LONG)]:
        assert check(run, np.ones((m, k)), np.ones((k, n)), by_rows, True) is enough
    assert len(given) == 3
    assert taken == (given if enough else [])


SMALL_STACK = """
import threading
import numpy as np
from test_matrices import compiled

run, done = compiled("float64"), []
factor = np.ones((128, 1000))

def work():
    out = np.zeros((128, 128))
    assert run(factor, factor.T, out, False)
    done.append(out)
    out = np.zeros((30, 128))
    assert run(np.ones((1000, 30)).T, factor.T, out, False)
    done.append(out)

threading.stack_size(96 * 1024)
thread = threading.Thread(target=work)
thread.start()
thread.join()
assert all((out == 1000.0).all() for out in done)
assert len(done) == 2
"""


@VECTORS
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the least size of a stack may be another")
def test_products_need_little_of_the_stack() -> None:
    """In a process of its own: beyond the stack's end it might write to anything."""
    subprocess.run([sys.executable, "-c", SMALL_STACK], check=True, cwd=Path(__file__).parent)


@pytest.mark.parametrize(("m", "n", "k"), [(33, 33, LONG), (3, 5, 8), (3, LONG, 0), (2000, 2000, 4), (300, 300, 300)])
def test_other_products_are_left_to_others(m: int, n: int, k: int) -> None:
    run = compiled("float64")
    c = np.full((m, n), np.nan)
    assert not run(np.ones((m, k + 1))[:, :k], np.ones((k + 1, n))[:k], c, False)
    assert np.isnan(c).all()


def test_a_factor_with_gaps_along_both_axes_is_left_to_others() -> None:
    run, c = compiled("float64"), np.full((90, 90), np.nan)
    gaps = np.ones((180, 400))[::2, ::2]
    assert not run(gaps, np.ones((200, 90)), c, False)
    assert not run(np.ones((90, 200)), gaps.T, c, False)
    assert np.isnan(c).all()


@pytest.mark.skipif(os.name != "posix", reason="asks the system to forbid memory")
@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_beyond_the_arrays_is_read(dtype: str) -> None:
    """The arrays end where memory is forbidden: one number further would end the process."""
    run, rng = compiled(dtype), np.random.default_rng(0)
    for m, n, k in [(5, 9, LONG + 3), (4, LONG + 3, 9), (LONG + 5, 3, LONG + 1), (LONG + 7, 6, 130), (67, 150, 131)]:
        a, b = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
        for left, right in itertools.product((by_rows, transposed), repeat=2):
            check(run, at_the_end(left(a)), at_the_end(right(b)), at_the_end, True)
