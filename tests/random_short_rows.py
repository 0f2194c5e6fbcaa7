"""Random losses over the elements of rows: what belongs to elements, columns and rows, picked places, own sums.

Short rows are put together where all that a loop along them knows is one of these, and several of them meet here.
"""

from __future__ import annotations

import re

import numpy as np
from random_draws import Program, Seeded

SIZES = ({"n": 7, "d": 3, "K": 4}, {"n": 4, "d": 4, "K": 4}, {"n": 3, "d": 5, "K": 4}, {"n": 200, "d": 3, "K": 4})
INPUTS = {
    "x": ("param", ("n", "d")),
    "y": ("data", ("n", "d")),
    "w": ("param", ("n",)),
    "b": ("param", ("d",)),
    "A": ("param", ("K", "d")),
    "Z": ("data", ("n", "d", "d")),
    "c": ("index", ("n",)),
    "t": ("index", ("n",)),
    "s": ("index", ("d",)),
}
ELEMENTS = ("x[i, j]", "x[i, j]", "y[i, j]", "w[i]", "b[j]", "A[c[i], j]", "w[i]*b[j]", "(c[i] % 2)")
PICKED = ("x[i, 0]", "x[i, t[i]]", "y[i, t[i]]", "b[0]", "b[t[i]]", "A[c[i], t[i]]", "A[0, j]", "Z[i, j, j]",
          "Z[i, j, 0]", "w[s[j]]", "x[s[j], j]", "b[c[i] % 3]")  # fmt: skip
FUNCTIONS = ("tanh({})", "sigmoid({})", "exp(-({})**2)", "softplus({})", "sin({})", "abs({})", "({})**2")
CONDITIONS = ("w[i] > 0", "c[i] > 1", "x[i, j] > 0", "b[j] < 0.3")
OF_ROWS = ("w[i]", "x[i, 0]", "tanh(w[i])", "b[t[i]]")
APART = ("sum(w)", "sum(b**2)", "x[0, 0]", "sum(x**2)", "sum(tanh(b))", "sum(tanh(x))",
         "sum(x[i, t[i]]**2 for i in range(n))", "sum(A[c[i], 0]*w[i] for i in range(n))")  # fmt: skip


class ShortRows:
    def __init__(self, seed: int) -> None:
        self.choices = Seeded(seed)

    def pick(self, items: tuple[str, ...]) -> str:
        return items[self.choices.integer(0, len(items) - 1)]

    def term(self, depth: int = 0) -> str:
        kind = self.choices.integer(0, 19 if depth < 4 else 5)
        if kind < 4:
            return self.pick(ELEMENTS)
        if kind < 6:
            return self.pick(PICKED)
        if kind < 12:
            return self.pick(FUNCTIONS).format(self.term(depth + 1))
        first, second = self.term(depth + 1), self.term(depth + 1)
        if kind < 16:
            return f"{first}*{second}"
        return f"({first} if {self.pick(CONDITIONS)} else {second})" if kind == 19 else f"({first} + {second})"

    def loss(self) -> str:
        elements = f"sum({self.term()} for i in range(n) for j in range(d))"
        kind = self.choices.integer(0, 9)
        if kind < 5:
            return elements
        if kind < 7:
            return f"sum(sum({self.term()} for j in range(d))*{self.pick(OF_ROWS)} for i in range(n))"
        if kind < 8:
            return f"sum(tanh(sum({self.term()} for j in range(d))) for i in range(n))"
        return f"{elements} + {self.pick(APART)}"


def generate(seed: int) -> Program:
    """The program of a seed. It has a param, which has an element for each row and column."""
    drawn = ShortRows(seed)
    loss = f"{drawn.loss()} + sum(x*x)"
    dims = SIZES[drawn.choices.integer(0, len(SIZES) - 1)]
    random = np.random.default_rng(seed)
    used = [name for name in INPUTS if re.search(rf"\b{name}\b", loss)]
    places = {"c": dims["K"], "t": min(3, dims["d"]), "s": min(3, dims["n"])}
    inputs = {}
    for name in used:
        shape = tuple(dims[length] for length in INPUTS[name][1])
        inputs[name] = random.integers(0, places[name], shape) if name in places else random.normal(size=shape)
    heading = "".join(f"{name}: {INPUTS[name][0]}[{', '.join(INPUTS[name][1])}]\n" for name in used)
    return Program(heading + loss, inputs, dict(dims), True)
