"""`gradc eval` and `gradc check`: a program at a point."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gradc.cli import output
from gradc.cli.arguments import (
    Columns,
    Data,
    Dims,
    Expression,
    File,
    InputOptions,
    Random,
    Settings,
    compiled,
    read_source,
)
from gradc.errors import UnsupportedError

Archive = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="OUT.npz", help="Write the results to a file of arrays.")
]


def eval(
    file: File = None,
    expression: Expression = None,
    data: Data = None,
    columns: Columns = None,
    settings: Settings = None,
    random: Random = None,
    dims: Dims = None,
    grad: Annotated[bool, typer.Option("--grad", help="The gradient too.")] = False,
    out: Archive = None,
) -> None:
    """Print the value at a point, and the gradient."""
    archive_suffix(out)
    function = compiled(read_source(file, expression))
    inputs = InputOptions(data, columns, settings, random, dims).complete(function.program)
    gradient = {}
    if grad:
        value, found = function.value_and_grad(**inputs)
        gradient = found._asdict()
    else:
        value = function(**inputs)
    if out is not None:
        if "value" in gradient:
            raise UnsupportedError("the file would hold two arrays named 'value'", hint="give the input another name")
        output.save(out, {"value": value, **gradient})
    if not grad:
        print(output.numbers(value))
        return
    output.line(f"value = {output.numbers(value)}", "bold")
    output.line("gradient")
    output.line(output.assignments(gradient))


def check(
    file: File = None,
    expression: Expression = None,
    data: Data = None,
    columns: Columns = None,
    settings: Settings = None,
    random: Random = None,
    dims: Dims = None,
) -> None:
    """Compare the gradient with differences of the value; exit with 1 if it is wrong."""
    function = compiled(read_source(file, expression))
    report = function.check(**InputOptions(data, columns, settings, random, dims).complete(function.program))
    output.line(str(report), "green" if report.ok else "red")
    if not report.ok:
        raise typer.Exit(1)


def archive_suffix(out: Path | None) -> None:
    """Raises BadParameter for a file that is not called `.npz`."""
    if out is not None and out.suffix != ".npz":
        raise typer.BadParameter("expected OUT.npz", param_hint="'-o'")
