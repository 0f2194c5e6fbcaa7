"""Mutation of programs: tokens replaced, repeated, wrapped and moved between texts, for fuzzing what reads them."""

from __future__ import annotations

import ast
import gc
import linecache
import math
import re
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from types import FrameType
from typing import Any

import numpy as np

import gradc
from gradc.lower.calls import ALL_FUNCTIONS

TOKEN = re.compile(r"\w+|[ \t]+|\n|[^\w\s]|\s")
NUMBERS = ("0", "1", "-1", "2", "3", "10**18", "2**63", "2**63 - 1", "9**9**9", "1e308", "1e-320", "0.5", "-0.0", "1j")
NAMES = ("x", "w", "n", "A", "t", "k", "i", "f", "y", "pi", "inf", "e", "np", "math", "range", "zip", "True", "None")
SYNTAX = (
    *("+", "-", "*", "/", "//", "%", "**", "@", "<", "<=", "==", "!=", "and", "or", "not", "if", "else", "for", "in"),
    *("(", ")", "[", "]", "{", "}", ",", ":", "=", ".", "...", ".T", ".shape", "[:, None]", "[::-1]", "[i]", "[0]"),
    *("\n", "\n ", "return", "def f(a):", "grad(f)", "if x:", "elif x > 1:", "else:", "lambda", "yield", "param"),
    *("data", "index", "for i in range(n)", "for a, b in zip(w, t)", "axis=0", "keepdims=True", ":=", "'", '"', "#"),
    *("\\", "\0", "\t", "\r", "\f", "\ufeff", "é", "ﬁ", "\u2028", "\ud800", "del", "*", "->", "@", ";"),
)
VOCABULARY = (*NUMBERS, *NAMES, *SYNTAX, *sorted(f"{name}(" for name in ALL_FUNCTIONS))
LONGEST = 2000


class TooSlow(BaseException):
    """Raised by the watchdog: no `except Exception` on the way may stop it."""


@contextmanager
def watchdog(seconds: float) -> Iterator[None]:
    """Raises TooSlow in the block if it takes longer, in CPU time of the process. Main thread only.

    What else there is in the process is not collected meanwhile: it may be much.
    """

    def bark(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGPROF, bark)
    gc.disable()
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        gc.enable()
        signal.signal(signal.SIGPROF, before)


def outcome(text: str) -> gradc.GradcError | gradc.Function:
    """What compiling a text to source comes to: a function, or an error. Anything else is raised."""
    text += "\n" * text.endswith(".gradc")  # or it would be a path
    try:
        result: gradc.GradcError | gradc.Function = gradc.compile(text, backend="python", cache=False)
        if isinstance(result, gradc.Function):
            assert result.source
    except gradc.GradcError as error:
        result = error
    return placed(result)


DECLARATION = re.compile(r"^\w+: .*$", re.MULTILINE)
SIGNATURE = (
    "def f(x: gradc.param, w: gradc.param['n'], A: gradc.param['n', 'n'], t: gradc.index['n'], k: gradc.index,"
    " b: gradc.param, X: gradc.data['n', 'd']):\n"
)


