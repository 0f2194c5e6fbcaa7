"""Long straight-line code: compiled in blocks it gives, bit for bit, what Numba's front end makes of the same text."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import CASES
from llvmlite.binding import TargetMachine
from test_start import LINUX, fresh

import gradc
from gradc.emit.batches import NEAR, Fetch, Keep, Line, Step, batched
from gradc.emit.blocks import LIMIT, with_blocks
from gradc.emit.llvm import SIZE, BlockText
from gradc.emit.pairs import side_by_side
from gradc.emit.tape import Tape
from gradc.evaluate import evaluate_value
from gradc.loops import Accumulate, Apply, Assign, Block, Expr, Name, Routine, Sweep
from gradc.ops import OPS
from gradc.runtime import objects
from gradc.runtime.jit import Compiled, Settings, flags
from gradc.runtime.translate import Translator

NEVER = 10**9
SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, np.inf, -np.inf, np.nan, 1e308, -1e308, 5e-324, 1e-300, 710.0, -745.5)
UNARY = sorted(name for name, op in OPS.items() if op.infix is None and len(op.params) == 1)
BINARY = ("maximum({}, {})", "minimum({}, {})", "arctan2({}, {})", "hypot({}, {})", "leaky_relu({}, {})", "elu({}, {})")
INFIX = ("{} + {}", "{} - {}", "{}*{}", "{}/{}", "{} // {}", "{} % {}", "{}**{}")
CHOICES = (
    "{0} if {1} > {2} else {2}",
    "sin({0}) if {1} <= {2} else exp({2})",
    "{0} if {1} == {2} or not {0} < {1} else -{1}",
    "1 if {0} >= {1} and {1} != {2} else ({2} if k > 2 else {0})",
    "a[k % 3] if {0} > {1} else {2}",
    "maximum({0}, 0.25) - minimum(1, {1}) + k*{2}",
    "{0}**2 + {1}**-1 + {2}**0.5 + {0}**k",
    "abs({0}) + (k // 2)*{1} + (3 if k % 2 == 0 else j)*{2}",
    "polygamma(2, {0}) + a[2]*{1} - m[1, j]*{2}",
)
CALLED = {"truncate": "int"}
FORMS = (*(f"{CALLED.get(name, name)}({{}})" for name in UNARY), *BINARY, *INFIX, *CHOICES)
HEAD = "a: param[3]\nm: param[2, 2]\nu: param\nv: param\nk: index\nj: index\n"

EVERYTHING = f"p: param[{len(FORMS)}]\n{HEAD}" + " + ".join(
    f"p[{k}]*({form.format('u', 'v', 'a[0]')})" for k, form in enumerate(FORMS)
)
"""Every function with a factor of its own, whose adjoint is the function's value."""


def chain(statements: int, seed: int = 0) -> str:
    """Statements on some of the twenty before, which keep to moderate numbers."""
    r = random.Random(seed)
    values = ["x[0]", "x[1]", "x[2]", "u"]
    lines = []
    for k in range(statements):
        a, b = (r.choice(values[-20:]) for _ in range(2))
        forms = (
            f"0.5*({a} + {b})",
            f"sin({a})*{b}",
            f"exp(-{a}*{a})",
            f"{a} - tanh({b})",
            f"{a} if {a} > {b} else 2*{b}",
        )
        lines.append(f"t{k} = {r.choice(forms)}")
        values.append(f"t{k}")
    return "x: param[3]\nu: param\n" + "\n".join(lines) + "\n" + " + ".join(values[-20:])


def routine(function: gradc.Function, name: str = "value_and_grad") -> Routine:
    return next(r for r in function._module.routines if r.name == name)


def both(function: gradc.Function, limit: int = 0) -> list[Callable[..., Any]]:
    """Value and gradient as compiled by Numba's front end alone, and in blocks."""
    made = [Compiled(function._module, function.signature, Settings(False, limit=bound)) for bound in (NEVER, limit)]
    return [m.entry("value_and_grad") for m in made]


