"""Random statements: assignments, `if`, helpers, derivatives of helpers; and calls of those helpers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from random_draws import Shape
from random_expressions import CONDITIONS, Maker
from random_functions import Functions

SCALARS = ("{0} > {1}", "{0} <= 0", "{0} > 0 and {1} > 0", "{0} > 0 or {1} < 0", "not {0} > 0.3", "-1 < {0} < 1")


@dataclass
class Helper:
    """A helper by its name, the shapes of its parameters, how many have defaults, and the shape of its result."""

    name: str
    params: dict[str, Shape]
    defaults: int
    result: Shape


@dataclass
class Statements(Functions):
    """Programs' lines. What helpers are there may be called in any expression behind them."""

    helpers: list[Helper] = field(default_factory=list)
    targets: int = 0
    in_helper: bool = False

    # calls

    def makers(self, shape: Shape) -> list[Maker]:
        makers = super().makers(shape)
        if any(h.result == shape for h in self.helpers):
            makers += [self.call] * 3
        if any(h.result == () and shape in h.params.values() for h in self.helpers):
            makers += [self.derivative] * 4
        return makers

    def call(self, shape: Shape) -> str:
        helper = self.pick([h for h in self.helpers if h.result == shape])
        return f"{helper.name}({self.arguments(helper)})"

    def derivative(self, shape: Shape) -> str:
        found = [h for h in self.helpers if h.result == () and shape in h.params.values()]
        helper = self.pick(found)
        k = self.pick([k for k, own in enumerate(helper.params.values()) if own == shape])
        by = "" if k == 0 and self.chance(70) else self.pick((f", {k}", f", k={k}"))
        function = f"grad({helper.name}{by})"
        if shape == () and self.chance(20):
            function = f"grad({function}, {k})"
        return f"{function}({self.arguments(helper)})"

    def arguments(self, helper: Helper) -> str:
        texts = [(name, self.expr(own)) for name, own in helper.params.items()]
        if helper.defaults and self.chance(50):
            texts.pop()
        if self.chance(25):
            return ", ".join(f"{name}={text}" for name, text in reversed(texts))
        return ", ".join(text for _, text in texts)

    # statements

    def target(self) -> str:
        self.targets += 1
        return f"v{self.targets}"

    def statement(self, depth: int = 0) -> list[str]:
        """Lines, the names they assign being known behind them."""
        if depth < 2 and self.chance(35):
            return self.if_statement(depth)
        self.budget = 10 - 3 * depth
        own = [name for name in self.floats if name not in self.declared and name[0] in "vh"]
        if own and self.chance(15):
            name = self.pick(own)
            text = self.expr(self.floats[name])
            return [
                self.pick(("{0} += {1}", "{0} -= {1}", "{0} = {0}*tanh({1})", "{0} *= sin({1})")).format(name, text)
            ]
        if self.chance(25) and not self.helpers and depth == 0 and not self.in_helper and self.floats:
            name, shape = self.pick(list(self.floats)), self.shape()  # a name may get another shape
            text = self.expr(shape)
        else:
            shape = self.shape()
            text = self.expr(shape)
            name = self.target()
        self.floats[name] = shape
        return [f"{name} = {text}"]

    def if_statement(self, depth: int) -> list[str]:
        """Arms that assign the same names, or names there are; some under conditions on arrays, element by element."""
        self.budget = 6
        old = [name for name in self.floats if name not in self.declared and name[0] in "vh"]
        if old and self.chance(50):
            name = self.pick(old)
            shape = self.floats[name]
        else:
            name, shape = self.target(), self.shape(2)
        known = name in self.floats
        lines: list[str] = []
        one_by_one = False
        for k in range(self.pick((1, 1, 2))):
            self.budget = 4
            narrow = self.narrower(shape) if self.chance(40) else ()
            if any(c == "1" for c in narrow):
                narrow = ()
            one_by_one = one_by_one or narrow != ()
            template = self.pick(CONDITIONS if narrow else SCALARS)
            condition = template.format(self.expr(narrow), self.expr(narrow))
            lines += [f"{'el' if k else ''}if {condition}:", *self.arm(name, shape, depth, not one_by_one)]
        if not known or self.chance(60):
            lines += ["else:", *self.arm(name, shape, depth, not one_by_one)]
        self.floats[name] = shape
        return lines

    def arm(self, name: str, shape: Shape, depth: int, whole: bool) -> list[str]:
        """Lines that assign the name; others too, if the arm is taken as a whole or not at all."""
        with self.scope(dict(self.floats)):
            lines = self.statement(depth + 1) if self.chance(30) and whole else []
            self.budget = 5
            lines.append(f"{name} = {self.expr(shape)}")
        return [f"    {line}" for line in lines]

    @contextmanager
    def scope(self, floats: dict[str, Shape]) -> Iterator[None]:
        """Names that are known for a while; inputs declared meanwhile stay known."""
        outer, before = self.floats, set(self.declared)
        self.floats = floats
        yield
        self.floats = outer
        outer.update({n: own for n, own in floats.items() if n in self.declared and n not in before})

    # helpers

    def helper(self) -> list[str]:
        """A definition. Its body sees its parameters and the inputs; it stops no gradient."""
        count = len(self.helpers) + 1
        params = {f"p{count}{c}": self.shape(2) for c in "abc"[: self.pick((1, 2, 2, 3))]}
        with_default = int(self.chance(30))
        if with_default:
            params[f"p{count}d"] = ()
        result = () if self.chance(60) else self.shape(2)
        inputs = {n: own for n, own in self.floats.items() if n in self.declared}
        stops, self.stops, self.in_helper = self.stops, False, True
        targets, self.targets = self.targets, 100 * count
        with self.scope({**(inputs if self.chance(50) else {}), **params}):
            lines = ["'a helper'"] if self.chance(10) else []
            for _ in range(self.choices.integer(0, 2)):
                lines += self.statement(1)
            if self.chance(25):
                self.budget = 4
                condition = self.pick(SCALARS).format(self.expr(()), self.expr(()))
                lines += [f"if {condition}:", f"    return {self.expr(result)}"]
            self.budget = 8
            lines.append(f"return {self.expr(result)}")
        self.stops, self.in_helper, self.targets = stops, False, targets
        self.helpers.append(Helper(f"f{count}", params, with_default, result))
        names = [f"{n}=0.7" if with_default and own == () and n.endswith("d") else n for n, own in params.items()]
        return [f"def f{count}({', '.join(names)}):", *(f"    {line}" for line in lines)]
