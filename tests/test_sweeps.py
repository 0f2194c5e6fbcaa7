"""Sweeps over rows: tiles, products and chunks give what the graph says, the same bits on any number of threads."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import random_rows
from cases import CASES
from hypothesis import assume, given
from hypothesis import strategies as st
from random_programs import Drawn, Program, Seeded
from test_random_programs import GRADIENT, VALUE, fields, same, settled

import gradc
from gradc import api
from gradc.derive import derive
from gradc.errors import InputError
from gradc.evaluate import evaluate_value
from gradc.frontends.text import program
from gradc.loops import Accumulate, Assign, Comment, Element, Name, Product, Routine, Sweep, Tiles, walk
from gradc.runtime.jit import Compiled, Settings
from gradc.runtime.lanes import register
from gradc.schedule.roles import Roles
from gradc.schedule.tiles import Tiling

HERE = Path(__file__).parent


@contextmanager
def tiny() -> Iterator[None]:
    """Whatever is compiled meanwhile has up to five chunks, and tiles of two or three rows."""
    constants = {"TILE_STEP": 1, "TILE_LEAST": 2, "TILE_MOST": 3, "SWEEP_WORK": 1, "CHUNKS": 5, "MANY_CHUNKS": 5}
    with patch.multiple("gradc.emit.printer", **constants):
        yield


@contextmanager
def many_chunks() -> Iterator[None]:
    with patch("gradc.emit.printer.SWEEP_WORK", 1):
        yield


# random programs


@st.composite
def programs(draw: st.DrawFn) -> Program:
    return random_rows.generate(Drawn(draw, st.integers))


@st.composite
def large_programs(draw: st.DrawFn) -> Program:
    return random_rows.generate(Drawn(draw, st.integers), large=True)


def check(p: Program, backend: str = "python", tolerance: float = 1.0) -> None:
    """Value and gradient against the reference evaluator. Programs that need longer axes are passed over."""
    parsed = api.parse(p.text)
    function = gradc.compile(p.text, backend=backend, cache=False)
    try:
        value = function(**p.inputs)
    except InputError:
        assume(all(size > 3 for size in p.dims.values()))
        raise
    expected = evaluate_value(parsed.result.node, parsed.result.axes, p.inputs, p.dims)
    same(p, "value: generated code, graph", value, expected, tolerance * VALUE)
    if np.ndim(value) or not function.wrt:
        return
    again, gradient = function.value_and_grad(**p.inputs)
    same(p, "value: value_and_grad, graph", again, expected, tolerance * VALUE)
    for name, bar in (function._derived.gradient or {}).items():
        reference = evaluate_value(bar.node, bar.axes, p.inputs, p.dims)
        same(p, f"{name}_bar: generated code, graph", fields(gradient)[name], reference, tolerance * GRADIENT)


def check_both(p: Program) -> None:
    with tiny():
        check(p)
    check(p)


def check_compiled(p: Program) -> None:
    with tiny():
        check(p, "numba")


def check_large(p: Program) -> None:
    with many_chunks():
        check(p, "numba", 10)


def check_differences(p: Program) -> None:
    with tiny():
        function = gradc.compile(p.text, backend="python", cache=False)
        assume(p.smooth and 0 not in p.dims.values() and function.wrt and not re.search(r"floor|step|argmax", p.text))
        try:
            value = function(**p.inputs)
        except InputError:
            assume(False)
        assume(np.ndim(value) == 0 and abs(value) < 1e6)
        report = function.check(**p.inputs)
    assert report.ok, f"{report}\n\n{p}"


@settled(150)
@given(programs())
def test_random_rows(p: Program) -> None:
    check_both(p)


@settled(4)
@given(programs())
def test_random_rows_compiled(p: Program) -> None:
    check_compiled(p)


@settled(3)
@given(large_programs())
def test_many_random_rows_compiled(p: Program) -> None:
    check_large(p)


@settled(25)
@given(programs())
def test_random_rows_against_differences(p: Program) -> None:
    check_differences(p)


@pytest.mark.nightly
@settled(6000)
@given(programs())
def test_random_rows_nightly(p: Program) -> None:
    check_both(p)


@pytest.mark.nightly
@settled(300)
@given(programs())
def test_random_rows_compiled_nightly(p: Program) -> None:
    check_compiled(p)


@pytest.mark.nightly
@settled(200)
@given(large_programs())
def test_many_random_rows_compiled_nightly(p: Program) -> None:
    check_large(p)


@pytest.mark.nightly
@settled(1500)
@given(programs())
def test_random_rows_against_differences_nightly(p: Program) -> None:
    check_differences(p)


def is_scalar(p: Program) -> bool:
    return not api.parse(p.text).result.axes


def test_random_rows_cover_what_the_scheduler_tells_apart() -> None:
    drawn = [random_rows.generate(Seeded(seed)) for seed in range(100)]
    routines = [derive(api.parse(p.text)).routine("value_and_grad", True) for p in drawn if is_scalar(p)]
    sweeps = [s for r in routines for s, _ in r.statements() if isinstance(s, Sweep)]
    products = [s for r in routines for s, _ in r.statements() if isinstance(s, Product)]
    assert sum(any(isinstance(t, Tiles) for t in s.body) for s in sweeps) > 60
    assert {len(p.loops) for p in products} == {2, 3}
    assert {p.add for p in products} == {True, False}
    assert {s.reach for s in sweeps} >= {0, 1}
    assert {p.op for s in sweeps for p in s.parts} >= {"add", "mul", "maximum", "minimum"}
    assert {p.dims["n"] for p in drawn if "n" in p.dims} >= {0, 1, 2, 12}


FOUND = {
    "an accumulator written at rows and at reversed rows": "B: param[n, n]\n"
    "c = [[sum(B[i, l] for l in range(j + 1)) for j in range(n)] for i in range(n)]\n"
    "sum(sum(c, axis=1)*sum(B[::-1]**2, axis=1))",
}


@pytest.mark.parametrize("name", FOUND)
def test_programs_that_went_wrong(name: str) -> None:
    B = np.random.default_rng(0).normal(size=(4, 4))
    p = Program(FOUND[name], {"B": B}, {"n": 4}, True)
    check_both(p)
    assert gradc.compile(p.text, backend="python").check(**p.inputs).ok


# the same bits


def rows_of(n: int) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    return {
        "x": rng.normal(size=(n, 20)), "y": rng.normal(size=n), "t": rng.integers(0, 10, n),
        "W": rng.normal(size=(10, 20)), "V": rng.normal(size=(30, 20)), "U": rng.normal(size=(10, 30)),
        "w": rng.normal(size=20), "b": rng.normal(size=10), "u": rng.normal(size=n),
    }  # fmt: skip


DECLARED = {
    "x": "data[n, d]", "y": "data[n]", "t": "index[n]", "W": "param[K, d]", "V": "param[h, d]", "U": "param[K, h]",
    "w": "param[d]", "b": "param[K]", "u": "param[n]",
}  # fmt: skip
BITS = {
    "logistic": "mean(bce(sigmoid(x @ w), sigmoid(y)))",
    "perceptron": "mean(cross_entropy_with_logits(tanh(x @ V.T) @ U.T + b, t))",
    "chain of neighbours": "sum(100*(u[1:] - u[:-1]**2)**2 + (1 - u[:-1])**2) + sum(u[3:]*u[:-3])",
    "several sweeps": "z = x @ w\nlogsumexp(z)*mean((z - mean(z))**2)",
    "table": "sum(tanh(b[t]*y)*max(x @ W.T, axis=1))",
    "wave": "cumsum(u) @ y + sum(softmax(u)*y)",
}


def compiled(name: str, **options: Any) -> tuple[gradc.Function, dict[str, Any]]:
    used = [k for k in DECLARED if re.search(rf"\b{k}\b", BITS[name])]
    text = "\n".join([*(f"{k}: {DECLARED[k]}" for k in used), BITS[name]])
    given = rows_of(3001)
    with many_chunks():
        function = gradc.compile(text, **options)
        inputs = {k: given[k] for k in used}
        function.value_and_grad(**inputs)
    return function, inputs


def bits(result: tuple[float, Any]) -> bytes:
    value, gradient = result
    return b"".join(np.asarray(v).tobytes() for v in (value, *gradient))


@pytest.mark.parametrize("backend", ["python", "numba"])
def test_matrices_of_chunks_whose_last_rows_are_run_later(backend: str) -> None:
    """The adjoint of x[1:] writes to the next row: a kernel is called twice for a chunk, and goes on adding to W's."""
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(83, 5)), rng.normal(size=(5, 4))
    with many_chunks(), patch("gradc.emit.printer.PRIVATE_WORK", 0):
        function = gradc.compile(
            "x: param[n, d]\nW: param[d, h]\nsum(tanh((x[1:] - x[:-1]) @ W))", backend=backend, cache=False
        )
        value, gradient = function.value_and_grad(x, w)
    assert "chunks, 1, (x, W" in function.source
    y = np.tanh(np.diff(x, axis=0) @ w)
    rows = (1 - y * y) @ w.T
    assert value == pytest.approx(y.sum(), rel=1e-12)
    own, following = (np.pad(rows, (sides, (0, 0))) for sides in ((0, 1), (1, 0)))
    np.testing.assert_allclose(gradient.W, np.diff(x, axis=0).T @ (1 - y * y), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(gradient.x, following - own, atol=1e-11)


@pytest.mark.parametrize("name", BITS)
def test_results_are_the_same_to_the_last_bit(name: str) -> None:
    function, inputs = compiled(name)
    expected = bits(function.value_and_grad(**inputs))
    for threads in (1, 2, 3, 8, "auto"):
        other, _ = compiled(name, threads=threads)
        assert {bits(other.value_and_grad(**inputs)) for _ in range(5)} == {expected}, threads
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: bits(function.value_and_grad(**inputs)), range(40)))
    assert set(found) == {expected}


