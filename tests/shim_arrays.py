"""Functions of whole arrays over NumPy for `numpy_shim`: reductions, also of comprehensions, costs, linear algebra."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from shim_operators import array
from shim_scalars import ABS, EXP, LOG, MAXIMUM, MINIMUM, SQRT


def _reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    """Of an array along one axis, of several made one, or of a comprehension."""

    def call(x: Any, axis: Any = None, keepdims: bool = False, **settings: Any) -> Any:
        if isinstance(x, Iterable) and not isinstance(x, np.ndarray):
            x, axis = array(x), 0
        x = np.asarray(x)
        named = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        axes = tuple(a % x.ndim for a in named)
        together = np.moveaxis(x, axes, range(x.ndim - len(axes), x.ndim))
        lengths = together.shape[: x.ndim - len(axes)]
        result = function(together.reshape(*lengths, math.prod(x.shape[a] for a in axes)), len(lengths), **settings)
        return np.expand_dims(result, axes) if keepdims else np.asarray(result)[()]

    return call


def _extreme(pick: Callable[..., Any]) -> Callable[..., Any]:
    def call(x: Any, axis: int) -> Any:
        best = pick(np.real(x), axis=axis, keepdims=True)
        if not np.iscomplexobj(x):
            return np.squeeze(best, axis)
        hits = np.real(x) == best
        return np.squeeze(best, axis) + 1j * np.sum(np.where(hits, np.imag(x), 0.0), axis) / np.sum(hits, axis)

    return call


def _mean(x: Any, axis: int) -> Any:
    return np.true_divide(np.sum(x, axis=axis), x.shape[axis])


def _var(x: Any, axis: int, ddof: int = 0) -> Any:
    r = x - np.expand_dims(_mean(x, axis), axis)
    return np.true_divide(np.sum(r * r, axis=axis), x.shape[axis] - ddof)


def _norm(x: Any, axis: int, ord: Any = None) -> Any:
    if ord == 1:
        return np.sum(ABS(x), axis=axis)
    if ord == math.inf:
        return _extreme(np.max)(ABS(x), axis)
    square = np.sum(x * x, axis=axis)
    return np.where(np.real(square) == 0, 0.0, SQRT(square))


def _logsumexp(x: Any, axis: int) -> Any:
    x = x * 1.0
    top = np.max(np.real(x), axis=axis, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0.0)
    return np.squeeze(top, axis) + LOG(np.sum(EXP(x - top), axis=axis))


def _arg(pick: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, axis: pick(np.real(x), axis=axis)


def _total(x: Any, axis: int) -> Any:
    return np.sum(x, axis=axis)


def _cumsum(x: Any, axis: int | None = None) -> Any:
    return np.cumsum(x, axis=axis)


def _log_softmax(x: Any, axis: int = -1) -> Any:
    x = np.asarray(x)
    return x - np.expand_dims(_logsumexp(x, axis % x.ndim), axis)


def _cross_entropy(p: Any, labels: Any) -> Any:
    return _picked(-LOG(p), labels)


def _cross_entropy_with_logits(z: Any, labels: Any) -> Any:
    return _picked(-_log_softmax(z), labels)


def _picked(loss: Any, labels: Any) -> Any:
    labels = np.asarray(labels)
    if labels.dtype.kind == "i":
        rows = np.broadcast_shapes(labels.shape, loss.shape[:-1])
        labels, loss = np.broadcast_to(labels, rows), np.broadcast_to(loss, (*rows, loss.shape[-1]))
        return np.take_along_axis(loss, labels[..., None], axis=-1)[..., 0][()]
    return np.sum(labels * loss, axis=-1)


def _several(pick: Callable[..., Any], reduce: Callable[..., Any]) -> Callable[..., Any]:
    """Python's max and min: of one array or comprehension, or of several values."""

    def call(*args: Any, **keywords: Any) -> Any:
        if len(args) == 1:
            return reduce(*args, **keywords)
        result = args[0]
        for other in args[1:]:
            result = pick(result, other)
        return result

    return call


def _one_hot(labels: Any, classes: int) -> Any:
    return np.equal.outer(labels, np.arange(classes)) * 1.0


def _linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True) -> Any:
    t = np.linspace(0.0, 1.0, num, endpoint)
    return start * (1 - t) + stop * t


def _solve(a: Any, b: Any) -> Any:
    try:
        return np.linalg.solve(a, b)
    except np.linalg.LinAlgError:
        return np.full(b.shape, np.nan)


def _logdet(a: Any) -> Any:
    det = np.linalg.det(a)
    logarithm = np.where(np.real(det) < 0, np.nan, np.log(det + 0j))[()]
    return logarithm if np.iscomplexobj(a) else np.real(logarithm)


def _cholesky(a: Any) -> Any:
    """Column by column, so that complex numbers are no different from real ones."""
    a = (a + np.swapaxes(a, -1, -2)) / 2
    factor = np.zeros(a.shape, complex)
    for k in range(a.shape[-1]):
        row = factor[..., k, :k]
        column = a[..., k:, k] - (factor[..., k:, :k] @ row[..., None])[..., 0]
        factor[..., k:, k] = column / np.sqrt(column[..., :1])
    real = np.isrealobj(a)
    bad = ~(np.real(np.einsum("...ii->...i", factor)) > 0).all(-1)
    factor[bad] = np.nan
    return factor.real if real else factor


NORM = _reduction(_norm)
ARRAYS: dict[str, Any] = {
    "solve": _solve,
    "inv": lambda a: _solve(a, np.broadcast_to(np.eye(a.shape[-1]), a.shape)),
    "det": np.linalg.det,
    "logdet": _logdet,
    "cholesky": _cholesky,
    "softmax": lambda x, axis=-1: EXP(_log_softmax(x, axis)),
    "log_softmax": _log_softmax,
    "cross_entropy": _cross_entropy,
    "cross_entropy_with_logits": _cross_entropy_with_logits,
    "sum": _reduction(_total),
    "mean": _reduction(_mean),
    "prod": _reduction(lambda x, axis: np.prod(x, axis=axis)),
    "any": _reduction(lambda x, axis: np.any(np.real(x) != 0, axis=axis).astype(np.int64)),
    "all": _reduction(lambda x, axis: np.all(np.real(x) != 0, axis=axis).astype(np.int64)),
    "var": _reduction(_var),
    "std": _reduction(lambda x, axis, ddof=0: SQRT(_var(x, axis, ddof))),
    "norm": lambda x, ord=None, axis=None, keepdims=False: NORM(x, axis, keepdims, ord=ord),
    "logsumexp": _reduction(_logsumexp),
    "argmax": _reduction(_arg(np.argmax)),
    "argmin": _reduction(_arg(np.argmin)),
    "max": _several(MAXIMUM, _reduction(_extreme(np.max))),
    "min": _several(MINIMUM, _reduction(_extreme(np.min))),
    "cumsum": _cumsum,
    "dot": np.dot,
    "matmul": np.matmul,
    "outer": np.outer,
    "transpose": np.transpose,
    "einsum": np.einsum,
    "trace": np.trace,
    "cross": np.cross,
    "diagonal": np.diagonal,
    "diag": np.diag,
    "tril": np.tril,
    "triu": np.triu,
    "reshape": np.reshape,
    "ravel": np.ravel,
    "concatenate": np.concatenate,
    "stack": np.stack,
    "array": np.array,
    "asarray": np.asarray,
    "zeros": np.zeros,
    "ones": np.ones,
    "full": np.full,
    "eye": np.eye,
    "arange": np.arange,
    "linspace": _linspace,
    "one_hot": _one_hot,
}
