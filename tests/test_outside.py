"""What is not part of the language names itself, says why, and what to write instead; in texts and Python functions."""

from __future__ import annotations

import importlib.util
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import special

import gradc
from gradc.lower.calls import ALL_FUNCTIONS
from gradc.lower.outside import INSTEAD, WORDS
from gradc.ops import ALIASES

HEAD = "w: param[d]\nx: data[n, d]\nb: param\nk: index\n"
FUNCTION = 'def loss(w: gradc.param["d"], x: gradc.data["n", "d"], b: gradc.param, k: gradc.index):\n'
OUTSIDE: list[tuple[str, tuple[int, int], str, str]] = [
    ("for i in range(3):\n    b = b + 1\nb", (1, 1), "`for` statements are not supported yet", "sum(... for i in"),
    ("while b > 0:\n    b = b - 1\nb", (1, 1), "`while` statements are not supported yet", "in a helper"),
    ("break", (1, 1), "`break` is not part of the language: there is no loop", "filter: sum("),
    ("class A:\n    pass\nb", (1, 1), "classes are not part of the language: values are", "use arrays and `def`"),
    ("with open('f') as f:\n    b = 1\nb", (1, 1), "`with` is not part of the language", "the statements alone"),
    ("try:\n    b = 1/b\nexcept ValueError:\n    b = 0\nb", (1, 1), "`try` is not part", "choose: log(x) if x > 0"),
    ("raise ValueError", (1, 1), "`raise` is not part of the language: nothing raises", "return inf"),
    ("assert b > 0\nb", (1, 1), "`assert` is not part of the language", "before the call"),
    ("del b\nw", (1, 1), "`del` is not part of the language", "assigned again"),
    ("global q\nb", (1, 1), "`global` is not part of the language", "helpers see the names outside"),
    ("import numpy as np\nb", (1, 1), "imports are not part of the language", "functions are there without"),
    ("from math import exp\nb", (1, 1), "imports are not part of the language", "functions are there without"),
    ("match b:\n    case 1:\n        b = 2\nb", (1, 1), "`match` is not part of the language", "elif"),
    ("async def f():\n    return b\nb", (1, 1), "async is not part of the language", "write def"),
    ("c = 2*b\nf = lambda v: v**2\nf(c)", (2, 5), "functions are no values", "write: def f(x)"),
    ("{'a': b}", (1, 1), "a dictionary is not part of the language", "give each entry a name"),
    ("{b, 1}", (1, 1), "a set is not part of the language", "a list makes an array"),
    ("{v for v in w}", (1, 1), "a set comprehension is not part", "write a list"),
    ("{v: v for v in w}", (1, 1), "a dictionary comprehension is not part", "write a list"),
    ("(v for v in w)", (1, 1), "a generator alone is not part", "reduce it, sum("),
    ("b, b", (1, 1), "a tuple is not part of the language", "[a, b]"),
    ("b + f'{b}'", (1, 5), "a string is not part of the language", "a comment starts with #"),
    ("'a' + 'b'", (1, 1), "a string is not part of the language", "expected a number"),
    ("b*1j", (1, 3), "complex numbers are not part of the language", "expected a real number"),
    ("b + None", (1, 5), "None is not a value", "x[:, None]"),
    ("b + ...", (1, 5), "... is not a value", "x[..., 0]"),
    ("(yield b)", (1, 2), "yield is not part of the language", "return an array"),
    ("b + (c := 2)", (1, 6), ":= is not part of the language", "on a line of its own"),
    ("sum(*w)", (1, 1), "* and ** in calls are not part", "write the arguments out"),
    ("sum([*w, 1])", (1, 6), "* is not part of the language here", "concatenate([x, y])"),
    ("a = c = b\nb", (1, 1), "one name is assigned at a time", "a line of its own"),
    ("w[0] = 1\nb", (1, 1), "elements of arrays cannot be assigned", "where(condition"),
    ("w[0:2] += 1\nb", (1, 1), "elements of arrays cannot be assigned", "for i in range(n)"),
    ("w.a = 1\nb", (1, 1), "attributes cannot be assigned", "name = expression"),
    ("b*w.sum()", (1, 3), "attribute '.sum' cannot be called", "write sum(w)"),
    ("w.mean(axis=0)", (1, 1), "attribute '.mean' cannot be called", "write mean(w, ...)"),
    ("w.copy()", (1, 1), "attribute '.copy' cannot be called", "values never change"),
    ("w.T()", (1, 1), "attribute '.T' cannot be called", "write x.T"),
    ("w.size", (1, 1), "attribute '.size' is not part", "len(x)"),
    ("x.shape", (1, 1), "attribute '.shape' is not part", "x.shape[0]"),
    ("foo.bar", (1, 1), "unknown name 'foo'", "declare it"),
    ("np.sum", (1, 1), "unknown constant 'sum'", "is a function: call it"),
    ("b + np.nan", (1, 5), "unknown constant 'nan'", "inf - inf is nan"),
    ("np.random.normal()", (1, 1), "attribute '.normal' cannot be called", "before the call"),
    ("w[w > 0]", (1, 1), "masks are not supported as subscripts", "filter: sum("),
    ("b & 1", (1, 1), "bit operators are not part of the language", "joined by and, or, not"),
    ("sum(w)^2", (1, 1), "bit operators are not part of the language", "a power is **"),
    ("~w", (1, 1), "bit operators are not part of the language", "write not x"),
    ("b in w", (1, 1), "'in' and 'is' are not part of the language", "any(x == a)"),
    ("b is None", (1, 1), "'in' and 'is' are not part of the language", "compare with =="),
    ("print(b)\nb", (1, 1), "'print' is not part of the language", "make what you want to see the result"),
    ("b*np.linalg.svd(x)", (1, 3), "'svd' is not part of the language", "solve, inv, det, logdet and cholesky"),
    ("b*np.vstack([x, x])", (1, 3), "'vstack' is not part of the language", "write concatenate([A, B], axis=0)"),
    ("frobnicate(b)", (1, 1), "unknown function 'frobnicate'", "define it: def f(x)"),
    ("b(w)", (1, 1), "'b' is a value, not a function", "* multiplies"),
    ("def f(*v): return v\nf(b)", (1, 1), "a helper has plain parameters", "def f(x, y=1.0)"),
    ("@w\ndef f(v): return v\nf(b)", (1, 2), "decorators are not part of the language", "leave it out"),
    ("c = b\nif b > 0:\n    q = 1\nq*c", (4, 1), "'q' is assigned in one arm of the `if` alone", "in both arms"),
    ("[v for v in w if v > 0]", (1, 1), "one `for` and no `if`", "sum()"),
    ("[v for v in reversed(w)]", (1, 13), "reversed() is not part of the language", "x[::-1]"),
]
NO_PYTHON = {"break"}
"""What Python's own compiler refuses in a function."""


def imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check(error: gradc.GradcError, line: int, column: int, text: str, message: str, hint: str) -> None:
    assert message in error.message
    assert hint in (error.hint or "")
    assert (error.line, error.column) == (line, column), str(error)
    shown = str(error).splitlines()
    assert shown[1].strip() == text.splitlines()[line - 1].strip()
    assert shown[2].index("^") - shown[1].index(shown[1].strip()[0]) == column - 1 - (
        len(text.splitlines()[line - 1]) - len(text.splitlines()[line - 1].lstrip())
    )


@pytest.mark.parametrize(("body", "place", "message", "hint"), OUTSIDE, ids=[o[0] for o in OUTSIDE])
def test_constructs_outside_the_language(
    body: str, place: tuple[int, int], message: str, hint: str, tmp_path: Path
) -> None:
    text = HEAD + body
    with pytest.raises(gradc.GradcError) as caught:
        gradc.compile(text)
    check(caught.value, place[0] + HEAD.count("\n"), place[1], text, message, hint)
    if body in NO_PYTHON:
        return
    lines = body.splitlines()
    if not lines[-1].startswith("raise"):
        lines[-1] = lines[-1] if message.startswith("yield") else f"return {lines[-1]}"
    moved = 7 if place[0] == len(lines) and lines[-1].startswith("return") else 0
    file = "import gradc\nimport numpy as np\n\n\n" + FUNCTION + textwrap.indent("\n".join(lines), "    ") + "\n"
    path = tmp_path / "written.py"
    path.write_text(file)
    with pytest.raises(gradc.GradcError) as caught:
        gradc.compile(imported(path).loss)
    assert caught.value.file == str(path)
    check(caught.value, place[0] + 5, place[1] + 4 + moved, file, message, hint)


SIGNS = [
    ("b++", "write x = x + 1"),
    ("b && w", "write: and"),
    ("b || w", "write: or"),
    ("!b", "write: not"),
    ("b ? 1 : 2", "a if c else b"),
    ("let c = b", "name = expression"),
    ("b \u2212 1", "write -"),
    ("2 \u00d7 b", "write *"),
    ("b\u00b2", "a power is **"),
    ("2b + 1", "2*x"),
    ("  b", "the beginning of a line"),
    ("lambda: data = 1", "call it lam"),
    ("in: data = 1", "in is a keyword of Python"),
]


@pytest.mark.parametrize(("body", "hint"), SIGNS, ids=[s[0] for s in SIGNS])
def test_signs_of_other_languages(body: str, hint: str) -> None:
    with pytest.raises(gradc.ParseError) as caught:
        gradc.compile(HEAD + body)
    assert caught.value.line == 5
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("kind", ["float", "int"])
def test_types_of_python_are_no_kinds(kind: str) -> None:
    with pytest.raises(gradc.ParseError, match="an assignment has no annotation"):
        gradc.compile(f"{HEAD}c: {kind} = 2\nc*b")


