"""Losses over many rows of a few numbers: bound by how fast the rows can be read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

import gradc
from benchmarks import libraries
from benchmarks.bounds import moved
from benchmarks.race import Built, Contestant, Workload
from benchmarks.scalar import ELEMENTARY, elementary

LOGISTIC = """
w: param[d]
b: param
x: data[n, d]
t: data[n]
z = x @ w + b
mean(bce_with_logits(z, t)) + 0.005*sum(w**2)
"""
ELEMENTARY_ROWS = """
x1: param[n]
x2: param[n]
sum(log(x1) + x1*x2 - sin(x2))
"""


def logistic_inputs(n: int, d: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    return rng.normal(size=d) * 0.1, 0.1, rng.normal(size=(n, d)), (rng.random(n) < 0.5).astype(float)


@libraries.compiled_by_numba
def logistic_in_numba(w: Any, b: Any, x: Any, t: Any) -> Any:
    n, d = x.shape
    w_bar, b_bar, loss = np.zeros(d), 0.0, 0.0
    for i in range(n):
        z = b
        for j in range(d):
            z += x[i, j] * w[j]
        e = math.exp(-abs(z))
        loss += max(z, 0.0) + math.log1p(e) - t[i] * z
        z_bar = (1 / (1 + e) if z >= 0 else e / (1 + e)) - t[i]
        b_bar += z_bar
        for j in range(d):
            w_bar[j] += z_bar * x[i, j]
    return loss / n + 0.005 * np.sum(w * w), w_bar / n + 0.01 * w, b_bar / n


def logistic_in_numpy(w: Any, b: Any, x: Any, t: Any) -> Any:
    z = x @ w + b
    e = np.exp(-np.abs(z))
    z_bar = (np.where(z >= 0, 1 / (1 + e), e / (1 + e)) - t) / len(t)
    value = np.mean(np.maximum(z, 0) + np.log1p(e) - t * z) + 0.005 * w @ w
    return value, x.T @ z_bar + 0.01 * w, z_bar.sum()


def logistic_in_jax(jax: Any, w: Any, b: Any, x: Any, t: Any) -> Any:
    z = x @ w + b
    return jax.numpy.mean(jax.numpy.logaddexp(0.0, z) - t * z) + 0.005 * jax.numpy.sum(w * w)


def logistic_in_torch(torch: Any, w: Any, b: Any, x: Any, t: Any) -> Any:
    costs = torch.nn.functional.binary_cross_entropy_with_logits(x @ w + b, t)
    return costs + 0.005 * (w * w).sum()


def logistic(n: int = 200_000, d: int = 50) -> Iterator[Workload]:
    """Logistic regression with a penalty."""
    inputs = logistic_inputs(n, d)
    yield Workload(
        "logistic",
        f"logistic regression, n={n:,} d={d}",
        [
            libraries.hand("Numba", logistic_in_numba, *inputs),
            libraries.hand("NumPy", logistic_in_numpy, *inputs),
            *libraries.gradc_threads(LOGISTIC, *inputs),
            libraries.jax(logistic_in_jax, 2, *inputs),
            libraries.torch(logistic_in_torch, 2, *inputs),
            libraries.torch(logistic_in_torch, 2, *inputs, compiled=True),
        ],
        [moved(8 * n * (d + 1))],
    )


@libraries.compiled_by_numba
def rows_in_numba(a: Any, b: Any) -> Any:
    value, a_bar, b_bar = np.empty_like(a), np.empty_like(a), np.empty_like(a)
    for i in range(a.size):
        value[i] = math.log(a[i]) + a[i] * b[i] - math.sin(b[i])
        a_bar[i] = 1 / a[i] + b[i]
        b_bar[i] = a[i] - math.cos(b[i])
    return value, a_bar, b_bar


def rows_in_gradc(name: str, threads: int | str, *inputs: Any) -> Contestant:
    """Row by row through `map`; before there is one, the sum over all rows, whose gradient has the same entries."""

    def build() -> Built:
        if hasattr(gradc.Function, "map"):
            return Built(partial(gradc.compile(ELEMENTARY, threads=threads, cache=False).map, *inputs))
        summed = gradc.compile(ELEMENTARY_ROWS, threads=threads, cache=False)
        return Built(partial(summed.value_and_grad, *inputs), partial(summed, *inputs))

    return Contestant(name, build)


def rows(n: int = 1_000_000) -> Iterator[Workload]:
    """A function of two numbers at many points."""
    rng = np.random.default_rng(0)
    a, b = rng.random(n) * 3 + 0.1, rng.normal(size=n)
    yield Workload(
        "rows",
        f"log(x1) + x1*x2 - sin(x2) at {n:,} points",
        [
            libraries.hand("Numba", rows_in_numba, a, b),
            rows_in_gradc("gradc", "auto", a, b),
            rows_in_gradc("gradc, 1 thread", 1, a, b),
            libraries.jax(lambda jax, a, b: elementary(jax.numpy, a, b), 2, a, b, rows=True),
            libraries.torch(lambda torch, a, b: elementary(torch, a, b).sum(), 2, a, b),
        ],
        [moved(16 * n, 24 * n)],
    )
