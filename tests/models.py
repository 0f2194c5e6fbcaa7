"""Textbook models as programs, written again in NumPy for complex numbers, with points to compare them at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

Inputs = dict[str, Any]
EXAMPLES = Path(__file__).parent.parent / "examples"
RNG = np.random.default_rng(11)


@dataclass(frozen=True)
class Model:
    """A program, its formula in NumPy by complex numbers, and inputs: ordinary ones and such at the edges."""

    text: str
    formula: Callable[..., Any]
    points: dict[str, Inputs]


def example(name: str) -> str:
    return (EXAMPLES / f"{name}.gradc").read_text()


def logsumexp(z: Any, axis: int = -1) -> Any:
    top = np.max(z.real, axis=axis, keepdims=True)
    return np.log(np.sum(np.exp(z - top), axis=axis)) + np.squeeze(top, axis)


def lgamma(z: Any) -> Any:
    """For arguments whose imaginary part is infinitesimal."""
    z = np.asarray(z)
    return special.gammaln(z.real) + 1j * z.imag * special.digamma(z.real)


# a mixture


def gmm(alpha: Any, mu: Any, q: Any, L: Any, x: Any) -> Any:
    Q = np.tril(L, -1) + np.exp(q)[:, :, None] * np.eye(q.shape[1])
    y = np.einsum("kij,nkj->nki", Q, x[:, None] - mu[None])
    r = alpha + q.sum(axis=1) - 0.5 * (y * y).sum(axis=-1)
    return len(x) * logsumexp(alpha) - logsumexp(r).sum()


def gmm_inputs(n: int, K: int, d: int) -> Inputs:
    shapes = {"alpha": (K,), "mu": (K, d), "q": (K, d), "L": (K, d, d), "x": (n, d)}
    return {name: RNG.normal(size=shape) for name, shape in shapes.items()}


# bundle adjustment


def cross_matrix(w: Any) -> Any:
    return np.array([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]])


def bundle(camera: Any, point: Any, cam: Any, pt: Any, seen: Any) -> Any:
    """By the exponential of a matrix, of whose series small angles take two terms."""
    total = 0.0
    for c, x, s in zip(camera[cam], point[pt], seen, strict=True):
        term = rotated = x.astype(complex)
        for k in range(1, 40 if (c[:3].real ** 2).sum() > 1e-16 else 2):
            term = cross_matrix(c[:3]) @ term / k
            rotated = rotated + term
        p = rotated + c[3:6]
        u = -p[:2] / p[2]
        r2 = (u * u).sum()
        r = c[6] * (1 + c[7] * r2 + c[8] * r2**2) * u - s
        total = total + (r * r).sum() / 2
    return total


def bundle_inputs(n: int, angles: float = 1.0) -> Inputs:
    C, P = 3, 4
    camera = RNG.normal(size=(C, 9)) * 0.2
    camera[:, :3] *= 5 * angles
    camera[:, 5] -= 6
    camera[:, 6] += 2
    at = {"cam": RNG.integers(0, C, n), "pt": RNG.integers(0, P, n)}
    return {"camera": camera, "point": RNG.normal(size=(P, 3)), **at, "seen": RNG.normal(size=(n, 2))}


# regressions


def multinomial(W: Any, b: Any, x: Any, t: Any) -> Any:
    z = x @ W.T + b
    return np.sum(logsumexp(z) - z[np.arange(len(t)), t])


def multinomial_inputs(n: int, K: int) -> Inputs:
    return {"W": RNG.normal(size=(K, 3)), "b": RNG.normal(size=K), "x": RNG.normal(size=(n, 3)),
            "t": RNG.integers(0, K, n)}  # fmt: skip


def poisson(w: Any, b: Any, x: Any, y: Any, exposure: Any) -> Any:
    rate = exposure * np.exp(x @ w + b)
    return np.sum(rate - y * np.log(rate) + special.gammaln(y + 1))


def regression(n: int, **more: Any) -> Inputs:
    return {"w": RNG.normal(size=3), "x": RNG.normal(size=(n, 3)), **more}


def cox(w: Any, x: Any, time: Any, event: Any) -> Any:
    z = x @ w
    risk = [np.log(np.exp(z[time >= at]).sum()) for at in time]
    return -np.sum(event * (z - np.array(risk)))


def cox_inputs(n: int, time: Any) -> Inputs:
    return regression(n, time=np.asarray(time, float), event=RNG.integers(0, 2, n) * 1.0)


def weibull(w: Any, log_k: Any, x: Any, time: Any, event: Any) -> Any:
    k, z = np.exp(log_k), x @ w
    return np.sum(time**k * np.exp(z) - event * (log_k + (k - 1) * np.log(time) + z))


def student(w: Any, log_s: Any, log_nu: Any, x: Any, y: Any) -> Any:
    nu = np.exp(log_nu)
    r = (y - x @ w) / np.exp(log_s)
    density = lgamma((nu + 1) / 2) - lgamma(nu / 2) - np.log(nu * np.pi) / 2 - log_s
    return -np.sum(density - (nu + 1) / 2 * np.log(1 + r * r / nu))


def ordinal(w: Any, cuts: Any, x: Any, t: Any) -> Any:
    z = x @ w
    below = [np.zeros(len(t))] + [1 / (1 + np.exp(z - c)) for c in cuts] + [np.ones(len(t))]
    return -np.sum(np.log([below[k + 1][i] - below[k][i] for i, k in enumerate(t)]))


# others


def gp(log_scale: Any, log_length: Any, log_noise: Any, x: Any, y: Any) -> Any:
    D = ((x[:, None] - x[None]) ** 2).sum(axis=-1)
    K = np.exp(2 * log_scale - D / (2 * np.exp(2 * log_length))) + np.exp(2 * log_noise) * np.eye(len(x))
    return (y @ np.linalg.solve(K, y) + np.log(np.linalg.det(K)) + len(x) * np.log(2 * np.pi)) / 2


def gp_inputs(n: int) -> Inputs:
    settings = {"log_scale": 0.3, "log_length": -0.2, "log_noise": -1.0}
    return {**settings, "x": RNG.normal(size=(n, 2)), "y": RNG.normal(size=n)}


def word2vec(u: Any, v: Any, word: Any, context: Any, negative: Any) -> Any:
    good = (u[word] * v[context]).sum(axis=-1)
    bad = np.einsum("nd,nkd->nk", u[word], v[negative])
    return np.mean(np.log(1 + np.exp(-good)) + np.log(1 + np.exp(bad)).sum(axis=1))


def word2vec_inputs(n: int, k: int) -> Inputs:
    vectors = {name: RNG.normal(size=(5, 3)) for name in "uv"}
    return {**vectors, "word": RNG.integers(0, 5, n), "context": RNG.integers(0, 5, n),
            "negative": RNG.integers(0, 5, (n, k))}  # fmt: skip


def ratings(u: Any, v: Any, start: Any, item: Any, rating: Any, lam: Any) -> Any:
    total = lam * ((u * u).sum() + (v * v).sum())
    for i in range(len(u)):
        for p in range(start[i], start[i + 1]):
            total = total + (u[i] @ v[item[p]] - rating[p]) ** 2
    return total


def ratings_inputs(start: list[int]) -> Inputs:
    n, count = len(start) - 1, start[-1]
    return {"u": RNG.normal(size=(n, 2)), "v": RNG.normal(size=(4, 2)), "start": np.array(start),
            "item": RNG.integers(0, 4, count), "rating": RNG.normal(size=count), "lam": 0.1}  # fmt: skip


def kalman(F: Any, H: Any, log_q: Any, log_r: Any, m: Any, P: Any, y: Any) -> Any:
    P = F @ P @ F.T + np.diag(np.exp(log_q))
    v = y - H @ (F @ m)
    S = H @ P @ H.T + np.diag(np.exp(log_r))
    new = F @ m + P @ H.T @ np.linalg.inv(S) @ v
    return (v @ np.linalg.inv(S) @ v + np.log(np.linalg.det(S)) + len(y) * np.log(2 * np.pi)) / 2 + new @ new


def kalman_inputs(s: int, o: int) -> Inputs:
    root = RNG.normal(size=(s, s))
    shapes = {"F": (s, s), "H": (o, s), "log_q": (s,), "log_r": (o,), "m": (s,), "y": (o,)}
    return {name: RNG.normal(size=shape) for name, shape in shapes.items()} | {"P": root @ root.T}


MULTINOMIAL = """
W: param[K, d]
b: param[K]
x: data[n, d]
t: index[n]
def z(i, k):
    return sum(W[k, j]*x[i, j] for j in range(d)) + b[k]
