"""NumPy's subscripts, as reads: integers, slices, `None`, `...` and integer arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradc import extents
from gradc.bounds import integer_poly
from gradc.errors import ShapeError, Span, UnsupportedError
from gradc.extents import Index, Poly
from gradc.ir import Node
from gradc.lower.arrays import Arrays
from gradc.program import Value

LONGEST_STEP = 2**31


@dataclass(frozen=True)
class Slice:
    """Bounds of a slice as integer nodes; None where the text leaves them out."""

    low: Node | None
    high: Node | None
    step: Node | None


class NewAxis:
    """`None` in a subscript."""


class Rest:
    """`...` in a subscript."""


Item = Slice | Value | NewAxis | Rest


def subscript(arrays: Arrays, value: Value, items: Sequence[Item], span: Span) -> Value:
    """`value[items]`. Raises ShapeError for too many subscripts, UnsupportedError for bounds it cannot tell."""
    items = _complete(value, items, span)
    consumed = [k for k in items if not isinstance(k, NewAxis)]
    tables = [k for k in consumed if isinstance(k, Value) and k.axes]
    table_axes, table_nodes = arrays.aligned(tables, span, "index arrays") if tables else ((), [])
    spread = [n for n, k in enumerate(items) if isinstance(k, Value)]
    adjacent = spread == list(range(spread[0], spread[0] + len(spread))) if spread else True

    axes: list[Index | None] = []
    at: dict[Index, Node] = {}
    moved: list[tuple[Index | None, Index | None]] = []

    def insert_tables() -> None:
        for a in table_axes:
            b = arrays.fresh(a.extent, axes) if a is not None and a in axes else a
            moved.append((a, b))
            axes.append(b)

    if tables and not adjacent:
        insert_tables()
    remaining = iter(value.axes)
    for item in items:
        if isinstance(item, NewAxis):
            axes.append(None)
            continue
        axis = next(remaining)
        if isinstance(item, Slice):
            axes.append(_sliced(arrays, axis, item, axes, at, span))
        elif isinstance(item, Value):
            _check_integer(item.node, span)
            if axis is None and item.node.op != "const":
                raise UnsupportedError("an axis of length 1 is subscripted by a number", span, "write 0")
            if item.axes and adjacent and not moved:
                insert_tables()
            if not item.axes:
                position = _position(arrays, item.node, axis, span)
                if axis is not None:
                    at[axis] = position
    shifts = [(a, b) for a, b in moved if a is not None and b is not None and a != b]
    by_table = {id(t): n for t, n in zip(tables, table_nodes, strict=True)}
    for axis, item in zip(value.axes, consumed, strict=True):
        if isinstance(item, Value) and item.axes and axis is not None:
            at[axis] = arrays.build.read(
                by_table[id(item)], [a for a, _ in shifts], [arrays.build.index(b) for _, b in shifts]
            )
    return Value(arrays.build.read(value.node, list(at), list(at.values())), tuple(axes))


def _complete(value: Value, items: Sequence[Item], span: Span) -> list[Item]:
    """With one item an axis: `...` written out, missing axes as full slices."""
    given = sum(isinstance(k, Slice | Value) for k in items)
    if given > len(value.axes):
        raise ShapeError(f"too many subscripts: {given} for an array of {len(value.axes)} axes", span)
    missing: list[Item] = [Slice(None, None, None)] * (len(value.axes) - given)
    dots = [k for k, item in enumerate(items) if isinstance(item, Rest)]
    if len(dots) > 1:
        raise ShapeError("a subscript may hold only one '...'", span)
    cut = dots[0] if dots else len(items)
    return [*items[:cut], *missing, *items[cut + len(dots) :]]


def _check_integer(node: Node, span: Span) -> None:
    if node.type == "bool":
        raise UnsupportedError("masks are not supported as subscripts", span, "write: value if condition else other")
    if node.type != "int":
        raise ShapeError("a subscript must be an integer", span, "declare it as `index`, or use an integer")


def _position(arrays: Arrays, node: Node, axis: Index | None, span: Span) -> Node:
    extent = axis.extent if axis is not None else extents.ONE
    if node.op == "const":
        k = int(node.value)
        size = extent.constant
        needed = Poly.const(k + 1 if k >= 0 else -k)
        if size is not None and size < (needed.constant or 0):
            raise ShapeError(f"index {k} is out of range for an axis of length {size}", span)
        if k < 0:
            return arrays.build.integer(extent + Poly.const(k))
    return node


def _sliced(
    arrays: Arrays, axis: Index | None, item: Slice, axes: Sequence[Index | None], at: dict[Index, Node], span: Span
) -> Index | None:
    """The axis of the slice; where it is not the whole old one, `at` says where the old one is read."""
    whole = item.low is None and item.high is None and (item.step is None or integer_poly(item.step) == extents.ONE)
    if axis is None:
        if not whole:
            raise UnsupportedError("slices of an axis of length 1 are not supported", span, "drop the slice")
        return None
    if whole:
        if axis not in axes and axis not in arrays.reserved:
            return axis
        new = arrays.fresh(axis.extent, axes)
        at[axis] = arrays.build.index(new)
        return new
    step = 1 if item.step is None else integer_poly(item.step)
    step = step if isinstance(step, int) or step is None else step.constant
    if not step or abs(step) > LONGEST_STEP:
        raise UnsupportedError("the step of a slice must be a number other than 0, and no giant", span)
    size = axis.extent
    if step < 0:
        if item.low is not None or item.high is not None:
            raise UnsupportedError("a slice with a negative step must run over the whole axis", span, "write x[::-1]")
        start, length = size - extents.ONE, size
    else:
        start = _bound(item.low, size, Poly.const(0), span)
        length = extents.minimum(_bound(item.high, size, size, span), size) - start
    count = length if abs(step) == 1 else extents.floor_div(length + Poly.const(abs(step) - 1), Poly.const(abs(step)))
    if count == extents.ONE:
        at[axis] = arrays.build.integer(start)
        return None
    new = arrays.fresh(count, axes)
    at[axis] = arrays.build.integer(start + Poly.const(step) * Poly.atom(new))
    return new


def _bound(node: Node | None, size: Poly, default: Poly, span: Span) -> Poly:
    if node is None:
        return default
    poly = integer_poly(node)
    if poly is None:
        raise UnsupportedError("the bounds of a slice must be made of numbers, dims and loop variables", span)
    k = poly.constant
    if k is not None and k < 0:
        below = size + poly
        return below if default == size else extents.maximum(below, Poly.const(0))
    if poly.is_nonnegative():
        return poly
    if poly != size - extents.ONE:
        raise UnsupportedError(f"cannot tell whether the bound {poly} is negative", span)
    return extents.maximum(poly, Poly.const(0))
