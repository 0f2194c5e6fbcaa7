"""Classifiers over wide rows: bound by reading the rows, or by matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks import libraries
from benchmarks.bounds import moved, multiplied
from benchmarks.race import Workload

SOFTMAX = """
W: param[K, d]
b: param[K]
x: data[n, d]
t: index[n]
mean(cross_entropy_with_logits(x @ W.T + b, t)) + 0.005*sum(W**2)
"""
PERCEPTRON = """
W1: param[h, d]
b1: param[h]
W2: param[K, h]
b2: param[K]
x: data[n, d]
t: index[n]
a = tanh(x @ W1.T + b1)
mean(cross_entropy_with_logits(a @ W2.T + b2, t))
"""


def cross_entropy_in_numpy(z: Any, t: Any) -> tuple[Any, Any]:
    """The mean cost and its derivatives by `z`, which is overwritten."""
    row = np.arange(len(t))
    z -= z.max(axis=1, keepdims=True)
    wanted = z[row, t]
    np.exp(z, out=z)
    total = z.sum(axis=1)
    z /= total[:, None]
    z[row, t] -= 1
    z /= len(t)
    return np.mean(np.log(total) - wanted), z


def cross_entropy_in_jax(jax: Any, z: Any, t: Any) -> Any:
    return -jax.numpy.mean(jax.numpy.take_along_axis(jax.nn.log_softmax(z), t[:, None], axis=1))


def softmax_in_numpy(W: Any, b: Any, x: Any, t: Any) -> Any:
    value, z_bar = cross_entropy_in_numpy(x @ W.T + b, t)
    return value + 0.005 * np.sum(W * W), z_bar.T @ x + 0.01 * W, z_bar.sum(axis=0)


def softmax_in_jax(jax: Any, W: Any, b: Any, x: Any, t: Any) -> Any:
    return cross_entropy_in_jax(jax, x @ W.T + b, t) + 0.005 * jax.numpy.sum(W * W)


def softmax_in_torch(torch: Any, W: Any, b: Any, x: Any, t: Any) -> Any:
    return torch.nn.functional.cross_entropy(x @ W.T + b, t) + 0.005 * (W * W).sum()


def softmax(n: int = 20_000, d: int = 784, K: int = 10) -> Iterator[Workload]:
    """Softmax regression on integer labels, with a penalty."""
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(n, d)), rng.integers(0, K, n)
    inputs = (rng.normal(size=(K, d)) * 0.03, rng.normal(size=K) * 0.1, x, t)
    yield Workload(
        "softmax",
        f"softmax regression, n={n:,} d={d} K={K}",
        [
            libraries.hand("NumPy", softmax_in_numpy, *inputs),
            *libraries.gradc_threads(SOFTMAX, *inputs),
            libraries.jax(softmax_in_jax, 2, *inputs),
            libraries.torch(softmax_in_torch, 2, *inputs),
            libraries.torch(softmax_in_torch, 2, *inputs, compiled=True),
        ],
        [moved(8 * n * (d + 1)), multiplied(4 * n * d * K)],
    )


def perceptron_in_numpy(W1: Any, b1: Any, W2: Any, b2: Any, x: Any, t: Any) -> Any:
    a = np.tanh(x @ W1.T + b1)
    value, z_bar = cross_entropy_in_numpy(a @ W2.T + b2, t)
    a_bar = z_bar @ W2
    a_bar *= 1 - a * a
    return value, a_bar.T @ x, a_bar.sum(axis=0), z_bar.T @ a, z_bar.sum(axis=0)


def perceptron_in_jax(jax: Any, W1: Any, b1: Any, W2: Any, b2: Any, x: Any, t: Any) -> Any:
    return cross_entropy_in_jax(jax, jax.numpy.tanh(x @ W1.T + b1) @ W2.T + b2, t)


def perceptron_in_torch(torch: Any, W1: Any, b1: Any, W2: Any, b2: Any, x: Any, t: Any) -> Any:
    return torch.nn.functional.cross_entropy(torch.tanh(x @ W1.T + b1) @ W2.T + b2, t)


def perceptron(n: int = 4096, d: int = 784, h: int = 128, K: int = 10) -> Iterator[Workload]:
    """A perceptron of two layers on a batch."""
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(n, d)), rng.integers(0, K, n)
    weights = (rng.normal(size=(h, d)) * 0.03, np.zeros(h), rng.normal(size=(K, h)) * 0.1, np.zeros(K))
    inputs = (*weights, x, t)
    yield Workload(
        "perceptron",
        f"perceptron {d}-{h}-{K}, batch of {n:,}",
        [
            libraries.hand("NumPy", perceptron_in_numpy, *inputs),
            *libraries.gradc_threads(PERCEPTRON, *inputs),
            libraries.jax(perceptron_in_jax, 4, *inputs),
            libraries.torch(perceptron_in_torch, 4, *inputs),
            libraries.torch(perceptron_in_torch, 4, *inputs, compiled=True),
        ],
        [moved(8 * n * (d + 1)), multiplied(4 * n * d * h + 6 * n * h * K)],
    )
