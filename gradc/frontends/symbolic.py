"""SymPy expressions in a text's place, without importing SymPy before there is one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from gradc.program import Program


class Symbolic(Struct, frozen=True):
    """An expression, and the symbols it is differentiated by: all that is needed to make its program again."""

    expression: Any
    wrt: tuple[Any, ...] | None

    def program(self) -> Program:
        """The program. Raises ParseError, ShapeError or UnsupportedError."""
        from gradc.frontends import sympy as frontend

        return frontend.program(self.expression, self.wrt)

    def names(self) -> tuple[str, ...] | None:
        """`wrt` as names of inputs."""
        from gradc.frontends import sympy as frontend

        return None if self.wrt is None else frontend.names(self.wrt)


def symbolic(source: Any, wrt: Sequence[Any] | None) -> Symbolic:
    if wrt is not None:
        wrt = tuple(wrt) if isinstance(wrt, Iterable) and not (is_sympy(wrt) or isinstance(wrt, str)) else (wrt,)
        wrt = tuple(str.__str__(s) if isinstance(s, str) else s for s in wrt)
    frozen = source.as_immutable() if hasattr(source, "as_immutable") else source
    return Symbolic(frozen, wrt)


def is_sympy(source: Any) -> bool:
    """Whether this is one of SymPy's objects."""
    return any(str(kind.__module__).partition(".")[0] == "sympy" for kind in type(source).__mro__)