def test_threads_that_call_all_at_once_get_the_same_bits() -> None:
    functions = [compiled(name) for name in BITS]
    expected = [bits(f.value_and_grad(**inputs)) for f, inputs in functions]
    together = threading.Barrier(8)

    def call(k: int) -> list[bytes]:
        together.wait()
        at = [(k + j) % len(functions) for j in range(2 * len(functions))]
        return [bits(functions[i][0].value_and_grad(**functions[i][1])) == expected[i] for i in at]

    with ThreadPoolExecutor(8) as pool:
        assert all(all(found) for found in pool.map(call, range(8)))


FORK = """
import os, sys
from test_sweeps import bits, compiled
function, inputs = compiled("perceptron")
expected = bits(function.value_and_grad(**inputs))
child = os.fork()
if child == 0:
    same = all(bits(function.value_and_grad(**inputs)) == expected for _ in range(3))
    os._exit(0 if same else 3)
_, status = os.waitpid(child, 0)
assert bits(function.value_and_grad(**inputs)) == expected
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_computes_on() -> None:
    done = subprocess.run([sys.executable, "-c", FORK], cwd=HERE, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


OUT_OF_RANGE = "E: param[K]\nF: param[h]\nt: index[n]\ns: index[n]\nsum(exp(E[t[i] + 1])*F[s[i] + 1] for i in range(n))"


def test_an_index_out_of_range_is_the_same_error_on_any_number_of_threads() -> None:
    inputs: dict[str, Any] = {"E": np.ones(9), "F": np.ones(9), "t": np.zeros(1000, int), "s": np.zeros(1000, int)}
    inputs["t"][900] = inputs["s"][100] = 8
    found = set()
    with many_chunks():
        for threads in (1, 2, 8, "auto"):
            function = gradc.compile(OUT_OF_RANGE, threads=threads)
            for call in (function, function.value_and_grad):
                for _ in range(3):
                    with pytest.raises(InputError, match="out of range of axis 0 of F") as caught:
                        call(**inputs)
                    found.add(str(caught.value))
            inputs["s"][100] = 0
            with pytest.raises(InputError, match="out of range of axis 0 of E"):
                function(**inputs)
            inputs["s"][100] = 8
    assert len(found) == 1


# structure


def gradient_of(name: str) -> Routine:
    return derive(program(CASES[name].path.read_text(), name)).routine("value_and_grad", True)


def products(routine: Routine) -> list[Product]:
    return [s for s, _ in routine.statements() if isinstance(s, Product)]


@pytest.mark.parametrize(("name", "count"), [("logistic", 0), ("softmax", 2), ("mlp", 5)])
def test_products(name: str, count: int) -> None:
    routine = gradient_of(name)
    (sweep,) = (s for s in routine.body if isinstance(s, Sweep))
    assert sweep.reach == 0
    assert len([p for p in products(routine) if len(p.loops) == 3]) == count


@pytest.mark.parametrize("name", ["logistic", "softmax", "mlp", "gmm"])
def test_nothing_is_kept_for_all_rows(name: str) -> None:
    tiles = [s for s, _ in gradient_of(name).statements() if isinstance(s, Tiles)]
    shapes = [p for t in tiles for a in t.arrays for p in a.shape]
    assert not [p for p in shapes if "n" in p.dims]
    assert all(a.shape[-1].dims == {t.height} for t in tiles for a in t.arrays)


def test_a_mixture_packs_its_rows_once() -> None:
    (tiles,) = (s for s, _ in gradient_of("gmm").statements() if isinstance(s, Tiles))
    assert [a.array for a in tiles.arrays if a.array.startswith("x_tile")] == ["x_tile"]


ROSENBROCK = "u: param[n]\nsum(100*(u[1:] - u[:-1]**2)**2 + (1 - u[:-1])**2)"


def test_what_rows_scatter_is_added_up_in_one_loop() -> None:
    """Behind all that is vectorised, whatever it is about, and each time under what it is about."""
    text = "c: param[C, 3]\nx: data[n, 2]\nk: index[n]\n"
    function = gradc.compile(text + "sum(exp(c[k, 0]*x[:, 0])*c[k, 2] + tanh(c[k, 1]*x[:, 1]))")
    kernel = function.source.partition("def value_and_grad_rows")[2].partition("def value_and_grad(")[0]
    last = kernel.splitlines()[kernel.splitlines().index("        # adjoint of c") + 1 :]
    assert last[0] == "        for i in range(start, stop):"
    assert [line.partition(" +=")[0].strip() for line in last[1:4]] == [f"c_bar[k[i], {j}]" for j in (2, 0, 1)]
    assert kernel.count("c_bar[k[i]") == 3
    assert kernel.count("for i in range(start, stop)") == 2
    r = np.random.default_rng(0)
    report = function.check(c=r.normal(size=(4, 3)), x=r.normal(size=(700, 2)), k=r.integers(0, 4, 700))
    assert report.ok, str(report)


def test_what_is_scattered_comes_before_what_it_reads_changes() -> None:
    row = Name("i", "int")
    kept, index = Element("x_bar", (row,), "float"), Element("k", (row,), "int")
    scattered = [Accumulate(Element("c_bar", (index,), "float"), "add", value) for value in (kept, Name("s", "float"))]
    run = [Comment("adjoint of c"), *scattered, Comment("adjoint of x"), Assign(kept, Name("s", "float"))]
    tiling = Tiling.__new__(Tiling)
    tiling.roles = Roles("i", {"s": "float"}, totals={"c_bar": "add"}, owned={"x_bar": {0}})
    stays, apart = tiling._scattered_apart(run)
    assert stays == [run[0], scattered[0], *run[3:]]
    assert apart == [run[0], scattered[1]]


def test_a_chain_of_neighbours_is_one_sweep_with_overlapping_writes() -> None:
    routine = derive(program(ROSENBROCK)).routine("value_and_grad", True)
    assert routine.sweeps("n") == 1
    assert [s.reach for s, _ in walk(routine.body) if isinstance(s, Sweep)] == [1]


EMBEDDING = """
U: param[V, d]
W: param[V, d]
c: index[n]
t: index[n]
z = U[c] @ W.T
mean(logsumexp(z[i]) - z[i, t[i]] for i in range(n))
"""


def test_cross_entropy_of_rows_that_are_picked_is_one_sweep() -> None:
    assert derive(program(EMBEDDING)).routine("value_and_grad", True).sweeps("n") == 1


PACKED = re.compile(r"\bv?(?:add|sub|mul|div|cmp\w*|fn?m(?:add|sub)\d+)pd\b.*%([xyz])mm")
WHOLE = {64: "z", 32: "y", 0: "x"}
"""The registers of vectors of so many bytes."""
VECTORISED = {
    "Rosenbrock": ROSENBROCK,
    "logistic": CASES["logistic"].path.read_text(),
    "logsumexp": "u: param[n]\nlogsumexp(u)",
    "helpers": "u: param[n]\nv: data\nsum(logaddexp(u[i], v)**2 for i in range(n))",
    "picked rows": "A: param[k, m]\nc: index[n]\nx: data[n, m]\n"
    "sum(tanh(A[c[i], j]*x[i, j]) for i in range(n) for j in range(m))",
}


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="knows the instructions of x86")
@pytest.mark.parametrize("name", VECTORISED)
def test_kernels_have_whole_vectors(name: str) -> None:
    function = gradc.compile(VECTORISED[name], cache=False)
    compiled = Compiled(function._module, function.signature, Settings(cached=False))
    compiled.entry("value_and_grad")
    loaded = vars(sys.modules[f"gradc_{compiled.name}"])
    for kernel in [k for k in loaded if k.startswith("value_and_grad_rows")]:
        (text,) = loaded[kernel].dispatcher.inspect_asm().values()
        assert PACKED.findall(text).count(WHOLE[register()]) > 3, kernel


@pytest.mark.parametrize(
    ("text", "x", "value"),
    [
        ("x: param[n]\nsum(exp(-x*x)*x*x*x*x)", [-1e155, 1.0], np.exp(-1.0)),  # x*x is infinite, the exponential 0
        ("x: param[n]\nprod(x)", [1e300, 1e-300] * 40, 1.0),  # eight of the large ones are infinite
    ],
)
def test_products_are_grouped_as_the_text_says(text: str, x: list[float], value: float) -> None:
    assert gradc.compile(text, cache=False)(x=np.array(x)) == pytest.approx(value, rel=1e-12)


HASHED = """
import hashlib, random_rows, gradc
from cases import CASES
from random_programs import Seeded
texts = [CASES[name].path.read_text() for name in ("softmax", "mlp", "gmm")]
texts += [random_rows.generate(Seeded(seed)).text for seed in range(10)]
modules = [gradc.compile(t, backend="python", cache=False)._module for t in texts]
print(hashlib.sha256("".join(m.text + m.key for m in modules).encode()).hexdigest())
"""


def test_texts_do_not_depend_on_hashes() -> None:
    found = set()
    for seed in ("0", "1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", HASHED], cwd=HERE, env=environment, capture_output=True, text=True, check=True
        )
        found.add(done.stdout)
    assert len(found) == 1


HUGE_PAGES = """
import sys
import numpy as np
import gradc

function = gradc.compile("x: param[n]\\nsum(x*x)")
x = np.ones(1_000_000)  # NumPy asks for huge pages too, but x stays where it is
for length in (1000, 1_000_000):
    made = function.grad(x[:length]).x
    middle = made.ctypes.data + made.nbytes // 2
    inside = False
    for line in open("/proc/self/smaps"):
        words = line.split()
        if "-" in words[0]:
            first, last = (int(w, 16) for w in words[0].split("-"))
            inside = first <= middle < last
        elif inside and words[0] == "VmFlags:":
            print("hg" in words)
"""


@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage/enabled").exists(), reason="needs huge pages")
def test_large_arrays_are_asked_to_be_in_huge_pages(tmp_path: Path) -> None:
    environment = {**os.environ, "GRADC_CACHE_DIR": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", HUGE_PAGES], env=environment, capture_output=True, text=True)
    assert run.stdout.split() == ["False", "True"], run.stderr
