"""`gradc new` and `gradc cache`: programs to start from, and what gradc keeps on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gradc import resources
from gradc.cli import output
from gradc.errors import InputError, did_you_mean
from gradc.runtime import cache as compiled


def new(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Which one; without it, they are listed.")] = None,
) -> None:
    """Write a starter program to NAME.gradc."""
    starters = {path.stem: path for path in sorted(resources.path("examples").glob("*.gradc"))}
    if name is None:
        width = max(map(len, starters), default=0)
        for stem, path in starters.items():
            output.line(f"{stem:<{width}}  {_title(path)}".rstrip())
        return
    if name not in starters:
        raise InputError(
            f"there is no starter '{name}'", hint=did_you_mean(name, starters) or f"starters: {', '.join(starters)}"
        )
    target = Path(f"{name}.gradc")
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(starters[name].read_text(encoding="utf-8"))
    except FileExistsError:
        raise InputError(f"{target} is there already", hint="it is left as it is") from None
    output.line(f"wrote {target}")


def _title(path: Path) -> str:
    first = path.read_text(encoding="utf-8").split("\n", 1)[0].strip()
    return first.strip('"') if first.startswith('"""') else ""


def cache(clear: Annotated[bool, typer.Option("--clear", help="Delete it.")] = False) -> None:
    """Print where compiled code is kept, and how much there is."""
    count, size = compiled.usage()
    output.line(str(compiled.directory()))
    what = f"{count} {'entry' if count == 1 else 'entries'}, {_size(size)}"
    if clear:
        compiled.clear()
        what = f"deleted {what}"
    output.line(what)


def _size(size: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}" if unit != "bytes" else f"{size} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
