"""Loops that LLVM vectorises, in vectors as long as the processor has.

For Intel's it takes half of them unless told otherwise, since the first ones that had long vectors clocked down for
them. Exponentials of a million numbers there: 1.03 ms in half vectors, 0.65 in whole ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def whole_vectors() -> Iterator[None]:
    """Prefers whole vectors in what Numba compiles meanwhile. To be entered with Numba's compiler lock held."""
    from numba.core.base import BaseContext

    from gradc.runtime.lanes import register

    before: Any = BaseContext.declare_function
    width = f'"prefer-vector-width"="{8 * register()}"'

    def declared(self: Any, module: Any, description: Any) -> Any:
        function = before(self, module, description)
        set.add(function.attributes, width)  # llvmlite writes any attribute, but takes only those it has heard of
        return function

    if register():
        BaseContext.declare_function = declared
    try:
        yield
    finally:
        BaseContext.declare_function = before
