"""The vector functions: against mpmath, at the edges of floating point, in loops that LLVM vectorises."""

from __future__ import annotations

import ctypes
import functools
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath
import numba
import numpy as np
import numpy.typing as npt
import pytest
import scipy.special
from llvmlite import ir

import gradc
from gradc.emit import scalars
from gradc.runtime import files, native, vectors
from gradc.runtime.jit import FLAGS, Compiled, Settings
from gradc.runtime.vectors import exponential, library
from gradc.runtime.vectors import values as values_
from gradc.runtime.vectors.library import FUNCTIONS, SINGLE, fast

Floats = npt.NDArray[np.float64]
PRECISION = 200
LIMITS = dict.fromkeys(FUNCTIONS, 2.0) | {"tan": 3.0, "erfc": 3.0}
"""Units in the last place."""

DOMAINS = {
    **dict.fromkeys(("exp", "expm1", "sinh", "cosh"), (-760.0, 760.0)),
    **dict.fromkeys(("sigmoid", "softplus", "log_sigmoid", "tanh"), (-1e4, 1e4)),
    **dict.fromkeys(("log", "log2", "log10"), (5e-324, np.inf)),
    "exp2": (-1080.0, 1030.0),
    "log1p": (-1 + 2.0**-53, np.inf),
    "erf": (-30.0, 30.0),
    "erfc": (-30.0, 27.5),
}
EXACT: dict[str, Callable[[Any], Any]] = {
    "exp2": lambda x: mpmath.mpf(2) ** x,
    "log2": lambda x: mpmath.log(x, 2),
    "arctan": mpmath.atan,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "log_sigmoid": lambda x: -mpmath.log1p(mpmath.exp(-x)),
}
NUMPY: dict[str, Callable[[Any], Any]] = {
    "sigmoid": scipy.special.expit,
    "softplus": lambda x: np.logaddexp(0.0, x),
    "log_sigmoid": scalars.log_sigmoid,
    "erf": scipy.special.erf,
    "erfc": scipy.special.erfc,
}
EXTENDED: dict[str, Callable[[Any], Any]] = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "log_sigmoid": lambda x: -np.log1p(np.exp(-x)),
}
"""In the extended precision of x86, for |x| < 1e4."""
SAFE: dict[str, Callable[[Any], Any]] = {
    "softplus": lambda x: np.where(x > 0, x, 0) + np.log1p(np.exp(-abs(x))),
    "log_sigmoid": lambda x: np.where(x < 0, x, 0) - np.log1p(np.exp(-abs(x))),
}
"""The same for all x."""


def over_array(function: Any, kind: Any = numba.float64) -> Any:
    """The function in a loop, as generated kernels call it."""
    signature = numba.void(numba.types.Array(kind, 1, "C", readonly=True), kind[::1])

    @numba.njit(signature, error_model="numpy", fastmath=set(FLAGS))
    def loop(x: Any, out: Any) -> None:
        for i in range(x.size):
            out[i] = function(x[i])

    return loop


@functools.cache
def compiled(name: str) -> Any:
    return over_array(fast(name, True))


def values(name: str, x: Floats) -> Floats:
    out = np.empty_like(x)
    compiled(name)(x, out)
    return out


def points(name: str, scale: int) -> Floats:
    """Random bit patterns, magnitudes from subnormal to huge, and numbers of ordinary size, within the domain."""
    rng = np.random.default_rng(len(name))
    low, high = DOMAINS.get(name, (-np.inf, np.inf))
    x = np.concatenate(
        (
            rng.integers(0, 2**64, 2 * scale, dtype=np.uint64).view(np.float64),
            10.0 ** rng.uniform(-323, 308, 2 * scale) * rng.choice([-1.0, 1.0], 2 * scale),
            10.0 ** rng.uniform(-9, 6, 4 * scale) * rng.choice([-1.0, 1.0], 4 * scale),
            rng.uniform(-3, 3, 6 * scale),
            rng.uniform(max(low, -800.0), min(high, 800.0), 4 * scale),
            np.rint(rng.uniform(-6e4, 6e4, scale)) * (np.pi / 2),
            1.0 + rng.uniform(-1, 1, 2 * scale) * 2.0 ** rng.uniform(-52, 0, 2 * scale),
        )
    )
    return x[(x >= low) & (x <= high)]


