"""The functions as Numba sees them: an LLVM function each, linked into the code that calls it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types as nb
from numba.extending import intrinsic

from gradc.runtime.vectors import circular, error, exponential, hyperbolic, logarithm, logistic
from gradc.runtime.vectors.values import DOUBLE, FLOAT, FLOAT32, FLOAT64, Arithmetic, Format, Real, has_few_registers

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
def fast(name: str, in_loops: bool) -> Any:
    """The function of one number for code that Numba compiles: float32 for float32, float64 for every other number.

    One for loops has its constants at hand; there what is done before them counts for nothing.
    """
    variables = in_loops and has_few_registers()

    def typed(typing_context: Any, x: Any) -> Any:
        if not isinstance(x, (nb.Float, nb.Integer, nb.Boolean)):
            return None
        return (nb.float32(nb.float32), single) if x == nb.float32 else (nb.float64(nb.float64), double)

    def double(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return call(name, context, builder, args[0], FLOAT64, variables)

    def single(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if name in SINGLE:
            return call(name, context, builder, args[0], FLOAT32, variables)
        wide = builder.fpext(args[0], DOUBLE)
        return builder.fptrunc(call(name, context, builder, wide, FLOAT64, variables), FLOAT)

    typed.__name__ = typed.__qualname__ = f"gradc_{name}"
    return intrinsic(typed)


def call(name: str, context: Any, builder: ir.IRBuilder, x: Any, format: Format, variables: bool) -> Any:
    """Writes a call for one number; the called function is linked into the library that Numba is making."""
    symbol = f"gradc_{name}" + ("_single" if format == FLOAT32 else "") + ("_in_loops" if variables else "")
    context.active_code_library.add_linking_library(_library(context, symbol, name, format, variables))
    kind = ir.FunctionType(format.real, [format.real])
    return builder.call(builder.module.globals.get(symbol) or ir.Function(builder.module, kind, symbol), [x])


_made: dict[str, Any] = {}
"""The libraries of this process. Numba lets only one thread at a time compile."""


def _library(context: Any, symbol: str, name: str, format: Format, variables: bool) -> Any:
    """The code of one function, apart from its callers', so that their flags do not become its own."""
    if symbol not in _made:
        library = context.codegen().create_library(symbol)
        module = library.create_ir_module(symbol)
        code = Arithmetic(module, symbol, format, variables)
        code.function.attributes.add("alwaysinline")
        code.ret(FUNCTIONS[name](Real(code, code.function.args[0], format)).value)
        library.add_ir_module(module)
        library.finalize()
        _made[symbol] = library
    return _made[symbol]
