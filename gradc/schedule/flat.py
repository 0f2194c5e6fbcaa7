"""Loops in loops over the first axes of arrays, which nothing else tells apart, become one loop over longer rows.

`sum(tanh(x)**2)` of an x with three columns is a loop over rows around one over columns, which is too short for
vectors: 11 ns an element, and 3 in one loop over memory. `x[i, j, k]*W[k, l]` for all i and j is a matrix product once
there is one row for each i and j.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import mul

from msgspec.structs import replace

from gradc.extents import Index, Poly
from gradc.loops import (
    Accumulate,
    Assign,
    Comment,
    Element,
    Expr,
    Fill,
    Flat,
    For,
    Name,
    Stmt,
    changed,
    expressions,
    parts,
    walk,
)

Shapes = Mapping[str, tuple[Poly, ...]]


def flattened(loop: For, shapes: Shapes) -> tuple[For, Flat]:
    """The loop over longer rows, and the arrays whose first axes become one; the loop as it is if it is no such."""
    loops, _ = nest(loop)
    for depth in range(len(loops), 1, -1):
        found = _flattened(loops[:depth], shapes)
        if found is not None:
            return found
    return loop, Flat()


def _flattened(loops: list[For], shapes: Shapes) -> tuple[For, Flat] | None:
    body = inside(loops)
    statements = [s for s, _ in walk(body)]
    if not all(isinstance(s, Assign | Accumulate | Fill | Comment | For) for s in statements):
        return None
    if not all(inner.index.extent.is_nonnegative() for inner in loops):
        return None  # of two lengths below 0 the product is none
    depth = len(loops)
    indices = {inner.index for inner in loops}
    axes = tuple(Name(inner.variable, "int") for inner in loops)
    lengths = tuple(inner.index.extent for inner in loops)
    standing = [e for s in statements for e in expressions(s)]
    elements = (p for e in standing for p in parts(e) if isinstance(p, Element) and p.at[:depth] == axes)
    whole = sorted({e.array for e in elements if e.array in shapes and shapes[e.array][:depth] == lengths})

    def flat(e: Expr) -> Expr:
        return Element(e.array, (axes[0], *e.at[depth:]), e.type) if isinstance(e, Element) and e.array in whole else e

    known = dict.fromkeys(whole, axes)
    if not whole or not all(goes(e, axes, known) for e in standing):
        return None
    if any(isinstance(s, Fill) and s.array in whole for s in statements):
        return None
    if any(isinstance(s, For) and s.index.closure & indices for s in statements):
        return None

    def rewritten(s: Stmt) -> Stmt:
        new = changed(s, flat)
        return replace(new, body=tuple(map(rewritten, new.body))) if isinstance(new, For) else new

    size = reduce(mul, lengths)
    over = For(Index(size, 0), loops[0].variable, tuple(map(rewritten, body)), guard=loops[0].guard)
    return over, Flat(size, {array: shapes[array][depth:] for array in whole})


def goes(e: Expr, axes: Sequence[Name], known: Mapping[str, tuple[Expr, ...]]) -> bool:
    """Whether an expression knows the axes by nothing but elements of these arrays, each at these first subscripts."""
    if isinstance(e, Element) and e.array in known:
        first = known[e.array]
        return e.at[: len(first)] == first and all(goes(a, axes, known) for a in e.at[len(first) :])
    return e not in axes and all(goes(a, axes, known) for a in e.args)


def nest(loop: For) -> tuple[list[For], tuple[Stmt, ...]]:
    """The loops that stand in one another, each run whatever those around it are at, and what they do in the end."""
    loops = [loop]
    while True:
        plain = [s for s in loops[-1].body if not isinstance(s, Comment)]
        inner = plain[0] if len(plain) == 1 else None
        if not isinstance(inner, For) or inner.guard or inner.bounds or len(inner.index.closure) > 1:
            return loops, inside(loops)
        loops.append(inner)


def inside(loops: list[For]) -> tuple[Stmt, ...]:
    """What stands in the innermost of loops that stand in one another, and the comments before it."""
    notes = (s for outer in loops[:-1] for s in outer.body if isinstance(s, Comment))
    return (*notes, *loops[-1].body)
