"""Which subscripts are in range: proved here, checked against the inputs of a call, or checked where they are used."""

from __future__ import annotations

from typing import Literal

from gradc.extents import ONE, Index, Poly, Term
from gradc.ir import Node, reachable

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


def integer_poly(node: Node) -> Poly | None:
    """An integer expression of numbers, dims and loop indices as a polynomial; None if it reads data."""
    if node.type != "int":
        return None
    polys: dict[Node, Poly] = {}
    for n in reachable([node]):
        if n.op == "const":
            poly = Poly.const(int(n.value))
        elif n.op in ("dim", "index"):
            poly = Poly.atom(n.name if n.op == "dim" else n.index)
        elif n.op in ("add", "sub", "mul", "neg", "floordiv", "minimum", "maximum") and all(a in polys for a in n.args):
            parts = [polys[a] for a in n.args]
            if n.op in ("floordiv", "minimum", "maximum"):
                poly = Poly.atom(Term({"floordiv": "//", "minimum": "min", "maximum": "max"}[n.op], tuple(parts)))
            elif n.op == "neg":
                poly = -parts[0]
            else:
                sign = {"add": Poly.__add__, "sub": Poly.__sub__, "mul": Poly.__mul__}[n.op]
                poly = sign(*parts)
        else:
            return None
        if not poly.is_manageable:
            return None
        polys[n] = poly
    return polys[node]
