"""Numba over a generated module: explicit signatures, one compilation for all sizes, machine code kept in the cache."""

from __future__ import annotations

import ast
import functools
import importlib
import sys
import types
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from gradc.emit.blocks import LIMIT, with_blocks
from gradc.emit.llvm import Operation
from gradc.emit.python import Module
from gradc.loops import Routine
from gradc.program import Input
from gradc.runtime import cache, files, grouping, indexing, library, objects
from gradc.runtime.blocks import Apart, callable_block, optimised
from gradc.runtime.code import Code
from gradc.runtime.extensions import without_package
from gradc.runtime.wide import whole_vectors

FLAGS = frozenset({"reassoc", "contract"})
"""What LLVM may do: regroup sums, and fuse products into them. NaN, infinities and -0 stay what they are.

Products it may not regroup: `grouping.as_grouped`.
"""


def flags(routine: Routine) -> set[str]:
    """What LLVM may do to a routine. Without loops there is nothing to gain, and every result is what the text says."""
    return set(FLAGS) if routine.has_loops and not routine.exact else set()


def load(text: str | ast.Module, name: str, file: Path) -> types.ModuleType:
    """A module's functions as plain Python, their code in `file`, for Numba's cache and for debuggers."""
    loaded = types.ModuleType(f"gradc_{name}")
    loaded.__file__ = str(file)
    sys.modules[loaded.__name__] = loaded  # where Numba looks for the module of a function it loads from its cache
    _run(text, loaded)
    return loaded


def _run(text: str | ast.Module, module: types.ModuleType) -> None:
    exec(compile(text, str(module.__file__), "exec"), module.__dict__)


def python(module: Module) -> dict[str, Callable[..., Any]]:
    """The entry points uncompiled, with IEEE results instead of warnings, and Python's numbers as compiled code has."""
    import numpy as np

    def plain(result: Any) -> Any:
        if isinstance(result, tuple):
            return tuple(map(plain, result))
        return result.item() if isinstance(result, np.generic) else result

    def run(entry: Callable[..., Any], *values: Any) -> Any:
        with np.errstate(all="ignore"):
            return plain(entry(*values))

    name = cache.hashed([module.text])
    loaded = load(module.body, name, cache.temporary(name, module.text))
    return {entry: functools.partial(run, getattr(loaded, entry)) for entry in module.entries}


class Settings(Struct, frozen=True):
    """How a module is compiled: kept on disk or not, with gradc's elementary functions or the C library's.

    `threads` is how many a call may use, None for as many as pay. Runs of more than `limit` statements go into blocks.
    """

    cached: bool = True
    fast: bool = True
    threads: int | None = None
    limit: int = LIMIT


class Compiled:
    """The entry points of a module, each compiled, or loaded from the cache, when it is first called."""

    def __init__(self, module: Module, inputs: Sequence[Input], settings: Settings) -> None:
        self.module, self.inputs, self.settings = module, inputs, settings
        own = files.state()
        self.cached = settings.cached and own is not None
        self.name = cache.digest([module.key, f"{settings.limit} {settings.fast}", own or ""])
        has_matrices = any(r.has_matrices for r in module.routines)
        self.code = Code(self.name, has_matrices, settings.threads if module.kernels else None)

    def entry(self, name: str) -> Callable[..., Any]:
        """One entry point. A damaged cache entry is rebuilt."""
        try:
            found = self.code.kept(name) if self.cached else None
            return found or self.code.in_surroundings(self._compile(name))
        except Exception:  # whatever a damaged file makes Numba raise; what is wrong otherwise is raised again below
            if not self.cached:
                raise
            cache.remove(self.name)
            return self.code.in_surroundings(self._compile(name))

    def _file(self) -> Path:
        """Where the text is kept; a temporary place if the cache cannot be written to."""
        if self.cached:
            try:
                return cache.entry(self.name, self.module.text)
            except OSError:
                self.cached = False
        return cache.temporary(self.name, self.module.text)

    def _compile(self, name: str) -> Callable[..., Any]:
        """An entry point from Numba, or from Numba's own cache below the module; its object code is kept."""
        import numba

        from gradc.runtime import choices

        _start()
        routine = next(r for r in self.module.routines if r.name == name)
        options: dict[str, Any] = {"error_model": "numpy", "fastmath": flags(routine), "nogil": True}
        short, blocks = (routine, ()) if self.module.dtype == "float32" else with_blocks(routine, self.settings.limit)
        straight = not routine.has_loops  # there LLVM finds next to nothing to do better
        separate = blocks and straight and (objects.loadable() or not self.cached)
        apart = Apart(lambda: self.cached and self._file()) if separate else None
        jit = numba.njit(**options, no_cpython_wrapper=True, no_cfunc_wrapper=True)

        def loaded(module: Module, name: str, file: Path) -> types.ModuleType:
            text, functions = choices.both_arms(module.body, routine, self.inputs, module.dtype)
            made = load(text, name, file)
            library.put_in(vars(made), module, self.settings.fast, jit)
            vars(made).update(functions)
            return made

        def operation(o: Operation) -> Any:
            name = f"{self.name}_operation"
            return jit(loaded(self.module.operation(o), name, Path(name)).operation)

        module = self.module.only(short) if blocks else self.module
        entries = loaded(module, self.name, Path(self.name) if separate else self._file())
        library.declare(module)
        for block in blocks:
            setattr(entries, block.name, callable_block(block, straight, operation, apart))
        signature = tuple(_type(i, self.module.dtype) for i in self.inputs)
        level = optimised(0) if blocks and straight else nullcontext()
        with indexing.from_the_start(), grouping.as_grouped(), whole_vectors(), level:
            kept = self.cached and apart is None  # Numba would keep a part
            compiled: Any = numba.njit(signature, cache=kept, **options)(getattr(entries, name))
        if not hasattr(compiled, "overloads"):  # NUMBA_DISABLE_JIT is set
            return python(self.module)[name]
        (result,) = compiled.overloads.values()
        keeps = self.cached or apart is None
        data = objects.dump(result, apart.objects if apart else ()) if keeps else None
        if data is not None and self.cached:
            cache.write(self.name, f"{name}.o", data)
        entry: Callable[..., Any] = result.entry_point  # inputs have the types of the signature: nothing to dispatch
        if data is not None and apart is None:
            # Numba runs kernels as it compiled them apart, where LLVM may have fused otherwise than in what is kept
            with suppress(LookupError):
                entry = objects.load(data, name)
        return entry


@functools.cache
def _start() -> None:
    """Has Numba import what it compiles with: all but SciPy's linear algebra, of which it looks at one module."""
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.registry import cpu_target

    importlib.import_module("scipy")  # it tells the system where its libraries are, where that is needed
    with global_compiler_lock, without_package("scipy.linalg.cython_blas"):
        cpu_target.typing_context.refresh()
        cpu_target.target_context.refresh()


def _type(i: Input, dtype: str) -> Any:
    from numba import types as nb

    scalar = nb.int64 if i.type == "int" else getattr(nb, dtype)
    return nb.Array(scalar, len(i.shape), "C", readonly=True) if i.shape else scalar