def bits(result: Any) -> bytes:
    """Every NaN is the same: which of two an operation passes on is nobody's promise."""
    if isinstance(result, tuple):
        return b"".join(map(bits, result))
    values = np.array(result, dtype=float)
    return np.where(np.isnan(values), np.nan, values).tobytes()


def inputs(seed: int) -> list[Any]:
    """Moderate numbers and special ones in turn."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> Any:
        return rng.choice(SPECIAL, shape) if seed % 2 else rng.normal(size=shape)

    return [draw(3), draw(2, 2), float(draw()), float(draw()), int(rng.integers(0, 3)), int(rng.integers(0, 2))]


def test_every_function_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradc.runtime.blocks.SIZE", 40)
    plain, blocks = both(gradc.compile(EVERYTHING, cache=False))
    finite = []
    for seed in range(300):
        values = [np.ones(len(FORMS)), *inputs(seed)]
        expected, given = plain(*values), blocks(*values)
        assert bits(given) == bits(expected), values
        finite.append(np.isfinite(expected[1][0]))
    assert np.all(np.any(finite, axis=0)), "a function that gives nothing but NaN is not tested"


@pytest.mark.parametrize("long", [0, NEVER])
def test_batches_and_values_that_cross_functions_keep_their_bits(long: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all calls in batches, and with none."""
    monkeypatch.setattr("gradc.runtime.blocks.SIZE", 30)
    monkeypatch.setattr("gradc.runtime.blocks.LONG", long)
    plain, blocks = both(gradc.compile(chain(120), cache=False))
    for k in range(50):
        point = np.random.default_rng(k).normal(size=4)
        assert bits(blocks(point[:3], point[3])) == bits(plain(point[:3], point[3]))


SHARING = ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "sigmoid", "softplus", "erf", "arctan", "expm1")


def shared(statements: int, seed: int) -> str:
    """Statements in which functions meet the same few numbers, whatever the conditions are and only under one."""
    r = random.Random(seed)
    values = ["x[0]", "x[1]", "x[2]", "u"]
    lines = []
    for k in range(statements):
        a, b = (r.choice(values[-6:]) for _ in range(2))
        f, g, h = (r.choice(SHARING) for _ in range(3))
        forms = (
            f"sin({a}) - cos({b})",
            f"({f}({a}) if {g}({a}) > {h}({b}) else cos({b}))",
            f"0.5*{f}(sin({a}) + {b})",
            f"(sin({a}) if {a} > {b} else {b}) - tanh({a})",
        )
        lines.append(f"t{k} = sin({r.choice(forms)})")
        values.append(f"t{k}")
    return "x: param[3]\nu: param\n" + "\n".join(lines) + "\n" + " + ".join(values[-20:])


@pytest.mark.parametrize("seed", range(4))
def test_functions_called_as_one_keep_their_bits(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradc.runtime.blocks.SIZE", (20, 60, 250, 500)[seed])
    monkeypatch.setattr("gradc.runtime.blocks.LONG", (0, 20)[seed % 2])
    plain, blocks = both(gradc.compile(shared(60, seed), cache=False))
    for k in range(20):
        point = np.random.default_rng(k).normal(size=4) * (1.0, 3.0, 1e6)[k % 3]
        assert bits(blocks(point[:3], point[3])) == bits(plain(point[:3], point[3]))


@pytest.mark.parametrize("name", ["logistic", "softmax"])
def test_statements_in_and_between_loops(name: str) -> None:
    """Here the front end may regroup and blocks do not: equal up to rounding."""
    function = gradc.compile(CASES[name].path, cache=False)
    assert len(with_blocks(routine(function), 0)[1]) > 2
    ready = function._inputs.ready((), CASES[name].inputs)
    plain, blocks = both(function)
    for expected, given in zip(plain(*ready)[1], blocks(*ready)[1], strict=True):
        np.testing.assert_allclose(given, expected, rtol=1e-12, atol=1e-14)


def test_rows_of_a_sweep() -> None:
    """A kernel calls the block; what is added up row by row goes in and comes out."""
    *lines, last = re.sub(r"x\[(\d)\]", r"x\1", chain(40)).splitlines()[2:]
    columns = [f"x{k} = w[{k}]*d[:, {k}]" for k in range(3)]
    text = "\n".join(["w: param[3]", "d: data[n, 4]", *columns, "u = d[:, 3]", *lines, f"sum({last})"])
    function = gradc.compile(text, cache=False)
    assert any(isinstance(s, Sweep) for s in routine(function).body)
    _, (block,) = with_blocks(routine(function), 50)
    assert len(block.body) > 50
    rng = np.random.default_rng(0)
    point = rng.normal(size=3), rng.normal(size=(100, 4))
    value, (gradient,) = both(function, 50)[1](*point)
    expected, (w_bar,) = gradc.compile(text, backend="python").value_and_grad(*point)
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradient, w_bar, rtol=1e-11)


