"""Random expressions of exponentials: rewritten or not, they mean the same where nothing overflows or cancels."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

import gradc
from gradc import derive
from gradc.ir import Node

HEAD = "a: param\nb: param\nw: param\nx: param[n]\np: param[n]\n"
POINT = {"a": 0.7, "b": -1.3, "w": 0.6, "x": np.array([0.4, -0.9, 1.6]), "p": np.array([0.5, 1.2, 0.3])}
NUMBERS = ("a", "b", "a - b", "a*b", "2*a", "-b", "x[0]", "x[2] - a", "sum(x*p)", "log(w)", "sin(a)", "-(a + b)")
POSITIVE = (
    "exp({u})", "(1 + exp({u}))", "(exp({u}) + 1)", "sigmoid({u})", "1/(1 + exp(-({u})))", "(exp({u}) + exp({v}))",
    "(w*exp({u}) + (1 - w)*exp({v}))", "exp({u})/(exp({u}) + exp({v}))", "sum(exp(x))", "sum(exp(x + {u}))",
    "mean(exp(x - ({u})))", "sum(p*exp(x))", "sum(p[i]*exp(x[i] - {u}) for i in range(n))", "softmax(x)[1]",
    "(exp(x)/sum(exp(x)))[2]", "sum(exp(x[i]) for i in range(n) if x[i] > -0.5)", "prod(sigmoid(x*({u})))",
    "cosh({u})", "(exp({u}) + exp({v}) + 2)", "exp({u})/exp({v})", "(2 + tanh({u}))", "sqrt(1 + exp({u}))",
    "(exp({u}) if {v} > 0 else sigmoid({u}))", "exp({u})*({q})", "({q})/(1 + exp({v}))", "({q})*({r})", "({q})/({r})",
    "(({q}) + ({r}))", "exp(x[1] - max(x))/sum(exp(x - max(x)))", "1/({q})", "(1 - sigmoid({u}))", "exp(logsumexp(x))",
    "sum(exp(x[i] + p[j]) for i in range(n) for j in range(i + 1))", "(1 + erf({u}))", "(1 + tanh({u}))",
    "w*exp({u})/(w*exp({u}) + (1 - w)*exp({v}))", "(w*sigmoid({u}) + (1 - w)*sigmoid({v}))", "({q})**w", "sqrt({q})",
    "(sigmoid({u})*sigmoid({v}) + {q})", "(0.3 - 0.3*tanh({u}))", "sigmoid({u})*sigmoid(-({u}))", "1/cosh({u})**2",
    "(1 - tanh({u})**2)", "p[1]*exp(x[1])/sum(p*exp(x))", "sum(p*sigmoid(x))", "(3 - 3*erf({u}))", "w/(w + exp({u}))",
    "sigmoid({u})*({q})*(1 - sigmoid({u}))", "(1 + cosh({u}))/cosh({v})",
)  # fmt: skip
RESULTS = (
    "log({q})", "-log({q})", "log({q}) - log({r})", "log({q}) - {u}", "{u} - log({q})", "{q}", "log1p({q})",
    "log({q})*{v}", "log(({q}) + ({r}))", "log(1 + exp({u})) - w*({u})", "log(sum(exp(x))) - x[1]", "log2({q})",
    "({q} - {r})/({q} + {r})", "w*log({q}) + (1 - w)*log({r})", "logsumexp(x) - x[0] + log({q})",
    "(exp({u}) - exp({v}))/(exp({u}) + exp({v}))", "log((exp({u}) + exp({v}))**2)", "sum(p*log(softmax(x)))",
    "log1p(exp({u})) + (1 - w)*({v})", "log(expm1(2 + ({u})**2))",
    "2/(1 + exp(-({u}))) - 1", "log(sigmoid({u})/(1 - sigmoid({u})))", "{q} - ({q})*sigmoid({v})", "2 - 2*cosh({u})",
    "log((exp(-a) + {q})/({r} + exp(-b)))", "0.5*sigmoid({u}) - 0.5", "3*exp({u}) - 3*exp(-({u}))",
    "tanh({u}) - tanh({u})**3", "logaddexp({u}, {v})*({q})",
)  # fmt: skip


def drawn(rng: random.Random) -> str:
    def positive(depth: int) -> str:
        text = rng.choice(POSITIVE if depth else POSITIVE[:6])
        return fill(text, depth)

    def fill(text: str, depth: int) -> str:
        u, v = (f"({rng.choice(NUMBERS)})" for _ in range(2))
        q, r = (positive(depth - 1) if name in text else "" for name in ("{q}", "{r}"))
        return text.format(u=u, v=v, q=q, r=r)

    return fill(rng.choice(RESULTS), rng.randint(1, 3))


def flat(text: str, backend: str = "python") -> np.ndarray:
    value, gradient = gradc.compile(HEAD + text, backend=backend, cache=False).value_and_grad(**POINT)
    return np.concatenate([[value], *(np.ravel(g) for g in gradient)])


def disagreement(text: str, patch: Callable[[object, str, object], None]) -> float:
    """The largest difference between the two, in units of the largest number among value and gradient."""
    stable = flat(text)
    patch(derive, "stabilise", lambda build, provenance, root: root)
    plain = flat(text)
    assert np.isfinite(plain).all(), text
    return float(np.max(np.abs(stable - plain)) / max(1.0, np.max(np.abs(plain))))


@pytest.mark.parametrize("seed", range(120))
def test_rewritten_or_not(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = drawn(random.Random(seed))
    assert disagreement(text, monkeypatch.setattr) < 1e-10, text


def test_a_wrong_rewrite_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(build: object, provenance: object, root: Node) -> Node:
        return root.args[0]

    right = flat("log(1 + exp(a))")
    monkeypatch.setattr(derive, "stabilise", wrong)
    assert np.max(np.abs(flat("log(1 + exp(a))") - right)) > 0.1
