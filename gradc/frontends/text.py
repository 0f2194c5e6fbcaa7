"""The `.gradc` language: declarations, statements, a result. Expressions are lowered by `gradc.lower`."""

from __future__ import annotations

import ast
import unicodedata

from gradc.build import Builder
from gradc.errors import ParseError, ShapeError, Source, Span, UnsupportedError, did_you_mean
from gradc.extents import Poly, floor_div
from gradc.frontends.syntax import parse
from gradc.ir import Graph
from gradc.lower.calls import MODULES
from gradc.lower.expressions import CONSTANTS, Expressions
from gradc.program import Input, Origin, Program, Provenance, Value, axes_of

KINDS = ("param", "data", "index", "option")
RESERVED = frozenset({"out", "sparse", "seed"})
OPTIONS = {"checkpoint": 100}
MOST_LOOPS = 16
LATER = {
    ast.For: ("`for` statements are not supported yet", "write a comprehension: sum(... for i in range(n))"),
    ast.While: ("`while` statements are not supported yet", None),
    ast.If: ("`if` statements are not supported yet", "write: value if condition else other"),
    ast.FunctionDef: ("`def` helpers are not supported yet", "write the expression out"),
    ast.Import: ("imports are not part of the language", "functions are there without one: exp(x)"),
    ast.ImportFrom: ("imports are not part of the language", "functions are there without one: exp(x)"),
}


def program(text: str, name: str = "<text>") -> Program:
    """Parses a program. Raises ParseError, ShapeError or UnsupportedError with the place of what is wrong."""
    source = Source(name, text)
    return _Reader(source, parse(source)).read()


def program_or_expression(text: str, name: str = "<text>") -> Program:
    """Parses a program, or an expression if the text is nothing else."""
    source = Source(name, text)
    tree = parse(source)
    return expression(text) if _is_expression(tree) else _Reader(source, tree).read()


def is_expression(text: str, name: str) -> bool:
    """Whether a text is one plain expression: no declaration, no assignment, no docstring."""
    return _is_expression(parse(Source(name, text)))


def _is_expression(tree: ast.Module) -> bool:
    return len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr)


def expression(text: str, name: str = "<expression>") -> Program:
    """An expression whose free names are scalar params, in order of first appearance."""
    source = Source(name, text)
    tree = parse(source)
    return _Reader(source, tree, _free_names(tree)).read()


