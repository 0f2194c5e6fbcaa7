"""What adjoints do with choices: sums of them, multiples, and the two arms of a `select`.

An adjoint is 0 where something else was chosen. That condition is kept outermost and written once, whatever is
computed under it, so that each arm reads like the adjoint of a program without the choice.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from gradc.build import Builder
from gradc.ir import Node

MOST_CHOICES = 8
"""Choices inside one another that are taken apart and made anew; a longer chain would grow with each that is added."""


class Arms:
    """Builds adjoints that are, or are made of, choices between a value and 0."""

    def __init__(self, build: Builder) -> None:
        self.build = build
        self.zero = build.const(0.0)

    def added(self, summands: Sequence[Node], choices: int = MOST_CHOICES) -> Node:
        """Their sum: equal ones as one product, what one condition chooses, and is 0 otherwise, as one choice."""
        alike: dict[object, list[Node]] = {}
        for s in summands:
            chosen = choices and s.op == "select" and self.zero in s.args[1:]
            alike.setdefault(self._decided_by(s) if chosen else s, []).append(s)
        total: Node | None = None
        for same in alike.values():
            summand = same[0]
            if same.count(summand) == len(same) > 1:
                summand = self.build.op("mul", self.build.const(float(len(same))), summand)
            elif len(same) > 1:
                summand = self._chosen(same, choices - 1)
            total = summand if total is None else self.build.op("add", total, summand)
        assert total is not None
        return total

    def _chosen(self, same: Sequence[Node], choices: int) -> Node:
        """The sum of choices by one condition."""
        opened = [self._opened(s) for s in same]
        chosen_by = min((condition for condition, _ in opened), key=lambda c: c.op == "ne")
        arms: tuple[list[Node], list[Node]] = ([], [])
        for condition, values in opened:
            for arm, value in zip(arms, values if condition.op == chosen_by.op else values[::-1], strict=True):
                arm += [] if value is self.zero else [value]
        return self.build.select(chosen_by, *(self.added(arm, choices) if arm else self.zero for arm in arms))

    def _opened(self, choice: Node) -> tuple[Node, tuple[Node, Node]]:
        """The condition and the arms; of several conditions the first, with the others inside."""
        condition, a, b = choice.args
        outermost, others = self._outermost(choice), None
        while condition is not outermost:
            condition, inner = condition.args
            others = inner if others is None else self.build.op("and", inner, others)
        if others is not None:
            a = self.build.select(others, a, self.zero)
        return condition, (a, b)

    def _outermost(self, choice: Node) -> Node:
        """The first of the conditions that must hold for a choice not to be 0; all of them, if they are many."""
        condition = choice.args[0]
        for _ in range(MOST_CHOICES):
            if condition.op != "and" or choice.args[2] is not self.zero:
                return condition
            condition = condition.args[0]
        return choice.args[0]

    def _decided_by(self, choice: Node) -> object:
        """What tells which arm is taken: the same for x == y and x != y, in either order."""
        condition = self._outermost(choice)
        return frozenset(condition.args) if condition.op in ("eq", "ne") else condition

    def times(self, bar: Node, factor: Node) -> Node | None:
        """bar*factor for a number; None for 0. Where a bar is 0 it stays so: its choices stay outside."""
        core, layers = self.layers(bar)
        scaled = self.scaled(core, factor)
        return None if scaled is None else self.wrapped(scaled, layers)

    def scaled(self, bar: Node, factor: Node, choices: int = MOST_CHOICES) -> Node | None:
        """bar*factor; None for 0. A choice between factors is a choice between products: 0*inf never arises."""
        if factor.op == "select" and choices:
            a, b = (self.scaled(bar, f, choices - 1) or self.zero for f in factor.args[1:])
            return self.build.select(factor.args[0], a, b)
        if factor.op == "const" and factor.value == 0:
            return None
        if factor.op == "div" and factor.args[0].op == "const" and factor.args[0].value == 1:
            return self.build.op("div", bar, factor.args[1])
        return self.build.op("mul", bar, factor)

    def divided(self, condition: Node, bar: Node) -> tuple[Node, Node]:
        """The adjoints of both arms. What the bar is chosen by stays outside: where it is 0, no condition matters."""
        core, layers = self.layers(bar)
        return (
            self.wrapped(self.build.select(condition, core, self.zero), layers),
            self.wrapped(self.build.select(condition, self.zero, core), layers),
        )

    def inside(self, bar: Node, holds: Container[Node], fails: Container[Node]) -> Node:
        """The bar as it is where these conditions hold and those do not."""
        return self.wrapped(*self.layers(bar, holds, fails))

    def layers(self, bar: Node, holds: Container[Node] = (), fails: Container[Node] = ()) -> tuple[Node, list[Node]]:
        """What is left of a bar without the choices that may make it 0, and these, outermost first.

        Where the one condition holds and the other does not, there is no choice.
        """
        layers: list[Node] = []
        while bar.op == "select" and len(layers) < MOST_CHOICES:
            condition, a, b = bar.args
            if condition in holds or condition in fails:
                bar = a if condition in holds else b
            elif self.zero in (a, b):
                layers.append(bar)
                bar = b if a is self.zero else a
            else:
                break
        return bar, layers

    def wrapped(self, core: Node, layers: list[Node]) -> Node:
        for x in reversed(layers):
            arms = (self.zero, core) if x.args[1] is self.zero else (core, self.zero)
            core = self.build.select(x.args[0], *arms)
        return core
