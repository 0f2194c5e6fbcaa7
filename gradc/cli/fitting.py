"""`gradc fit`: a program's params where its value is smallest."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

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
from gradc.cli.values import archive_suffix
from gradc.errors import InputError, Source
from gradc.fit import EPOCHS, Fit, Progress, Step
from gradc.fit import fit as minimise
from gradc.frontends.syntax import parse


class Method(StrEnum):
    """How to minimise."""

    lbfgs = "lbfgs"
    gd = "gd"
    sgd = "sgd"
    adam = "adam"


def fit(
    file: File = None,
    expression: Expression = None,
    data: Data = None,
    columns: Columns = None,
    settings: Settings = None,
    random: Random = None,
    dims: Dims = None,
    method: Annotated[Method, typer.Option("--method", help="How.")] = Method.lbfgs,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=0, help="Passes over the data, iterations of lbfgs and gd, at most.")
    ] = None,
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Rows at a time, for sgd and adam.")] = None,
    lr: Annotated[float | None, typer.Option("--lr", help="Learning rate, for gd, sgd and adam.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of drawn starts and of the order of rows.")] = 0,
    reports: Annotated[
        list[str] | None,
        typer.Option(
            "--report", metavar="EXPRESSION", help="Evaluate this in place of the program's result. Repeatable."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="OUT.npz", help="Write the params to a file of arrays.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw the loss, as .png, .svg or .pdf.")
    ] = None,
) -> None:
    """Minimise the value over the params.

    Params start where they are given, else at their defaults; else numbers start at 0 and arrays at small draws.
    """
    archive_suffix(out)
    figure = None if plot is None else _figure(plot)
    source = read_source(file, expression)
    function = compiled(source)
    asked = {text: compiled(with_result(source, text), wrt=()) for text in reports or ()}
    inputs = InputOptions(data, columns, settings, random, dims).complete(function.program, start_seed=seed)
    with _progress(method, EPOCHS[method] if epochs is None else epochs) as progress:
        found = minimise(
            function, inputs, method.value, epochs=epochs, lr=lr, batch=batch, seed=seed, progress=progress
        )
    _summary(found, method)
    for text, report in asked.items():
        output.line(f"{text} = {output.numbers(report(**{**inputs, **found.params}))}")
    if out is not None:
        output.save(out, found.params)
    if figure is not None and plot is not None:
        _draw(figure, found, plot)


def with_result(source: Source, expression: str) -> Source:
    """The program with an expression in place of its last statement."""
    body = parse(source).body
    if not body:
        return Source("<report>", expression)
    lines = source.lines[: body[-1].lineno]
    lines[-1] = lines[-1].encode()[: body[-1].col_offset].decode()
    return Source("<report>", "\n".join(lines) + ("\n" if lines[-1].strip() else "") + expression)


@contextmanager
def _progress(method: str, epochs: int) -> Iterator[Progress]:
    """Shows steps as they come: a bar on a terminal; in a pipe lines, every one at first, then ever fewer."""
    if not sys.stdout.isatty():
        yield lambda step: _told(step.iteration) and print(_line(step), flush=True)
        return
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    with Bar(BarColumn(20), TextColumn("{task.description}"), TimeElapsedColumn(), transient=True) as bar:
        task = bar.add_task(method, total=epochs if method in ("sgd", "adam") else None)
        yield lambda step: bar.update(task, completed=step.iteration, description=_line(step))


def _told(iteration: int) -> bool:
    """1, 2, 5, 10, 20, 50, ..."""
    return str(iteration).rstrip("0") in ("", "1", "2", "5")


def _line(step: Step) -> str:
    return f"{step.iteration:>6}  loss {step.loss:<22.16g}  gradient norm {step.gradient_norm:.3g}"


def _summary(found: Fit, method: str) -> None:
    first, last = found.history[0], found.history[-1]
    output.line(f"loss at the start  {first.loss!r}")
    output.line(f"loss at the end    {last.loss!r}", "bold")
    output.line(f"gradient norm      {last.gradient_norm:.3g}")
    output.line(
        f"{'iterations' if method in ('lbfgs', 'gd') else 'epochs':<18} {last.iteration} ({method}: {found.message})"
    )
    output.line(output.assignments(found.params))


def _figure(plot: Path) -> Any:
    if plot.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise typer.BadParameter("expected a .png, .svg or .pdf file", param_hint="'--plot'")
    try:
        return importlib.import_module("matplotlib.figure").Figure(figsize=(6, 4), layout="constrained")
    except ImportError:
        raise InputError("--plot needs matplotlib", hint="pip install gradc[plot]") from None


def _draw(figure: Any, found: Fit, plot: Path) -> None:
    losses = [step.loss for step in found.history]
    axes = figure.add_subplot(xlabel="iteration", ylabel="loss", yscale="log" if min(losses) > 0 else "linear")
    axes.plot([step.iteration for step in found.history], losses)
    figure.savefig(plot, dpi=150)
