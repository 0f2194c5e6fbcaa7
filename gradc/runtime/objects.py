"""Compiled entry points as object code that a later process loads with LLVM alone, without starting Numba.

Numba's object code is called through the wrapper that is in it. What it needs besides: the C helpers of Numba's
extension modules, which can be had without the package, and one environment a function, which holds dtypes.
"""

from __future__ import annotations

import builtins
import ctypes
import functools
import json
import pickle
import struct
import sys
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from gradc.runtime import blas, pool
from gradc.runtime.extensions import extension

SYMBOL = struct.Struct("<IBBHQQ")
"""An entry of an ELF symbol table: name, info, other, section, value, size."""


def loadable() -> bool:
    """Whether this system's object code is of the kind that is kept here: ELF."""
    from llvmlite import binding

    return bool(binding.get_object_format() == "ELF")


def dump(result: Any, apart: Sequence[bytes]) -> bytes | None:
    """A compile result of Numba's as bytes for `load`, with object code that was made apart.

    None if it cannot be loaded so: not ELF, or constants other than dtypes, or Numba has kept no object code, or keeps
    it elsewhere than the versions known here.
    """
    try:
        code: bytes = result.library._get_compiled_object()
        environments = {e.env_name: e.consts for e in (result.environment, *result._find_referenced_environments())}
        wrapper = result.fndesc.llvm_cpython_wrapper_name
    except (AttributeError, RuntimeError):
        return None
    dtypes = all(isinstance(c, np.dtype) for consts in environments.values() for c in consts)
    if result.reload_init or not dtypes or not code.startswith(b"\x7fELF\x02\x01"):
        return None
    codes = [code, *apart]
    defined, undefined = (set[str]().union(*names) for names in zip(*map(_symbols, codes), strict=True))
    head = {
        "sizes": [len(code) for code in codes],
        "wrapper": wrapper,
        "environment": result.environment.env_name,
        "environments": {name: [c.str for c in consts] for name, consts in environments.items()},
        "symbols": sorted(undefined - defined),
    }
    return b"".join([json.dumps(head).encode(), b"\n", *codes])


def load(data: bytes, name: str) -> Callable[..., Any]:
    """The function behind bytes of `dump`, under a name.

    Raises LookupError for symbols that this process has not got: LLVM would end the process.
    """
    from llvmlite import binding

    line, _, rest = data.partition(b"\n")
    head = json.loads(line)
    engine = _engine()  # makes the symbols of the process known
    missing = [s for s in head["symbols"] if not binding.address_of_symbol(s) and not _define(s)]
    if missing:
        raise LookupError(f"symbols {', '.join(missing)}")
    for end, size in zip(accumulate(head["sizes"]), head["sizes"], strict=True):
        engine.add_object_file(binding.ObjectFileRef.from_data(rest[end - size : end]))
    engine.finalize_object()
    dynfunc = extension("numba._dynfunc")
    environments = {}
    for variable, dtypes in head["environments"].items():
        environment = environments[variable] = dynfunc.Environment({})
        environment.consts.extend(map(np.dtype, dtypes))
        ctypes.c_void_p.from_address(engine.get_global_value_address(variable)).value = id(environment)
    address = engine.get_function_address(head["wrapper"])
    kept = (engine, *environments.values())
    function: Callable[..., Any] = dynfunc.make_function(
        sys.modules[__name__], name, "compiled", address, environments[head["environment"]], kept
    )
    return function


def _symbols(code: bytes) -> tuple[set[str], set[str]]:
    """Names of the symbols that an object file defines, and of those it takes from elsewhere."""
    from llvmlite import binding

    sections = {s.name(): s.data() for s in binding.ObjectFileRef.from_data(code).sections()}
    names = sections[b".strtab"]
    found: tuple[set[str], set[str]] = set(), set()
    for start, _, _, section, _, _ in SYMBOL.iter_unpack(sections[b".symtab"]):
        if start:
            found[not section].add(names[start : names.index(b"\0", start)].decode())
    return found


def _engine() -> Any:
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine(jit=True)
    return binding.create_mcjit_compiler(binding.parse_assembly(""), machine)


def _define(symbol: str) -> bool:
    """Tells LLVM where one of gradc's or Numba's helpers or Python's exceptions is; False if it is none of these."""
    from llvmlite import binding

    address = _own(symbol) or _helpers().get(symbol)
    if symbol.startswith("PyExc_"):
        address = id(getattr(builtins, symbol.removeprefix("PyExc_")))
    if address is not None:
        binding.add_symbol(symbol, address)
    return address is not None


def _own(symbol: str) -> int | None:
    from gradc.runtime import matrices, reuse  # with LLVM

    if symbol in blas.NAMES:
        return blas.symbols()[symbol]
    if symbol in (reuse.TAKE, reuse.PUT_BACK):
        return reuse.symbols()[symbol]
    bits = next((b for b, name in matrices.SYMBOLS.items() if name == symbol), None)
    return matrices.address(bits) if bits else pool.symbols().get(symbol)


@functools.cache
def _helpers() -> dict[str, int]:
    runtime = extension("numba.core.runtime._nrt_python")
    runtime.memsys_use_cpython_allocator()
    found = {name if name.startswith("_") else f"NRT_{name}": a for name, a in runtime.c_helpers.items()}
    found.update({f"numba_{name}": address for name, address in extension("numba._helperlib").c_helpers.items()})
    address = ctypes.cast(UNPICKLE, ctypes.c_void_p).value
    assert address is not None
    return found | {"_Py_NoneStruct": id(None), "numba_unpickle": address}


def _unpickle(address: int, size: int, checksum: int) -> Any:
    """What object code keeps as pickled constants: the array type, the exceptions it raises."""
    key = ctypes.string_at(checksum, 20)
    if key not in CONSTANTS:
        CONSTANTS[key] = pickle.loads(ctypes.string_at(address, size))
    return CONSTANTS[key]


UNPICKLE = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)(_unpickle)
CONSTANTS: dict[bytes, Any] = {}
"""Unpickled constants by their checksum; object code does not hold on to what it gets."""
