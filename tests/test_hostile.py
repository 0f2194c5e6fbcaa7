"""Hostile input: everything is compiled, or refused with a place; nothing is run, nothing takes for ever."""

from __future__ import annotations

import importlib
import linecache
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import attempts
import numpy as np
import pytest
from cases import EXAMPLES
from mutations import DECLARATION, mutated, outcome, outcome_as_function, watchdog
from odd_programs import odd_program

import gradc

PROMPT = 1.0
"""Seconds of CPU time for what takes milliseconds: a watchdog against hangs, not a measurement."""
PATIENT = 5.0
"""The same for long programs, which may be legal, and take tenths of a second."""
REFUSED = attempts.texts(attempts.SCALARS, attempts.REFUSED_OF_SCALARS)
REFUSED += attempts.texts(attempts.ARRAYS, attempts.REFUSED_OF_ARRAYS)
ACCEPTED = attempts.texts(attempts.SCALARS, attempts.ACCEPTED_OF_SCALARS)
ACCEPTED += attempts.texts(attempts.ARRAYS, attempts.ACCEPTED_OF_ARRAYS)


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    """What is loaded when it is first needed is loaded."""
    outcome("x: param\nexp(x)*inv([[x, 1.0], [2.0, x]])[0, 1]")


@pytest.mark.parametrize("text", REFUSED)
def test_refused_with_a_place(text: str) -> None:
    with watchdog(PROMPT):
        assert isinstance(outcome(text), gradc.GradcError)


@pytest.mark.parametrize("text", ACCEPTED)
def test_odd_and_legal(text: str) -> None:
    with watchdog(PROMPT):
        assert isinstance(outcome(text), gradc.Function)


def chained(n: int, first: str, step: Callable[[int], str], last: str) -> str:
    return first + "".join(map(step, range(n))) + last


DEEP: dict[str, str] = {
    **{f"{a}x{b}": a * 10_000 + "x" + b * 10_000 for a, b in (("(", ")"), ("[", "]"), ("exp(", ")"), ("{", "}"))},
    **{
        f"{a}x": a * 10_000 + "x" for a in ("-", "+", "~", "not ", "1 if ", "x**", "x if x else ", "lambda: ", "await ")
    },
    **{f"x{b}": "x" + b * 10_000 for b in ("[0]", ".T", "()", "<x", " and x", "+x", "@x", "//2", "**2", "[1:]")},
    "comprehensions": "sum(" * 1000 + "x" + " for i in range(2))" * 1000,
    "loops": f"sum(x {' '.join(f'for i{k} in range(2)' for k in range(1000))})",
    "filters": f"sum(x for i in range(2) {'if x ' * 1000})",
    "blocks": chained(100, "y = 0\n", lambda k: " " * k + "if x:\n", " " * 100 + "y = 1\ny"),
    "conditional expressions": "x if x else " * 1000 + "x",
    "elif": chained(1000, "if x:\n y = 1\n", lambda k: f"elif x > {k}:\n y = {k}*x\n", "else:\n y = 2\ny"),
    "ifs": chained(300, "y = x\nz = x\n", lambda k: "if y > z:\n y = y*z\nelse:\n z = z*y\n", "y + z"),
    "returns": chained(
        300, "def f(x):\n if x:\n  return 1\n", lambda k: f" elif x > {k}:\n  return {k}*x\n", " return 2\nf(x)"
    ),
    "helpers": chained(
        60, "def f0(x): return x\n", lambda k: f"def f{k + 1}(x): return f{k}(x*x) + f{k}(sin(x))\n", "f60(x)"
    ),
    "doubling": "y = x\n" + "y = sin(y*y + y)\n" * 1000 + "y",
    "gradients": "def f(x): return tanh(x)\n" + "grad(" * 100 + "f" + ")" * 100 + "(x)",
    "gradients of helpers": chained(
        30, "def f0(x): return sin(x)*exp(x)\n", lambda k: f"def f{k + 1}(x): return grad(f{k})(x)*x\n", "f30(x)"
    ),
    "names of gradients": chained(30, "def g0(x): return tanh(x)\n", lambda k: f"g{k + 1} = grad(g{k})\n", "g30(x)"),
    "slices": "w: param[n]\nsum(w" + "[::2]" * 100 + ")",
    "slices of slices": "w: param[n]\nk: index\nm: index\nsum(w" + "[n-m:k:2][n-k:k][n-k:k:-1][k:k]" * 4 + ")",
    "lengths": "A: param[n, n]\nsum(reshape(A, (1 + 1, " + "n - 11, " * 9 + "n - 1)))",
    "outer": "w: param[n]\nsum(" + "outer(w, " * 100 + "w" + ")" * 101,
    "dims": f"w: param[{' + '.join(f'd{k}' for k in range(30))}]\n"
    + "".join(f"v{k}: data[d{k}]\n" for k in range(30))
    + "sum(w)",
    "powers of indices": f"x*sum({'*'.join(['i'] * 1000)} for i in range(3))",
    "axes": "w: param[n]\nsum(w[" + ", ".join(["None"] * 1000) + "])",
}