sum(logsumexp(z(i, k) for k in range(K)) - z(i, t[i]) for i in range(n))
"""
POISSON = """
w: param[d]
b: param
x: data[n, d]
y: data[n]
exposure: data[n]
eta = x @ w + b + log(exposure)
sum(exp(eta) - y*eta + lgamma(y + 1))
"""
WEIBULL = """
w: param[d]
log_k: param
x: data[n, d]
time: data[n]
event: data[n]
k, z = exp(log_k), x @ w
sum(time**k*exp(z) - event*(log_k + (k - 1)*log(time) + z))
"""
STUDENT = """
w: param[d]
log_s: param
log_nu: param
x: data[n, d]
y: data[n]
nu = exp(log_nu)
r = (y - x @ w)/exp(log_s)
-sum(lgamma((nu + 1)/2) - lgamma(nu/2) - log(nu*pi)/2 - log_s - (nu + 1)/2*log1p(r**2/nu))
"""
ORDINAL = """
w: param[d]
cuts: param[C]
x: data[n, d]
t: index[n]
def share(z, k):
    upper = sigmoid(cuts[k] - z) if k < C else 1.0
    lower = sigmoid(cuts[k - 1] - z) if k > 0 else 0.0
    return upper - lower
-sum(log(share(z, k)) for z, k in zip(x @ w, t))
"""
RATINGS = """
u: param[n, r]
v: param[m, r]
start: index[n + 1]
item: index[nnz]
rating: data[nnz]
lam: data = 0.1
loss = sum((u[i] @ v[item[p]] - rating[p])**2 for i in range(n) for p in range(start[i], start[i + 1]))
loss + lam*(sum(u**2) + sum(v**2))
"""
KALMAN = """
F: param[s, s]
H: param[o, s]
log_q: param[s]
log_r: param[o]
m: data[s]
P: data[s, s]
y: data[o]
Q = F @ P @ F.T + diag(exp(log_q))
v = y - H @ F @ m
S = H @ Q @ H.T + diag(exp(log_r))
new = F @ m + Q @ H.T @ solve(S, v)
(v @ solve(S, v) + logdet(S) + o*log(2*pi))/2 + sum(new**2)
"""
TIED = [3, 1, 3, 2, 1, 1, 5]
EVERY_TIME_THE_SAME = [2] * 4
MODELS = {
    "gmm": Model(
        example("gmm"),
        gmm,
        {"ordinary": gmm_inputs(7, 3, 4), "one row": gmm_inputs(1, 2, 3), "one": gmm_inputs(4, 1, 1)},
    ),
    "bundle": Model(
        example("bundle"),
        bundle,
        {
            "ordinary": bundle_inputs(9),
            "no rotation": bundle_inputs(9, angles=0.0),
            "1e-9": bundle_inputs(9, angles=1e-9),
            "1e-4": bundle_inputs(9, angles=1e-4),
            "one": bundle_inputs(1),
        },
    ),
    "multinomial": Model(
        MULTINOMIAL,
        multinomial,
        {
            "ordinary": multinomial_inputs(8, 4),
            "single class": multinomial_inputs(5, 1),
            "one": multinomial_inputs(1, 3),
        },
    ),
    "poisson": Model(
        POISSON,
        poisson,
        {
            name: regression(n, b=0.4, y=RNG.integers(0, 5, n) * 1.0, exposure=RNG.uniform(0.5, 2, n))
            for name, n in (("ordinary", 9), ("one", 1))
        },
    ),
    "cox": Model(
        example("cox"),
        cox,
        {
            "ordinary": cox_inputs(9, RNG.uniform(0, 1, 9)),
            "ties": cox_inputs(7, TIED),
            "all tied": cox_inputs(4, EVERY_TIME_THE_SAME),
            "one": cox_inputs(1, [2.0]) | {"event": np.ones(1)},
            "no event": cox_inputs(3, [1, 2, 3]) | {"event": np.zeros(3)},
        },
    ),
    "weibull": Model(
        WEIBULL,
        weibull,
        {
            name: regression(n, log_k=0.3, time=RNG.uniform(0.1, 3, n), event=RNG.integers(0, 2, n) * 1.0)
            for name, n in (("ordinary", 9), ("one", 1))
        },
    ),
    "student": Model(
        STUDENT,
        student,
        {
            name: regression(n, log_s=-0.4, log_nu=nu, y=RNG.normal(size=n))
            for name, n, nu in (("ordinary", 9, 0.8), ("one", 1, 0.0), ("nearly normal", 6, 9.0))
        },
    ),
    "ordinal": Model(
        ORDINAL,
        ordinal,
        {
            "ordinary": regression(9, cuts=np.array([-1.0, 0.2, 1.5]), t=RNG.integers(0, 4, 9)),
            "two classes": regression(3, cuts=np.array([0.3]), t=np.array([0, 1, 1])),
            "ends alone": regression(4, cuts=np.array([-1.0, 0.2, 1.5]), t=np.array([0, 3, 0, 3])),
        },
    ),
    "gp": Model(example("gp"), gp, {"ordinary": gp_inputs(6), "one": gp_inputs(1), "two": gp_inputs(2)}),
    "word2vec": Model(
        example("word2vec"),
        word2vec,
        {"ordinary": word2vec_inputs(7, 4), "one": word2vec_inputs(1, 1), "nothing drawn": word2vec_inputs(3, 0)},
    ),
    "ratings": Model(
        RATINGS,
        ratings,
        {
            "ordinary": ratings_inputs([0, 3, 5, 9]),
            "empty rows": ratings_inputs([0, 0, 2, 2, 2, 5, 5]),
            "no ratings": ratings_inputs([0, 0, 0]),
        },
    ),
    "kalman": Model(KALMAN, kalman, {"ordinary": kalman_inputs(3, 2), "one": kalman_inputs(1, 1)}),
}
