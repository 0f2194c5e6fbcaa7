"""What users hold: inputs of every layout, one compilation, the cache on disk, `out=`, pickling, threads, SciPy."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import mpmath
import numba.core.event as nbevent
import numpy as np
import pytest
import scipy.optimize
from cases import CASES
from msgspec.structs import fields, replace

import gradc
from gradc.emit.python import Module
from gradc.program import Input
from gradc.runtime import cache
from gradc.runtime.jit import Compiled, Settings

LOGISTIC = CASES["logistic"].path


class Compilations(nbevent.Listener):  # type: ignore[misc]
    def __init__(self) -> None:
        self.count = 0

    def on_start(self, event: Any) -> None:
        self.count += 1

    def on_end(self, event: Any) -> None:
        """Counted when they start."""


@contextmanager
def compilations() -> Iterator[Compilations]:
    listener = Compilations()
    with nbevent.install_listener("numba:compile", listener):
        yield listener


def table(n: int, d: int, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "w": rng.normal(size=d),
        "b": 0.5,
        "x": rng.normal(size=(n, d)),
        "t": rng.integers(0, 2, n) * 1.0,
        "lam": 0.1,
    }


def layouts(x: np.ndarray) -> dict[str, np.ndarray]:
    wide = np.zeros((2 * x.shape[0], 3 * x.shape[1]))
    wide[::2, ::3] = x
    locked = x.copy()
    locked.flags.writeable = False
    swapped = x.astype(">f8")
    raw = np.zeros(x.nbytes + 1, dtype=np.uint8)
    shifted = raw[1:].view(np.float64).reshape(x.shape)
    shifted[...] = x
    return {
        "C": x.copy(),
        "Fortran": np.asfortranarray(x),
        "strided": wide[::2, ::3],
        "reversed": x[::-1, ::-1].copy()[::-1, ::-1],
        "read-only": locked,
        "big-endian": swapped,
        "unaligned": shifted,
    }


def test_one_compilation_for_all_sizes_and_layouts() -> None:
    function = gradc.compile(LOGISTIC, cache=False)
    with compilations() as seen:
        function.value_and_grad(**table(7, 3))
        first = seen.count
        for n, d in ((7, 3), (40, 1), (1, 11)):
            inputs = table(n, d)
            expected = function.value_and_grad(**inputs)
            for name, x in layouts(inputs["x"]).items():
                value, gradient = function.value_and_grad(**{**inputs, "x": x})
                assert value == expected[0], name
                np.testing.assert_array_equal(gradient.w, expected[1].w, err_msg=name)
            integers = np.round(inputs["x"] * 3).astype(np.int32)
            whole = function.value_and_grad(**{**inputs, "x": integers, "t": inputs["t"].astype(bool), "b": 1})
            same = function.value_and_grad(**{**inputs, "x": integers.astype(float), "b": 1.0})
            assert whole[0] == same[0]
        assert first > 0
        assert seen.count == first


def test_inputs_are_never_changed() -> None:
    function = gradc.compile("x: param[n]\ny = 2*x\nsum(y*y) + sum(cumsum(x))")
    x = np.arange(4.0)
    function.value_and_grad(x)
    np.testing.assert_array_equal(x, np.arange(4.0))


SECOND = """
import sys, numpy as np
sys.path.insert(0, {tests!r})
from test_function import compilations, table
import gradc
from pathlib import Path
with compilations() as seen:
    value, gradient = gradc.compile(Path({path!r})).value_and_grad(**table(9, 4))