Oracle = Callable[[Any, Any, Any, Any], Any]
X, Y = np.array([0.5, 1.25, 0.0, 3.0]), np.array([2.0, 0.75, 1.5, 0.25])
A, B = np.eye(4) + np.outer(Y, Y), np.arange(16.0).reshape(4, 4)
SAME = ["deg2rad", "radians", "degrees", "isnan", "negative", "sinc", "diff", "flip", "ptp", "count_nonzero", "cumprod"]
SAME += ["zeros_like", "ones_like"]
BOTH = ["add", "subtract", "multiply", "divide", "true_divide", "mod", "remainder", "fmod", "floor_divide", "greater"]
BOTH += ["less", "equal", "inner", "vdot"]
ORACLES: dict[str, Oracle] = {
    **{name: (lambda x, y, a, b, f=name: getattr(np, f)(x)) for name in SAME},
    **{name: (lambda x, y, a, b, f=name: getattr(np, f)(x, y)) for name in BOTH},
    "logical_and": lambda x, y, a, b: np.logical_and(x > 0, y > 0),
    "logical_or": lambda x, y, a, b: np.logical_or(x > 0, y > 0),
    "logical_not": lambda x, y, a, b: np.logical_not(x > 0),
    "heaviside": lambda x, y, a, b: np.heaviside(x, 1.0),
    "beta": lambda x, y, a, b: special.beta(x, y),
    "gamma": lambda x, y, a, b: special.gamma(x),
    "xlogy": lambda x, y, a, b: special.xlogy(x, y),
    "logit": lambda x, y, a, b: special.logit(x),
    "reversed": lambda x, y, a, b: x[::-1],
    "roll": lambda x, y, a, b: np.roll(x, 1),
    "average": lambda x, y, a, b: np.average(x, weights=y),
    "fsum": lambda x, y, a, b: x.sum(),
    "trapezoid": lambda x, y, a, b: np.sum(np.diff(x) * (y[1:] + y[:-1])) / 2,
    "cov": lambda x, y, a, b: np.cov(a, rowvar=False, ddof=0),
    "full_like": lambda x, y, a, b: np.full_like(x, 1.0),
    "empty": lambda x, y, a, b: np.zeros(4),
    "identity": lambda x, y, a, b: np.identity(4),
    "squeeze": lambda x, y, a, b: a[:, 0],
    "expand_dims": lambda x, y, a, b: np.expand_dims(x, 1),
    "swapaxes": lambda x, y, a, b: np.swapaxes(a, 0, 1),
    "vstack": lambda x, y, a, b: np.vstack([a, b]),
    "hstack": lambda x, y, a, b: np.hstack([a, b]),
    "column_stack": lambda x, y, a, b: np.column_stack([x, y]),
    "tile": lambda x, y, a, b: np.tile(x, 2),
    "repeat": lambda x, y, a, b: np.repeat(x, 2),
    "tensordot": lambda x, y, a, b: np.tensordot(a, b, 1),
    "kron": lambda x, y, a, b: np.kron(x, y).reshape(4, 4),
    "slogdet": lambda x, y, a, b: np.linalg.slogdet(a)[1],
    "pinv": lambda x, y, a, b: np.linalg.pinv(a),
    "lstsq": lambda x, y, a, b: np.linalg.lstsq(a, y)[0],
    "mse": lambda x, y, a, b: np.mean((x - y) ** 2),
    "map": lambda x, y, a, b: np.array([v * v for v in x]),
    "filter": lambda x, y, a, b: sum(filter(lambda v: v > 0, x)),
    "list": lambda x, y, a, b: x,
    "tuple": lambda x, y, a, b: x,
    "bool": lambda x, y, a, b: x.astype(bool),
    "float64": lambda x, y, a, b: x,
    "float32": lambda x, y, a, b: x,
    "int64": lambda x, y, a, b: x.astype(np.int64),
    "range": lambda x, y, a, b: np.arange(4),
}


def test_every_expression_instead_has_an_oracle() -> None:
    assert set(ORACLES) == set(INSTEAD)
    assert not (set(INSTEAD) | set(WORDS)) & (ALL_FUNCTIONS | set(ALIASES))


@pytest.mark.parametrize("name", INSTEAD)
def test_what_is_to_be_written_instead_does_the_same(name: str) -> None:
    head = "x: param[n]\ny: param[n]\nA: param[n, n]\nB: param[n, n]\ndef f(v): return v*v\n"
    value = gradc.compile(head + INSTEAD[name], backend="python", cache=False)(X, Y, A, B)
    with np.errstate(all="ignore"):
        expected = ORACLES[name](X, Y, A, B)
    np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-14)
    with pytest.raises(gradc.UnsupportedError) as caught:
        gradc.compile(f"{head}{name}(x)")
    assert caught.value.hint == f"write {INSTEAD[name]}"