def error(name: str, x: float, result: float) -> float:
    """Units in the last place between the result and the exact value. Infinity counts as the next power of two."""
    exact = EXACT.get(name, getattr(mpmath, name, None))(mpmath.mpf(x))  # type: ignore[misc]
    top = mpmath.mpf(2) ** 1024
    exact = max(min(exact, top), -top)
    near = (top if result > 0 else -top) if np.isinf(result) else mpmath.mpf(result)
    exponent = int(mpmath.frexp(exact)[1])
    return float(abs(near - exact) / mpmath.mpf(2) ** max(min(exponent, 1024) - 53, -1074))


def worst(name: str, x: Floats, y: Floats) -> tuple[float, float, float]:
    with mpmath.workprec(PRECISION):
        return max((error(name, a, b), a, b) for a, b in zip(x.tolist(), y.tolist(), strict=True))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_accuracy(name: str) -> None:
    x = points(name, 80)
    assert worst(name, x, values(name, x))[0] <= LIMITS[name]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_edges(name: str) -> None:
    """NaN, infinities, zeros with their signs; where the result is NaN, infinite or zero, so is NumPy's and SciPy's."""
    tiny, huge = np.finfo(np.float64).tiny, np.finfo(np.float64).max
    sizes = np.array(
        [0.0, 5e-324, tiny / 3, tiny, 0.3, 1.0, np.nextafter(1.0, 2.0), 709.0, 800.0, 1100.0, huge, np.inf]
    )
    x = np.concatenate((sizes, -sizes, [np.nan, -np.nan]))
    y = values(name, x)
    with np.errstate(all="ignore"):
        expected = NUMPY.get(name, getattr(np, name, None))(x)  # type: ignore[misc]
    assert np.array_equal(np.isnan(y), np.isnan(expected))
    number = ~np.isnan(y)
    special = number & ((expected == 0) | np.isinf(expected))
    assert np.array_equal(y[special], expected[special])
    assert np.array_equal(np.signbit(y[number]), np.signbit(expected[number]))
    assert np.allclose(y[number], expected[number], rtol=1e-15, atol=0.0)


def test_subnormal_results() -> None:
    x = np.linspace(-745.2, -708.0, 500)
    for name in ("exp", "sigmoid", "softplus"):
        assert worst(name, x, values(name, x))[0] <= 1.0
    x = np.linspace(26.5, 27.3, 300)
    assert worst("erfc", x, values("erfc", x))[0] <= 3.0


def test_overflow_is_where_it_should_be() -> None:
    lasts = {"exp": 709.782712893384, "expm1": 709.782712893384, "cosh": 710.4758600739439, "exp2": 1023.9999999999999}
    for name, last in lasts.items():
        y = values(name, np.array([last, np.nextafter(last, np.inf)]))
        assert 1.79e308 < y[0] < np.inf
        assert y[1] == np.inf


@pytest.mark.parametrize(("name", "base"), [("exp2", 2.0), ("log2", 2.0), ("log10", 10.0)])
def test_whole_powers_are_exact(name: str, base: float) -> None:
    k = np.arange(-1074.0, 1024.0) if base == 2.0 else np.arange(0.0, 23.0)
    powers = base**k
    x, expected = (k, powers) if name == "exp2" else (powers, k)
    assert np.array_equal(values(name, x), expected)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_loops_are_vectorised(name: str) -> None:
    (text,) = compiled(name).inspect_llvm().values()
    assert re.search(r"call <\d+ x double> @llvm\.fmuladd", text)
    assert not re.search(rf"call .*@gradc_{name}\(", text)


