"""Functions of a few numbers: what a call costs, and straight-line expressions of many operations."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks import libraries
from benchmarks.bounds import called, multiplied
from benchmarks.race import Workload

ELEMENTARY = "log(x1) + x1*x2 - sin(x2)"
VARIABLES, REACH = 10, 30
"""Variables of a random expression; how far back its operations reach."""
JAX_OPERATIONS = 100
"""JAX takes minutes to compile much longer expressions."""


def elementary_in_python(a: Any, b: Any) -> Any:
    return math.log(a) + a * b - math.sin(b), 1 / a + b, a - math.cos(b)


def elementary(library: Any, a: Any, b: Any) -> Any:
    return library.log(a) + a * b - library.sin(b)


def call(a: float = 2.0, b: float = 5.0) -> Iterator[Workload]:
    """Two numbers in, the value and two derivatives out."""
    yield Workload(
        "call",
        "log(x1) + x1*x2 - sin(x2), one call",
        [
            libraries.hand("Numba", libraries.compiled_by_numba(elementary_in_python), a, b),
            libraries.hand("Python", elementary_in_python, a, b),
            libraries.gradc_alone(ELEMENTARY, a, b),
            libraries.jax(lambda jax, a, b: elementary(jax.numpy, a, b), 2, a, b),
            libraries.torch(elementary, 2, a, b),
            libraries.casadi(lambda casadi, x: elementary(casadi, x[0], x[1]), [a, b], "call"),
            libraries.casadi(lambda casadi, x: elementary(casadi, x[0], x[1]), [a, b], "buffer"),
        ],
        [called(a, b)],
    )


class Operation(NamedTuple):
    """Operands are positions in the list of the variables and of all results so far."""

    kind: str
    left: int
    right: int


def random_operations(count: int) -> tuple[list[Operation], list[int]]:
    """Operations, and the results that none of them uses: the sum of those is an expression in which all count."""
    draw = random.Random(1)
    operations, unused = [], set(range(VARIABLES))
    for position in range(VARIABLES, VARIABLES + count):
        reach = range(max(0, position - REACH), position)
        made = Operation(
            draw.choice(["middle", "product", "half", "sin", "bell"]), draw.choice(reach), draw.choice(reach)
        )
        unused -= {made.left, made.right} if made.kind in ("middle", "product", "half") else {made.left}
        unused.add(position)
        operations.append(made)
    return operations, sorted(unused)


def evaluate(operations: Sequence[Operation], unused: Sequence[int], x: Any, library: Any) -> Any:
    """The value, in a library's numbers."""
    results = [x[k] for k in range(VARIABLES)]
    rules: dict[str, Callable[[Any, Any], Any]] = {
        "middle": lambda a, b: 0.5 * (a + b),
        "product": lambda a, b: a * b,
        "half": lambda a, b: 0.5 * (a - b),
        "sin": lambda a, b: library.sin(a),
        "bell": lambda a, b: library.exp(-a * a),
    }
    for kind, left, right in operations:
        results.append(rules[kind](results[left], results[right]))
    total = results[unused[0]]
    for k in unused[1:]:
        total = total + results[k]
    return total


def by_tape(operations: Sequence[Operation], unused: Sequence[int], x: Sequence[float]) -> Any:
    """Value and gradient in plain Python: all results forwards, all adjoints backwards."""
    results = [float(number) for number in x]
    for kind, left, right in operations:
        a, b = results[left], results[right]
        if kind == "middle":
            results.append(0.5 * (a + b))
        elif kind == "product":
            results.append(a * b)
        elif kind == "half":
            results.append(0.5 * (a - b))
        elif kind == "sin":
            results.append(math.sin(a))
        else:
            results.append(math.exp(-a * a))
    bars = [0.0] * len(results)
    for k in unused:
        bars[k] = 1.0
    for position in reversed(range(len(operations))):
        kind, left, right = operations[position]
        bar = bars[VARIABLES + position]
        if kind == "middle":
            bars[left] += 0.5 * bar
            bars[right] += 0.5 * bar
        elif kind == "product":
            bars[left] += results[right] * bar
            bars[right] += results[left] * bar
        elif kind == "half":
            bars[left] += 0.5 * bar
            bars[right] -= 0.5 * bar
        elif kind == "sin":
            bars[left] += math.cos(results[left]) * bar
        else:
            bars[left] -= 2 * results[left] * results[VARIABLES + position] * bar
    return sum(results[k] for k in unused), bars[:VARIABLES]


def program(operations: Sequence[Operation], unused: Sequence[int]) -> str:
    """The expression as a gradc program, one statement an operation."""
    names = [f"x{k}" for k in range(VARIABLES)] + [f"v{k}" for k in range(len(operations))]
    forms = {
        "middle": "0.5*({} + {})",
        "product": "{}*{}",
        "half": "0.5*({} - {})",
        "sin": "sin({})",
        "bell": "exp(-{0}*{0})",
    }
    lines = [f"{name}: param" for name in names[:VARIABLES]]
    for position, (kind, left, right) in enumerate(operations, VARIABLES):
        lines.append(f"{names[position]} = " + forms[kind].format(names[left], names[right]))
    lines.append(f"total = {names[unused[0]]}")
    lines += [f"total = total + {names[k]}" for k in unused[1:]]
    return "\n".join([*lines, "total", ""])


def point() -> list[float]:
    return list(np.random.default_rng(0).normal(size=VARIABLES) * 0.5)


def expression(sizes: Sequence[int] = (100, 1000, 10_000)) -> Iterator[Workload]:
    """Random expressions in which every operation counts."""
    for count in sizes:
        yield _expression(count)


def _expression(count: int) -> Workload:
    operations, unused = random_operations(count)
    x = point()

    def loss(library: Any, x: Any) -> Any:
        return evaluate(operations, unused, x, library)

    contestants = [
        libraries.hand("Python", by_tape, operations, unused, x),
        libraries.gradc_alone(program(operations, unused), *x),
        libraries.casadi(loss, x, "buffer"),
        libraries.casadi(loss, x, "C"),
        libraries.torch(loss, 1, x),
    ]
    if count <= JAX_OPERATIONS:
        contestants.append(libraries.jax(lambda jax, x: loss(jax.numpy, x), 1, x))
    title = f"random expression, {count:,} operations"
    return Workload(f"expression {count}", title, contestants, [called(*x), multiplied(3 * count)])
