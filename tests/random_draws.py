"""What random programs are drawn from, and what is drawn: choices, lengths of axes, a text with inputs that fit it.

Lengths are texts ("n", "n-1", "2"), so that equal texts are equal lengths. Choices are drawn from a `Choices`, the
simplest first: drawn by Hypothesis, failing programs shrink.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Shape = tuple[str, ...]
DIMS = ("n", "d", "K")
PLAIN = ("n", "d", "K", "2", "3")
LENGTHS = (*PLAIN, "1", "n-1", "2*d", "(n+1)//2", "n+d")
NAMES = (*"abcfghmopqrstuwxyz", *(f"y{k}" for k in range(200)))


class Choices(Protocol):
    """Where decisions come from. Smaller numbers are simpler."""

    def integer(self, low: int, high: int) -> int: ...


class Seeded:
    """Decisions of a seeded generator: fast, and does not shrink."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def integer(self, low: int, high: int) -> int:
        return self.random.randint(low, high)


class Drawn:
    """Decisions drawn by Hypothesis."""

    def __init__(self, draw: Callable[[Any], int], integers: Callable[[int, int], Any]) -> None:
        self.draw, self.integers = draw, integers

    def integer(self, low: int, high: int) -> int:
        return self.draw(self.integers(low, high))


@dataclass
class Program:
    """A text, inputs for it, and the sizes of its dims. `smooth` if the inputs are in general position."""

    text: str
    inputs: dict[str, Any]
    dims: dict[str, int]
    smooth: bool

    def __str__(self) -> str:
        lines = [self.text, "", *(f"{k} = {v!r}" for k, v in (self.dims | self.inputs).items())]
        return "\n".join(lines)

    __repr__ = __str__

    @property
    def is_empty(self) -> bool:
        """Whether some axis may have no elements."""
        return any(size < 2 for size in self.dims.values())


@dataclass
class Index:
    """An integer expression that is a position on axes of some length."""

    text: str
    length: str


def size(length: str, dims: dict[str, int]) -> int:
    """The number a length stands for."""
    return max(0, eval(length, {}, dims))
