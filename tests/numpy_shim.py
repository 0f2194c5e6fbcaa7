"""The language run by CPython over NumPy: an oracle that shares nothing with the package.

A program's syntax tree is rewritten where Python's meaning differs from the language's (`shim_operators`), and executed
(`shim_statements`) with the functions of `shim_scalars` and `shim_arrays`. Inputs may be complex: then the imaginary
parts are a tangent times a tiny step, and that of the result is its derivative (every function is holomorphic where
smooth, and decides by real parts). At kinks the derivative is the one of the contract.
"""

from __future__ import annotations

import ast
import builtins
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from types import CodeType
from typing import Any
from unittest.mock import patch

import numpy as np
import shim_statements as statements
from shim_arrays import ARRAYS
from shim_operators import OPERATORS, Rewriter, UnknowableError
from shim_scalars import SCALARS
from shim_statements import STEP

__all__ = ["FUNCTIONS", "UnknowableError", "directional", "is_close_call", "run"]


def run(text: str, inputs: Mapping[str, Any], dims: Mapping[str, int], settled: list[Any] | None = None) -> Any:
    """The result of a program.

    `settled`, from an earlier run, holds what its comparisons and `stop_gradient`s gave, in order, and they give that
    again; an empty list is filled.
    """
    names: dict[str, Any] = {**FUNCTIONS, **dims}
    names |= {k: v.copy() if isinstance(v, np.ndarray) else _number(v) for k, v in inputs.items()}
    settle = Settled([] if settled is None else settled)
    names["stop_gradient"] = settle
    names["compare_"] = lambda *args: settle.decided(FUNCTIONS["compare_"](*args))
    names[statements.SETTLED] = settle
    with np.errstate(all="ignore"):
        return statements.run(_body(text), names, _evaluated)


def is_close_call(text: str, inputs: Mapping[str, Any], dims: Mapping[str, int]) -> bool:
    """Whether a comparison on the way to the result is decided by rounding: the sum of a softmax below 1, say."""
    compare, close = FUNCTIONS["compare_"], False

    def watched(name: str, a: Any, b: Any) -> Any:
        nonlocal close
        size = np.maximum(np.abs(np.real(a)), np.abs(np.real(b)))
        close |= bool(np.any(np.abs(np.real(a) - np.real(b)) <= 1e-12 * size + 1e-14))
        return compare(name, a, b)

    with patch.dict(FUNCTIONS, {"compare_": watched}):
        run(text, inputs, dims)
    return close


@lru_cache(10_000)
def _body(text: str) -> list[ast.stmt]:
    return [s for s in Rewriter().visit(ast.parse(text)).body if not isinstance(s, ast.AnnAssign)]


def _evaluated(tree: ast.expr, names: dict[str, Any]) -> Any:
    return eval(_compiled(tree), names)


@lru_cache(10_000)
def _compiled(tree: ast.expr) -> CodeType:
    return compile(ast.fix_missing_locations(ast.Expression(tree)), "<program>", "eval")


def directional(text: str, inputs: Mapping[str, Any], dims: Mapping[str, int], tangents: Mapping[str, Any]) -> float:
    """The derivative of a scalar program along tangents, by a complex step."""
    settled: list[Any] = []
    run(text, inputs, dims, settled)
    moved = {k: v + 1j * STEP * tangents[k] if k in tangents else v for k, v in inputs.items()}
    result = run(text, moved, dims, settled)  # complex numbers are rounded in other ways, and could decide otherwise
    return float(np.imag(result) / STEP)


def _number(value: Any) -> Any:
    return np.asarray(value)[()]


class Settled:
    """Gives what the values asked for were in an earlier run, in order; in the first they are what they are."""

    def __init__(self, settled: list[Any]) -> None:
        self.settled, self.filling, self.position, self.is_aside = settled, not settled, 0, False

    def __call__(self, x: Any) -> Any:
        if self.filling:
            self.settled.append(x)
        self.position += 1
        return self.settled[self.position - 1]

    def decided(self, x: Any) -> Any:
        return x if self.is_aside else self(x)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Decisions meanwhile are not those of the program: how many there are depends on the step."""
        before, self.is_aside = self.is_aside, True
        try:
            yield
        finally:
            self.is_aside = before


def _range(*bounds: Any) -> list[Any]:
    return [np.int64(k) for k in builtins.range(*map(int, bounds))]


def _enumerate(items: Iterable[Any]) -> list[Any]:
    return [(np.int64(k), item) for k, item in builtins.enumerate(items)]


def _truncated(x: Any) -> Any:
    return np.trunc(np.real(x)).astype(np.int64)[()]


FUNCTIONS: dict[str, Any] = {
    **OPERATORS,
    **SCALARS,
    **ARRAYS,
    "pi": math.pi,
    "e": math.e,
    "inf": math.inf,
    "range": _range,
    "enumerate": _enumerate,
    "zip": builtins.zip,
    "len": builtins.len,
    "float": lambda x: x * 1.0,
    "int": _truncated,
    "grad": statements.Derivative,
}
