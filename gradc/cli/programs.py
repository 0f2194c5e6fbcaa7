"""`gradc compile` and `gradc show`: what the compiler makes of a program."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gradc.cli import output
from gradc.cli.arguments import Expression, File, compiled, read_source
from gradc.errors import UnsupportedError


class View(StrEnum):
    """What can be shown."""

    source = "source"
    graph = "graph"
    adjoint = "adjoint"
    latex = "latex"


def compile(
    file: File = None,
    expression: Expression = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="OUT", help="Where to write it: OUT.py or OUT.c.")
    ] = None,
) -> None:
    """Write the generated code."""
    if out is not None and out.suffix not in (".py", ".c"):
        raise typer.BadParameter("expected OUT.py or OUT.c", param_hint="'-o'")
    if out is not None and out.suffix == ".c":
        raise UnsupportedError("C code is not supported yet", hint="write OUT.py")
    source = compiled(read_source(file, expression)).source
    if out is None:
        output.code(source)
    else:
        out.write_text(source, encoding="utf-8")


def show(
    file: File = None,
    expression: Expression = None,
    view: Annotated[View, typer.Option("--as", help="What to show.")] = View.source,
) -> None:
    """Print the generated code, the graph of the value, or that of value and gradient."""
    function = compiled(read_source(file, expression))
    if view is View.source:
        output.code(function.source)
    elif view is View.graph:
        output.listing(str(function.graph))
    elif view is View.adjoint:
        output.listing(function.adjoint_listing)
    else:
        latex = getattr(function, "latex", None)
        if latex is None:
            raise UnsupportedError("LaTeX is not supported yet", hint="show it --as source, graph or adjoint")
        output.code(latex, "latex")
