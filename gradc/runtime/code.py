"""Machine code that is kept in the cache, and what surrounds its calls."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from msgspec import Struct

from gradc.runtime import blas, cache, objects, pool


class Code(Struct, frozen=True):
    """Where the machine code of a module is. `threads` is how many a call may use, None for as many as pay."""

    name: str
    has_matrices: bool
    threads: int | None

    def kept(self, entry: str) -> Callable[..., Any] | None:
        """An entry point from the object code in the cache, if there is any for it and this process can load it.

        Raises ValueError if it has been damaged.
        """
        data = cache.read(self.name, f"{entry}.o")
        try:
            return self.in_surroundings(objects.load(data, entry)) if data is not None else None
        except LookupError:
            return None

    def in_surroundings(self, entry: Callable[..., Any]) -> Callable[..., Any]:
        """The entry point with the threads it may have, its own and those of BLAS."""
        if self.has_matrices:
            entry = _within(lambda: blas.ONE_THREAD, entry)
        if self.threads is not None:
            entry = _within(functools.partial(pool.limited, self.threads), entry)
        return entry


def _within(surroundings: Callable[[], AbstractContextManager[None]], entry: Callable[..., Any]) -> Callable[..., Any]:
    def run(*values: Any) -> Any:
        with surroundings():
            return entry(*values)

    return run
