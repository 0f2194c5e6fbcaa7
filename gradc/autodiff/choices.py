"""What was not chosen has no influence: the larger side of a minimum, a number that only decides which arm is taken.

Its adjoint is 0, and must stay 0 on the way down, past partials that are infinite.
"""

from __future__ import annotations

import math

from gradc.extents import Index
from gradc.ir import Graph, Node, reachable
from gradc.lower.exponentials import shifted_by
from gradc.ops import OPS

BOUNDED = frozenset({"sigmoid", "tanh", "sin", "cos", "arctan", "arctan2", "erf", "erfc", "sign", "step"})
GROWING = frozenset(
    {"add", "sub", "mul", "neg", "abs", "relu", "leaky_relu", "elu", "maximum", "minimum", "floor", "ceil", "round"}
    | {"softplus", "log_sigmoid", "arcsinh", "hypot", "cbrt", "sqrt"}
)
"""Functions that are finite where their arguments are. A square root is, its derivative is not."""


CHOOSING = frozenset({"select", "reduce", "read", "linear", *(name for name, op in OPS.items() if op.chooses)})
"""Without any of these a value that others depend on is used, whatever the inputs are."""


def behind_choices(graph: Graph, root: Node, selects: bool) -> set[Node]:
    """The values whose adjoint may be 0 because something above them was chosen instead, by a `select` or otherwise.

    Or because there is nothing above them, in the turns of a loop where the range inside is empty.
    """
    found: set[Node] = set()
    if graph.ops.isdisjoint(CHOOSING):
        return found
    seen = {root}
    for n in reversed(reachable([root])):
        if n in seen:
            below = differentiated(n)
            seen.update(below)
            chooses = n.op in OPS and OPS[n.op].chooses
            if chooses or n in found or n.kind in ("max", "min") or (selects and n.op == "select"):
                found.update(below)
            else:
                found.update(a for a in below if _has_ragged(n.indices - a.indices))
    return found


def _has_ragged(indices: frozenset[Index]) -> bool:
    """Whether some turns of a loop may have no range to run along: what is used there alone is not used at all."""
    return any(i.extent.indices or i.extent.entries for i in indices)


def _is_length(n: Node) -> bool:
    """Whether it is the length of an axis, or a product of two."""
    factors = n.args if n.op == "mul" else (n,)
    return all(f.op == "dim" or (f.op == "convert" and f.args[0].op == "dim") for f in factors)


def differentiated(n: Node) -> tuple[Node, ...]:
    """The arguments that the adjoint of a node goes on to."""
    if n.op == "stop" or n.type != "float":
        return ()
    if n.op in OPS:
        return tuple(a for a, partial in zip(n.args, OPS[n.op].partials, strict=True) if partial is not None)
    if n.op in ("read", "place", "reduce"):
        return n.args[:1]
    return n.args[1:] if n.op == "select" else n.args


class Moderate:
    """Which values are finite wherever the inputs are, short of products that leave the range of floats.

    The adjoint 0 times such a value is 0. Division, exponentials and logarithms may give more.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._known: list[bool] = []

    def __call__(self, node: Node) -> bool:
        for n in self.graph.nodes[len(self._known) :]:
            self._known.append(self._is(n))
        return self._known[node.number]

    def _is(self, n: Node) -> bool:
        if n.type != "float" or n.op in BOUNDED:
            return True
        if n.op == "const":
            return math.isfinite(n.value)
        if n.op == "exp" and shifted_by(n.args[0]) is not None:
            return True  # at most 1, in what it is a term of
        if n.op == "div" and _is_length(n.args[1]):
            return self._known[n.args[0].number]  # over an empty axis there is nothing to be multiplied by it
        if n.op == "linear" or (n.op in OPS and n.op not in GROWING):
            return False
        return all(self._known[a.number] for a in n.args)
