"""Python functions as programs: read by their source, never called."""

from __future__ import annotations

import ast
import dis
import functools
import inspect
import linecache
import re
import types
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from msgspec import Struct

from gradc.build import Builder
from gradc.errors import ParseError, Source, Span, UnsupportedError
from gradc.frontends.declarations import Declarations
from gradc.frontends.helpers import Scope
from gradc.frontends.statements import Statements
from gradc.frontends.syntax import parse, title
from gradc.ir import Graph
from gradc.lower.expressions import number_of
from gradc.program import Program, Value

LIBRARIES = frozenset({"numpy", "math", "scipy", "gradc"})
SCIPY_DIFFERS = {
    "softmax": "SciPy's is over all axes, softmax(x) over the last one",
    "log_softmax": "SciPy's is over all axes, log_softmax(x) over the last one",
    "huber": "SciPy's is huber(delta, r), gradc's huber(r, delta)",
    "cholesky": "SciPy's is the upper factor, np.linalg.cholesky(x) the lower one",
}
"""Functions of SciPy's that have a namesake here with another meaning."""
FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, np.ufunc)
TYPE_NAME, TYPE_MODULE = type.__dict__["__name__"], type.__dict__["__module__"]
"""The name and the module of a type, whatever its metaclass makes of them."""
CHANGED = "the file has changed since it was imported, or the function was not made from it: import it anew"
ANNOTATE = 'annotate it: w: gradc.param["d"], b: gradc.param, x: gradc.data["n", "d"], k: gradc.index'


class Written(Struct, frozen=True):
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


class PythonProgram(Struct, frozen=True):
    """A function with all that it calls, by key; `main` is the key of the function itself."""

    main: str
    functions: tuple[tuple[str, Written], ...]


def read(function: Callable[..., Any]) -> PythonProgram:
    """The source of a function and of the functions it calls. Raises UnsupportedError where there is none."""
    found: dict[str, Written] = {}
    keys = _Keys()
    waiting = [function]
    while waiting:
        f = waiting.pop()
        if keys.of(f) not in found:
            found[keys.of(f)], called = _written(f, keys)
            waiting += called
    return PythonProgram(keys.of(function), tuple(found.items()))


def program(source: PythonProgram) -> Program:
    """The program a function stands for. Raises ParseError, ShapeError or UnsupportedError at the line of its file."""
    functions = dict(source.functions)
    main = functions[source.main]
    tree = _definition(main)
    statements = Statements(Builder(Graph()), Source(main.file, main.text))
    statements.ends_bare = False
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
    called = {key for _, written in source.functions for _, key in written.helpers}
    for key, written in source.functions:
        scope = scopes.setdefault(key, Scope(Source(written.file, written.text), {}, {}, {}))
        scope.foreign.update(written.foreign)
        scope.names.update({name: Value(statements.build.const(number)) for name, number in written.numbers})
        if key in called:
            with statements.within(scope):
                helpers[key] = statements.helper(_definition(written))
    for key, written in source.functions:
        scopes[key].helpers.update({name: helpers[k] for name, k in written.helpers})


# reading


