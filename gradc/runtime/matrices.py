"""Products of two matrices in machine code of gradc's own, where that is faster than BLAS: `narrow` and `panels`."""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir

from gradc.runtime import narrow, panels
from gradc.runtime.lanes import Lanes, register
from gradc.runtime.native import BOOL, WORD, kept

SYMBOLS = {64: "gradc_matrices_d", 32: "gradc_matrices_s"}
"""`bool matrices(a, a0, a1, b, b0, b1, c, c0, m, n, k, add)` by the bits of a number: C = A B, added to C or not.

Strides are in numbers, those of C's columns 1. False, and nothing done, if neither way pays for such a product.
"""
FILES = ("lanes.py", "matrices.py", "narrow.py", "panels.py", "registers.py")


def address(bits: int) -> int:
    """Where the function of `SYMBOLS` is."""
    found: int = _engine(bits).get_function_address(SYMBOLS[bits])
    return found


@functools.cache
def _engine(bits: int) -> Any:
    return kept(SYMBOLS[bits], FILES, lambda: text(bits))


def text(bits: int) -> str:
    """The function, and all that it calls, as LLVM has it."""
    module = ir.Module(SYMBOLS[bits])
    real = ir.DoubleType() if bits == 64 else ir.FloatType()
    pointer = real.as_pointer()
    code = Lanes(module, SYMBOLS[bits], real, BOOL, *(pointer, WORD, WORD) * 2, pointer, WORD, WORD, WORD, WORD, BOOL)
    if register():
        narrow.write(module, real)
        panels.write(module, real)
        _choose(code)
    code.ret(BOOL(0))
    return str(module)


def _choose(code: Lanes) -> None:
    """Narrow products as they are, or as the transposed product of the transposed factors; what is left by panels."""
    a, a0, a1, b, b0, b1, c, c0, m, n, k, add = code.function.args
    one = WORD(1)
    for x, x0, x1, y, y0, y1, z0, z1, rows, length in (
        (a, a0, a1, b, b0, b1, c0, one, m, n),
        (b, b1, b0, a, a1, a0, one, c0, n, m),
    ):
        for name, stride, apart, long in (("dots", y0, y1, k), ("sums", y1, y0, length)):
            with code.if_then(narrow.pays(code, rows, k, stride, long)):
                given = [x, x0, x1, y, apart, c, z0, z1, rows, length, k, add]
                code.ret(code.call(code.module.get_global(name), given))
    with code.if_then(panels.pays(code, a0, a1, b0, b1, m, n, k)):
        code.ret(code.call(code.module.get_global("panels"), code.function.args))
