"""The command line as a user has it: what commands print, what they write, what a mistake is told."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradc import cli, resources
from gradc.check import Report, check_gradient
from gradc.cli.fitting import Method, with_result
from gradc.errors import Source
from gradc.fit import EPOCHS

LOGISTIC = '''"""L2-regularised logistic regression."""
w: param[d]
b: param = 0.0
x: data[n, d]
t: data[n]
lam: data = 0.01

z = x @ w + b
y = sigmoid(z)
mean(bce(y, t)) + lam/2*sum(w**2)
'''
INJECTION = '__import__("os").system("touch pwned")'


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Run]:
    """Runs a command in this process and an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRADC_TRACEBACK", raising=False)
    pipe = signal.getsignal(signal.SIGPIPE) if hasattr(signal, "SIGPIPE") else None

    def run(*arguments: str, stdin: bytes = b"") -> Ended:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as caught:
            cli.main(arguments)
        streams = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return Ended(caught.value.code, streams.out, streams.err)

    yield run
    if pipe is not None:
        signal.signal(signal.SIGPIPE, pipe)


def gradc(*arguments: str, stdin: str = "", **environment: str) -> Ended:
    """Runs a command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", "from gradc.cli import main; main()", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2]), **environment},
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def fails(ended: Ended, *parts: str, code: int = 2) -> None:
    """Expects one message on stderr that holds all of these in this order, and nothing on stdout."""
    assert ended.code == code, ended
    assert ended.out == ""
    assert "Traceback" not in ended.err
    position = 0
    for part in parts:
        assert part in ended.err[position:], (part, ended.err)
        position = ended.err.index(part, position) + len(part)


def fails_at(ended: Ended, place: str, *parts: str) -> None:
    """Expects a message that starts with `file:line:col` and shows the line with a caret below that column."""
    fails(ended, *parts)
    head, line, caret = ended.err.splitlines()[:3]
    assert head.startswith(f"{place}: "), ended.err
    assert line.startswith("    ")
    assert caret.strip("^ ") == ""
    column = int(place.rsplit(":", 1)[1])
    if not line.startswith("    ..."):
        assert caret.index("^") == 4 + column - 1


@pytest.fixture
def logistic(tmp_path: Path) -> str:
    random = np.random.default_rng(0)
    x = random.normal(size=(80, 2))
    t = (x @ [2.0, -1.0] + 0.3 * random.normal(size=80) > 0) * 1
    rows = [f"{a!r},{b!r},{k}" for (a, b), k in zip(x.tolist(), t.tolist(), strict=True)]
    (tmp_path / "train.csv").write_text("\n".join(["height,weight,t", *rows]) + "\n")
    np.savez(tmp_path / "train.npz", x=x, t=t)
    (tmp_path / "logistic.gradc").write_text(LOGISTIC)
    return "logistic.gradc"


TABLE = ("--data", "train.csv", "--columns", "x=height,weight")


# compile and show


def test_compile_prints_a_module_that_runs(run: Run, logistic: str) -> None:
    ended = run("compile", logistic)
    assert (ended.code, ended.err) == (0, "")
    names: dict[str, Callable[..., float]] = {}
    exec(compile(ended.out.replace("from numba import njit", "raise ImportError"), "generated", "exec"), names)
    value = names["value"](np.zeros(1), 0.0, np.ones((1, 1)), np.ones(1), 0.0)
    assert value == pytest.approx(np.log(2))


def test_compile_writes_a_file(run: Run, logistic: str) -> None:
    printed = run("compile", logistic).out
    assert run("compile", logistic, "-o", "loss.py") == Ended(0, "", "")
    assert Path("loss.py").read_text() == printed
    fails(run("compile", logistic, "-o", "loss.c"), "C code is not supported yet")
    fails(run("compile", logistic, "-o", "loss.exe"), "OUT.py or OUT.c")
    fails(run("compile", logistic, "-o", "none/loss.py"), "none/loss.py: No such file or directory")


def test_show(run: Run, logistic: str) -> None:
    assert run("show", logistic).out == run("compile", logistic).out
    assert run("show", logistic, "--as", "source").out == run("compile", logistic).out
    graph = run("show", logistic, "--as", "graph").out
    assert all(re.match(r" *%\d+ = ", line) for line in graph.splitlines())
    assert " = w[[d]] " in graph
    adjoint = run("show", logistic, "--as", "adjoint").out
    assert len(adjoint.splitlines()) > len(graph.splitlines())
    assert "w_bar = %" in adjoint
    assert "\x1b" not in graph + adjoint
    fails(run("show", logistic, "--as", "picture"), "picture")


def test_programs_from_standard_input_and_expressions(run: Run) -> None:
    assert "w_bar" in run("show", "-", stdin=LOGISTIC.encode()).out
    assert "x_bar" in run("show", "-e", "x**3").out
    fails_at(run("show", "-", stdin=b"x: param\nx +\n"), "<stdin>:2:4")
    fails_at(run("show", "-e", "x + sine(x)"), "<expression>:1:5", "unknown function 'sine'", "did you mean 'sin'?")
    fails(run("show"), "give either a FILE or -e EXPRESSION")
    fails(run("show", "a.gradc", "-e", "x"), "give either a FILE or -e EXPRESSION")


# eval


def test_eval_prints_the_value_alone(run: Run) -> None:
    ended = run("eval", "-e", "log(x1) + x1*x2 - sin(x2)", "--at", "x1=2", "--at", "x2=5")
    assert (ended.code, ended.err) == (0, "")
    assert float(ended.out) == pytest.approx(11.652071455223084, rel=1e-15)


def test_eval_prints_the_gradient(run: Run) -> None:
    ended = run("eval", "-e", "log(x1) + x1*x2 - sin(x2)", "--set", "x1=2", "--set", "x2=5", "--grad")
    lines = [line.split() for line in ended.out.splitlines()]
    assert [line[:2] for line in lines] == [["value", "="], ["gradient"], ["x1", "="], ["x2", "="]]
    assert float(lines[2][2]) == pytest.approx(5.5, rel=1e-15)
    assert float(lines[3][2]) == pytest.approx(2 - np.cos(5), rel=1e-15)


def test_eval_of_files_agrees_with_arrays(run: Run, logistic: str) -> None:
    point = ("--set", "w=[0.5, -1]", "--set", "b=0.25")
    assert run("eval", logistic, *TABLE, *point, "-o", "a.npz", "--grad").code == 0
    assert run("eval", logistic, "--data", "train.npz", *point, "-o", "b.npz", "--grad").code == 0
    a, b = np.load("a.npz"), np.load("b.npz")
    assert sorted(a) == ["b", "value", "w"]
    assert all(np.array_equal(a[name], b[name]) for name in a)
    x, t = np.load("train.npz")["x"], np.load("train.npz")["t"]
    y = 1 / (1 + np.exp(-(x @ [0.5, -1] + 0.25)))
    assert a["w"] == pytest.approx((y - t) @ x / len(t) + 0.01 * np.array([0.5, -1]), rel=1e-12)
    assert a["b"] == pytest.approx(np.mean(y - t), rel=1e-12)


def test_eval_of_large_arrays_is_short(run: Run) -> None:
    ended = run("eval", "-", "--random", "0", "--dim", "n=1000", stdin=b"w: param[n]\nw*2")
    assert ended.code == 0
    assert ended.out.startswith("array of 1000, norm ")
    assert len(ended.out) < 200


def test_eval_output_names(run: Run) -> None:
    fails(run("eval", "-e", "value**2", "--at", "value=1", "--grad", "-o", "a.npz"), "two arrays named 'value'")
    fails(run("eval", "-e", "x", "--at", "x=1", "-o", "a.txt"), "OUT.npz")
    assert run("eval", "-e", "file**2", "--at", "file=3", "--grad", "-o", "a.npz").code == 0
    assert np.load("a.npz")["file"] == 6


# check


def test_check_passes(run: Run, logistic: str) -> None:
    ended = run("check", logistic, "--random", "1", "--dim", "n=7", "--dim", "d=3")
    assert ended.code == 0
    assert ended.out.startswith("gradient check passed: 4 comparisons of w, b")


def test_check_of_a_wrong_gradient_exits_with_1(run: Run, logistic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoiled(value: Any, gradient: Any, *rest: Any, **settings: Any) -> Report:
        return check_gradient(value, {**gradient, "w": gradient["w"] * [1, 1.001, 1]}, *rest, **settings)

    monkeypatch.setattr("gradc.check.check_gradient", spoiled)
    ended = run("check", logistic, "--random", "1", "--dim", "n=7", "--dim", "d=3")
    assert (ended.code, ended.err) == (1, "")
    assert ended.out.startswith("gradient check failed: w[1] is wrong")


# fit


def test_fit(run: Run, logistic: str) -> None:
    ended = run("fit", logistic, *TABLE, "--report", "mean((y > 0.5) == (t > 0.5))", "-o", "params.npz")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0].split()[:2] == ["0", "loss"]
    told = {line[:19].strip(): line[19:] for line in lines if line.startswith(("loss at", "gradient", "iterations"))}
    assert list(told) == ["loss at the start", "loss at the end", "gradient norm", "iterations"]
    assert float(told["loss at the end"]) < 0.4 < float(told["loss at the start"])
    assert float(told["gradient norm"]) < 1e-6
    assert "converged" in told["iterations"]
    assert lines[-1].startswith("mean((y > 0.5) == (t > 0.5)) = ")
    assert 0.9 < float(lines[-1].split()[-1]) <= 1
    value = run("eval", logistic, "--data", "train.npz", "--data", "params.npz").out
    assert float(value) == pytest.approx(float(told["loss at the end"]), rel=1e-12)


def test_fit_by_batches_is_reproducible(run: Run, logistic: str) -> None:
    settings = ("--method", "adam", "--batch", "16", "--epochs", "5", "--lr", "0.05")
    one, same, other = (run("fit", logistic, *TABLE, *settings, "--seed", seed).out for seed in "112")
    assert one == same != other
    assert "epochs             5 (adam: all epochs done)" in one


def test_fit_draws_what_is_not_given(run: Run, logistic: str) -> None:
    ended = run("fit", logistic, "--random", "1", "--dim", "n=50", "--dim", "d=2", "--set", "b=1", "--epochs", "2")
    assert ended.code == 0
    fails(run("fit", logistic, "--random", "1", "--dim", "n=50"), "the length d is not known", "--dim d=")
    fails(run("fit", logistic), "input 'x' is missing: expected x: data[n, d]")
    fails(run("fit", logistic, "--dim", "d=2"), "input 'x' is missing")


def test_fit_refuses(run: Run, logistic: str) -> None:
    fails(run("fit", logistic, *TABLE, "--batch", "3"), "lbfgs takes no batch size")
    fails(run("fit", logistic, *TABLE, "--method", "newton"), "newton")
    fails(run("fit", logistic, *TABLE, "--report", "mean(yy)"), "<report>:10:6", "unknown name 'yy'")
    fails(run("fit", logistic, *TABLE, "--report", INJECTION), "<report>:10:1")
    fails(run("fit", logistic, *TABLE, "-o", "params.csv"), "OUT.npz")
    fails(run("fit", logistic, *TABLE, "--plot", "loss.txt"), ".png, .svg or .pdf")


def test_plot_without_matplotlib(run: Run, logistic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    fails(run("fit", logistic, *TABLE, "--plot", "loss.png"), "--plot needs matplotlib", "pip install gradc[plot]")


def test_methods_are_those_of_the_library() -> None:
    assert [m.value for m in Method] == list(EPOCHS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: param\na*a\n", "a: param\nE"),
        ("a: param\nb = a; b*a", "a: param\nb = a; \nE"),
        ("a: param\r\nreturn (a +\r\n  a)\r\n", "a: param\nE"),
        ("a: param  # é\nq = 'é'; a", "a: param  # é\nq = 'é'; \nE"),
        ("", "E"),
    ],
)
def test_a_report_replaces_the_last_statement(text: str, expected: str) -> None:
    assert with_result(Source("f", text), "E").text == expected


# new and cache


def test_new(run: Run) -> None:
    listed = run("new")
    starters = {path.stem: path for path in resources.path("examples").glob("*.gradc")}
    assert [line.split()[0] for line in listed.out.splitlines()] == sorted(starters)
    assert "L2-regularised logistic regression." in listed.out
    assert run("new", "logistic") == Ended(0, "wrote logistic.gradc\n", "")
    assert Path("logistic.gradc").read_text() == starters["logistic"].read_text()
    Path("logistic.gradc").write_text("mine")
    fails(run("new", "logistic"), "logistic.gradc is there already")
    assert Path("logistic.gradc").read_text() == "mine"
    fails(run("new", "logistics"), "there is no starter 'logistics'", "did you mean 'logistic'?")
    fails(run("new", "../qqq"), "there is no starter '../qqq'", "logistic, ")


def test_cache(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADC_CACHE_DIR", str(tmp_path / "kept"))
    assert run("cache").out == f"{tmp_path / 'kept'}\n0 entries, 0 bytes\n"
    assert run("eval", "-e", "x", "--at", "x=1").code == 0
    directory, amount = run("cache").out.splitlines()
    assert directory == str(tmp_path / "kept")
    assert amount.startswith("2 entries, ")
    assert amount.endswith(" kB")
    assert run("cache", "--clear").out == f"{directory}\ndeleted {amount}\n"
    assert run("cache").out == f"{directory}\n0 entries, 0 bytes\n"


# mistakes


@pytest.mark.parametrize(
    ("text", "place", "parts"),
    [
        (
            "w: param[d]\nx: data[n, d]\nsum(sigmod(x @ w))",
            "3:5",
            ["unknown function 'sigmod'", "did you mean 'sigmoid'"],
        ),
        ("weight: param\nweigth**2", "2:1", ["unknown name 'weigth'", "did you mean 'weight'?"]),
        ("w: param[d]\nx: data[n, d]\nsum(x.T @ w)", "3:5", ["n and d do not agree"]),
        ("w: parm[d]\nsum(w)", "1:4", ["did you mean 'param'?"]),
        (INJECTION, "1:1", []),
        ("w: param\nw.__class__.__mro__", "2:1", ["'.__"]),
        ("w: param\n(lambda: w)()", "2:2", []),
        ("w: param\nlambda: w", "2:1", ["lambda is not part of the language"]),
        ("import os\nos", "1:1", ["imports are not part of the language"]),
        ("exec('1')", "1:1", ["unknown function 'exec'"]),
        ("w: param\n'w' * 3", "2:1", []),
        ("w: param\nw +", "2:4", ["invalid syntax"]),
        ("w: param\n" + "(" * 10_000 + "w" + ")" * 10_000, "2:201", ["nested parentheses"]),
        ("w: param\n" + "-" * 10_000 + "w", "2:1", ["nested too deeply"]),
        ("w: param\n" + "sin(" * 190 + "w" + ")" * 190, "2:1", ["nested too deeply"]),
        ("w: param\n\0", "2:1", ["not a text file"]),
        ("", "1:1", ["the program is empty"]),
    ],
)
def test_programs_that_are_wrong(run: Run, text: str, place: str, parts: list[str]) -> None:
    Path("wrong.gradc").write_bytes(text.encode())
    for command in ("show", "eval", "fit"):
        fails_at(run(command, "wrong.gradc"), f"wrong.gradc:{place}", *parts)
    assert not Path("pwned").exists()


def test_files_that_are_no_programs(run: Run) -> None:
    Path("binary.gradc").write_bytes(b"x: param\n" + bytes(range(256)))
    fails_at(run("show", "binary.gradc"), "binary.gradc:1:1", "not a text file")
    fails(run("show", "none.gradc"), "none.gradc: No such file or directory")
    Path("folder.gradc").mkdir()
    fails(run("show", "folder.gradc"), "folder.gradc: ")
    Path("bom.gradc").write_bytes(b"\xef\xbb\xbfx: param\nx\n")
    assert run("show", "bom.gradc").code == 0


def test_messages_hold_nothing_a_terminal_would_act_on(run: Run) -> None:
    Path("escape.gradc").write_text("x: param\nx + \x1b[31mred\n")
    ended = run("show", "escape.gradc")
    fails_at(ended, "escape.gradc:2:5")
    assert "\x1b" not in ended.err


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--at", "y=1"], ["unknown input 'y'", "inputs: x"]),
        ([], ["input 'x' is missing: expected x: param"]),
        (["--at", "x=nan"], ["input 'x': expected a finite number", "given 'nan'"]),
        (["--at", "x=1e999"], ["input 'x': expected a finite number, given inf"]),
        (["--at", "x=[1,2]"], ["input 'x': expected x: param, given an array of shape (2,)"]),
        (["--at", f"x={INJECTION}"], ["input 'x': expected a finite number"]),
        (["--at", "x=1", "--set", "x=2"], ["--set gives 'x' twice"]),
        (["--at", "x"], ["cannot read the setting 'x'"]),
        (["--at", "x=1", "--dim", "n=3"], ["there is no dim 'n'"]),
        (["--at", "x=1", "--data", "a.csv"], ["a.csv: No such file or directory"]),
        (["--at", "x=1", "--data", "a.txt"], ["cannot read 'a.txt'", ".npz, .csv or .parquet"]),
        (["--random", "-1"], ["--random"]),
    ],
)
def test_inputs_that_are_wrong(run: Run, arguments: list[str], parts: list[str]) -> None:
    fails(run("eval", "-e", "x", *arguments), *parts)
    assert not Path("pwned").exists()


def test_data_that_are_wrong(run: Run, logistic: str) -> None:
    Path("nan.csv").write_text("height,weight,t\n1,2,0\n3,nan,1\n")
    table = ("--data", "nan.csv", "--columns", "x=height,weight")
    fails(run("eval", logistic, *table), "input 'x': expected a finite number", "nan.csv:3, row 2, column 'weight'")
    np.savez("inf.npz", w=[1.0, np.inf])
    fails(run("eval", logistic, *TABLE, "--data", "inf.npz"), "input 'w': expected a finite number, given inf at [1]")
    ended = run("eval", logistic, *TABLE, "--set", "w=[1, 2, 3]")
    fails_at(ended, "logistic.gradc:4:1", "input 'x': expected shape (80, 3), given (80, 2)")
    huge = ("--random", "1", "--dim", f"n={10**17}", "--dim", "d=1")
    fails(run("eval", logistic, *huge), "input 'x': an array of shape", "is too large")


def test_bugs_are_told_apart_from_mistakes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr("gradc.cli.programs.compiled", broken)
    fails(run("show", "-e", "x"), "an error inside gradc: KeyError: 'oops'", "GRADC_TRACEBACK=1", code=3)
    monkeypatch.setenv("GRADC_TRACEBACK", "1")
    with pytest.raises(KeyError):
        cli.main(["show", "-e", "x"])


@pytest.mark.parametrize("behind", [False, True])
def test_interrupted(run: Run, monkeypatch: pytest.MonkeyPatch, behind: bool) -> None:
    def interrupted(*_: object) -> None:
        if not behind:
            raise KeyboardInterrupt
        raise SystemError("returned a result with an exception set") from KeyboardInterrupt()

    monkeypatch.setattr("gradc.cli.programs.compiled", interrupted)
    assert run("show", "-e", "x") == Ended(130, "", "")


# processes


def test_help_show_and_compile_do_not_wait_for_numba(tmp_path: Path) -> None:
    heavy = ("numba", "llvmlite", "scipy", "sympy", "pyarrow", "matplotlib")
    for arguments in (
        ["--help"],
        ["show", "-e", "exp(x)"],
        ["compile", "-e", "exp(x)"],
        ["show", "-e", "x", "--as", "graph"],
    ):
        script = (
            f"import sys; from gradc.cli import main\ntry: main({arguments})\n"
            f"finally: print([m for m in {heavy} if m in sys.modules], file=sys.stderr)"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
        assert done.stderr == "[]\n"
        assert done.stdout


def test_a_command_in_a_process_of_its_own(tmp_path: Path) -> None:
    ended = gradc("eval", "-", "--at", "x=3", stdin="x: param\nx*x\n")
    assert ended == Ended(0, "9.0\n", "")
    fails_at(gradc("eval", "-e", "x + y)"), "<expression>:1:6", "unmatched ')'")


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    program = tmp_path / "long.gradc"
    program.write_text(
        "x: param\n" + "".join(f"y{k} = sin({f'y{k - 1}' if k else 'x'})\n" for k in range(2000)) + "y1999\n"
    )
    command = [sys.executable, "-c", "from gradc.cli import main; main()", "show", str(program), "--as", "graph"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) not in (1, 2, 3)
