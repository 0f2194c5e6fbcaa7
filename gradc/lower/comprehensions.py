"""Index notation: comprehensions as loops, over ranges, arrays, `zip` and `enumerate`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence

from gradc.bounds import integer_poly
from gradc.errors import ParseError, ShapeError, Span, UnsupportedError
from gradc.extents import Index, Poly
from gradc.ir import Node
from gradc.lower.base import Lowering
from gradc.lower.functions import NEVER_EMPTY
from gradc.program import Value


class Comprehensions(Lowering):
    """Opens the loops of comprehensions."""

    def _listcomp(self, tree: ast.ListComp) -> Value:
        if len(tree.generators) != 1 or tree.generators[0].ifs:
            raise UnsupportedError(
                "a list comprehension has one `for` and no `if`", self.span(tree), "nest lists, or sum()"
            )

        def element(indices: list[Index], where: Node | None) -> Value:
            value = self.visit(tree.elt)
            for a in value.axes:
                if a is not None and set(indices) & a.extent.indices:
                    raise ShapeError("rows of different lengths", self.span(tree), "reduce them inside the loop")
            return Value(value.node, (indices[0], *value.axes))

        return self._loops(tree.generators, element)

    def generator(self, name: str, tree: ast.GeneratorExp, keywords: Mapping[str, ast.expr], span: Span) -> Value:
        if keywords:
            raise ParseError(f"{name}() of a comprehension takes no '{next(iter(keywords))}'", span)

        def reduce(indices: list[Index], where: Node | None) -> Value:
            value = self.visit(tree.elt)
            if where is not None and name in ("argmax", "argmin"):
                raise UnsupportedError(f"{name}() takes no `if`", span)
            if name in NEVER_EMPTY and where is None:
                for i in indices:
                    self.functions.never_empty(name, i, span)
            return Value(self.functions.reductions.kinds[name](value.node, indices, where), value.axes)

        return self._loops(tree.generators, reduce)

    def _loops(
        self, generators: Sequence[ast.comprehension], inside: Callable[[list[Index], Node | None], Value]
    ) -> Value:
        """Opens the loops of a comprehension, runs `inside` with their indices and their filter, closes them."""
        outer, depth = self.names, len(self.arrays.reserved)
        self.names = dict(outer)
        indices: list[Index] = []
        where: Node | None = None
        try:
            for g in generators:
                if g.is_async:
                    raise UnsupportedError("async is not part of the language", self.span(g.target))
                index, values = self._iterated(g.iter)
                self.arrays.reserved.append(index)
                indices.append(index)
                self._bind(g.target, [Value(n, axes) for n, axes in values], index)
                for condition in g.ifs:
                    holds = self.build.convert(self.scalar(condition, "a filter"), "bool")
                    where = holds if where is None else self.build.op("and", where, holds)
            result = inside(indices, where)
        finally:
            self.names = outer
            del self.arrays.reserved[depth:]
        return result

    def _bind(self, target: ast.expr, values: list[Value], index: Index) -> None:
        targets = target.elts if isinstance(target, ast.Tuple) else [target]
        if len(targets) != len(values):
            raise ParseError(f"{len(targets)} names for {len(values)} values", self.span(target))
        for t, value in zip(targets, values, strict=True):
            if not isinstance(t, ast.Name):
                raise ParseError("expected a name", self.span(t))
            self.check_name(t.id, t)
            self.names[t.id] = value
            if value.node.op == "index":
                self.index_names.setdefault(index, t.id)

    def _iterated(self, tree: ast.expr) -> tuple[Index, list[tuple[Node, tuple[Index | None, ...]]]]:
        """The loop index of what is iterated over, and what each of its targets is bound to."""
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and not tree.keywords:
            if tree.func.id == "range":
                return self._range(tree)
            if tree.func.id == "enumerate" and len(tree.args) == 1:
                index, values = self._iterated(tree.args[0])
                return index, [(self.build.index(index), ()), *values]
            if tree.func.id == "zip" and tree.args:
                arrays = [self._iterable(a) for a in tree.args]
                lengths = [a.shape[0] for a in arrays]
                for other in lengths[1:]:
                    self.arrays.agree(lengths[0], other, "zip", self.span(tree))
                index = self.arrays.fresh(lengths[0])
                return index, [self._element(a, index) for a in arrays]
        array = self._iterable(tree)
        assert array.axes[0] is not None
        index = self.arrays.fresh(array.axes[0].extent)
        return index, [self._element(array, index)]

    def _iterable(self, tree: ast.expr) -> Value:
        value = self.visit(tree)
        if not value.axes or value.axes[0] is None:
            raise ShapeError("cannot iterate over this", self.span(tree), "iterate over range(...), or over an array")
        return value

    def _element(self, array: Value, index: Index) -> tuple[Node, tuple[Index | None, ...]]:
        axes: list[Index | None] = [index]
        for a in array.axes[1:]:
            axes.append(a if a is None or a not in axes else self.arrays.fresh(a.extent, axes))
        return self.arrays.renamed(array, axes), tuple(axes[1:])

    def _range(self, tree: ast.Call) -> tuple[Index, list[tuple[Node, tuple[Index | None, ...]]]]:
        bounds = []
        for a in tree.args:
            poly = integer_poly(self.scalar(a, "a bound of range()"))
            if poly is None:
                raise UnsupportedError(
                    "the bounds of range() must be made of numbers, dims and loop variables", self.span(a)
                )
            bounds.append(poly)
        if not 1 <= len(bounds) <= 2:
            raise UnsupportedError("range() takes one or two bounds", self.span(tree))
        start = bounds[0] if len(bounds) == 2 else Poly.const(0)
        index = self.arrays.fresh(bounds[-1] - start)
        return index, [(self.build.integer(start + Poly.atom(index)), ())]
