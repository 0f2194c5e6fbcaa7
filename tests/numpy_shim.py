"""The language run by CPython over NumPy: an oracle that shares nothing with the package.

A program's syntax tree is rewritten where Python's meaning differs from the language's (`a if c else b` and comparisons
work on arrays, lists are arrays, booleans count), and executed. Inputs may be complex: then the imaginary parts are a
tangent times a tiny step, and that of the result is its derivative (every function here is holomorphic where smooth,
and decides by real parts). At kinks the derivative is the one of the contract.
"""

from __future__ import annotations

import ast
import builtins
import math
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from types import CodeType
from typing import Any

import numpy as np
import shim_statements as statements
from scipy import special
from shim_statements import STEP


class UnknowableError(Exception):
    """An array of no elements, whose shape CPython cannot tell."""


def run(text: str, inputs: Mapping[str, Any], dims: Mapping[str, int], stops: list[Any] | None = None) -> Any:
    """The result of a program.

    `stops`, from an earlier run, holds the values of its `stop_gradient`s in order; an empty list is filled.
    """
    names: dict[str, Any] = {**FUNCTIONS, **dims}
    names |= {k: v.copy() if isinstance(v, np.ndarray) else _number(v) for k, v in inputs.items()}
    names["stop_gradient"] = _stopper([] if stops is None else stops)
    with np.errstate(all="ignore"):
        return statements.run(_body(text), names, _evaluated)


@lru_cache(10_000)
def _body(text: str) -> list[ast.stmt]:
    return [s for s in _Rewriter().visit(ast.parse(text)).body if not isinstance(s, ast.AnnAssign)]


def _evaluated(tree: ast.expr, names: dict[str, Any]) -> Any:
    return eval(_compiled(tree), names)


@lru_cache(10_000)
def _compiled(tree: ast.expr) -> CodeType:
    return compile(ast.fix_missing_locations(ast.Expression(tree)), "<program>", "eval")


def directional(text: str, inputs: Mapping[str, Any], dims: Mapping[str, int], tangents: Mapping[str, Any]) -> float:
    """The derivative of a scalar program along tangents, by a complex step."""
    stops: list[Any] = []
    run(text, inputs, dims, stops)
    moved = {k: v + 1j * STEP * tangents[k] if k in tangents else v for k, v in inputs.items()}
    result = run(text, moved, dims, stops)
    return float(np.imag(result) / STEP)


def _number(value: Any) -> Any:
    return np.asarray(value)[()]


def _stopper(stops: list[Any]) -> Callable[[Any], Any]:
    filling, position = not stops, [0]

    def stop(x: Any) -> Any:
        if filling:
            stops.append(x)
        position[0] += 1
        return stops[position[0] - 1]

    return stop


class _Rewriter(ast.NodeTransformer):
    """Operators that arrays lack, or that decide, become calls."""

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        return _call("choose_", node.test, _lazy(node.body), _lazy(node.orelse))

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        name = "and_" if isinstance(node.op, ast.And) else "or_"
        result = node.values[0]
        for other in node.values[1:]:
            result = _call(name, result, other)
        return result

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        return _call("not_", node.operand) if isinstance(node.op, ast.Not) else node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        result: ast.expr | None = None
        left = node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            step = _call("compare_", ast.Constant(type(op).__name__), left, right)
            result = step if result is None else _call("and_", result, step)
            left = right
        assert result is not None
        return result

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        assert isinstance(node.target, ast.Name)
        changed = ast.BinOp(ast.Name(node.target.id, ast.Load()), node.op, node.value)
        return self.visit(ast.Assign([node.target], changed))

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        name = {ast.Mod: "mod_", ast.FloorDiv: "floordiv_", ast.Pow: "power", ast.Div: "div_"}.get(type(node.op))
        return _call(name, node.left, node.right) if name else node

    def visit_List(self, node: ast.List) -> ast.AST:
        self.generic_visit(node)
        return _call("array_", node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """A list of arrays that are put together need not make an array itself."""
        if isinstance(node.func, ast.Name) and node.func.id in ("concatenate", "stack") and node.args:
            first = node.args[0]
            if isinstance(first, ast.List):
                node.args[0] = ast.Tuple(first.elts, ast.Load())
        self.generic_visit(node)
        return node

    def visit_ListComp(self, node: ast.ListComp) -> ast.AST:
        self.generic_visit(node)
        return _call("array_", node)


def _call(name: str, *args: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), list(args), [])


