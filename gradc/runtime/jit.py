"""Numba over a generated module: explicit signatures, one compilation for all sizes, machine code kept in the cache."""

from __future__ import annotations

import hashlib
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gradc.emit.python import Module
from gradc.program import Input
from gradc.runtime import cache, vectors

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


class Compiled:
    """The entry points of a module, each compiled, or loaded from the cache, when it is first called."""

    def __init__(self, module: Module, inputs: Sequence[Input], cached: bool, fast: bool, version: str) -> None:
        """`fast`: with gradc's vector functions for NumPy's."""
        self.module, self.inputs, self.cached, self.fast = module, inputs, cached, fast
        self.name = cache.digest([module.text, version, *sorted(FLAGS), *(vectors.sources() if fast else ())])

    def entry(self, name: str) -> Callable[..., Any]:
        """One entry point. A damaged cache entry is rebuilt."""
        try:
            return self._compile(name)
        except Exception:  # whatever a damaged file makes Numba raise; what is wrong otherwise is raised again below
            if not self.cached:
                raise
            cache.remove(self.name)
            return self._compile(name)

    def _file(self) -> Path:
        """Where the text is kept; a temporary place if the cache cannot be written to."""
        if self.cached:
            try:
                return cache.entry(self.name, self.module.text)
            except OSError:
                self.cached = False
        return cache.temporary(self.name, self.module.text)

    def _compile(self, name: str) -> Callable[..., Any]:
        import numba

        file = self._file()
        loaded = load(self.module, self.name, file)
        jit = numba.njit(error_model="numpy", fastmath=set(FLAGS), nogil=True)
        for helper in self.module.functions:
            setattr(loaded, helper, jit(getattr(loaded, helper)))
        if self.fast:
            vectors.replace(vars(loaded), self.module.functions)
        signature = tuple(_type(i) for i in self.inputs)
        make = numba.njit(signature, error_model="numpy", fastmath=set(FLAGS), nogil=True, cache=self.cached)
        compiled: Callable[..., Any] = make(getattr(loaded, name))
        return compiled


def _type(i: Input) -> Any:
    from numba import types as nb

    scalar = nb.int64 if i.type == "int" else nb.float64
    return nb.Array(scalar, len(i.shape), "C", readonly=True) if i.shape else scalar
