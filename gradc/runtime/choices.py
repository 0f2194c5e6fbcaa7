"""Choices in compiled loops that read and compute both arms, where that is cheap and there is something to read.

`t[i] if c[i] else 0.0` must not read t[i] where c[i] does not hold, and LLVM makes no vectors of such a loop unless it
can prove that reading is harmless. Here that is known: a loop along an array has an element at each of its turns.
"""

from __future__ import annotations

import ast
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from numba import types
from numba.extending import intrinsic

from gradc.emit.printer import Printer
from gradc.extents import Poly
from gradc.loops import (
    Alloc,
    Apply,
    Element,
    Expr,
    For,
    Name,
    Routine,
    Stmt,
    Sweep,
    Tiles,
    expressions,
    inside,
    parts,
    walk,
)
from gradc.program import Input

Code = str | ast.Module
MOST = 8
"""An arm of more operations is run only if it is chosen."""


def both_arms(text: str, routine: Routine, inputs: Sequence[Input], dtype: str) -> tuple[Code, dict[str, Any]]:
    """The routine's text with such choices as calls of functions, and these, by name."""
    if not routine.has_loops:
        return text, {}
    names: dict[str, Any] = {}
    for name, function in (("choose", choose), ("both", both), ("either", either)):
        while name in text:
            name += "_"
        names[name] = function
    choose_name, both_name, either_name = names
    there = {Printer({}, dtype).expr(e) for e in _there(routine, inputs)}
    rewritten = _Rewrite(there, choose_name, both_name, either_name).visit(ast.parse(text))
    return ast.fix_missing_locations(rewritten), names


@intrinsic
def choose(typing, test, a, b):  # type: ignore[no-untyped-def]
    """`a if test else b`, both computed."""
    number = typing.unify_types(types.unliteral(a), types.unliteral(b))

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.select(*values)

    return number(types.boolean, number, number), codegen


@intrinsic
def both(typing, a, b):  # type: ignore[no-untyped-def]
    """`a and b`, both computed."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.and_(*values)

    return types.boolean(types.boolean, types.boolean), codegen


@intrinsic
def either(typing, a, b):  # type: ignore[no-untyped-def]
    """`a or b`, both computed."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.or_(*values)

    return types.boolean(types.boolean, types.boolean), codegen


class _Rewrite(ast.NodeTransformer):
    """Puts calls in the place of choices in loops."""

    def __init__(self, there: Container[str], choose: str, both: str, either: str) -> None:
        self.there, self.choose, self.both, self.either = there, choose, both, either
        self.own = {choose, both, either}
        self.depth = 0

    def visit_For(self, node: ast.For) -> ast.AST:
        self.depth += 1
        node.body = [self.visit(s) for s in node.body]
        self.depth -= 1
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        return self._called(node, self.choose, [node.test, node.body, node.orelse], (node.body, node.orelse))

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        name = self.both if isinstance(node.op, ast.And) else self.either
        first, *others = node.values
        made: ast.AST = first
        for other in others:
            made = self._called(node, name, [made, other], others)
        return made

    def _called(self, node: ast.expr, name: str, args: list[Any], arms: Sequence[ast.expr]) -> ast.AST:
        if not self.depth or sum(map(self._operations, arms)) > MOST:
            return node
        return ast.copy_location(ast.Call(ast.Name(name, ast.Load()), args, []), node)

    def _operations(self, e: ast.expr) -> int:
        """How many operations an arm has; too many if one of them may not be run in any case."""
        if isinstance(e, ast.Constant | ast.Name) or (isinstance(e, ast.Subscript) and ast.unparse(e) in self.there):
            return 0
        if isinstance(e, ast.UnaryOp):
            return 1 + self._operations(e.operand)
        if isinstance(e, ast.BinOp) and isinstance(e.op, ast.Add | ast.Sub | ast.Mult | ast.Div):
            return 1 + self._operations(e.left) + self._operations(e.right)
        if isinstance(e, ast.Compare):
            return 1 + self._operations(e.left) + sum(map(self._operations, e.comparators))
        if isinstance(e, ast.Call) and isinstance(e.func, ast.Name) and e.func.id in self.own:
            return 1 + sum(map(self._operations, e.args))
        return MOST + 1


class _Ranges(Struct, frozen=True):
    """The shapes of arrays, and what is below a length in a loop, whatever turn it is at."""

    shapes: Mapping[str, tuple[Poly, ...]]
    below: Mapping[Expr, Poly]
    tiles: Tiles | None = None

    def within(self, s: Stmt) -> _Ranges:
        if isinstance(s, Sweep):
            flat = {array: (s.flat.size, *others) for array, others in s.flat.arrays.items()}
            return replace(self, shapes={**self.shapes, **flat})
        if isinstance(s, Tiles):
            return replace(self, tiles=s)
        if not isinstance(s, For):
            return self
        row = Name(s.variable, "int")
        below = {**self.below, row: s.index.extent}
        if self.tiles is not None and s.bounds == (self.tiles.start, self.tiles.stop):
            below[Apply("sub", (row, Name(self.tiles.start, "int")), "int")] = Poly.atom(self.tiles.height)
        return replace(self, below=below)


def _there(routine: Routine, inputs: Sequence[Input]) -> Iterator[Element]:
    """Elements that arrays have at each turn of the loops around."""
    shapes = {i.name: i.shape for i in inputs if i.shape}
    shapes.update((s.array, s.shape) for s, _ in walk(routine.body) if isinstance(s, Alloc))
    stack = [(s, _Ranges(shapes, {})) for s in routine.body]
    while stack:
        s, ranges = stack.pop()
        for e in (p for expression in expressions(s) for p in parts(expression)):
            if isinstance(e, Element) and tuple(map(ranges.below.get, e.at)) == ranges.shapes.get(e.array):
                yield e
        within = ranges.within(s)
        stack += [(t, within) for t in inside(s)]
