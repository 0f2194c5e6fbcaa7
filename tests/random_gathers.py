"""Random gathers: by several arrays of positions that are broadcast, along axes that the value has or has not.

Positions are as long as other axes of the value, which are then called by the same dim: what is an axis of the value,
and what one of the positions, can be confused.
"""

from __future__ import annotations

import numpy as np
from random_draws import Program, Seeded, Shape

DIMS = {"n": 3, "d": 4, "K": 2}
MOST_AXES = 5


class Gathers:
    def __init__(self, seed: int) -> None:
        self.choices, self.random = Seeded(seed), np.random.default_rng(seed)
        self.heading: list[str] = []
        self.program = Program("", {}, dict(DIMS), True)

    def chance(self, percent: int) -> bool:
        return self.choices.integer(1, 100) <= percent

    def dim(self, among: Shape = tuple(DIMS)) -> str:
        return among[self.choices.integer(0, len(among) - 1)]

    def made(self) -> Program:
        text, shape = self.value(self.choices.integer(2, 4))
        total = text
        if shape:
            forms = ("sum({0})", "sum({0})", "sum(sin({0}))", "sum(sum({0}, axis=0)**2)", "sum({0}*{1})")
            form = forms[self.choices.integer(0, len(forms) - 1)]
            total = form.format(text, self.param(shape) if "{1}" in form else "")
        spares = [self.param((dim,)) for dim in DIMS]  # a dim is some array's
        self.program.text = "\n".join([*self.heading, " + ".join([total, *(f"sum({s})" for s in spares)])])
        return self.program

    def declared(self, kind: str, shape: Shape) -> str:
        name = f"x{len(self.heading)}"
        self.heading.append(f"{name}: {kind}" + (f"[{', '.join(shape)}]" if shape else ""))
        return name

    def param(self, shape: Shape) -> str:
        name = self.declared("param", shape)
        values = self.random.normal(size=_sizes(shape))
        self.program.inputs[name] = values if shape else float(values)
        return name

    def positions(self, shape: Shape, length: int) -> str:
        name = self.declared("index", shape)
        values = self.random.integers(0, length, _sizes(shape))
        self.program.inputs[name] = values if shape else int(values)
        return name

    def value(self, depth: int) -> tuple[str, Shape]:
        if not depth:
            shape = tuple(self.dim() for _ in range(self.choices.integer(1, 2)))
            name = self.param(shape)
            return ("{0}", "{0}*{0}", "sin({0})")[self.choices.integer(0, 2)].format(name), shape
        text, shape = self.value(depth - 1)
        if len(shape) < 3 and (not shape or self.chance(40)):
            dim = self.dim()
            return f"[{text} for k{depth} in range({dim})]", (dim, *shape)
        if self.chance(10):
            return f"({text})*{self.param(shape)}", shape
        if self.chance(5):
            return f"({text})[::-1]", shape
        gathered = self.gather(text, shape)
        return gathered if len(gathered[1]) <= MOST_AXES else (text, shape)

    def gather(self, text: str, shape: Shape) -> tuple[str, Shape]:
        """Neighbouring axes are read at positions: where there are several such groups, NumPy puts theirs first."""
        first = self.choices.integer(0, len(shape) - 1)
        last = self.choices.integer(first, len(shape) - 1)
        common = tuple(self.dim((*shape, "2")) for _ in range(self.choices.integer(1, 2)))
        own = [self.broadcast(common) for _ in range(first, last + 1)]
        subscripts = [":"] * len(shape)
        for axis, positions in enumerate(own, first):
            subscripts[axis] = self.positions(positions, _sizes(shape)[axis])
        result = [next((s[k] for s in own if len(s) >= -k and s[k] != "1"), "1") for k in range(-max(map(len, own)), 0)]
        return f"({text})[{', '.join(subscripts)}]", (*shape[:first], *result, *shape[last + 1 :])

    def broadcast(self, common: Shape) -> Shape:
        """A shape that is broadcast to the common one."""
        shape = tuple("1" if self.chance(50) else length for length in common)
        while shape[:1] == ("1",) and self.chance(70):
            shape = shape[1:]
        return shape


def _sizes(shape: Shape) -> list[int]:
    return [DIMS[length] if length in DIMS else int(length) for length in shape]


def generate(seed: int) -> Program:
    return Gathers(seed).made()
