"""Names of inputs and lengths: SymPy's symbols may be called anything, Python's arguments may not."""

from __future__ import annotations

import keyword
import re
import unicodedata

from gradc.errors import ParseError
from gradc.frontends.declarations import RESERVED
from gradc.frontends.sympy.forms import Part
from gradc.frontends.sympy.walk import place

LATEX = re.compile(r"\\?([^\W\d_]\w*?)(?:_\{(\w+(?:, ?\w+)*)\})?")
r"""`\alpha`, `x_{1}`, `\beta_{i, j}`: a command, and a subscript in braces."""

LONGEST = 100
"""No name has more characters."""


class Names:
    """One symbol for each name."""

    def __init__(self) -> None:
        self.symbols: dict[str, Part] = {}

    def claim(self, symbol: Part) -> str:
        """The name of a symbol in generated code. Raises ParseError if it has none, or another symbol has it."""
        name = self.of(symbol)
        other = self.symbols.setdefault(name, symbol)
        if other is not symbol and other != symbol:
            raise ParseError(
                f"two different symbols are called '{name}'",
                place(symbol),
                "assumptions and shapes tell symbols apart: make a symbol once and use it everywhere",
            )
        return name

    def of(self, symbol: Part) -> str:
        given = spelt(symbol)
        name = identifier(given)
        if name is None:
            hint = f"a name starts with a letter, is no keyword, and has up to {LONGEST} letters, digits and _"
            raise ParseError(f"{shown(given)} cannot be the name of an input", place(symbol), hint)
        return name


def spelt(symbol: Part) -> str:
    """What the user calls a symbol, an array or an index."""
    label = getattr(symbol, "label", symbol)
    name = getattr(label, "name", label)
    return str.__str__(name) if isinstance(name, str) else str(name)


def shown(name: str) -> str:
    """A name in a message, on one line whatever it is."""
    return repr(name if len(name) <= 40 else name[:40] + "...")


def identifier(given: str) -> str | None:
    """A name as an identifier, LaTeX's written out (`x_{1}` is x_1); None if it cannot be one."""
    text = unicodedata.normalize("NFKC", given[: LONGEST + 1])
    if len(text) > LONGEST:
        return None
    if not text.isidentifier():
        latex = LATEX.fullmatch(text)
        if latex is None:
            return None
        text = "_".join([latex[1], *re.split(r", ?", latex[2])] if latex[2] else [latex[1]])
    return None if text.startswith("_") or keyword.iskeyword(text) or text in RESERVED else text
