"""How results look: on a terminal highlighted, in a pipe plain text that other programs can read.

Rich is imported where there is a terminal.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rich.text import Text

WHOLE = 24
"""Arrays with more elements are printed by their corners."""


def code(text: str, language: str = "python") -> None:
    """Prints a program."""
    if sys.stdout.isatty():
        from rich.syntax import Syntax

        _styled(Syntax(text, language, theme="ansi_dark").highlight(text.rstrip("\n")))
    else:
        print(text.rstrip("\n"))


def listing(text: str) -> None:
    """Prints a numbered listing, with its numbers and names set apart."""
    if sys.stdout.isatty():
        from rich.text import Text

        styled = Text(text.rstrip("\n"))
        styled.highlight_regex(r"(?m)^ *%\d+", "bold cyan")
        styled.highlight_regex(r"%\d+", "cyan")
        styled.highlight_regex(r"(?m)#.*$|(bool|int|float)(  over .*)?$", "dim")
        _styled(styled)
    else:
        print(text.rstrip("\n"))


def line(text: str, style: str = "") -> None:
    """Prints a line, in a style where the terminal has one."""
    if sys.stdout.isatty():
        from rich.text import Text

        _styled(Text(text, style))
    else:
        print(text)


def _styled(text: Text) -> None:
    from rich.console import Console

    Console(highlight=False).print(text, soft_wrap=True)


def numbers(value: Any) -> str:
    """A number with all its digits, an array with its shape if it is not shown whole."""
    array = np.asarray(value)
    if not array.shape:
        return repr(array.item())
    if array.size <= WHOLE:
        return np.array2string(array, separator=", ", max_line_width=100, precision=17, floatmode="unique")
    corners = np.array2string(array, threshold=0, edgeitems=3, separator=", ", max_line_width=100, precision=6)
    return f"array of {' x '.join(map(str, array.shape))}, norm {np.linalg.norm(array.ravel()):.6g}\n{corners}"


def assignments(values: Mapping[str, Any], indent: str = "  ") -> str:
    """`name = value` lines, aligned."""
    width = max(map(len, values), default=0)
    lines = []
    for name, value in values.items():
        head = f"{indent}{name:<{width}} = "
        first, *rest = numbers(value).splitlines()
        lines += [head + first, *((" " * len(head) + line).rstrip() for line in rest)]
    return "\n".join(lines)


def save(path: Path, arrays: Mapping[str, Any]) -> None:
    """Writes a `.npz` file. Unlike `numpy.savez`, any name will do."""
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        for name, value in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(value), allow_pickle=False)
