"""Random nests of ranges: ragged, triangular, strided, sliced; over rows of a sparse matrix and over windows.

Bodies are scalars, so that Python's `sum` of nothing is the number 0 and CPython can run every program. Positions are
kept with the dim they are in range of: `p` of a row of entries is a position of `nnz`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from random_programs import Program

HEAD = """val: param[nnz]
x: param[d]
y: data[n]
w: param[n]
A: param[n, d]
col: index[nnz]
start: index[n + 1]
lo: index[n]
hi: index[n]
k: index
"""
SMOOTH = ("tanh({})", "sin({})", "{}**2", "exp(-({})**2)", "sigmoid({})")
PAIRS = ("({} + {})", "({} - {})", "{}*{}", "{}/(1.5 + tanh({}))")
USES = (
    "sum({0}*w)", "sum({0}**2)", "log(9 + sum(exp(tanh({0}))))*sum(sin({0}))", "sum({0}[::-1]*y)",
    "sum(softmax({0})*w)", "mean({0}*y)",
)  # fmt: skip
LETTERS = "ijpqrsabc"


@dataclass(frozen=True)
class Position:
    """An integer expression that is a position of the dim; `row` if it also is one plus 1 of `start`."""

    text: str
    dim: str


class Ranges:
    """Grows one program."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.scope: list[Position] = []
        self.numbers: list[str] = []
        self.budget = 0

    def pick(self, items: Sequence[Any]) -> Any:
        return self.random.choice(items)

    def chance(self, percent: int) -> bool:
        return self.random.randrange(100) < percent

    def program(self) -> Program:
        lines = []
        for name in ("u", "v")[: self.random.randrange(3)]:
            self.budget = 5
            with_row = Position("i", "n")
            self.scope = [with_row]
            lines.append(f"{name} = [{self.nest(1)} for i in range(n)]")
        self.scope = []
        names = [line[0] for line in lines]
        self.budget = 7
        total = self.nest(0)
        for name in names:
            total += f" + {self.pick(USES).format(name)}"
        lines.append(total)
        return self.with_inputs("\n".join(lines))

    def nest(self, depth: int) -> str:
        """A scalar that opens loops."""
        self.budget -= 1
        before, numbers = list(self.scope), list(self.numbers)
        opened = " ".join(self.loop(depth + n) for n in range(self.pick((1, 1, 2))))
        body = self.body(depth + 1)
        condition = f" if {self.leaf()} > {self.pick(('0', '-0.5'))}" if self.chance(15) else ""
        self.scope, self.numbers = before, numbers
        kind = self.pick(("sum", "sum", "sum", "sum", "prod"))
        if kind == "prod":
            body = f"(1 + 0.1*{body})"
        return f"{kind}({body} {opened}{condition})"

    def name(self) -> str:
        used = {p.text for p in self.scope} | set(self.numbers)
        return next(c for c in LETTERS if c not in used)

    def at(self, dim: str) -> list[str]:
        return [p.text for p in self.scope if p.dim == dim]

    def loop(self, depth: int) -> str:
        rows = self.at("n")
        forms = [
            "range(n)",
            "range(d)",
            "range(0, n, 2)",
            "range(n - 1, -1, -2)",
            "range(k)",
            "range(k, n)",
            "x",
            "pairs",
        ]
        for i in rows:
            forms += [f"range(start[{i}], start[{i} + 1])"] * 4
            forms += [f"range({i})", f"range({i} + 1, n)", f"range(n - 1, {i}, -1)", f"range({i}, n, 3)"]
            forms += [f"slice {i}"] * 2
            forms += [f"range(lo[{i}], hi[{i}])"]
        for p in self.at("nnz"):
            forms += [f"range({p})", f"range({p} + 1, nnz, 2)"]
            if rows:
                forms += [f"range(start[{rows[0]}], {p})"] * 2
        form = self.pick(forms)
        name = self.name()
        if form == "x":
            self.numbers.append(name)
            return f"for {name} in x"
        if form == "pairs":
            self.scope.append(Position(name, "d"))
            self.numbers += ["t", "z"]
            return f"for {name}, (t, z) in enumerate(zip(x, x[::-1]))"
        if form.startswith("slice"):
            i = form.split()[1]
            self.numbers.append(name)
            return f"for {name} in {self.slice(i)}"
        dim = "d" if "d)" in form else "nnz" if ("start" in form or "nnz" in form) else "n"
        if "lo[" in form or form == f"range({name})":
            dim = "none"
        nnz = self.at("nnz")
        if any(f"range({p})" == form for p in nnz):
            dim = "nnz"
        self.scope.append(Position(name, dim))
        return f"for {name} in {form}"

    def slice(self, i: str) -> str:
        step = self.pick(("", "", "", ":2", ":-1", ":-2"))
        return self.pick((
            f"val[lo[{i}]:hi[{i}]{step}]", f"val[start[{i}]:start[{i} + 1]{step}]", f"x[{i} - 2:{i} + 2{step}]",
            f"x[:{i}{step}]", f"x[{i}:{step}]", f"x[lo[{i}]:{step}]", f"w[:hi[{i}]{step}]", f"w[k:{i}{step}]",
            f"w[-k:{i} + k{step}]", f"x[:-{i}{step}]" if i.isalpha() else f"x[{i}:]",
        ))  # fmt: skip

    def body(self, depth: int) -> str:
        if self.budget > 0 and depth < 4 and self.chance(45):
            inner = self.nest(depth)
            return self.pick(("{1}*{0}", "sin({0})", "{0}**2", "{0} + {1}", "tanh({0})*{1}")).format(inner, self.leaf())
        text = self.pick(PAIRS).format(self.leaf(), self.leaf())
        return self.pick((*SMOOTH, "{}")).format(text)

    def leaf(self) -> str:
        found = ["0.7"]
        for p in self.scope:
            if p.dim == "nnz":
                found += [
                    f"val[{p.text}]",
                    f"x[col[{p.text}]]",
                    f"x[col[{p.text}]]",
                    f"val[{p.text}]",
                    f"val[nnz - 1 - {p.text}]",
                ]
            if p.dim == "n":
                found += [
                    f"y[{p.text}]",
                    f"w[{p.text}]",
                    f"sum(A[{p.text}])",
                    f"w[n - 1 - {p.text}]",
                    f"w[{p.text}*7 % n]",
                ]
                found += [f"sum({self.slice(p.text)})", f"w[{p.text}//2]"]
            if p.dim == "d":
                found += [f"x[{p.text}]", f"x[(3*{p.text} + 1) % d]"]
        rows, entries, columns = self.at("n"), self.at("nnz"), self.at("d")
        if rows and entries:
            found += [f"A[{self.pick(rows)}, col[{self.pick(entries)}]]"] * 2
        if rows and columns:
            found += [f"A[{self.pick(rows)}, {self.pick(columns)}]"] * 2
        found += self.numbers * 2
        return str(self.pick(found[1:] or found))

    def with_inputs(self, text: str) -> Program:
        rng = np.random.default_rng(self.random.randrange(1 << 16))
        n, d = self.pick((3, 4, 2, 5, 1, 3 if "softmax" in text or "mean" in text else 0)), self.pick((3, 2, 4, 1))
        counts = rng.integers(0, 4, n)
        nnz = int(counts.sum())
        inputs = {
            "val": rng.normal(size=nnz),
            "x": rng.normal(size=d),
            "y": rng.normal(size=n),
            "w": rng.normal(size=n),
            "A": rng.normal(size=(n, d)),
            "col": rng.integers(0, d, nnz),
            "start": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            "lo": rng.integers(-3, 5, n),
            "hi": rng.integers(-3, 6, n),
            "k": int(rng.integers(0, n + 1)),
        }
        return Program(HEAD + text, inputs, {"nnz": nnz, "d": d, "n": n}, True)


def generate(seed: int) -> Program:
    return Ranges(seed).program()
