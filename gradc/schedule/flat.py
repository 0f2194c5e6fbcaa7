"""Loops over all elements of arrays, whatever axes these have, become one loop over their memory.

`sum(tanh(x)**2)` of an x with three columns is a loop over rows around one over columns, which is too short for
vectors: 11 ns an element, and 3 in one loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import mul

from gradc.extents import Index, Poly
from gradc.loops import Accumulate, Assign, Comment, Element, Expr, For, Name, changed, expressions, parts

Shapes = Mapping[str, tuple[Poly, ...]]


def flattened(loop: For, shapes: Shapes) -> tuple[For, frozenset[str]]:
    """The loop over memory and the arrays that it takes as one row of elements; the loop as it is if it is no such."""
    nest = _nest(loop)
    axes = tuple(Name(inner.variable, "int") for inner in nest)
    lengths = tuple(inner.index.extent for inner in nest)
    body = (*(s for outer in nest[:-1] for s in outer.body if isinstance(s, Comment)), *nest[-1].body)
    if len(nest) == 1 or not all(isinstance(s, Assign | Accumulate | Comment) for s in body):
        return loop, frozenset()
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
        return loop, frozenset()
    index = Index(reduce(mul, lengths), 0)
    return For(index, loop.variable, tuple(changed(s, flat) for s in body), guard=loop.guard), whole


def _nest(loop: For) -> list[For]:
    """The loops that stand in one another with nothing between them, each run whatever those around it are at."""
    nest = [loop]
    while True:
        inside = [s for s in nest[-1].body if not isinstance(s, Comment)]
        inner = inside[0] if len(inside) == 1 else None
        if not isinstance(inner, For) or inner.guard or inner.bounds or len(inner.index.closure) > 1:
            return nest
        nest.append(inner)
