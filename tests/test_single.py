"""dtype="float32": what is float32, what is not, and how close the results come to those in float64."""

from __future__ import annotations

import pickle
import platform
import re
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pytest
from numba.core.typed_passes import BaseTypeInference

import gradc
from gradc.runtime import objects
from gradc.runtime.inputs import Inputs
from tests.cases import CASES, ROWS

LOGISTIC = CASES["logistic"].path
EVERYTHING = """x: param[n]
k: index[n]
a: param = 0.3
q = [relu(x[i]) + leaky_relu(x[i]) + elu(x[i]) + step(x[i]) + x[i]**k[i] + x[i]**3 for i in range(n)]
r = [max(x[i], 0.3) + min(k[i], 2) + floor(2.5*x[i]) + x[i] % 0.7 + i/n for i in range(n)]
s = [lgamma(abs(x[i]) + 1/2) + digamma(abs(x[i]) + 1) + erf(x[i]) + float(x[i] > 0.1)*k[i] for i in range(n)]
u = [sigmoid(x[i]) + softplus(x[i]) + log_sigmoid(x[i]) + (log(x[i]) if x[i] > 0 else 2) for i in range(n)]
sum(q) + sum(r)*a + sum(s) + sum(u) + prod(1 + x/10) + sum(cumsum(x)) + max(x) + logsumexp(x) + sqrt(n)"""


def single(source: Any, **options: Any) -> gradc.Function:
    return gradc.compile(source, dtype="float32", **options)


def everything() -> dict[str, Any]:
    return {"x": np.random.default_rng(1).normal(size=9).astype(np.float32), "k": np.arange(9), "a": 0.25}


