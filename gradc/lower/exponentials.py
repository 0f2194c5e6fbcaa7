"""Sums of exponentials, taken apart so that nothing overflows and nothing cancels.

`log(sum(exp(u)))` is computed with the largest exponent taken out of the sum. The largest term is then exactly 1, and
what is added to it is kept apart: `log1p` of a small rest has all its digits, `log` of 1 plus that rest has none.
The same holds for derivatives: where one share of a sum is nearly all of it, 1 minus that share is the other shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from msgspec import Struct
from msgspec.structs import replace

from gradc.build import Builder
from gradc.extents import Index, in_order
from gradc.ir import Node

INF = float("inf")
LARGEST = 709.0
"""The exponential of this is a number."""


class Term(Struct, frozen=True):
    """weight*exp(exponent), summed over some indices where a condition holds; no weight is 1."""

    exponent: Node
    over: tuple[Index, ...] = ()
    weight: Node | None = None
    where: Node | None = None

    @property
    def indices(self) -> frozenset[Index]:
        """What the sum varies along."""
        parts = (p.indices for p in (self.exponent, self.weight, self.where) if p is not None)
        return frozenset().union(*parts) - frozenset(self.over)


def apart(build: Builder, terms: Sequence[Term], others: frozenset[Index] = frozenset()) -> list[Term] | None:
    """The terms, none of them summed over an index that another, or anything else to come, varies along.

    In `exp(x) + sum(exp(x))` both x go by the same index. Whatever is done to both terms at once would be done in the
    sum, too. None if a sum cannot be had over another index, because the length of a further one depends on it.
    """
    free = others.union(*(t.indices for t in terms))
    taken = free.union(*(t.over for t in terms))
    found: list[Term] = []
    for t in terms:
        new: dict[Index, Index] = {}
        for i in (i for i in t.over if i in free):
            new[i] = next(j for j in (Index(i.extent, k) for k in count()) if j not in taken)
            taken |= {new[i]}
        if any(i in j.extent.indices for i in new for j in t.over):
            return None
        at = [build.index(j) for j in new.values()]
        exponent, weight, where = (part and build.read(part, list(new), at) for part in (t.exponent, t.weight, t.where))
        assert exponent is not None
        found.append(Term(exponent, tuple(new.get(i, i) for i in t.over), weight, where))
    return found


class Exponentials:
    """Makes logarithms and shares of sums of terms."""

    def __init__(self, build: Builder) -> None:
        self.build = build
        self.zero, self.one = build.const(0.0), build.const(1.0)

    def shift(self, terms: Sequence[Term]) -> Node:
        """The largest exponent, or 0 if that is not finite: what to subtract before exponentials are taken."""
        build = self.build
        top: Node | None = None
        for t in terms:
            counted = build.convert(t.exponent, "float")
            if t.weight is not None and t.weight.op != "const":
                counted = build.select(build.op("ne", t.weight, self.zero), counted, build.const(-INF))
            largest = build.reduce("max", t.over, self._where(t, counted, -INF))
            top = largest if top is None else build.op("maximum", top, largest)
        assert top is not None
        top = build.stop(top)
        finite = build.op("lt", build.op("abs", top), build.const(INF))
        return build.select(finite, top, self.zero)

    def total(self, terms: Sequence[Term], shift: Node) -> Node:
        """The sum, divided by exp(shift)."""
        total: Node | None = None
        for t in terms:
            summand = self._scaled(t, shift) if t.weight is None else self._weighted(t, t.weight, shift)
            summed = self.build.reduce("sum", t.over, self._where(t, summand, 0.0))
            total = summed if total is None else self.build.op("add", total, summed)
        assert total is not None
        return total

    def logsumexp(self, terms: Sequence[Term]) -> Node:
        """The logarithm of the sum."""
        build = self.build
        shift = self.shift(terms)
        if any(t.weight is not None for t in terms):
            return build.op("add", shift, build.op("log", self.total(terms, shift)))
        rest: Node | None = None
        ties: Node | None = None
        for t in terms:
            is_top = build.op("eq", t.exponent, shift)
            one = build.convert(is_top, "float")
            beyond = build.op("sub", self._scaled(t, shift), one)
            beyond = build.reduce("sum", t.over, self._where(t, beyond, 0.0))
            count = build.reduce("sum", t.over, self._where(t, one, 0.0))
            rest = beyond if rest is None else build.op("add", rest, beyond)
            ties = count if ties is None else build.op("add", ties, count)
        assert rest is not None
        assert ties is not None
        others = build.op("add", rest, build.op("sub", ties, self.one))
        return build.op("add", shift, build.op("log1p", others))

    def log_share(self, one: Term, others: Sequence[Term]) -> Node:
        """log(one/(one + others)). Its derivative by the exponent of `one` is the share of the others."""
        build, u = self.build, one.exponent
        if one.weight is not None or any(t.weight is not None for t in others):
            return self._log_weighted_share(one, others)
        if len(others) == 1 and not others[0].over and others[0].where is None:
            return build.op("neg", build.op("softplus", build.op("sub", others[0].exponent, u)))
        shift = self.shift(others)
        total = self.total(others, shift)
        some = build.op("gt", total, self.zero)
        unless_none = build.select(some, build.op("log", total), build.const(-INF))
        excess = build.op("add", build.op("sub", shift, u), unless_none)
        return build.op("neg", build.op("softplus", excess))

    def _log_weighted_share(self, one: Term, others: Sequence[Term]) -> Node:
        """Weights may be of either sign, and 0: only of a positive ratio of weights is there a logarithm."""
        op, single = self.build.op, others[0] if len(others) == 1 else one
        alone = single is not one and not single.over and single.where is None
        shift = single.exponent if alone else self.shift([*others, Term(one.exponent)])
        total = (single.weight or self.one) if alone else self.total(others, shift)
        ratio = total if one.weight is None else op("div", total, one.weight)
        excess = op("sub", shift, one.exponent)
        positive = op("softplus", op("add", excess, op("log", ratio)))
        other = op("log1p", op("mul", ratio, self._finite_exp(excess)))
        logarithm = self.build.select(op("gt", ratio, self.zero), positive, other)
        return op("neg", logarithm)

    def log_softmax(self, exponent: Node, over: Sequence[Index]) -> Node:
        """log(exp(u)/sum(exp(u))) for all terms of a sum at once.

        The derivative of a share that is more than half of the sum, and alone with the largest exponent, goes by way
        of the others. It is the only one in `top` then, and nothing but a choice is left to do for each term.
        """
        build, term = self.build, Term(exponent, tuple(over))
        shift = self.shift([term])
        scaled = self._scaled(term, shift)
        is_top = build.op("eq", exponent, shift)
        top = build.reduce("sum", term.over, build.select(is_top, scaled, self.zero))
        rest = build.reduce("sum", term.over, build.select(is_top, self.zero, scaled))
        alone = build.op("and", is_top, build.op("eq", top, self.one))
        by_the_others = build.op("neg", build.op("log1p", build.op("div", rest, top)))
        plainly = build.op("sub", build.op("sub", exponent, shift), build.op("log", build.op("add", top, rest)))
        return build.select(alone, by_the_others, plainly)

    def without(self, term: Term, at: dict[Index, Node]) -> Term:
        """The terms of a sum but the one at these places."""
        build = self.build
        other: Node | None = None
        for index, place in at.items():
            differs = build.op("ne", build.index(index), place)
            other = differs if other is None else build.op("or", other, differs)
        assert other is not None
        return replace(term, where=other if term.where is None else build.op("and", term.where, other))

    def _scaled(self, term: Term, shift: Node) -> Node:
        return self.build.op("exp", self.build.op("sub", self.build.convert(term.exponent, "float"), shift))

    def _weighted(self, term: Term, weight: Node, shift: Node) -> Node:
        """Where the weight is 0 the exponent does not count for the shift, and may be far above it."""
        if weight.op == "const":
            return self.build.op("mul", weight, self._scaled(term, shift))
        excess = self.build.op("sub", self.build.convert(term.exponent, "float"), shift)
        return self.build.op("mul", weight, self._finite_exp(excess))

    def _finite_exp(self, x: Node) -> Node:
        return self.build.op("exp", self.build.op("minimum", x, self.build.const(LARGEST)))

    def _where(self, term: Term, value: Node, otherwise: float) -> Node:
        return value if term.where is None else self.build.select(term.where, value, self.build.const(otherwise))


def terms_of_logsumexp(build: Builder, node: Node) -> list[Term] | None:
    """The terms whose sum `Exponentials.logsumexp` has taken the logarithm of, if that made the node."""
    if node.op != "add" or not is_shift(node.args[0]) or node.args[1].op not in ("log", "log1p"):
        return None
    shift, terms = node.args[0], []
    stack: list[Term] = [Term(node.args[1].args[0])]
    while stack:
        inside = stack.pop()
        n = inside.exponent
        if n.op in ("add", "sub"):
            stack += [replace(inside, exponent=a) for a in n.args]
        elif n.op == "reduce" and n.kind == "sum":
            stack.append(replace(inside, exponent=n.args[0], over=(*inside.over, *in_order(n.over))))
        elif n.op == "select" and n.args[2].op == "const" and n.args[1].op != "const" and inside.where is None:
            stack.append(replace(inside, exponent=n.args[1], where=n.args[0]))
        elif n.op == "exp" and shifted_by(n.args[0]) is shift:
            terms.append(replace(inside, exponent=unshifted(build, n.args[0])))
        elif n.op != "const" and not (n.op == "select" and n.args[1].op == "const"):
            return None
    return terms


def shifted_by(exponent: Node) -> Node | None:
    """What `Exponentials.shift` has been subtracted from an exponent, if one has."""
    excess = _excess(exponent)
    negative = excess.op == "neg" and excess.args[0].op == "add"  # -u - shift, as it is made
    last = excess.args[0].args[1] if negative else excess.args[1] if excess.op == "sub" else None
    return last if last and is_shift(last) else None


def unshifted(build: Builder, exponent: Node) -> Node:
    """What a shift has been subtracted from."""
    excess = _excess(exponent)
    return excess.args[0] if excess.op == "sub" else build.op("neg", excess.args[0].args[0])


def _excess(exponent: Node) -> Node:
    """An exponent without the bound that zero weights need."""
    return exponent.args[0] if exponent.op == "minimum" else exponent


def is_shift(node: Node) -> bool:
    """Whether a node was made by `Exponentials.shift`."""
    return node.op == "select" and node.args[1].op == "stop" and node.args[0].op == "lt"
