"""Forms that overflow or cancel, replaced by those that do not, before anything is differentiated.

A derivative of an expression that has lost its digits has lost them too. Every rewrite keeps the value of every
argument up to rounding; where overflow made it NaN or infinite, it becomes what it should have been.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from gradc.build import Builder
from gradc.extents import in_order
from gradc.ir import Node
from gradc.lower.exponentials import Exponentials, Term, apart, is_shift, shifted_by, terms_of_logsumexp, unshifted
from gradc.program import Provenance
from gradc.rewrite.cancel import Cancellations
from gradc.rewrite.rebuild import rebuild
from gradc.rewrite.terms import NormalForms, places

DEPTH = 5
"""Products, quotients and roots nested deeper than this are not looked through."""

Found = tuple[Node, str]
Join = Callable[[Node, Node], Node]


def stabilise(build: Builder, provenance: Provenance, root: Node) -> Node:
    """The value in stable forms: `log(sigmoid(z))` as `log_sigmoid(z)`. Each is noted for the generated comments."""
    ops = ("log", "log1p", "log2", "log10", "logaddexp", "mul", "div", "sub", "add")
    return rebuild(build, provenance, [root], ops, Stable(build).rule)[root]


class Stable:
    """The rules, each from an operation and its rewritten arguments to another node and a note, or to None."""

    def __init__(self, build: Builder) -> None:
        self.build = build
        self.forms = NormalForms(build)
        self.with_sigmoids = NormalForms(build, sigmoids=True)
        self.cancellations = Cancellations(build)
        self.exponentials = Exponentials(build)
        self.zero, self.one = build.const(0.0), build.const(1.0)

    def rule(self, build: Builder, op: str, args: tuple[Node, ...], old: Node) -> Found | None:
        if op == "log":
            return self.log(args[0])
        if op == "log1p":
            return self.log1p(args[0])
        if op == "div":
            return self.quotient(*args)
        if op == "sub":
            return self.difference(*args)
        if op in ("log2", "log10"):
            return self._to_base(2 if op == "log2" else 10, args[0])
        if op == "logaddexp":
            return self._log_of_sum([Term(a) for a in args], 1.0)
        if old.type != "float":
            return None
        return self.sum(*args) if op == "add" else self.cancellations.of_product(*args)

    # logarithms

    def log(self, x: Node, depth: int = DEPTH) -> Found | None:
        """The logarithm of x by another way than through x, if there is a better one."""
        if not depth or x.type != "float":
            return None
        return self._log_of_exponentials(x, depth) or self._log_near_one(x)

    def _to_base(self, base: int, x: Node) -> Found | None:
        found = self._log_of_exponentials(x, DEPTH)
        return found and (self.build.op("div", found[0], self.build.const(math.log(base))), found[1])

    def _log_of_exponentials(self, x: Node, depth: int) -> Found | None:
        return self._log_of_function(x) or self._log_of_parts(x, depth) or self._log_of_terms(x)

    def log1p(self, x: Node) -> Found | None:
        plus = (self.difference(self.one, x.args[0]) if x.op == "neg" else self.sum(self.one, x)) or (None, "")
        y = plus[0] or self.build.op("add", self.one, x)
        if y.op == "add" and self.one in y.args and not self.forms.has_exponentials(self.forms.terms(y)):
            return None
        found = self.log(y)
        return found and (found[0], "; ".join(dict.fromkeys(n for n in (plus[1], found[1]) if n)))

    def _log_of_function(self, x: Node) -> Found | None:
        op, a = self.build.op, x.args[0] if x.args else x
        if x.op == "exp":
            return a, "log(exp(x)) computed as x"
        if x.op == "sigmoid":
            return op("log_sigmoid", a), "log(sigmoid(z)) computed as log_sigmoid(z)"
        if x.op == "cosh":
            return op("log_cosh", a), "log(cosh(z)) computed as log_cosh(z)"
        if x.op == "expm1":
            small = op("log1mexp", op("neg", a))
            return op("add", a, small), "log(exp(z) - 1) computed as z + log(1 - exp(-z))"
        if x.op == "neg" and a.op == "expm1":
            return op("log1mexp", a.args[0]), "log(1 - exp(x)) computed as log1mexp(x)"
        return None

    def _log_of_parts(self, x: Node, depth: int) -> Found | None:
        """Logarithms of products, quotients, roots, choices and elements, if those of the parts are known."""
        build = self.build
        if x.op == "read" and x.guard is None:
            inner = self.log(x.args[0], depth - 1)
            return inner and (build.read(inner[0], x.axes, x.subscripts), inner[1])
        if x.op == "sqrt":
            inner = self.log(x.args[0], depth - 1) if self.is_positive(x.args[0]) else None
            return inner and (build.op("mul", build.const(0.5), inner[0]), inner[1])
        if x.op == "power" and self.is_positive(x.args[0]):
            inner = self.log(x.args[0], depth - 1)
            return inner and (build.op("mul", x.args[1], inner[0]), inner[1])
        if x.op == "reduce" and x.kind == "prod" and self.is_positive(x.args[0]):
            inner = self.log(x.args[0], depth - 1)
            return inner and (
                build.reduce("sum", in_order(x.over), inner[0]),
                f"log(prod(x)) as sum(log(x)), {inner[1]}",
            )
        if x.op == "select":
            arms = [self.log(a, depth - 1) for a in x.args[1:]]
            return self._combined(arms, x.args[1:], lambda a, b: build.select(x.args[0], a, b))
        if x.op == "div":
            share = self._log_of_share(*x.args)
            if share or x.args[0] is self.one:
                return share or self._negated(x.args[1], depth)
            if all(_is_shifted(self.forms.terms(a)) for a in x.args):
                return self._log_of_shifted(*x.args)
        if x.op == "mul" and x.args[0].op == "const" and len(self.forms.terms(x)) > 1:
            return None  # a multiple of a sum, whose logarithm may need it: log((exp(z) + exp(-z))/2) is 0 at 0
        if x.op in ("mul", "div") and any(map(self.is_positive, x.args)):
            arms = [self.log(a, depth - 1) for a in x.args]
            if x.op == "mul":
                return self._combined(arms, x.args, lambda a, b: build.op("add", a, b))
            return self._combined(arms, x.args, lambda a, b: (self.difference(a, b) or (build.op("sub", a, b),))[0])
        return None

    def _combined(self, logs: Sequence[Found | None], parts: Sequence[Node], join: Join) -> Found | None:
        if not any(logs):
            return None
        a, b = (found[0] if found else self.build.op("log", p) for found, p in zip(logs, parts, strict=True))
        return join(a, b), "; ".join(dict.fromkeys(found[1] for found in logs if found))

    def _negated(self, x: Node, depth: int) -> Found:
        found = self.log(x, depth - 1) or (self.build.op("log", x), "")
        return self.build.op("neg", found[0]), "log(1/x) computed as -log(x)" + (f"; {found[1]}" if found[1] else "")

    def _log_of_terms(self, x: Node) -> Found | None:
        terms = self.with_sigmoids.terms(x)
        if any(t.exponent is self.zero for t in terms):
            terms = self.forms.terms(x)
        if not self.forms.has_exponentials(terms) or _is_shifted(terms):
            return None
        build = self.build
        if len(terms) == 1 and not terms[0].over and terms[0].where is None:
            weight, log = terms[0].weight, terms[0].exponent
            return log if weight is None else build.op("add", build.op("log", weight), log), "log(exp(x)) computed as x"
        scale = _size(terms[0])
        if scale is not None and 0 < scale < math.inf and {_size(t) for t in terms} == {scale}:
            return self._log_of_sum([replace(t, weight=self._sign(t)) for t in terms], scale)
        return self._log_of_sum(terms, 1.0)

    def _sign(self, term: Term) -> Node | None:
        return self.build.const(-1.0) if term.weight and term.weight.value < 0 else None

    def _log_of_sum(self, terms: Sequence[Term], scale: float) -> Found:
        """log(scale*sum)."""
        build, absorbed = self.build, [self._absorbed(t) for t in terms]
        two = len(terms) == 2 and all(not t.over and t.where is None and _is_constant(t) for t in absorbed)
        signs = [t.weight.value if t.weight else 1.0 for t in absorbed] if two else []
        if sorted(signs) == [1, 1]:
            a, b = sorted((t.exponent for t in absorbed), key=lambda e: e is not self.zero)
            if build.op("neg", b) is a:
                return self._scaled(2 * scale, build.op("log_cosh", b)), "log(exp(z) + exp(-z)) computed by log_cosh(z)"
            if a is self.zero:
                return self._scaled(scale, build.op("softplus", b)), "log(1 + exp(z)) computed as softplus(z)"
            log = build.op("logaddexp", a, b)
            return self._scaled(scale, log), "log(exp(a) + exp(b)) computed as logaddexp(a, b)"
        if sorted(signs) == [-1, 1]:
            large, small = (absorbed[signs.index(s)].exponent for s in (1, -1))
            if large.op == small.op == "log_sigmoid":
                return self._scaled(scale, self._log_of_step(large.args[0], small.args[0])), (
                    "log(sigmoid(a) - sigmoid(b)) computed from log_sigmoid(a), log_sigmoid(-b) and exp(b - a)"
                )
            log = build.op("log1mexp", self._minus(small, large))
            note = "log(exp(a) - exp(b)) computed as a + log(1 - exp(b - a))"
            return self._scaled(scale, log if large is self.zero else build.op("add", large, log)), note
        log = self.exponentials.logsumexp(absorbed)
        return self._scaled(scale, log), "log(sum(exp(z))) computed with the largest term taken out"

    def _log_of_step(self, a: Node, b: Node) -> Node:
        """log(sigmoid(a) - sigmoid(b)), which is sigmoid(a)*sigmoid(-b)*(1 - exp(b - a))."""
        op = self.build.op
        ends = op("add", op("log_sigmoid", a), op("log_sigmoid", op("neg", b)))
        return op("add", ends, op("log1mexp", op("sub", b, a)))

    def _scaled(self, scale: float, log: Node) -> Node:
        return log if scale == 1 else self.build.op("add", self.build.const(math.log(scale)), log)

    def _absorbed(self, term: Term) -> Term:
        """A positive constant as the exponential of its logarithm."""
        w = term.weight
        if term.exponent is not self.zero or w is None or w.op != "const" or not 0 < w.value < math.inf:
            return term
        return replace(term, exponent=self.build.const(math.log(w.value)), weight=None)

    def _log_near_one(self, x: Node) -> Found | None:
        op = self.build.op
        if x.op == "add" and self.one in x.args:
            other = x.args[1] if x.args[0] is self.one else x.args[0]
            return op("log1p", other), "log(1 + x) computed as log1p(x)"
        if x.op == "sub" and x.args[0] is self.one:
            return op("log1p", op("neg", x.args[1])), "log(1 - x) computed as log1p(-x)"
        return None

    def is_positive(self, x: Node, depth: int = DEPTH) -> bool:
        """Whether a value is never below zero, by its form."""
        if x.op in ("exp", "exp2", "sigmoid", "cosh", "softplus"):
            return True
        if x.op == "const":
            return x.value > 0
        if not depth or x.op not in ("add", "mul", "div", "sqrt", "select", "read", "reduce"):
            return False
        parts = x.args[1:] if x.op == "select" else x.args[:1] if x.op in ("read", "reduce") else x.args
        return all(self.is_positive(a, depth - 1) for a in parts)

    # shares of a sum

    def _log_of_share(self, a: Node, b: Node) -> Found | None:
        """log(exp(u)/sum) where exp(u) is one of the terms of the sum."""
        above, below = self.forms.terms(a), self.forms.terms(b)
        if len(above) > 1 or above[0].over or above[0].where or not self.forms.has_exponentials(below):
            return None
        one, terms = _unshifted(above[0], below)
        share = self._share(one if any(t.weight for t in terms) else replace(one, weight=None), terms)
        if share is None:
            return None
        if one.weight is not None and not any(t.weight for t in terms):
            share = self.build.op("add", self.build.op("log", one.weight), share)
        return share, "log(exp(u)/sum(exp(u))) computed from the other terms' share"

    def _log_of_shifted(self, a: Node, b: Node) -> Found | None:
        """The logarithm of a quotient of sums that have been divided by the same exponential."""
        sums = self.forms.terms(a), self.forms.terms(b)
        (shift, *more) = {shifted_by(t.exponent) for terms in sums for t in terms}
        if more or shift is None:
            return None
        above, below = ([replace(t, exponent=unshifted(self.build, t.exponent)) for t in terms] for terms in sums)
        logs = self._log_of_sum(above, 1.0), self._log_of_sum(below, 1.0)
        return self.build.op("sub", logs[0][0], logs[1][0]), f"log(x/y) computed as log(x) - log(y); {logs[1][1]}"

    def _share(self, one: Term, terms: Sequence[Term]) -> Node | None:
        """log(one/sum of terms), if it is one of them."""
        if len(terms) == 1 and not terms[0].over:
            return None
        wanted = self._key(one)
        for k, t in enumerate(terms):
            others = [*terms[:k], *terms[k + 1 :]]
            if not t.over:
                if self._key(t) is wanted and t.where is None:
                    return self._log_share(one, others)
                continue
            if self._key(t) is wanted and not others and t.where is None:
                return None if one.weight else self.exponentials.log_softmax(one.exponent, t.over)
            at = places(self.build, self._key(t), wanted, t.over)
            if at is not None and t.where is None and not any(set(t.over) & e.indices for e in at.values()):
                return self._log_share(one, [*others, self.exponentials.without(t, at)])
        return None

    def _log_share(self, one: Term, others: Sequence[Term]) -> Node | None:
        terms = apart(self.build, [one, *others])
        return None if terms is None else self.exponentials.log_share(terms[0], terms[1:])

    def _key(self, term: Term) -> Node:
        """What a term is known by, but for what it is summed over."""
        return self.build.op("mul", term.weight, term.exponent) if term.weight else term.exponent

    # sums, differences, quotients

    def quotient(self, a: Node, b: Node) -> Found | None:
        if b.op == "mul" and any(self._is_sum(f) for f in b.args):
            first, second = sorted(b.args, key=self._is_sum)
            once = self.quotient(a, second) or (self.build.op("div", a, second), "")
            twice = self.quotient(once[0], first) or (self.build.op("div", once[0], first), "")
            return (twice[0], once[1] or twice[1]) if once[1] or twice[1] else None
        above, below = self.forms.terms(a), self.forms.terms(b)
        if not self.forms.has_exponentials(below) or _is_shifted(below):
            return None
        if len(below) == 1 and not below[0].over:
            return self._quotient_of_terms(above, below[0])
        if found := self._quotient_of_two(above, below):
            return found
        if (scale := self._is_cosh(below)) is not None:
            return self.cancellations.by_cosh(a, scale, below[0].exponent)
        return self._quotient_of_sums(above, below)

    def _is_cosh(self, terms: Sequence[Term]) -> float | None:
        """How many times cosh(z) a sum is."""
        if len(terms) != 2 or any(t.over or t.where for t in terms) or _size(terms[0]) != _size(terms[1]):
            return None
        mirrored = self.build.op("neg", terms[0].exponent) is terms[1].exponent
        scale = _size(terms[0]) if mirrored and terms[0].weight is terms[1].weight else None
        return 2 * scale if scale and math.isfinite(scale) and self._sign(terms[0]) is None else None

    def _is_sum(self, x: Node) -> bool:
        return len(self.forms.terms(x)) > 1

    def _quotient_of_terms(self, above: Sequence[Term], below: Term) -> Found | None:
        (a, *more) = above
        if more or a.over or a.where or below.where or not self.forms.has_exponentials(above):
            return None
        power = self.build.op("exp", self.build.op("sub", a.exponent, below.exponent))
        for op, weight in (("mul", a.weight), ("div", below.weight)):
            if weight is not None:
                power = self.build.op(op, *((weight, power) if op == "mul" else (power, weight)))
        return power, "exp(a)/exp(b) computed as exp(a - b)"

    def _quotient_of_two(self, above: Sequence[Term], below: Sequence[Term]) -> Found | None:
        """exp(a)/(exp(a) + exp(b)) is a sigmoid, (exp(a) - exp(b))/(exp(a) + exp(b)) a hyperbolic tangent."""
        build = self.build
        if len(below) != 2 or any(t.over or t.where for t in (*above, *below)) or len(above) > 2:
            return None
        scale = below[0].weight
        if below[1].weight is not scale or (scale is not None and (scale.op != "const" or scale.value <= 0)):
            return None
        exponents = [t.exponent for t in below]
        if any(t.exponent not in exponents for t in above):
            return None
        a = exponents.index(above[0].exponent)
        difference = self._minus(exponents[a], exponents[1 - a])
        factor = above[0].weight or self.one
        if len(above) == 1:
            result, note = build.op("sigmoid", difference), "exp(a)/(exp(a) + exp(b)) computed as sigmoid(a - b)"
        elif build.op("neg", factor) is (above[1].weight or self.one):
            result = build.op("tanh", build.op("mul", build.const(0.5), difference))
            note = "(exp(a) - exp(b))/(exp(a) + exp(b)) computed as tanh((a - b)/2)"
        else:
            return None
        factor = factor if scale is None else build.op("div", factor, scale)
        return (self.cancellations.of_product(factor, result) or (build.op("mul", factor, result),))[0], note

    def _minus(self, a: Node, b: Node) -> Node:
        if b is self.zero:
            return a
        return self.build.op("neg", b) if a is self.zero else self.build.op("sub", a, b)

    def _quotient_of_sums(self, above: Sequence[Term], below: Sequence[Term]) -> Found | None:
        if not (self.forms.has_exponentials(above) or all(_is_constant(t) for t in above)):
            return None
        terms = apart(self.build, [*above, *below])
        if terms is None:
            return None
        above, below = terms[: len(above)], terms[len(above) :]
        shift = self.exponentials.shift(below)
        totals = (self.exponentials.total(terms, shift) for terms in (above, below))
        return self.build.op("div", *totals), "a quotient of sums of exponentials, with the largest term taken out"

    def difference(self, a: Node, b: Node) -> Found | None:
        return self.cancellations.of_sum(a, b, -1.0) or self._entropy(a, b, False) or self._entropy(b, a, True)

    def sum(self, a: Node, b: Node) -> Found | None:
        found = self.cancellations.of_sum(a, b, 1.0)
        if found:
            return found
        for one, other in ((a, b), (b, a)):
            if one.op == "softplus" and other.op == "mul":
                for s, z in (other.args, other.args[::-1]):
                    if z is self.build.op("neg", one.args[0]):
                        return self._bernoulli(s, one.args[0], False)
        return None

    def _entropy(self, log: Node, one: Node, negative: bool) -> Found | None:
        """log(sum(exp(u))) - u_k, the cost of a class, from the other terms alone."""
        if log.op == "softplus" and one.op == "mul":
            for t, z in (one.args, one.args[::-1]):
                if z is log.args[0]:
                    return self._bernoulli(t, z, negative)
        if log.op == "softplus":
            terms: Sequence[Term] | None = [Term(self.zero), Term(log.args[0])]
        elif log.op == "logaddexp":
            terms = [Term(a) for a in log.args]
        else:
            terms = terms_of_logsumexp(self.build, log)
        share = self._share(Term(one), terms) if terms else None
        if share is None:
            return None
        note = "log(sum(exp(u))) - u computed from the other terms' share"
        return (share if negative else self.build.op("neg", share)), note

    def _bernoulli(self, t: Node, z: Node, negative: bool) -> Found:
        """softplus(z) - t*z."""
        op = self.build.op
        yes = op("mul", t, op("log_sigmoid", z))
        no = op("mul", op("sub", self.one, t), op("log_sigmoid", op("neg", z)))
        result = op("add", yes, no)
        return (result if negative else op("neg", result)), "log(1 + exp(z)) - t*z computed as bce(sigmoid(z), t)"


def _is_constant(term: Term) -> bool:
    return term.weight is None or term.weight.op == "const"


def _size(term: Term) -> float | None:
    """The absolute value of a constant weight."""
    if not _is_constant(term):
        return None
    return abs(term.weight.value) if term.weight else 1.0


def _is_shifted(terms: Sequence[Term]) -> bool:
    """Whether the largest exponent has been taken out already."""
    level = [t.exponent for t in terms]
    for _ in range(DEPTH):
        if any(map(is_shift, level)):
            return True
        level = [a for n in level if n.op in ("add", "sub", "neg", "mul", "minimum") for a in n.args]
    return False


def _unshifted(one: Term, terms: Sequence[Term]) -> tuple[Term, Sequence[Term]]:
    """A term and a sum without the number that has been subtracted from all exponents, if one has."""
    exponents = [one.exponent, *(t.exponent for t in terms)]
    shifts = {e.args[1] if e.op == "sub" else e for e in exponents}
    (shift, *more) = shifts
    if more or any(e.op != "sub" for e in exponents) or any(i in shift.indices for t in terms for i in t.over):
        return one, terms
    return replace(one, exponent=one.exponent.args[0]), [replace(t, exponent=t.exponent.args[0]) for t in terms]
