"""Loops over all elements of arrays, whatever axes these have, become one loop over their memory.

`sum(tanh(x)**2)` of an x with three columns is a loop over rows around one over columns, which is too short for
vectors: 11 ns an element, and 3 in one loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import mul

from gradc.extents import Index, Poly
from gradc.loops import Accumulate, Assign, Comment, Element, Expr, Flat, For, Name, Stmt, changed, expressions, parts

Shapes = Mapping[str, tuple[Poly, ...]]


def flattened(loop: For, shapes: Shapes) -> tuple[For, Flat]:
    """The loop over memory and the arrays that it takes as one row of elements; the loop as it is if it is no such."""
    loops, body = nest(loop)
    axes = tuple(Name(inner.variable, "int") for inner in loops)
    lengths = tuple(inner.index.extent for inner in loops)
    if len(loops) == 1 or not all(isinstance(s, Assign | Accumulate | Comment) for s in body):
        return loop, Flat()
    standing = [e for s in body for e in expressions(s)]
    elements = (p for e in standing for p in parts(e) if isinstance(p, Element) and p.at == axes)
    whole = frozenset(e.array for e in elements if shapes.get(e.array) == lengths)

    def goes(e: Expr) -> bool:
        """Whether the expression knows the axes by nothing but elements of whole arrays."""
        if isinstance(e, Element) and e.array in whole:
            return e.at == axes
        return e not in axes and all(map(goes, e.args))

    def flat(e: Expr) -> Expr:
        return Element(e.array, axes[:1], e.type) if isinstance(e, Element) and e.array in whole else e

    if not all(map(goes, standing)):
        return loop, Flat()
    size = reduce(mul, lengths)
    over = For(Index(size, 0), loop.variable, tuple(changed(s, flat) for s in body), guard=loop.guard)
    return over, Flat(tuple(sorted(whole)), size)


def nest(loop: For) -> tuple[list[For], tuple[Stmt, ...]]:
    """The loops that stand in one another, each run whatever those around it are at, and what they do in the end."""
    loops = [loop]
    notes: list[Stmt] = []
    while True:
        inside = [s for s in loops[-1].body if not isinstance(s, Comment)]
        inner = inside[0] if len(inside) == 1 else None
        if not isinstance(inner, For) or inner.guard or inner.bounds or len(inner.index.closure) > 1:
            return loops, (*notes, *loops[-1].body)
        notes += [s for s in loops[-1].body if isinstance(s, Comment)]
        loops.append(inner)
