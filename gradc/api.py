"""`gradc.compile`: from whatever the user wrote to a Function. Reads as the pipeline."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from reprlib import repr as shown
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, Unpack, overload

from gradc.collector import paused, tidy
from gradc.errors import ParseError, Source, Span, UnsupportedError
from gradc.frontends.symbolic import Symbolic, is_sympy, symbolic
from gradc.function import Function
from gradc.program import Program
from gradc.runtime import recall

if TYPE_CHECKING:  # the pipeline is imported when it is started: not for a function that the cache has
    from gradc.derive import Derived
    from gradc.frontends.function import PythonProgram


class Options(TypedDict, total=False):
    """What `compile` takes beside the source."""

    wrt: Sequence[str] | Sequence[Any] | None
    dtype: str
    backend: str
    threads: int | str
    cache: bool
    fast_math_library: bool


@overload
def compile(source: Any, **options: Unpack[Options]) -> Function: ...
@overload
def compile(**options: Unpack[Options]) -> Callable[[Callable[..., Any]], Function]: ...
def compile(
    source: str | os.PathLike[str] | Callable[..., Any] | Any = ...,
    *,
    wrt: Sequence[str] | Sequence[Any] | None = None,
    dtype: str = "float64",
    backend: str = "numba",
    threads: int | str = "auto",
    cache: bool = True,
    fast_math_library: bool = True,
) -> Function | Callable[[Callable[..., Any]], Function]:
    """Compiles a loss. Without a source, a decorator with these options: `@gradc.compile(dtype="float32")`.

    `source` is a path ending in `.gradc`, the text of a program, one plain expression, whose free names become scalar
    params in order of first appearance, a SymPy expression, or a Python function, which is read and never called. `wrt`
    names the inputs to differentiate by (or gives SymPy's symbols); all params by default.
    `dtype` is "float64", or "float32" to store and compute in float32, sums over rows in float64.
    `backend` is "numba", or "python" to run the generated source uncompiled. `cache=False` keeps nothing on disk.
    `fast_math_library=False` takes `exp`, `log`, `sin` ... from the C library, where gradc has its own, which work on
    vectors and are within 3 units in the last place.

    Raises ParseError, ShapeError or UnsupportedError with file, line and column; OSError if a file cannot be read.
    """
    options: Options = {
        "wrt": wrt,
        "dtype": dtype,
        "backend": backend,
        "threads": threads,
        "cache": cache,
        "fast_math_library": fast_math_library,
    }
    if source is ...:
        return lambda function: compile(function, **options)
    origin = symbolic(source, wrt) if is_sympy(source) else _read(source)
    if isinstance(origin, Symbolic):
        options["wrt"] = origin.names()
    return restore(origin, _checked(**options))


def restore(origin: Origin, options: dict[str, Any]) -> Function:
    """A Function from its source and checked options; with what the cache has of it from an earlier process."""
    may_be_kept = options["cache"] and options["backend"] == "numba" and not isinstance(origin, Symbolic)
    kept = recall.name(repr(origin), options) if may_be_kept else None
    outline = recall.outline(kept) if kept else None
    if outline is not None:
        return Function(outline, lambda: _derived(origin, options), origin, options, restore, kept)
    return Function.of(_derived(origin, options), origin, options, restore, kept)


def _derived(origin: Origin, options: dict[str, Any]) -> Derived:
    from gradc.derive import derive

    tidy()
    with paused():
        return derive(_program(origin), options["wrt"])


def _program(origin: Origin) -> Program:
    if isinstance(origin, Symbolic):
        return origin.program()
    if isinstance(origin, tuple):
        return parse(*origin[::-1])
    from gradc.frontends import function

    return function.program(origin)


def parse(text: str, name: str = "<text>") -> Program:
    """A program or a plain expression. Raises ParseError, ShapeError or UnsupportedError."""
    from gradc.frontends import text as frontend

    if name == EXPRESSION and not frontend.is_expression(text, name):
        raise ParseError("expected one expression", Span(Source(name, text), 1, 1), "declarations go into a program")
    if name == EXPRESSION:
        return frontend.expression(text)
    return frontend.program_or_expression(text) if name == TEXT else frontend.program(text, name)


def _read(source: str | os.PathLike[str] | Callable[..., Any]) -> Origin:
    """(name, text) of a source, or a function by its text."""
    if callable(source):
        from gradc.frontends import function

        return function.read(source)
    if isinstance(source, str):
        source = str.__str__(source)  # and not one of a subclass, with ways of its own
    named = isinstance(source, str) and source.endswith(".gradc") and not {"\n", "\0"} & set(source)
    if isinstance(source, os.PathLike) or named:
        data = Path(source).read_bytes()
        name = str(source)
        try:
            return name, data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            column = error.start - data.rfind(b"\n", 0, error.start)
            raise ParseError("not a text file", Span(Source(name, ""), line, column), "expected UTF-8 text") from None
    if not isinstance(source, str):
        raise UnsupportedError(
            f"{type(source).__name__} is no source",
            hint="give a path, the text of a program, an expression, a Python function or a SymPy expression",
        )
    return TEXT, source


def _checked(**options: Any) -> dict[str, Any]:
    wrt, threads = options["wrt"], options["threads"]
    if isinstance(wrt, str):
        options["wrt"] = (str.__str__(wrt),)
    elif wrt is not None:
        if not isinstance(wrt, Iterable):
            raise UnsupportedError(f"wrt={shown(wrt)}", hint="give a list of names")
        options["wrt"] = tuple(str.__str__(str(name)) for name in wrt)
    if options["dtype"] not in ("float64", "float32"):
        raise UnsupportedError(f"dtype {shown(options['dtype'])} is not known", hint='use "float64" or "float32"')
    if options["backend"] not in ("numba", "python"):
        raise UnsupportedError(f"backend {shown(options['backend'])} is not known", hint='use "numba" or "python"')
    if threads != "auto" and (not isinstance(threads, int) or isinstance(threads, bool) or threads < 1):
        raise UnsupportedError(f"threads={shown(threads)}", hint='use a positive integer or "auto"')
    if not isinstance(options["fast_math_library"], bool):
        raise UnsupportedError(f"fast_math_library={shown(options['fast_math_library'])}", hint="use True or False")
    return options


Origin: TypeAlias = "tuple[str, str] | PythonProgram | Symbolic"
"""What a Function is made of again from a pickle: (name, text), a function by its text, or a SymPy expression."""
EXPRESSION, TEXT = "<expression>", "<text>"
