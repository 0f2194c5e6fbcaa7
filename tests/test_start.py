"""What a fresh process imports, code from the cache without Numba, and what a call copies."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import CASES
from llvmlite import binding

import gradc
from gradc.runtime import cache, native, objects
from gradc.runtime.inputs import Inputs

HEAVY = (
    "sympy",
    "numba",
    "llvmlite",
    "scipy",
    "jinja2",
    "pandas",
    "pyarrow",
    "typer",
    "rich",
    "mpmath",
    "platformdirs",
)
LOGISTIC = str(CASES["logistic"].path)
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="object code is kept where it is ELF")
SEEN = f"\nimport json, sys\nprint('|' + json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
CALL = """
import gradc, numpy as np
x = np.arange(6.0).reshape(3, 2)
function = gradc.compile("w: param[d]\\nb: param\\nx: data[n, d]\\nk: index\\nsum(sin(x @ w + b)) + w[k - 1]")
value, gradient = function.value_and_grad(w=[1.0, 2.0], b=0.5, x=x, k=1)
print(repr(value), gradient.w.tobytes().hex(), repr(gradient.b), repr(function(np.ones(2), 0, x, 2)))
for k in (0, 3):
    try:
        function.grad(np.ones(2), 0.5, x, k)
    except gradc.InputError as error:
        print(error)
"""


def fresh(code: str, place: Path, **variables: str) -> tuple[str, set[str]]:
    """What a process of its own prints, and which of the heavy packages it has imported by its end."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
    done = subprocess.run(
        [sys.executable, "-c", code + SEEN],
        capture_output=True,
        text=True,
        check=True,
        env={**environment, "GRADC_CACHE_DIR": str(place), **variables},
    )
    printed, _, names = done.stdout.rpartition("|")
    return printed, set(json.loads(names))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, set[str], Path]:
    """What `CALL` prints and imports with an empty cache, and the cache it leaves."""
    place = tmp_path_factory.mktemp("built")
    return *fresh(CALL, place), place


@pytest.fixture
def filled(built: tuple[str, set[str], Path], tmp_path: Path) -> Path:
    """A cache with `CALL` in it, of the test's own."""
    return shutil.copytree(built[-1], tmp_path / "filled")


def test_import_starts_nothing_heavy(tmp_path: Path) -> None:
    assert fresh("import gradc", tmp_path) == ("", set())


@pytest.mark.parametrize("command", ["show", "compile"])
def test_looking_at_code_starts_no_compiler(command: str, tmp_path: Path) -> None:
    run = f"from gradc.cli import main\ntry:\n    main([{command!r}, {LOGISTIC!r}])\nexcept SystemExit: pass"
    printed, seen = fresh(run, tmp_path)
    assert "def value_and_grad(" in printed
    assert not seen & {"numba", "llvmlite", "scipy", "sympy", "pandas", "pyarrow", "mpmath"}


@LINUX
def test_cached_code_runs_without_numba(built: tuple[str, set[str], Path]) -> None:
    first, seen, place = built
    assert "numba" in seen
    assert first.count("out of range") == 2
    again, seen = fresh(CALL, place)
    assert again == first
    assert seen == {"llvmlite"}


@pytest.mark.parametrize("order", ["before", "after"])
def test_cached_code_and_numba_in_one_process(order: str, built: tuple[str, set[str], Path]) -> None:
    first, _, place = built
    numba = "import numba, numpy as np\nassert numba.njit(lambda x: np.zeros(3) + x)(1.0).tolist() == [1.0]*3\n"
    code = numba + CALL if order == "before" else CALL + numba + CALL.replace("print(", "(lambda *_: None)(")
    assert fresh(code, place)[0] == first


@LINUX
def test_settings_of_numba_have_entries_of_their_own(filled: Path) -> None:
    assert "numba" in fresh(CALL, filled, NUMBA_OPT="1")[1]
    assert "numba" not in fresh(CALL, filled, NUMBA_OPT="1")[1]
    assert "llvmlite" in fresh(CALL, filled, NUMBA_DISABLE_JIT="1")[1]


def objects_in(place: Path) -> list[Path]:
    return sorted(place.rglob("*.o"))


@LINUX
@pytest.mark.parametrize("damage", ["cut", "emptied", "a byte changed", "of another kind"])
def test_damaged_object_code_is_built_again(damage: str, built: tuple[str, set[str], Path], filled: Path) -> None:
    first = built[0]
    files = objects_in(filled)
    assert len(files) == 3  # two entry points, and gradc's own code that keeps memory
    whole = {file: file.read_bytes() for file in files}
    for file, data in whole.items():
        middle = len(data) // 2
        damaged = {
            "cut": data[:middle],
            "emptied": b"",
            "a byte changed": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
            "of another kind": b"not object code\n" * 20,
        }
        file.write_bytes(damaged[damage])
    assert fresh(CALL, filled)[0] == first
    assert objects_in(filled) == files
    assert fresh(CALL, filled) == (first, {"llvmlite"})


