"""Numba over a generated module: explicit signatures, one compilation for all sizes, machine code kept in the cache."""

from __future__ import annotations

import functools
import hashlib
import sys
import types
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradc.emit.module import Module
from gradc.program import Input
from gradc.runtime import blas, cache, indexing, library, objects, pool

FLAGS = frozenset({"reassoc", "contract"})
"""What LLVM may do: regroup sums, and fuse products into them. NaN, infinities and -0 stay what they are."""


def load(module: Module, name: str, file: Path) -> types.ModuleType:
    """The module's functions as plain Python, their code in `file`, for Numba's cache and for debuggers."""
    loaded = types.ModuleType(f"gradc_{name}")
    loaded.__file__ = str(file)
    sys.modules[loaded.__name__] = loaded  # where Numba looks for the module of a function it loads from its cache
    exec(compile(module.body, str(file), "exec"), loaded.__dict__)
    return loaded


def python(module: Module) -> dict[str, Callable[..., Any]]:
    """The entry points uncompiled, with IEEE results instead of warnings."""
    import numpy as np

    name = hashlib.sha256(module.text.encode()).hexdigest()[:32]
    loaded = load(module, name, cache.temporary(name, module.text))
    return {entry: np.errstate(all="ignore")(getattr(loaded, entry)) for entry in module.entries}


@dataclass(frozen=True)
class Settings:
    """How a module is compiled: kept on disk or not, with gradc's elementary functions or the C library's.

    `threads` is how many a call may use, None for as many as pay.
    """

    cached: bool = True
    fast: bool = True
    threads: int | None = None


class Compiled:
    """The entry points of a module, each compiled, or loaded from the cache, when it is first called."""

    def __init__(self, module: Module, inputs: Sequence[Input], settings: Settings, version: str) -> None:
        self.module, self.inputs, self.settings, self.cached = module, inputs, settings, settings.cached
        own = library.sources(settings.fast)
        self.name = cache.digest([module.key, version, *sorted(FLAGS), *own])

    def entry(self, name: str) -> Callable[..., Any]:
        """One entry point. A damaged cache entry is rebuilt."""
        try:
            return self._in_surroundings(self._loaded(name) or self._compile(name))
        except Exception:  # whatever a damaged file makes Numba raise; what is wrong otherwise is raised again below
            if not self.cached:
                raise
            cache.remove(self.name)
            return self._in_surroundings(self._compile(name))

    def _in_surroundings(self, entry: Callable[..., Any]) -> Callable[..., Any]:
        """The entry point with the threads it may have, its own and those of BLAS."""
        if library.multiplies(self.module):
            entry = _within(blas.one_thread, entry)
        if self.module.kernels and self.settings.threads is not None:
            entry = _within(functools.partial(pool.limited, self.settings.threads), entry)
        return entry

    def _file(self) -> Path:
        """Where the text is kept; a temporary place if the cache cannot be written to."""
        if self.cached:
            try:
                return cache.entry(self.name, self.module.text)
            except OSError:
                self.cached = False
        return cache.temporary(self.name, self.module.text)

    def _loaded(self, name: str) -> Callable[..., Any] | None:
        """An entry point from the object code in the cache, if there is any for it and this process can load it."""
        data = cache.read(self.name, name) if self.cached else None
        try:
            return objects.load(data, name) if data is not None else None
        except LookupError:
            return None

    def _compile(self, name: str) -> Callable[..., Any]:
        """An entry point from Numba, or from Numba's own cache below the module; its object code is kept."""
        import numba

        file = self._file()
        loaded = load(self.module, self.name, file)
        jit = numba.njit(error_model="numpy", fastmath=set(FLAGS), nogil=True)
        library.put_in(vars(loaded), self.module, self.settings.fast, jit)
        signature = tuple(_type(i, self.module.dtype) for i in self.inputs)
        make = numba.njit(signature, error_model="numpy", fastmath=set(FLAGS), nogil=True, cache=self.cached)
        with indexing.from_the_start():
            compiled: Any = make(getattr(loaded, name))
        if not hasattr(compiled, "overloads"):  # NUMBA_DISABLE_JIT is set
            return python(self.module)[name]
        (result,) = compiled.overloads.values()
        data = objects.dump(result) if self.cached else None
        if data is not None:
            cache.write(self.name, name, data)
        entry: Callable[..., Any] = result.entry_point  # inputs have the types of the signature: nothing to dispatch
        return entry


def _within(surroundings: Callable[[], AbstractContextManager[None]], entry: Callable[..., Any]) -> Callable[..., Any]:
    def run(*values: Any) -> Any:
        with surroundings():
            return entry(*values)

    return run


def _type(i: Input, dtype: str) -> Any:
    from numba import types as nb

    scalar = nb.int64 if i.type == "int" else getattr(nb, dtype)
    return nb.Array(scalar, len(i.shape), "C", readonly=True) if i.shape else scalar
