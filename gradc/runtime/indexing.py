"""Subscripts in compiled code without Numba's question whether they count from the end.

Generated code never counts from the end: `x[-1]` is written out as `x[n - 1]`. The question costs little, but LLVM can
seldom answer it for the rows of a tile, and then does not vectorise the loop: a factor of five.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def from_the_start() -> Iterator[None]:
    """Compiles subscripts as they are. Numba's compiler lock keeps everybody else's functions out meanwhile."""
    from numba.core import types
    from numba.core.compiler_lock import global_compiler_lock
    from numba.np import arrayobj

    def plain(context: Any, builder: Any, kind: Any, index: Any, size: Any) -> Any:
        return context.cast(builder, index, kind, types.intp)

    with global_compiler_lock:
        before = arrayobj.fix_integer_index
        arrayobj.fix_integer_index = plain
        try:
            yield
        finally:
            arrayobj.fix_integer_index = before
