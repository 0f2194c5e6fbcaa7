"""The models as SymPy expressions, each with what to differentiate by."""

from __future__ import annotations

from typing import Any

from sympy import (
    Determinant,
    DiagMatrix,
    FunctionMatrix,
    Heaviside,
    Identity,
    IndexedBase,
    Lambda,
    MatrixSymbol,
    Piecewise,
    Sum,
    Symbol,
    Trace,
    cos,
    exp,
    log,
    loggamma,
    pi,
    sin,
    sqrt,
    symbols,
)

n, d, K, C, P, V, k, r, m, s, o = symbols("n d K C P V k r m s o", integer=True, positive=True)
i, j, j2, p = symbols("i j j2 p", integer=True)
rows = (i, 0, n - 1)
x, w = IndexedBase("x", shape=(n, d)), IndexedBase("w", shape=(d,))
linear = Sum(x[i, j] * w[j], (j, 0, d - 1))


def data(*names: str) -> list[IndexedBase]:
    return [IndexedBase(name, shape=(n,)) for name in names]


def gmm() -> Any:
    alpha, mu = IndexedBase("alpha", shape=(K,)), IndexedBase("mu", shape=(K, d))
    q, L = IndexedBase("q", shape=(K, d)), IndexedBase("L", shape=(K, d, d))
    classes = (k, 0, K - 1)
    y = exp(q[k, j]) * (x[i, j] - mu[k, j]) + Sum(L[k, j, j2] * (x[i, j2] - mu[k, j2]), (j2, 0, j - 1))
    score = alpha[k] + Sum(q[k, j], (j, 0, d - 1)) - Sum(y**2, (j, 0, d - 1)) / 2
    return n * log(Sum(exp(alpha[k]), classes)) - Sum(log(Sum(exp(score), classes)), rows), [alpha, mu, q, L]


def bundle() -> Any:
    camera, point = IndexedBase("camera", shape=(C, 9)), IndexedBase("point", shape=(P, 3))
    cam, pt = (IndexedBase(name, shape=(n,), integer=True) for name in ("cam", "pt"))
    seen = IndexedBase("seen", shape=(n, 2))
    c = [camera[cam[i], a] for a in range(9)]
    X = [point[pt[i], a] for a in range(3)]
    theta2 = c[0] ** 2 + c[1] ** 2 + c[2] ** 2
    theta = sqrt(theta2)

    def cross(a: Any, b: Any) -> Any:
        return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]

    axis = [a / theta for a in c[:3]]
    along = sum(a * b for a, b in zip(axis, X, strict=True))
    turned, small = cross(axis, X), cross(c[:3], X)
    point_seen = [
        Piecewise((X[a] * cos(theta) + turned[a] * sin(theta) + axis[a] * along * (1 - cos(theta)), theta2 > 1e-16),
                  (X[a] + small[a], True)) + c[3 + a]
        for a in range(3)
    ]  # fmt: skip
    u = [-point_seen[0] / point_seen[2], -point_seen[1] / point_seen[2]]
    r2 = u[0] ** 2 + u[1] ** 2
    radial = c[6] * (1 + c[7] * r2 + c[8] * r2**2)
    return Sum(sum((radial * u[a] - seen[i, a]) ** 2 for a in range(2)), rows) / 2, [camera, point]


def multinomial() -> Any:
    W, b = IndexedBase("W", shape=(K, d)), IndexedBase("b", shape=(K,))
    t = IndexedBase("t", shape=(n,), integer=True)

    def z(of: Any) -> Any:
        return Sum(W[of, j] * x[i, j], (j, 0, d - 1)) + b[of]

    return Sum(log(Sum(exp(z(k)), (k, 0, K - 1))) - z(t[i]), rows), [W, b]


def poisson() -> Any:
    y, exposure = data("y", "exposure")
    b = Symbol("b")
    rate = exposure[i] * exp(linear + b)
    return Sum(rate - y[i] * log(rate) + loggamma(y[i] + 1), rows), [w, b]


def cox() -> Any:
    time, event = data("time", "event")
    others = exp(Sum(x[p, j] * w[j], (j, 0, d - 1)))
    risk = Sum(Heaviside(time[p] - time[i], 1) * others, (p, 0, n - 1))
    return -Sum(event[i] * (linear - log(risk)), rows), [w]