LARGE = """
import gradc, numpy as np
for dtype in ("float64", "float32"):
    sums = gradc.compile("W: param[h, d]\\nx: data[n, d]\\nsum(tanh(x @ W.T) @ W)", dtype=dtype)
    print(sums.grad(np.ones((40, 60)), np.ones((500, 60))).W.sum())
    print(gradc.compile("x: param[n]\\nsum(x**2)", dtype=dtype).grad(np.ones(2_000_000)).x.sum())
"""


@LINUX
def test_numbas_own_cache_serves_where_there_is_no_object_code(tmp_path: Path) -> None:
    """As on systems whose object code cannot be loaded without Numba."""
    first, _ = fresh(LARGE, tmp_path)
    for file in objects_in(tmp_path):
        file.unlink()
    assert "numba" in fresh(LARGE, tmp_path)[1]
    for file in objects_in(tmp_path):
        file.unlink()
    assert fresh(LARGE, tmp_path)[0] == first


MATRICES = """
import gradc, numpy as np
from gradc.runtime import matrices
{before}
function = gradc.compile("W: param[h, d]\\nx: data[n, d]\\nsum(tanh(x @ W.T) @ W)")
print(function.grad(np.ones((40, 60)), np.ones((500, 60))).W.tobytes().hex()[:1000])
import sys
print("scipy.linalg" in sys.modules, "gradc.runtime.products" in sys.modules)
import scipy.linalg
print(scipy.linalg.cython_blas.__name__)
"""


@LINUX
def test_machine_code_of_gradcs_own_is_made_once(tmp_path: Path) -> None:
    first, seen = fresh(MATRICES.format(before=""), tmp_path)
    assert "numba" in seen
    again, seen = fresh(MATRICES.format(before="matrices.text = None"), tmp_path)
    assert again == first.replace("False True", "False False")
    assert "numba" not in seen