def test_long_programs_go_past_the_front_end() -> None:
    function = gradc.compile(chain(3000), cache=False)
    short, blocks = with_blocks(routine(function))
    assert len(short.body) < 10
    assert len(blocks) == 1
    assert len(blocks[0].body) > 5000
    point = np.array([0.3, -0.2, 0.7]), 0.4
    value, gradient = function.value_and_grad(*point)
    expected, (x_bar, u_bar) = gradc.compile(chain(3000), backend="python").value_and_grad(*point)
    assert value == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(gradient.x, x_bar, rtol=1e-11)
    assert gradient.u == pytest.approx(u_bar, rel=1e-11)
    named = {"x": point[0], "u": point[1]}
    result = function.program.result
    assert value == pytest.approx(float(evaluate_value(result.node, result.axes, named, {})), rel=1e-13)
    report = function.check(*point)
    assert report.ok, str(report)


def printed(block: Block, straight: bool = True) -> BlockText:
    return BlockText(block, "f", [1] * len(block.arrays), "{}*", SIZE, straight, lambda operation: False)


def test_cost_is_linear() -> None:
    """Per statement the text is of one length, in functions of at most SIZE statements."""
    per_statement = []
    for n in (1000, 4000):
        r = routine(gradc.compile(chain(n), cache=False))
        _, (block,) = with_blocks(r)
        text = printed(block)
        parts = list(text.parts(2))
        functions = [len(re.findall(r"^define", part, re.MULTILINE)) for part in parts]
        assert sum(functions) == -(-len(side_by_side(block.body)) // SIZE)
        assert set(functions[:-1]) == {2}
        assert text.tape.size < len(block.body)
        assert all(len(re.findall(r"^declare", part, re.MULTILINE)) < 10 for part in parts)
        per_statement.append(sum(map(len, parts)) / len(block.body))
    assert per_statement[1] == pytest.approx(per_statement[0], rel=0.1)


def test_a_function_fetches_each_constant_once() -> None:
    _, (block,) = with_blocks(routine(gradc.compile(chain(1000), cache=False)))
    for straight in (True, False):
        code = "\n".join(printed(block, straight).parts(8))
        functions = re.findall(r'^define void @"f[.].*?^}', code, re.MULTILINE | re.DOTALL)
        assert len(functions) > 1
        for function in functions:
            head, *body = function.splitlines()
            assert ("optnone" in head) is straight
            assert sum(".constants" in line for line in body) < 12
            assert not any(re.search(r"0x[0-9A-F]{16}", line) for line in body)


def called(register: int, function: str, argument: str, *needs: int) -> Line:
    given = f"double {argument}"
    return Line(f'%r{register} = call double @"{function}"({given}) noinline', needs, call=(function, given))


def made(*steps: Step) -> tuple[list[str], list[tuple[str, ...]], Tape]:
    """The lines of these steps, the functions called on vectors, and the tape; `a` is on it from the start."""
    tape = Tape("a", "{}*")
    lines, vectors = batched(steps, tape)
    return [line for text in lines for line in text.splitlines()], [v.names for v in vectors], tape


def test_calls_are_batched_when_nothing_else_can_be_done() -> None:
    """Six calls, the last of which needs the first; a load comes where it is used."""
    total = Line("%r6 = fadd double %r0, %r1", (0, 1))
    calls = [called(k, "f", f"0x{k:016X}") for k in range(1, 6)]
    lines, vectors, _ = made(Fetch("a"), *calls, total, called(7, "f", "%r6", 6))
    assert vectors == [("f",)]
    places = [k for k, line in enumerate(lines) if "call" in line]
    assert [lines[k].startswith("call void %f0") for k in places] == [True, False, False]
    loads = [k for k, line in enumerate(lines) if "load" in line]
    assert len(loads) == 2
    assert all(places[1] < k < places[2] for k in loads)


def test_functions_of_the_same_numbers_are_called_as_one() -> None:
    """What is not in registers then: each of the results is read where it is needed."""
    steps: list[Step] = [called(k, "f", f"0x{k:016X}") for k in range(4)]
    steps += [called(k + 4, "g", f"0x{k:016X}") for k in range(3)]
    steps += [Line(f"%r{k + 7} = fadd double %r{k}, %r{k + 3}", (k, k + 3)) for k in range(4)]
    lines, vectors, tape = made(*steps)
    assert vectors == [("f", "g")]
    first, second = (line for line in lines if "call" in line)
    assert first == "call void %f0(double 0x0, double 0x1, double 0x2, double 0x2, double* %r0.results)".replace(
        "0x", "0x000000000000000"
    )
    assert second == steps[3].text  # type: ignore[union-attr]
    assert tape.size == 1 + 8
    places = dict(
        re.findall(r"(%r\d+)[.]\d+[.]place = getelementptr double, double\* %tape, i64 (\d+)", "\n".join(lines))
    )
    assert places == {"%r0": "1", "%r1": "2", "%r2": "3", "%r4": "5", "%r5": "6", "%r6": "7"}


def test_results_of_a_batch_are_kept_where_it_puts_them() -> None:
    """Once: what has a place of its own is stored there, and so is the second of two scalars that are the same."""
    calls = [called(k, "f", f"0x{k:016X}") for k in range(3)]
    lines, _, tape = made(*calls, Keep("u", "%r1", (1,)), Keep("a", "%r2", (2,)), Keep("v", "%r1", (1,)))
    assert tape.slots == {"a": 0, "u": 2, "v": 5}
    assert [re.sub(r"[.]\d+", "", line) for line in lines if "store" in line] == [
        "store volatile double %r2, double* %k4",
        "store volatile double %r1, double* %k5",
    ]


def test_scalars_that_are_the_same_have_places_of_their_own() -> None:
    """One of them may be assigned again, in another function."""
    _, _, tape = made(Fetch("a"), Keep("u", "%r0", (0,)), Keep("v", "%r0", (0,)))
    assert tape.slots == {"a": 0, "u": 1, "v": 2}


def test_what_is_on_the_tape_is_read_again_behind_calls_and_many_lines() -> None:
    sums = [Line(f"%r{k} = fadd double %r0, %r{k - 1}", (0, k - 1)) for k in range(3, 3 + 2 * NEAR)]
    kept = Line("%r1 = fmul double %r0, %r0", (0,))
    near, _, tape = made(Fetch("a"), kept, Keep("u", "%r1", (1,)), *sums[:0], Line("%r3 = fadd double %r1, %r1", (1,)))
    assert sum("= load" in line for line in near) == 1
    assert tape.slots == {"a": 0, "u": 1}
    far, _, _ = made(Fetch("a"), kept, Keep("u", "%r1", (1,)), Line("%r2 = fadd double %r1, %r0", (1, 0)), *sums)
    assert sum("= load" in line for line in far) == 1 + len(sums) // NEAR
    call = called(3, "f", "%r1", 1)
    behind, _, _ = made(Fetch("a"), kept, Keep("u", "%r1", (1,)), call, Line("%r4 = fadd double %r3, %r1", (3, 1)))
    assert sum("= load" in line for line in behind[behind.index(call.text) :]) == 1
    batch = [called(k, "f", f"%r{k - 2}", k - 2) for k in (3, 4)]
    step = Line("%r2 = fadd double %r1, %r1", (1,))
    last = Line("%r5 = fadd double %r1, %r3", (1, 3))
    behind, vectors, _ = made(Fetch("a"), kept, step, *batch, last, Keep("u", "%r1", (1,)))
    assert vectors == [("f",)]
    (position,) = (k for k, line in enumerate(behind) if line.startswith("call"))
    assert sum("= load" in line for line in behind[position:]) == 2


x, y, z = (Name(n, "float") for n in "xyz")


def of(op: str, *args: Expr) -> Apply:
    return Apply(op, args, "float")


def test_functions_of_one_scalar_stand_side_by_side() -> None:
    """In the order in which they are needed; the cosine of a choice's arm would be computed for nothing."""
    condition = Apply("gt", (x, y), "bool")
    body = (
        Assign(y, of("mul", of("sin", x), x)),
        Assign(z, of("select", condition, of("cos", y), y)),
        Accumulate(z, "add", of("exp", of("cos", x))),
        Accumulate(z, "add", of("sin", y)),
    )
    sine, cosine = Name("sin(x)", "float"), Name("cos(x)", "float")
    assert side_by_side(body) == (
        Assign(sine, of("sin", x)),
        Assign(cosine, of("cos", x)),
        Assign(y, of("mul", sine, x)),
        body[1],
        Accumulate(z, "add", of("exp", cosine)),
        body[3],
    )


def test_functions_of_a_scalar_that_changes_stay_where_they_are() -> None:
    body = (Assign(y, of("sin", x)), Accumulate(x, "add", y), Assign(z, of("cos", x)))
    assert side_by_side(body) == body
    again = (Assign(y, of("cos", x)), *body[1:], Assign(y, of("exp", x)))
    assert side_by_side(again)[:2] == again[:2]
    assert side_by_side(again)[2:4] == (
        Assign(Name("cos(x)", "float"), of("cos", x)),
        Assign(Name("exp(x)", "float"), of("exp", x)),
    )


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What blocks are printed as, part by part."""
    made: list[str] = []

    def spy(self: BlockText, together: int) -> Iterator[str]:
        for part in parts(self, together):
            made.append(part)
            yield part

    parts = BlockText.parts
    monkeypatch.setattr(BlockText, "parts", spy)
    return made


def called_on_vectors(text: str) -> list[str]:
    """What functions on vectors are called, once for each call, by way of variables and registers."""
    variables = dict(re.findall(r'^@"?(\S+?)"? = internal .*constant .*@"?([^"\s]+)"?$', text, re.MULTILINE))
    found = []
    for function in re.split(r"^(?=define )", text, flags=re.MULTILINE):
        registers = dict(re.findall(r'(%f\d+) = load .*@"?([^"\s,]+)"?', function))
        found += [variables[registers[f]] for f in re.findall(r"call void (%f\d+)\(", function)]
    return found


def test_a_sine_and_the_cosine_of_its_adjoint_are_one_call(texts: list[str]) -> None:
    sums = "\n".join(f"u{k + 1} = sin(u{k}) + sin(v{k})\nv{k + 1} = u{k}*v{k} - sin(2*u{k})" for k in range(LIMIT // 2))
    gradc.compile(f"u0: param\nv0: param\n{sums}\nu{LIMIT // 2}", cache=False).value_and_grad(0.5, 0.25)
    calls = called_on_vectors("".join(texts))
    together, apart = (sum(("+" in name) is both for name in calls) for both in (True, False))
    assert LIMIT // 2 <= together <= 3 * LIMIT // 2
    assert apart < LIMIT // 10


@pytest.fixture
def within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where object code is not kept apart, blocks are part of the code around them."""
    monkeypatch.setenv("GRADC_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(objects, "loadable", lambda: False)


SUMS = "\n".join(f"u = sin(u) + sin(2*u) - abs(v - u)\nv = abs(v)*sin(v) - {k}" for k in range(LIMIT // 2))
SHORT_AND_LONG = f"u: param\nv: param\n{SUMS}\nu*v"


@pytest.mark.usefixtures("within")
def test_operations_are_optimised_though_the_block_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long ones compute on vectors, short ones are no calls; what the block computes stands as it was printed."""
    made: list[str] = []
    dump = objects.dump
    monkeypatch.setattr(
        objects, "dump", lambda result, *rest: made.append(result.library.get_llvm_str()) or dump(result, *rest)
    )
    gradc.compile(SHORT_AND_LONG)(0.5, 0.25)
    functions = re.split(r"^(?=define )", made[0], flags=re.MULTILINE)
    (vectors,) = (f for f in functions if ".operation1.vector" in f.splitlines()[0])
    assert "fmul <4 x double>" in vectors
    (block,) = (f for f in functions if "_block_1.0" in f.splitlines()[0])
    called = re.findall(r"call [^@\n]*@\S*\.(\w+)\(", block)
    assert Counter(called) == {"f64": LIMIT}
    assert len(re.findall(r"call void %f0\(", block)) == LIMIT // 2
    assert block.count("@llvm.fabs.f64") == LIMIT


def test_short_operations_are_no_calls_in_objects_either(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    emit = TargetMachine.emit_object

    def spy(self: TargetMachine, module: Any) -> Any:
        made.append(str(module))
        return emit(self, module)

    monkeypatch.setattr(TargetMachine, "emit_object", spy)
    gradc.compile(SHORT_AND_LONG, cache=False)(0.5, 0.25)
    assert len(made) == 1
    called = re.findall(r"call [^@\n]*@\S*\.(\w+)\(", made[0])
    assert Counter(called) == {"f64": LIMIT}
    assert len(called_on_vectors(made[0])) == LIMIT // 2
    assert "optnone" in made[0]


@pytest.mark.usefixtures("within")
def test_blocks_apart_and_within_the_code_give_the_same_bits() -> None:
    text = chain(1000)
    function, other = gradc.compile(text), gradc.compile(text, cache=False)
    for k in range(20):
        point = list(np.random.default_rng(k).normal(size=4))
        assert _bits(function, point) == _bits(other, point)


def test_parts_are_translated_while_others_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is begun, in another thread, before the last one is there."""
    events: list[tuple[str, bool]] = []
    begun = threading.Event()
    parts, translated = BlockText.parts, Translator._object

    def writing(self: BlockText, together: int) -> Iterator[str]:
        for part in parts(self, 1):
            events.append(("written", threading.current_thread() is threading.main_thread()))
            yield part
            assert begun.wait(60)

    def translating(self: Translator, *args: Any) -> bytes:
        events.append(("translated", threading.current_thread() is threading.main_thread()))
        begun.set()
        return translated(self, *args)

    monkeypatch.setattr(BlockText, "parts", writing)
    monkeypatch.setattr(Translator, "_object", translating)
    gradc.compile(chain(1000), cache=False).value_and_grad([0.3, -0.2, 0.7], 0.4)
    assert events[:2] == [("written", True), ("translated", False)]
    assert Counter(events).keys() == {("written", True), ("translated", False)}
    assert len(events) > 4


def test_text_that_is_wrong_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = BlockText.parts
    monkeypatch.setattr(BlockText, "parts", lambda self, n: (part.replace("fadd", "fad") for part in parts(self, n)))
    with pytest.raises(RuntimeError, match="expected instruction opcode"):
        gradc.compile(chain(400), cache=False).value_and_grad([0.3, -0.2, 0.7], 0.4)
    assert not [t for t in threading.enumerate() if t.name.startswith("gradc-translate")]


ENDING = """
import {module}, gradc
text = "x: param\\nt0 = x\\n" + "".join(f"t{{k + 1}} = sin(t{{k}})*x + {{k}}\\n" for k in range(400)) + "t400"
def work():
    print("result", gradc.compile(text, cache=False)(0.5) > 399)
{begin}
"""


@pytest.mark.parametrize("begin", ["atexit.register(work)", "threading.Thread(target=work).start()"])
def test_long_programs_are_compiled_while_the_interpreter_ends(begin: str, tmp_path: Path) -> None:
    code = ENDING.format(module=begin.split(".")[0], begin=begin)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "GRADC_CACHE_DIR": str(tmp_path)},
    )
    assert (done.stdout, done.stderr) == ("result True\n", "")


def test_long_programs_are_compiled_without_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    point = [0.3, -0.2, 0.7, 0.4]
    expected = _bits(gradc.compile(chain(400), cache=False), point)
    monkeypatch.setattr(threading.Thread, "start", start)
    assert _bits(gradc.compile(chain(400), cache=False), point) == expected


def test_calls_at_once_have_tapes_of_their_own() -> None:
    function = gradc.compile(chain(3000), cache=False)
    points = [[0.1 * k, -0.2, 0.3, 0.4] for k in range(4)]
    expected = [_bits(function, point) for point in points]
    wrong = []

    def call(k: int) -> None:
        wrong.extend(1 for _ in range(500) if _bits(function, points[k]) != expected[k])

    threads = [threading.Thread(target=call, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def _bits(function: gradc.Function, point: list[float]) -> tuple[float, bytes, float]:
    value, gradient = function.value_and_grad(point[:3], point[3])
    return value, gradient.x.tobytes(), gradient.u


def test_a_call_takes_nothing_from_the_heap() -> None:
    """A large request would cost whatever has to be tidied up there first."""
    from numba.core.runtime import _nrt_python, rtsys

    source = chain(3000).replace("x: param[3]", "a: param\nb: param\nc: param")
    for k, name in enumerate("abc"):
        source = source.replace(f"x[{k}]", name)
    function = gradc.compile(source, cache=False)
    function.value_and_grad(0.3, -0.2, 0.7, 0.4)
    _nrt_python.memsys_enable_stats()
    try:
        before = rtsys.get_allocation_stats()
        function.value_and_grad(0.3, -0.2, 0.7, 0.4)
        assert rtsys.get_allocation_stats() == before
    finally:
        _nrt_python.memsys_disable_stats()


def test_short_programs_have_no_blocks() -> None:
    function = gradc.compile(chain(30), cache=False)
    assert with_blocks(routine(function)) == (routine(function), ())
    assert LIMIT >= 100


def test_code_without_loops_is_computed_as_it_stands() -> None:
    assert flags(routine(gradc.compile("x: param\nx*x + 1"))) == set()
    assert flags(routine(gradc.compile("x: param[n]\nsum(x*x)"))) != set()


SECOND = """
import sys
sys.path.insert(0, {tests!r})
from test_blocks import chain
from test_function import compilations
import gradc
with compilations() as seen:
    value, gradient = gradc.compile(chain(400)).value_and_grad([0.3, -0.2, 0.7], 0.4)
print(seen.count, repr(value), gradient.x.tobytes().hex())
"""


def test_second_process_does_not_compile(tmp_path: Path) -> None:
    found = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", SECOND.format(tests=str(Path(__file__).parent))],
            capture_output=True,
            text=True,
            check=True,
            env={"GRADC_CACHE_DIR": str(tmp_path), "PATH": "", "HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
        )
        count, *result = done.stdout.split()
        found.append((int(count), result))
    assert found[0][0] > 0
    assert found[1] == (0, found[0][1])


@LINUX
def test_second_process_runs_without_numba(tmp_path: Path) -> None:
    call = f"""
import gradc
value, gradient = gradc.compile({chain(400)!r}).value_and_grad([0.3, -0.2, 0.7], 0.4)
print(repr(value), gradient.x.tobytes().hex())
"""
    first, seen = fresh(call, tmp_path)
    assert "numba" in seen
    assert fresh(call, tmp_path) == (first, {"llvmlite"})
    (code,) = tmp_path.rglob("*.value_and_grad.o")
    code.unlink()  # all there is of it: what Numba keeps would lack the blocks
    again, seen = fresh(call, tmp_path)
    assert (again, "numba" in seen) == (first, True)
    assert fresh(call, tmp_path) == (first, {"llvmlite"})
