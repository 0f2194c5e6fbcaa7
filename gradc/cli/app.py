"""The application: its commands, each in a module of its own floor."""

from __future__ import annotations

import typer

from gradc.cli import fitting, programs, starters, values

app = typer.Typer(
    name="gradc",
    help="Losses in, readable fused gradient functions out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    programs.compile,
    programs.show,
    values.eval,
    values.check,
    fitting.fit,
    starters.new,
    starters.cache,
):
    app.command()(command)