class _Reader:
    def __init__(self, source: Source, tree: ast.Module, free: tuple[ast.Name, ...] = ()) -> None:
        self.source, self.tree = source, tree
        self.graph = Graph()
        self.expressions = Expressions(Builder(self.graph), source)
        self.inputs: dict[str, Input] = {}
        self.options: dict[str, float | int] = {}
        self.provenance = Provenance()
        self.bindings: dict[str, int] = {}
        for name in free:
            self._check_input(name.id, name)
            self._declare(Input(name.id, "param", span=self._span(name)))

    def read(self) -> Program:
        body = list(self.tree.body)
        title = ""
        first = body[0] if body else None
        if (
            len(body) > 1
            and isinstance(first, ast.Expr)
            and isinstance(first.value, ast.Constant)
            and isinstance(first.value.value, str)
        ):
            title = " ".join(first.value.value.split())
            body = body[1:]
        if not body:
            raise ParseError("the program is empty", Span(self.source, 1, 1), "the last line is the result")
        self._collect_dims(body)
        result: Value | None = None
        for position, statement in enumerate(body):
            before = len(self.graph.nodes)
            last = position == len(body) - 1
            result = self._statement(statement, last)
            self._record(statement, before)
        if result is None:
            raise ParseError(
                "the program has no result", self._span(body[-1]), "end with an expression, or `return` one"
            )
        self._check_dims()
        self.provenance.index_names = self.expressions.index_names
        requirements = tuple(self.expressions.arrays.requirements)
        return Program(
            title,
            tuple(self.inputs.values()),
            self.graph,
            result,
            self.provenance,
            requirements,
            self.options,
        )

    def _span(self, tree: ast.AST) -> Span:
        return self.expressions.span(tree)

    def _statement(self, statement: ast.stmt, last: bool) -> Value | None:
        if isinstance(statement, ast.AnnAssign):
            self._declaration(statement)
            return None
        if isinstance(statement, ast.Assign):
            if len(statement.targets) != 1:
                raise UnsupportedError("one name is assigned at a time", self._span(statement))
            self._check_target(statement.targets[0])
            self._assign(statement.targets[0], self.expressions.lower(statement.value))
            return None
        if isinstance(statement, ast.AugAssign):
            self._check_target(statement.target)
            assert isinstance(statement.target, ast.Name)
            current = ast.copy_location(ast.Name(statement.target.id, ast.Load()), statement.target)
            updated = ast.copy_location(ast.BinOp(current, statement.op, statement.value), statement)
            self._assign(statement.target, self.expressions.lower(updated))
            return None
        if isinstance(statement, ast.Expr | ast.Return) and last:
            if statement.value is None:
                raise ParseError("return without a value", self._span(statement), "return the result")
            return self.expressions.lower(statement.value)
        if isinstance(statement, ast.Expr | ast.Return):
            raise ParseError("only the last statement can be the result", self._span(statement), "assign it to a name")
        message, hint = LATER.get(type(statement), (f"{type(statement).__name__} is not part of the language", None))
        raise UnsupportedError(message, self._span(statement), hint)

    def _check_target(self, target: ast.expr) -> None:
        if not isinstance(target, ast.Name):
            raise UnsupportedError("only names can be assigned", self._span(target), "write: name = expression")
        self.expressions.check_name(target.id, target)

    def _assign(self, target: ast.expr, value: Value) -> None:
        assert isinstance(target, ast.Name)
        name = target.id
        self.expressions.names[name] = value
        times = self.bindings[name] = self.bindings.get(name, 0) + 1
        if value.node.op not in ("const", "dim", "index", "input"):
            shown = name if times == 1 and name not in self.inputs else f"{name}_{times + (name in self.inputs)}"
            self.provenance.names.setdefault(value.node, shown)

    def _check_input(self, name: str, tree: ast.AST) -> None:
        self.expressions.check_name(name, tree)
        if name in RESERVED:
            raise ParseError(
                f"'{name}' cannot be the name of an input: it is an argument of gradc's own", self._span(tree)
            )

    def _declaration(self, tree: ast.AnnAssign) -> None:
        if not isinstance(tree.target, ast.Name):
            raise ParseError("expected a name before ':'", self._span(tree.target), "write: name: param[n]")
        name = unicodedata.normalize("NFKC", tree.target.id)
        self._check_input(name, tree.target)
        if name in self.inputs or name in self.expressions.names:
            raise ParseError(f"'{name}' is declared twice", self._span(tree.target))
        if name in self.expressions.dims:
            raise ParseError(f"'{name}' is the name of a dim", self._span(tree.target), "give the input another name")
        kind, shape = self._annotation(tree.annotation)
        default = None if tree.value is None else self._number(tree.value)
        if kind == "option":
            if name not in OPTIONS:
                raise ParseError(
                    f"unknown option '{name}'",
                    self._span(tree.target),
                    did_you_mean(name, OPTIONS) or f"known: {', '.join(OPTIONS)}",
                )
            if default is None:
                raise ParseError(
                    "an option needs a value", self._span(tree), f"write: {name}: option = {OPTIONS[name]}"
                )
            self.options[name] = default
            return
        if default is not None and shape:
            raise UnsupportedError("only scalars have defaults", self._span(tree))
        if kind == "index" and isinstance(default, float):
            raise ParseError("the default of an index is an integer", self._span(tree))
        self._declare(Input(name, kind, shape, default, self._span(tree.target)))  # type: ignore[arg-type]

    def _declare(self, entry: Input) -> None:
        build = self.expressions.build
        axes = axes_of(entry.shape)
        node = build.input(entry.name, axes, entry.type)
        single = [a for a in axes if a.extent.constant == 1]
        element = build.read(node, single, [build.const(0)] * len(single))
        self.inputs[entry.name] = entry
        self.expressions.names[entry.name] = Value(element, tuple(None if a in single else a for a in axes))

    def _annotation(self, tree: ast.expr) -> tuple[str, tuple[Poly, ...]]:
        base, dims = (tree.value, tree.slice) if isinstance(tree, ast.Subscript) else (tree, None)
        if not isinstance(base, ast.Name) or base.id not in KINDS:
            given = base.id if isinstance(base, ast.Name) else ""
            raise ParseError("expected param, data, index or option", self._span(base), did_you_mean(given, KINDS))
        if dims is None:
            return base.id, ()
        parts = dims.elts if isinstance(dims, ast.Tuple) else [dims]
        if sum(isinstance(n, ast.operator) for n in ast.walk(dims)) > 50:
            raise ShapeError("this length is too complicated", self._span(dims), "name it: a dim of its own")
        return base.id, tuple(self._dim(p) for p in parts)

    def _dim(self, tree: ast.expr) -> Poly:
        if isinstance(tree, ast.Constant) and isinstance(tree.value, int) and not isinstance(tree.value, bool):
            return Poly.const(tree.value)
        if isinstance(tree, ast.Name):
            self.expressions.check_name(tree.id, tree)
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
        raise ShapeError("a dim is an integer, a name, or integer arithmetic on them", self._span(tree))

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
            raise ParseError("a default is a number", self._span(tree))
        return sign * tree.value

    def _collect_dims(self, body: list[ast.stmt]) -> None:
        dims = set()
        for statement in body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.annotation, ast.Subscript):
                dims |= {n.id for n in ast.walk(statement.annotation.slice) if isinstance(n, ast.Name)}
        self.expressions.dims = frozenset(dims)

    def _check_dims(self) -> None:
        bare = {str(p) for i in self.inputs.values() for p in i.shape if p == Poly.atom(str(p))}
        for i in self.inputs.values():
            for poly in i.shape:
                for dim in sorted(poly.dims - bare):
                    hint = f"each dim name stands alone on some axis: declare an array with an axis {dim}"
                    raise ShapeError(f"the length {poly} of '{i.name}' does not tell what '{dim}' is", i.span, hint)
                if poly.constant is not None and poly.constant < 0:
                    raise ShapeError(f"the length {poly} of '{i.name}' is negative", i.span)

    def _record(self, statement: ast.stmt, before: int) -> None:
        """Every node the statement made comes from it."""
        span = self._span(statement)
        text = self.source.line(span.line).split("#")[0].strip()
        if statement.end_lineno not in (None, statement.lineno):
            text += " ..."
        target = getattr(statement, "target", None) or getattr(statement, "targets", [None])[0]
        origin = Origin(text, span, target.id if isinstance(target, ast.Name) else "result")
        for node in self.graph.nodes[before:]:
            self.provenance.origins[node] = origin
            if len(node.indices) > MOST_LOOPS:
                raise UnsupportedError(f"more than {MOST_LOOPS} loops inside one another", span, "use fewer axes")


def _free_names(tree: ast.Module) -> tuple[ast.Name, ...]:
    """The first occurrence of each name that is neither bound in the text nor known to the language."""
    called = {id(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    bound = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    names = [
        n for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in called and isinstance(n.ctx, ast.Load)
    ]
    names.sort(key=lambda n: (n.lineno, n.col_offset))
    attributes = (n.value for n in ast.walk(tree) if isinstance(n, ast.Attribute))
    modules = {id(v) for v in attributes if isinstance(v, ast.Name) and v.id in MODULES}
    free: dict[str, ast.Name] = {}
    for n in names:
        if n.id not in bound and n.id not in CONSTANTS and id(n) not in modules:
            free.setdefault(n.id, n)
    return tuple(free.values())
