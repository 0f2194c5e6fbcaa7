"""Functions of arrays: values against NumPy over many sizes, gradients against a complex step and differences."""

from __future__ import annotations

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
