"""How functions are called: each has a signature, written as Python writes it. A parameter's name tells its kind."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from msgspec import Struct

from gradc.errors import Span
from gradc.program import Value

KINDS = {
    "axis": "axis",
    "axes": "order of axes",
    "keepdims": "flag",
    "endpoint": "flag",
    "shape": "shape",
    "arrays": "sequence",
    "subscripts": "text",
    "ord": "order",
    **dict.fromkeys(("k", "offset", "ddof", "decimals"), "integer"),
    **dict.fromkeys(("rows", "columns", "num", "classes"), "length"),
}
"""Parameters that are no values: what the graph is made like must be known when it is made."""

NUMPY_NAMES = {"a_min": "lo", "a_max": "hi", "fill_value": "value", "N": "rows", "M": "columns"}
"""What NumPy calls parameters that have other names here."""
FIRST_NAMES = frozenset({"a", "x", "m", "v", "p"})
"""What NumPy calls an array that is the first parameter."""


class Call(Struct, frozen=True):
    """A call being lowered: where it stands, its values by parameter name, and what its other parameters say."""

    name: str
    span: Span
    values: dict[str, Value]
    settings: Mapping[str, Any]
    rest: tuple[Value, ...] = ()

    @property
    def axis(self) -> int | tuple[int, ...] | None:
        axis: int | tuple[int, ...] | None = self.settings.get("axis")
        return axis

    @property
    def keepdims(self) -> bool:
        return bool(self.settings.get("keepdims"))


class Signature(Struct, frozen=True):
    """Parameters by name; the first `positional` may be given by position; `rest` takes all further ones."""

    text: str
    params: tuple[str, ...]
    positional: int
    defaults: dict[str, ast.expr]
    rest: str | None


Row = tuple[str, Callable[[Call], Value]]
"""A function: its signature and what makes its value."""


@cache
def signature(text: str) -> Signature:
    """Reads a signature: `x, axis=None, *, keepdims=False`."""
    tree = ast.parse(f"def f({text}): pass").body[0]
    assert isinstance(tree, ast.FunctionDef)
    args = tree.args
    positional, named = [a.arg for a in args.args], [a.arg for a in args.kwonlyargs]
    defaults = dict(zip(positional[len(positional) - len(args.defaults) :], args.defaults, strict=True))
    defaults |= {name: d for name, d in zip(named, args.kw_defaults, strict=True) if d is not None}
    return Signature(text, (*positional, *named), len(positional), defaults, args.vararg.arg if args.vararg else None)
