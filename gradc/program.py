"""A program as the front ends hand it on: declared inputs, the graph of its result, and where everything comes from."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import PurePath
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import astuple

from gradc.errors import Span
from gradc.extents import Index, Poly
from gradc.ir import Graph, Node, Type

Kind = Literal["param", "data", "index"]


class Value(Struct, frozen=True):
    """An array of the language: a node and the order of its axes. `None` is an axis of length 1."""

    node: Node
    axes: tuple[Index | None, ...] = ()

    @property
    def shape(self) -> tuple[Poly, ...]:
        return tuple(Poly.const(1) if a is None else a.extent for a in self.axes)


class Input(Struct, frozen=True):
    """A declared input: its kind, the lengths of its axes (none for a scalar), its default.

    `per_row`: its first axis is the rows over which a whole loss is mapped.
    """

    name: str
    kind: Kind
    shape: tuple[Poly, ...] = ()
    default: float | int | None = None
    span: Span | None = None
    per_row: bool = False

    @property
    def type(self) -> Type:
        return "int" if self.kind == "index" else "float"

    def __str__(self) -> str:
        dims = "[" + ", ".join(map(str, self.shape)) + "]" if self.shape else ""
        return f"{self.name}: {self.kind}{dims}" + ("" if self.default is None else f" = {self.default!r}")


class Origin(Struct, frozen=True):
    """The statement a node comes from, and the name it assigns."""

    text: str
    span: Span | None
    target: str = "result"

    def __str__(self) -> str:
        return f"{self.text}   ({self.place})" if self.span else self.text

    @property
    def place(self) -> str:
        """File and line, without the directories: the same text gives the same code wherever it lies."""
        return f"{_file(self.span.source.name)}:{self.span.line}" if self.span else ""


@cache
def _file(name: str) -> str:
    return PurePath(name).name


class Requirement(Struct, frozen=True):
    """Something that only the sizes of a call can show: two equal lengths, or one number at least another."""

    left: Poly
    relation: Literal["equal", "at least"]
    right: Poly
    message: str
    span: Span | None


class Provenance(Struct):
    """Side tables of a graph: what the user calls a node, where it comes from, whose adjoint it is, a note on it."""

    names: dict[Node, str] = field(default_factory=dict)
    origins: dict[Node, Origin] = field(default_factory=dict)
    adjoint_of: dict[Node, str] = field(default_factory=dict)
    notes: dict[Node, str] = field(default_factory=dict)
    index_names: dict[Index, str] = field(default_factory=dict)

    def copy(self) -> Provenance:
        return Provenance(*map(dict, astuple(self)))

    def inherit(self, new: Node, old: Node) -> None:
        """`new` stands for what `old` stood for; what `new` is already known for wins."""
        for table in (self.names, self.origins, self.adjoint_of, self.notes):
            if old in table:
                table.setdefault(new, table[old])  # type: ignore[arg-type]


class Program(Struct):
    """A parsed program. `requirements` are checked against the sizes of each call."""

    title: str
    inputs: tuple[Input, ...]
    graph: Graph
    result: Value
    provenance: Provenance
    requirements: tuple[Requirement, ...] = ()
    options: dict[str, float | int] = field(default_factory=dict)

    def input(self, name: str) -> Input:
        return next(i for i in self.inputs if i.name == name)

    @property
    def params(self) -> tuple[str, ...]:
        return tuple(i.name for i in self.inputs if i.kind == "param")

    def dims(self) -> Iterator[tuple[str, str, int]]:
        """(dim, input, axis): where each dim name is first bound by an array's shape."""
        seen = set()
        for i in self.inputs:
            for axis, poly in enumerate(i.shape):
                name = str(poly)
                if poly == Poly.atom(name) and name not in seen:
                    seen.add(name)
                    yield name, i.name, axis


class Outline(Struct, frozen=True):
    """What a call needs to know of a program: its inputs, what must hold for them, what it is differentiated by.

    `requirements` are checked against the sizes of each call; `ranges` are index inputs and the lengths they must be
    below. `has_gradient` says whether the result is a number.
    """

    inputs: tuple[Input, ...]
    requirements: tuple[Requirement, ...]
    ranges: tuple[tuple[str, Poly], ...]
    wrt: tuple[str, ...]
    has_gradient: bool


def axes_of(shape: tuple[Poly, ...]) -> tuple[Index, ...]:
    """The canonical indices of an array: the k-th axis of a length always has the k-th index of that length."""
    seen: dict[Poly, int] = {}
    axes = []
    for extent in shape:
        axes.append(Index(extent, seen.get(extent, 0)))
        seen[extent] = seen.get(extent, 0) + 1
    return tuple(axes)
