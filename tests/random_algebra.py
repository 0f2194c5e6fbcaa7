"""Random programs of linear algebra: solutions, inverses, determinants and factors of each other, in loops and arms."""

from __future__ import annotations

import random

import numpy as np

HEAD = """
A: param[d, d]
B: param[d, k]
b: param[d]
S: param[n, d, d]
x: param[n, d]
t: param
E = [[1.0 if i == j else 0.0 for j in range(d)] for i in range(d)]
"""
MATRICES = ("A", "A.T", "S[0]", "S[n - 1].T", "(A + E)", "[[A[j, i]*b[i] for j in range(d)] for i in range(d)]")
TO_MATRIX = (
    "({m}).T",
    "inv({m} + 3*E)",
    "solve({m} + 3*E, {w})",
    "cholesky({m} @ ({m}).T + E)",
    "({m} @ {w})/2",
    "({m} + outer({v}, {u}))",
    "tanh({m})",
    "({m})[::-1]",
)
TO_VECTOR = (
    "solve({m} + 3*E, {v})",
    "solve(({m}).T + 3*E, {v})",
    "solve(cholesky({m} @ ({m}).T + E), {v})",
    "({m} @ {v})/2",
    "({m})[{i}]",
    "solve({m} + 3*E, B)[:, 0]",
    "tanh({v})",
    "({v})[::-1]",
    "sum([solve(S[p] + 3*E, x[p]) for p in range(n)], axis=0)/n",
    "[det({m} + b[q]*E)/9 for q in range(d)]",
    "({v} + solve(({m})[:2, :2] + 3*E[:2, :2], ({v})[:2])[1])",
    "({v} if t > 0 else solve({m} - {m}, {v}))",
)
TO_NUMBER = (
    "sum({v}*{u})",
    "mean(({m})**2)",
    "logdet({m} @ ({m}).T + E)",
    "det({m})",
    "det({m} - [[({m})[p, 0] for q in range(d)] for p in range(d)])",
    "sum(cos({m}))",
    "(logdet({m} + 3*E) if sum({v}) > 0 else sum({v}))",
    "(det({m}) if t < 0 else t)",
    "mean([logdet(S[p] @ S[p].T + ({m} @ ({m}).T)) for p in range(n)])",
    "mean([sum(solve(S[p] @ S[p].T + E, {v})*x[p]) for p in range(n)])",
    "sum(solve({m} + 3*E, x[p])[0] if x[p, 0] > 0 else 0.0 for p in range(n))",
    "mean(det(S))",
    "sum(solve(S + 3*E, {m})[n - 1])",
    "sum(inv(S + 3*E)*x[:, None])/n",
    "sum(logdet(({m} @ ({m}).T + E)[:p + 1, :p + 1]) for p in range(d))",
)


def matrix(draw: random.Random, depth: int) -> str:
    return filled(draw, draw.choice(TO_MATRIX), depth) if depth else draw.choice(MATRICES)


def vector(draw: random.Random, depth: int) -> str:
    return filled(draw, draw.choice(TO_VECTOR), depth) if depth else draw.choice(("b", "x[0]", "B[:, 1]", "A[1]"))


def filled(draw: random.Random, step: str, depth: int) -> str:
    less, other = depth - 1, draw.randrange(depth)
    return (
        step.replace("{m}", matrix(draw, less))
        .replace("{w}", matrix(draw, other))
        .replace("{v}", vector(draw, less))
        .replace("{u}", vector(draw, other))
        .replace("{i}", draw.choice(("0", "1")))
    )


def program(seed: int) -> str:
    draw = random.Random(seed)
    lines = [f"m{i} = {matrix(draw, draw.randrange(1, 3))}" for i in range(draw.randrange(2))]
    lines += [f"v{i} = {vector(draw, draw.randrange(1, 3))}" for i in range(draw.randrange(2))]
    terms = [filled(draw, draw.choice(TO_NUMBER), draw.randrange(1, 3)) for _ in range(draw.randrange(1, 3))]
    terms += [f"sum(sin({line.split()[0]}))" for line in lines]
    return HEAD.lstrip() + "\n".join([*lines, " + ".join(terms)])


def inputs(seed: int, d: int = 3, n: int = 2, k: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {"A": (d, d), "B": (d, k), "b": (d,), "S": (n, d, d), "x": (n, d), "t": ()}
    return {name: np.asarray(0.7 * rng.normal(size=shape)) for name, shape in shapes.items()}
