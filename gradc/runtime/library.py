"""What compiled modules call, where the runtime has its own way with it: elementary functions, products, sweeps."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import numpy as np

from gradc.emit.python import Module
from gradc.linear import REFERENCE
from gradc.runtime import vectors


def put_in(namespace: dict[str, Any], module: Module, fast: bool, jit: Callable[[Any], Any]) -> None:
    """Makes the globals of a loaded module what compiled code is to call; `jit` compiles its own functions.

    Helpers have globals of their own: LLVM puts a function into a loop if it is short, and constants at hand, as
    functions have them for loops, count as instructions.
    """
    own, in_loops, outside = _own(module), any(r.has_loops for r in module.routines), dict(namespace)
    for names, constants_at_hand in ((namespace, in_loops), (outside, False)):
        if fast:
            vectors.replace(names, module.helpers, constants_at_hand)
        for name, value in names.items():
            if value in (np.empty, np.zeros, np.maximum, np.minimum):
                names[name] = own[value.__name__]
    for name, function in module.helpers.items():
        found = namespace[name]
        if function in own:
            namespace[name] = outside[name] = own[function]
        elif isinstance(found, types.FunctionType):
            helper = types.FunctionType(found.__code__, outside, found.__name__, found.__defaults__)
            namespace[name] = outside[name] = jit(helper)
    for name in module.kernels:
        namespace[name] = own["kernel"](jit(namespace[name]))


def declare(module: Module) -> None:
    """Tells LLVM what a module calls in gradc's own machine code: what Numba has in its cache calls it too."""
    from gradc.runtime import reuse

    matrices = any(r.has_matrices for r in module.routines)
    if matrices:
        from gradc.runtime import products

        for bits in (64, 32) if module.dtype == "float32" else (64,):
            products.declare(bits)
    if matrices or any(name in module.body for name in ("empty(", "zeros(")):
        reuse.declare()


def _own(module: Module) -> dict[str, Any]:
    from gradc.runtime import extremes, storage

    found: dict[str, Any] = storage.OWN | extremes.OWN
    if module.kernels:
        from gradc.runtime import sweeps

        found.update(sweeps.OWN, kernel=sweeps.Kernel)
    if not {"multiply", "multiply_add"}.isdisjoint(module.helpers.values()):
        from gradc.runtime import products

        found.update(products.OWN)
    if not REFERENCE.keys().isdisjoint(module.helpers.values()):
        from gradc.runtime import algebra

        found.update(algebra.OWN)
    return found
