"""The functions as Numba sees them: an LLVM function each, linked into the code that calls it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types as nb
from numba.extending import intrinsic

from gradc.runtime.vectors import circular, error, exponential, hyperbolic, logarithm, logistic
from gradc.runtime.vectors.values import DOUBLE, FLOAT, FLOAT32, FLOAT64, Format, Real

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

SINGLE = frozenset({"exp", "expm1", "log", "log1p", "sigmoid", "softplus", "log_sigmoid", "tanh"})
"""Those that have a form in float32; of a float32 the others are computed in float64."""


@functools.cache
def fast(name: str) -> Any:
    """The function of one number for code that Numba compiles: float32 for float32, float64 for every other number."""

    def typed(typing_context: Any, x: Any) -> Any:
        if not isinstance(x, (nb.Float, nb.Integer, nb.Boolean)):
            return None
        return (nb.float32(nb.float32), single) if x == nb.float32 else (nb.float64(nb.float64), double)

    def double(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return call(name, context, builder, args[0])

    def single(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if name in SINGLE:
            return call(name, context, builder, args[0], FLOAT32)
        wide = builder.fpext(args[0], DOUBLE)
        return builder.fptrunc(call(name, context, builder, wide), FLOAT)

    typed.__name__ = typed.__qualname__ = f"gradc_{name}"
    return intrinsic(typed)


def call(name: str, context: Any, builder: ir.IRBuilder, x: Any, format: Format = FLOAT64) -> Any:
    """Writes a call for one number; the called function is linked into the library that Numba is making."""
    context.active_code_library.add_linking_library(_library(context, name, format))
    return builder.call(_declared(builder.module, name, format), [x])


def _symbol(name: str, format: Format) -> str:
    return f"gradc_{name}" if format == FLOAT64 else f"gradc_{name}_single"


def _declared(module: ir.Module, name: str, format: Format) -> Any:
    symbol, kind = _symbol(name, format), format.real
    return module.globals.get(symbol) or ir.Function(module, ir.FunctionType(kind, [kind]), symbol)


_made: dict[str, Any] = {}
"""The libraries of this process. Numba lets only one thread at a time compile."""


def _library(context: Any, name: str, format: Format) -> Any:
    """The code of one function, apart from its callers', so that their flags do not become its own."""
    symbol = _symbol(name, format)
    if symbol not in _made:
        library = context.codegen().create_library(symbol)
        module = library.create_ir_module(symbol)
        function = _declared(module, name, format)
        function.attributes.add("alwaysinline")
        builder = ir.IRBuilder(function.append_basic_block())
        builder.ret(FUNCTIONS[name](Real(builder, function.args[0], format)).value)
        library.add_ir_module(module)
        library.finalize()
        _made[symbol] = library
    return _made[symbol]
