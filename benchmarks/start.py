"""How long a fresh process takes to its first gradient: `python -m benchmarks.start [rounds]`.

Every figure is the median over processes of its own; the rounds are interleaved, so that what slows the machine slows
all of them alike. Bytecode is kept between the rounds, as in an installation. Compiled code is not kept for "nothing
cached", and is there for "cached".
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROUNDS = 11
PROGRAM = """
w: param[d]
b: param
x: data[n, d]
t: data[n]
z = x @ w + b
mean(bce_with_logits(z, t)) + 0.005*sum(w**2)
"""
INPUTS = """
import numpy as np
waves = np.sin(np.arange(125.0))
inputs = waves[:5], 0.1, waves[5:105].reshape(20, 5), (waves[105:] > 0)*1.0
"""
GRADIENT = f"import gradc\n{INPUTS}\nprint(gradc.compile({PROGRAM!r}).value_and_grad(*inputs)[0])"
JAX = f"""
import jax
jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp
{INPUTS}
def loss(w, b, x, t):
    z = x @ w + b
    return jnp.mean(jnp.logaddexp(0.0, z) - t*z) + 0.005*jnp.sum(w*w)
print(jax.block_until_ready(jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(*inputs))[0])
"""
SHOW = "import sys; from gradc.cli import main; main(['show', sys.argv[1]])"


def contestants(place: Path) -> dict[str, Callable[[], str]]:
    """What is run, by name: each call starts one process and returns what it printed."""
    program = place / "logistic.gradc"
    program.write_text(PROGRAM)
    warm = place / "cache"
    run(GRADIENT, warm)

    def uncached() -> str:
        with tempfile.TemporaryDirectory() as empty:
            return run(GRADIENT, Path(empty))

    found = {
        "an empty process": lambda: run("", warm),
        "`import numpy`": lambda: run("import numpy", warm),
        "`import gradc`": lambda: run("import gradc", warm),
        "`gradc show`": lambda: run(SHOW, warm, str(program)),
        "first gradient, cached": lambda: run(GRADIENT, warm),
        "`import numba`": lambda: run("import numba", warm),
        "first gradient, nothing cached": uncached,
    }
    if importlib.util.find_spec("jax"):
        found["`import jax`"] = lambda: run("import jax", warm)
        found["JAX, first compiled gradient"] = lambda: run(JAX, warm)
    return found


def run(code: str, cache: Path, *arguments: str) -> str:
    """Runs Python code in a process of its own, with its bytecode kept as usual."""
    environment = {**os.environ, "GRADC_CACHE_DIR": str(cache)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as place:
        live = contestants(Path(place))
        printed = {name: start() for name, start in live.items()}  # also writes the bytecode
        values = [float(text) for name, text in printed.items() if "gradient" in name]
        assert max(values) - min(values) <= 1e-12 * abs(values[0]), values
        times: dict[str, list[float]] = {name: [] for name in live}
        for _ in range(rounds):
            for name, start in live.items():
                begin = time.perf_counter()
                start()
                times[name].append(time.perf_counter() - begin)
    numpy, numba = (statistics.median(times[f"`import {name}`"]) for name in ("numpy", "numba"))
    print(f"Logistic regression, fresh processes, medians of {rounds} interleaved rounds\n")
    print("| | seconds | above `import numpy` | above `import numba` |\n|---|---|---|---|")
    for name, each in times.items():
        median = statistics.median(each)
        print(f"| {name} | {median:.3f} | {median - numpy:+.3f} | {median - numba:+.3f} |")


if __name__ == "__main__":
    main()