@pytest.mark.parametrize("body", DEEP.values(), ids=DEEP)
def test_deep_and_long_programs_end(body: str) -> None:
    with watchdog(PATIENT):
        outcome(attempts.SCALARS + body)


@pytest.mark.parametrize(
    "text",
    [
        chained(1000, "if x < 0:\n y = 0\n", lambda k: f"elif x < {k + 1}:\n y = {k}*x\n", "else:\n y = x\ny"),
        chained(
            1000, "def f(x):\n", lambda k: f" {'el' * (k > 0)}if x < {k + 1}:\n  return {k}*x\n", " return x\nf(x)"
        ),
        chained(1000, "", lambda k: f"{k}*x if x < {k + 1} else ", "x"),
    ],
    ids=["elif", "returns", "conditional expressions"],
)
def test_chains_of_a_thousand_arms(text: str) -> None:
    function = gradc.compile("x: param\n" + text, backend="python", cache=False)
    for x in (0.5, 1.0, 400.25, 999.5, 1000.0):
        slope = int(x) if x < 1000 else 1
        assert function.value_and_grad(x) == (slope * x, (slope,))


def test_chains_of_conditions_take_linear_work() -> None:
    """Counted in nodes of the graph."""

    def nodes(n: int, step: str, last: str) -> int:
        text = chained(n, "x: param\ndef f(x):\n if x:\n  return 1\n", lambda k: step.format(k), last)
        function = gradc.compile(text, backend="python", cache=False)
        assert function.source
        return len(function.program.graph.nodes)

    step, last = " elif x > {0}:\n  return {0}*x\n", " else:\n  return 2\nf(x)"
    assert nodes(80, step, last) < 2.5 * nodes(40, step, last)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def f(a, a): return a\nf(1, 2)", "two parameters are called 'a'"),
        ("x: param\ndef range(n): return n\nsum(x for i in range(3))", "cannot iterate over a number"),
        ("x: param\ndef np(a): return a\nnp.exp(x)", "attribute '.exp' cannot be called"),
        ("checkpoint: option = -3\n1.0", "positive integer"),
        ("checkpoint: option = inf\n1.0", "positive integer"),
        ("checkpoint: option = 3\ncheckpoint: option = 4\n1.0", "given twice"),
        (f"k: index = {10**30}\nk", "integer of 64 bits"),
    ],
)
def test_what_was_once_taken_for_something_else(text: str, says: str) -> None:
    with pytest.raises(gradc.GradcError, match=says):
        gradc.compile(text)


def test_integer_results_that_read_computed_arrays() -> None:
    function = gradc.compile("t: index[n]\n(t*t)[0] + 1", backend="python", cache=False)
    assert function([3, 2]) == 10


NAMES = (
    *("np", "numpy", "math", "i", "j", "float", "int", "range", "zeros", "nan", "self", "cls", "result", "z_bar"),
    *("chunk", "first", "last", "tile", "start", "stop", "value", "value_and_grad", "compiled", "njit", "errstate"),
    *("lambda_", "exp", "e", "pi", "inf", "empty", "float64", "x_bar", "print", "open", "é", "π", "你好", "ﬁ"),
)