def test_damaged_machine_code_of_gradcs_own_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADC_CACHE_DIR", str(tmp_path))
    asked = []

    def text() -> str:
        asked.append(1)
        return "define i64 @three() { ret i64 3 }"

    def three() -> int:
        engine = native.kept("three", ["lanes.py"], text)
        return ctypes.CFUNCTYPE(ctypes.c_int64)(engine.get_function_address("three"))()

    assert [three(), three(), len(asked)] == [3, 3, 1]
    (file,) = objects_in(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    assert [three(), len(asked)] == [3, 2]
    assert file.read_bytes() == whole
    assert native.kept("three", ["narrow.py"], text).get_function_address("three")
    assert len(objects_in(tmp_path)) == 2
    monkeypatch.setenv("GRADC_CACHE_DIR", str(file))  # where nothing can be written
    assert [three(), three(), len(asked)] == [3, 3, 5]


def compiled(text: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The object code that is kept for a program's value."""
    monkeypatch.setenv("GRADC_CACHE_DIR", str(directory))
    gradc.compile(text)(1.0)
    (file,) = objects_in(directory)
    return file.read_bytes().partition(b"\n")[2]


@LINUX
def test_symbols_nobody_has_are_noticed_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = compiled("sin(x)*arcsin(x)", tmp_path, monkeypatch)
    assert objects.load(data, "value")(0.5) == pytest.approx(np.sin(0.5) * np.arcsin(0.5), rel=1e-15)
    monkeypatch.setattr(objects, "_define", lambda symbol: False)
    monkeypatch.setattr(binding, "address_of_symbol", lambda symbol: None if symbol == "asin" else 1)
    with pytest.raises(LookupError, match="asin"):
        objects.load(data, "value")


@LINUX
def test_without_object_code_there_is_numbas_own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled("x*x + 3", tmp_path, monkeypatch)
    (file,) = objects_in(tmp_path)
    file.unlink()
    removed: list[str] = []
    monkeypatch.setattr(cache, "remove", removed.append)
    assert gradc.compile("x*x + 3")(2.0) == 7.0
    assert not removed
    assert not objects_in(tmp_path)


@contextmanager
def converted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The inputs that were not taken as they were."""
    names: list[str] = []
    original = Inputs._numeric

    def counting(self: Inputs, i: Any, value: Any) -> Any:
        names.append(i.name)
        return original(self, i, value)

    with monkeypatch.context() as patch:
        patch.setattr(Inputs, "_numeric", counting)
        yield names


PROGRAM = "w: param[d]\nb: param = 0.5\nx: data[n, d]\nk: index[n]\nsum((x @ w + b)*w[k])"


def arguments(n: int = 4, d: int = 3) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {"w": rng.normal(size=d), "b": 1.5, "x": rng.normal(size=(n, d)), "k": rng.integers(0, d, n)}


def test_arrays_that_fit_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    function, given = gradc.compile(PROGRAM, backend="python"), arguments()
    given["x"].flags.writeable = False
    with converted(monkeypatch) as names:
        ready = function._inputs.ready(tuple(given.values()), {})
        for call in ({**given}, {**given, "b": np.float64(1.5)}):
            function.value_and_grad(**call)
        function.value_and_grad(*given.values())
    assert names == []
    assert all(a is b for a, b in zip(ready, given.values(), strict=True))


def test_other_arrays_are_converted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    function, given = gradc.compile(PROGRAM, backend="python"), arguments()
    others = {
        "w": given["w"].astype(np.float32),
        "b": 1,
        "x": np.asfortranarray(given["x"]),
        "k": given["k"].astype(np.int32),
    }
    for name, other in others.items():
        with converted(monkeypatch) as names:
            ready = function._inputs.ready((), {**given, name: other})
            assert names == [name]
        position = list(given).index(name)
        assert all(a is b for k, (a, b) in enumerate(zip(ready, given.values(), strict=True)) if k != position)
        assert not np.shares_memory(ready[position], other)


def test_sizes_are_checked_again_when_they_change(monkeypatch: pytest.MonkeyPatch) -> None:
    function = gradc.compile(PROGRAM, backend="python")
    seen: list[Any] = []
    original = Inputs._dims
    monkeypatch.setattr(Inputs, "_dims", lambda self, shapes: seen.append(shapes) or original(self, shapes))
    for n in (4, 4, 5, 5, 4):
        function(**arguments(n))
    assert len(seen) == 3
    for _ in range(2):
        with pytest.raises(gradc.InputError, match=r"input 'x': expected x\[n, d\] with d = 3"):
            function(**{**arguments(), "x": np.zeros((4, 2))})
    assert function(**arguments()) == function(**arguments())


def test_subscripts_are_checked_at_every_call() -> None:
    function, given = gradc.compile(PROGRAM, backend="python"), arguments()
    function(**given)
    for bad in (-1, 3, 2**62, -(2**63)):
        with pytest.raises(gradc.InputError, match=rf"input 'k': k\[2\] = {bad} is out of range: expected 0 to 2"):
            function(**{**given, "k": np.array([0, 1, bad, 2])})


def test_requirements_hold_without_any_array() -> None:
    function = gradc.compile("b: param\nk: index\nu = [b*i for i in range(3)]\nu[k]", backend="python")
    assert function(2.0, 2) == 4.0
    with pytest.raises(gradc.InputError, match="out of range"):
        function(2.0, 3)


LATER = """
import sys, numpy as np
{before}
import gradc
print(gradc.compile("a: param[n, n]\\nsum(exp(a @ a))", cache=False)(np.eye(2)) > 7)
print("scipy.linalg" in sys.modules, "scipy.linalg.cython_blas" in sys.modules)
import numba
import scipy.linalg.cython_blas
print(scipy.linalg.cython_blas.__name__, scipy.linalg.det(2*np.eye(3)), numba.njit(lambda a: a @ a)(3*np.eye(2))[0, 0])
"""


@pytest.mark.parametrize("before", ["", "import scipy.linalg", "import numba; numba.njit(lambda x: x)(1.0)"])
def test_scipys_linear_algebra_is_left_to_who_wants_it(before: str, tmp_path: Path) -> None:
    """Numba looks at one module of it as it starts, and gets that alone; others get it whole."""
    printed, _ = fresh(LATER.format(before=before), tmp_path)
    seen = "True True" if before else "False False"
    assert printed.splitlines() == ["True", seen, "scipy.linalg.cython_blas 8.0 9.0"]


SQUARES = "p: param[n]\ns: data[n]\nsum((p*p - {}(s))**2)"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("function", ["cos", "exp", "tanh"])
def test_code_gives_the_same_bits_before_it_is_kept_and_after(
    function: str, dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is one piece of code: LLVM may fuse a product into a sum in one and not in another."""
    monkeypatch.setenv("GRADC_CACHE_DIR", str(tmp_path))
    rng = np.random.default_rng(0)
    p, s = rng.normal(size=1300), rng.normal(size=1300)
    text = SQUARES.format(function)
    made = [gradc.compile(text, dtype=dtype, cache=cached) for cached in (True, True, False)]
    results = [f.value_and_grad(p, s) for f in made]
    assert len({(value, gradient.p.tobytes()) for value, gradient in results}) == 1
