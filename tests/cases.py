"""The examples with inputs: small ones to be checked, and the sizes at which operations are counted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from models import MODELS

EXAMPLES = Path(__file__).parent.parent / "examples"
ROWS = frozenset({"linear", "logistic", "softmax", "mlp", "gmm", "bundle", "word2vec"})
"""Examples that sum a loss over rows, whose dim is n."""

MODEL_SIZES = {
    "bundle": {"n": 1000, "C": 10, "P": 100},
    "word2vec": {"n": 1000, "V": 100, "d": 20, "k": 5},
    "cox": {"n": 100, "d": 20},
    "gp": {"n": 100, "d": 20},
}
"""Examples that `models` has inputs for."""


@dataclass(frozen=True)
class Case:
    name: str
    inputs: dict[str, Any]
    sizes: dict[str, int]

    @property
    def path(self) -> Path:
        return EXAMPLES / f"{self.name}.gradc"


def _cases() -> list[Case]:
    rng = np.random.default_rng(7)
    n, d, K, h = 23, 5, 4, 6
    x = rng.normal(size=(n, d))
    table = {"n": 1000, "d": 20, "K": 10, "h": 30}
    classifier = {"x": x, "t": rng.integers(0, K, n)}
    layers = {
        "W1": rng.normal(size=(h, d)),
        "b1": rng.normal(size=h),
        "W2": rng.normal(size=(K, h)),
        "b2": rng.normal(size=K),
    }
    mixture = {
        "alpha": rng.normal(size=K),
        "mu": rng.normal(size=(K, d)),
        "q": rng.normal(size=(K, d)) * 0.3,
        "L": rng.normal(size=(K, d, d)),
    }
    regression = {"w": rng.normal(size=d), "b": 0.3, "x": x}
    return [
        Case("elementary", {"x1": 2.0, "x2": 5.0}, {}),
        Case("product", {"x": -1.0, "y": 2.0, "z": -3.0}, {}),
        Case("neuron", {"w0": 2.0, "w1": -3.0, "w2": -3.0, "x0": -1.0, "x1": -2.0}, {}),
        Case("linear", {**regression, "t": rng.normal(size=n)}, table),
        Case("logistic", {**regression, "t": rng.integers(0, 2, n) * 1.0, "lam": 0.1}, table),
        Case("softmax", {"W": rng.normal(size=(K, d)), "b": rng.normal(size=K), **classifier, "lam": 0.1}, table),
        Case("mlp", {**layers, **classifier}, table),
        Case("gmm", {**mixture, "x": x}, table),
        *(Case(name, MODELS[name].points["ordinary"], sizes) for name, sizes in MODEL_SIZES.items()),
    ]


CASES = {case.name: case for case in _cases()}
