"""The finished graph, with its derivatives: cheaper forms, shared exponentials, no more `stop` nodes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gradc.algebra import is_const
from gradc.build import Builder
from gradc.extents import Index
from gradc.ir import Node, reachable
from gradc.program import Provenance
from gradc.rewrite.rebuild import rebuild

FAR = 2.0
"""From here on the logarithm of a sum has the digits of the sum."""
LOGISTIC = ("sigmoid", "log_sigmoid", "softplus")


def without_stops(build: Builder, provenance: Provenance, roots: list[Node]) -> list[Node]:
    """Once everything is differentiated, a value with no derivative is a value like any other."""
    done = rebuild(build, provenance, roots, ("stop",), lambda b, op, args, old: (args[0], ""))
    return [done[r] for r in roots]


def condense(build: Builder, provenance: Provenance, roots: list[Node]) -> list[Node]:
    """Cheaper forms of values whose derivatives are there already: from these the derivatives would lose digits."""
    if "log_sigmoid" not in build.graph.ops:
        return roots
    done = rebuild(build, provenance, roots, ("add",), _condensed)
    return [done[r] for r in roots]


def _condensed(build: Builder, op: str, args: tuple[Node, ...], old: Node) -> tuple[Node, str] | None:
    """t*log_sigmoid(z) + (1 - t)*log_sigmoid(-z), where one of the linear parts is always 0, with the other alone."""
    if op != "add" or any(a.op != "mul" or a.args[1].op != "log_sigmoid" for a in args):
        return None
    for (t, yes), (rest, no) in ((args[0].args, args[1].args), (args[1].args, args[0].args)):
        z = yes.args[0]
        complement = rest.op == "sub" and is_const(rest.args[0], 1) and rest.args[1] is t
        if complement and z.op != "neg" and build.op("neg", z) is no.args[0]:
            slope = build.select(build.op("ge", z, build.const(0.0)), build.op("neg", rest), t)
            tail = build.op("log1p", build.op("exp", build.op("neg", build.op("abs", z))))
            note = "log(y) and log(1 - y) of y = sigmoid(z), both from one log1p(exp(-abs(z)))"
            return build.op("sub", build.op("mul", slope, z), tail), note
    return None


def by_totals(
    build: Builder, provenance: Provenance, roots: list[Node], row_dim: Callable[[list[Node]], str | None]
) -> list[Node]:
    """log1p(rest) as the logarithm of the whole sum, where that is `FAR` from 1: rest and 1 are a sum of exponentials.

    All digits of a small rest take two sums, and a comparison for every summand. Those are then run only where the one
    sum does not do. It pays for sums of all elements of an input along the rows: what is computed first would have to
    be stored, or computed once more.
    """
    rows = row_dim(reachable(roots)) if "log1p" in build.graph.ops else None
    if rows is None:
        return roots
    done = rebuild(build, provenance, roots, ("log1p", "add"), partial(_by_total, rows))
    return [done[r] for r in roots]


def _by_total(rows: str, build: Builder, op: str, args: tuple[Node, ...], old: Node) -> tuple[Node, str] | None:
    rest = args[0] if op == "log1p" else next((b for a, b in (args, args[::-1]) if is_const(a, 1)), None)
    found = _beside_the_largest(rest) if rest is not None else None
    if rest is None or found is None:
        return None
    over, exponential, is_largest = found
    u, shift = exponential.args[0].args
    if u.op != "input" or not any(rows in i.extent.atoms for i in over):
        return None
    total = build.reduce("sum", over, exponential)
    if op == "add":
        return total, ""
    anew = build.op("exp", build.op("neg", build.op("sub", shift, u)))  # the others may be on their way to a gradient
    beyond = build.reduce("sum", over, build.op("sub", anew, is_largest))
    small = build.op("log1p", build.op("add", beyond, rest.args[1]))
    far = build.op("ge", total, build.const(FAR))
    return build.select(far, build.op("log", total), small), "log(1 + x) computed as log1p(x) where x is small"


def _beside_the_largest(rest: Node) -> tuple[frozenset[Index], Node, Node] | None:
    """The indices, exp(u - shift) and c of sum(exp(u - shift) - c) + (sum(c) - 1); c is 1 for the largest, else 0."""
    if rest.op != "add" or rest.indices or rest.args[0].op != "reduce" or rest.args[1].op != "sub":
        return None
    beyond, (ties, one) = rest.args[0], rest.args[1].args
    if ties.attr != beyond.attr or ties.op != "reduce" or beyond.kind != "sum" or not is_const(one, 1):
        return None
    difference, is_largest = beyond.args[0], ties.args[0]
    if difference.op != "sub" or difference.args[1] is not is_largest:
        return None
    exponential = difference.args[0]
    if exponential.op != "exp" or exponential.args[0].op != "sub" or is_largest.op != "select":
        return None
    is_one_or_zero = is_const(is_largest.args[1], 1) and is_const(is_largest.args[2], 0)
    return (beyond.over, exponential, is_largest) if is_one_or_zero else None


def share_exponentials(build: Builder, provenance: Provenance, roots: list[Node]) -> list[Node]:
    """Where several of sigmoid, softplus and log_sigmoid of one value are needed, one exponential serves them all."""
    families: dict[Node, set[Node]] = {}
    for n in build.graph.having(LOGISTIC, roots):
        families.setdefault(_magnitude(n.args[0]), set()).add(n)
    shared = {n for family in families.values() if len(family) > 1 for n in family}
    if not shared:
        return roots
    done = rebuild(
        build,
        provenance,
        roots,
        LOGISTIC,
        lambda b, op, args, old: (_logistic(b, op, args[0]), "") if old in shared else None,
    )
    return [done[r] for r in roots]


def _logistic(build: Builder, op: str, z: Node) -> Node:
    """sigmoid, softplus or log_sigmoid of ±m by way of exp(-abs(m))."""
    m = _magnitude(z)
    exponential = build.op("exp", build.op("neg", build.op("abs", m)))
    zero, one = build.const(0.0), build.const(1.0)
    if op == "sigmoid":
        large = build.op("div", one, build.op("add", one, exponential))
        small = build.op("mul", exponential, large)
        arms = (large, small) if z is m else (small, large)
        return build.select(build.op("ge", m, zero), *arms)
    tail = build.op("log1p", exponential)
    if op == "softplus":
        return build.op("add", build.op("maximum", z, zero), tail)
    return build.op("sub", build.op("minimum", z, zero), tail)


def _magnitude(z: Node) -> Node:
    return z.args[0] if z.op == "neg" else z