def as_given(inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs rounded to float32, so that only the arithmetic makes a difference."""
    return {
        name: np.float64(np.float32(v)) if np.asarray(v).dtype.kind == "f" else v
        for name, v in ((name, np.asarray(v)) for name, v in inputs.items())
    }


def distance(found: Any, expected: Any) -> float:
    """Relative, in the norm."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def regression(n: int, d: int) -> dict[str, Any]:
    rng = np.random.default_rng(5)
    x, w = rng.normal(size=(n, d)), rng.normal(size=d) / d
    return as_given({"w": w, "b": 0.1, "x": x, "t": (rng.random(n) < 0.5) * 1.0, "lam": 0.01})


@pytest.fixture
def operations(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The types of the results of arithmetic in entry points and kernels that get compiled, as Numba infers them.

    What is added to a total is none of them: `+=` is a statement of its own.
    """
    found: list[Any] = []
    infer = BaseTypeInference.run_pass

    def inferred(self: Any, state: Any) -> Any:
        result = infer(self, state)
        if state.func_id.func_name.startswith("value"):
            for block in state.func_ir.blocks.values():
                found.extend(state.calltypes[e].return_type for e in block.find_exprs("binop"))
        return result

    monkeypatch.setattr(BaseTypeInference, "run_pass", inferred)
    return found


@pytest.mark.parametrize("backend", ["numba", "python"])
@pytest.mark.parametrize("name", CASES)
def test_examples(name: str, backend: str, operations: list[Any]) -> None:
    case = CASES[name]
    inputs = as_given(case.inputs)
    value, gradient = single(case.path, backend=backend, cache=False).value_and_grad(**inputs)
    assert (numba.float32 in operations) == (backend == "numba")
    assert numba.float64 not in operations
    expected, exact = gradc.compile(case.path, backend="python").value_and_grad(**inputs)
    limit = 1e-4 if name == "gp" else 2e-6  # a solution has the digits that the condition of its matrix leaves
    assert isinstance(value, float)
    assert value == pytest.approx(expected, rel=limit / 2)
    for found, field in zip(gradient, exact, strict=True):
        assert found.dtype == np.float32 if np.ndim(field) else isinstance(found, float)
        assert distance(found, field) < limit


@pytest.mark.parametrize("fast", [True, False])
def test_every_kind_of_operation(fast: bool, operations: list[Any]) -> None:
    inputs = everything()
    expected, exact = gradc.compile(EVERYTHING, backend="python").value_and_grad(**inputs)
    for backend in ("numba", "python"):
        function = single(EVERYTHING, backend=backend, fast_math_library=fast, cache=False)
        value, gradient = function.value_and_grad(**inputs)
        assert numba.float32 in operations
        assert numba.float64 not in operations
        assert value == pytest.approx(expected, rel=1e-6)
        assert distance(gradient.x, exact.x) < 1e-6
        assert gradient.a == pytest.approx(exact.a, rel=1e-6)


def test_array_results() -> None:
    text = "x: param[n]\nexp(x)/3 + 1"
    x = np.linspace(-1, 1, 7)
    for backend in ("numba", "python"):
        value = single(text, backend=backend)(x)
        assert value.dtype == np.float32
        assert distance(value, np.exp(x) / 3 + 1) < 1e-7


def test_sums_over_many_rows_keep_their_digits() -> None:
    inputs = regression(200_000, 8)
    value, gradient = single(LOGISTIC).value_and_grad(**inputs)
    expected, exact = gradc.compile(LOGISTIC).value_and_grad(**inputs)
    assert value == pytest.approx(expected, rel=2e-7)
    assert distance(gradient.w, exact.w) < 1e-6


@pytest.mark.parametrize("backend", ["numba", "python"])
def test_a_long_sum_does_not_stop_growing(backend: str) -> None:
    """In float32 a tenth has lost half of its digits when it is added to 3000."""
    x = np.full(300_000, 0.1, np.float32)
    value = single("x: param[n]\nsum(x)", backend=backend)(x)
    assert value == pytest.approx(x.size * float(x[0]), rel=1e-7)


def test_gradients_are_float32_within_a_tile_only() -> None:
    """The rounding errors of equal numbers all point the same way: there is nothing worse than adding them."""
    table = np.full((300_000, 2), 0.1, np.float32)
    gradient = single("w: param[d]\nx: data[n, d]\nsum(sin(x @ w))").grad(np.zeros(2), table)
    assert distance(gradient.w, table.sum(axis=0, dtype=np.float64)) < 2e-5


@pytest.mark.parametrize("name", sorted(ROWS))
def test_only_totals_are_float64(name: str) -> None:
    """Arrays are made as float32, but the parts of totals, of which each chunk has its own; numbers are typed."""
    source = single(CASES[name].path).source
    assert "numbers: float32, sums over rows in float64" in source
    code = re.sub(r'"""[\s\S]*?"""|#.*', "", source)
    made = re.findall(r"(\w+) = (?:empty|zeros|full)\((.*)\)", code)
    assert made
    for array, arguments in made:
        if array.endswith("_parts"):
            assert arguments.startswith(("chunks", "(chunks"))
        elif "_parts" in arguments:
            assert re.fullmatch(rf"{array}_parts(_\d+)?\.shape\[1\]", arguments)
        else:
            assert any(kind in arguments for kind in ("float32", "bool_", "int64"))
    assert not re.search(r"(?<!float32\()(?<!float64\()(?<![\w.-])-?\d+\.\d", code.replace("(-", "("))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="reads x86 instructions")
def test_loops_use_vectors_of_float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADC_CACHE_DIR", str(tmp_path))
    code: list[str] = []
    dump = objects.dump
    monkeypatch.setattr(
        objects, "dump", lambda result, *rest: code.append(result.library.get_asm_str()) or dump(result, *rest)
    )
    single(LOGISTIC).grad(**CASES["logistic"].inputs)
    (text,) = code
    assert re.search(r"v(mul|add|fmadd\d+)ps\t.*%[yz]mm", text) or re.search(r"(mul|add)ps\t.*%xmm", text)


def test_tiles_have_twice_the_step() -> None:
    assert "tile = 16*" in single(LOGISTIC).source
    assert "tile = 8*" in gradc.compile(LOGISTIC).source


def test_inputs_that_are_float32_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    original = Inputs._array
    monkeypatch.setattr(Inputs, "_array", lambda self, i, *rest: names.append(i.name) or original(self, i, *rest))
    text = "w: param[d]\nx: data[n, d]\nk: index[n]\nsum((x @ w)**2 + w[k])"
    function = single(text, backend="python")
    w, x, k = np.ones(3, np.float32), np.ones((4, 3), np.float32), np.array([0, 2, 1, 0])
    ready = function._inputs.ready((w, x, k), {})
    assert names == []
    assert all(a is b for a, b in zip(ready, (w, x, k), strict=True))
    for dtype in (np.float64, np.float16, np.int32):
        other = function._inputs.ready((w, x.astype(dtype), k), {})
        assert names == ["x"]
        assert (other[1].dtype, other[2].dtype) == (np.float32, np.int64)
        names.clear()


def test_too_large_for_float32_is_infinite() -> None:
    function = single("x: param[n]\nsum(x)")
    assert function([1e300, 1.0]) == np.inf
    assert single("x", backend="numba")(1e300) == np.inf


@pytest.mark.parametrize("backend", ["numba", "python"])
def test_out(backend: str) -> None:
    inputs = CASES["logistic"].inputs
    function = single(LOGISTIC, backend=backend)
    out = function.empty_gradient(**inputs)
    assert [field.dtype for field in out] == [np.float32, np.float32]
    value, filled = function.value_and_grad(**inputs, out=out)
    assert filled is out
    expected = function.value_and_grad(**inputs)
    assert value == expected[0]
    assert np.array_equal(out.w, expected[1].w)
    with pytest.raises(gradc.InputError, match="field 'w': expected a float32 array to fill, given float64"):
        function.value_and_grad(**inputs, out=gradc.compile(LOGISTIC).empty_gradient(**inputs))
    with pytest.raises(gradc.InputError, match="field 'w': expected a float64 array to fill, given float32"):
        gradc.compile(LOGISTIC).value_and_grad(**inputs, out=out)


def test_map() -> None:
    text = "a: param\nb: param[d]\nexp(a)*sum(b*b)"
    a, b = np.linspace(-1, 1, 5), np.random.default_rng(0).normal(size=(5, 3))
    values, gradient = single(text).map(a, b)
    assert [v.dtype for v in (values, *gradient)] == [np.float32] * 3
    expected, exact = gradc.compile(text).map(a, b)
    assert distance(values, expected) < 1e-6
    assert all(distance(f, g) < 1e-6 for f, g in zip(gradient, exact, strict=True))


def test_pickles() -> None:
    function = pickle.loads(pickle.dumps(single(LOGISTIC)))
    assert function.dtype == "float32"
    assert function.source == single(LOGISTIC).source


def test_threads_do_not_change_the_bits() -> None:
    inputs = regression(60_000, 20)
    first, *others = [single(LOGISTIC, threads=k).value_and_grad(**inputs) for k in (1, 2, 3)]
    for value, gradient in others:
        assert value == first[0]
        assert np.array_equal(gradient.w, first[1].w)


def test_check_takes_differences_in_float64() -> None:
    report = single(LOGISTIC).check(**CASES["logistic"].inputs)
    assert report.ok, str(report)
    assert report.worst is not None
    assert 1e-9 < report.worst.error < 1e-4
    assert "with central differences in float64" in str(report)


def test_check_finds_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    function = single("x: param[n]\nsum(exp(x))", backend="python")
    right = function.grad

    def wrong(*args: Any) -> Any:
        gradient = right(*args)
        gradient.x[2] *= np.float32(1.003)
        return gradient

    monkeypatch.setattr(function, "grad", wrong)
    report = function.check(np.linspace(0, 1, 5))
    assert not report.ok
    assert report.worst is not None
    assert report.worst.name == "x[2]"


def test_scipy() -> None:
    given: dict[str, npt.NDArray[Any]] = {k: v for k, v in CASES["linear"].inputs.items() if k in ("x", "t")}
    problem, exact = (
        gradc.compile(CASES["linear"].path, dtype=t, backend="python").scipy(**given) for t in ("float32", "float64")
    )
    v = np.linspace(0, 1, len(problem.x0))
    assert problem.fun(v)[1].dtype == np.float64
    assert distance(problem.fun(v)[1], exact.fun(v)[1]) < 1e-6


def test_names_of_the_users_stay_theirs() -> None:
    function = single("float32: param\nfloat64: param[n]\nsum(exp(float64))*float32")
    assert "float32 as float32_" in function.source
    value, gradient = function.value_and_grad(2.0, [0.0, 1.0])
    assert value == pytest.approx(2 * (1 + np.e), rel=1e-6)
    assert gradient.float32 == pytest.approx(1 + np.e, rel=1e-6)
    assert gradient.float64 == pytest.approx([2, 2 * np.e], rel=1e-6)
