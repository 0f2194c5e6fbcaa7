"""Operators of the language for CPython: calls take their place where Python means something else.

`a if c else b` and comparisons work on arrays, lists are arrays, booleans count.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np


class UnknowableError(Exception):
    """An array of no elements, whose shape CPython cannot tell."""


class Rewriter(ast.NodeTransformer):
    """Operators that arrays lack, or that decide, become calls."""

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        return _call("choose_", node.test, _lazy(node.body), _lazy(node.orelse))

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        name = "and_" if isinstance(node.op, ast.And) else "or_"
        result = node.values[0]
        for other in node.values[1:]:
            result = _call(name, result, other)
        return result

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        return _call("not_", node.operand) if isinstance(node.op, ast.Not) else node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        result: ast.expr | None = None
        left = node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            step = _call("compare_", ast.Constant(type(op).__name__), left, right)
            result = step if result is None else _call("and_", result, step)
            left = right
        assert result is not None
        return result

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        assert isinstance(node.target, ast.Name)
        changed = ast.BinOp(ast.Name(node.target.id, ast.Load()), node.op, node.value)
        return self.visit(ast.Assign([node.target], changed))

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        name = {ast.Mod: "mod_", ast.FloorDiv: "floordiv_", ast.Pow: "power", ast.Div: "div_"}.get(type(node.op))
        return _call(name, node.left, node.right) if name else node

    def visit_List(self, node: ast.List) -> ast.AST:
        self.generic_visit(node)
        return _call("array_", node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """A list of arrays that are put together need not make an array itself."""
        if isinstance(node.func, ast.Name) and node.func.id in ("concatenate", "stack") and node.args:
            first = node.args[0]
            if isinstance(first, ast.List):
                node.args[0] = ast.Tuple(first.elts, ast.Load())
        self.generic_visit(node)
        return node

    def visit_ListComp(self, node: ast.ListComp) -> ast.AST:
        self.generic_visit(node)
        return _call("array_", node)


def _call(name: str, *args: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), list(args), [])


def _lazy(body: ast.expr) -> ast.Lambda:
    return ast.Lambda(ast.arguments([], [], None, [], [], None, []), body)


# what the rewritten tree calls


def array(items: Iterable[Any]) -> Any:
    items = list(items)
    if not items:
        raise UnknowableError
    return np.array(items)


def _choose(condition: Any, body: Callable[[], Any], orelse: Callable[[], Any]) -> Any:
    if np.ndim(condition) == 0:
        taken, other = (body, orelse) if np.real(condition) else (orelse, body)
        value = taken()
        try:
            return np.broadcast_arrays(value, other())[0][()]
        except IndexError:  # a read that is only meant to happen in the other arm
            return value
    return np.where(np.real(condition) != 0, body(), orelse())


def _compare(name: str, a: Any, b: Any) -> Any:
    ufunc = {
        "Lt": np.less,
        "LtE": np.less_equal,
        "Gt": np.greater,
        "GtE": np.greater_equal,
        "Eq": np.equal,
        "NotEq": np.not_equal,
    }[name]
    return np.asarray(ufunc(np.real(a), np.real(b))).astype(np.int64)[()]


def _logical(ufunc: Any) -> Callable[..., Any]:
    return lambda *args: np.asarray(ufunc(*map(np.real, args))).astype(np.int64)[()]


def _mod(a: Any, b: Any) -> Any:
    if np.iscomplexobj(a) or np.iscomplexobj(b):
        return np.mod(np.real(a), np.real(b)) + 1j * (np.imag(a) - np.imag(b) * np.floor_divide(np.real(a), np.real(b)))
    return np.mod(a, b)


def _power(a: Any, b: Any) -> Any:
    if np.iscomplexobj(a) or np.iscomplexobj(b):
        a, b = np.broadcast_arrays(a, b)
        x, y, dx, dy = np.real(a), np.real(b), np.imag(a), np.imag(b)
        value = np.power(x.astype(float), y)
        by_base = np.where(dx == 0, 0.0, np.where(y == 0, 0.0, y * np.power(x.astype(float), y - 1)))
        by_exponent = np.where(dy == 0, 0.0, np.where((x == 0) & (y > 0), 0.0, value * np.log(x)))
        return value + 1j * (by_base * dx + by_exponent * dy)
    return np.power(np.asarray(a, float) if np.any(np.asarray(b) < 0) else a, b)


OPERATORS: dict[str, Any] = {
    "array_": array,
    "choose_": _choose,
    "compare_": _compare,
    "and_": _logical(np.logical_and),
    "or_": _logical(np.logical_or),
    "not_": _logical(np.logical_not),
    "mod_": _mod,
    "floordiv_": lambda a, b: np.floor_divide(np.real(a), np.real(b)),
    "div_": lambda a, b: np.true_divide(a, b),
    "power": _power,
    "pow": _power,
}