def _lazy(body: ast.expr) -> ast.Lambda:
    return ast.Lambda(ast.arguments([], [], None, [], [], None, []), body)


# what the rewritten tree calls


def _array(items: Iterable[Any]) -> Any:
    items = list(items)
    if not items:
        raise UnknowableError
    return np.array(items)


def _choose(condition: Any, body: Callable[[], Any], orelse: Callable[[], Any]) -> Any:
    if np.ndim(condition) == 0:
        taken, other = (body, orelse) if np.real(condition) else (orelse, body)
        value = taken()
        try:
            return np.broadcast_arrays(value, other())[0][()]
        except IndexError:  # a read that is only meant to happen in the other arm
            return value
    return np.where(np.real(condition) != 0, body(), orelse())


def _compare(name: str, a: Any, b: Any) -> Any:
    ufunc = {
        "Lt": np.less,
        "LtE": np.less_equal,
        "Gt": np.greater,
        "GtE": np.greater_equal,
        "Eq": np.equal,
        "NotEq": np.not_equal,
    }[name]
    return np.asarray(ufunc(np.real(a), np.real(b))).astype(np.int64)[()]


def _logical(ufunc: Any) -> Callable[..., Any]:
    return lambda *args: np.asarray(ufunc(*map(np.real, args))).astype(np.int64)[()]


def _mod(a: Any, b: Any) -> Any:
    if np.iscomplexobj(a) or np.iscomplexobj(b):
        return np.mod(np.real(a), np.real(b)) + 1j * (np.imag(a) - np.imag(b) * np.floor_divide(np.real(a), np.real(b)))
    return np.mod(a, b)


def _power(a: Any, b: Any) -> Any:
    if np.iscomplexobj(a) or np.iscomplexobj(b):
        a, b = np.broadcast_arrays(a, b)
        x, y, dx, dy = np.real(a), np.real(b), np.imag(a), np.imag(b)
        value = np.power(x.astype(float), y)
        by_base = np.where(dx == 0, 0.0, np.where(y == 0, 0.0, y * np.power(x.astype(float), y - 1)))
        by_exponent = np.where(dy == 0, 0.0, np.where((x == 0) & (y > 0), 0.0, value * np.log(x)))
        return value + 1j * (by_base * dx + by_exponent * dy)
    return np.power(np.asarray(a, float) if np.any(np.asarray(b) < 0) else a, b)


# elementwise functions, from a real function and its derivative where NumPy's complex one will not do


def _smooth(value: Callable[..., Any], *partials: Callable[..., Any] | float) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        args = tuple(np.asarray(a, float) if np.asarray(a).dtype.kind in "biu" else a for a in args)
        if not any(map(np.iscomplexobj, args)):
            return value(*args)
        points = [np.real(a) for a in args]
        slopes = [p(*points) if callable(p) else p for p in partials]
        moved = (np.where(np.imag(a) == 0, 0.0, s) * np.imag(a) for a, s in zip(args, slopes, strict=True))
        return value(*points) + 1j * builtins.sum(moved)

    return call


def _sigmoid(x: Any) -> Any:
    return special.expit(np.asarray(x, float))[()]


def _half(better: Any) -> Callable[..., Any]:
    return lambda a, b: np.where(better(a, b), 1.0, np.where(a == b, 0.5, 0.0))


def _leaky_relu(x: Any, slope: Any = 0.01) -> Any:
    return _smooth(
        lambda x, s: np.where(x >= 0, x, s * x),
        lambda x, s: np.where(x >= 0, 1.0, s),
        lambda x, s: np.where(x >= 0, 0.0, x),
    )(x, slope)


