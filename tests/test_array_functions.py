"""Functions of arrays: values against NumPy over many sizes, gradients against a complex step and differences."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy_shim as shim
import pytest

import gradc
from gradc.evaluate import evaluate_value

HEAD = """x: param[n, d]
y: param[n, d]
A: param[n, n]
B: param[n, d, 3]
u: param[n]
v: param[d]
a: param
b: param
k: index[n]
m: data[4]
"""
SIZES = [(3, 2), (4, 4), (1, 3), (2, 1), (1, 1), (0, 2), (2, 0)]
TEXTS = [
    # put together
    "[a, b, a*b]",
    "[a, 2, True]",
    "[[a, b], [b, sin(a)]]",
    "[[a, -b], [b, a]] @ [a, 2*b]",
    "[u, u*u]",
    "[[u, 2*u], [u*u, u]]",
    "array(((a, b), (b, a)))",
    "array([[a], [b]])",
    "array(x)[:, None]",
    "stack([u, sin(u)])",
    "stack([u, sin(u)], axis=1)",
    "stack((u, sin(u), u*u), axis=-1)",
    "stack([x, y], axis=1) + 1",
    "stack([a, b])",
    "stack([x.T, y.T], axis=-1)",
    "stack([x, y*x], 2)",
    "stack([u + r for r in m], axis=1)",
    "stack(x)",
    "concatenate([u, v])",
    "concatenate((x, y))",
    "concatenate([x, y*2, x*y], axis=1)",
    "concatenate([x, ones((n, 1))], axis=1)",
    "concatenate([ones((n, 1)), x], axis=-1) @ concatenate([[a], v])",
    "concatenate([[a, b], u, [b], v, zeros(2)])",
    "concatenate([x, y], axis=None)",
    "concatenate([A, A.T])",
    "concatenate([u[1:], u[:1]])",
    "concatenate([u*r for r in m])",
    "concatenate([u*r for r in m], axis=None)",
    "concatenate([x*r for r in m], axis=1)",
    "concatenate([u])",
    "concatenate([zeros(0), u, zeros(0)])",
    "concatenate([concatenate([u, v]), concatenate([v, u])])",
    "concatenate([u, u])[k]",
    "cumsum(concatenate([u, v]))",
    "sum(concatenate([x, y], axis=1), axis=0)",
    "max(concatenate([v, m]))",
    "logsumexp(concatenate([x, y], axis=1), axis=1)",
    "outer(concatenate([u, v]), concatenate([v, [a]]))",
    "[concatenate([u, v])[i] for i in range(n)]",
    "sum(w*w for w in concatenate([u, v]))",
    # reshaped
    "reshape(x, (d, n))",
    "reshape(x, (n*d,))",
    "reshape(x, n*d)",
    "reshape(x, -1)",
    "reshape(x, (n, d, 1))",
    "reshape(x, (1, n*d))",
    "reshape(B, (n, 3*d))",
    "reshape(B, (n*d, 3))",
    "reshape(B, (3, n, d))",
    "reshape(B, (n, 3, d))",
    "reshape(B, (-1, 3))",
    "reshape(B, (d, -1))",
    "reshape(reshape(B, -1), (n, d, 3))",
    "reshape(ravel(x), x.shape)",
    "reshape(x.T, (n, d))",
    "reshape(m, (2, 2)) * a",
    "reshape(m*u[:, None], (n, 2, 2))",
    "reshape(arange(6), (2, 3))*a",
    "reshape(a, (1, 1))",
    "reshape(reshape(u, (n, 1)), (n,))",
    "ravel(x)",
    "ravel(x.T)",
    "ravel(a)",
    "ravel(ones((n, 1))*u)",
    "ravel(x)*2",
    "reshape(concatenate([x, y]), (2, n, d))",
    "reshape(stack([x, y], axis=1), (2*n, d))",
    "reshape(einsum('ij,k->ijk', x, m), (n, d*2, 2))",
    "[r @ r for r in reshape(B, (n, 3*d))]",
    "transpose(B, (2, 0, 1))",
    "transpose(B, axes=(-1, 1, 0))",
    "transpose(B)",
    # matrices
    "diag(u)",
    "diag(u, 1)",
    "diag(u, k=-2)",
    "diag(A)",
    "diag(x)",
    "diag(x + 1)",
    "diag(concatenate([A, A], axis=1), 1)",
    "diag(diag(u))",
    "trace(A)",
    "trace(x)",
    "diagonal(A @ A)",
    "diagonal(A, offset=1)",
    "cross(B, 2 + B[:, ::-1])",
    "cross(B[0, 0], B)",
    "trace(A @ A)",
    "trace(concatenate([A, A], 0), offset=-1)",
    "tril(A)",
    "triu(x, 1)",
    "tril(x, k=-1)",
    "triu(B, -1)",
    "tril(A) @ u",
    "eye(n) @ u",
    "eye(n, d)*x",
    "eye(3, k=1)*a",
    "eye(n, n, -1) @ A",
    "A + a*eye(n)",
    "one_hot(k, n)*u",
    "one_hot(k, n) @ A",
    "one_hot(k, 2)",
    # made
    "zeros(n) + u",
    "zeros((n, d)) + v",
    "ones(x.shape)*x",
    "full((n, d), a)",
    "full(3, b)*m[1:]",
    "arange(n)*u",
    "arange(1, n + 1)*u",
    "arange(0, n, 2)*a",
    "arange(n, 0, -1)*u",
    "arange(0.0, 1, 0.25)*m",
    "arange(2, 7, 3)*a",
    "linspace(a, b, 5)",
    "linspace(0, 2, n + 2)*a",
    "linspace(a, b, 4, endpoint=False)*m",
    "linspace(a, 3, 1)",
    "linspace(a, b, n + 1)",
    # products
    "einsum('ij,ij->i', x, y)",
    "einsum('ij,ij', x, y)",
    "einsum('ij->ji', x)",
    "einsum('ji', x)",
    "einsum('ii', A)",
    "einsum('ii->i', A)",
    "einsum('ij,jk,kl->il', A, x, x.T)",
    "einsum('i,ij,j', u, x, v)",
    "einsum('...j,j->...', x, v)",
    "einsum('...j,...j', x, y)",
    "einsum('b...,b->...b', B, u)",
    "einsum('i j k, j -> k i', B, v)",
    "einsum('i,j,k->kji', u, v, m)",
    "einsum('ij->', x > 0)",
    "dot(B, m[1:])",
    "dot(x, transpose(B, (2, 1, 0)))",
    "dot(a, x)",
    "outer(x, v)",
    "outer(a, u)",
    "transpose(B, (2, 0, 1)) @ v",
    "ones((1, n, n)) @ stack([x, y])",
    "stack([A, A]) @ ones((1, n, d))",
    # reductions
    "sum(B, axis=(0, 2))",
    "sum(B, (1, -1), keepdims=True)",
    "mean(B + 1, axis=(1, 2))",
    "prod(B, axis=(0, 1))",
    "prod(x)",
    "prod(x, axis=1, keepdims=True)",
    "prod(x*(x > 0))",
    "prod(x*(x > 0), axis=0)",
    "prod(u*0)",
    "any(x > 1, axis=0)",
    "all(B > -1, axis=(0, 2))*v",
    "var(x, axis=0)",
    "var(B, axis=(0, 1), keepdims=True)",
    "var(m*a, ddof=1)",
    "std(m*a + arange(4), ddof=2)",
    "norm(x)",
    "norm(x, axis=1)",
    "norm(x*0)",
    "norm(B, axis=(1, 2))",
    "norm(m*a, 1)",
    "norm(B, ord=inf, axis=-1)",
    "norm(x, 2, 0)",
    "norm(x, 'fro')",
    "max(B, axis=2)",
    "min(B, axis=-1, keepdims=True)",
    "argmax(B, axis=2)*x",
    "argmin(m + a)*b",
    "logsumexp(B, axis=(0, 2))",
    "logsumexp(u)",
    "cumsum(x, axis=0)",
    "cumsum(x)",
    "cumsum(x, 1)",
    "cumsum(B, axis=1)",
    "cumsum(x > 0, axis=0)",
    "softmax(B, axis=1)",
    "log_softmax(x, 0)",
    "softmax(ones((n, 1))*u[:, None], axis=1)",
    "cross_entropy(softmax(B), one_hot([[i % 3 for j in range(d)] for i in range(n)], 3))",
    "cross_entropy_with_logits(stack([u, 2*u, 1 - u], 1), k % 3)",
    "cross_entropy(softmax(stack([u, 2*u], axis=1)), one_hot(k % 2, 2))",
    # elementwise
    "where(x > y, x, 0)",
    "where(k > 0, k, u)",
    "clip(x, -0.5, 0.5)",
    "clip(x, None, 0.5)",
    "clip(x, lo=v)",
    "clip(k, 1, 2)*u",
    "clip(u, k - 1, k + 0.5)",
    "maximum(k, u)",
    "minimum(k > 0, u)",
    "maximum(k, 1)",
    "max(a, 1, b)",
    "min(u, k, True)",
    "abs(-k)*u",
    "int(x*3) + x",
    "int(7.9) + int(-7.9)",
    "m[int(abs(a)) % 4]*b",
    "float(k)*u",
    "pow(u, 2)",
    "pow(2, k)*u",
    "2**-k*u",
    "round(x)*x",
    "len(x)*len(m)*a",
]


def drawn(n: int, d: int, seed: int = 0) -> tuple[dict[str, Any], dict[str, int]]:
    random = np.random.default_rng((n, d, seed))
    shapes = {"x": (n, d), "y": (n, d), "A": (n, n), "B": (n, d, 3), "u": (n,), "v": (d,), "a": (), "b": (), "m": (4,)}
    inputs: dict[str, Any] = {name: random.normal(size=shape) for name, shape in shapes.items()}
    inputs |= {"a": float(inputs["a"]), "b": float(inputs["b"]), "k": random.integers(0, max(n, 1), n)}
    return inputs, {"n": n, "d": d}


def program(text: str) -> str:
    """The inputs that the text names, and those that say what its dims are, and the text."""
    words = set("".join(c if c.isalnum() else " " for c in text).split())
    lines = [line for line in HEAD.splitlines() if line.split(":")[0] in words]
    declared = " ".join(lines)
    for dim, line in (("n", "u: param[n]"), ("d", "v: param[d]")):
        bare = f"[{dim}]" in declared or f"[{dim}," in declared or f", {dim}]" in declared or f", {dim}," in declared
        if not bare and (dim in words or f", {dim}" in declared):
            lines.append(line)
    return "\n".join([*lines, text])


def given(function: gradc.Function, inputs: dict[str, Any]) -> dict[str, Any]:
    return {i.name: inputs[i.name] for i in function.program.inputs}


@pytest.mark.parametrize("text", TEXTS)
def test_values_and_gradients(text: str) -> None:
    full = program(text)
    *head, result = full.splitlines()
    array = gradc.compile(full, backend="python", cache=False)
    loss = "\n".join([*head, f"r = 1.0*{result}" if "\n" not in result else result, "sum(sin(r)*(1 + r))"])
    function = gradc.compile(loss, backend="python", cache=False)
    assert gradc.compile(loss, cache=False, backend="python").source == function.source
    for n, d in SIZES:
        inputs, dims = drawn(n, d)
        own = given(array, inputs)
        try:
            expected = shim.run(full, own, dims)
        except (shim.UnknowableError, ValueError, IndexError):
            assert 0 in (n, d), (n, d)
            continue
        value = array(**own)
        np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-13, err_msg=f"{n, d}")
        assert np.shape(value) == np.shape(expected), (n, d)
        reference = evaluate_value(array._derived.value.node, array._derived.value.axes, own, dims)
        np.testing.assert_allclose(reference, expected, rtol=1e-12, atol=1e-13, err_msg=f"{n, d}")
        if not function.wrt:
            continue
        total, gradient = function.value_and_grad(**own)
        for name, field in zip(gradient._fields, gradient, strict=True):
            if not np.size(field):
                continue
            tangent = np.random.default_rng(1).normal(size=np.shape(field))
            slope = shim.directional(loss, own, dims, {name: tangent})
            assert np.sum(field * tangent) == pytest.approx(slope, rel=1e-9, abs=1e-10, nan_ok=True), (name, n, d)
            bar = (function._derived.gradient or {})[name]
            by_graph = evaluate_value(bar.node, bar.axes, own, dims)
            np.testing.assert_allclose(field, by_graph, rtol=1e-11, atol=1e-12, err_msg=f"{name} {n, d}")
        assert np.isfinite(total) or 0 in (n, d) or "ddof" in text


def together(texts: list[str]) -> str:
    """One loss of many expressions, so that one compilation serves them all."""
    full = program(" ".join(texts))
    head = full.splitlines()[:-1]
    lines = [f"r{k} = sum(sin({t}))" for k, t in enumerate(texts)]
    return "\n".join([*head, *lines, " + ".join(f"r{k}" for k in range(len(texts)))])


@pytest.mark.parametrize("part", [k for k in range(64) if k % 16 < 4])
def test_compiled_code_gives_what_python_gives(part: int) -> None:
    """Some of the calls, a few in each program: compiling takes more than in proportion to its length."""
    text = together(TEXTS[part::64])
    compiled = gradc.compile(text, cache=False)
    plain = gradc.compile(text, backend="python", cache=False)
    for n, d in [(3, 2), (2, 3)]:
        own = given(compiled, drawn(n, d)[0])
        try:
            value, gradient = plain.value_and_grad(**own)
        except gradc.InputError as error:
            with pytest.raises(gradc.InputError, match=re.escape(error.message)):
                compiled.value_and_grad(**own)
            continue
        again, fields = compiled.value_and_grad(**own)
        assert again == pytest.approx(value, rel=1e-13, nan_ok=True)
        for name, field in zip(gradient._fields, gradient, strict=True):
            np.testing.assert_allclose(getattr(fields, name), field, rtol=1e-12, atol=1e-13, err_msg=name)


NUMPY: list[tuple[str, Any]] = [
    ("np.max(x, 0)", lambda x, u: np.max(x, 0)),
    ("np.min(a=x, axis=1, keepdims=True)", lambda x, u: np.min(x, axis=1, keepdims=True)),
    ("np.sum(x, axis=(0, 1), keepdims=True)", lambda x, u: np.sum(x, axis=(0, 1), keepdims=True)),
    ("np.clip(x, a_min=-0.5, a_max=0.5)", lambda x, u: np.clip(x, a_min=-0.5, a_max=0.5)),
    ("np.clip(x, None, 0.1)", lambda x, u: np.clip(x, None, 0.1)),
    ("np.linalg.norm(x, None, 1)", lambda x, u: np.linalg.norm(x, None, 1)),
    ("np.linalg.norm(u, np.inf)", lambda x, u: np.linalg.norm(u, np.inf)),
    ("np.linalg.norm(x, ord=1, axis=0)", lambda x, u: np.linalg.norm(x, ord=1, axis=0)),
    ("np.var(x, 0, ddof=1)", lambda x, u: np.var(x, 0, ddof=1)),
    ("np.std(x, axis=1, ddof=1)", lambda x, u: np.std(x, axis=1, ddof=1)),
    ("np.round(x*10)", lambda x, u: np.round(x * 10)),
    ("np.full((2, 3), fill_value=u[0])", lambda x, u: np.full((2, 3), u[0])),
    ("np.eye(N=3, M=2, k=-1)*u[0]", lambda x, u: np.eye(N=3, M=2, k=-1) * u[0]),
    ("np.array([[1, u[0]], [2, 3]])", lambda x, u: np.array([[1, u[0]], [2, 3]])),
    ("np.where(x > 0, x, -x)", lambda x, u: np.abs(x)),
    ("np.einsum('ij->j', x)", lambda x, u: x.sum(0)),
    ("np.argmax(x, 1)", lambda x, u: np.argmax(x, 1)),
    ("np.cumsum(x, 1)", lambda x, u: np.cumsum(x, 1)),
    ("np.concatenate((x, x), axis=-1)", lambda x, u: np.concatenate((x, x), axis=-1)),
    ("np.transpose(x, (1, 0))", lambda x, u: x.T),
    ("np.maximum(u, 0)", lambda x, u: np.maximum(u, 0)),
    ("math.log(abs(u), 2)", lambda x, u: np.log2(np.abs(u))),
    ("math.pow(abs(u), 1.5)", lambda x, u: np.abs(u) ** 1.5),
    ("math.pi*u", lambda x, u: np.pi * u),
    ("int(x*2.5)", lambda x, u: (x * 2.5).astype(int)),
]


@pytest.mark.parametrize(("text", "expected"), NUMPY, ids=[t for t, _ in NUMPY])
def test_with_a_module_before_it_the_signature_is_that_of_the_module(text: str, expected: Any) -> None:
    x, u = np.random.default_rng(5).normal(size=(3, 4)), np.random.default_rng(6).normal(size=5)
    value = gradc.compile(f"x: data[n, d]\nu: data[m]\n{text}", backend="python", cache=False)(x, u)
    np.testing.assert_allclose(value, expected(x, u), rtol=1e-13)
    assert np.shape(value) == np.shape(expected(x, u))


@pytest.mark.parametrize("backend", ["python", "numba"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_integers_of_floats_saturate(backend: str, dtype: str) -> None:
    function = gradc.compile("x: data[n]\n[int(v) for v in x]", backend=backend, dtype=dtype, cache=False)
    given = [2.9, -2.9, -0.0, np.nan, np.inf, -np.inf, 1e30, -1e30]
    low, high = -(2**63), 2**63 - 1
    assert list(function(given)) == [2, -2, 0, 0, high, low, high, low]
    assert gradc.compile("x: data\nint(1e30) + 0*int(x)", backend=backend, dtype=dtype)(1.0) == 2.0**63


WRONG = [
    ("x.sum()", "write sum(x)"),
    ("sum(x, 0, 1)", "sum() takes 2 arguments, 3 given"),
    ("sum(x, axis=a)", "axis must be an integer that stands in the text"),
    ("sum(x, axis=(0, 0))", "an axis is named twice"),
    ("sum(x, axis=(0, 5))", "axis 5 of an array of 2 axes"),
    ("sum(x, axes=1)", "did you mean 'axis'?"),
    ("sum(x, keepdims=1)", "keepdims must be True or False"),
    ("argmax(x, axis=(0, 1))", "argmax takes one axis"),
    ("max(x, 0, axis=1)", "write np.max(x, axis)"),
    ("reshape(x, (-1, -1))", "only one length may be left open"),
    ("reshape(x, (-2, d))", "a length is negative"),
    ("reshape(m, (3, 2))", "lengths 4 and 6 do not agree"),
    ("reshape(u, (k[0], 2))", "made of numbers and dims"),
    ("reshape(x, n, d)", "reshape(x, shape)"),
    ("concatenate([u, x])", "concatenate of arrays of 1 and 2 axes"),
    ("concatenate([x, x.T])", "lengths d and n do not agree"),
    ("concatenate([a, b])", "write stack, or a list of numbers"),
    ("concatenate(u, v)", "concatenate(arrays, axis=0)"),
    ("concatenate([])", "write zeros(0)"),
    ("stack([u, v])", "lengths n and d do not agree"),
    ("stack([u], axis=2)", "axis 2 of an array of 2 axes"),
    ("[u, a]", "a list of arrays of 1 and 2 axes"),
    ("[[a, a], [a]]", "lengths 2 and 1 do not agree"),
    ("[]", "the shape of its elements is not known"),
    ("zeros(-1)", "a length is negative: -1"),
    ("zeros(a)", "made of numbers and dims"),
    ("full(2)", "full() needs 'value'"),
    ("full(2, u)", "full takes a number"),
    ("eye(n, d, a)", "k must be an integer"),
    ("arange(a)", "the length of arange cannot be told"),
    ("arange(0, 1, 0)", "other than 0"),
    ("arange(0, inf)", "arange without end"),
    ("linspace(u, 1, 5)", "numbers as its ends"),
    ("one_hot(u, 3)", "integer labels"),
    ("diag(B)", "a vector or a matrix"),
    ("trace(u)", "it takes a matrix"),
    ("tril(u)", "it takes a matrix"),
    ("einsum('ij,jk->ik', x)", "is for 2 operands, 1 given"),
    ("einsum('ij->i', u)", "'ij' for an array of 1 axes"),
    ("einsum('i->ii', u)", "each once"),
    ("einsum('i,i', u, v)", "lengths n and d do not agree"),
    ("einsum(x, u)", "a text in quotes"),
    ("einsum('i1->i', x)", "something other than letters"),
    ("einsum('...->', x)", "the result must have '...'"),
    ("transpose(x, (0, 0))", "name each axis once"),
    ("transpose(x, 1)", "a tuple of integers"),
    ("norm(x, 1)", "ord is 1, 2 or inf, of vectors"),
    ("np.round(x, 2)", "write round(x*100)/100"),
    ("round(a, 2)", "write round(x*100)/100"),
    ("len(a)", "len() of a number"),
    ("where(u > 0)", "where(condition, x, y)"),
    ("cumsum(x, axis=(0, 1))", "cumsum takes one axis"),
    ("softmax(a)", "softmax needs an array"),
    ("max(zeros(0))", "max of an empty axis"),
    ("np.foo(a)", "unknown function 'foo'"),
    ("vstack([u, u])", "write concatenate([A, B], axis=0)"),
    ("slogdet(A)", "write logdet(A)"),
    ("stak([u, u])", "did you mean 'stack'?"),
    ("cross(m, m)", "lengths 4 and 3 do not agree"),
    ("cross(1, u)", "vectors of length 3, not a number"),
]


@pytest.mark.parametrize(("text", "says"), WRONG, ids=[t for t, _ in WRONG])
def test_wrong_calls_say_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(gradc.GradcError) as caught:
        gradc.compile(program(text), backend="python", cache=False)
    assert says in str(caught.value)
    assert caught.value.line == len(program(text).splitlines())
    assert "^" in str(caught.value)


def test_lengths_that_differ_at_the_call() -> None:
    halves = gradc.compile("u: param[n]\nsum(reshape(u, (2, -1))[0])", backend="python", cache=False)
    assert halves([1.0, 2.0, 3.0, 4.0]) == 3.0
    with pytest.raises(gradc.InputError, match="must be equal"):
        halves([1.0, 2.0, 3.0])
    column = gradc.compile(
        "u: param[n]\nv: param[d]\nsum(concatenate([u[None, :], [[v[0]]]], axis=0))", backend="python"
    )
    assert column([2.0], [3.0]) == 5.0
    with pytest.raises(gradc.InputError, match="lengths n and 1 must be equal"):
        column([2.0, 1.0], [3.0])


def conditions(source: str) -> list[str]:
    """Lines with conditions, but for those that say how the rows are taken."""
    lines = source[source.index("def value_rows") :].split("try:")[0].splitlines()
    return [line for line in lines if " if " in line and not re.search("# (rows at a time|parts of the rows)", line)]


def test_lists_of_literal_size_are_written_out() -> None:
    """A rotation is four products, not a loop with conditions."""
    text = "t: param\nv: param[2]\nR = [[cos(t), -sin(t)], [sin(t), cos(t)]]\ny = R @ v\ny @ [1, 2]"
    source = gradc.compile(text, backend="python", cache=False).source
    assert "for " not in source
    assert " if " not in source
    wide = "x: param[n]\ny: param[n]\nW: param[3, 2]\nsum(tanh(stack([x, y], axis=1) @ W.T))"
    source = gradc.compile(wide, backend="python", cache=False).source
    assert not conditions(source)


def test_sums_over_parts_are_sums_of_sums() -> None:
    text = "x: data[n, d]\nw: param[d + 1]\ny = concatenate([ones((n, 1)), x], axis=1) @ w\nmean(y**2)"
    source = gradc.compile(text, backend="python", cache=False).source
    assert not conditions(source)
    assert source.count("in_chunks(value_and_grad_rows") == 1


DIAGONALS = {
    "sum([[A[i, j]*w if i == j else 0.0 for j in range(n)] for i in range(n)])": (30.0, True),
    "sum(sum(w*A[i, j] if j == i else 0.0 for j in range(i + 1)) for i in range(n))": (30.0, True),
    "sum(sum(w*A[i, j] if j == n - 1 - i else 0.0 for j in range(n)) for i in range(n))": (30.0, True),
    "sum(sum(0.0 if i > j else (w*A[i, j] if j == i else 0.0) for j in range(n)) for i in range(n))": (30.0, True),
    "sum(sum(w*A[i, j] if j == i + 1 else 0.0 for j in range(n)) for i in range(n))": (18.0, False),
    "sum(sum(w*A[i, j] if j == i else 0.0 for j in range(m)) for i in range(n))": (15.0, False),
    "sum(sum(w*A[i, j] if j == t[i] else 0.0 for j in range(n)) for i in range(n))": (15.0, False),
}
"""Sums of which one summand is not 0, what they come to, and whether it is known that there is such a position."""


@pytest.mark.parametrize("text", DIAGONALS)
def test_a_sum_of_which_one_summand_is_not_zero_is_no_loop(text: str) -> None:
    expected, one = DIAGONALS[text]
    head = "w: param\nA: data[n, n]\nt: index[n]\nB: data[m]\n"
    function = gradc.compile(head + text, backend="python", cache=False)
    inputs = (1.0, np.arange(16.0).reshape(4, 4), [0, 1, 2, 9], np.zeros(3))
    value, gradient = function.value_and_grad(*inputs)
    assert value == gradient.w == expected
    assert ("eq(" not in str(function.graph)) is one


def test_reshaping_along_rows_divides_nothing() -> None:
    text = "x: param[n, 6]\nw: param[3]\nz = reshape(reshape(x, -1), (n, 2, 3))\nsum(sin(z @ w))"
    source = gradc.compile(text, backend="python", cache=False).source
    body = source[source.index("def value_and_grad_rows") : source.index("def value_and_grad(")]
    assert "//" not in body
    assert "%" not in body
    assert "raise" not in body


def test_long_lists() -> None:
    text = "x: param\n" + f"y = [{', '.join(f'sin({k}*x)' for k in range(300))}]\nsum(y*y) + y[7]"
    function = gradc.compile(text, backend="python", cache=False)
    expected = sum(np.sin(k * 0.3) ** 2 for k in range(300)) + np.sin(7 * 0.3)
    assert function(0.3) == pytest.approx(expected, rel=1e-13)
    assert function.check(0.3).ok
    chain = "x: param\ny = [x, 2*x]\n" + "y = [y[1] - y[0], sin(y[0])]\n" * 3000 + "y[0] + y[1]"
    assert np.isfinite(gradc.compile(chain, backend="python", cache=False).program.result.node.number)


def test_products_of_what_may_be_zero() -> None:
    for x in ([0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [1.0, 2.0, 3.0]):
        gradient = gradc.compile("x: param[n]\nprod(x)", backend="python").grad(x).x
        others = [np.prod([v for j, v in enumerate(x) if j != k]) for k in range(3)]
        np.testing.assert_array_equal(gradient, others)
        lists = gradc.compile("x: param[3]\nprod([x[0], x[1], x[2]])", backend="python").grad(x).x
        np.testing.assert_array_equal(lists, others)


def test_variance_keeps_its_digits_far_from_zero() -> None:
    x = 1e9 + np.arange(5.0)
    assert gradc.compile("x: param[n]\nvar(x)", backend="python")(x) == 2.0
    np.testing.assert_array_equal(
        gradc.compile("x: param[n]\nvar(x)", backend="python").grad(x).x, [-0.8, -0.4, 0, 0.4, 0.8]
    )


def test_an_arm_that_is_not_taken_is_not_read() -> None:
    """Where an array that was put together is read only under a condition."""
    text = "u: param[n]\nv: param[d]\nk: index[m]\nc: data[m]\n"
    text += "y = exp(concatenate([u, 1/v]))\nsum(y[k[i]] if c[i] > 0 else 0 for i in range(m))"
    function = gradc.compile(text, backend="python", cache=False)
    value, gradient = function.value_and_grad([1.0, 2.0], [0.0, 4.0], [0, 3, 1], [1.0, 1.0, -1.0])
    assert value == pytest.approx(np.exp(1.0) + np.exp(0.25))
    np.testing.assert_allclose(gradient.u, [np.exp(1.0), 0.0])
    np.testing.assert_allclose(gradient.v, [0.0, -np.exp(0.25) / 16])


def test_formulas_call_no_helper_of_the_users() -> None:
    own = "def sigmoid(z):\n    return z\nx: param\nbce_with_logits(x, 0.5) + 0*sigmoid(x)"
    plain = gradc.compile("x: param\nbce_with_logits(x, 0.5)", backend="python")
    assert gradc.compile(own, backend="python")(0.3) == plain(0.3)


def test_rows_of_a_mapped_loss() -> None:
    text = "w: param[d + 1]\nx: data[n, d]\ny = concatenate([ones((n, 1)), x], axis=1) @ w\n"
    text += "R = [[w[0], w[1]], [w[1], 2]]\nmean(y**2) + trace(R @ R)*sum(reshape(x, -1))"
    function = gradc.compile(text, backend="python", cache=False)
    random = np.random.default_rng(0)
    many, x = random.normal(size=(5, 3)), random.normal(size=(4, 2))
    values, gradients = function.map(w=many, x=x)
    np.testing.assert_allclose(values, [function(w, x) for w in many], rtol=1e-13)
    np.testing.assert_allclose(gradients.w, [function.grad(w, x).w for w in many], rtol=1e-12)


def test_a_roll_is_two_loops_without_checks() -> None:
    source = gradc.compile("u: param[n]\nr = concatenate([u[1:], u[:1]]) - u\nsum(r**2)", backend="python").source
    assert "raise" not in source[source.index("def value_rows") : source.index("def value_and_grad")]
    assert (
        gradc.compile("u: param[n]\nsum((concatenate([u[1:], u[:1]]) - u)**2)", backend="python")([1.0, 2.0, 4.0])
        == 14.0
    )


def test_an_array_stored_by_several_sweeps_is_read_from_the_nearest() -> None:
    text = "x: param[d, 6]\ny: param[d]\nw: param[d, 2]\nv = concatenate([x, x[:, 1:]], axis=1)\n"
    text += "z = einsum('ab,a->ba', v, y) @ w\nsum(z*sum(cumsum(z)))"
    random = np.random.default_rng(0)
    function = gradc.compile(text, backend="python", cache=False)
    assert function.check(random.normal(size=(4, 6)), random.normal(size=4), random.normal(size=(4, 2))).ok


def test_what_is_read_in_one_piece_alone_is_summed_there_alone() -> None:
    rows = "sum(x[i, j] for i in range(n)) if j < d else sum(y[i, j - d]**2 for i in range(n))"
    for use in ("sum(sin(r))", "r[0] + r[2*d - 1]", "sum(cumsum(r))", "max(r) + r[1]"):
        text = f"x: param[n, d]\ny: param[n, d]\nr = [{rows} for j in range(2*d)]\n{use}"
        function = gradc.compile(text, backend="python", cache=False)
        random = np.random.default_rng(0)
        assert function.check(random.normal(size=(3, 2)), random.normal(size=(3, 2))).ok, use


@pytest.mark.parametrize("inner", ["x", "concatenate([x[:1], [0.0]])"])
def test_running_sums_of_diagonals(inner: str) -> None:
    """Loops of the adjoint may be skipped only under conditions that mean the same at the places that are read."""
    text = f"x: param[2]\nw: param[2, 3]\nv = cumsum(diag({inner}), axis=0) @ w\nsum(sin(v))"
    function = gradc.compile(text, backend="python", cache=False)
    random = np.random.default_rng(0)
    assert function.check(random.normal(size=2), random.normal(size=(2, 3))).ok
