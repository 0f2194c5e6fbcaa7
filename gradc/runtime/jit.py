"""Numba over a generated module: explicit signatures, one compilation for all sizes, machine code kept in the cache."""

from __future__ import annotations

import hashlib
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gradc.emit.blocks import LIMIT, with_blocks
from gradc.emit.llvm import SIZE, Operation
from gradc.emit.python import Module
from gradc.loops import For, Routine
from gradc.program import Input
from gradc.runtime import cache
from gradc.runtime.blocks import callable_block

FLAGS = frozenset({"reassoc", "contract"})
"""What LLVM may do: regroup sums, and fuse products into them. NaN, infinities and -0 stay what they are."""


def flags(routine: Routine) -> set[str]:
    """What LLVM may do to a routine. Without loops there is nothing to gain, and every result is what the text says."""
    return set(FLAGS) if any(isinstance(s, For) for s in routine.body) else set()


def load(text: str, name: str, file: Path) -> types.ModuleType:
    """A module's functions as plain Python, their code in `file`, for Numba's cache and for debuggers."""
    loaded = types.ModuleType(f"gradc_{name}")
    loaded.__file__ = str(file)
    sys.modules[loaded.__name__] = loaded  # where Numba looks for the module of a function it loads from its cache
    _run(text, loaded)
    return loaded


def _run(text: str, module: types.ModuleType) -> None:
    exec(compile(text, str(module.__file__), "exec"), module.__dict__)


def python(module: Module) -> dict[str, Callable[..., Any]]:
    """The entry points uncompiled, with IEEE results instead of warnings."""
    import numpy as np

    name = hashlib.sha256(module.text.encode()).hexdigest()[:32]
    loaded = load(module.body, name, cache.temporary(name, module.text))
    return {entry: np.errstate(all="ignore")(getattr(loaded, entry)) for entry in module.entries}


class Compiled:
    """The entry points of a module, each compiled, or loaded from the cache, when it is first called."""

    def __init__(self, module: Module, inputs: Sequence[Input], cached: bool, version: str, limit: int = LIMIT) -> None:
        self.module, self.inputs, self.cached, self.limit = module, inputs, cached, limit
        self.name = cache.digest([module.text, version, f"{limit} {SIZE}", *sorted(FLAGS)])

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

        routine = next(r for r in self.module.routines if r.name == name)
        options: dict[str, Any] = {"error_model": "numpy", "fastmath": flags(routine), "nogil": True}
        short, blocks = with_blocks(routine, self.limit)
        text = self.module.head + self.module.entry(short) if blocks else self.module.body
        loaded = load(text, self.name, self._file())
        jit = numba.njit(**options)
        for helper in self.module.functions:
            setattr(loaded, helper, jit(getattr(loaded, helper)))

        def operation(o: Operation) -> Any:
            _run(self.module.operation(o, "_operation"), loaded)
            return jit(loaded._operation)

        for block in blocks:
            setattr(loaded, block.name, callable_block(block, operation))
        signature = tuple(_type(i) for i in self.inputs)
        compiled: Callable[..., Any] = numba.njit(signature, cache=self.cached, **options)(getattr(loaded, name))
        return compiled


def _type(i: Input) -> Any:
    from numba import types as nb

    scalar = nb.int64 if i.type == "int" else nb.float64
    return nb.Array(scalar, len(i.shape), "C", readonly=True) if i.shape else scalar