def test_several_in_one_loop() -> None:
    exp, log, sin, cos = (fast(name, True) for name in ("exp", "log", "sin", "cos"))

    @numba.njit(error_model="numpy", fastmath=set(FLAGS))
    def several(x: Any, out: Any) -> None:
        for i in range(x.size):
            out[i] = sin(x[i]) * cos(x[i]) + exp(log(x[i])) + cos(exp(-x[i]))

    x = np.random.default_rng(0).uniform(0.1, 5.0, 1003)
    out = np.empty_like(x)
    several(x, out)
    assert np.allclose(out, np.sin(x) * np.cos(x) + x + np.cos(np.exp(-x)), rtol=1e-14, atol=1e-14)
    (text,) = several.inspect_llvm().values()
    assert re.search(r"call <\d+ x double> @llvm\.fmuladd", text)
    assert not re.search(r"call .*@gradc_(exp|log|sin|cos)\(", text)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_number_alone_is_what_it_is_in_a_loop(name: str) -> None:
    function = fast(name, False)
    single = numba.njit(numba.float64(numba.float64), error_model="numpy")(lambda x: function(x))
    x = points(name, 10)
    assert np.array_equal(values(name, x), [single(v) for v in x.tolist()])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_single_precision(name: str) -> None:
    with np.errstate(over="ignore"):
        x = points(name, 50).astype(np.float32)
    low, high = DOMAINS.get(name, (-np.inf, np.inf))
    x = x[(x >= low) & (x <= high) & np.isfinite(x)]  # in float32 some have become infinite
    out = np.empty_like(x)
    over_array(fast(name, True), numba.float32)(x, out)
    with np.errstate(over="ignore"):
        expected = values(name, x.astype(np.float64)).astype(np.float32)
    finite = np.isfinite(expected)
    assert np.array_equal(out[~finite], expected[~finite])
    distance = np.abs(out[finite].astype(np.float64) - expected[finite])
    assert np.all(distance <= np.spacing(np.abs(expected[finite])) * (2 if name in SINGLE else 1))


@pytest.mark.parametrize("name", sorted(SINGLE))
def test_accuracy_of_single_precision(name: str) -> None:
    """A hundred thousand numbers of all sizes, and the edges, against the function in extended precision."""
    rng = np.random.default_rng(4)
    near_one = 1 + rng.uniform(-1, 1, 20_000) * 2.0 ** rng.uniform(-24, 0, 20_000)
    x = np.concatenate(
        (
            rng.integers(0, 2**32, 40_000, dtype=np.uint32).view(np.float32),
            np.concatenate((rng.uniform(-110, 110, 40_000), rng.uniform(-3, 3, 40_000), near_one)).astype(np.float32),
            np.float32([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1.17549435e-38, 3.4e38, -3.4e38]),
            np.float32([88.72283, 88.72284, -87.4, -103.97208, -103.98]),  # the ends of exp
        )
    )
    out = np.empty_like(x)
    over_array(fast(name, True), numba.float32)(x, out)
    with np.errstate(all="ignore"):
        wide = x.astype(np.longdouble)
        exact = SAFE.get(name, EXTENDED.get(name, getattr(np, name, None)))(wide)  # type: ignore[misc]
        expected = exact.astype(np.float32)
    finite = np.isfinite(expected)
    assert np.array_equal(out[~finite], expected[~finite], equal_nan=True)
    assert np.all(np.abs(out[finite] - exact[finite]) <= 2 * np.spacing(np.abs(expected[finite])))


@pytest.mark.parametrize("name", sorted(SINGLE))
def test_loops_over_float32_are_vectorised(name: str) -> None:
    text = next(iter(over_array(fast(name, True), numba.float32).inspect_llvm().values()))
    assert re.search(r"<(4|8|16) x float>", text)
    assert " x double>" not in text


def turns_of_vector_loops(function: Any) -> list[str]:
    """The machine code of loops that multiply and add vectors."""
    (text,) = function.inspect_asm().values()
    lines = text.splitlines()
    labels = {line.split(":")[0]: k for k, line in enumerate(lines) if line.startswith(".LBB")}
    found = []
    for k, line in enumerate(lines):
        jump = re.match(r"\s+j\w+\s+(\.LBB\w+)", line)
        if jump and labels[jump[1]] < k:
            turn = "\n".join(lines[labels[jump[1]] : k])
            if re.search(r"vfn?m(add|sub)\w*pd\s.*%ymm", turn):
                found.append(turn)
    return found


