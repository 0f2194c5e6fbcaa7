"""Which subscripts are in range: proved here, checked against the inputs of a call, or checked where they are used."""

from __future__ import annotations

from typing import Literal

from gradc.build import integer_poly
from gradc.extents import ONE, Index
from gradc.ir import Node

Range = Literal["proved", "call", "kernel"]


def in_range(subscript: Node, axis: Index) -> Range:
    """How it is known that an integer is a position of an axis.

    "call": it depends on sizes alone, or is an element of an index input, so that the call can check it beforehand.
    """
    poly = integer_poly(subscript)
    if poly is not None:
        if poly.is_nonnegative() and (axis.extent - ONE - poly).is_nonnegative():
            return "proved"
        return "kernel" if poly.indices else "call"
    return "call" if index_input(subscript) is not None and not axis.extent.indices else "kernel"


def index_input(subscript: Node) -> str | None:
    """The name of the index input a subscript is an element of, if it is nothing else."""
    node = subscript.args[0] if subscript.op == "read" else subscript
    return node.name if node.op == "input" else None


def needs_guard(node: Node) -> bool:
    """Whether reading here is only safe where it was meant to be read."""
    return any(in_range(e, a) != "proved" for a, e in zip(node.axes, node.subscripts, strict=True))


def checked_here(node: Node) -> list[tuple[Index, Node]]:
    """The (axis, subscript) pairs of a read or place that have to be checked as they are used."""
    pairs = zip(node.axes, node.subscripts, strict=True)
    return [
        (a, e)
        for a, e in pairs
        if in_range(e, a) == "kernel" or (node.guard is not None and in_range(e, a) != "proved")
    ]
