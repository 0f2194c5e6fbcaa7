"""How each library is asked for value and gradient: in its own array type, compiled if it can, without needless copies.

A loss is a function of the library and the inputs, `loss(jax, w, b, x, t)`, so that a library is imported only where it
is raced. The first `params` inputs are differentiated.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np

import gradc
from benchmarks.race import Built, Contestant, Run

Loss = Callable[..., Any]

compiled_by_numba = numba.njit(fastmath={"reassoc", "contract", "nsz", "arcp"}, error_model="numpy")
"""Loops by hand have leave to regroup sums, as gradc's have, and more."""


def hand(name: str, function: Callable[..., Any], *inputs: Any) -> Contestant:
    return Contestant(f"{name} by hand", lambda: Built(partial(function, *inputs)))


def gradc_alone(program: str, *inputs: Any, name: str = "gradc", threads: int | str = "auto") -> Contestant:
    """Compiled from the text: nothing is taken from the cache."""

    def build() -> Built:
        function = gradc.compile(program, threads=threads, cache=False)
        return Built(partial(function.value_and_grad, *inputs), partial(function, *inputs))

    return Contestant(name, build)


def gradc_threads(program: str, *inputs: Any) -> list[Contestant]:
    """With as many threads as it likes, and with one."""
    one = gradc_alone(program, *inputs, name="gradc, 1 thread", threads=1)
    return [gradc_alone(program, *inputs), one]


def jax(loss: Loss, params: int, *inputs: Any, rows: bool = False) -> Contestant:
    """`rows`: the loss is of one row, and is mapped over the inputs' first axis."""

    def build() -> Built:
        import jax

        jax.config.update("jax_enable_x64", True)
        gradient = jax.value_and_grad(partial(loss, jax), argnums=tuple(range(params)))
        compiled = jax.jit(jax.vmap(gradient) if rows else gradient)
        given = [jax.numpy.asarray(a) for a in inputs]
        return Built(lambda: jax.block_until_ready(compiled(*given)))

    return Contestant("JAX, vmap" if rows else "JAX", build, "jax")


def torch(loss: Loss, params: int, *inputs: Any, compiled: bool = False) -> Contestant:
    def build() -> Built:
        import torch

        tensors = [torch.tensor(np.asarray(a)) for a in inputs]
        wrt = [tensor.requires_grad_() for tensor in tensors[:params]]
        eager = partial(loss, torch)
        called = torch.compile(eager) if compiled else eager

        def run() -> Any:
            value = called(*tensors)
            return value.detach(), torch.autograd.grad(value, wrt)

        return Built(run)

    return Contestant("PyTorch, compiled" if compiled else "PyTorch", build, "torch")


def casadi(loss: Loss, x: Sequence[float], how: str) -> Contestant:
    """A function of one vector. `how`: "call", "buffer" (its virtual machine on memory we hold) or "C" (compiled)."""

    def build() -> Built:
        import casadi

        symbols = casadi.SX.sym("x", len(x))
        value = loss(casadi, symbols)
        function = casadi.Function("f", [symbols], [value, casadi.gradient(value, symbols)])
        if how == "call":
            return Built(partial(function, list(x)))
        return Built(_buffered(_in_c(function) if how == "C" else function, x))

    return Contestant(f"CasADi, {how}", build, "casadi")


def _buffered(function: Any, x: Sequence[float]) -> Run:
    buffer, evaluate = function.buffer()
    arrays: list[Any] = [np.array(x, dtype=float), np.zeros(1), np.zeros(len(x))]
    given, value, gradient = arrays
    buffer.set_arg(0, memoryview(given))
    buffer.set_res(0, memoryview(value))
    buffer.set_res(1, memoryview(gradient))

    def run(_: Any = (function, buffer)) -> Any:  # they live as long as `run`: `evaluate` does not hold them
        evaluate()
        return value[0], gradient

    return run


def _in_c(function: Any) -> Any:
    import casadi

    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise RuntimeError("no C compiler")
    with tempfile.TemporaryDirectory() as place:
        code = casadi.CodeGenerator("f.c")
        code.add(function)
        code.generate(f"{place}/")
        library = Path(place) / "f.so"
        source = str(library.with_suffix(".c"))
        subprocess.run([compiler, "-O2", "-fPIC", "-shared", source, "-o", str(library), "-lm"], check=True)
        return casadi.external("f", str(library))
