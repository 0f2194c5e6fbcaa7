"""Arrays as (node, axes): broadcasting, contraction and the choice of loop indices.

Values of equal shape are given the same indices, so that they share loops; only what would clash is renamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gradc.build import Builder
from gradc.errors import ShapeError, Span
from gradc.extents import ONE, Index, Poly
from gradc.ir import Node
from gradc.program import Requirement, Value


class Arrays:
    """Operations on array values. `reserved` are the indices of the loops around the expression."""

    def __init__(self, builder: Builder) -> None:
        self.build = builder
        self.reserved: list[Index] = []
        self.requirements: dict[Requirement, None] = {}

    def fresh(self, extent: Poly, taken: Iterable[Index | None] = ()) -> Index:
        """The first index of this extent that is not taken."""
        used = {*taken, *self.reserved}
        occurrence = 0
        while Index(extent, occurrence) in used:
            occurrence += 1
        return Index(extent, occurrence)

    def renamed(self, value: Value, axes: Sequence[Index | None]) -> Node:
        """The node of the value over other indices, axis for axis."""
        moves = [(a, b) for a, b in zip(value.axes, axes, strict=True) if a is not None and b is not None and a != b]
        return self.build.read(value.node, [a for a, _ in moves], [self.build.index(b) for _, b in moves])

    def clear_of_loops(self, value: Value) -> Value:
        """The same array over indices that no surrounding loop uses."""
        if not value.axes or not any(a in self.reserved for a in value.axes):
            return value
        axes: list[Index | None] = []
        for a in value.axes:
            axes.append(a if a is None or a not in self.reserved else self.fresh(a.extent, [*axes, *value.axes]))
        return Value(self.renamed(value, axes), tuple(axes))

    def agree(self, a: Poly, b: Poly, what: str, span: Span, stretch: bool = True) -> None:
        """Lengths that must be equal: an error if they cannot be, a check at the call if that cannot be told.

        `stretch` tells whether one of them might have been 1 instead.
        """
        if a == b:
            return
        gap = (a - b).constant
        named = all(len(p.terms) == 1 and p.terms[0][1] == 1 and len(p.terms[0][0]) == 1 for p in (a, b))
        if gap is not None or (named and all(isinstance(x, str) for x in a.atoms | b.atoms)):
            hint = "only an axis of length 1 is stretched" if stretch else None
            raise ShapeError(f"{what}: lengths {a} and {b} do not agree", span, hint)
        if a.indices or b.indices:
            raise ShapeError(f"{what}: lengths {a} and {b} cannot be shown to be equal", span)
        self.requirements[Requirement(a, "equal", b, f"{what}: lengths {a} and {b} must be equal", span)] = None

    def aligned(
        self, values: Sequence[Value], span: Span, what: str = "broadcasting"
    ) -> tuple[tuple[Index | None, ...], list[Node]]:
        """NumPy's broadcasting: the common axes, and each value's node over them."""
        first = values[0].axes
        if all(v.axes == first or not v.axes for v in values) and not any(a in self.reserved for a in first):
            return first, [v.node for v in values]
        values = self._stretched(values, span, what)
        rank = max(len(v.axes) for v in values)
        padded = [(None,) * (rank - len(v.axes)) + v.axes for v in values]
        axes: list[Index | None] = []
        for position in range(rank):
            there = [a for p in padded if (a := p[position]) is not None]
            for other in there[1:]:
                self.agree(there[0].extent, other.extent, what, span)
            axes.append(self.choose(there, axes))
        nodes = [
            self.renamed(v, [b if a is not None else None for a, b in zip(p, axes, strict=True)][rank - len(v.axes) :])
            for v, p in zip(values, padded, strict=True)
        ]
        return tuple(axes), nodes

    def _stretched(self, values: Sequence[Value], span: Span, what: str) -> list[Value]:
        """Axes of at most one element beside longer ones, as `x[:1] + x` has, are of length 1: a check at the call."""
        lengths: dict[int, set[Poly]] = {}
        for v in values:
            for position, a in enumerate(reversed(v.axes)):
                if a is not None:
                    lengths.setdefault(position, set()).add(a.extent)
        different = {p for p, found in lengths.items() if len(found) > 1 and not all(map(_at_most_one, found))}
        done = []
        for v in values:
            axes = list(v.axes)
            for position in different:
                a = axes[-1 - position] if position < len(axes) else None
                if a is not None and _at_most_one(a.extent):
                    if not a.extent.indices:
                        message = f"{what}: an axis of length {a.extent} is stretched, so that it must not be empty"
                        self.requirements[Requirement(a.extent, "at least", ONE, message, span)] = None
                    axes[-1 - position] = None
                    v = Value(self.build.read(v.node, [a], [self.build.const(0)]), tuple(axes))
            done.append(v)
        return done

    def elementwise(self, name: str, values: Sequence[Value], span: Span) -> Value:
        axes, nodes = self.aligned(values, span, name)
        return Value(self.build.op(name, *nodes), axes)

    def select(self, condition: Value, a: Value, b: Value, span: Span) -> Value:
        axes, nodes = self.aligned([condition, a, b], span, "if-else")
        return Value(self.build.select(self.build.convert(nodes[0], "bool"), nodes[1], nodes[2]), axes)

    def contract(
        self, operands: Sequence[tuple[Value, str]], result: str, span: Span, what: str, stretched: str = ""
    ) -> Value:
        """Products summed over every label that is not in the result: einsum, of which `@` and `outer` are cases.

        Along labels in `stretched` an axis of length 1 goes with any.
        """
        found: dict[str, list[Index | None]] = {label: [] for label in result}
        for value, labels in operands:
            for axis, label in zip(value.axes, labels, strict=True):
                found.setdefault(label, []).append(axis)
        chosen: dict[str, Index | None] = {}
        for label, axes in found.items():
            there = [a for a in axes if a is not None]
            if label not in stretched and there and len(there) < len(axes):
                self.agree(ONE, there[0].extent, what, span, stretch=False)
            for other in there[1:]:
                self.agree(there[0].extent, other.extent, what, span, stretch=False)
            chosen[label] = self.choose(there, chosen.values())
        product: Node | None = None
        for value, labels in operands:
            diagonal = self._diagonal(value, labels)
            factor = self.renamed(diagonal, [chosen[c] for c in dict.fromkeys(labels)])
            product = factor if product is None else self.build.op("mul", product, factor)
        assert product is not None
        if product.type == "bool":
            product = self.build.convert(product, "int")
        over = [i for label, i in chosen.items() if label not in result and i is not None]
        return Value(self.build.reduce("sum", over, product), tuple(chosen[c] for c in result))

    def _diagonal(self, value: Value, labels: str) -> Value:
        """Axes that carry the same label, read along their diagonal."""
        kept: dict[str, Index | None] = {}
        moves: list[tuple[Index, Node]] = []
        for axis, label in zip(value.axes, labels, strict=True):
            first = kept.setdefault(label, axis)
            if first is not axis and first is not None and axis is not None:
                moves.append((axis, self.build.index(first)))
            elif first is None and axis is not None:
                moves.append((axis, self.build.const(0)))
        return Value(self.build.read(value.node, [a for a, _ in moves], [e for _, e in moves]), tuple(kept.values()))

    def choose(self, candidates: Sequence[Index | None], taken: Iterable[Index | None]) -> Index | None:
        """The first of several indices of one axis that is free, or a fresh one of their length."""
        taken = list(taken)
        for c in candidates:
            if c is not None and c not in taken and c not in self.reserved:
                return c
        return self.fresh(candidates[0].extent, taken) if candidates and candidates[0] is not None else None


def _at_most_one(length: Poly) -> bool:
    return (ONE - length).is_nonnegative()
