"""Logistic regression, value and gradient: gradc against a hand-written loop, NumPy and JAX (if it is installed).

All contestants are checked to agree, then timed in turn, so that what slows the machine slows them alike.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

import gradc

ROWS, FEATURES, ROUNDS = 200_000, 50, 31
PROGRAM = """
w: param[d]
b: param
x: data[n, d]
t: data[n]
z = x @ w + b
mean(bce_with_logits(z, t)) + 0.005*sum(w**2)
"""


@numba.njit(fastmath={"reassoc", "contract", "nsz", "arcp"}, error_model="numpy")
def by_hand(w: Any, b: Any, x: Any, t: Any) -> Any:
    n, d = x.shape
    w_bar, b_bar, loss = np.zeros(d), 0.0, 0.0
    for i in range(n):
        z = b
        for j in range(d):
            z += x[i, j] * w[j]
        e = math.exp(-abs(z))
        loss += max(z, 0.0) + math.log1p(e) - t[i] * z
        z_bar = (1 / (1 + e) if z >= 0 else e / (1 + e)) - t[i]
        b_bar += z_bar
        for j in range(d):
            w_bar[j] += z_bar * x[i, j]
    return loss / n + 0.005 * (w @ w), (w_bar / n + 0.01 * w, b_bar / n)


def in_numpy(w: Any, b: Any, x: Any, t: Any) -> Any:
    z = x @ w + b
    e = np.exp(-np.abs(z))
    z_bar = (np.where(z >= 0, 1 / (1 + e), e / (1 + e)) - t) / len(t)
    value = np.mean(np.maximum(z, 0) + np.log1p(e) - t * z) + 0.005 * w @ w
    return value, (x.T @ z_bar + 0.01 * w, z_bar.sum())


def in_jax(w: Any, b: Any, x: Any, t: Any) -> Callable[[], Any] | None:
    try:
        import jax
    except ImportError:
        return None
    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy

    def loss(w: Any, b: Any, x: Any, t: Any) -> Any:
        z = x @ w + b
        return jnp.mean(jnp.logaddexp(0.0, z) - t * z) + 0.005 * jnp.sum(w * w)

    compiled = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
    given = [jnp.asarray(a) for a in (w, b, x, t)]
    return lambda: jax.block_until_ready(compiled(*given))


def main() -> None:
    rng = np.random.default_rng(0)
    inputs = (
        rng.normal(size=FEATURES) * 0.1,
        0.1,
        rng.normal(size=(ROWS, FEATURES)),
        (rng.random(ROWS) < 0.5).astype(float),
    )
    function = gradc.compile(PROGRAM)
    contestants = {
        "Numba by hand": lambda: by_hand(*inputs),
        "gradc": lambda: function.value_and_grad(*inputs),
        "NumPy by hand": lambda: in_numpy(*inputs),
        "JAX": in_jax(*inputs),
    }
    live = {name: run for name, run in contestants.items() if run is not None}
    expected = by_hand(*inputs)
    for name, run in live.items():
        value, (w_bar, b_bar) = run()
        np.testing.assert_allclose(float(value), expected[0], rtol=1e-9, err_msg=name)
        np.testing.assert_allclose(w_bar, expected[1][0], rtol=1e-7, err_msg=name)
        np.testing.assert_allclose(b_bar, expected[1][1], rtol=1e-7, err_msg=name)
    times: dict[str, list[float]] = {name: [] for name in live}
    for _ in range(ROUNDS):
        for name, run in live.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    base = statistics.median(times["Numba by hand"])
    print(f"logistic regression, {ROWS} rows of {FEATURES} features, medians of {ROUNDS} interleaved rounds")
    for name, each in sorted(times.items(), key=lambda item: statistics.median(item[1])):
        median = statistics.median(each)
        print(f"{name:15} {median * 1e3:8.2f} ms   {median / base:5.2f} x the loop by hand")


if __name__ == "__main__":
    main()
