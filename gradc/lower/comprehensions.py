"""Index notation: comprehensions as loops, over ranges, arrays, `zip` and `enumerate`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence

from gradc.bounds import integer_poly
from gradc.errors import ParseError, ShapeError, Span, UnsupportedError
from gradc.extents import ZERO, Index, Poly, floor_div
from gradc.ir import Node
from gradc.lower.base import MOST_LOOPS, Lowering
from gradc.lower.functions import NEVER_EMPTY
from gradc.program import Value

Item = Value | tuple["Item", ...]
"""What a loop gives in a turn: a value, or several as `zip` and `enumerate` do."""
ITERATORS = ("range", "enumerate", "zip")


class Comprehensions(Lowering):
    """Opens the loops of comprehensions."""

    def _listcomp(self, tree: ast.ListComp) -> Value:
        if len(tree.generators) != 1 or tree.generators[0].ifs:
            raise UnsupportedError(
                "a list comprehension has one `for` and no `if`", self.span(tree), "nest lists, or sum()"
            )

        def element(indices: list[Index], where: Node | None) -> Value:
            value = self._of_one_shape(tree, indices)
            return Value(value.node, (indices[0], *value.axes))

        return self._loops(tree.generators, element)

    def _of_one_shape(self, tree: ast.ListComp | ast.GeneratorExp, indices: list[Index]) -> Value:
        """The element of a comprehension. Raises ShapeError if its lengths change with the loops."""
        value = self.visit(tree.elt)
        for a in value.axes:
            if a is not None and set(indices) & a.extent.indices:
                raise ShapeError("rows of different lengths", self.span(tree), "reduce them inside the loop")
        return value

    def generator(self, name: str, tree: ast.GeneratorExp, keywords: Mapping[str, ast.expr], span: Span) -> Value:
        if keywords:
            raise ParseError(f"{name}() of a comprehension takes no '{next(iter(keywords))}'", span)

        def reduce(indices: list[Index], where: Node | None) -> Value:
            value = self._of_one_shape(tree, indices)
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
        if depth + len(generators) > MOST_LOOPS:
            raise UnsupportedError(
                f"more than {MOST_LOOPS} loops inside one another", self.span(generators[0].target), "use fewer axes"
            )
        try:
            for g in generators:
                if g.is_async:
                    raise UnsupportedError("async is not part of the language", self.span(g.target))
                length, item = self._iterated(g.iter)
                index = self.arrays.fresh(length)
                self.arrays.reserved.append(index)
                indices.append(index)
                self._bind(g.target, item(index), index)
                for condition in g.ifs:
                    holds = self.build.convert(self.scalar(condition, "a filter"), "bool")
                    where = holds if where is None else self.build.op("and", where, holds)
            result = inside(indices, where)
        finally:
            self.names = outer
            del self.arrays.reserved[depth:]
        return result

    def _bind(self, target: ast.expr, item: Item, index: Index) -> None:
        if isinstance(target, ast.Tuple | ast.List):
            items = item if isinstance(item, tuple) else (item,)
            if len(target.elts) != len(items) or not isinstance(item, tuple):
                raise ParseError(f"{len(target.elts)} names for {_counted(items)}", self.span(target))
            for t, part in zip(target.elts, items, strict=True):
                self._bind(t, part, index)
            return
        if not isinstance(target, ast.Name):
            raise ParseError("expected a name", self.span(target))
        if isinstance(item, tuple):
            raise ParseError(f"1 name for {_counted(item)}", self.span(target), "give each a name")
        self.check_name(target.id, target)
        self.names[target.id] = item
        if item.node.op == "index":
            self.index_names.setdefault(index, target.id)

    def _iterated(self, tree: ast.expr) -> tuple[Poly, Callable[[Index], Item]]:
        """How long something to iterate over is, and what it gives in each turn."""
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and not self.is_defined(tree.func.id):
            name = tree.func.id
            if name in ITERATORS and (tree.keywords or any(isinstance(a, ast.Starred) for a in tree.args)):
                raise ParseError(f"{name}() takes plain arguments", self.span(tree))
            if name == "range":
                return self._range(tree)
            if name == "enumerate":
                return self._enumerate(tree)
            if name == "zip":
                return self._zip(tree)
            if name == "reversed":
                raise UnsupportedError(
                    "reversed() is not part of the language", self.span(tree), "write x[::-1], or range(n - 1, -1, -1)"
                )
        array = self.visit(tree)
        if not array.axes:
            hint = "iterate over range(...), or over an array"
            raise ShapeError("cannot iterate over a number", self.span(tree), hint)
        return array.shape[0], lambda index: self._element(array, index)

    def _element(self, array: Value, index: Index) -> Value:
        if array.axes[0] is None:
            return Value(array.node, array.axes[1:])
        axes: list[Index | None] = [index]
        for a in array.axes[1:]:
            axes.append(a if a is None or a not in axes else self.arrays.fresh(a.extent, axes))
        return Value(self.arrays.renamed(array, axes), tuple(axes[1:]))

    def _enumerate(self, tree: ast.Call) -> tuple[Poly, Callable[[Index], Item]]:
        if not 1 <= len(tree.args) <= 2:
            raise ParseError("enumerate() takes an array, and a number to start from", self.span(tree))
        length, item = self._iterated(tree.args[0])
        start = self._bound_of_range(tree.args[1]) if len(tree.args) == 2 else ZERO

        def numbered(index: Index) -> Item:
            return (Value(self.build.integer(start + Poly.atom(index))), item(index))

        return length, numbered

    def _zip(self, tree: ast.Call) -> tuple[Poly, Callable[[Index], Item]]:
        if not tree.args:
            raise ParseError("zip() of nothing", self.span(tree))
        iterated = [self._iterated(a) for a in tree.args]
        for other, _ in iterated[1:]:
            self.arrays.agree(iterated[0][0], other, "zip", self.span(tree))
        return iterated[0][0], lambda index: tuple(item(index) for _, item in iterated)

    def _range(self, tree: ast.Call) -> tuple[Poly, Callable[[Index], Item]]:
        if not 1 <= len(tree.args) <= 3:
            raise ParseError(f"range() takes one to three arguments, {len(tree.args)} given", self.span(tree))
        bounds = [self._bound_of_range(a) for a in tree.args]
        start = bounds[0] if len(bounds) > 1 else ZERO
        step = bounds[2].constant if len(bounds) == 3 else 1
        if not step:
            raise UnsupportedError("the step of range() must be a number other than 0", self.span(tree.args[2]))
        gap = bounds[min(1, len(bounds) - 1)] - start if step > 0 else start - bounds[1]
        length = floor_div(gap + Poly.const(abs(step) - 1), Poly.const(abs(step)))
        return length, lambda index: Value(self.build.integer(start + Poly.const(step) * Poly.atom(index)))

    def _bound_of_range(self, tree: ast.expr) -> Poly:
        node = self.scalar(tree, "a bound of range()")
        if node.type != "int":
            raise ShapeError("a bound of range() must be an integer", self.span(tree), "declare it as `index`")
        poly = integer_poly(node)
        if poly is None:
            raise UnsupportedError(
                "the bounds of range() must be made of numbers, dims, loop variables and elements of `index` inputs",
                self.span(tree),
            )
        return poly


def _counted(items: tuple[Item, ...]) -> str:
    return "1 value" if len(items) == 1 else f"{len(items)} values"
