"""The `.gradc` language: declarations, statements, a result. Expressions are lowered by `gradc.lower`."""

from __future__ import annotations

import ast

from gradc.build import Builder
from gradc.errors import ParseError, Source, Span, UnsupportedError
from gradc.frontends.declarations import Declarations
from gradc.frontends.statements import Statements
from gradc.frontends.syntax import parse, title
from gradc.ir import Graph
from gradc.lower.calls import MODULES
from gradc.lower.expressions import CONSTANTS
from gradc.program import Input, Program


def program(text: str, name: str = "<text>") -> Program:
    """Parses a program. Raises ParseError, ShapeError or UnsupportedError with the place of what is wrong."""
    source = Source(name, text)
    return _read(source, parse(source))


def program_or_expression(text: str, name: str = "<text>") -> Program:
    """Parses a program, or an expression if the text is nothing else."""
    source = Source(name, text)
    tree = parse(source)
    return expression(text) if _is_expression(tree) else _read(source, tree)


def is_expression(text: str, name: str) -> bool:
    """Whether a text is one plain expression: no declaration, no assignment, no docstring."""
    return _is_expression(parse(Source(name, text)))


def _is_expression(tree: ast.Module) -> bool:
    return len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr)


def expression(text: str, name: str = "<expression>") -> Program:
    """An expression whose free names are scalar params, in order of first appearance."""
    source = Source(name, text)
    tree = parse(source)
    return _read(source, tree, _free_names(tree))


def _read(source: Source, tree: ast.Module, free: tuple[ast.Name, ...] = ()) -> Program:
    statements = _Statements(Builder(Graph()), source)
    for name in free:
        statements.declarations.check_name(name.id, name)
        statements.declarations.add(Input(name.id, "param", span=statements.span(name)))
    heading, body = title(tree.body)
    if not body:
        raise ParseError("the program is empty", Span(source, 1, 1), "the last line is the result")
    statements.declarations.collect_dims(s.annotation for s in body if isinstance(s, ast.AnnAssign))
    return statements.declarations.program(heading, statements.result(body))


class _Statements(Statements):
    """Statements among which there are declarations."""

    def __init__(self, build: Builder, source: Source) -> None:
        super().__init__(build, source)
        self.declarations = Declarations(self)

    def declaration(self, tree: ast.AnnAssign) -> None:
        if not isinstance(tree.target, ast.Name):
            raise ParseError("expected a name before ':'", self.span(tree.target), "write: name: param[n]")
        if self.inside_helper or self.inside_arm:
            raise UnsupportedError("a declaration inside another block", self.span(tree), "declare it further out")
        self.declarations.declare(tree.target.id, tree.target, tree.annotation, tree.value)


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
