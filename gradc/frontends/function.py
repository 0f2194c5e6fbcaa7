"""Python functions as programs: read by their source, never called."""

from __future__ import annotations

import ast
import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from gradc.build import Builder
from gradc.errors import ParseError, Source, Span, UnsupportedError
from gradc.frontends.declarations import Declarations
from gradc.frontends.helpers import Scope
from gradc.frontends.statements import Statements
from gradc.frontends.syntax import parse, title
from gradc.ir import Graph
from gradc.program import Program, Value

LIBRARIES = frozenset({"numpy", "math", "scipy", "gradc"})
ANNOTATE = 'annotate it: w: gradc.param["d"], b: gradc.param, x: gradc.data["n", "d"], k: gradc.index'


@dataclass(frozen=True)
class Written:
    """A Python function as it is written: a text in which it stands at its own line, and what its names mean outside.

    `defaults` are the numbers its parameters default to, `numbers` values of its closure and module, `spelt` what
    names of libraries stand for (`np` for `onp`, `np.exp` for `e`), `helpers` the keys of other functions, `foreign`
    the types of what is none of these.
    """

    file: str
    text: str
    defaults: tuple[tuple[str, int | float], ...]
    numbers: tuple[tuple[str, int | float], ...]
    spelt: tuple[tuple[str, str], ...]
    helpers: tuple[tuple[str, str], ...]
    foreign: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class PythonProgram:
    """A function with all that it calls, by key; `main` is the key of the function itself."""

    main: str
    functions: tuple[tuple[str, Written], ...]


def read(function: Callable[..., Any]) -> PythonProgram:
    """The source of a function and of the functions it calls. Raises UnsupportedError where there is none."""
    found: dict[str, Written] = {}
    waiting = [function]
    while waiting:
        f = waiting.pop()
        if _key(f) not in found:
            found[_key(f)], called = _written(f)
            waiting += called
    return PythonProgram(_key(function), tuple(found.items()))


def program(source: PythonProgram) -> Program:
    """The program a function stands for. Raises ParseError, ShapeError or UnsupportedError at the line of its file."""
    functions = dict(source.functions)
    main = functions[source.main]
    tree = _definition(main)
    statements = Statements(Builder(Graph()), Source(main.file, main.text))
    declarations = Declarations(statements)
    args = tree.args
    if args.vararg or args.kwarg:
        raise UnsupportedError("* and ** arguments are not part of the language", statements.span(tree), ANNOTATE)
    entries = [*args.posonlyargs, *args.args, *args.kwonlyargs]
    behind = [*args.posonlyargs, *args.args]
    defaults: dict[str, ast.expr | None] = dict(
        zip((a.arg for a in behind[len(behind) - len(args.defaults) :]), args.defaults, strict=True)
    )
    defaults |= {a.arg: d for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True)}
    for a in entries:
        if a.annotation is None:
            raise ParseError(f"'{a.arg}' has no annotation", statements.span(a), ANNOTATE)
    declarations.collect_dims(a.annotation for a in entries if a.annotation)
    _define_outer(statements, source)
    for name in {a.arg for a in entries} | set(statements.dims):
        statements.names.pop(name, None)
        statements.helpers.pop(name, None)
    for a in entries:
        assert a.annotation is not None
        declarations.declare(a.arg, a, a.annotation, defaults.get(a.arg))
    heading, body = title(tree.body)
    return declarations.program(heading, statements.result(body))


def _define_outer(statements: Statements, source: PythonProgram) -> None:
    """Makes known what names mean outside of each function: numbers and functions, each in the scope of its own."""
    scopes, helpers = {source.main: statements.scope}, {}
    for key, written in source.functions:
        scope = scopes.setdefault(key, Scope(Source(written.file, written.text), {}, {}, {}))
        scope.foreign.update(written.foreign)
        scope.names.update({name: Value(statements.build.const(number)) for name, number in written.numbers})
        with statements.within(scope):
            helpers[key] = statements.helper(_definition(written))
    for key, written in source.functions:
        scopes[key].helpers.update({name: helpers[called] for name, called in written.helpers})


# reading


def _key(function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None)
    name = getattr(function, "__qualname__", repr(function))
    return f"{name} {code.co_filename}:{code.co_firstlineno}" if code else name