print(seen.count, repr(value), gradient.w.tobytes().hex())
"""


def run_second(tmp_path: Path) -> tuple[int, str]:
    code = SECOND.format(tests=str(Path(__file__).parent), path=str(LOGISTIC))
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"GRADC_CACHE_DIR": str(tmp_path), "PATH": "", "HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
    )
    count, *result = done.stdout.split()
    return int(count), " ".join(result)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str, Path]:
    """What a first process counts and prints, and the cache it leaves."""
    place = tmp_path_factory.mktemp("built")
    return *run_second(place), place


def test_second_process_does_not_compile(built: tuple[int, str, Path]) -> None:
    count, result, place = built
    assert count > 0
    assert run_second(place) == (0, result)


@pytest.mark.parametrize("damage", ["cut", "emptied", "other text", "index replaced", "nothing else"])
def test_damaged_cache_is_rebuilt(built: tuple[int, str, Path], tmp_path: Path, damage: str) -> None:
    result = built[1]
    place = shutil.copytree(built[2], tmp_path / "damaged")
    for file in list(place.rglob("gradc_*")):
        if file.is_file():
            data = file.read_bytes()
            if damage == "cut":
                file.write_bytes(data[: len(data) // 2])
            elif damage == "emptied":
                file.write_bytes(b"")
            elif damage == "other text" and file.suffix == ".py":
                file.write_text("def value(*args): return 0.0\n")
            elif damage == "index replaced" and file.suffix == ".nbi":
                file.write_bytes(b"\x80\x04N." + data)
            elif damage == "nothing else" and file.suffix not in (".py", ".nbi", ".nbc"):
                file.unlink()
            elif damage == "nothing else" and file.suffix != ".py":
                file.write_bytes(b"")
    assert run_second(place)[1] == result
    assert run_second(place) == (0, result)


@pytest.mark.parametrize("place", ["a file", "nothing can be made there", "an entry that is a file"])
def test_unusable_cache_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    directory = tmp_path / "cache"
    if place == "a file":
        directory.write_text("")
    monkeypatch.setenv("GRADC_CACHE_DIR", "/proc/nowhere" if place.startswith("nothing") else str(directory))
    function = gradc.compile("x: param\nx*x*x")
    if place.startswith("an entry"):
        directory.mkdir()
        compiled = Compiled(function._emitted("value"), function.signature, Settings())
        (directory / compiled.name).write_text("not an entry")
    assert function(3.0) == 27.0


def test_clearing_the_cache_leaves_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADC_CACHE_DIR", str(tmp_path))
    (tmp_path / "mine").mkdir()
    gradc.compile("x: param\nx*x")(1.0)
    assert cache.usage()[0] == 2  # the code, and where it is to be found
    assert cache.clear() == 2
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_file_names_are_text(tmp_path: Path) -> None:
    file = tmp_path / "a\n    import os; os.mkdir('mark')\n#.gradc"
    file.write_text("x: param\ny = x*x\ny*2")
    assert gradc.compile(file, backend="python")(3.0) == 18.0
    assert "import os; os.mkdir" in gradc.compile(file).source.split("# y = x*x", 1)[1].splitlines()[0]


def test_many_processes_share_one_cache(tmp_path: Path) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(run_second(tmp_path)[1])) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_by_name_by_position_and_defaults() -> None:
    function = gradc.compile(LOGISTIC)
    inputs = table(6, 2)
    w, b, x, t, lam = inputs.values()
    value = function(**inputs)
    assert function(w, b, x, t, lam) == value
    assert function(w, b, t=t, x=x, lam=lam) == value
    assert function(w=w, x=x, t=t) == function(w, 0.0, x, t, 0.01)
    assert isinstance(value, float)
    gradient = function.grad(w, b, x, t, lam)
    assert type(gradient)._fields == ("w", "b")
    assert isinstance(gradient.b, float)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("text", ["x*x", "x > 0", "floor(x)", "2*k", "argmax([x, k])", "sum([x, k])", "[x, k]"])
def test_numbers_are_pythons_on_every_backend(text: str, dtype: str) -> None:
    def types_of(backend: str) -> list[type]:
        function = gradc.compile(f"x: param\nk: index\n{text}", dtype=dtype, backend=backend, cache=False)
        results = [function(1.5, 2)]
        if text.startswith("["):
            return [type(results[0]), results[0].dtype]
        value, gradient = function.value_and_grad(1.5, 2)
        assert type(gradient.x) is float
        return [type(results[0]), type(value)]

    found = types_of("python")
    assert found == types_of("numba")
    assert not any(issubclass(t, np.generic) for t in found if isinstance(t, type))


def test_wrt_freezes_the_rest() -> None:
    function = gradc.compile(LOGISTIC, wrt=["x", "b"])
    inputs = table(6, 2)
    gradient = function.grad(**inputs)
    assert gradient._fields == ("x", "b")
    assert gradient.x.shape == (6, 2)
    assert gradient.b == pytest.approx(gradc.compile(LOGISTIC).grad(**inputs).b)
    assert "w_bar" not in function.source
    assert function.check(**inputs).ok


def test_out_is_filled() -> None:
    function = gradc.compile(LOGISTIC)
    inputs = table(6, 2)
    out = function.empty_gradient(**inputs)
    _, gradient = function.value_and_grad(**inputs, out=out)
    expected = function.grad(**inputs)
    assert gradient is out
    np.testing.assert_array_equal(out.w, expected.w)
    assert out.b.shape == ()
    assert out.b == expected.b
    with pytest.raises(gradc.InputError, match="out: field 'w'"):
        function.value_and_grad(**inputs, out=out._replace(w=np.empty(3)))


def test_fields_to_fill_lie_apart() -> None:
    """Slices of one array are fine; where two fields are the same memory, one would be lost."""
    function = gradc.compile("x: param[n]\ny: param[n]\nb: param\nsum(x*y*y)*b")
    x, y, b = np.array([1.0, 2.0]), np.array([3.0, 5.0]), 2.0
    expected = function.grad(x, y, b)
    make, memory = type(function.empty_gradient(x, y, b)), np.zeros((2, 3))
    _, out = function.value_and_grad(x, y, b, out=make(memory[:, 0], memory[:, 1], memory[0, 2, ...]))
    for given, wanted in zip(out, expected, strict=True):
        np.testing.assert_array_equal(given, wanted)
    kept = memory.copy()
    with pytest.raises(gradc.InputError, match="out: fields 'y' and 'b' overlap"):
        function.value_and_grad(x, y, b, out=make(memory[:, 0], memory[:, 1], memory[1, 1, ...]))
    np.testing.assert_array_equal(memory, kept)


def test_array_results_have_values_but_no_gradient() -> None:
    function = gradc.compile("x: param[n]\ny: data[m]\nouter(x, y)[:, None]")
    result = function([1.0, 2.0], [3.0])
    np.testing.assert_array_equal(result, [[[3.0]], [[6.0]]])
    with pytest.raises(gradc.UnsupportedError, match="only a number has a gradient"):
        function.value_and_grad([1.0], [1.0])


def test_pickle_and_threads() -> None:
    function = gradc.compile(LOGISTIC)
    copy = pickle.loads(pickle.dumps(function))
    inputs = table(300, 5)
    expected = function.value_and_grad(**inputs)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(copy.value_and_grad(**inputs))) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [v for v, _ in found] == [expected[0]] * 8
    assert all(g.w.tobytes() == expected[1].w.tobytes() for _, g in found)


def test_scipy_minimises() -> None:
    function = gradc.compile(LOGISTIC)
    inputs = table(80, 3)
    problem = function.scipy(x=inputs["x"], t=inputs["t"], lam=0.1)
    assert problem.x0.tolist() == [0.0] * 4
    found = scipy.optimize.minimize(problem.fun, problem.x0, jac=True, method="L-BFGS-B", tol=1e-12)
    params = problem.unpack(found.x)
    assert params["w"].shape == (3,)
    assert isinstance(params["b"], float)
    np.testing.assert_array_equal(problem.pack(params), found.x)
    gradient = function.grad(**params, x=inputs["x"], t=inputs["t"], lam=0.1)
    assert np.abs([*gradient.w, gradient.b]).max() < 1e-5
    assert function.scipy(**inputs).x0.tolist() == [*inputs["w"], 0.5]


def test_source_is_deterministic() -> None:
    first = gradc.compile(LOGISTIC).source
    code = f"import gradc; from pathlib import Path; print(gradc.compile(Path({str(LOGISTIC)!r})).source, end='')"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "HOME": "/", "PYTHONPATH": ":".join(sys.path)},
        )
        assert done.stdout == first


def test_written_out_source_runs_without_gradc(tmp_path: Path) -> None:
    function = gradc.compile(LOGISTIC)
    (tmp_path / "standalone.py").write_text(function.source)
    inputs = table(5, 2)
    arguments = ", ".join(repr(v.tolist() if isinstance(v, np.ndarray) else v) for v in inputs.values())
    blocked = "import sys; sys.modules['gradc'] = None; sys.modules['numba'] = None\n"
    code = f"{blocked}import numpy as np\nfrom standalone import value_and_grad\nargs = [{arguments}]\n"
    code += "v, g = value_and_grad(*(np.array(a) if isinstance(a, list) else a for a in args))\n"
    code += "print(repr(float(v)), *map(float, g[0]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    value, *w = map(float, done.stdout.split())
    expected = function.value_and_grad(**inputs)
    assert value == pytest.approx(expected[0], rel=1e-14)
    np.testing.assert_allclose(w, expected[1].w, rtol=1e-12)


@pytest.mark.parametrize(
    ("expression", "point", "expected"),
    [
        ("exp(x)", 1000.0, np.inf),
        ("1/x", 0.0, np.inf),
        ("1/x", -0.0, -np.inf),
        ("log(x)", 0.0, -np.inf),
        ("log(x)", -1.0, np.nan),
        ("sqrt(x)", -1.0, np.nan),
        ("x**-2", 0.0, np.inf),
        ("x % 0", 1.0, np.nan),
        ("lgamma(x)", 0.0, np.inf),
        ("0*x", np.inf, np.nan),
        ("cosh(x)", 1e4, np.inf),
        ("1/maximum(x, 0)", -1.0, np.inf),
        ("1/(1 if x > 0 else 0)", -1.0, np.inf),
    ],
)
@pytest.mark.parametrize("backend", ["python", "numba"])
def test_ieee_edges_raise_nothing(expression: str, point: float, expected: float, backend: str) -> None:
    function = gradc.compile(expression, backend=backend, cache=False)
    value = function(point)
    assert value == expected or (np.isnan(value) and np.isnan(expected))


@pytest.mark.parametrize("arm", ["cumsum(b*b)", "cumsum(b*sum(u))", "cumsum(b)[::-1]", "cumsum(cumsum(b*u))"])
def test_running_sums_in_an_arm(arm: str) -> None:
    """An element is part of the running sums behind it too, which other conditions select."""
    loss = gradc.compile(f"b: param[n]\nu: param[n]\nsum(0 if b > 0 else {arm})", backend="python")
    b = np.array([0.3, -0.7, 1.1, -0.2, 0.4])
    assert loss.check(b=b, u=np.linspace(1, 2, 5)).ok


def test_guarded_arms_contribute_nothing() -> None:
    function = gradc.compile("x: param[n]\nu = log(x)\nsum(u*u if x > 0 else 0)")
    value, gradient = function.value_and_grad([0.0, np.e, -1.0])
    assert value == pytest.approx(1.0)
    np.testing.assert_allclose(gradient.x, [0, 2 / np.e, 0])


@pytest.mark.parametrize("z", [-800.0, -40.0, -30.0, -1.0, 0.0, 1.0, 30.0, 40.0, 800.0])
@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_logistic_loss_is_exact_in_both_tails(z: float, t: float) -> None:
    """-(t*log(y) + (1 - t)*log(1 - y)) with y = 1/(1 + exp(-z)), value and slope, at 60 digits."""
    with mpmath.workdps(400):
        y = 1 / (1 + mpmath.exp(-mpmath.mpf(z)))
        value, slope = -(t * mpmath.log(y) + (1 - mpmath.mpf(t)) * mpmath.log(1 - y)), y - mpmath.mpf(t)
        for text in (
            "bce(sigmoid(z), t)",
            "bce_with_logits(z, t)",
            "-t*log(1/(1+exp(-z))) - (1-t)*log(1 - 1/(1+exp(-z)))",
        ):
            function = gradc.compile(f"z: param[n]\nt: data[n]\nsum({text})", cache=False, backend="python")
            given = function.value_and_grad([z], [t])
            assert abs(given[0] - value) <= 1e-14 * abs(value) + 1e-307
            assert abs(given[1].z[0] - slope) <= 1e-14 * max(abs(slope), 1e-307)


def test_a_result_that_is_a_param() -> None:
    assert gradc.compile("c: param\nc", backend="python").value_and_grad(2.0) == (2.0, (1.0,))
    assert gradc.compile("c: param\nv = c\nv + 2*c", backend="python").grad(2.0) == (3.0,)


def test_equal_contributions_beside_a_scatter() -> None:
    function = gradc.compile("k: index\nb: param[n]\nsum(b*b) + b[k]", backend="python")
    assert function.grad(1, [1.0, 2.0]).b.tolist() == [2.0, 5.0]


@pytest.mark.parametrize("reduction", ["std", "norm"])
def test_lengths_have_slope_0_at_0(reduction: str) -> None:
    function = gradc.compile(f"x: param[n]\n{reduction}(x - mean(x))", backend="python")
    assert function.grad(np.full(3, 2.5)).x.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "view", ["x[:2]", "x[1:]", "x[::-1]", "(2*x)", "[i*i + x[0] for i in range(n)]", "outer(x, x)[1]"]
)
def test_subscripts_of_views_are_checked_against_the_view(view: str) -> None:
    function = gradc.compile(f"x: param[n]\nk: index\nu = {view}\nu[k] + u[k - 1 if k > 0 else 0]", backend="python")
    x = np.arange(1.0, 5.0)
    values = {"x": x, "n": 4, "outer": np.outer, "i": None}
    expected = np.array(eval(view, values))
    assert function(x, 1) == expected[1] + expected[0]
    assert function.check(x, 1).ok
    for k in (-1, len(expected)):
        with pytest.raises(gradc.InputError, match="out of range"):
            function(x, k)


def test_a_gradient_is_not_overwritten_while_it_is_read_transposed() -> None:
    text = "x: param[d, d]\nz: data[d, d]\na: data[n, d]\nu = exp(x)\nmean(tanh(a @ (z + u.T)))"
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=shape) for shape in ((3, 3), (3, 3), (4, 3))]
    report = gradc.compile(text, backend="python").check(*inputs)
    assert report.ok, str(report)


def test_adjoints_of_two_inputs_share_a_summand() -> None:
    text = "x: param[d, d]\ny: param[d, d]\nm = (x + y) @ (x*y)\nsum(m*m + y*y)"
    rng = np.random.default_rng(0)
    report = gradc.compile(text, backend="python").check(rng.normal(size=(3, 3)), rng.normal(size=(3, 3)))
    assert report.ok, str(report)


def test_input_named_self() -> None:
    assert gradc.compile("self: param\nself*self").value_and_grad(self=3.0) == (9.0, (6.0,))


def test_running_sums_along_any_axis() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 2))
    for a in range(3):
        for b in range(3):
            text = f"x: param[d, n, d]\ny = cumsum(cumsum(x, axis={a}), axis={b})\n"
            np.testing.assert_allclose(gradc.compile(text + "y", backend="python")(x), x.cumsum(a).cumsum(b))
            assert gradc.compile(text + "sum(y*y)", backend="python").check(x).ok


def test_stored_where_it_is_gathered_and_computed_again() -> None:
    function = gradc.compile("o: param[d, 2, K]\nk: index[d]\nmean((1.2**o)[k])", backend="python")
    assert function.check(np.random.default_rng(0).normal(size=(3, 2, 2)), [0, 2, 2]).ok


def test_computed_index_out_of_range_is_an_input_error() -> None:
    function = gradc.compile("x: param[n]\nk: index\nx[k + 1]")
    assert function.value_and_grad([1.0, 2.0], 0)[1].x.tolist() == [0.0, 1.0]
    for k in (1, -2, 10**12):
        with pytest.raises(gradc.InputError, match=r"index k \+ 1 is out of range .* given .*k = "):
            function([1.0, 2.0], k)
    largest = gradc.compile("x: param[n]\nx[argmax(x) + 1]")
    assert largest.value_and_grad([2.0, 1.0])[1].x.tolist() == [0.0, 1.0]
    with pytest.raises(gradc.InputError, match=r"index out of range of axis 0 of x \(<text>:2\)"):
        largest([1.0, 2.0])
    guarded = gradc.compile("x: param[n]\nsum(x[i - 1]*x[i] if i > 0 else 0 for i in range(n))")
    assert guarded.value_and_grad([1.0, 2.0, 3.0])[1].x.tolist() == [2.0, 4.0, 2.0]


def test_equal_keys_are_of_equal_texts() -> None:
    """What is printed is no part of the key: all that the text is made of is."""
    module = gradc.compile("x: param[n]\nlog: param\nsum(x*log)", cache=False)._module
    other = gradc.compile("x: param[n]\nlog: param\nsum(x*log) + 1", cache=False)._module
    assert module.key == gradc.compile("x: param[n]\nlog: param\nsum(x*log)")._module.key
    changes: dict[str, Any] = {
        "title": "another",
        "version": "0.0.0",
        "inputs": (*module.inputs[:1], Input("log", "param", (), 2.0)),
        "routines": other.routines,
        "spelling": {"zeros": "zeros_"},
        "dtype": "float32",
    }
    assert changes.keys() == {f.name for f in fields(Module)}
    for name, value in changes.items():
        changed = replace(module, **{name: value})
        assert changed.text != module.text, name
        assert changed.key != module.key, name


def test_what_is_missing_is_named() -> None:
    function = gradc.compile("x: param\nsin(x)", cache=False)
    with pytest.raises(AttributeError, match="no attribute 'gradient'"):
        function.gradient  # noqa: B018
    with pytest.raises(AttributeError, match="hessian is not supported yet"):
        function.hessian  # noqa: B018
    assert not hasattr(function, "hessian")
    with patch("gradc.emit.python.Module", side_effect=AttributeError("of something else")):
        with pytest.raises(AttributeError, match="of something else"):
            function.source  # noqa: B018
        with pytest.raises(AttributeError, match="of something else"):
            function(1.0)
    assert function(0.0) == 0.0


@pytest.mark.parametrize("given", [(), (1.0,), (1.0, 2.0, 3.0)])
def test_a_call_with_another_number_of_floats_is_refused(given: tuple[float, ...]) -> None:
    """Though numbers go straight to the compiled code."""
    function = gradc.compile("a: param\nb: param\na*b", cache=False)
    assert function.value_and_grad(2.0, 3.0) == (6.0, (3.0, 2.0))
    with pytest.raises(gradc.InputError, match=r"missing|takes 2"):
        function.value_and_grad(*given)
