"""Values that are factors of matrix products: these are stored, however cheap they are, so that they are matrices.

`relu(z[i, j])` in `sum(relu(z[i, j])*B[k, j] for j in ...)` is needed for every k. Computed again for each, it leaves
loops of single multiplications, where a product of matrices keeps the processor three times as busy.
"""

from __future__ import annotations

from collections.abc import Iterable

from gradc.extents import Index
from gradc.ir import Node

SMALL = 8
"""Axes of a fixed length up to this are summed in plain loops."""


def factors(nodes: Iterable[Node]) -> dict[Node, set[Index]]:
    """For each vector or matrix in a product the indices that other factors have, and it has not."""
    found: dict[Node, set[Index]] = {}
    for n in nodes:
        if n.op != "reduce" or n.kind != "sum" or n.args[0].op != "mul":
            continue
        product = n.args[0]
        if any(is_small(i) for i in product.indices):
            continue
        for a, b in (product.args, product.args[::-1]):
            if len(a.indices) <= 2 and n.over & a.indices & b.indices:
                found.setdefault(a, set()).update(b.indices - a.indices)
    return found


def is_small(i: Index) -> bool:
    """Whether a loop is a handful of turns."""
    length = i.extent.constant
    return length is not None and length <= SMALL
