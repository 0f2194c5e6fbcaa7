"""Random programs of the whole language, with inputs that fit them.

A program is grown from its result downwards: `expr(shape)` picks a construct whose value has that shape and grows its
operands. Each module below adds constructs: `random_expressions`, `random_loops`, `random_functions`,
`random_statements`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from random_draws import DIMS, Choices, Drawn, Program, Seeded, Shape, T, size
from random_expressions import REDUCERS, SAFE
from random_statements import SCALARS, Statements

__all__ = ["REDUCERS", "SAFE", "Choices", "Drawn", "Program", "Seeded", "Shape", "T", "generate", "size"]


@dataclass
class Generator(Statements):
    def program(self) -> Program:
        lines: list[str] = []
        for _ in range(self.pick((0, 0, 0, 1, 1, 2, 3))):
            lines += self.helper()
        for _ in range(self.choices.integer(0, 4)):
            lines += self.statement()
        if self.chance(10):
            self.budget = 5
            condition = self.pick(SCALARS).format(self.expr(()), self.expr(()))
            lines += [f"if {condition}:", f"    return {self.expr(())}"]
        self.budget = 8
        result = self._result()
        return self._with_inputs("\n".join([*lines, result]))

    def _result(self) -> str:
        shape = self.shape()
        total = self.expr(shape)
        terms = [f"{self.pick(('sum', 'mean'))}({total})" if shape else total]
        for name, own in self.floats.items():
            if name.startswith("v") and self.chance(60):
                terms.append(f"{self.pick(('sum', 'mean'))}({name})" if own else name)
        return " + ".join(terms)

    def _declaration(self, name: str) -> str:
        kind, shape, _ = self.declared[name]
        return f"{name}: {kind}" + (f"[{', '.join(shape)}]" if shape else "")

    def _with_inputs(self, text: str) -> Program:
        if self.chance(25):  # all dims the same: square arrays, axes that have to be told apart
            text, merged = re.sub(r"\b[dK]\b", "n", text), re.compile(r"\b[dK]\b")
            for name, (kind, shape, limit) in self.declared.items():
                self.declared[name] = (kind, tuple(merged.sub("n", c) for c in shape), merged.sub("n", limit))
        declarations = [self._declaration(name) for name in self.declared]
        text = "\n".join([*declarations, text])
        used = {c for _, shape, _ in self.declared.values() for c in shape}
        needed = [d for d in DIMS if re.search(rf"\b{d}\b", text)]
        spare = [d for d in DIMS if d in needed and d not in used]
        spares = [f"spare_{d}: data[{d}]" for d in spare]
        dims = {d: self.pick((2, 3, 4, 2, 3, 4, 1) if d == "n" else (2, 3, 1, 4)) for d in needed}
        if self.chance(4) and dims:
            dims[self.pick(list(dims))] = 0
        if dims.get("n") == 0 and "n-1" in text:
            dims["n"] = 1
        random = np.random.default_rng(self.choices.integer(0, 65535))
        smooth = not self.chance(10)
        inputs: dict[str, Any] = {f"spare_{d}": np.zeros(dims[d]) for d in spare}
        for name, (kind, shape, limit) in self.declared.items():
            sizes = tuple(size(c, dims) for c in shape)
            if kind == "index":
                inputs[name] = _positions(random, sizes, limit, dims)
            else:
                inputs[name] = random.normal(size=sizes) if smooth else random.integers(-1, 3, sizes).astype(float)
            if not shape:
                inputs[name] = inputs[name].item() if hasattr(inputs[name], "item") else inputs[name]
        return Program("\n".join([*spares, text]), inputs, dims, smooth)


def _positions(random: np.random.Generator, sizes: tuple[int, ...], limit: str, dims: dict[str, int]) -> Any:
    """Positions below a length, or rising bounds within it."""
    top = size(limit.removeprefix("rising "), dict.fromkeys(DIMS, 1) | dims)
    if limit.startswith("rising"):
        return np.sort(random.integers(0, top + 1, sizes))
    if top == 0 and int(np.prod(sizes)):
        top = 1
    return random.integers(0, max(top, 1), sizes)


def generate(choices: Choices) -> Program:
    return Generator(choices).program()
