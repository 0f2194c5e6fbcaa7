"""What users read when something is wrong: the place, the line, a caret, what to do. Nothing is ever executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradc
from gradc.api import parse
from gradc.derive import derive
from gradc.ir import reachable

HEAD = "w: param[d]\nx: data[n, d]\ny: data[m]\nt: index[n]\n"
WRONG: list[tuple[str, type[gradc.GradcError], int, int, str]] = [
    ("sum(x @ ww)", gradc.ParseError, 5, 9, "did you mean 'w'?"),
    ("sum(sigmiod(w))", gradc.ParseError, 5, 5, "did you mean 'sigmoid'?"),
    ("sum(w + y)", gradc.ShapeError, 5, 5, "lengths d and m do not agree"),
    ("sum(x.T @ w)", gradc.ShapeError, 5, 5, "lengths n and d do not agree"),
    ("sum(x[0, 0, 0])", gradc.ShapeError, 5, 5, "too many subscripts: 3 for an array of 2 axes"),
    ("sum(x, axis=2)", gradc.ShapeError, 5, 1, "axis 2 of an array of 2 axes"),
    ("sum(w[1.5])", gradc.ShapeError, 5, 5, "must be an integer"),
    ("sum(w[w])", gradc.ShapeError, 5, 5, "must be an integer"),
    ("sum(w[w > 0])", gradc.UnsupportedError, 5, 5, "masks are not supported"),
    ("sum(solve(x, w))", gradc.ShapeError, 5, 5, "solve() needs a square matrix: lengths n and d"),
    ("sum(w)*lambda", gradc.ParseError, 5, 8, "call it lam"),
    ("sum(w)^2", gradc.UnsupportedError, 5, 1, "a power is **"),
    ("sum(w) +", gradc.ParseError, 5, 9, "invalid syntax"),
    ("w.sum()", gradc.UnsupportedError, 5, 1, "write sum(w)"),
    ("w.real", gradc.UnsupportedError, 5, 1, "attribute '.real'"),
    ("sum(map(lambda v: v, w))", gradc.UnsupportedError, 5, 5, "write [f(v) for v in x]"),
    ("(lambda v: v)(w)", gradc.UnsupportedError, 5, 2, "only functions can be called"),
    ("lambda v: v", gradc.UnsupportedError, 5, 1, "lambda is not part of the language"),
    ("1, 2, 3", gradc.UnsupportedError, 5, 1, "a list makes an array"),
    ("'text'", gradc.UnsupportedError, 5, 1, "expected a number"),
    ("w = 1; _v = 2; w", gradc.ParseError, 5, 8, "'_v' cannot be a name"),
    ("import os", gradc.UnsupportedError, 5, 1, "imports are not part of the language"),
    ("for i in range(n): pass", gradc.UnsupportedError, 5, 1, "not supported yet"),
    ("while True: pass", gradc.UnsupportedError, 5, 1, "not supported yet"),
    ("sum(w)\nsum(w)", gradc.ParseError, 5, 1, "only the last statement"),
    ("v = sum(w)", gradc.ParseError, 5, 1, "end with an expression"),
    ("a, *b = w\na", gradc.UnsupportedError, 5, 4, "* is not part of the language"),
    ("w[0] = 1\nw", gradc.UnsupportedError, 5, 1, "elements of arrays cannot be assigned"),
    ("sum(i for i in range(w[0]))", gradc.ShapeError, 5, 22, "a bound of range() must be an integer"),
    ("exp(1, 2)", gradc.ParseError, 5, 1, "exp() takes 1 arguments, 2 given"),
    ("huber(w[0], dleta=2)", gradc.ParseError, 5, 1, "did you mean 'delta'?"),
    ("huber()", gradc.ParseError, 5, 1, "needs 'r'"),
    ("w: param\nw", gradc.ParseError, 5, 1, "declared twice"),
    ("d: param\nd", gradc.ParseError, 5, 1, "the name of a dim"),
    ("out: param\nout", gradc.ParseError, 5, 1, "an argument of gradc's own"),
    ("q: parm\nq", gradc.ParseError, 5, 4, "did you mean 'param'?"),
    ("q: param[2*k]\nq[0]", gradc.ShapeError, 5, 1, "does not tell what 'k' is"),
    ("q: param[3] = 1\nq[0]", gradc.UnsupportedError, 5, 1, "only scalars have defaults"),
    ("v: data[5]\nv[5]", gradc.ShapeError, 6, 1, "index 5 is out of range for an axis of length 5"),
    ("[sum(x[i]) for i in range(n) for j in range(n)]", gradc.UnsupportedError, 5, 1, "one `for`"),
    ("[[1.0*j for j in range(i)] for i in range(n)]", gradc.ShapeError, 5, 1, "rows of different lengths"),
    ("ünknöwn + 1", gradc.ParseError, 5, 1, "unknown name 'ünknöwn'"),
    ("'ü' + ww", gradc.UnsupportedError, 5, 1, "str"),
    ("sum(w) + ü + ww*x", gradc.ParseError, 5, 10, "unknown name 'ü'"),
]


@pytest.mark.parametrize(("body", "kind", "line", "column", "says"), WRONG, ids=[w[0] for w in WRONG])
def test_wrong_programs_point_at_what_is_wrong(body: str, kind: type, line: int, column: int, says: str) -> None:
    with pytest.raises(gradc.GradcError) as caught:
        gradc.compile(HEAD + body)
    error = caught.value
    assert type(error) is kind
    assert (error.line, error.column) == (line, column), str(error)
    assert says in str(error)
    head, text, caret, *_ = str(error).splitlines()
    assert head.startswith(f"<text>:{line}:{column}: ")
    assert text.strip() == (HEAD + body).splitlines()[line - 1].strip()
    assert caret.index("^") == text.index(text.strip()) + column - 1


HOSTILE = [
    '__import__("os").system("touch {mark}")',
    'eval("open({mark!r}, chr(119))")',
    'exec("open({mark!r}, chr(119))")',
    'open("{mark}", "w")',
    "().__class__.__bases__[0].__subclasses__()",
    "[c for c in ().__class__.__mro__]",
    'f"{{open(chr(97), chr(119))}}"',
    "__builtins__",
    "x.__class__",
    "np.load('{mark}')",
    "np.__loader__",
    "(y := 1)",
    "print(1)",
    "getattr(1, 'real')",
    "lambda: 0",
    "yield",
    "await x",
    "x if x else __import__('os')",
    "1 .__add__(2)",
    "...",
    "None",
    "1j",
    "b'x'",
    "x[lambda: 0]",
    "sum(*[1])",
    "sum(**{{}})",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_refused_and_not_run(text: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    text = text.format(mark=mark)
    for program in (text, f"x: param\n{text}", f"x: param\ny = {text}\nx"):
        with pytest.raises(gradc.GradcError) as caught:
            gradc.compile(program)
        assert caught.value.line is not None
        assert "^" in str(caught.value)
    assert not mark.exists()


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000 + "x" + ")" * 10_000,
        "-" * 10_000 + "x",
        "x" + "[0]" * 10_000,
        "x if x else " * 5_000 + "x",
        "exp(" * 190 + "x" + ")" * 190,
        "not " * 5_000 + "x",
        "x" + "**2" * 10_000,
        "x = 1\ny = " + "(" * 10_000,
        "+".join(["x"] * 100_000),
        "1" + "0" * 10_000,
        "x" * 100_000,
        "\n" * 10_000 + ")",
    ],
    ids=lambda t: f"{t[:6]!r} of {len(t)}",
)
def test_deep_and_long_text_is_an_error_with_a_place(text: str) -> None:
    with pytest.raises(gradc.ParseError) as caught:
        gradc.compile("x: param\n" + text)
    assert caught.value.line is not None
    assert "^" in str(caught.value)
    assert len(str(caught.value)) < 600


def test_huge_powers_of_integers_do_not_hang() -> None:
    assert gradc.compile("x: param\nx + 9**9**9")(1.0) == np.inf
    assert gradc.compile("x: param\nx + 2**62", backend="python")(0.0) == 2.0**62


def test_not_text() -> None:
    with pytest.raises(gradc.ParseError, match="not a text file"):
        gradc.compile("x: param\nx\0")


def test_file_that_is_not_text(tmp_path: Path) -> None:
    file = tmp_path / "noise.gradc"
    file.write_bytes(b"x: param\nx + \xff\xfe")
    with pytest.raises(gradc.ParseError) as caught:
        gradc.compile(file)
    assert str(caught.value).startswith(f"{file}:2:5: not a text file")
    with pytest.raises(FileNotFoundError):
        gradc.compile(tmp_path / "missing.gradc")


def test_a_hundred_thousand_statements() -> None:
    """Parsed, differentiated and scheduled without recursion, in time that grows with the program."""
    text = "x: param\ny = x\n" + "y = y + x\n" * 100_000 + "y*x"
    program = parse(text)
    assert len(reachable([program.result.node])) > 100_000
    derived = derive(program)
    assert derived.gradient is not None
    assert derived.gradient["x"].node.type == "float"


CALLS: list[tuple[str, dict[str, Any], str]] = [
    ("missing", {"w": [1.0]}, "input 'x' is missing"),
    ("surplus", {"w": [1.0], "x": [[1.0]], "z": 1}, "unknown input 'z'"),
    ("rank", {"w": 1.0, "x": [[1.0]]}, "input 'w': expected w[d], given an array of shape ()"),
    (
        "dims",
        {"w": [1.0, 2.0], "x": [[1.0]]},
        "input 'x': expected x[n, d] with d = 2 by 'w', given an array of shape (1, 1)",
    ),
    ("text", {"w": ["a"], "x": [[1.0]]}, "input 'w': expected numbers"),
    ("complex", {"w": [1j], "x": [[1.0]]}, "input 'w': expected numbers"),
    ("objects", {"w": [object()], "x": [[1.0]]}, "input 'w': expected numbers"),
    ("ragged", {"w": [1.0], "x": [[1.0], [1.0, 2.0]]}, "input 'x': expected x[n, d]"),
    ("none", {"w": None, "x": [[1.0]]}, "input 'w': expected numbers"),
]


@pytest.mark.parametrize(("inputs", "says"), [c[1:] for c in CALLS], ids=[c[0] for c in CALLS])
def test_wrong_inputs_are_named(inputs: dict[str, Any], says: str) -> None:
    function = gradc.compile("w: param[d]\nx: data[n, d]\nsum(x @ w)")
    with pytest.raises(gradc.InputError) as caught:
        function(**inputs)
    assert says in str(caught.value)


def test_wrong_sizes_found_at_the_call() -> None:
    function = gradc.compile("a: param[n]\nb: data[2*m]\nc: data[m]\nsum(a*b) + max(a) + a[2] + sum(c)")
    assert function([1.0, 2.0, 3.0, 4.0], [1.0] * 4, [0.0] * 2) == 17.0
    for n, m, says in (
        (3, 2, "lengths n and 2*m must be equal; given m = 2, n = 3"),
        (2, 1, "index 2 is out of range"),
    ):
        with pytest.raises(gradc.InputError, match=says.replace("*", r"\*")):
            function(np.ones(n), np.ones(2 * m), np.ones(m))
    with pytest.raises(gradc.InputError, match=r"axis 0 has length 2\*m = 2, given 3"):
        function(np.ones(3), np.ones(3), np.ones(1))
    with pytest.raises(gradc.InputError, match="max of an empty axis of length n"):
        gradc.compile("a: param[n]\nmax(a)")(np.ones(0))


def test_index_out_of_range_is_named() -> None:
    function = gradc.compile("w: param[K]\nt: index[n]\nsum(w[t])")
    assert function([1.0, 2.0], [1, 1, 0]) == 5.0
    with pytest.raises(gradc.InputError, match=r"input 't': t\[2\] = 2 is out of range: expected 0 to 1"):
        function([1.0, 2.0], [0, 1, 2])
    with pytest.raises(gradc.InputError, match=r"t\[0\] = -1"):
        function([1.0, 2.0], [-1])
    with pytest.raises(gradc.InputError, match="expected integers"):
        function([1.0, 2.0], [0.5])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"wrt": ["v"]}, "there is no input 'v'"),
        ({"wrt": ["w", "w"]}, "given twice"),
        ({"dtype": "float16"}, "not known"),
        ({"dtype": "int8"}, 'use "float64" or "float32"'),
        ({"backend": "cuda"}, "not known"),
        ({"threads": 0}, "positive integer"),
    ],
)
def test_wrong_options(options: dict[str, Any], says: str) -> None:
    with pytest.raises(gradc.UnsupportedError, match=says):
        gradc.compile("w: param\nw", **options)


class Shy:
    """Nobody can look at it, and it is no function."""

    def __call__(self, x: float) -> float:
        return x

    def __repr__(self) -> str:
        raise RuntimeError("not to be looked at")


@pytest.mark.parametrize("option", ["wrt", "dtype", "backend", "threads", "fast_math_library"])
def test_options_that_cannot_be_shown(option: str) -> None:
    with pytest.raises(gradc.UnsupportedError, match="Shy instance"):
        gradc.compile("x*x", **{option: Shy()})  # type: ignore[call-overload]


def test_sources_that_cannot_be_shown() -> None:
    with pytest.raises(gradc.UnsupportedError, match="'Shy' is not a Python function"):
        gradc.compile(Shy())


TITLES = [
    """'\"\"\";open("{mark}", "w");\"\"\"'""",
    'r"""a \\N{{foo}} \\x \\u"""',
    '"""ends with a quote\\""""',
    "'two\\nlines \\x0c \\0'",
]


@pytest.mark.parametrize("title", TITLES)
def test_titles_are_text(title: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    text = title.format(mark=str(mark)) + "\nx: param\nx*2"
    assert gradc.compile(text, backend="python", cache=False)(1.5) == 3.0
    assert not mark.exists()


LIBRARY_NAMES = [
    "exp",
    "log1p",
    "sigmoid",
    "erf",
    "digamma",
    "polygamma",
    "maximum",
    "sign",
    "abs",
    "id",
    "inf",
    "range",
]


@pytest.mark.parametrize("name", LIBRARY_NAMES)
def test_library_names_taken_by_users(name: str) -> None:
    """As an input, a dim, an assigned name and a loop variable, beside everything generated code may call."""
    calls = ["sigmoid", "softplus", "log_sigmoid", "erf", "erfc", "digamma", "lgamma", "relu", "abs", "exp", "log1p"]
    others = [c for c in calls if c != name]
    body = " + ".join(f"{c}(x_)" for c in others) + " + maximum(x_, 1)" * (name != "maximum")
    reference = gradc.compile(f"x_: param\n{body}", backend="python")(0.7)
    texts = {
        f"{name}: param\nx_ = {name}\n{body}": (0.7,),
        f"v: param[{name}]\nx_ = v[0]\n{body}": ([0.7],),
        f"v: param\n{name} = v*1.0\nx_ = {name}\n{body}": (0.7,),
        f"v: param[n]\nx_ = sum({name} for {name} in v)\n{body}": ([0.7],),
        f"v: param[n]\nx_ = sum(0.7 for {name} in range(n)) + 0*v[0]\n{body}": ([0.7],),
    }
    for text, inputs in texts.items():
        if name == "range" and "range(n)" in text:
            continue
        for backend in ("python", "numba") if name in ("exp", "range") else ("python",):
            function = gradc.compile(text, backend=backend, cache=False)
            assert function.value_and_grad(*inputs)[0] == pytest.approx(reference, rel=1e-13), text


@pytest.mark.parametrize("text", ["x: param[__debug__]\nsum(x)", "sum(1.0*__debug__ for __debug__ in range(3))"])
def test_names_that_cannot_be(text: str) -> None:
    with pytest.raises(gradc.ParseError, match="cannot be a name"):
        gradc.compile(text)


@pytest.mark.parametrize("text", ["x\udc80", "# \udc80\nx: param\nx"])
def test_lone_surrogates(text: str) -> None:
    with pytest.raises(gradc.ParseError, match="lone surrogate"):
        gradc.compile(text)


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        ("x: param[n]\ny: data[m]\nx[m]*sum(y)", ([1.0, 2.0], [1.0]), ([1.0, 2.0], [1.0] * 5)),
        ("x: param[n]\ny: data[m]\nx[min(n, m)]*sum(y)", ([1.0, 2.0], [1.0]), ([1.0, 2.0], [1.0] * 5)),
        ("x: param[n]\nx[n - 3]", ([1.0, 2.0, 3.0],), ([1.0, 2.0],)),
        ("x: param[n]\nx[-3]", ([1.0, 2.0, 3.0],), ([1.0, 2.0],)),
    ],
)
def test_positions_made_of_sizes_are_checked_at_the_call(
    text: str, good: tuple[Any, ...], bad: tuple[Any, ...]
) -> None:
    function = gradc.compile(text)
    function.value_and_grad(*good)
    with pytest.raises(gradc.InputError, match="out of range for an axis of length n"):
        function.value_and_grad(*bad)


def test_reversals_stay_positions() -> None:
    text = "x: param[n]\ny = x\n" + "y = y[::-1] + x\n" * 6 + "sum(y*x)"
    assert gradc.compile(text, backend="python").check(np.arange(4.0)).ok
    assert gradc.compile("x: param[n]\ny = x\n" + "y = y[::-1]\n" * 2001 + "sum(y*x)")([1.0, 2.0]) == 4.0


def test_long_quotients_under_a_logarithm() -> None:
    assert gradc.compile("x: param\ny = 1/x\n" + "y = y/x\n" * 3000 + "log(y)")._derived.gradient is not None


@pytest.mark.parametrize(
    "text",
    [
        f"x: param[{', '.join(f'd{k}' for k in range(40))}]\nsum(x)",
        "x: param[n]\nsum(x[0]*"
        + "*".join(f"i{k}" for k in range(25))
        + "".join(f" for i{k} in range(n)" for k in range(25))
        + ")",
        "x: param[n" + "//m" * 200 + ", n, m]\nsum(x)",
        "x: param[n, m]\nsum(1.0 for i in range(n" + "//m" * 100 + "))",
        "x: param[" + "*".join(["(a + b + c)"] * 30) + ", a, b, c]\nsum(x)",
    ],
    ids=range(5),
)
def test_too_much_is_refused(text: str) -> None:
    with pytest.raises(gradc.GradcError) as caught:
        gradc.compile(text)
    assert caught.value.line is not None


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_slices_clip_as_in_numpy(n: int) -> None:
    x = np.arange(1.0, n + 1)
    slices = [
        "x[n-1:]",
        "x[:n-1]",
        "x[-1:]",
        "x[-3:]",
        "x[:-3]",
        "x[2:]",
        "x[:3]",
        "x[1:-1]",
        "x[::2]",
        "x[::-1]",
        "x[1::3]",
    ]
    slices += ["x[n:]", "x[4:2]", "x[-2:-1]", "x[::-2]", "x[1:][1:]", "x[:100]"]
    for text in slices:
        expected = eval(text, {"x": x, "n": n})
        for backend in ("python", "numba") if text == "x[n-1:]" else ("python",):
            function = gradc.compile(f"x: param[n]\n{text}", backend=backend, cache=False)
            np.testing.assert_array_equal(function(x), expected, err_msg=text)
        assert gradc.compile(f"x: param[n]\nlen({text})", backend="python")(x) == len(expected), text
        gradient = gradc.compile(f"x: param[n]\ny = {text}\nsum(y*y)", backend="python").grad(x).x
        hit = np.zeros(n)
        np.add.at(hit, eval(text, {"x": np.arange(n), "n": n}), 1.0)
        np.testing.assert_array_equal(gradient, 2 * x * hit, err_msg=text)


def test_lengths_divided_by_zero_are_empty() -> None:
    function = gradc.compile("x: param[n, 5//(n - 4)]\nsum(x) + 1//0", backend="python")
    assert function(np.ones((5, 5))) == 25.0
    assert function(np.ones((4, 0))) == 0.0
    many = gradc.compile("x: param[2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]\nsum(x @ x)", backend="python")
    assert many(np.ones((2,) * 12)) == 2.0**13


@pytest.mark.parametrize("backend", ["python", "numba"])
def test_integers_divided_by_zero(backend: str) -> None:
    sizes = gradc.compile("x: param[n]\nx[0]*(5//(n - 3) + n % (n - 3)) + sum(5//i for i in range(n))", backend=backend)
    assert sizes([1.0, 1.0, 1.0]) == 7.0
    function = gradc.compile("k: index\nx: param\n(5//k + 5 % k)*x + 1/step(x)", backend=backend, cache=False)
    assert function(0, 2.0) == 1.0
    assert function(3, 2.0) == 7.0
    assert function(3, -2.0) == np.inf


def test_names_of_users_win() -> None:
    names = [
        "np",
        "lambda_",
        "value",
        "value_and_grad",
        "i",
        "j",
        "float64",
        "range",
        "zeros",
        "log",
        "abs",
        "self",
        "x_bar",
    ]
    declared = "".join(f"{name}: param[n]\n" for name in names)
    text = declared + "x: param[n]\n" + "sum(exp(x)" + "".join(f" + {name}*{name}*x" for name in names) + ")"
    for backend in ("python", "numba"):
        function = gradc.compile(text, backend=backend, cache=False)
        point = [np.arange(3.0) + k for k in range(len(names) + 1)]
        gradient = function.grad(*point)
        for k, field in enumerate(gradient[:-1]):
            np.testing.assert_allclose(field, 2 * point[k] * point[-1])
    assert gradc.compile("exp: param\nlog(exp)*exp")(np.e) == pytest.approx(np.e)
