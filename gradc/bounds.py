"""Which subscripts are in range: proved here, checked against the inputs of a call, or checked where they are used."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal
from weakref import WeakKeyDictionary

from gradc.division import divides
from gradc.extents import ONE, Entry, Index, Poly, Term
from gradc.ir import Node

Range = Literal["proved", "call", "kernel"]
TERMS = {"floordiv": "//", "mod": "%", "minimum": "min", "maximum": "max"}


def in_range(subscript: Node, axis: Index) -> Range:
    """How it is known that an integer is a position of an axis.

    "call": it depends on sizes and index scalars alone, or is an element of an index input, so that the call can check
    it beforehand.
    """
    poly = integer_poly(subscript)
    if (poly is not None and is_position(poly, axis)) or _is_digit(subscript, axis):
        return "proved"
    if index_input(subscript) is not None:
        return "kernel" if axis.extent.indices else "call"
    return "kernel" if poly is None or poly.indices or axis.extent.indices else "call"


def is_position(poly: Poly, axis: Index) -> bool:
    """Whether it is proved to be a position of the axis."""
    return poly.is_nonnegative() and (axis.extent - ONE - poly).is_nonnegative()


def index_input(subscript: Node) -> str | None:
    """The name of the index input a subscript is an element of, if it is nothing else."""
    node = subscript.args[0] if subscript.op == "read" else subscript
    return node.name if node.op == "input" else None


def places_of_bounds(indices: Iterable[Index]) -> list[tuple[Entry, Index, Poly]]:
    """The elements of index inputs that the bounds of loops are made of: each with an axis and the place on it."""
    entries = {e for i in indices for e in i.extent.entries}
    return [
        (e, axis, at)
        for e in sorted(entries, key=lambda e: str(Poly.atom(e)))
        for axis, at in zip(e.axes, e.at, strict=True)
        if not is_position(at, axis)
    ]


def needs_guard(node: Node) -> bool:
    """Whether reading here is only safe where it was meant to be read."""
    return any(in_range(e, a) != "proved" for a, e in zip(node.axes, node.subscripts, strict=True))


def checked_here(node: Node) -> list[tuple[Index, Node]]:
    """The (axis, subscript) pairs of a read or place that have to be checked as they are used."""
    pairs = zip(node.axes, node.subscripts, strict=True)
    return [
        (a, e)
        for a, e in pairs
        if (in_range(e, a) == "kernel" or (node.guard is not None and in_range(e, a) != "proved"))
        and not (node.guard is not None and _follows(e, a, node.guard))
    ]


def _is_digit(subscript: Node, axis: Index) -> bool:
    """Whether it is `p % q` on an axis of q or more, or `p // q` where p is below q times the length."""
    if subscript.op not in ("mod", "floordiv") or subscript.type != "int":
        return False
    p, q = subscript.args
    divisor = integer_poly(q)
    if divisor is None or not divisor.is_nonnegative():
        return False
    if subscript.op == "mod":  # by 0 it is 0, which need not be a position
        positive = (divisor - ONE).is_nonnegative() or any(divides(divisor, i.extent) for i in p.indices)
        return positive and (axis.extent - divisor).is_nonnegative()
    dividend = integer_poly(p)
    if dividend is None or not dividend.is_nonnegative():
        return False
    return (axis.extent * divisor - ONE - dividend).is_nonnegative()


def _follows(subscript: Node, axis: Index, guard: Node) -> bool:
    """Whether a condition on loop indices implies that a subscript is in range."""
    poly = integer_poly(subscript)
    if poly is None:
        return False
    facts = _facts(guard)
    return all(
        needed.is_nonnegative() or any((needed - fact).is_nonnegative() for fact in facts)
        for needed in (poly, axis.extent - ONE - poly)
    )


def _facts(condition: Node) -> list[Poly]:
    """Integers that are at least 0 where the condition holds."""
    found: list[Poly] = []
    stack = [(condition, True)]
    while stack:
        n, holds = stack.pop()
        if n.op == "not":
            stack.append((n.args[0], not holds))
        elif n.op == ("and" if holds else "or"):
            stack += [(a, holds) for a in n.args]
        elif n.op in ("lt", "le", "gt", "ge", "eq", "ne"):
            a, b = (integer_poly(e) for e in n.args)
            if a is None or b is None:
                continue
            op = n.op if holds else {"lt": "ge", "le": "gt", "gt": "le", "ge": "lt", "eq": "ne", "ne": "eq"}[n.op]
            if op in ("le", "lt", "eq"):
                found.append(b - a - ONE if op == "lt" else b - a)
            if op in ("ge", "gt", "eq"):
                found.append(a - b - ONE if op == "gt" else a - b)
    return found


def integer_poly(node: Node) -> Poly | None:
    """An integer expression of numbers, dims, loop indices and elements of index inputs; None for any other."""
    stack = [node] if node.type == "int" else []
    while stack:
        n = stack[-1]
        missing = [a for a in n.args if a.type == "int" and a not in _POLYS] if n not in _POLYS else []
        if missing:
            stack += missing
            continue
        stack.pop()
        if n not in _POLYS:
            poly = _poly(n)
            _POLYS[n] = poly if poly is not None and poly.is_manageable else None
    return _POLYS.get(node)


_POLYS: WeakKeyDictionary[Node, Poly | None] = WeakKeyDictionary()
"""What is known of the integers of graphs in use: an expression is looked at once, not with each that is made of it."""


def _poly(n: Node) -> Poly | None:
    """The polynomial of an integer node, those of its arguments being known."""
    if n.op == "const":
        return Poly.const(int(n.value))
    if n.op in ("dim", "index"):
        return Poly.atom(n.name if n.op == "dim" else n.index)
    if n.op == "input":
        return Poly.atom(Entry(n.name, n.axes, tuple(map(Poly.atom, n.axes))))
    if n.op == "read":
        return _element(n)
    if n.op == "select":
        return _wrap(n)
    parts = [p for a in n.args if (p := _POLYS.get(a)) is not None]
    if len(parts) < len(n.args):
        return None
    if n.op in TERMS:
        return Poly.atom(Term(TERMS[n.op], tuple(parts)))
    if n.op == "neg":
        return -parts[0]
    sign = {"add": Poly.__add__, "sub": Poly.__sub__, "mul": Poly.__mul__}.get(n.op)
    return sign(*parts) if sign else None


def _element(n: Node) -> Poly | None:
    """An element of an index input."""
    places = dict(zip(n.axes, map(_POLYS.get, n.subscripts), strict=True))
    if n.args[0].op != "input" or n.guard is not None:
        return None
    at = [places[a] if a in places else Poly.atom(a) for a in n.args[0].axes]
    known = tuple(p for p in at if p is not None)
    return Poly.atom(Entry(n.args[0].name, n.args[0].axes, known)) if len(known) == len(at) else None


def _wrap(n: Node) -> Poly | None:
    """The position that the bound of a slice means."""
    k, end = map(_POLYS.get, n.args[1:])
    return Poly.atom(Term("wrap", (k, end - k))) if _is_wrap(n) and k is not None and end is not None else None


def _is_wrap(n: Node) -> bool:
    """Whether it is `k if k >= 0 else k + size`."""
    test, k, end = n.args
    return test.op == "ge" and test.args[0] is k and test.args[1].op == "const" and end.type == "int"
