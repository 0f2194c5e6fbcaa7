"""Functions of one long vector whose gradient is as long: bound by reading the one and writing the other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks import libraries
from benchmarks.bounds import moved
from benchmarks.race import Workload

ROSENBROCK = """
x: param[n]
sum(100*(x[1:] - x[:-1]**2)**2 + (1 - x[:-1])**2)
"""
LOGSUMEXP = """
x: param[n]
logsumexp(x)
"""


@libraries.compiled_by_numba
def rosenbrock_in_numba(x: Any) -> Any:
    x_bar, value = np.zeros_like(x), 0.0
    for i in range(x.size - 1):
        bend, rest = x[i + 1] - x[i] * x[i], 1 - x[i]
        value += 100 * bend * bend + rest * rest
        x_bar[i] -= 400 * bend * x[i] + 2 * rest
        x_bar[i + 1] += 200 * bend
    return value, x_bar


def rosenbrock_in_arrays(np: Any, x: Any) -> Any:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def rosenbrock(n: int = 1_000_000) -> Iterator[Workload]:
    """Rosenbrock's function: each term reads two neighbours."""
    x = np.random.default_rng(0).normal(size=n)
    yield Workload(
        "rosenbrock",
        f"Rosenbrock's function, n={n:,}",
        [
            libraries.hand("Numba", rosenbrock_in_numba, x),
            *libraries.gradc_threads(ROSENBROCK, x),
            libraries.jax(rosenbrock_in_arrays, 1, x),
            libraries.torch(rosenbrock_in_arrays, 1, x),
            libraries.torch(rosenbrock_in_arrays, 1, x, compiled=True),
        ],
        [moved(8 * n, 8 * n)],
    )


@libraries.compiled_by_numba
def logsumexp_in_numba(x: Any) -> Any:
    largest = -np.inf
    for i in range(x.size):
        largest = max(largest, x[i])
    x_bar, total = np.empty_like(x), 0.0
    for i in range(x.size):
        x_bar[i] = math.exp(x[i] - largest)
        total += x_bar[i]
    for i in range(x.size):
        x_bar[i] /= total
    return largest + math.log(total), x_bar


def logsumexp(n: int = 1_000_000) -> Iterator[Workload]:
    """Its gradient is a softmax."""
    x = np.random.default_rng(0).normal(size=n)
    yield Workload(
        "logsumexp",
        f"logsumexp, n={n:,}",
        [
            libraries.hand("Numba", logsumexp_in_numba, x),
            *libraries.gradc_threads(LOGSUMEXP, x),
            libraries.jax(lambda jax, x: jax.nn.logsumexp(x), 1, x),
            libraries.torch(lambda torch, x: torch.logsumexp(x, 0), 1, x),
            libraries.torch(lambda torch, x: torch.logsumexp(x, 0), 1, x, compiled=True),
        ],
        [moved(8 * n, 8 * n)],
    )