@pytest.mark.parametrize("name", NAMES)
def test_legal_names_work_end_to_end(name: str, tmp_path: Path) -> None:
    """As an input whose gradient is right, in a module that runs on its own."""
    text = f"{name}: param[d]\nx_: data[n, d]\nz = x_ @ {name}\nsum(tanh(z)) + sum({name}**2)"
    rng = np.random.default_rng(1)
    w, x = rng.normal(size=3), rng.normal(size=(5, 3))
    expected = np.sum(np.tanh(x @ w)) + np.sum(w**2)
    slope = (1 / np.cosh(x @ w) ** 2) @ x + 2 * w
    function = gradc.compile(text, backend="python", cache=False)
    value, gradient = function.value_and_grad(w, x)
    assert value == pytest.approx(expected, rel=1e-13)
    assert gradient[0] == pytest.approx(slope, rel=1e-12)
    np.savez(tmp_path / "inputs.npz", w=w, x=x)
    (tmp_path / "alone.py").write_text(function.source, encoding="utf-8")
    run = (
        "import sys, numpy as np; sys.modules['numba'] = None; sys.modules['gradc'] = None; import alone\n"
        "d = np.load('inputs.npz'); v, g = alone.value_and_grad(d['w'], d['x']); np.savez('out.npz', v=v, g=g[0])"
    )
    subprocess.run([sys.executable, "-c", run], cwd=tmp_path, check=True)
    with np.load(tmp_path / "out.npz") as out:
        assert out["v"] == pytest.approx(expected, rel=1e-13)
        assert out["g"] == pytest.approx(slope, rel=1e-12)


def test_such_names_compiled_together() -> None:
    names = [name for name in NAMES if name not in ("out", "ﬁ")]
    declared = "".join(f"{name}: param\n" for name in names)
    function = gradc.compile(declared + "+".join(f"{name}**2" for name in names), cache=False)
    point = np.linspace(0.1, 2, len(names))
    value, gradient = function.value_and_grad(*point)
    assert value == pytest.approx(np.sum(point**2), rel=1e-13)
    assert np.asarray(gradient) == pytest.approx(2 * point, rel=1e-13)


BODIES = [t for t in REFUSED if not DECLARATION.search(t.removeprefix(attempts.SCALARS).removeprefix(attempts.ARRAYS))]
"""What is refused for its statements, not for what it declares."""


@pytest.mark.parametrize("text", BODIES)
def test_refused_as_the_body_of_a_function(text: str) -> None:
    with watchdog(PROMPT):
        assert not isinstance(outcome_as_function(text), gradc.Function)


@pytest.mark.parametrize("text", ACCEPTED)
def test_the_body_of_a_function(text: str) -> None:
    with watchdog(PROMPT):
        outcome_as_function(text)


def test_a_function_nested_too_deeply_is_refused_with_a_place() -> None:
    assert "nested too deeply" in str(outcome_as_function("x" + "**x" * 200))


CORPUS = [*(p.read_text() for p in sorted(EXAMPLES.glob("*.gradc"))), *REFUSED, *ACCEPTED]


def try_mutation(random: Random) -> None:
    text = mutated(random.choice(CORPUS), CORPUS, random)
    with watchdog(PATIENT):
        outcome(text)
        outcome_as_function(text)


def test_mutated_programs() -> None:
    random = Random(5)
    for _ in range(2000):
        try_mutation(random)


def try_odd_program(random: Random) -> None:
    text = odd_program(random)
    with watchdog(PATIENT):
        outcome(text)


def test_odd_programs() -> None:
    random = Random(5)
    for _ in range(3000):
        try_odd_program(random)


@pytest.mark.nightly
@pytest.mark.parametrize("attempt", [try_mutation, try_odd_program])
def test_others_for_a_minute(attempt: Callable[[Random], None]) -> None:
    """Others every time: the seed is printed where it fails."""
    seed, end = int(time.time()), time.process_time() + 60
    print(f"{seed=}")
    random = Random(seed)
    while time.process_time() < end:
        attempt(random)


