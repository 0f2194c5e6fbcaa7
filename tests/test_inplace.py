"""Products of a tile are finished in their own array, unless somebody still reads there what the product was."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import test_random_derivatives
import test_random_programs
from msgspec.structs import replace
from random_draws import Program

import gradc
from gradc.extents import Index, Poly
from gradc.loops import Accumulate, Alloc, Apply, Assign, Const, Element, Expr, Fill, For, Name, Product, Stmt, View
from gradc.schedule.inplace import in_place

INPUTS = "x: data[n, d]\nW: param[d, d]\nV: param[d, d]\nb: param[d]\nt: data[n, d]\n"
LOSS = "\nsum(tanh(z @ V)*t)"
IN_PLACE = {
    "sum": "z = x @ W + b",
    "sum, the other way": "z = b + x @ W",
    "scaled": "z = 3.5*(x @ W)",
    "by what rows have": "z = (x @ W)*t",
    "of a second product": "z = x @ W + (x @ V)*t",
}
APART = {
    "read before": "p = x @ W\nz = p + b*p",
    "read in the same turn": "p = x @ W\nz = p + b\nt2 = p*tanh(z)\nz = z + t2",
    "read by a product": "p = x @ W\nz = p + b\nt = p @ V",
    "other places": "p = x @ W\nz = [[p[i, d - 1 - j] + b[j] for j in range(d)] for i in range(n)]",
    "another operation": "z = x @ W - b",
}


OF_TILE = r"\[(\w, i - start|i - start, \w)\]"


def sweep(text: str) -> str:
    """The kernel of the value."""
    source = gradc.compile(INPUTS + text + LOSS, cache=False).source
    return source[source.index("def value_rows") : source.index("def value(")]


@pytest.mark.parametrize("name", IN_PLACE)
def test_what_becomes_of_a_product_is_in_its_array(name: str) -> None:
    code = sweep(IN_PLACE[name])
    assert re.search(r"z\[(:, )?:stop - start\]\)\n", code), code
    assert re.search(rf" z{OF_TILE} [+*]= ", code), code


@pytest.mark.parametrize("name", APART)
def test_a_product_that_is_read_elsewhere_stays(name: str) -> None:
    code = sweep(APART[name])
    assert not re.search(rf"\w{OF_TILE} [+*]= ", code), code


D = Poly.atom("d")
J, K = Index(D, 0), Index(D, 1)
ARRAYS = tuple(Alloc(name, (D,), "float") for name in "pz")
PRODUCT = Product(View("p", (None,)), View("W", (None, None)), View("x", (None,)), False, (J, K))


def at(array: str, variable: str = "j") -> Element:
    return Element(array, (Name(variable, "int"),), "float")


def each(*body: Stmt, index: Index = J, variable: str = "j") -> For:
    return For(index, variable, body)


def plus(a: Expr, b: Expr) -> Expr:
    return Apply("add", (a, b), "float")


UPDATE = Assign(at("z"), plus(at("p"), at("b")))
READ = Accumulate(Name("total", "float"), "add", at("z"))


def test_the_product_takes_the_name() -> None:
    arrays, body = in_place(ARRAYS, [PRODUCT, each(UPDATE, READ)])
    assert [a.array for a in arrays] == ["z"]
    target = replace(PRODUCT, target=View("z", (None,)))
    assert body == [target, each(Assign(at("z"), plus(at("z"), at("b"))), READ)]


@pytest.mark.parametrize(
    "body",
    [
        (each(Assign(at("z"), Const(1.0))), PRODUCT, each(READ, UPDATE)),
        (PRODUCT, each(replace(READ, value=at("p")), UPDATE)),
        (PRODUCT, each(UPDATE), each(replace(READ, value=at("p")))),
        (PRODUCT, each(each(UPDATE, index=K, variable="k"))),
        (PRODUCT, each(Assign(at("z"), plus(at("p"), at("p", "k"))))),
        (PRODUCT, each(Assign(at("z", "k"), plus(at("p"), at("b"))))),
        (PRODUCT, each(UPDATE), PRODUCT),
        (PRODUCT, each(UPDATE), replace(PRODUCT, target=View("q", (None,)), right=View("p", (None,)))),
    ],
    ids=[
        "known before",
        "read before",
        "read later",
        "several times",
        "another element",
        "elsewhere",
        "again",
        "factor",
    ],
)
def test_others_that_need_the_array_keep_it(body: tuple[Stmt, ...]) -> None:
    assert in_place(ARRAYS, body) == (ARRAYS, list(body))


def test_an_array_is_renamed_once() -> None:
    """What is finished in place may be a part of another sum: the second product stays where it is."""
    more = replace(PRODUCT, target=View("z", (None,)), add=True)
    last = Assign(at("y"), plus(at("z"), at("c")))
    arrays, body = in_place((*ARRAYS, Alloc("y", (D,), "float")), [PRODUCT, each(UPDATE), more, each(last)])
    assert [a.array for a in arrays] == ["z", "y"]
    assert body == [replace(more, add=False), each(Assign(at("z"), plus(at("z"), at("b")))), more, each(last)]


COPY = Assign(at("z"), at("p"))
USE = each(replace(READ, value=plus(at("p"), at("z"))))


def test_what_is_a_copy_is_the_product() -> None:
    read_first, other = each(replace(READ, value=at("p"))), each(Assign(at("q"), at("p")))
    arrays, body = in_place(ARRAYS, [PRODUCT, read_first, each(COPY), other, USE])
    assert [a.array for a in arrays] == ["p"]
    assert body == [PRODUCT, read_first, other, each(replace(READ, value=plus(at("p"), at("p"))))]


@pytest.mark.parametrize(
    "body",
    [
        (PRODUCT, each(COPY), each(Accumulate(at("z"), "add", at("b"))), USE),
        (PRODUCT, each(COPY), each(COPY), USE),
        (PRODUCT, each(COPY), PRODUCT, USE),
        (PRODUCT, each(COPY), Fill("p", (None,), 0.0), USE),
        (each(Assign(at("z"), Const(1.0))), PRODUCT, each(READ, COPY), USE),
        (each(READ), PRODUCT, each(COPY), USE),
        (PRODUCT, each(each(COPY, index=K, variable="k")), USE),
        (PRODUCT, each(Assign(at("z"), at("p", "k"))), USE),
        (PRODUCT, each(COPY), replace(PRODUCT, target=View("z", (None,))), USE),
    ],
    ids=["changed", "twice", "again", "cleared", "written before", "read before", "loops", "places", "a target"],
)
def test_copies_that_do_not_stay_copies_are_made(body: tuple[Stmt, ...]) -> None:
    assert in_place(ARRAYS, body) == (ARRAYS, list(body))


PICKED = {
    "cross entropy": "mean(logsumexp(z, axis=1) - [z[i, t[i]] for i in range(n)])",
    "hinge": "mean([sum(relu(1 + z[i, j] - z[i, t[i]]) for j in range(k) if j != t[i]) for i in range(n)])",
}


@pytest.mark.parametrize("name", PICKED)
def test_classes_that_are_picked_cost_neither_a_sweep_nor_an_array_of_their_own(name: str) -> None:
    """Losses as people write them: of the score of the class of each row, with an adjoint there."""
    text = f"W: param[k, d]\nx: data[n, d]\nt: index[n]\nz = x @ W.T\n{PICKED[name]}"
    function = gradc.compile(text, cache=False)
    whole = function.source[function.source.index("def value_and_grad(") :]
    assert whole.count("in_chunks(value_and_grad_rows") == 1
    assert not re.search(r"(empty|zeros)\(.*\bn\b", whole)
    assert "z_all" not in function.source
    rng, rows = np.random.default_rng(0), np.arange(50)
    w, x, t = rng.normal(size=(9, 20)), rng.normal(size=(50, 20)), rng.integers(0, 9, 50)
    z = x @ w.T
    own = z[rows, t][:, None]
    if name == "hinge":
        gaps = np.maximum(1 + z - own, 0.0)
        gaps[rows, t] = 0.0
        losses, bar = gaps.sum(axis=1), (gaps > 0.0).astype(float)
    else:
        bar = np.exp(z - own)
        losses, bar = np.log(bar.sum(axis=1)), bar / bar.sum(axis=1, keepdims=True)
        bar[rows, t] = 0.0
    bar[rows, t] = -bar.sum(axis=1)
    value, (got,) = function.value_and_grad(w, x, t)
    np.testing.assert_allclose(value, losses.mean(), rtol=1e-13)
    np.testing.assert_allclose(got, bar.T @ x / 50, rtol=1e-11, atol=1e-13)
    with pytest.raises(gradc.InputError, match="9"):
        function(w, x, t + 1)


@pytest.mark.parametrize(
    "change", [{"shape": (D, D)}, {"type": "int"}, {"fill": 0.0}], ids=["shape", "type", "what they are filled with"]
)
@pytest.mark.parametrize("changed", ["p", "z", "pz"])
def test_arrays_that_differ_or_are_filled_stay_two(change: dict[str, Any], changed: str) -> None:
    arrays = tuple(replace(a, **change) if a.array in changed else a for a in ARRAYS)
    body = [PRODUCT, each(UPDATE)]
    stays = changed != "pz" or "fill" in change
    assert (in_place(arrays, body) == (arrays, body)) is stays


@pytest.mark.parametrize("name", [*IN_PLACE, *APART])
def test_derivatives(name: str) -> None:
    text = INPUTS + {**IN_PLACE, **APART}[name] + LOSS
    random, dims = np.random.default_rng(0), {"n": 3, "d": 9}
    lengths = {i.name: tuple(map(str, i.shape)) for i in gradc.compile(text).signature}
    inputs = {name: random.normal(size=[dims[k] for k in shape]) for name, shape in lengths.items()}
    program = Program(text, inputs, dims, True)
    test_random_programs.check(program)
    test_random_derivatives.check(program)
    dims["n"] = 700
    rows = {name: random.normal(size=[dims[k] for k in shape]) for name, shape in lengths.items()}
    compiled, plain = (gradc.compile(text, cache=False, backend=b) for b in ("numba", "python"))
    for got, expected in zip(compiled.grad(**rows), plain.grad(**rows), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-11)
