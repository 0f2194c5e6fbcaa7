"""`maximum` and `minimum` in compiled code as single instructions, which LLVM vectorises, sums over rows included.

As NumPy's: NaN if either is NaN.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def _made(name: str) -> Any:
    def typed(typing, a, b):  # type: ignore[no-untyped-def]
        if not all(isinstance(t, types.Float | types.Integer) for t in (a, b)):
            return None
        number = types.float32 if a == b == types.float32 else types.float64

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            real = context.get_value_type(number)
            kind = ir.FunctionType(real, [real, real])
            return builder.call(builder.module.declare_intrinsic(f"llvm.{name}", [real], kind), values)

        return number(number, number), codegen

    typed.__name__ = typed.__qualname__ = f"gradc_{name}"
    return intrinsic(typed)


OWN = {"maximum": _made("maximum"), "minimum": _made("minimum")}
"""By the names that generated modules use."""