class _Keys:
    """A key for each function. Those that one `def` has made differ in what their names mean, and are counted."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[str, Callable[..., Any]]] = {}
        self.made: Counter[str] = Counter()

    def of(self, function: Callable[..., Any]) -> str:
        if id(function) not in self.known:
            code = getattr(function, "__code__", None)
            name = getattr(function, "__qualname__", type(function).__name__)
            place = f"{name} {code.co_filename}:{code.co_firstlineno}" if code else name
            self.made[place] += 1
            key = place if self.made[place] == 1 else f"{place} {self.made[place]}"
            self.known[id(function)] = key, function  # which is kept, so that no other one gets its id
        return self.known[id(function)][0]


def _written(function: Callable[..., Any], keys: _Keys) -> tuple[Written, list[types.FunctionType]]:
    """The text of a function, with what its free names mean, and the functions among them."""
    _check_kind(function)
    assert isinstance(function, types.FunctionType)
    file, text = _text(function)
    numbers: dict[str, int | float] = {}
    spelt: dict[str, str] = {}
    helpers: dict[str, types.FunctionType] = {}
    foreign: dict[str, str] = {}
    for free, value in _free(function).items():
        number = _number(value)
        if number is not None:
            numbers[free] = number
        elif type(value) is types.ModuleType and value.__name__.split(".")[0] in LIBRARIES:
            root = value.__name__.split(".")[0]
            spelt[free] = root if root in ("math", "scipy") else "np"
        elif library := _library(value):
            spelt[free] = library
        elif type(value) is types.FunctionType and _is_helper(value):
            helpers[free] = value
        else:
            foreign[free] = TYPE_NAME.__get__(type(value))
    called = {free: keys.of(f) for free, f in helpers.items()}
    defaults = {name: number for name, value in _defaults(function).items() if (number := _number(value)) is not None}
    tables = (tuple(found.items()) for found in (defaults, numbers, spelt, called, foreign))
    return Written(file, text, *tables), list(helpers.values())  # type: ignore[arg-type]


def _check_kind(function: Callable[..., Any]) -> None:
    """Raises UnsupportedError for what is callable, and no function written with def."""
    name = getattr(function, "__name__", type(function).__name__)
    if isinstance(function, functools.partial):
        hint = "give the function itself, the values as defaults or as names from outside"
        raise UnsupportedError("a functools.partial has no text", _place(function.func), hint)
    if hasattr(function, "__wrapped__"):
        hint = "give the function without the decorator"
        raise UnsupportedError(f"'{name}' is wrapped by a decorator", _place(function.__wrapped__), hint)
    if not isinstance(function, types.FunctionType):
        place = _place(getattr(function, "__func__", None))
        raise UnsupportedError(f"'{name}' is not a Python function", place, "give a function written with def")
    if function.__code__.co_name == "<lambda>":
        hint = "write a function with def"
        raise UnsupportedError("a lambda cannot say what its inputs are", _place(function), hint)


def _place(function: object) -> Span | None:
    """The line at which a function begins, None if its file cannot be read."""
    if type(function) is not types.FunctionType:
        return None
    code = function.__code__
    source = Source(code.co_filename, "".join(linecache.getlines(code.co_filename, function.__globals__)))
    line = source.line(code.co_firstlineno)
    start = re.search(r"\blambda\b", line) or re.search(r"\S+", line)
    return Span(source, code.co_firstlineno, start.start() + 1, len(start[0])) if start else None


def _text(function: types.FunctionType) -> tuple[str, str]:
    """The file of a function, and a text in which it stands at its own line. Raises UnsupportedError."""
    name = function.__code__.co_name
    try:
        lines, start = inspect.getsourcelines(function)
        file = inspect.getsourcefile(function) or function.__code__.co_filename
    except (OSError, TypeError, SyntaxError, IndexError):
        hint = "define it in a file, or give its text"
        raise UnsupportedError(f"the source of '{name}' cannot be found", hint=hint) from None
    block = "".join(lines)
    indented = block[:1] in (" ", "\t")
    text = "\n" * (max(start, 1) - 1 - indented) + ("if 1:\n" if indented else "") + block
    try:
        found = _first_definition(text, file)
    except ParseError as error:
        raise UnsupportedError(f"the source of '{name}' cannot be read: {error.message}", error.span, CHANGED) from None
    if found is None or not _is_source_of(found, function.__code__):
        raise UnsupportedError(
            f"what stands in the place of '{name}' is something else",
            Span(Source(file, text), max(start, 1), 1),
            CHANGED,
        )
    return file, text


def _first_definition(text: str, file: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    tree = parse(Source(file, text))
    return next((n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)), None)


def _is_source_of(tree: ast.FunctionDef | ast.AsyncFunctionDef, code: types.CodeType) -> bool:
    """Whether a definition is what a function was made from: files change. Compiles it to compare, and runs nothing."""
    closed = " = ".join((*code.co_freevars, "0"))
    keyword = "def" if isinstance(tree, ast.FunctionDef) else "async def"
    around = ast.parse(f"def around():\n {closed}\n {keyword} _written(): pass")
    (definition,) = (n for n in ast.walk(around) if getattr(n, "name", "") == "_written")
    assert isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef)
    definition.args, definition.body = tree.args, tree.body
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python has said what it thinks of this text when it imported it
            outer = compile(around, "<around>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    inside = _nested(_nested(outer, "around"), "_written")
    return inside is not None and _same(inside, code)


def _nested(code: types.CodeType | None, name: str) -> types.CodeType | None:
    inside = (c for c in (code.co_consts if code else ()) if isinstance(c, types.CodeType))
    return next((c for c in inside if c.co_name == name), None)


def _same(a: types.CodeType, b: types.CodeType) -> bool:
    """Whether two codes do the same with the same names and numbers, wherever they stand."""
    if a.co_varnames != b.co_varnames:
        return False
    steps, others = (
        [i for i in dis.get_instructions(code) if i.opname not in ("PUSH_NULL", "PRECALL")] for code in (a, b)
    )
    return len(steps) == len(others) and all(map(_same_step, steps, others))


def _same_step(a: dis.Instruction, b: dis.Instruction) -> bool:
    """Jumps may have other targets; how an attribute is fetched depends on the imports around."""
    names = ["LOAD_ATTR" if i.opname == "LOAD_METHOD" else i.opname for i in (a, b)]
    if names[0] != names[1]:
        return False
    if isinstance(a.argval, types.CodeType) and isinstance(b.argval, types.CodeType):
        return _same(a.argval, b.argval)
    if isinstance(a.argval, str) and "<locals>" in a.argval:
        return True  # the long name of something defined inside
    return a.opcode in (*dis.hasjrel, *dis.hasjabs) or repr(a.argval) == repr(b.argval)


def _is_helper(function: types.FunctionType) -> bool:
    """Whether a function may be read: not a library's, no lambda, nothing that is wrapped."""
    ours = str(function.__module__).split(".")[0] not in LIBRARIES
    return ours and function.__code__.co_name != "<lambda>" and not hasattr(function, "__wrapped__")


