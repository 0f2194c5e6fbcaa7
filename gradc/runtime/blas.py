"""The linear algebra library that compiled code calls: SciPy's BLAS, held to one thread, as sweeps have their own."""

from __future__ import annotations

import ctypes
import functools
import importlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradc.runtime.extensions import extension

PRODUCTS, SOLUTIONS = ("gemm", "trsm"), ("getrf", "getrs", "potrf")
NAMES = tuple(f"gradc_{number}{name}" for name in (*PRODUCTS, *SOLUTIONS) for number in "ds")


@functools.cache
def symbols() -> dict[str, int]:
    """Where compiled code finds what it calls: functions of BLAS and LAPACK, as Fortran has them."""
    name, pointer = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    importlib.import_module("scipy")  # it tells the system where its libraries are, where that is needed
    modules = (extension(f"scipy.linalg.cython_{library}") for library in ("blas", "lapack"))
    table: dict[str, Any] = {k: v for module in modules for k, v in module.__pyx_capi__.items()}
    capsules = {symbol: table[symbol.removeprefix("gradc_")] for symbol in NAMES}
    return {symbol: pointer(capsule, name(capsule)) for symbol, capsule in capsules.items()}


@functools.cache
def _libraries() -> list[Any]:
    """SciPy's, where it brings its own; NumPy's may go on with what threads it has."""
    import threadpoolctl

    symbols()  # the library has to be loaded to be found
    found: list[Any] = threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers
    return [library for library in found if "scipy" in str(Path(library.filepath).parent)] or found


def _set_threads(counts: Sequence[int]) -> None:
    """threadpoolctl heeds only the thread that was the first to set anything; here the lock keeps order instead."""
    for library, count in zip(_libraries(), counts, strict=True):
        getattr(library, "_real_set_num_threads", library.set_num_threads)(count)


class OneThread:
    """BLAS on one thread, for the whole process, while anybody is inside."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0
        self.before: list[int] = []

    def __enter__(self) -> None:
        with self.lock:
            if self.inside == 0:
                self.before = [library.get_num_threads() for library in _libraries()]
                _set_threads([1] * len(self.before))
            self.inside += 1

    def __exit__(self, *raised: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                _set_threads(self.before)


ONE_THREAD = OneThread()
