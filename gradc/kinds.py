"""What a declaration says an input is: `param`, `data`, `index` or `option`, with the lengths of its axes."""

from __future__ import annotations

from msgspec import Struct


class Kind(Struct, frozen=True):
    """A kind of input, and its shape: `gradc.param["n", "d"]` annotates an argument of a Python function.

    A length is an integer, the name of a dim, or integer arithmetic on them, in quotes.
    """

    name: str
    shape: tuple[int | str, ...] = ()

    def __getitem__(self, shape: int | str | tuple[int | str, ...]) -> Kind:
        return Kind(self.name, shape if isinstance(shape, tuple) else (shape,))

    def __repr__(self) -> str:
        inside = ", ".join(map(repr, self.shape))
        return f"gradc.{self.name}[{inside}]" if self.shape else f"gradc.{self.name}"


param = Kind("param")
"""A float that is differentiated."""
data = Kind("data")
"""A float that is not differentiated."""
index = Kind("index")
"""A 64-bit integer, not differentiated."""
option = Kind("option")
"""A setting of the compiler, not an input."""

KINDS = tuple(k.name for k in (param, data, index, option))