def _number(value: object) -> int | float | None:
    """The value as a number of Python's, if it is a number."""
    if issubclass(type(value), np.integer | np.floating | np.bool_):
        value = value.item()  # type: ignore[attr-defined]
    if type(value) is bool:
        return value
    for kind in (int, float):
        if issubclass(type(value), kind):
            return number_of(kind.__pos__(value))  # type: ignore[arg-type]
    return None


def _defaults(function: types.FunctionType) -> dict[str, object]:
    """The values parameters default to: worked out by Python, when it ran the `def`."""
    values = function.__defaults__ or ()
    plain = function.__code__.co_varnames[: function.__code__.co_argcount]
    return dict(zip(reversed(plain), reversed(values), strict=False)) | (function.__kwdefaults__ or {})


def _library(value: object) -> str | None:
    """What a function of NumPy's, SciPy's or the standard library's is called here; None if it is none of these."""
    if not (type(value) in FUNCTIONS or TYPE_MODULE.__get__(type(value)) == "numpy"):
        return None
    module, name = getattr(value, "__module__", None), getattr(value, "__name__", None)
    if type(value) is np.ufunc:  # these do not tell whose they are
        module = "numpy" if getattr(np, value.__name__, None) is value else "scipy"
    if not (isinstance(module, str) and isinstance(name, str)):
        return None
    root = module.split(".")[0]
    if root not in LIBRARIES or (root == "scipy" and name in SCIPY_DIFFERS):
        return None
    return f"{'math' if root == 'math' else 'np'}.{name}"


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
    source = Source(written.file, written.text)
    found = _first_definition(written.text, written.file)
    if not isinstance(found, ast.FunctionDef):
        line = 1 if found is None else found.lineno
        raise UnsupportedError("expected a function written with def", Span(source, line, 1))
    found.decorator_list = []
    given = dict(written.defaults)
    args = found.args
    plain = [*args.posonlyargs, *args.args]
    for at, a in enumerate(plain[len(plain) - len(args.defaults) :]):
        args.defaults[at] = _constant(args.defaults[at], given.get(a.arg))
    args.kw_defaults = [
        d and _constant(d, given.get(a.arg)) for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True)
    ]
    for a in (*plain, *args.kwonlyargs):
        a.annotation = a.annotation and _unquoted(a.annotation)
    return cast(ast.FunctionDef, _Spelling(dict(written.spelt), source).visit(found))


class _Spelling(ast.NodeTransformer):
    """Puts what names of libraries stand for in their place: no name of the user's can then be meant."""

    def __init__(self, spelt: dict[str, str], source: Source) -> None:
        self.spelt, self.source = spelt, source

    def visit_Attribute(self, tree: ast.Attribute) -> ast.expr:
        base = tree.value
        while isinstance(base, ast.Attribute):
            base = base.value
        scipy = isinstance(base, ast.Name) and self.spelt.get(base.id) == "scipy"
        if scipy and tree.attr in SCIPY_DIFFERS:
            end = tree.end_col_offset if tree.end_lineno == tree.lineno else None
            span = self.source.span(tree.lineno, tree.col_offset, end)
            message = f"SciPy's {tree.attr} means something else than gradc's"
            raise UnsupportedError(message, span, SCIPY_DIFFERS[tree.attr])
        self.generic_visit(tree)
        return tree

    def visit_Name(self, tree: ast.Name) -> ast.expr:
        module, _, function = self.spelt.get(tree.id, "").partition(".")
        if not module or not isinstance(tree.ctx, ast.Load):
            return tree
        name = ast.copy_location(ast.Name("np" if module == "scipy" else module, ast.Load()), tree)
        return ast.copy_location(ast.Attribute(name, function, ast.Load()), tree) if function else name


def _unquoted(tree: ast.expr) -> ast.expr:
    """An annotation that is written as a string, as what the string says."""
    if not (isinstance(tree, ast.Constant) and isinstance(tree.value, str)):
        return tree
    try:
        inside = ast.parse(tree.value.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return tree
    for n in ast.walk(inside):
        ast.copy_location(n, tree)
    return inside


def _constant(tree: ast.expr, number: int | float | None) -> ast.expr:
    """The number in the place of the expression it comes from."""
    return tree if number is None else ast.copy_location(ast.Constant(number), tree)
