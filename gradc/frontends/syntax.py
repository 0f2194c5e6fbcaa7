"""Text to Python's syntax tree, with every failure as a ParseError that has a place. Nothing is ever executed."""

from __future__ import annotations

import ast
import io
import tokenize
import warnings

from gradc.errors import ParseError, Source, Span
from gradc.lower.outside import sign_hint

INDENTED = "statements start at the beginning of a line: textwrap.dedent(text)"
SIMPLER = "give parts of the expression names of their own"


def parse(source: Source) -> ast.Module:
    """The syntax tree of a text. Raises ParseError."""
    if "\0" in source.text:
        place = source.text[: source.text.index("\0")]
        line = place.count("\n") + 1
        raise ParseError(
            "not a text file", Span(source, line, len(place) - place.rfind("\n")), "expected a program as text"
        )
    try:
        source.text.encode()
    except UnicodeEncodeError as error:
        line = source.text.count("\n", 0, error.start) + 1
        column = error.start - source.text.rfind("\n", 0, error.start)
        raise ParseError("not text: a lone surrogate", Span(source, line, column), "expected Unicode text") from None
    try:
        return _tree(source.text)
    except SyntaxError as error:
        line, column = error.lineno or 1, error.offset or 1
        line = min(line, len(source.lines))
        column = max(1, min(column, len(source.line(line)) + 1))
        hint = INDENTED if error.msg == "unexpected indent" else sign_hint(source.line(line))
        raise ParseError(f"{error.msg}", Span(source, line, column), hint) from None
    except (RecursionError, MemoryError):
        raise ParseError("nested too deeply", _deepest(source), SIMPLER) from None


def title(body: list[ast.stmt]) -> tuple[str, list[ast.stmt]]:
    """The docstring of a program on one line, empty if there is none, and the statements after it."""
    first = body[0] if len(body) > 1 else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return " ".join(first.value.value.split()), body[1:]
    return "", body


def _tree(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def _deepest(source: Source) -> Span:
    """The first logical line that cannot be parsed on its own."""
    start: int | None = None
    try:
        for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
            if token.type in (tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT):
                continue
            start = token.start[0] if start is None else start
            if token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
                lines = source.lines[start - 1 : token.end[0]]
                if not _parses("\n".join(lines).strip()):
                    return Span(source, start, 1, len(source.line(start)))
                start = None
    except (tokenize.TokenError, IndentationError):
        pass  # the place found so far is the best there is
    return Span(source, start or 1, 1)


def _parses(text: str) -> bool:
    try:
        _tree(text)
    except (RecursionError, MemoryError):
        return False
    except SyntaxError:
        return True
    return True
