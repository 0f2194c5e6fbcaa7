"""Errors that users see: a place in their text, the line, a caret, what was expected, what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from functools import cached_property

from msgspec import Struct


class Source(Struct, frozen=True, dict=True):
    """A text the user wrote, and the name it goes by in messages."""

    name: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        """The lines as Python's parser counts them: other separators that Unicode knows do not end one."""
        return re.split(r"\r\n|\r|\n", self.text)

    @cached_property
    def is_ascii(self) -> bool:
        return self.text.isascii()

    def line(self, number: int) -> str:
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def span(self, number: int, start: int, end: int | None) -> Span:
        """The bytes of a line from `start` below `end`, or to the line's end: Python's parser counts in bytes."""
        if end is not None and self.is_ascii:
            return Span(self, number, start + 1, max(1, end - start))
        text = self.line(number)
        if text.isascii():
            return Span(self, number, start + 1, max(1, (len(text) if end is None else end) - start))
        code = text.encode()
        column = len(code[:start].decode(errors="ignore")) + 1
        return Span(self, number, column, max(1, len(code[start:end].decode(errors="ignore"))))


class Span(Struct, frozen=True):
    """A stretch of one line of a source: lines and columns count from 1, in characters."""

    source: Source
    line: int
    column: int
    width: int = 1

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"

    def excerpt(self) -> str:
        """The line and a caret below the stretch; a long line is cut around it."""
        text = "".join(c if c.isprintable() else " " for c in self.source.line(self.line))
        start = max(0, self.column - 61)
        shown = text[start : start + 100].rstrip()
        left = "..." if start else ""
        caret = " " * (len(left) + self.column - 1 - start) + "^" * max(
            1, min(self.width, 100 - (self.column - 1 - start))
        )
        return f"    {left}{shown}\n    {caret}"


LONGEST = 300
"""Messages that quote a user's text are cut after this many characters."""


class GradcError(Exception):
    """Base of every error gradc raises for something its user can mend."""

    def __init__(self, message: str, span: Span | None = None, hint: str | None = None) -> None:
        super().__init__(message, span, hint)
        message = message if len(message) <= LONGEST else f"{message[:LONGEST]}..."
        self.message, self.span, self.hint = message, span, hint

    @property
    def file(self) -> str | None:
        return self.span.source.name if self.span else None

    @property
    def line(self) -> int | None:
        return self.span.line if self.span else None

    @property
    def column(self) -> int | None:
        return self.span.column if self.span else None

    def __str__(self) -> str:
        head = f"{self.span}: {self.message}\n{self.span.excerpt()}" if self.span else self.message
        return f"{head}\n    {self.hint}" if self.hint else head


class ParseError(GradcError):
    """The text is not a gradc program."""


class ShapeError(GradcError):
    """Axes that cannot go together."""


class UnsupportedError(GradcError):
    """Understood, but not something gradc can compile."""


class InputError(GradcError):
    """A call with wrong inputs: which input, what was expected, what was given."""


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint that names the closest known name, if one is close."""
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else None
