"""The models as their authors would write them with NumPy and SciPy."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import expit, gammaln, log_expit, logsumexp

from gradc import data, index, param

# ruff: noqa: F821, B905, RET505

TINY = 1e-16


def gmm(alpha: param["K"], mu: param["K", "d"], q: param["K", "d"], L: param["K", "d", "d"], x: data["n", "d"]):
    n, d = x.shape
    Q = np.tril(L, -1) + np.exp(q)[:, :, None] * np.eye(d)
    y = np.einsum("kij,nkj->nki", Q, x[:, None, :] - mu)
    r = alpha + np.sum(q, axis=1) - 0.5 * np.sum(y**2, axis=-1)
    return n * logsumexp(alpha) - np.sum(logsumexp(r, axis=1))


def rotated(w, x):
    theta2 = np.dot(w, w)
    if theta2 > TINY:
        theta = np.sqrt(theta2)
        axis = w / theta
        c, s = np.cos(theta), np.sin(theta)
        return c * x + s * np.cross(axis, x) + (1 - c) * (axis @ x) * axis
    else:
        return x + np.cross(w, x)


def projected(camera, x):
    px, py, pz = rotated(camera[0:3], x) + camera[3:6]
    f, k1, k2 = camera[6:]
    u = np.array([-px / pz, -py / pz])
    r2 = np.sum(u**2)
    return f * (1 + r2 * (k1 + k2 * r2)) * u


def bundle(camera: param["C", 9], point: param["P", 3], cam: index["n"], pt: index["n"], seen: data["n", 2]):
    return 0.5 * sum(np.sum((projected(camera[c], point[p]) - s) ** 2) for c, p, s in zip(cam, pt, seen))


def multinomial(W: param["K", "d"], b: param["K"], x: data["n", "d"], t: index["n"]):
    z = x @ W.T + b
    return np.sum(np.log(np.sum(np.exp(z), axis=1)) - z[np.arange(len(x)), t])


def poisson(w: param["d"], b: param, x: data["n", "d"], y: data["n"], exposure: data["n"]):
    rate = exposure * np.exp(x @ w + b)
    return np.sum(rate - y * np.log(rate) + gammaln(y + 1))


def cox(w: param["d"], x: data["n", "d"], time: data["n"], event: data["n"]):
    z = x @ w
    at_risk = time[None, :] >= time[:, None]
    log_risk = np.log(np.sum(np.where(at_risk, np.exp(z), 0.0), axis=1))
    return -event @ (z - log_risk)


def weibull(w: param["d"], log_k: param, x: data["n", "d"], time: data["n"], event: data["n"]):
    k = math.exp(log_k)
    log_hazard = log_k + (k - 1) * np.log(time) + x @ w
    return -np.sum(event * log_hazard - time**k * np.exp(x @ w))


def student(w: param["d"], log_s: param, log_nu: param, x: data["n", "d"], y: data["n"]):
    nu, s = np.exp(log_nu), np.exp(log_s)
    r = (y - x @ w) / s
    constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - np.log(np.sqrt(nu * np.pi) * s)
    return np.sum((nu + 1) / 2 * np.log(1 + r**2 / nu)) - len(y) * constant


def ordinal(w: param["d"], cuts: param["C"], x: data["n", "d"], t: index["n"]):
    z = x @ w
    padded = np.concatenate([[-np.inf], cuts, [np.inf]])
    return -np.sum(np.log(expit(padded[t + 1] - z) - expit(padded[t] - z)))


def gp(log_scale: param, log_length: param, log_noise: param, x: data["n", "d"], y: data["n"]):
    n = x.shape[0]
    distance2 = np.sum((x[:, None] - x[None, :]) ** 2, axis=-1)
    K = np.exp(2 * log_scale) * np.exp(-distance2 / (2 * np.exp(2 * log_length))) + np.exp(2 * log_noise) * np.eye(n)
    L = np.linalg.cholesky(K)
    alpha = np.linalg.solve(L.T, np.linalg.solve(L, y))
    return 0.5 * y @ alpha + np.sum(np.log(np.diagonal(L))) + 0.5 * n * np.log(2 * np.pi)


def word2vec(u: param["V", "d"], v: param["V", "d"], word: index["n"], context: index["n"], negative: index["n", "k"]):
    good = np.sum(u[word] * v[context], axis=-1)
    bad = np.einsum("nd,nkd->nk", u[word], v[negative])
    return -np.mean(log_expit(good) + np.sum(log_expit(-bad), axis=1))


def ratings(
    u: param["n", "r"], v: param["m", "r"], start: index["n + 1"], item: index["nnz"], rating: data["nnz"],
    lam: data = 0.1,
):  # fmt: skip
    def row(i):
        items = item[start[i] : start[i + 1]]
        return np.sum((v[items] @ u[i] - rating[start[i] : start[i + 1]]) ** 2)

    return sum(row(i) for i in range(len(u))) + lam * (np.linalg.norm(u) ** 2 + np.linalg.norm(v) ** 2)


def kalman(
    F: param["s", "s"], H: param["o", "s"], log_q: param["s"], log_r: param["o"], m: data["s"], P: data["s", "s"],
    y: data["o"],
):  # fmt: skip
    m = F @ m
    P = F @ P @ F.T + np.diag(np.exp(log_q))
    v = y - H @ m
    S = H @ P @ H.T + np.diag(np.exp(log_r))
    K = P @ H.T @ np.linalg.inv(S)
    m = m + K @ v
    return 0.5 * (v @ np.linalg.solve(S, v) + np.log(np.linalg.det(S)) + len(y) * np.log(2 * np.pi)) + m @ m


FUNCTIONS: dict[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (gmm, bundle, multinomial, poisson, cox, weibull, student, ordinal, gp, word2vec, ratings, kalman)
}
