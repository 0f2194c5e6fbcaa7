"""Losses as people spell them, and what they are to 300 digits more than they need.

The oracle is the text itself, run by Python over mpmath's numbers: with so many digits nothing overflows or cancels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mpmath
import numpy as np

DIGITS = (700, 4900)
"""Enough for what is not below the normal numbers; and for `1 - sigmoid(z)`, which cancels 4343 digits of 1."""
CANCELLING = ("1 - ", "log1p(-", "bce", "tanh", "t*z", "1/4 - ", "sigmoid(a)")
STEP = mpmath.mpf(10) ** -330
SMALLEST = 2.3e-308
"""Below the normal numbers there are not the digits for a relative error."""

ONE = (
    "log(sigmoid(z))",
    "-log(1/(1 + exp(-z)))",
    "log(1 - sigmoid(z))",
    "log(1 - 1/(1 + exp(-z)))",
    "log1p(-sigmoid(z))",
    "log1p(exp(z))",
    "log(1 + exp(z))",
    "log(exp(z) + 1)",
    "log(1 + exp(-z))",
    "-log1p(exp(-z))",
    "log(exp(z)/(1 + exp(z)))",
    "log(exp(z)/(exp(z) + 1))",
    "log(1/(exp(-z) + 1))",
    "1 - 1/(1 + exp(-z))",
    "1/(1 + exp(z))",
    "1/(1 + exp(-z))",
    "exp(z)/(1 + exp(z))",
    "exp(-z)/(1 + exp(-z))",
    "exp(-z)/(1 + exp(-z))**2",
    "sigmoid(z)*(1 - sigmoid(z))",
    "z/(1 + exp(-z))",
    "(exp(z) - exp(-z))/(exp(z) + exp(-z))",
    "(exp(2*z) - 1)/(exp(2*z) + 1)",
    "(1 - exp(-2*z))/(1 + exp(-2*z))",
    "sinh(z)/cosh(z)",
    "(1 + tanh(z))/2",
    "log((1 + tanh(z))/2)",
    "log(1 - tanh(z))",
    "log(2*cosh(z))",
    "log(cosh(z))",
    "log((exp(z) + exp(-z))/2)",
    "log(exp(z) + exp(-z))",
    "log(exp(z) + exp(2*z) + 1)",
    "log(2 + exp(z))",
    "log(0.5*exp(z) + 0.5*exp(-z))",
    "log(0.3*exp(z) + 0.9*exp(2*z))",
    "log(sqrt(sigmoid(z)))",
    "log(sigmoid(z)**2)",
    "log(sigmoid(z)*exp(z))",
    "log(sigmoid(z)*sigmoid(-z))",
    "log(1 + exp(z)) - z",
    "log(exp(z) + exp(3)) - z",
    "softplus(z) - z",
    "log(exp(z)) + 0*z",
    "exp(z - 5)/exp(3 - z)",
    "log(sigmoid(z) if z > 0 else exp(z)/(1 + exp(z)))",
    "1/(exp(z) + exp(-z))",
    "log(exp(3*z)/(exp(z) + exp(2*z) + exp(3*z)))",
    "2/(1 + exp(-2*z)) - 1",
    "1 - 2*sigmoid(z)",
    "sigmoid(z) - 1/2",
    "sigmoid(z)*sigmoid(-z)",
    "sigmoid(z) - sigmoid(z)**2",
    "3*sigmoid(z)*z*(1 - sigmoid(z))",
    "1/4 - sigmoid(z)*(1 - sigmoid(z))",
    "1 - tanh(z)**2",
    "(1 - tanh(z))*(1 + tanh(z))",
    "-log(1 - tanh(z)**2)",
    "1/cosh(z)**2",
    "z/cosh(z)",
    "tanh(z/2)/2 + 0.5",
    "log(0.5 - 0.5*tanh(z/2))",
    "log(sigmoid(z)/(1 - sigmoid(z)))",
    "exp(z) - exp(-z)",
    "cosh(z) - 1",
    "logaddexp(z, -z)",
    "log(sqrt(exp(z)) + 1)",
    "log(exp(z)**0.3 + exp(2*z))",
)
"""Functions of one number."""

POSITIVE = (
    "log(1 - exp(-z))",
    "log1p(-exp(-z))",
    "log(expm1(z))",
    "log(exp(z) - 1)",
    "log(-expm1(-z))",
    "log(exp(z) - exp(-z))",
    "log(sinh(z))",
    "log(exp(2*z) - exp(z))",
)
"""Functions of one positive number."""

TARGETS = (
    "bce(sigmoid(z), t)",
    "bce(1/(1 + exp(-z)), t)",
    "bce(exp(z)/(1 + exp(z)), t)",
    "bce(1 - 1/(1 + exp(z)), t)",
    "bce_with_logits(z, t)",
    "-(t*log(sigmoid(z)) + (1 - t)*log(1 - sigmoid(z)))",
    "-t*log(1/(1 + exp(-z))) - (1 - t)*log(1 - 1/(1 + exp(-z)))",
    "y = 1/(1 + exp(-z))\n-(t*log(y) + (1 - t)*log(1 - y))",
    "y = exp(z)/(exp(z) + 1)\n-(t*log(y) + (1 - t)*log(1 - y))",
    "y = 1 - 1/(1 + exp(z))\nt*log(y) + (1 - t)*log1p(-y)",
    "y = (1 + tanh(z/2))/2\nt*log(y) + (1 - t)*log(1 - y)",
    "log(1 + exp(z)) - t*z",
    "t*z - log1p(exp(z))",
    "log(1 + exp(-z)) + (1 - t)*z",
    "log(sigmoid(z) if t == 1 else 1 - sigmoid(z))",
    "-log(sigmoid((2*t - 1)*z))",
    "log(1 + exp(-(2*t - 1)*z))",
    "log(t*sigmoid(z) + (1 - t)*(1 - sigmoid(z)))",
    "log(t*exp(z)/(1 + exp(z)) + (1 - t)/(1 + exp(z)))",
    "log(sigmoid(z)**t*(1 - sigmoid(z))**(1 - t))",
)
"""Functions of a number and a target, which is 0 or 1."""

PAIRS = (
    "log(exp(a) + exp(b))",
    "log(exp(a) + exp(b) + 1)",
    "log(exp(a) + exp(b) + exp(a/2))",
    "log(exp(a)/(exp(a) + exp(b)))",
    "log(exp(a)/(exp(a) + exp(b) + 1))",
    "log(exp(a) + exp(b)) - a",
    "a - log(exp(a) + exp(b))",
    "exp(a)/(exp(a) + exp(b))",
    "1 - exp(a)/(exp(a) + exp(b))",
    "log(0.25*exp(a) + 0.75*exp(b))",
    "log(w*exp(a) + (1 - w)*exp(b))",
    "log(w*exp(a) + v*exp(b))",
    "(exp(a) - exp(b))/(exp(a) + exp(b))",
    "log(exp(a)*(1 + exp(b)))",
    "log((1 + exp(a))*(1 + exp(b)))",
    "log((1 + exp(a))/(1 + exp(b)))",
    "log(w*exp(a)/(w*exp(a) + v*exp(b)))",
    "log(w*exp(a)/(w*exp(a) + (1 - w)*exp(b)))",
    "log(w/(w + v*exp(b))) + a",
    "log((exp(-a) + w)/(exp(-b) + 2*exp(a/2)))",
    "log(w*exp(a)/(w*exp(a) + v*exp(b) + exp(a/2)))",
    "log(w*sigmoid(a) + (1 - w)*sigmoid(b))",
    "log(w*sigmoid(a) + v*exp(b))",
    "log(sigmoid(a)*(1 - sigmoid(b)) + (1 - sigmoid(a))*sigmoid(b))",
    "log(sigmoid(a + 2) - sigmoid(a)) + b",
)
"""Functions of two numbers, and weights w and v."""

ROWS = (
    "log(sum(exp(x)))",
    "log(mean(exp(x)))",
    "logsumexp(x)",
    "log(sum(p*exp(x)))",
    "log(sum(exp(x[j]) for j in range(n)))",
    "log(sum(p[j]*exp(x[j]) for j in range(n)))",
    "log(1 + sum(exp(x)))",
    "log(softmax(x))[1]",
    "log(softmax(x)[1])",
    "log_softmax(x)[1]",
    "log((exp(x)/sum(exp(x)))[1])",
    "log(exp(x[1])/sum(exp(x)))",
    "x[1] - log(sum(exp(x)))",
    "log(sum(exp(x))) - x[1]",
    "logsumexp(x) - x[1]",
    "log(exp(x[1])/sum(exp(x[j]) for j in range(n)))",
    "m = max(x)\nlog(exp(x[1] - m)/sum(exp(x - m)))",
    "m = max(x)\ny = exp(x - m)\nlog(y/sum(y))[1]",
    "y = softmax(x)\n-log(y[1])",
    "y = exp(x)/sum(exp(x))\nsum(o*log(y))",
    "-sum(o*log(softmax(x)))",
    "-sum(o*log_softmax(x))",
    "sum(o*(x - logsumexp(x)))",
    "sum(o*(x - log(sum(exp(x)))))",
    "cross_entropy(softmax(x), o)",
    "cross_entropy(exp(x)/sum(exp(x)), o)",
    "cross_entropy_with_logits(x, o)",
    "cross_entropy(softmax(x), k)",
    "cross_entropy(exp(x)/sum(exp(x)), k)",
    "cross_entropy_with_logits(x, k)",
    "log(p[1]*exp(x[1])/sum(p*exp(x)))",
    "log(mean(sigmoid(x)))",
    "log(prod(sigmoid(x)))",
    "sum(log(1 - sigmoid(x)))",
)
"""Functions of a vector x of n numbers, weights p, a one-hot vector o, whose place is k."""


def _bce(y: Any, t: Any) -> Any:
    terms = ((t, y), (1 - t, 1 - y))
    return -sum(w * mpmath.log(v) for w, v in terms if w != 0)


def _softmax(x: Any) -> Any:
    e = np.array([mpmath.exp(v) for v in x])
    return e / e.sum()


def _over(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        if any(isinstance(a, np.ndarray) for a in args):
            return np.array([function(*vs) for vs in np.broadcast(*args)])
        return function(*args)

    return call


def _sigmoid(z: Any) -> Any:
    return 1 / (1 + mpmath.exp(-z))


def _total(x: Any) -> Any:
    return mpmath.fsum(x)


NAMES: dict[str, Any] = {
    **{f: _over(getattr(mpmath, f)) for f in ("exp", "log1p", "expm1", "sqrt", "cosh", "sinh", "tanh")},
    "log": _over(lambda x: mpmath.log(x) if x != 0 else mpmath.mpf(0)),  # only ever times 0
    "sigmoid": _over(_sigmoid),
    "log1p": _over(lambda x: mpmath.log(1 + x) if x != -1 else mpmath.mpf(0)),
    "softplus": _over(lambda z: mpmath.log(1 + mpmath.exp(z))),
    "bce": _bce,
    "bce_with_logits": lambda z, t: _bce(_sigmoid(z), t),
    "softmax": _softmax,
    "log_softmax": lambda x: _over(mpmath.log)(_softmax(x)),
    "logaddexp": lambda a, b: mpmath.log(mpmath.exp(a) + mpmath.exp(b)),
    "where": lambda c, a, b: a if c else b,
    "logsumexp": lambda x: mpmath.log(_total(map(mpmath.exp, x))),
    "cross_entropy": lambda p, k: -mpmath.log(p[k] if isinstance(k, int) else p[list(k).index(1)]),
    "cross_entropy_with_logits": lambda x, k: NAMES["cross_entropy"](_softmax(x), k),
    "sum": _total,
    "prod": mpmath.fprod,
    "mean": lambda x: _total(x) / len(x),
    "max": max,
    "range": range,
}


def exact(text: str, inputs: dict[str, Any], wrt: Sequence[str]) -> tuple[Any, list[Any]]:
    """Value and gradient of a text, the gradient as one flat list."""
    body = compile("\n".join(text.splitlines()[:-1]), "body", "exec")
    result = compile(text.splitlines()[-1], "result", "eval")

    def value(names: dict[str, Any]) -> Any:
        names = {**NAMES, **names}
        exec(body, names)
        return eval(result, names)

    cancels = any(np.max(np.abs(v)) > 300 for v in inputs.values()) and any(c in text for c in CANCELLING)
    with mpmath.workdps(DIGITS[cancels]):
        names = {k: _exactly(v) for k, v in inputs.items()}
        if "x" in names:
            names["n"] = len(names["x"])
        gradient = []
        for name in wrt:
            for k in range(np.size(inputs[name])):
                ends = [value({**names, name: _moved(names[name], k, h)}) for h in (STEP, -STEP)]
                gradient.append((ends[0] - ends[1]) / (2 * STEP))
        return value(names), gradient


def _exactly(v: Any) -> Any:
    if isinstance(v, np.ndarray):
        return np.array([mpmath.mpf(float(e)) for e in v])
    return v if isinstance(v, int) else mpmath.mpf(v)


def _moved(v: Any, k: int, h: Any) -> Any:
    if not isinstance(v, np.ndarray):
        return v + h
    moved = v.copy()
    moved[k] += h
    return moved


def error(given: float, wanted: Any) -> float:
    """Relative, or 0 where both are below the normal numbers."""
    with mpmath.workdps(30):
        if not np.isfinite(given):
            return 0.0 if abs(wanted) > 1.7e308 and np.isinf(given) else float("inf")
        difference = abs(mpmath.mpf(float(given)) - wanted)
        return 0.0 if difference < SMALLEST else float(difference / abs(wanted)) if wanted else float("inf")
