"""Every function a program can call, through the pipeline: value against NumPy and SciPy, gradient by differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special

import gradc
from gradc.lower.calls import ALL_FUNCTIONS, DEFAULTS
from gradc.numerics import FUNCTIONS
from gradc.ops import ALIASES, CALLABLE, OPS, Interval

RNG = np.random.default_rng(3)


def points(domain: Interval, size: int = 6) -> np.ndarray:
    """Points inside a domain, off the places where its functions have kinks."""
    low, high = max(domain[0], -2.3), min(domain[1], 2.3)
    if domain[0] >= 1:
        low, high = domain[0], domain[0] + 3
    return np.round(RNG.uniform(low + 0.05, high - 0.05, size), 3) + 0.0123


def softmax(x: np.ndarray) -> np.ndarray:
    return special.softmax(x, axis=-1)


X, Y = RNG.normal(size=(4, 3)) + 0.0123, RNG.normal(size=(4, 3))
PROBABILITY, TARGET = special.expit(X), special.expit(Y)
LABELS, ONE_HOT = np.array([2, 0, 1, 1]), np.eye(3)[[2, 0, 1, 1]]
SIGNS = np.sign(Y)
ARRAYS: dict[str, tuple[str, tuple[Any, ...], Callable[..., Any]]] = {
    "square": ("square(x)", (X,), np.square),
    "reciprocal": ("reciprocal(x)", (X,), lambda x: 1 / x),
    "clip": ("clip(x, -0.5, 0.5)", (X,), lambda x: np.clip(x, -0.5, 0.5)),
    "gelu": ("gelu(x)", (X,), lambda x: x / 2 * (1 + special.erf(x / np.sqrt(2)))),
    "silu": ("silu(x)", (X,), lambda x: x * special.expit(x)),
    "squared_error": ("squared_error(x, y)", (X, Y), lambda x, y: (x - y) ** 2),
    "bce": ("bce(x, y)", (PROBABILITY, TARGET), lambda y, t: -(t * np.log(y) + (1 - t) * np.log(1 - y))),
    "bce_with_logits": (
        "bce_with_logits(x, y)",
        (X, TARGET),
        lambda z, t: -(t * np.log(special.expit(z)) + (1 - t) * np.log(special.expit(-z))),
    ),
    "hinge": ("hinge(x, y)", (X, SIGNS), lambda x, t: np.maximum(0, 1 - t * x)),
    "zero_one": ("zero_one(x, y) + 0*x", (X, SIGNS), lambda x, t: np.where(x * t <= 0, 1.0, 0.0)),
    "huber": (
        "huber(x, delta=0.7)",
        (X,),
        lambda r: np.where(abs(r) <= 0.7, r * r / 2, 0.7 * (abs(r) - 0.35)),
    ),
    "softmax": ("softmax(x)", (X,), softmax),
    "log_softmax": ("log_softmax(x, axis=0)", (X,), lambda x: special.log_softmax(x, axis=0)),
    "cross_entropy": ("cross_entropy(softmax(x), y)", (X, ONE_HOT), lambda x, t: -(t * np.log(softmax(x))).sum(-1)),
    "cross_entropy_with_logits": (
        "cross_entropy_with_logits(x, k)",
        (X, LABELS),
        lambda x, k: -np.log(softmax(x)[np.arange(4), k]),
    ),
    "sum": ("sum(x, axis=0)", (X,), lambda x: x.sum(0)),
    "mean": ("mean(x, 1)", (X,), lambda x: x.mean(1)),
    "prod": ("prod(x, axis=0)", (X,), lambda x: x.prod(0)),
    "max": ("max(x, axis=0)", (X,), lambda x: x.max(0)),
    "min": ("min(x)", (X,), np.min),
    "any": ("x*any(x > 1.5)", (X,), lambda x: x * (x > 1.5).any()),
    "all": ("x*all(x > -9)", (X,), lambda x: x * (x > -9).all()),
    "var": ("var(x, axis=1)", (X,), lambda x: x.var(1)),
    "std": ("std(x, axis=0, keepdims=True)", (X,), lambda x: x.std(0, keepdims=True)),
    "norm": ("np.linalg.norm(x)", (X,), np.linalg.norm),
    "logsumexp": ("logsumexp(x, axis=1)", (X,), lambda x: special.logsumexp(x, axis=1)),
    "argmax": ("x*argmax(x)", (X,), lambda x: x * np.argmax(x)),
    "argmin": ("x*argmin(x, axis=0)", (X,), lambda x: x * np.argmin(x, axis=0)),
    "cumsum": ("cumsum(x, axis=1)", (X,), lambda x: x.cumsum(1)),
    "dot": ("dot(x, y.T)", (X, Y), lambda x, y: x @ y.T),
    "matmul": ("np.matmul(x.T, y)", (X, Y), lambda x, y: x.T @ y),
    "outer": ("outer(x[0], y[:, 1])", (X, Y), lambda x, y: np.outer(x[0], y[:, 1])),
    "transpose": ("transpose(x)", (X,), np.transpose),
    "where": ("where(x > y, x, y*y)", (X, Y), lambda x, y: np.where(x > y, x, y * y)),
    "stop_gradient": ("stop_gradient(x*y) + y", (X, Y), lambda x, y: x * y + y),
    "len": ("x*len(x)", (X,), lambda x: x * 4),
    "float": ("float(x > 0)*x", (X,), lambda x: (x > 0) * x),
    "int": ("x*int(3*y)", (X, Y), lambda x, y: x * np.trunc(3 * y)),
    "array": ("array([x[0], y[0]])", (X, Y), lambda x, y: np.array([x[0], y[0]])),
    "asarray": ("asarray(x)", (X,), np.asarray),
    "stack": ("stack([x, y], axis=1)", (X, Y), lambda x, y: np.stack([x, y], axis=1)),
    "concatenate": ("concatenate([x, y], axis=1)", (X, Y), lambda x, y: np.concatenate([x, y], axis=1)),
    "reshape": ("reshape(x, (d, n))", (X,), lambda x: x.reshape(3, 4)),
    "ravel": ("ravel(x)", (X,), np.ravel),
    "einsum": ("einsum('ij,kj->ik', x, y)", (X, Y), lambda x, y: x @ y.T),
    "cross": ("cross(x, y)", (X, Y), np.cross),
    "diagonal": ("diagonal(x)", (X,), np.diagonal),
    "trace": ("trace(x)", (X,), np.trace),
    "diag": ("diag(x[0])", (X,), lambda x: np.diag(x[0])),
    "tril": ("tril(x)", (X,), np.tril),
    "triu": ("triu(x, 1)", (X,), lambda x: np.triu(x, 1)),
    "zeros": ("x + zeros(d)", (X,), lambda x: x),
    "ones": ("x + ones((n, 1))", (X,), lambda x: x + 1),
    "full": ("x*full(d, 2.5)", (X,), lambda x: x * 2.5),
    "eye": ("x @ eye(d, k=1)", (X,), lambda x: x @ np.eye(3, k=1)),
    "arange": ("x*arange(d)", (X,), lambda x: x * np.arange(3)),
    "linspace": ("x*linspace(0, 1, d)", (X,), lambda x: x * np.linspace(0, 1, 3)),
    "solve": ("solve(x.T @ x + eye(d), y.T)", (X, Y), lambda x, y: np.linalg.solve(x.T @ x + np.eye(3), y.T)),
    "inv": ("inv(x.T @ x + eye(d))", (X,), lambda x: np.linalg.inv(x.T @ x + np.eye(3))),
    "det": ("det(x.T @ x + eye(d))*x", (X,), lambda x: np.linalg.det(x.T @ x + np.eye(3)) * x),
    "logdet": ("logdet(x.T @ x + eye(d))*x", (X,), lambda x: np.linalg.slogdet(x.T @ x + np.eye(3))[1] * x),
    "cholesky": ("cholesky(x.T @ x + eye(d))", (X,), lambda x: np.linalg.cholesky(x.T @ x + np.eye(3))),
    "one_hot": ("x*one_hot(k, d)", (X, LABELS), lambda x, k: x * np.eye(3)[k]),
}
TOGETHER = 12
KINDS = {"x": "x: param[n, d]\n", "y": "y: data[n, d]\n", "k": "k: index[n]\n"}


def test_every_function_is_here() -> None:
    assert set(ARRAYS) | CALLABLE == ALL_FUNCTIONS


@pytest.mark.parametrize("name", ARRAYS)
def test_array_functions(name: str) -> None:
    call, inputs, expected = ARRAYS[name]
    second = [] if len(inputs) == 1 else ["k" if inputs[1].dtype.kind == "i" else "y"]
    head = "".join(KINDS[k] for k in ["x", *second])
    value = gradc.compile(head + call, backend="python")(*inputs)
    np.testing.assert_allclose(value, expected(*inputs), rtol=1e-13, atol=1e-14)
    if name != "stop_gradient":
        report = gradc.compile(f"{head}u = {call}\nsum(u*sin(u))", backend="python").check(*inputs)
        assert report.ok, str(report)


def rows(name: str) -> tuple[str, list[np.ndarray]]:
    """A program that calls a row of the op table elementwise, and inputs for it."""
    op = OPS[name]
    inputs = [points(d) for d in op.domain]
    kinds = ["param"] * len(inputs)
    if name == "polygamma":
        inputs[0], kinds[0] = np.array([1, 2, 3, 1, 2, 3]), "index"
    head = "".join(f"{p}_: {kind}[n]\n" for p, kind in zip(op.params, kinds, strict=True))
    return head, inputs


@pytest.mark.parametrize("name", sorted(CALLABLE))
def test_scalar_functions(name: str) -> None:
    head, inputs = rows(name)
    args = ", ".join(f"{p}_" for p in OPS[name].params)
    value = gradc.compile(f"{head}{name}({args})", backend="python")(*inputs)
    np.testing.assert_allclose(value, FUNCTIONS[name](*inputs), rtol=2e-13, atol=1e-300)
    report = gradc.compile(f"{head}sum({name}({args})*{OPS[name].params[-1]}_)", backend="python").check(*inputs)
    assert report.ok, str(report)


@pytest.mark.parametrize("first", range(0, len(CALLABLE), TOGETHER))
def test_compiled_functions_give_what_python_gives(first: int) -> None:
    """Several rows in one program: one compilation serves them."""
    names = sorted(CALLABLE)[first : first + TOGETHER]
    head, terms, inputs = "", [], []
    for name in names:
        declared, values = rows(name)
        head += "".join(f"{name}_{line}\n" for line in declared.splitlines())
        terms.append(f"r_{name} = sum({name}({', '.join(f'{name}_{p}_' for p in OPS[name].params)}))")
        inputs += values
    text = head + "\n".join(terms) + "\n" + " + ".join(f"r_{name}" for name in names)
    value, gradient = gradc.compile(text, cache=False).value_and_grad(*inputs)
    plain, plain_gradient = gradc.compile(text, backend="python").value_and_grad(*inputs)
    assert value == pytest.approx(plain, rel=1e-13)
    for field in gradient._fields:
        np.testing.assert_allclose(
            getattr(gradient, field), getattr(plain_gradient, field), rtol=1e-12, atol=1e-14, err_msg=field
        )


@pytest.mark.parametrize("kind", ["sum", "prod", "max", "min", "any", "all", "mean"])
def test_ragged_reductions_of_what_does_not_vary(kind: str) -> None:
    """Python's own meaning of the comprehension: an empty inner range takes its turn of the outer loop out."""
    body = "x[i] for i in range(n) for j in range(i + 1, n)"
    function = gradc.compile(f"x: param[n]\n1.0*{kind}({body})", backend="python")
    x = np.array([0.5, 2.0, -3.0])
    values = [x[i] for i in range(3) for j in range(i + 1, 3)]
    plain = {"prod": np.prod, "mean": np.mean, "any": np.any, "all": np.all}.get(kind) or getattr(np, kind)
    assert function(x) == pytest.approx(float(plain(values)))
    assert function.check(x).ok


@pytest.mark.parametrize("alias", ALIASES)
def test_other_spellings(alias: str) -> None:
    name = ALIASES[alias]
    args = ["x"] * len(OPS[name].params)
    texts = [f"x: param\n{spelling}({', '.join(args)})" for spelling in (alias, f"np.{alias}", name)]
    values = [gradc.compile(t, backend="python")(0.4) for t in texts]
    np.testing.assert_array_equal(values, values[0])


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults(name: str) -> None:
    (param, value), *_ = DEFAULTS[name].items()
    texts = (f"x: param\n{name}(x)", f"x: param\n{name}(x, {value})", f"x: param\n{name}(x, {param}={value})")
    assert len({gradc.compile(t, backend="python")(-0.3) for t in texts}) == 1