def _elu(x: Any, alpha: Any = 1.0) -> Any:
    return _smooth(
        lambda x, a: np.where(x > 0, x, a * np.expm1(x)),
        lambda x, a: np.where(x >= 0, 1.0, a * np.exp(x)),
        lambda x, a: np.where(x > 0, 0.0, np.expm1(x)),
    )(x, alpha)


def _gelu(x: Any) -> Any:
    phi = 1 / math.sqrt(2 * math.pi)
    return _smooth(lambda x: x * special.ndtr(x), lambda x: special.ndtr(x) + x * phi * np.exp(-x * x / 2))(x)


SIGMOID = _smooth(_sigmoid, lambda x: _sigmoid(x) * _sigmoid(-x))
LOG = _smooth(np.log, lambda x: 1 / x)
MAXIMUM = _smooth(np.maximum, _half(np.greater), lambda a, b: _half(np.greater)(b, a))
MINIMUM = _smooth(np.minimum, _half(np.less), lambda a, b: _half(np.less)(b, a))
ABS = _smooth(np.abs, np.sign)


def _huber(r: Any, delta: Any = 1.0) -> Any:
    return np.where(np.abs(np.real(r)) <= np.real(delta), r * r / 2, delta * (ABS(r) - delta / 2))[()]


def _bce(y: Any, t: Any) -> Any:
    return -(t * LOG(y) + (1 - t) * LOG(1 - y))


def _softplus(x: Any) -> Any:
    return _smooth(lambda x: np.logaddexp(0.0, x), _sigmoid)(x)


# reductions: of an array along an axis, or of a comprehension


def _reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    """Of an array along one axis, of several made one, or of a comprehension."""

    def call(x: Any, axis: Any = None, keepdims: bool = False, **settings: Any) -> Any:
        if isinstance(x, Iterable) and not isinstance(x, np.ndarray):
            x, axis = _array(x), 0
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


EXP = _smooth(np.exp, np.exp)
SQRT = _smooth(np.sqrt, lambda x: 0.5 / np.sqrt(x))


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


def _where(c: Any, a: Any, b: Any) -> Any:
    return np.where(np.real(c) != 0, a, b)[()]


def _range(*bounds: Any) -> list[Any]:
    return [np.int64(k) for k in builtins.range(*map(int, bounds))]


def _enumerate(items: Iterable[Any]) -> list[Any]:
    return [(np.int64(k), item) for k, item in builtins.enumerate(items)]


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


