"""The functions as Numba sees them: an LLVM function each, linked into the code that calls it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types as nb
from numba.extending import intrinsic

from gradc.runtime.vectors import circular, error, exponential, hyperbolic, logarithm, logistic
from gradc.runtime.vectors.values import DOUBLE, Real

FUNCTIONS: dict[str, Callable[[Real], Real]] = {
    f.__name__: f
    for f in (
        *(exponential.exp, exponential.exp2, exponential.expm1),
        *(logarithm.log, logarithm.log2, logarithm.log10, logarithm.log1p),
        *(logistic.sigmoid, logistic.softplus, logistic.log_sigmoid),
        *(hyperbolic.sinh, hyperbolic.cosh, hyperbolic.tanh),
        *(circular.sin, circular.cos, circular.tan, circular.arctan),
        *(error.erf, error.erfc),
    )
}
"""By the names that generated modules use."""


@functools.cache
def fast(name: str) -> Any:
    """The function of one number for code that Numba compiles: float32 for float32, float64 for every other number."""

    def typed(typing_context: Any, x: Any) -> Any:
        if not isinstance(x, (nb.Float, nb.Integer, nb.Boolean)):
            return None
        kind = nb.float32 if x == nb.float32 else nb.float64
        return kind(kind), functools.partial(_call, name, single=x == nb.float32)

    typed.__name__ = typed.__qualname__ = f"gradc_{name}"
    return intrinsic(typed)


def _call(name: str, context: Any, builder: Any, signature: Any, args: Any, *, single: bool) -> Any:
    """Writes a call; the called function is linked into the library that is being made."""
    symbol = f"gradc_{name}"
    context.active_code_library.add_linking_library(_library(context, name, symbol))
    function = _declared(builder.module, symbol)
    if not single:
        return builder.call(function, args)
    wide = builder.fpext(args[0], DOUBLE)
    return builder.fptrunc(builder.call(function, [wide]), ir.FloatType())


def _declared(module: ir.Module, symbol: str) -> Any:
    return module.globals.get(symbol) or ir.Function(module, ir.FunctionType(DOUBLE, [DOUBLE]), symbol)


_made: dict[str, Any] = {}


def _library(context: Any, name: str, symbol: str) -> Any:
    """The machine-independent code of one function, made once a process."""
    if symbol not in _made:
        library = context.codegen().create_library(symbol)
        module = library.create_ir_module(symbol)
        function = _declared(module, symbol)
        function.attributes.add("alwaysinline")
        builder = ir.IRBuilder(function.append_basic_block())
        builder.ret(FUNCTIONS[name](Real(builder, function.args[0])).value)
        library.add_ir_module(module)
        library.finalize()
        _made[symbol] = library
    return _made[symbol]
