"""What commands have in common: the program they work on and the inputs they give it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from msgspec import Struct

from gradc.api import restore
from gradc.datasets import Inputs, choice, complete, dimension, load, missing, setting
from gradc.errors import InputError, ParseError, Source, Span
from gradc.fit import start
from gradc.function import Function
from gradc.program import Program

T = TypeVar("T")

File = Annotated[str | None, typer.Argument(metavar="FILE", help="A .gradc file, or - for standard input.")]
Expression = Annotated[
    str | None,
    typer.Option(
        "-e", "--expression", metavar="EXPRESSION", help="An expression instead of a file; its names are params."
    ),
]
Data = Annotated[
    list[Path] | None,
    typer.Option("--data", metavar="FILE", help="Inputs: .npz by array name, .csv and .parquet by column. Repeatable."),
]
Columns = Annotated[
    list[str] | None,
    typer.Option("--columns", metavar="NAME=A,B,..", help="The columns of a table that feed an input. Repeatable."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", "--at", metavar="NAME=VALUE", help="An input: a number, or a list as [1, 2.5]. Repeatable."),
]
Random = Annotated[
    int | None, typer.Option("--random", metavar="SEED", min=0, help="Draw the inputs that are not given.")
]
Dims = Annotated[
    list[str] | None,
    typer.Option("--dim", metavar="NAME=LENGTH", help="The length of a dim, for what is drawn. Repeatable."),
]


def read_source(file: str | None, expression: str | None) -> Source:
    """The program's name and text. Raises ParseError for what is not text, OSError for what cannot be read."""
    if (file is None) == (expression is None):
        raise typer.BadParameter("give either a FILE or -e EXPRESSION")
    if expression is not None:
        return Source("<expression>", expression)
    assert file is not None
    name = "<stdin>" if file == "-" else file
    if file == "-" and sys.stdin is None:
        raise InputError("standard input is closed: nothing to read")
    content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    try:
        return Source(name, content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ParseError("not a text file", Span(Source(name, ""), 1, 1), "expected a program in UTF-8") from None


def compiled(source: Source, wrt: tuple[str, ...] | None = None) -> Function:
    """The program as `gradc.compile` makes it, under its own name in messages and comments."""
    options = {
        "wrt": wrt,
        "dtype": "float64",
        "backend": "numba",
        "threads": "auto",
        "cache": True,
        "fast_math_library": True,
    }
    return restore((source.name, source.text), options)


class InputOptions(Struct, frozen=True):
    """The options that give inputs, as they were typed."""

    data: list[Path] | None
    columns: list[str] | None
    settings: list[str] | None
    random: int | None
    dims: list[str] | None

    def complete(self, program: Program, start_seed: int | None = None) -> Inputs:
        """All inputs; with `start_seed`, params not given are where a minimisation starts. Raises InputError."""
        columns = _by_name("--columns", map(choice, self.columns or ()))
        settings = _by_name("--set", map(setting, self.settings or ()))
        dims = _by_name("--dim", map(dimension, self.dims or ()))
        given = load(self.data or (), program.inputs, columns) | settings
        if start_seed is not None:
            data = [i.name for i in program.inputs if i.kind != "param" and i.default is None]
            if self.random is None and not given.keys() >= set(data) and not dims:
                raise missing(program, given)
            given |= start(program, given, dims, start_seed)
        return complete(program, given, dims, self.random)


def _by_name(option: str, pairs: Iterable[tuple[str, T]]) -> dict[str, T]:
    found: dict[str, T] = {}
    for name, value in pairs:
        if name in found:
            raise InputError(f"{option} gives '{name}' twice")
        found[name] = value
    return found