def _flat(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Zero derivative everywhere."""
    return lambda x: function(np.real(x))


def _clip(x: Any, lo: Any = None, hi: Any = None) -> Any:
    x = x if lo is None else MAXIMUM(x, lo)
    return x if hi is None else MINIMUM(x, hi)


def _truncated(x: Any) -> Any:
    return np.trunc(np.real(x)).astype(np.int64)[()]


def _one_hot(labels: Any, classes: int) -> Any:
    return np.equal.outer(labels, np.arange(classes)) * 1.0


def _linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True) -> Any:
    t = np.linspace(0.0, 1.0, num, endpoint)
    return start * (1 - t) + stop * t


TWO_BY_ROOT_PI = 2 / math.sqrt(math.pi)


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
FUNCTIONS: dict[str, Any] = {
    "solve": _solve,
    "inv": lambda a: _solve(a, np.broadcast_to(np.eye(a.shape[-1]), a.shape)),
    "det": np.linalg.det,
    "logdet": _logdet,
    "cholesky": _cholesky,
    "array_": _array,
    "choose_": _choose,
    "compare_": _compare,
    "and_": _logical(np.logical_and),
    "or_": _logical(np.logical_or),
    "not_": _logical(np.logical_not),
    "mod_": _mod,
    "floordiv_": lambda a, b: np.floor_divide(np.real(a), np.real(b)),
    "div_": lambda a, b: np.true_divide(a, b),
    "power": _power,
    "pow": _power,
    "pi": math.pi,
    "e": math.e,
    "inf": math.inf,
    "range": _range,
    "enumerate": _enumerate,
    "zip": builtins.zip,
    "len": builtins.len,
    "float": lambda x: x * 1.0,
    "abs": ABS,
    "sign": _flat(np.sign),
    "floor": _flat(np.floor),
    "ceil": _flat(np.ceil),
    "round": _flat(np.rint),
    "step": _flat(lambda x: np.where(x >= 0, 1.0, np.where(np.isnan(x), np.nan, 0.0))[()]),
    "exp": EXP,
    "exp2": _smooth(np.exp2, lambda x: np.exp2(x) * math.log(2)),
    "expm1": _smooth(np.expm1, np.exp),
    "log": LOG,
    "log2": _smooth(np.log2, lambda x: 1 / x / math.log(2)),
    "log10": _smooth(np.log10, lambda x: 1 / x / math.log(10)),
    "log1p": _smooth(np.log1p, lambda x: 1 / (1 + x)),
    "sqrt": SQRT,
    "cbrt": _smooth(np.cbrt, lambda x: 1 / (3 * np.cbrt(x) ** 2)),
    "sin": _smooth(np.sin, np.cos),
    "cos": _smooth(np.cos, lambda x: -np.sin(x)),
    "tan": _smooth(np.tan, lambda x: 1 / np.cos(x) ** 2),
    "arcsin": _smooth(np.arcsin, lambda x: 1 / np.sqrt(1 - x * x)),
    "arccos": _smooth(np.arccos, lambda x: -1 / np.sqrt(1 - x * x)),
    "arctan": _smooth(np.arctan, lambda x: 1 / (1 + x * x)),
    "arctan2": _smooth(np.arctan2, lambda a, b: b / (a * a + b * b), lambda a, b: -a / (a * a + b * b)),
    "sinh": _smooth(np.sinh, np.cosh),
    "cosh": _smooth(np.cosh, np.sinh),
    "tanh": _smooth(np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "arcsinh": _smooth(np.arcsinh, lambda x: 1 / np.sqrt(1 + x * x)),
    "arccosh": _smooth(np.arccosh, lambda x: 1 / np.sqrt(x * x - 1)),
    "arctanh": _smooth(np.arctanh, lambda x: 1 / (1 - x * x)),
    "hypot": _smooth(np.hypot, lambda a, b: a / np.hypot(a, b), lambda a, b: b / np.hypot(a, b)),
    "square": lambda x: x * x,
    "reciprocal": lambda x: 1.0 / x,
    "erf": _smooth(special.erf, lambda x: TWO_BY_ROOT_PI * np.exp(-x * x)),
    "erfc": _smooth(special.erfc, lambda x: -TWO_BY_ROOT_PI * np.exp(-x * x)),
    "lgamma": _smooth(special.gammaln, special.digamma),
    "digamma": _smooth(special.digamma, lambda x: special.polygamma(1, x)),
    "maximum": MAXIMUM,
    "minimum": MINIMUM,
    "clip": _clip,
    "where": _where,
    "sigmoid": SIGMOID,
    "log_sigmoid": lambda x: -_softplus(-x),
    "relu": _smooth(lambda x: np.maximum(x, 0.0), lambda x: np.where(x > 0, 1.0, 0.0)),
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "softplus": _softplus,
    "gelu": _gelu,
    "silu": lambda x: x * SIGMOID(x),
    "softmax": lambda x, axis=-1: EXP(_log_softmax(x, axis)),
    "log_softmax": _log_softmax,
    "squared_error": lambda y, t: (y - t) * (y - t),
    "bce": _bce,
    "bce_with_logits": lambda z, t: t * _softplus(-z) + (1 - t) * _softplus(z),
    "hinge": lambda y, t: MAXIMUM(0, 1 - t * y),
    "zero_one": lambda y, t: np.where(np.real(y * t) <= 0, 1.0, 0.0)[()],
    "huber": _huber,
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
    "grad": statements.Derivative,
    "int": _truncated,
}
