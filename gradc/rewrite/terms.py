"""The normal form of what is made of exponentials: a sum of terms weight*exp(exponent).

`1 + exp(-z)`, `mean(exp(z))`, `w*exp(a) + (1 - w)*exp(b)`, `cosh(z)` are all the same shape. What the rewriter knows
about logarithms and quotients it knows about this shape, not about its spellings.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from gradc.build import Builder
from gradc.extents import Index, in_order
from gradc.ir import Node, Reduce
from gradc.lower.exponentials import Term, apart
from gradc.ops import OPS

MOST_TERMS = 64
MOST_COMPARED = 200
Terms = tuple[Term, ...]


class NormalForms:
    """Finds the terms of nodes. Every node is taken apart once.

    With `sigmoids`, these count as exponentials of their logarithms: none of them then is too small for a number.
    """

    def __init__(self, build: Builder, sigmoids: bool = False) -> None:
        self.build, self.sigmoids = build, sigmoids
        self.zero = build.const(0.0)
        self._known: dict[Node, Terms] = {}

    def terms(self, node: Node) -> Terms:
        """The node as a sum of terms; one without exponentials is a single term with the exponent 0."""
        stack = [node]
        while stack:
            n = stack[-1]
            missing = [a for a in _parts(n) if a not in self._known]
            if not missing:
                self._known.setdefault(n, self._made(n))
                stack.pop()
            stack += missing
        return self._known[node]

    def has_exponentials(self, terms: Iterable[Term]) -> bool:
        return any(t.exponent is not self.zero for t in terms)

    def _made(self, n: Node) -> Terms:
        found = self._taken_apart(n)
        if found is None or len(found) > MOST_TERMS or not self.has_exponentials(found):
            return (self._plain(n),)
        terms = apart(self.build, self._collected(found))
        return tuple(terms) if terms else (self._plain(n),)

    def _taken_apart(self, n: Node) -> Terms | None:
        build = self.build
        if n.op == "exp":
            return (Term(build.convert(n.args[0], "float")),)
        if n.op == "sigmoid" and self.sigmoids:
            return (Term(build.op("log_sigmoid", n.args[0])),)
        if n.op == "expm1":
            return (Term(n.args[0]), Term(self.zero, weight=build.const(-1.0)))
        if n.op in ("cosh", "sinh"):
            half = build.const(0.5)
            other = half if n.op == "cosh" else build.const(-0.5)
            return (Term(n.args[0], weight=half), Term(build.op("neg", n.args[0]), weight=other))
        parts = [self._known[a] for a in _parts(n)]
        if not any(map(self.has_exponentials, parts)):
            return None
        if n.op == "add":
            return parts[0] + parts[1]
        if n.op == "sub":
            return parts[0] + self._negative(parts[1])
        if n.op == "neg":
            return self._negative(parts[0])
        if n.op in ("sqrt", "power"):
            (term, *more) = parts[0]
            exponent = build.const(0.5) if n.op == "sqrt" else n.args[1]
            plain = not more and term == Term(term.exponent)
            return (Term(build.op("mul", exponent, term.exponent)),) if plain else None
        if n.op == "reduce":
            terms = apart(build, parts[0], n.over)
            return None if terms is None else tuple(replace(t, over=(*t.over, *in_order(n.over))) for t in terms)
        if n.op == "select":
            terms = apart(build, parts[0], n.args[0].indices)
            return None if not terms or len(terms) > 1 or terms[0].where else (replace(terms[0], where=n.args[0]),)
        return self._product(*parts) if n.op == "mul" else self._quotient(*parts)

    def _product(self, a: Terms, b: Terms) -> Terms | None:
        if len(a) > 1:
            a, b = b, a
        if not _is_factor(a, b):
            return None
        return tuple(replace(t, exponent=self._sum(a[0], t), weight=self._weights("mul", t, a[0])) for t in b)

    def _quotient(self, a: Terms, b: Terms) -> Terms | None:
        if not _is_factor(b, a):
            return None
        difference = [self.build.op("sub", t.exponent, b[0].exponent) for t in a]
        if b[0].exponent is self.zero:
            difference = [t.exponent for t in a]
        divided = [self._weights("div", t, b[0]) for t in a]
        return tuple(replace(t, exponent=e, weight=w) for t, e, w in zip(a, difference, divided, strict=True))

    def _sum(self, a: Term, b: Term) -> Node:
        if self.zero in (a.exponent, b.exponent):
            return b.exponent if a.exponent is self.zero else a.exponent
        return self.build.op("add", a.exponent, b.exponent)

    def _weights(self, op: str, a: Term, b: Term) -> Node | None:
        if b.weight is None:
            return a.weight
        if a.weight is None and op == "mul":
            return b.weight
        return self._weight(self.build.op(op, a.weight or self.build.const(1.0), b.weight))

    def _negative(self, terms: Terms) -> Terms:
        one = self.build.const(1.0)
        return tuple(replace(t, weight=self._weight(self.build.op("neg", t.weight or one))) for t in terms)

    def _weight(self, weight: Node) -> Node | None:
        return None if weight.op == "const" and weight.value == 1 else self.build.convert(weight, "float")

    def _plain(self, n: Node) -> Term:
        return Term(self.zero, weight=self._weight(n))

    def _collected(self, terms: Terms) -> Terms:
        """Constant multiples of one exponential as one term."""
        one = self.build.const(1.0)
        found: dict[Term, Node] = {}
        for t in terms:
            factor = t.weight if t.weight is not None and t.weight.op == "const" else one
            key = replace(t, weight=None) if t.weight is factor else t
            found[key] = self.build.op("add", found[key], factor) if key in found else factor
        collected = []
        for key, factor in found.items():
            if factor.value != 0 or len(found) == 1:
                times = replace(key, weight=self._weight(factor))
                collected.append(replace(key, weight=self._weights("mul", key, times)))
        return tuple(collected)


def _parts(n: Node) -> tuple[Node, ...]:
    """The arguments that are taken apart with the node."""
    if n.op in ("add", "sub", "neg", "mul", "div") or (isinstance(n.attr, Reduce) and n.kind == "sum"):
        return n.args if n.type == "float" else ()
    if n.op in ("sqrt", "power") and n.type == "float":
        return n.args[:1]
    if n.op == "select" and n.type == "float" and n.args[2].op == "const" and n.args[2].value == 0:
        return n.args[1:2]
    return ()


def _is_factor(factor: Terms, terms: Terms) -> bool:
    """Whether a factor can be multiplied into each of the terms: it is one term, and does not vary along their sums."""
    (t, *more) = factor
    if more or t.over or t.where:
        return False
    indices = t.exponent.indices | (t.weight.indices if t.weight else frozenset())
    return not any(i in indices for other in terms for i in other.over)


def places(build: Builder, pattern: Node, one: Node, over: Iterable[Index]) -> dict[Index, Node] | None:
    """The places at which `pattern`, a value over these indices, is `one`; None if that cannot be seen."""
    over = frozenset(over)
    found: dict[Index, Node] = {}
    pairs = [(pattern, one)]
    for _ in range(MOST_COMPARED):
        if not pairs:
            return found if found.keys() == over else None
        p, q = pairs.pop()
        (base, at), (other, at_other) = _as_read(p), _as_read(q)
        if p.op == "index" and p.index in over:
            if found.setdefault(p.index, q) is not q:
                return None
        elif base is other:
            for i in {*at, *at_other, *(over & base.indices)}:
                pairs.append((at.get(i) or build.index(i), at_other.get(i) or build.index(i)))
        elif p.op == q.op and p.attr == q.attr and len(p.args) == len(q.args) and (p.op in OPS or p.op == "convert"):
            pairs += zip(p.args, q.args, strict=True)
        else:
            return None
    return None


def _as_read(n: Node) -> tuple[Node, dict[Index, Node]]:
    """What is read, and where; anything but a read is read where it is."""
    if n.op != "read" or n.guard is not None:
        return n, {}
    return n.args[0], dict(zip(n.axes, n.subscripts, strict=True))