def _written(function: Callable[..., Any]) -> tuple[Written, list[types.FunctionType]]:
    """The text of a function, with what its free names mean, and the functions among them."""
    name = getattr(function, "__name__", type(function).__name__)
    if not isinstance(function, types.FunctionType):
        raise UnsupportedError(f"'{name}' is not a Python function", hint="give a function written with def")
    if name == "<lambda>":
        raise UnsupportedError("a lambda cannot say what its inputs are", hint="write a function with def")
    if hasattr(function, "__wrapped__"):
        raise UnsupportedError(f"'{name}' is wrapped by a decorator", hint="give the function itself")
    try:
        lines, start = inspect.getsourcelines(function)
        file = inspect.getsourcefile(function) or function.__code__.co_filename
    except (OSError, TypeError):
        hint = "define it in a file, or give its text"
        raise UnsupportedError(f"the source of '{name}' cannot be found", hint=hint) from None
    block = "".join(lines)
    indented = block[:1].isspace()
    start = max(start, 1)
    text = "\n" * (start - 1 - indented) + ("if 1:\n" if indented else "") + block
    numbers: dict[str, int | float] = {}
    spelt: dict[str, str] = {}
    helpers: dict[str, types.FunctionType] = {}
    foreign: dict[str, str] = {}
    for free, value in _free(function).items():
        number = _number(value)
        if number is not None:
            numbers[free] = number
        elif isinstance(value, types.ModuleType) and value.__name__.split(".")[0] in LIBRARIES:
            spelt[free] = "math" if value.__name__ == "math" else "np"
        elif library := _library(value):
            spelt[free] = library
        elif isinstance(value, types.FunctionType):
            helpers[free] = value
        else:
            foreign[free] = type(value).__name__
    called = {free: _key(f) for free, f in helpers.items()}
    defaults = {name: number for name, value in _defaults(function).items() if (number := _number(value)) is not None}
    tables = (tuple(found.items()) for found in (defaults, numbers, spelt, called, foreign))
    return Written(file, text, *tables), list(helpers.values())  # type: ignore[arg-type]


def _number(value: object) -> int | float | None:
    """The value as a number of Python's, if it is a number."""
    if isinstance(value, np.integer | np.floating | np.bool_):
        value = value.item()
    return value if isinstance(value, bool | int | float) else None


def _defaults(function: types.FunctionType) -> dict[str, object]:
    """The values parameters default to: worked out by Python, when it ran the `def`."""
    values = function.__defaults__ or ()
    plain = function.__code__.co_varnames[: function.__code__.co_argcount]
    return dict(zip(plain[len(plain) - len(values) :], values, strict=True)) | (function.__kwdefaults__ or {})


def _library(value: Any) -> str | None:
    """What a function of NumPy's, SciPy's or the standard library's is called here; None if it is none of these."""
    module = (getattr(value, "__module__", None) or ("numpy" if isinstance(value, np.ufunc) else "")).split(".")[0]
    name: str | None = getattr(value, "__name__", None)
    if not callable(value) or module not in LIBRARIES or name is None:
        return None
    return f"{'math' if module == 'math' else 'np'}.{name}"


def _free(function: types.FunctionType) -> dict[str, object]:
    """The values of the names that a function takes from around it."""
    code = function.__code__
    found: dict[str, object] = {}
    for name in sorted(_all_names(code).difference(code.co_varnames)):
        if name in function.__globals__:
            found[name] = function.__globals__[name]
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # assigned later than this
            continue
    return found


def _all_names(code: types.CodeType) -> set[str]:
    inside = (c for c in code.co_consts if isinstance(c, types.CodeType))
    return set(code.co_names).union(*(_all_names(c) for c in inside))


def _definition(written: Written) -> ast.FunctionDef:
    tree = parse(Source(written.file, written.text))
    found = next((n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)), None)
    if not isinstance(found, ast.FunctionDef):
        raise UnsupportedError("expected a function written with def", Span(Source(written.file, written.text), 1, 1))
    found.decorator_list = []
    given = dict(written.defaults)
    args = found.args
    plain = [*args.posonlyargs, *args.args]
    for at, a in enumerate(plain[len(plain) - len(args.defaults) :]):
        args.defaults[at] = _constant(args.defaults[at], given.get(a.arg))
    args.kw_defaults = [
        d and _constant(d, given.get(a.arg)) for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True)
    ]
    return cast(ast.FunctionDef, _Spelling(dict(written.spelt)).visit(found))


class _Spelling(ast.NodeTransformer):
    """Puts what names of libraries stand for in their place: no name of the user's can then be meant."""

    def __init__(self, spelt: dict[str, str]) -> None:
        self.spelt = spelt

    def visit_Name(self, tree: ast.Name) -> ast.expr:
        module, _, function = self.spelt.get(tree.id, "").partition(".")
        if not module or not isinstance(tree.ctx, ast.Load):
            return tree
        name = ast.copy_location(ast.Name(module, ast.Load()), tree)
        return ast.copy_location(ast.Attribute(name, function, ast.Load()), tree) if function else name


def _constant(tree: ast.expr, number: int | float | None) -> ast.expr:
    """The number in the place of the expression it comes from."""
    return tree if number is None else ast.copy_location(ast.Constant(number), tree)
