"""Functions that an earlier process has compiled: found by what was written, and the same in everything."""

from __future__ import annotations

import os
import pickle
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import CASES
from test_start import LINUX, fresh

import gradc
from gradc import resources
from gradc.api import parse
from gradc.derive import derive
from gradc.runtime import blas, cache, files, objects, pool, recall

PROGRAM = """
w: param[d]
x: data[n, d]
first: index
k: index[n]
start: index[d + 1]
z = x[:, first]*w[k]
sum(z[i] for i in range(n - 2)) + sum(w[i] for j in range(d) for i in range(start[j], start[j + 1])) + x[3, 0]
"""
GOOD = {"w": np.ones(3), "x": np.ones((5, 3)), "first": 2, "k": [0, 1, 2, 0, 1], "start": [0, 1, 2, 3]}
BAD: list[dict[str, Any]] = [
    {"w": np.ones(4)},
    {"w": "text"},
    {"x": np.ones((3, 3)), "k": [0, 1, 2]},
    {"first": 3},
    {"first": 0.5},
    {"k": [0, 1, 2, 3, 0]},
    {"k": [0, 1, 2]},
    {"start": [0, 1, 2, 9]},
    {"unknown": 1},
]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("GRADC_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def derived(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A line for each program that is derived."""
    seen: list[str] = []

    def spy(program: Any, wrt: Any) -> Any:
        seen.append(program.title)
        return derive(program, wrt)

    monkeypatch.setattr("gradc.derive.derive", spy)
    return seen


def answers(function: gradc.Function, good: dict[str, Any], bad: list[dict[str, Any]]) -> list[str]:
    """Results, and what is said of bad inputs."""
    value, gradient = function.value_and_grad(**good)
    found = [repr(value), repr(gradient), repr(function(**good)), repr(function), repr(function.wrt)]
    for changed in bad:
        with pytest.raises(gradc.InputError) as error:
            function.value_and_grad(**{**good, **changed})
        found.append(str(error.value))
    return found


@LINUX
def test_a_known_program_is_not_derived_again(derived: list[str]) -> None:
    first = answers(gradc.compile(PROGRAM), GOOD, BAD)
    assert len(derived) == 1
    function = gradc.compile(PROGRAM)
    assert answers(function, GOOD, BAD) == first
    assert len(derived) == 1
    assert function.source == gradc.compile(PROGRAM, cache=False).source
    assert len(derived) == 3
    assert str(function.graph) == str(gradc.compile(PROGRAM, cache=False).graph)
    assert function.check(**GOOD).ok
    with pytest.raises(gradc.InputError, match="no input has one more leading axis"):
        function.map(**GOOD)


@LINUX
def test_only_entries_that_were_called_are_known(derived: list[str]) -> None:
    gradc.compile("x: param\nsin(x)")(1.0)
    function = gradc.compile("x: param\nsin(x)")
    assert function(1.0) == np.sin(1.0)
    assert len(derived) == 1
    assert function.grad(1.0).x == pytest.approx(np.cos(1.0))
    assert len(derived) == 2
    assert gradc.compile("x: param\nsin(x)").grad(1.0).x == pytest.approx(np.cos(1.0))
    assert len(derived) == 2


@LINUX
@pytest.mark.parametrize(
    "options",
    [{"wrt": ["x"]}, {"dtype": "float32"}, {"threads": 1}, {"fast_math_library": False}, {"backend": "python"}],
    ids=str,
)
def test_other_options_are_another_program(options: dict[str, Any], derived: list[str]) -> None:
    text = "w: param[n]\nx: data[n]\nsum(sin(w*x))"
    inputs = np.array([0.5, 1.5]), np.array([1.0, 2.0])
    gradc.compile(text).value_and_grad(*inputs)
    function = gradc.compile(text, **options)
    assert len(derived) == 2
    given, expected = (f.value_and_grad(*inputs) for f in (function, gradc.compile(text, cache=False, **options)))
    assert repr(given) == repr(expected)


@LINUX
def test_what_surrounds_calls_is_the_same(derived: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads a call may have, and those of BLAS."""
    entered: list[Any] = []

    @contextmanager
    def spy(*args: Any) -> Iterator[None]:
        entered.append(args)
        yield

    class Entered(blas.OneThread):
        def __enter__(self) -> None:
            entered.append(())
            super().__enter__()

    monkeypatch.setattr(pool, "limited", spy)
    monkeypatch.setattr(blas, "ONE_THREAD", Entered())
    rows, matrices = "x: data[n]\nw: param\nsum(sin(w*x))", "a: param[n, n]\nsum(a @ a @ a)"
    x, a = np.arange(5.0), np.eye(3)
    for _ in range(2):
        gradc.compile(rows, threads=2)(x, 1.0)
        gradc.compile(rows)(x, 1.0)
        gradc.compile("x: param\nx*x", threads=2)(1.0)
        gradc.compile(matrices)(a)
    assert entered == 2 * [(2,), ()]
    assert len(derived) == 4


@LINUX
@pytest.mark.parametrize("other", ["x: param\nx*x*x", "x: param \nx*x", "x: param = 1.0\nx*x", "X: param\nX*X"])
def test_other_texts_are_other_programs(other: str, derived: list[str]) -> None:
    assert gradc.compile("x: param\nx*x")(3.0) == 9.0
    assert gradc.compile(other)(3.0) == (27.0 if "x*x*x" in other else 9.0)
    assert len(derived) == 2


@LINUX
def test_a_file_is_known_by_its_name_and_text(tmp_path: Path, derived: list[str]) -> None:
    one, other = tmp_path / "one.gradc", tmp_path / "other.gradc"
    one.write_text("x: param[n]\nx[0]*x[5]")
    shutil.copy(one, other)
    for file, count in ((one, 1), (one, 1), (other, 2)):
        function = gradc.compile(file)
        assert function(np.ones(6)) == 1.0
        assert len(derived) == count
        with pytest.raises(gradc.InputError, match=f"{file.name}:2"):
            function(np.ones(5))
    one.write_text("x: param[n]\nx[0] + x[5]")
    assert gradc.compile(one)(np.ones(6)) == 2.0


def made(factor: float) -> Callable[..., Any]:
    def loss(x: gradc.param) -> Any:
        return factor * x * x

    return loss


@LINUX
def test_a_python_function_is_known_with_what_its_names_mean(derived: list[str]) -> None:
    assert gradc.compile(made(2.0)).value_and_grad(3.0)[0] == 18.0
    assert gradc.compile(made(2.0)).value_and_grad(3.0)[0] == 18.0
    assert len(derived) == 1
    assert gradc.compile(made(4.0)).value_and_grad(3.0)[0] == 36.0
    assert gradc.compile(made(2)).value_and_grad(3.0)[0] == 18.0
    assert len(derived) == 3


@LINUX
@pytest.mark.parametrize("change", ["gradc", "machine"])
def test_what_another_version_has_kept_is_not_known(
    change: str, derived: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gradc.compile("x: param\nx*x")(3.0)
    if change == "gradc":
        monkeypatch.setattr(files, "state", lambda: "another")
    else:
        monkeypatch.setattr(cache, "_machine", lambda: ("another",))
    assert gradc.compile("x: param\nx*x")(3.0) == 9.0
    assert len(derived) == 2


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of gradc that is taken for the one imported."""
    package = Path(gradc.__file__).parent
    made = shutil.copytree(package, tmp_path / "gradc", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(gradc, "__file__", str(made / "__init__.py"))
    monkeypatch.setattr(files, "IMPORTED", time.time() + 1000)
    return made


def test_every_file_of_files_counts(copy: Path) -> None:
    whole = files.state.__wrapped__()
    assert whole == files.state.__wrapped__()
    for file in ("algebra.py", "autodiff/reverse.py", "runtime/vectors/exponential.py"):
        text = (copy / file).read_text()
        (copy / file).write_text(text + "\n")
        assert files.state.__wrapped__() not in (whole, None)
        (copy / file).write_text(text)
    (copy / "autodiff/more.py").write_text("")
    assert files.state.__wrapped__() not in (whole, None)


@LINUX
@pytest.mark.parametrize("newer", ["algebra.py", "runtime/vectors/exponential.py"])
def test_files_changed_since_they_were_imported_tell_nothing(
    newer: str, copy: Path, place: Path, derived: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that runs what they were before must keep nothing under what they are."""
    later = time.time() + 2000
    os.utime(copy / newer, (later, later))
    monkeypatch.setattr(files, "state", files.state.__wrapped__)
    for _ in range(2):
        assert gradc.compile("x: param\nx*x")(3.0) == 9.0
    assert len(derived) == 2
    assert not list(place.rglob("*.outline"))


@LINUX
def test_files_changed_before_something_is_kept_are_noticed(copy: Path, place: Path, derived: list[str]) -> None:
    """A module that is imported late may have been another one when the files were hashed."""
    files.state.cache_clear()
    assert gradc.compile("x: param\nx*x")(3.0) == 9.0
    function = gradc.compile("x: param\nx*x*x")
    later = time.time() + 2000
    os.utime(copy / "frontends/text.py", (later, later))
    assert function(3.0) == 27.0
    files.state.cache_clear()
    assert len(list(place.rglob("*.outline"))) == 1


@pytest.mark.parametrize("beside", ["a link to nothing", "a directory", "no templates"])
def test_other_files_beside_gradcs_own_do_no_harm(
    beside: str, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    templates = shutil.copytree(resources.path("templates"), tmp_path / "templates")
    monkeypatch.setattr(resources, "path", lambda name: tmp_path / name)
    (copy / ".#algebra.py").symlink_to("nobody@host.1")
    (templates / ".checkpoints").mkdir()
    if beside == "no templates":
        shutil.rmtree(templates)
    assert (files.state.__wrapped__() is None) is (beside == "no templates")


class Other(str):
    """A text that says something else of itself."""

    def __repr__(self) -> str:
        return "Other(...)"

    def endswith(self, *args: Any) -> bool:
        return True


def test_a_text_is_what_it_is_made_of() -> None:
    for text, result in (("x: param\nx*x", 9.0), ("x: param\nx*x*x", 27.0)):
        for _ in range(2):
            assert gradc.compile(Other(text))(3.0) == result
            assert gradc.compile(text, wrt=[Other("x")])(3.0) == result


@LINUX
def test_what_cannot_be_read_is_made_again(place: Path, derived: list[str]) -> None:
    text = "x: param\nx*x"
    kept = gradc.compile(text)._kept
    assert kept is not None
    assert gradc.compile(text)(3.0) == 9.0
    cache.write(kept, recall.OUTLINE, pickle.dumps(Other).replace(b"Other", b"Never"))
    assert gradc.compile(text)(3.0) == 9.0
    assert gradc.compile(text)(3.0) == 9.0
    assert len(derived) == 3


@pytest.mark.parametrize("backend", ["numba", "python"])
def test_threads_that_ask_for_all_of_a_function_at_once(backend: str) -> None:
    """What is made for one waits for nothing that waits for it."""
    text = "x: param[n]\nsum(sin(x)*exp(x))"
    gradc.compile(text)([1.0, 2.0])
    asked: list[Callable[[gradc.Function], Any]] = [
        lambda f: str(f.graph),
        lambda f: f.value_and_grad([1.0, 2.0]),
        lambda f: f.source,
        lambda f: f([1.0, 2.0]),
        lambda f: f.program,
    ]
    for _ in range(5):
        function = gradc.compile(text, backend=backend)
        together = threading.Barrier(len(asked))
        done: list[int] = []

        def ask(k: int) -> None:
            together.wait()  # noqa: B023
            asked[k](function)  # noqa: B023
            done.append(k)  # noqa: B023

        threads = [threading.Thread(target=ask, args=(k,), daemon=True) for k in range(len(asked))]
        for t in threads:
            t.start()
        for t in threads:
            t.join(120)
        assert sorted(done) == list(range(len(asked)))


@pytest.mark.parametrize("options", [{"cache": False}, {"backend": "python"}], ids=str)
def test_nothing_is_kept_that_was_not_to_be(options: dict[str, Any], place: Path) -> None:
    for _ in range(2):
        assert gradc.compile("x: param\nx*x", **options)(3.0) == 9.0
    assert not list(place.rglob("*outline*"))


@LINUX
@pytest.mark.parametrize("damaged", ["outline", "where it is", "machine code"])
@pytest.mark.parametrize("damage", ["cut", "emptied", "a byte changed", "gone"])
def test_what_is_damaged_is_made_again(damaged: str, damage: str, place: Path, derived: list[str]) -> None:
    text = "x: param[n]\nsum(sin(x)*exp(x))"
    x = np.linspace(0.0, 1.0, 7)
    first = repr(gradc.compile(text).value_and_grad(x))
    (file,) = place.rglob(
        {"machine code": "*.value_and_grad.o", "where it is": "*.value_and_grad.????????"}.get(damaged, "*.outline")
    )
    data = file.read_bytes()
    middle = len(data) // 2
    if damage == "gone":
        file.unlink()
    else:
        changed = {"cut": data[:middle], "emptied": b""}
        file.write_bytes(changed.get(damage, data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]))
    assert repr(gradc.compile(text).value_and_grad(x)) == first
    assert len(derived) == 2
    assert repr(gradc.compile(text).value_and_grad(x)) == first
    assert len(derived) == 2 or damage == "gone"


@LINUX
@pytest.mark.parametrize("part", ["*.outline", "*.value_and_grad.????????", "*.value_and_grad.o"])
def test_parts_of_another_program_are_not_taken(part: str, place: Path) -> None:
    texts = ["x: param\nsin(x)*x + 1", "x: param[2]\nsum(sin(x)*x) + 2"]
    inputs: list[Any] = [0.5, np.array([0.5, 1.5])]
    expected = [repr(gradc.compile(text).value_and_grad(x)) for text, x in zip(texts, inputs, strict=True)]
    one, other = sorted(place.rglob(part))
    shutil.copy(one, other)
    for text, x, result in zip(texts, inputs, expected, strict=True):
        assert repr(gradc.compile(text).value_and_grad(x)) == result


@LINUX
def test_nothing_is_left_behind_where_nothing_can_be_put(place: Path) -> None:
    text = "x: param\nx*x"
    assert gradc.compile(text)(3.0) == 9.0
    (file,) = place.rglob("*.value.o")
    file.unlink()
    file.mkdir()
    names = sorted(p.name for p in file.parent.iterdir())
    assert gradc.compile(text)(3.0) == 9.0
    assert sorted(p.name for p in file.parent.iterdir()) == names


def test_without_object_code_everything_is_made_again(derived: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As on systems whose object code cannot be loaded without Numba."""
    monkeypatch.setattr(objects, "dump", lambda *_: None)
    assert gradc.compile("x: param\nx*x*7")(3.0) == 63.0
    assert gradc.compile("x: param\nx*x*7")(3.0) == 63.0
    assert len(derived) == 2


def test_a_program_that_is_wrong_stays_wrong() -> None:
    for _ in range(2):
        with pytest.raises(gradc.ParseError):
            gradc.compile("x: param\nx +")


@LINUX
def test_results_that_are_arrays_have_no_gradient_either_way(derived: list[str]) -> None:
    text = "x: param[n]\nx*x"
    for _ in range(2):
        function = gradc.compile(text)
        np.testing.assert_array_equal(function([2.0, 3.0]), [4.0, 9.0])
        with pytest.raises(gradc.UnsupportedError, match=r"the result has shape \(n\)"):
            function.grad([2.0, 3.0])


@pytest.mark.parametrize("name", CASES)
def test_outlines_come_back_as_they_were(name: str) -> None:
    outline = derive(parse(CASES[name].path.read_text())).outline
    again = pickle.loads(pickle.dumps(outline))
    assert again == outline
    assert repr(again) == repr(outline)
    assert [(hash(p), str(p)) for i in again.inputs for p in i.shape] == [
        (hash(p), str(p)) for i in outline.inputs for p in i.shape
    ]


@LINUX
def test_another_process_imports_nothing_that_makes_functions(tmp_path: Path) -> None:
    code = f"""
import gradc, sys
print(gradc.compile({PROGRAM!r}).value_and_grad([1.0, 2.0, 3.0], [[0.5]*3]*4, 0, [0, 1, 2, 0], [0, 1, 2, 3]))
"""
    parts = ("lower", "rewrite", "autodiff", "schedule", "emit", "derive", "runtime.jit", "frontends.text")
    seen = f"print([p for p in {parts!r} if 'gradc.' + p in sys.modules])"
    (first, _), (again, heavy) = (fresh(code + seen, tmp_path) for _ in range(2))
    assert first.splitlines()[0] == again.splitlines()[0]
    assert first.splitlines()[1].count("'") == 2 * len(parts)
    assert again.splitlines()[1] == "[]"
    assert heavy == {"llvmlite"}
