"""Declarations: kinds, shapes and defaults of inputs, the same wherever they are written in Python's syntax."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from gradc.errors import ParseError, ShapeError, Span, UnsupportedError, did_you_mean
from gradc.extents import Poly, floor_div
from gradc.frontends.statements import Statements
from gradc.kinds import KINDS
from gradc.lower.expressions import CONSTANTS, number_of
from gradc.program import Input, Program, Value, axes_of

RESERVED = frozenset({"out", "sparse", "seed"})
OPTIONS = {"checkpoint": 100}
DIM = "a dim is an integer, a name, or integer arithmetic on them"


KIND_HINTS = {
    "float": "`param` is differentiated, `data` is not; an assignment has no annotation: x = 2.0",
    "int": "an integer input is `index`; an assignment has no annotation: k = 2",
}


class Declarations:
    """The inputs and options declared so far; each input is a name in the scope of the statements."""

    def __init__(self, statements: Statements) -> None:
        self.statements = statements
        self.inputs: dict[str, Input] = {}
        self.options: dict[str, float | int] = {}

    def program(self, title: str, result: Value) -> Program:
        """The finished program. Raises ShapeError where the shapes do not tell what a dim is."""
        self._check_dims()
        statements = self.statements
        statements.provenance.index_names = statements.index_names
        requirements = tuple(statements.arrays.requirements)
        inputs = tuple(self.inputs.values())
        graph = statements.build.graph
        return Program(title, inputs, graph, result, statements.provenance, requirements, self.options)

    def declare(self, name: str, tree: ast.AST, annotation: ast.expr, default: ast.expr | None) -> None:
        """One declaration: `name: kind[dims] = default`, where `tree` is what is named."""
        self.check_name(name, tree)
        kind, shape = self._annotation(annotation)
        number = None if default is None else self._number(default)
        if kind == "option":
            if name not in OPTIONS:
                known = did_you_mean(name, OPTIONS) or f"known: {', '.join(OPTIONS)}"
                raise ParseError(f"unknown option '{name}'", self._span(tree), known)
            hint = f"write: {name}: option = {OPTIONS[name]}"
            if number is None:
                raise ParseError("an option needs a value", self._span(tree), hint)
            if not isinstance(number, int) or number < 1 or shape:
                raise ParseError(f"option '{name}' is a positive integer", self._span(tree), hint)
            if name in self.options:
                raise ParseError(f"option '{name}' is given twice", self._span(tree))
            self.options[name] = number
            return
        if number is not None and shape:
            raise UnsupportedError("only scalars have defaults", self._span(tree))
        if kind == "index" and isinstance(number, float):
            raise ParseError("the default of an index is an integer of 64 bits", self._span(tree))
        self.add(Input(name, kind, shape, number, self._span(tree)))  # type: ignore[arg-type]

    def check_name(self, name: str, tree: ast.AST) -> None:
        """Raises ParseError for what cannot be the name of an input, or is one already."""
        self.statements.check_name(name, tree)
        if name in RESERVED:
            message = f"'{name}' cannot be the name of an input: it is an argument of gradc's own"
            raise ParseError(message, self._span(tree))
        if name in self.inputs or name in self.statements.names or name in self.statements.helpers:
            raise ParseError(f"'{name}' is declared twice", self._span(tree))
        if name in self.statements.dims:
            raise ParseError(f"'{name}' is the name of a dim", self._span(tree), "give the input another name")

    def add(self, entry: Input) -> None:
        build = self.statements.build
        axes = axes_of(entry.shape)
        node = build.input(entry.name, axes, entry.type)
        single = [a for a in axes if a.extent.constant == 1]
        element = build.read(node, single, [build.const(0)] * len(single))
        self.inputs[entry.name] = entry
        self.statements.inputs.add(entry.name)
        self.statements.names[entry.name] = Value(element, tuple(None if a in single else a for a in axes))

    def collect_dims(self, annotations: Iterable[ast.expr]) -> None:
        """Makes the dim names known, wherever they are declared."""
        dims = set()
        for annotation in annotations:
            if isinstance(annotation, ast.Subscript):
                for part in self._parts(annotation.slice):
                    dims |= {n.id for n in ast.walk(part) if isinstance(n, ast.Name)}
        self.statements.dims = frozenset(dims)

    def _span(self, tree: ast.AST) -> Span:
        return self.statements.span(tree)

    def _parts(self, dims: ast.expr) -> list[ast.expr]:
        """The lengths of a shape; one in quotes is read as what it says."""
        parts = dims.elts if isinstance(dims, ast.Tuple) else [dims]
        return [self._unquoted(p) for p in parts]

    def _unquoted(self, tree: ast.expr) -> ast.expr:
        if not (isinstance(tree, ast.Constant) and isinstance(tree.value, str)):
            return tree
        try:
            inside = ast.parse(tree.value.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise ShapeError(DIM, self._span(tree)) from None
        for n in ast.walk(inside):
            ast.copy_location(n, tree)
        return inside

    def _annotation(self, tree: ast.expr) -> tuple[str, tuple[Poly, ...]]:
        base, dims = (tree.value, tree.slice) if isinstance(tree, ast.Subscript) else (tree, None)
        kind = ""
        if isinstance(base, ast.Name):
            kind = base.id
        elif isinstance(base, ast.Attribute) and isinstance(base.value, ast.Name):
            kind = base.attr
        if kind not in KINDS:
            hint = KIND_HINTS.get(kind) or did_you_mean(kind, KINDS)
            raise ParseError("expected param, data, index or option", self._span(base), hint)
        if dims is None:
            return kind, ()
        if sum(isinstance(n, ast.operator) for n in ast.walk(dims)) > 50:
            raise ShapeError("this length is too complicated", self._span(dims), "name it: a dim of its own")
        return kind, tuple(self._dim(p) for p in self._parts(dims))

    def _dim(self, tree: ast.expr) -> Poly:
        if isinstance(tree, ast.Constant) and isinstance(tree.value, int) and not isinstance(tree.value, bool):
            return Poly.const(tree.value)
        if isinstance(tree, ast.Name):
            self.statements.check_name(tree.id, tree)
            return Poly.atom(tree.id)
        if isinstance(tree, ast.BinOp):
            a, b = self._dim(tree.left), self._dim(tree.right)
            if not (a.is_manageable and b.is_manageable):
                raise ShapeError("this length is too complicated", self._span(tree), "name it: a dim of its own")
            if isinstance(tree.op, ast.Add):
                return a + b
            if isinstance(tree.op, ast.Sub):
                return a - b
            if isinstance(tree.op, ast.Mult):
                return a * b
            if isinstance(tree.op, ast.FloorDiv) and b.constant != 0:
                return floor_div(a, b)
        raise ShapeError(DIM, self._span(tree))

    def _number(self, tree: ast.expr) -> float | int:
        sign = 1
        while isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub | ast.UAdd):
            sign = -sign if isinstance(tree.op, ast.USub) else sign
            tree = tree.operand
        if isinstance(tree, ast.Name) and tree.id in CONSTANTS:
            return sign * CONSTANTS[tree.id]
        if (
            not isinstance(tree, ast.Constant)
            or isinstance(tree.value, bool)
            or not isinstance(tree.value, int | float)
        ):
            raise ParseError("a default is a number", self._span(tree), "write it out: 0.01, 1e-3, -2")
        return sign * number_of(tree.value)

    def _check_dims(self) -> None:
        bare = {str(p) for i in self.inputs.values() for p in i.shape if p == Poly.atom(str(p))}
        for i in self.inputs.values():
            for poly in i.shape:
                for dim in sorted(poly.dims - bare):
                    hint = f"each dim name stands alone on some axis: declare an array with an axis {dim}"
                    raise ShapeError(f"the length {poly} of '{i.name}' does not tell what '{dim}' is", i.span, hint)
                if poly.constant is not None and poly.constant < 0:
                    raise ShapeError(f"the length {poly} of '{i.name}' is negative", i.span)
