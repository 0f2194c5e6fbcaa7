"""Products in compiled code as their text groups them, where LLVM may regroup sums.

Of `(x*y)*x` it makes `(x*x)*y` otherwise, which is infinite, or NaN, for a large x, however small y is. The product of
an array it makes of as many products as a vector has places, and theirs may overflow where the whole does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def as_grouped() -> Iterator[None]:
    """Lets only sums be regrouped in what Numba compiles meanwhile. To be entered with its compiler lock held."""
    from numba.core.fastmathpass import FastFloatBinOpVisitor as Visitor

    before = Visitor.visit_Instruction

    def visit(self: Any, instruction: Any) -> None:
        every = self.flags
        if instruction.opname not in ("fadd", "fsub"):
            self.flags = every - {"reassoc"}
        before(self, instruction)
        self.flags = every

    Visitor.visit_Instruction = visit
    try:
        yield
    finally:
        Visitor.visit_Instruction = before
