"""Reductions of array values, by their formulas: what is not a sum, product, maximum or minimum is made of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from gradc.build import Builder
from gradc.extents import ONE, Index, Poly, in_order
from gradc.ir import Node
from gradc.lower.exponentials import Exponentials, Term

INF = float("inf")


class Reductions:
    """Each method reduces a node over some indices; `where` keeps only the positions at which it holds."""

    def __init__(self, build: Builder) -> None:
        self.build = build
        self.kinds: dict[str, Callable[[Node, Sequence[Index], Node | None], Node]] = {
            "sum": self.sum,
            "mean": self.mean,
            "prod": self.prod,
            "max": lambda v, over, where: self._extreme("max", v, over, where),
            "min": lambda v, over, where: self._extreme("min", v, over, where),
            "any": self.any,
            "all": self.all,
            "var": self.var,
            "std": self.std,
            "norm": self.norm,
            "logsumexp": self.logsumexp,
            "argmax": lambda v, over, where: self._position("max", v, over),
            "argmin": lambda v, over, where: self._position("min", v, over),
        }

    def count(self, over: Sequence[Index], where: Node | None) -> Node:
        one = self.build.const(1)
        if where is not None:
            return self.build.reduce("sum", over, self.build.select(where, one, self.build.const(0)))
        return self.build.reduce("sum", over, one)

    def sum(self, value: Node, over: Sequence[Index], where: Node | None = None) -> Node:
        counted = self.build.convert(value, "int") if value.type == "bool" else value
        return self.build.reduce("sum", over, self._kept(counted, where, 0))

    def prod(self, value: Node, over: Sequence[Index], where: Node | None = None) -> Node:
        """A product of integers is a float: it soon leaves the range of integers."""
        return self.build.reduce("prod", over, self._kept(self.build.convert(value, "float"), where, 1))

    def mean(self, value: Node, over: Sequence[Index], where: Node | None = None) -> Node:
        return self.build.op("div", self.sum(value, over, where), self.count(over, where))

    def any(self, value: Node, over: Sequence[Index], where: Node | None = None) -> Node:
        holds = self._kept(self.build.convert(value, "bool"), where, False)
        return self.build.op("gt", self.sum(self.build.convert(holds, "int"), over), self.build.const(0))

    def all(self, value: Node, over: Sequence[Index], where: Node | None = None) -> Node:
        fails = self.build.op("not", self.build.convert(value, "bool"))
        return self.build.op("not", self.any(fails, over, where))

    def var(self, value: Node, over: Sequence[Index], where: Node | None = None, ddof: int = 0) -> Node:
        """The mean of squared distances from the mean, which is computed first; `ddof` less of them are counted."""
        residual = self.build.op("sub", value, self.mean(value, over, where))
        squares = self.sum(self.build.op("mul", residual, residual), over, where)
        freedom = self.build.op("sub", self.count(over, where), self.build.const(ddof))
        return self.build.op("div", squares, freedom)

    def std(self, value: Node, over: Sequence[Index], where: Node | None = None, ddof: int = 0) -> Node:
        return self._root(self.var(value, over, where, ddof))

    def norm(self, value: Node, over: Sequence[Index], where: Node | None = None) -> Node:
        return self._root(self.sum(self.build.op("mul", value, value), over, where))

    def logsumexp(self, value: Node, over: Sequence[Index], where: Node | None = None) -> Node:
        return Exponentials(self.build).logsumexp([Term(self.build.convert(value, "float"), tuple(over), None, where)])

    def _root(self, square: Node) -> Node:
        """A root whose derivative at 0 is 0: the length of a vector has its least value there."""
        zero = self.build.const(0.0)
        return self.build.select(self.build.op("eq", square, zero), zero, self.build.op("sqrt", square))

    def _kept(self, value: Node, where: Node | None, otherwise: float) -> Node:
        if where is None:
            return value
        kind = {"float": float, "int": int, "bool": bool}[value.type]
        return self.build.select(where, value, self.build.const(kind(otherwise)))

    def _extreme(self, kind: str, value: Node, over: Sequence[Index], where: Node | None) -> Node:
        if value.type != "float":
            value = self.build.convert(value, "float" if where is not None else "int")
        if where is not None:
            return self.build.reduce(kind, over, self._kept(value, where, -INF if kind == "max" else INF))
        return self._of_some(over, self.build.reduce(kind, over, value))

    def _of_some(self, over: Sequence[Index], extreme: Node) -> Node:
        """An extreme over ranges whose lengths their loops know: it reads a position, so there must be one."""
        build, zero = self.build, self.build.const(0)
        unknown = [i for i in over if i.extent.indices and not (i.extent - ONE).is_nonnegative()]
        if not any(i.extent.indices & set(over) for i in unknown):
            return build.read(extreme, unknown, [zero] * len(unknown))
        only = next(i for i in (Index(ONE, k) for k in itertools.count()) if i not in extreme.indices)
        return build.read(extreme, [only], [build.select(build.has_range(frozenset(over)), zero, build.const(1))])

    def _position(self, kind: str, value: Node, over: Sequence[Index]) -> Node:
        """The first flat position of the extreme; a NaN counts as one, as in NumPy."""
        best = self._extreme(kind, value, over, None)
        flat: Node = self.build.const(0)
        total = Poly.const(1)
        for i in over:
            flat = self.build.op("add", self.build.op("mul", flat, self.build.length(i.extent)), self.build.index(i))
            total = total * i.extent
        hit = self.build.op("or", self.build.op("eq", value, best), self.build.op("ne", value, value))
        return self.build.reduce("min", in_order(over), self.build.select(hit, flat, self.build.length(total)))
