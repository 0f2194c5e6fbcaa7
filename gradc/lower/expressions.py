"""Expressions of Python's syntax tree to graph values, construct by construct; whatever is not listed is refused."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable

from gradc.bounds import integer_poly
from gradc.errors import ParseError, ShapeError, Span, UnsupportedError, did_you_mean
from gradc.lower.calls import MODULES, Calls
from gradc.lower.outside import ATTRIBUTES, EXPRESSIONS, LITERALS, NUMBERS
from gradc.lower.shaping import display, transpose
from gradc.lower.subscripts import Item, NewAxis, Rest, Slice, subscript
from gradc.program import Value

BITS = "a power is **; conditions are joined by and, or, not"
DEPTH_LIMIT = 150
"""Expressions nested deeper than this are refused; chains of binary operators may be of any length."""

BINARY = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.FloorDiv: "floordiv",
    ast.Mod: "mod",
    ast.Pow: "power",
}
COMPARE = {ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne"}
LOWERED_BY = {kind: f"_{kind.__name__.lower()}" for kind in ast.expr.__subclasses__()}
"""The method for each construct, where there is one."""
CONSTANTS = {"pi": math.pi, "e": math.e, "inf": math.inf}


class Expressions(Calls):
    """Lowers expressions, construct by construct."""

    def lower(self, tree: ast.expr) -> Value:
        """The value of an expression. Raises GradcError at the part that cannot be lowered."""
        self._check_depth(tree)
        return self.visit(tree)

    def _check_depth(self, tree: ast.expr) -> None:
        if tree.end_lineno and tree.end_lineno == tree.lineno and (tree.end_col_offset or 0) < DEPTH_LIMIT:
            return  # every level takes a character
        level: list[ast.AST] = [tree]
        for _ in range(DEPTH_LIMIT):
            below: list[ast.AST] = []
            for n in level:
                while isinstance(n, ast.BinOp | ast.IfExp):  # chains of these are not lowered by recursion
                    below += [n.right] if isinstance(n, ast.BinOp) else [n.test, n.body]
                    n = n.left if isinstance(n, ast.BinOp) else n.orelse
                below += ast.iter_child_nodes(n)
            level = below
            if not level:
                return
        raise ParseError("nested too deeply", self.span(tree), "give parts of the expression names of their own")

    def visit(self, tree: ast.expr) -> Value:
        """The value of an expression that is known not to be nested too deeply."""
        method: Callable[[ast.expr], Value] | None = getattr(self, LOWERED_BY.get(type(tree), ""), None)
        if method is None:
            unknown = (f"{type(tree).__name__} is not part of the language", None)
            message, hint = EXPRESSIONS.get(type(tree), unknown)
            raise UnsupportedError(message, self.span(tree), hint)
        value = method(tree)
        if value.axes and not all(a is None or a.extent.is_manageable for a in value.axes):
            raise ShapeError("the length of this array is too complicated", self.span(tree), "give a length a name")
        return value

    # names and numbers

    def _constant(self, tree: ast.Constant) -> Value:
        value = tree.value
        if not isinstance(value, bool | int | float):
            message, hint = LITERALS[type(value)]
            raise UnsupportedError(message, self.span(tree), hint)
        return Value(self.build.const(number_of(value)))

    def _name(self, tree: ast.Name) -> Value:
        found = self.names.get(tree.id)
        if found is not None:
            return self.arrays.clear_of_loops(found)
        if tree.id in self.dims:
            return Value(self.build.dim(tree.id))
        if tree.id in CONSTANTS:
            return Value(self.build.const(CONSTANTS[tree.id]))
        known = {*self.names, *self.dims, *CONSTANTS}
        hint = NUMBERS.get(tree.id) or did_you_mean(tree.id, known) or "declare it, or assign it first"
        if self.is_function(tree.id):
            hint = f"'{tree.id}' is a function: call it"
        elif tree.id in MODULES:
            hint = f"it stands before a dot: {tree.id}.exp(x)"
        raise ParseError(f"unknown name '{tree.id}'", self.span(tree), hint)

    def _attribute(self, tree: ast.Attribute) -> Value:
        if tree.attr == "T":
            return transpose(self.visit(tree.value))
        if self.is_module(tree.value):
            if tree.attr in CONSTANTS:
                return Value(self.build.const(CONSTANTS[tree.attr]))
            hint = NUMBERS.get(tree.attr) or did_you_mean(tree.attr, CONSTANTS)
            if self.is_function(tree.attr):
                hint = f"'{tree.attr}' is a function: call it"
            raise ParseError(f"unknown constant '{tree.attr}'", self.span(tree), hint)
        if isinstance(tree.value, ast.Name) and tree.value.id not in MODULES:
            self.visit(tree.value)
        hint = ATTRIBUTES.get(tree.attr, "attributes are .T, .shape[k]")
        raise UnsupportedError(f"attribute '.{tree.attr}' is not part of the language", self.span(tree), hint)

    def _list(self, tree: ast.List) -> Value:
        """An array of its elements."""
        return display(self.arrays, [self.argument(e) for e in tree.elts], self.span(tree))

    # operators

    def _binop(self, tree: ast.BinOp) -> Value:
        chain: list[ast.BinOp] = []
        left: ast.expr = tree
        while isinstance(left, ast.BinOp):
            chain.append(left)
            left = left.left
        value = self.visit(left)
        for step in reversed(chain):
            value = self._binary(step, value, self.visit(step.right))
        return value

    def _binary(self, tree: ast.BinOp, a: Value, b: Value) -> Value:
        if isinstance(tree.op, ast.MatMult):
            return self.functions.matmul(a, b, self.span(tree))
        name = BINARY.get(type(tree.op))
        if name is None:
            raise UnsupportedError("bit operators are not part of the language", self.span(tree), BITS)
        if name == "power":
            return self.functions.power(a, b, self.span(tree))
        return self.arrays.elementwise(name, [a, b], self.span(tree))

    def _unaryop(self, tree: ast.UnaryOp) -> Value:
        value = self.visit(tree.operand)
        if isinstance(tree.op, ast.UAdd):
            return value
        if isinstance(tree.op, ast.Invert):
            raise UnsupportedError(
                "bit operators are not part of the language",
                self.span(tree),
                "write not x, which holds element by element",
            )
        return Value(self.build.op("not" if isinstance(tree.op, ast.Not) else "neg", value.node), value.axes)

    def _boolop(self, tree: ast.BoolOp) -> Value:
        name = "and" if isinstance(tree.op, ast.And) else "or"
        value = self.visit(tree.values[0])
        for other in tree.values[1:]:
            value = self.arrays.elementwise(name, [value, self.visit(other)], self.span(tree))
        return value

    def _compare(self, tree: ast.Compare) -> Value:
        left = self.visit(tree.left)
        result: Value | None = None
        for op, tree_right in zip(tree.ops, tree.comparators, strict=True):
            name = COMPARE.get(type(op))
            if name is None:
                hint = "write any(x == a)" if isinstance(op, ast.In | ast.NotIn) else "compare with =="
                raise UnsupportedError("'in' and 'is' are not part of the language", self.span(tree), hint)
            right = self.visit(tree_right)
            step = self.arrays.elementwise(name, [left, right], self.span(tree))
            result = step if result is None else self.arrays.elementwise("and", [result, step], self.span(tree))
            left = right
        assert result is not None
        return result

    def _ifexp(self, tree: ast.IfExp) -> Value:
        arms: list[tuple[Value, Value, Span]] = []
        rest: ast.expr = tree
        while isinstance(rest, ast.IfExp):
            arms.append((self.visit(rest.test), self.visit(rest.body), self.span(rest)))
            rest = rest.orelse
        value = self.visit(rest)
        for condition, arm, span in reversed(arms):
            value = self.arrays.select(condition, arm, value, span)
        return value

    # subscripts

    def _subscript(self, tree: ast.Subscript) -> Value:
        if isinstance(tree.value, ast.Attribute) and tree.value.attr == "shape":
            shape = self.visit(tree.value.value).shape
            k = integer_poly(self.visit(tree.slice).node)
            if k is None or k.constant is None or not -len(shape) <= k.constant < len(shape):
                raise ShapeError(f"shape of {len(shape)} axes", self.span(tree), "use a number that names an axis")
            return Value(self.build.length(shape[k.constant]))
        value = self.visit(tree.value)
        parts = tree.slice.elts if isinstance(tree.slice, ast.Tuple) else [tree.slice]
        return subscript(self.arrays, value, [self._item(p) for p in parts], self.span(tree))

    def _item(self, tree: ast.expr) -> Item:
        if isinstance(tree, ast.Slice):
            low, high, step = (
                None if t is None else self.scalar(t, "a bound of a slice") for t in (tree.lower, tree.upper, tree.step)
            )
            return Slice(low, high, step)
        newaxis = isinstance(tree, ast.Attribute) and tree.attr == "newaxis" and self.is_module(tree.value)
        if newaxis or (isinstance(tree, ast.Constant) and tree.value is None):
            return NewAxis()
        if isinstance(tree, ast.Constant) and tree.value is ...:
            return Rest()
        return self.visit(tree)


def number_of(value: float | int) -> float | int:
    """A number as the language has it: an integer of more than 64 bits is a float."""
    if isinstance(value, float) or abs(value) < 2**63:
        return value
    return float(value) if value.bit_length() < 1024 else math.inf if value > 0 else -math.inf