@pytest.mark.nightly
def test_fuzzing_guided_by_coverage(tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    script = Path(__file__).with_name("fuzz.py")
    subprocess.run([sys.executable, str(script), "-max_total_time=60"], cwd=tmp_path, check=True)


# Python functions

HEAD = "import functools\nimport numpy as np\nimport gradc\n"
FOREIGN = {
    "o = object()\ndef f(x: gradc.param): return x*o": "type object from outside",
    "class O:\n  __class__ = property(lambda s: 1/0)\no = O()\ndef f(x: gradc.param): return x*o": "type O from",
    "class M(type):\n  __name__ = __module__ = property(lambda s: 1/0)\nclass O(metaclass=M): pass\no = O()\n"
    "def f(x: gradc.param): return x*o": "from outside",
    "exp = functools.partial(pow, 2)\ndef f(x: gradc.param): return exp(x)": "type partial from outside",
    "exp = lambda a: a + 1\ndef f(x: gradc.param): return exp(x)": "type function from outside",
    "range = functools.partial(print)\ndef f(x: gradc.param): return sum(x for i in range(3))": "from outside",
    "from scipy import special as s\ndef f(w: gradc.param['n']): return sum(s.softmax(w))": "SciPy's softmax",
    "from scipy.special import huber\ndef f(x: gradc.param): return huber(1.0, x)": "type ufunc from outside",
    "def d(g): return functools.wraps(g)(lambda *a: g(*a))\n@d\ndef f(x: gradc.param): return x": "wrapped by",
    "def f(x: gradc.param): yield x": "yield",
    "async def f(x: gradc.param): return x": "written with def",
    "class A:\n  def m(self, x: gradc.param): return x\nf = A().m": "not a Python function",
    "f = functools.partial(pow, 2)": "partial has no text",
    "f = lambda x: x": "a lambda",
    "def f(x: gradc.param = np.ones(3)): return x": "a default is a number",
}
FINE = {
    "\fdef f(x: gradc.param): return x*x": 4.0,
    "if True:\n\tdef f(x: gradc.param):\n\t\treturn x*x": 4.0,
    "@(lambda g: g)\ndef f(x: gradc.param): return x*x": 4.0,
    "def f(x: gradc.param): return x\ng = f\ndef f(x: gradc.param): return x*x": 4.0,
    "def f(x: 'gradc.param', y: 'gradc.data' = 3): return x*y": 6.0,
    "def f(x: gradc.param, /, *, y: gradc.data = 3): return x*y": 6.0,
    "class I(float):\n  __float__ = __repr__ = lambda s: 1/0\no = I(3)\ndef f(x: gradc.param): return x*o": 6.0,
    "o = -10**400\ndef f(x: gradc.param): return x*o": -np.inf,
    "def mk(k):\n  def h(a): return a*k\n  def f(x: gradc.param): return h(x)\n  return f\nf = mk(3)": 6.0,
    "import numpy as xp\ndef f(x: gradc.param): return xp.square(x)": 4.0,
}


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[Any, Path]]:
    """Writes a module, and imports it."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(text: str) -> tuple[Any, Path]:
        path = tmp_path / f"hostile_{abs(hash(text))}.py"
        path.write_text(HEAD + text, encoding="utf-8")
        importlib.invalidate_caches()
        return importlib.import_module(path.stem), path

    return make


@pytest.mark.parametrize(("text", "says"), FOREIGN.items())
def test_functions_that_are_refused(text: str, says: str, module: Callable[[str], tuple[Any, Path]]) -> None:
    with pytest.raises(gradc.GradcError, match=says):
        gradc.compile(module(text)[0].f)


@pytest.mark.parametrize(("text", "expected"), FINE.items())
def test_functions_that_are_fine(text: str, expected: float, module: Callable[[str], tuple[Any, Path]]) -> None:
    assert gradc.compile(module(text)[0].f, backend="python", cache=False)(2.0) == expected


@pytest.mark.parametrize("now", ["", "garbage (((", "# nothing", "def f(x: gradc.param): return x*0.02", "\xff\0"])
def test_a_file_that_has_changed_is_not_read(now: str, module: Callable[[str], tuple[Any, Path]]) -> None:
    made, path = module("def f(x: gradc.param): return x*0.01")
    path.write_text(HEAD + now)
    linecache.clearcache()
    with pytest.raises(gradc.UnsupportedError):
        gradc.compile(made.f)
