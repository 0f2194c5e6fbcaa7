"""Sums and products that lose digits, in their values or in their derivatives, by functions that keep them.

`1 - sigmoid(z)` has none left where the sigmoid is nearly 1; the slope of `sigmoid(z)*(1 - sigmoid(z))` has none near
0, where it is the difference of two numbers that are nearly equal.
"""

from __future__ import annotations

from gradc.build import Builder
from gradc.ir import Node

MOST_FACTORS = 8
"""Products are looked through for pairs of factors up to this many."""

Found = tuple[Node, str]


class Cancellations:
    """Each method gives another node, and a note on it, or None."""

    def __init__(self, build: Builder) -> None:
        self.build = build
        self.one = build.const(1.0)

    def of_sum(self, a: Node, b: Node, sign: float) -> Found | None:
        """a + sign*b."""
        (k, x), (c, y) = self._multiple(a, 1.0), self._multiple(b, sign)
        found = self._with_constant(k, c, y) if x is self.one else None
        if y is self.one and not found:
            found = self._with_constant(c, k, x)
        return found or (self._of_difference(a, b) if sign < 0 else None)

    def of_product(self, a: Node, b: Node) -> Found | None:
        """Of two sigmoids that add up to 1; as one function, whose slope has all its digits near 0."""
        factors: list[Node] = []
        stack = [b, a]
        while stack:
            n = stack.pop()
            if n.op == "mul" and len(stack) + len(factors) < MOST_FACTORS:
                stack += n.args[::-1]
            else:
                factors.append(n)
        sigmoids = {n.args[0]: n for n in factors if n.op == "sigmoid"}
        for u, one in sigmoids.items():
            other = sigmoids.get(u.args[0]) if u.op == "neg" else None
            if other is not None:
                factors.remove(one)
                factors.remove(other)
                product = self._times(0.25, self._squared_sech(self._times(0.5, u.args[0])))
                for f in reversed(factors):
                    product = self.build.op("mul", f, product)
                return product, "sigmoid(z)*sigmoid(-z) computed as exp(-2*log_cosh(z/2))/4"
        return None

    def by_cosh(self, a: Node, scale: float, z: Node) -> Found:
        """a/(scale*cosh(z)), where the hyperbolic cosine may overflow."""
        inverse = self.build.op("exp", self.build.op("neg", self.build.op("log_cosh", z)))
        return self._times(1 / scale, self.build.op("mul", a, inverse)), "1/cosh(z) computed as exp(-log_cosh(z))"

    def _with_constant(self, k: float, c: float, y: Node) -> Found | None:
        """k + c*y."""
        op, x = self.build.op, y.args[0] if y.args else y
        if not k or (abs(c) != abs(k) and y.op != "sigmoid"):
            return None
        minus = c == -k
        if y.op == "sigmoid" and minus:
            return self._times(k, op("sigmoid", op("neg", x))), "1 - sigmoid(z) computed as sigmoid(-z)"
        if y.op == "sigmoid" and c == -2 * k:
            return self._times(-k, op("tanh", self._times(0.5, x))), "2*sigmoid(z) - 1 computed as tanh(z/2)"
        if y.op == "tanh":
            double = op("sigmoid", self._times(2.0, op("neg", x) if minus else x))
            sign = "-" if minus else ""
            return self._times(2 * k, double), f"1 {sign or '+'} tanh(x) computed as 2*sigmoid({sign}2*x)"
        if y.op == "erf":
            sign = "" if minus else "-"
            return self._times(k, op("erfc", x if minus else op("neg", x))), (
                f"1 {'-' if minus else '+'} erf(x) computed as erfc({sign}x)"
            )
        if y.op == "exp" and minus:
            return self._times(-k, op("expm1", x)), "exp(x) - 1 computed as expm1(x)"
        if y.op == "cosh" and minus:
            half = op("sinh", self._times(0.5, x))
            return self._times(-2 * k, op("mul", half, half)), "cosh(x) - 1 computed as 2*sinh(x/2)**2"
        if y.op == "mul" and minus and x is y.args[1] and x.op == "tanh":
            return self._times(k, self._squared_sech(x.args[0])), "1 - tanh(x)**2 computed as exp(-2*log_cosh(x))"
        return None

    def _of_difference(self, a: Node, b: Node) -> Found | None:
        op = self.build.op
        if a.op == b.op == "log_sigmoid" and op("neg", a.args[0]) is b.args[0]:
            return a.args[0], "log(sigmoid(z)) - log(1 - sigmoid(z)) computed as z"
        if a.op == b.op == "exp" and op("neg", a.args[0]) is b.args[0]:
            return self._times(2.0, op("sinh", a.args[0])), "exp(z) - exp(-z) computed as 2*sinh(z)"
        if b.op == "mul" and a in b.args:
            found = self._with_constant(1.0, -1.0, b.args[0] if b.args[1] is a else b.args[1])
            if found:
                return (self.of_product(a, found[0]) or (op("mul", a, found[0]), ""))[0], found[1]
        return None

    def _squared_sech(self, x: Node) -> Node:
        return self.build.op("exp", self._times(-2.0, self.build.op("log_cosh", x)))

    def _multiple(self, n: Node, factor: float) -> tuple[float, Node]:
        """A node as a number times another; of a constant that is 1."""
        if n.op == "neg":
            return self._multiple(n.args[0], -factor)
        if n.op == "mul" and n.args[0].op == "const":
            return factor * n.args[0].value, n.args[1]
        return (factor * n.value, self.one) if n.op == "const" else (factor, n)

    def _times(self, k: float, x: Node) -> Node:
        return self.build.op("mul", self.build.const(k), x)