@pytest.mark.skipif(not values_.has_few_registers(), reason="for processors with few registers")
def test_constants_of_a_loop_are_not_made_in_each_turn() -> None:
    """Those in instructions are, many of them, by way of their addresses."""

    def loop(in_loops: bool) -> Any:
        tanh, log1p = (fast(name, in_loops) for name in ("tanh", "log1p"))

        @numba.njit(numba.void(numba.float64[::1], numba.float64[::1]), error_model="numpy", fastmath=set(FLAGS))
        def both(x: Any, out: Any) -> None:
            for i in range(x.size):
                out[i] += tanh(x[i]) * log1p(x[i])

        return both

    variables, constants = (turns_of_vector_loops(loop(in_loops)) for in_loops in (True, False))
    assert variables
    assert not any("movabs" in turn for turn in variables)
    assert any("movabs" in turn for turn in constants)


@pytest.mark.parametrize("in_loops", [True, False])
def test_only_modules_with_loops_have_functions_for_loops(in_loops: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bool] = []
    monkeypatch.setattr(library, "fast", lambda name, in_loops: taken.append(in_loops) or fast(name, in_loops))
    function = gradc.compile("x: param[n]\nsum(exp(v) for v in x)" if in_loops else "exp(x)", cache=False)
    function.value_and_grad(np.ones(3) if in_loops else 1.0)
    assert (True in taken) is in_loops


def test_integers_and_booleans() -> None:
    exp = fast("exp", False)
    of = numba.njit(error_model="numpy")(lambda k, b: (exp(k), exp(b), exp(2)))
    assert of(3, True) == (of(3.0, 1.0)[0], of(1.0, 1.0)[0], of(2.0, 1.0)[0])


LOSS = """w: param[d]
x: data[n, d]
z = x @ w
sum(sigmoid(z)*tanh(z) + softplus(z) - exp(-z**2)*sin(z) + erf(z)*cos(3*z) + log1p(z**2) + log(2 + cos(z)) + elu(z))"""


def inputs() -> tuple[Floats, Floats]:
    rng = np.random.default_rng(3)
    return rng.normal(size=4), rng.normal(size=(50, 4))


def test_losses_are_the_same_with_and_without() -> None:
    results = []
    for option in (True, False):
        value, gradient = gradc.compile(LOSS, fast_math_library=option, cache=False).value_and_grad(*inputs())
        results.append(np.array([value, *gradient.w]))
    assert np.allclose(*results, rtol=1e-14, atol=1e-14)


def test_off_uses_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, in_loops: bool) -> Any:
        raise AssertionError(name)

    monkeypatch.setattr(library, "fast", refuse)
    gradc.compile(LOSS, fast_math_library=False, cache=False).value_and_grad(*inputs())
    with pytest.raises(AssertionError):
        gradc.compile(LOSS, cache=False).value_and_grad(*inputs())


def test_the_option_is_checked() -> None:
    with pytest.raises(gradc.UnsupportedError, match="fast_math_library=1"):
        gradc.compile("x**2", fast_math_library=1)  # type: ignore[arg-type]


def test_users_names_stay_theirs() -> None:
    text = "exp: param\nsoftplus: param\nlog: data = 2.0\nsigmoid(exp)*np.exp(softplus) + np.log(log)"
    for option in (True, False):
        function = gradc.compile(text, fast_math_library=option, cache=False)
        assert "exp_" in function.source
        value, gradient = function.value_and_grad(0.3, 0.7)
        s = scipy.special.expit(0.3)
        assert value == pytest.approx(s * np.exp(0.7) + np.log(2.0), rel=1e-15)
        assert gradient == pytest.approx((s * (1 - s) * np.exp(0.7), s * np.exp(0.7)), rel=1e-15)