def weibull() -> Any:
    time, event = data("time", "event")
    log_k = Symbol("log_k")
    shape = exp(log_k)
    log_hazard = log_k + (shape - 1) * log(time[i]) + linear
    return Sum(time[i] ** shape * exp(linear) - event[i] * log_hazard, rows), [w, log_k]


def student() -> Any:
    (y,) = data("y")
    log_s, log_nu = symbols("log_s log_nu")
    nu = exp(log_nu)
    residual = (y[i] - linear) / exp(log_s)
    density = loggamma((nu + 1) / 2) - loggamma(nu / 2) - log(nu * pi) / 2 - log_s
    return -Sum(density - (nu + 1) / 2 * log(1 + residual**2 / nu), rows), [w, log_s, log_nu]


def ordinal() -> Any:
    cuts = IndexedBase("cuts", shape=(C,))
    t = IndexedBase("t", shape=(n,), integer=True)

    def below(at: Any) -> Any:
        return 1 / (1 + exp(linear - cuts[at]))

    upper = Piecewise((below(t[i]), t[i] < C), (1, True))
    lower = Piecewise((below(t[i] - 1), t[i] > 0), (0, True))
    return -Sum(log(upper - lower), rows), [w, cuts]


def gp() -> Any:
    log_scale, log_length, log_noise = symbols("log_scale log_length log_noise")
    y = MatrixSymbol("y", n, 1)
    distance2 = Sum((x[i, p] - x[j, p]) ** 2, (p, 0, d - 1))
    kernel = Lambda((i, j), exp(2 * log_scale) * exp(-distance2 / (2 * exp(2 * log_length))))
    covariance = FunctionMatrix(n, n, kernel) + exp(2 * log_noise) * Identity(n)
    fit = Trace(y.T * covariance.inv() * y)
    return (fit + log(Determinant(2 * pi * covariance))) / 2, [log_scale, log_length, log_noise]


def kalman() -> Any:
    """One step: the number of steps is the number of matrices written down."""
    F, H, P0 = MatrixSymbol("F", s, s), MatrixSymbol("H", o, s), MatrixSymbol("P", s, s)
    m0, y = MatrixSymbol("m", s, 1), MatrixSymbol("y", o, 1)
    log_q, log_r = MatrixSymbol("log_q", s, 1), MatrixSymbol("log_r", o, 1)
    ahead = F * P0 * F.T + DiagMatrix(log_q.applyfunc(exp))
    v = y - H * F * m0
    S = H * ahead * H.T + DiagMatrix(log_r.applyfunc(exp))
    new = F * m0 + ahead * H.T * S.inv() * v
    fit = Trace(v.T * S.inv() * v) + log(Determinant(S)) + o * log(2 * pi)
    return fit / 2 + Trace(new.T * new), [F, H, log_q, log_r]


def word2vec() -> Any:
    u, v = IndexedBase("u", shape=(V, d)), IndexedBase("v", shape=(V, d))
    word, context = (IndexedBase(name, shape=(n,), integer=True) for name in ("word", "context"))
    negative = IndexedBase("negative", shape=(n, k), integer=True)

    def score(a: Any, b: Any) -> Any:
        return Sum(u[a, j] * v[b, j], (j, 0, d - 1))

    bad = Sum(log(1 + exp(score(word[i], negative[i, j2]))), (j2, 0, k - 1))
    return Sum(log(1 + exp(-score(word[i], context[i]))) + bad, rows) / n, [u, v]


def ratings() -> Any:
    u, v = IndexedBase("u", shape=(n, r)), IndexedBase("v", shape=(m, r))
    nnz, lam = Symbol("nnz", integer=True), Symbol("lam")
    start, item = IndexedBase("start", shape=(n + 1,), integer=True), IndexedBase("item", shape=(nnz,), integer=True)
    rating = IndexedBase("rating", shape=(nnz,))
    guess = Sum(u[i, j] * v[item[p], j], (j, 0, r - 1))
    squares = Sum(u[i, j] ** 2, (j, 0, r - 1), rows) + Sum(v[i, j] ** 2, (j, 0, r - 1), (i, 0, m - 1))
    return Sum((guess - rating[p]) ** 2, (p, start[i], start[i + 1] - 1), rows) + lam * squares, [u, v]


EXPRESSIONS: dict[str, tuple[Any, list[Any]]] = {
    f.__name__: f()
    for f in (gmm, bundle, multinomial, poisson, cox, weibull, student, ordinal, gp, word2vec, ratings, kalman)
}