def outcome_as_function(text: str) -> gradc.GradcError | gradc.Function | None:
    """What compiling the statements of a text as the body of a Python function comes to; None if it is no body.

    The function is defined, and never called.
    """
    text = DECLARATION.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    source = SIGNATURE + "".join(f"    {line}\n" for line in text.split("\n"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
            source = _with_return(source, tree)
            code = compile(source, "fuzzed.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if len(tree.body) != 1:
        return None  # a form feed, for instance, ends a body
    linecache.cache["fuzzed.py"] = (len(source), None, re.findall(".*\n", source), "fuzzed.py")
    scope: dict[str, Any] = {"gradc": gradc, "np": np, "math": math}
    exec(code, scope)
    try:
        result: gradc.GradcError | gradc.Function = gradc.compile(scope["f"], backend="python", cache=False)
        assert result.source
    except gradc.GradcError as error:
        result = error
    return placed(result)


def _with_return(source: str, tree: ast.Module) -> str:
    """The same function; it returns its last expression."""
    last = tree.body[0].body[-1] if isinstance(tree.body[0], ast.FunctionDef) else None
    if not isinstance(last, ast.Expr):
        return source
    lines = source.encode().split(b"\n")
    line, column = lines[last.lineno - 1], last.col_offset
    lines[last.lineno - 1] = line[:column] + b"return " + line[column:]
    return b"\n".join(lines).decode()


def placed(result: gradc.GradcError | gradc.Function) -> gradc.GradcError | gradc.Function:
    """The same; an error has a place."""
    if isinstance(result, gradc.GradcError):
        assert result.line is not None, f"no place: {result}"
        assert "^" in str(result)
    return result


def mutated(text: str, others: Sequence[str], random: Random) -> str:
    """A text with one to four changes."""
    for _ in range(random.randint(1, 4)):
        text = random.choice(MUTATIONS)(text, others, random)
    return text[:LONGEST]


def _span(tokens: Sequence[str], random: Random) -> tuple[int, int]:
    start = random.randrange(len(tokens) + 1)
    return start, min(len(tokens), start + random.choice((0, 1, 1, 1, 2, 3, 5, 9)))


def _replace(text: str, others: Sequence[str], random: Random) -> str:
    tokens = TOKEN.findall(text)
    a, b = _span(tokens, random)
    return "".join([*tokens[:a], random.choice(VOCABULARY), *tokens[b:]])


def _delete(text: str, others: Sequence[str], random: Random) -> str:
    tokens = TOKEN.findall(text)
    a, b = _span(tokens, random)
    return "".join(tokens[:a] + tokens[b:])


def _repeat(text: str, others: Sequence[str], random: Random) -> str:
    tokens = TOKEN.findall(text)
    a, b = _span(tokens, random)
    return "".join(tokens[:a] + tokens[a:b] * random.choice((2, 2, 3, 10, 40)) + tokens[b:])


def _swap(text: str, others: Sequence[str], random: Random) -> str:
    """One name or number in the place of another of the same text."""
    tokens = TOKEN.findall(text)
    words = [k for k, token in enumerate(tokens) if token[0].isalnum()]
    if words:
        a, b = random.choice(words), random.choice(words)
        tokens[a], tokens[b] = tokens[b], tokens[a] if random.random() < 0.5 else tokens[b]
    return "".join(tokens)


def _wrap(text: str, others: Sequence[str], random: Random) -> str:
    tokens = TOKEN.findall(text)
    a, b = _span(tokens, random)
    name = random.choice((*sorted(ALL_FUNCTIONS), "", "-", "grad(f)", "f"))
    inside = "".join(tokens[a:b]) or "x"
    around = random.choice(
        (
            f"{name}({inside})",
            f"[{inside}]",
            f"sum({inside} for i in range(n))",
            f"{inside}[{inside}]",
            f"({inside})**2",
        )
    )
    return "".join(tokens[:a]) + around + "".join(tokens[b:])


def _splice(text: str, others: Sequence[str], random: Random) -> str:
    """A few lines of another text among those of this one."""
    lines, donor = text.split("\n"), random.choice(others).split("\n")
    start = random.randrange(len(donor))
    at = random.randrange(len(lines) + 1)
    return "\n".join(lines[:at] + donor[start : start + random.randint(1, 4)] + lines[at:])


def _character(text: str, others: Sequence[str], random: Random) -> str:
    at = random.randrange(len(text) + 1)
    new = chr(random.choice((random.randrange(32, 127), random.randrange(0x3000))))
    return text[:at] + new + text[at + random.randint(0, 1) :]


MUTATIONS: tuple[Callable[[str, Sequence[str], Random], str], ...] = (
    *(_replace, _replace, _replace, _swap, _swap, _wrap, _wrap, _splice, _delete, _repeat, _character),
)
