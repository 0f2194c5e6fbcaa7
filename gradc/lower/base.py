"""What every part of lowering shares: the graph being made, the names in scope, and places in the user's text."""

from __future__ import annotations

import ast
import keyword

from gradc.build import Builder
from gradc.errors import ParseError, ShapeError, Source, Span
from gradc.extents import Index
from gradc.ir import Node
from gradc.lower.arrays import Arrays
from gradc.lower.functions import Functions
from gradc.program import Value

MOST_LOOPS = 16
"""Loops inside one another, and so axes of an array."""


class Lowering:
    """Lowers one text into one graph. `names` are the values in scope, `dims` the dim names."""

    def __init__(self, build: Builder, source: Source, dims: frozenset[str] = frozenset()) -> None:
        self.build, self.source, self.dims = build, source, dims
        self.arrays = Arrays(build)
        self.functions = Functions(self.arrays)
        self.names: dict[str, Value] = {}
        self.index_names: dict[Index, str] = {}
        self.in_formula = False

    def span(self, node: ast.AST) -> Span:
        line = getattr(node, "lineno", 1)
        start = getattr(node, "col_offset", 0)
        end = getattr(node, "end_col_offset", start + 1) if getattr(node, "end_lineno", line) == line else None
        return self.source.span(line, start, end)

    def check_name(self, name: str, tree: ast.AST) -> None:
        """Raises ParseError for what cannot be the name of anything."""
        if name.startswith("_") or keyword.iskeyword(name):
            raise ParseError(
                f"'{name}' cannot be a name", self.span(tree), "names start with a letter and are no keywords"
            )

    def is_defined(self, name: str) -> bool:
        """Whether the user has given the name a meaning."""
        return name in self.names

    def visit(self, tree: ast.expr) -> Value:
        """The value of an expression."""
        raise NotImplementedError

    def scalar(self, tree: ast.expr, what: str) -> Node:
        """The node of an expression that must be a number. Raises ShapeError."""
        value = self.visit(tree)
        if value.axes:
            raise ShapeError(f"{what} must be a number, not an array", self.span(tree))
        return value.node
