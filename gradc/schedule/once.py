"""Values that must not be computed again elsewhere, because somebody relies on getting the same bits.

An element is asked whether it is the largest of all, or how many are zero is counted and each is asked again. Machine
code is free to fuse a product into one sum here and into another there, so that the last bits differ from loop to loop.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradc.algebra import COMPARISONS
from gradc.ir import Node

EXACT = frozenset(
    {"neg", "abs", "sign", "floor", "ceil", "round", "relu", "step", "maximum", "minimum", "select", "stop", "spread"}
)
"""What does not round."""
ROUNDED = frozenset({"add", "sub", "mul", "div", "sqrt"})
"""Of which IEEE says what the result is. That of other functions is up to who computes them."""
ALONE = frozenset({"place", "scatter", "scan", "linear", "output"})
"""What is not computed again, whatever it costs to store; nor is a reduction, where it can be stored."""


def once(nodes: Sequence[Node]) -> set[Node]:
    """The floats that are compared with an extreme, or whose comparisons are counted, if their bits are in doubt.

    `nodes` stand before their users.
    """
    counted = {n.args[0].args[0] for n in nodes if n.op == "reduce" and n.args[0].op == "convert"}
    found: set[Node] = set()
    for n in nodes:
        if n.op in COMPARISONS:
            a, b = n.args
            if _is_extreme(a) or _is_extreme(b) or (n.op == "eq" and n in counted):
                found.update((a, b))
    return found & _doubtful(nodes) if found else found


def _doubtful(nodes: Sequence[Node]) -> set[Node]:
    """The floats that take more from numbers that are there to be read than one operation that IEEE knows."""
    operations: dict[Node, int] = {}
    for n in nodes:
        stored = (n.op in ALONE or n.op == "reduce") and all(i.extent.has_bound for i in n.indices)
        if stored or n.type != "float" or n.op == "convert":
            operations[n] = 0
        elif n.op == "read":
            operations[n] = 0 if n.args[0].indices.intersection(n.axes) else operations[n.args[0]]
        else:
            own = 0 if n.op in EXACT or not n.args else 1 if n.op in ROUNDED else 2
            operations[n] = min(2, own + sum(operations[a] for a in n.args))
    return {n for n, count in operations.items() if count > 1}


def _is_extreme(n: Node) -> bool:
    """Whether this is the largest or smallest of many, perhaps read at a place."""
    while n.op in ("read", "convert", "neg"):
        n = n.args[0]
    return n.op == "reduce" and n.kind in ("max", "min")
