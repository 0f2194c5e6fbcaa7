"""A Gaussian mixture whose precisions have triangular factors: small triangular products, once a row and component."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks import libraries
from benchmarks.bounds import multiplied
from benchmarks.race import Workload

MIXTURE = """
alpha: param[K]
mu: param[K, d]
q: param[K, d]
L: param[K, d, d]
x: data[n, d]
Q = [[[L[k, i, j] if i > j else (exp(q[k, i]) if i == j else 0.0)
       for j in range(d)] for i in range(d)] for k in range(K)]
s = [sum(q[k, i] for i in range(d)) for k in range(K)]
sum(logsumexp(
        alpha[k] + s[k] - 0.5*sum(sum(Q[k, i, j]*(x[p, j] - mu[k, j]) for j in range(i + 1))**2 for i in range(d))
        for k in range(K))
    for p in range(n)) - n*logsumexp(alpha)
"""


@libraries.compiled_by_numba
def mixture_in_numba(alpha: Any, mu: Any, q: Any, L: Any, x: Any) -> Any:
    """One loop over the rows; the factors before it, the adjoints of their parts after it."""
    n, d = x.shape
    K = alpha.size
    Q, constant = np.empty((K, d, d)), np.empty(K)
    for k in range(K):
        constant[k] = alpha[k]
        for i in range(d):
            constant[k] += q[k, i]
            for j in range(i):
                Q[k, i, j] = L[k, i, j]
            Q[k, i, i] = math.exp(q[k, i])
    alpha_bar, mu_bar, Q_bar = np.zeros(K), np.zeros((K, d)), np.zeros((K, d, d))
    centred, scaled, weight = np.empty((K, d)), np.empty((K, d)), np.empty(K)
    value = 0.0
    for p in range(n):
        largest = -np.inf
        for k in range(K):
            for j in range(d):
                centred[k, j] = x[p, j] - mu[k, j]
            square = 0.0
            for i in range(d):
                y = 0.0
                for j in range(i + 1):
                    y += Q[k, i, j] * centred[k, j]
                scaled[k, i] = y
                square += y * y
            weight[k] = constant[k] - 0.5 * square
            largest = max(largest, weight[k])
        total = 0.0
        for k in range(K):
            weight[k] = math.exp(weight[k] - largest)
            total += weight[k]
        value += largest + math.log(total)
        for k in range(K):
            share = weight[k] / total
            alpha_bar[k] += share
            for i in range(d):
                y_bar = -share * scaled[k, i]
                for j in range(i + 1):
                    Q_bar[k, i, j] += y_bar * centred[k, j]
                    mu_bar[k, j] -= y_bar * Q[k, i, j]
    top = alpha.max()
    normaliser = top + math.log(np.sum(np.exp(alpha - top)))
    q_bar, L_bar = np.empty((K, d)), np.zeros((K, d, d))
    for k in range(K):
        for i in range(d):
            q_bar[k, i] = alpha_bar[k] + Q_bar[k, i, i] * Q[k, i, i]
            for j in range(i):
                L_bar[k, i, j] = Q_bar[k, i, j]
        alpha_bar[k] -= n * math.exp(alpha[k] - normaliser)
    return value - n * normaliser, alpha_bar, mu_bar, q_bar, L_bar


def mixture_in_jax(jax: Any, alpha: Any, mu: Any, q: Any, L: Any, x: Any) -> Any:
    np = jax.numpy
    Q = np.tril(L, -1) + np.exp(q)[:, :, None] * np.eye(q.shape[1])
    y = np.einsum("kij,nkj->nki", Q, x[:, None] - mu)
    terms = jax.nn.logsumexp(alpha + q.sum(axis=1) - 0.5 * np.sum(y * y, axis=-1), axis=1)
    return np.sum(terms) - len(x) * jax.nn.logsumexp(alpha)


def mixture_in_torch(torch: Any, alpha: Any, mu: Any, q: Any, L: Any, x: Any) -> Any:
    Q = torch.tril(L, -1) + torch.diag_embed(torch.exp(q))
    y = torch.einsum("kij,nkj->nki", Q, x[:, None] - mu)
    terms = torch.logsumexp(alpha + q.sum(1) - 0.5 * (y * y).sum(-1), 1)
    return terms.sum() - len(x) * torch.logsumexp(alpha, 0)


def mixture(sizes: Sequence[tuple[int, int]] = ((2, 5), (10, 25), (32, 25)), n: int = 1000) -> Iterator[Workload]:
    """The log-likelihood, for dimensions and numbers of components."""
    for d, K in sizes:
        rng = np.random.default_rng(0)
        alpha, mu, q = rng.normal(size=K), rng.uniform(size=(K, d)), rng.normal(size=(K, d)) * 0.3
        L = np.tril(rng.normal(size=(K, d, d)) * 0.3, -1)
        inputs = (alpha, mu, q, L, rng.normal(size=(n, d)))
        yield Workload(
            f"mixture {d}x{K}",
            f"Gaussian mixture, d={d} K={K} n={n:,}",
            [
                libraries.hand("Numba", mixture_in_numba, *inputs),
                *libraries.gradc_threads(MIXTURE, *inputs),
                libraries.jax(mixture_in_jax, 4, *inputs),
                libraries.torch(mixture_in_torch, 4, *inputs),
                libraries.torch(mixture_in_torch, 4, *inputs, compiled=True),
            ],
            [multiplied(3 * n * K * d * (d + 1))],
        )
