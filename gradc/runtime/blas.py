"""The linear algebra library that compiled code calls: SciPy's BLAS, held to one thread, as sweeps have their own."""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NAMES = ("gradc_dgemm", "gradc_sgemm")

_lock = threading.Lock()
_inside = 0
_limits: Any = None


@functools.cache
def symbols() -> dict[str, int]:
    """Where compiled code finds what it calls: BLAS's products of matrices, as Fortran has them."""
    from scipy.linalg import cython_blas

    name, pointer = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    table: dict[str, Any] = dict(cython_blas.__pyx_capi__)
    capsules = {symbol: table[symbol.removeprefix("gradc_")] for symbol in NAMES}
    return {symbol: pointer(capsule, name(capsule)) for symbol, capsule in capsules.items()}


@functools.cache
def _controller() -> Any:
    import threadpoolctl

    symbols()  # the library has to be loaded to be found
    return threadpoolctl.ThreadpoolController().select(user_api="blas")


@contextmanager
def one_thread() -> Iterator[None]:
    """BLAS on one thread, for the whole process, while anybody is inside."""
    global _inside, _limits
    with _lock:
        _inside += 1
        if _inside == 1:
            _limits = _controller().limit(limits=1)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limits.restore_original_limits()
