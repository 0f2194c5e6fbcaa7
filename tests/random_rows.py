"""Random programs over rows, deep in what the scheduler tells apart there, and narrow elsewhere.

Drawn are chains of matrix products, reductions over rows and over columns, gathers, shifts and second sweeps. A program
is grown from its result downwards, by shape; the simplest choices come first, so that failing programs shrink.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from random_programs import Choices, Program, Shape, T

COLUMNS = ("d", "K", "h")
MERGED = ({}, {}, {}, {"K": "d"}, {"K": "d", "h": "d"}, {"d": "n"}, {"K": "n", "d": "n"}, {"d": "3"}, {"d": "10"})
"""Lengths under other names, or as numbers: axes of equal lengths have to be told apart."""
SMOOTH = ("tanh({})", "sin({})", "sigmoid({})", "exp(-({})**2)", "log(1.5 + square(tanh({})))", "softplus({})")
KINKED = ("relu({})", "abs({})", "floor(2*{})", "step({})")
GUARDED = (
    "(log({0}) if {0} > 0 else 0)",
    "(sqrt({0}) if {0} > 0 else {1})",
    "where({0} > 0.2, 1/{0}, {1})",
    "({1} if {0} < 0.1 else {0}*{1})",
    "maximum({0}, {1})",
    "minimum({0}, {1})",
)
PAIRS = ("({0} + {1})", "({0} - {1})", "({0}*{1})", "({0}/(1.5 + square(tanh({1}))))")
ALONG = ("sum({}, axis={})", "mean({}, axis={})", "logsumexp({}, axis={})", "max({}, axis={})", "min({}, axis={})",
         "prod(1 + 0.02*sin({}), axis={})", "var({}, axis={})", "norm(2 + sin({}), axis={})")  # fmt: skip
TOTALS = ("sum({})", "mean({})", "logsumexp({})", "max({})", "min({})", "prod(1 + 0.02*sin({}))", "var({})",
          "sum(exp(tanh({0})))*mean({0}*{0})", "log(1 + sum(square({})))", "sqrt(1 + mean({}**2))")  # fmt: skip


class Rows:
    """Grows one program. `declared` are its inputs by name: kind and shape. Sizes are drawn from those given."""

    def __init__(self, choices: Choices, rows: Sequence[int], columns: Sequence[int]) -> None:
        self.choices, self.row_counts, self.column_counts = choices, rows, columns
        self.budget = 0
        self.declared: dict[str, tuple[str, Shape]] = {}
        self.values: dict[str, Shape] = {}

    def pick(self, items: Sequence[T]) -> T:
        return items[self.choices.integer(0, len(items) - 1)]

    def chance(self, percent: int) -> bool:
        return self.choices.integer(0, 99) >= 100 - percent

    def program(self) -> Program:
        lines = []
        for k in range(self.choices.integer(0, 3)):
            shape = self.pick((("n",), ("n", self.column()), ("n", self.column()), (self.column(),), ("n-1",)))
            self.budget = 6
            lines.append(f"v{k} = {self.grow(shape)}")
            self.values[f"v{k}"] = shape
        self.budget = 7
        lines.append(self.result())
        return self.with_inputs("\n".join(lines))

    def column(self) -> str:
        return self.pick(COLUMNS)

    def result(self) -> str:
        if self.chance(15):
            shape = self.pick((("n",), ("n", self.column()), (self.column(),)))
            text = self.grow(shape)
            if len(shape) == 2:
                return self.pick(("{}", "({}).T", "argmax({}, axis=1)", "{} > 0")).format(text)
            return self.pick(("{}", "{} > 0", "floor({})")).format(text)
        terms = [self.total()]
        for name, shape in self.values.items():
            if self.chance(60):
                terms.append(f"{self.pick(('sum', 'mean'))}({self.pick(('{}', 'sin({})'))})".format(name))
                assert shape
        return self.pick((" + ", " + ", "*")).join(terms)

    def with_inputs(self, text: str) -> Program:
        merged = self.pick(MERGED)

        def renamed(t: str) -> str:
            return re.sub(r"\b[dKh]\b", lambda m: merged.get(m[0], m[0]), t)

        used = {dim for _, shape in self.declared.values() for dim in shape}
        spare = [dim for dim in ("n", *COLUMNS) if dim not in used and re.search(rf"\b{dim}\b", text)]
        self.declared.update({f"spare_{dim}": ("data", (dim,)) for dim in spare})
        dims = {"n": self.pick(self.row_counts), **{c: self.pick(self.column_counts) for c in COLUMNS}}
        if self.chance(8):
            dims[self.column()] = 0
        if dims["n"] < 2 and "n-1" in text:
            dims["n"] = 2
        sizes = {c: int(merged.get(c, c)) if merged.get(c, c).isdigit() else dims[merged.get(c, c)] for c in dims}
        rng = np.random.default_rng(self.choices.integer(0, 65535))
        smooth = not self.chance(10)
        inputs: dict[str, Any] = {}
        lines = []
        for name, (kind, shape) in self.declared.items():
            own = tuple(sizes[dim] for dim in shape)
            if kind == "index":
                inputs[name] = rng.integers(0, max(sizes["K"], 1), own)
            else:
                inputs[name] = rng.normal(size=own) if smooth else rng.integers(-1, 3, own).astype(float)
            if not shape:
                inputs[name] = inputs[name].item() if hasattr(inputs[name], "item") else float(inputs[name])
            lines.append(f"{name}: {kind}" + (f"[{', '.join(map(renamed, shape))}]" if shape else ""))
        whole = renamed("\n".join([*lines, text]))
        left = {dim for _, shape in self.declared.values() for dim in map(renamed, shape)}
        return Program(whole, inputs, {dim: dims[dim] for dim in dims if dim in left}, smooth)

    # by shape

    def grow(self, shape: Shape) -> str:
        self.budget -= 1
        if self.budget <= 0 or self.chance(10):
            return self.leaf(shape)
        if self.chance(35):
            return self.elementwise(shape)
        if not shape:
            return self.total()
        if len(shape) == 2:
            return self.rows(shape[1]) if shape[0] == "n" else self.table(shape)
        if shape[0] == "n":
            return self.per_row()
        return self.neighbours() if shape[0] == "n-1" else self.per_column(shape[0])

    def leaf(self, shape: Shape) -> str:
        known = [name for name, own in self.values.items() if own == shape]
        if known and self.chance(70):
            return self.pick(known)
        if shape == ("n-1",):
            return f"{self.leaf(('n',))}[{self.pick(('1:', ':-1'))}]"
        same = [name for name, (kind, own) in self.declared.items() if own == shape and kind != "index"]
        if same and self.chance(60):
            return self.pick(same)
        kind = self.pick(("data", "data", "param")) if shape[:1] == ("n",) else self.pick(("param", "param", "data"))
        name = f"{'abcuwxyz'[len(self.declared) % 8]}{len(self.declared)}"
        self.declared[name] = (kind, shape)
        return name

    def labels(self) -> str:
        known = [name for name, (kind, _) in self.declared.items() if kind == "index"]
        if known and self.chance(70):
            return self.pick(known)
        name = f"t{len(known)}"
        self.declared[name] = ("index", ("n",))
        return name

    def elementwise(self, shape: Shape) -> str:
        kind = self.pick((SMOOTH, PAIRS, SMOOTH, PAIRS, GUARDED, KINKED))
        other = shape
        if kind in (PAIRS, GUARDED) and self.chance(40):
            other = () if len(shape) < 2 or self.chance(30) else shape[1:]
        return self.pick(kind).format(self.grow(shape), self.grow(other) if kind in (PAIRS, GUARDED) else "")

    def one_of(self, *makers: Callable[[], str]) -> str:
        return self.pick(makers)()

    def total(self) -> str:
        c = self.column()
        return self.one_of(
            lambda: self.pick(TOTALS).format(self.grow(("n",))),
            lambda: self.pick(TOTALS).format(self.grow(("n", c))),
            lambda: f"mean(cross_entropy_with_logits({self.grow(('n', 'K'))}, {self.labels()}))",
            lambda: f"({self.grow(('n',))} @ {self.grow(('n',))})",
            lambda: self.pick(TOTALS).format(self.grow((c,))),
            lambda: self.pick(TOTALS).format(self.grow(("n-1",))),
            lambda: self.pick(TOTALS).format(f"({self.neighbours_of_rows(c)})"),
            lambda: f"sum(a*b for a, b in zip({self.leaf(('n',))}, {self.grow(('n',))}))",
            self.pairs,
        )

    def pairs(self) -> str:
        a, b, m = self.leaf(("n",)), self.leaf(("n",)), self.leaf(("n", self.column()))
        return self.pick(
            (
                f"sum({a}[i]*{b}[k] for i in range(n) for k in range(n))",
                f"sum(tanh({a}[i] - {b}[k]) for i in range(n) for k in range(i))",
                f"mean(exp(-sum(({m}[i] - {m}[k])**2)) for i in range(n) for k in range(n))",
                f"sum({a}[i]*{b}[k] for i in range(n) for k in range(i + 1) if {a}[k] > 0)",
                f"sum(({m} @ {m}.T)**2)",
            )
        )

    def per_row(self) -> str:
        c = self.column()
        n = ("n",)
        return self.one_of(
            lambda: f"({self.grow(('n', c))} @ {self.grow((c,))})",
            lambda: self.pick(ALONG).format(self.grow(("n", c)), 1),
            lambda: f"sum({self.grow(('n', c))}*{self.grow(('n', c))}, axis=1)",
            lambda: f"cross_entropy_with_logits({self.grow(('n', 'K'))}, {self.labels()})",
            lambda: f"cross_entropy(softmax({self.grow(('n', 'K'))}), {self.labels()})",
            lambda: f"{self.leaf(('K',))}[{self.labels()}]",
            lambda: f"{self.grow(('K',))}[{self.labels()}]",
            lambda: self.chosen(),
            lambda: self.triangle(),
            lambda: f"cumsum({self.grow(n)})",
            lambda: f"{self.grow(n)}[::-1]",
            lambda: f"softmax({self.grow(n)})",
            lambda: self.standardised(n),
            lambda: f"({self.grow(('n', 'n'))} @ {self.grow(n)})",
            lambda: f"(argmax({self.grow(('n', c))}, axis=1)*{self.leaf(n)})",
            lambda: f"[sum({self.leaf(('n', c))}[i, k]*{self.leaf((c,))}[k] for k in range({c})) for i in range(n)]",
        )

    def chosen(self) -> str:
        m, t = self.leaf(("n", "K")), self.labels()
        return (
            f"[{self.pick((f'{m}[i, {t}[i]]', f'{m}[i, {t}[i]]**2', f'sum({m}[i])*{m}[i, {t}[i]]'))} for i in range(n)]"
        )

    def triangle(self) -> str:
        a, m = self.leaf(("n",)), self.leaf(("n", self.column()))
        return self.pick(
            (
                f"[sum({a}[j] for j in range(i + 1)) for i in range(n)]",
                f"[sum({a}[j]*{a}[i] for j in range(i)) for i in range(n)]",
                f"[sum({m}[i] @ {m}[j] for j in range(i + 1)) for i in range(n)]",
            )
        )

    def standardised(self, shape: Shape) -> str:
        m, axis = self.grow(shape), ", axis=0" if len(shape) == 2 else ""
        return f"(({m} - mean({m}{axis}))/(1 + {self.pick(('var', 'sum'))}(square({m}){axis})))"

    def rows(self, c: str) -> str:
        """Matrices that have the rows as their first axis."""
        k = self.column()
        shape = ("n", c)
        return self.one_of(
            lambda: f"({self.grow(('n', k))} @ {self.grow((k, c))} + {self.grow((c,))})",
            lambda: f"({self.grow(('n', k))} @ {self.grow((c, k))}.T)",
            lambda: f"{self.pick(SMOOTH)}".format(f"{self.grow(('n', k))} @ {self.grow((c, k))}.T + {self.leaf((c,))}"),
            lambda: f"softmax({self.grow(shape)})",
            lambda: f"log_softmax({self.grow(shape)})",
            lambda: f"({self.grow(shape)} - logsumexp({self.grow(shape)}, axis=1, keepdims=True))",
            lambda: f"{self.grow(('K', c))}[{self.labels()}]",
            lambda: f"({self.grow(shape)}*{self.grow(('n',))}[:, None])",
            lambda: f"outer({self.grow(('n',))}, {self.grow((c,))})",
            lambda: f"cumsum({self.grow(shape)}, axis={self.pick((0, 1))})",
            lambda: f"({self.grow(shape)}){self.pick(('[::-1]', '[:, ::-1]'))}",
            lambda: self.standardised(shape),
            lambda: f"softmax({self.grow(shape)}, axis=0)",
            lambda: f"[[sum({self.leaf(shape)}[i, l] for l in range(j + 1)) for j in range({c})] for i in range(n)]",
            lambda: (
                f"[[sum({self.leaf(shape)}[i, l]*{self.leaf((c,))}[l] for l in range(j)) for j in range({c})] "
                f"for i in range(n)]"
            ),
        )

    def table(self, shape: Shape) -> str:
        """Matrices without rows; some are sums over them."""
        a, b = shape
        return self.one_of(
            lambda: self.leaf(shape),
            lambda: f"{self.leaf((b, a))}.T",
            lambda: f"tanh({self.leaf(shape)})",
            lambda: f"({self.grow(('n', a))}.T @ {self.grow(('n', b))}/7)",
            lambda: f"({self.leaf((a, 'h'))} @ {self.leaf(('h', b))})",
        )

    def per_column(self, c: str) -> str:
        return self.one_of(
            lambda: self.leaf((c,)),
            lambda: self.pick(ALONG).format(self.grow(("n", c)), 0),
            lambda: f"({self.grow(('n',))} @ {self.grow(('n', c))})",
            lambda: f"({self.leaf((c, 'd'))} @ {self.grow(('d',))})",
            lambda: f"cumsum({self.grow((c,))})",
            lambda: f"sum({self.grow((c, 'h'))}, axis=1)",
        )

    def neighbours(self) -> str:
        v, w = self.grow(("n",)), self.leaf(("n",))
        return self.pick(
            (
                f"({v}[1:] - {v}[:-1])",
                f"(100*({w}[1:] - {w}[:-1]**2)**2 + (1 - {w}[:-1])**2)",
                f"({v}[1:]*{w}[:-1])",
                f"({w}[::-1][1:]*{v}[:-1])",
                f"tanh({w}[1:] + {v}[:-1])",
            )
        )

    def neighbours_of_rows(self, c: str) -> str:
        v, m = self.leaf(("n",)), self.grow(("n", c))
        return self.pick(
            (
                f"{m}[1:] - {m}[:-1]**2",
                f"{v}[2:] - 2*{v}[1:-1] + {v}[:-2]",
                f"{m}[2:]*{m}[:-2]",
                f"{v}[3:]*{v}[:-3]",
                f"{m}[1:, 1:] - {m}[:-1, :-1]",
            )
        )


FEW, NARROW = (5, 12, 7, 3, 2, 1, 4, 0), (2, 3, 4, 1)
MANY, WIDE = (300, 521, 64), (17, 1, 40, 2)


def generate(choices: Choices, large: bool = False) -> Program:
    return (Rows(choices, MANY, WIDE) if large else Rows(choices, FEW, NARROW)).program()