def test_what_is_replaced() -> None:
    before = {"exp_": np.exp, "softplus_": scalars.softplus, "log": np.sqrt, "sigmoid": scalars.sigmoid, "n": 3}
    for in_loops in (True, False):
        vectors.replace(namespace := dict(before), {"softplus_": "softplus", "gelu": "gelu"}, in_loops)
        assert namespace == before | {"exp_": fast("exp", in_loops), "softplus_": fast("softplus", in_loops)}


def test_the_name_of_a_cache_entry_holds_what_is_compiled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    function = gradc.compile("exp(x)")

    def name(option: bool) -> str:
        return Compiled(function._module, function.signature, Settings(fast=option)).name

    on, off = name(True), name(False)
    monkeypatch.setattr(files, "state", lambda: "edited")
    assert len({on, off, name(True), name(False)}) == 4


def test_machine_code_in_the_cache_brings_what_it_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADC_CACHE_DIR", str(tmp_path))
    code = "import gradc; print(gradc.compile('sin(x)*exp(x)').value_and_grad(1.5), gradc.compile('sin(x)')(1e22))"
    first, second = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout for _ in "12"
    )
    assert first == second
    assert float(second.split()[-1]) == np.sin(1e22)


def test_importing_gradc_does_not_import_numba() -> None:
    code = "import sys, gradc, gradc.runtime.vectors; print('numba' in sys.modules, 'llvmlite' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.nightly
@pytest.mark.parametrize("name", FUNCTIONS)
def test_accuracy_nightly(name: str) -> None:
    """Two million points against extended precision, the worst again against mpmath; erf and erfc fewer, exactly."""
    if name in ("erf", "erfc"):
        x = points(name, 10_000)
        assert worst(name, x, values(name, x))[0] <= LIMITS[name]
        return
    if np.finfo(np.longdouble).nmant < 63:
        pytest.skip("no extended precision here")
    x = points(name, 130_000)
    y = values(name, x)
    with np.errstate(all="ignore"):
        exact = EXTENDED.get(name, getattr(np, name, None))(x.astype(np.longdouble))  # type: ignore[misc]
        unit = np.spacing(np.abs(exact.astype(np.float64)))
        distance = np.where(np.isfinite(y) & np.isfinite(unit), np.abs(y - exact) / unit, 0.0)
    assert not np.isnan(y).any()
    order = np.argsort(distance)[-200:]
    assert worst(name, x[order], y[order])[0] <= LIMITS[name]
    assert np.sort(distance)[-201] <= LIMITS[name] + 0.01


@pytest.mark.parametrize(
    ("name", "format"),
    [(n, values_.FLOAT64) for n in ("exp", "exp2", "sinh", "cosh", "erfc")] + [("exp", values_.FLOAT32)],
)
def test_powers_of_two_by_one_instruction_or_by_two(
    name: str, format: values_.Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Machines differ in how they multiply by 2**k, which must not be seen in a bit."""
    if not values_.has_ldexp():
        pytest.skip("this machine has one way")
    number = np.dtype(format.code)
    x = np.concatenate([np.linspace(-780, 780, 20_001), [0.0, -0.0, np.inf, -np.inf, np.nan, 1e38]]).astype(number)

    def results(one: bool) -> Any:
        monkeypatch.setattr(exponential, "has_ldexp", lambda: one)
        module = ir.Module("powers")
        function = ir.Function(module, ir.FunctionType(format.real, [format.real]), "f")
        builder = ir.IRBuilder(function.append_basic_block())
        builder.ret(FUNCTIONS[name](values_.Real(builder, function.args[0], format)).value)
        assert ("ldexp" in str(module)) == one
        code = native.engine(native.object_code(str(module)))
        kind = ctypes.c_double if number == np.float64 else ctypes.c_float
        compiled = ctypes.CFUNCTYPE(kind, kind)(code.get_function_address("f"))
        return np.array([compiled(v) for v in x.tolist()], number)

    with np.errstate(all="ignore"):
        first, second = results(True), results(False)
    assert np.array_equal(first, second, equal_nan=True)
    assert np.array_equal(np.signbit(first), np.signbit(second))
