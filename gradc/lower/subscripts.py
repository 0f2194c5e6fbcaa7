"""NumPy's subscripts, as reads: integers, slices, `None`, `...` and integer arrays."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from gradc.bounds import integer_poly
from gradc.errors import ShapeError, Span, UnsupportedError
from gradc.extents import ONE, ZERO, Index, Poly, floor_div, maximum, minimum, wrapped
from gradc.ir import Node
from gradc.lower.arrays import Arrays
from gradc.program import Value

LONGEST_STEP = 2**31


class Slice(Struct, frozen=True):
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
    consumed = [k for k in items if isinstance(k, Slice | Value)]
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
    positions: list[tuple[Index, Value]] = []
    remaining = iter(value.axes)
    for item in items:
        if isinstance(item, NewAxis):
            axes.append(None)
        if isinstance(item, NewAxis | Rest):
            continue
        axis = next(remaining)
        if isinstance(item, Slice):
            axes.append(_sliced(arrays, axis, item, axes, at, span))
        elif isinstance(item, Value):
            _check_integer(item, span)
            taken = (*value.axes, *value.node.indices, *(a for a, _ in positions))
            positions.append((axis or arrays.fresh(ONE, taken), item))
            if item.axes and adjacent and not moved:
                insert_tables()
    shifts = [(a, b) for a, b in moved if a is not None and b is not None and a != b]
    by_table = {id(t): n for t, n in zip(tables, table_nodes, strict=True)}
    for axis, item in positions:
        at[axis] = (
            arrays.build.read(by_table[id(item)], [a for a, _ in shifts], [arrays.build.index(b) for _, b in shifts])
            if item.axes
            else _position(arrays, item.node, axis.extent, span)
        )
    return Value(arrays.build.read(value.node, list(at), list(at.values())), tuple(axes))


def _complete(value: Value, items: Sequence[Item], span: Span) -> list[Item]:
    """With one item an axis: missing axes as full slices behind `...`, which keeps index arrays apart."""
    given = sum(isinstance(k, Slice | Value) for k in items)
    if given > len(value.axes):
        raise ShapeError(f"too many subscripts: {given} for an array of {len(value.axes)} axes", span)
    missing: list[Item] = [Slice(None, None, None)] * (len(value.axes) - given)
    dots = [k for k, item in enumerate(items) if isinstance(item, Rest)]
    if len(dots) > 1:
        raise ShapeError("a subscript may hold only one '...'", span)
    cut = dots[0] + 1 if dots else len(items)
    return [*items[:cut], *missing, *items[cut:]]


def _check_integer(item: Value, span: Span) -> None:
    if item.node.type == "bool":
        hint = "write `value if condition else other`, or filter: sum(v for v in x if v > 0)"
        raise UnsupportedError("masks are not supported as subscripts", span, hint)
    if item.node.type != "int":
        raise ShapeError("a subscript must be an integer", span, "declare it as `index`, or use an integer")


def _position(arrays: Arrays, node: Node, size: Poly, span: Span) -> Node:
    """A position on an axis; a number below 0 counts from the end."""
    if node.op != "const":
        return node
    k, length = int(node.value), size.constant
    if length is not None and not -length <= k < length:
        raise ShapeError(f"index {k} is out of range for an axis of length {length}", span)
    return node if k >= 0 else arrays.build.integer(size + Poly.const(k))


def _sliced(
    arrays: Arrays, axis: Index | None, item: Slice, axes: Sequence[Index | None], at: dict[Index, Node], span: Span
) -> Index | None:
    """The axis of the slice; where it is not the whole old one, `at` says where the old one is read."""
    step = _step(item.step, span)
    if item.low is None and item.high is None and step == 1:
        if axis is None or (axis not in axes and axis not in arrays.reserved):
            return axis
        new = arrays.fresh(axis.extent, axes)
        at[axis] = arrays.build.index(new)
        return new
    size = ONE if axis is None else axis.extent
    start, count = _range(_bound(item.low, size, step, span), _bound(item.high, size, step, span), step, size)
    if count == ONE:
        if axis is not None:
            at[axis] = arrays.build.integer(start)
        return None
    new = arrays.fresh(count, axes)
    if axis is not None:
        at[axis] = arrays.build.integer(start + Poly.const(step) * Poly.atom(new))
    return new


def _range(low: Poly | None, high: Poly | None, step: int, size: Poly) -> tuple[Poly, Poly]:
    """Where a slice starts and how long it is. It ends at the ends of the axis, whatever its bounds are."""
    if step > 0:
        start = ZERO if low is None else maximum(low, ZERO)
        length = (size if high is None else minimum(high, size)) - start
    else:
        start = size - ONE if low is None else minimum(low, size - ONE)
        length = start - (-ONE if high is None else maximum(high, -ONE))
    return start, floor_div(length + Poly.const(abs(step) - 1), Poly.const(abs(step)))


def _step(node: Node | None, span: Span) -> int:
    if node is None:
        return 1
    poly = integer_poly(node)
    step = None if poly is None else poly.constant
    if not step or abs(step) > LONGEST_STEP:
        raise UnsupportedError("the step of a slice must be a number other than 0, and no giant", span)
    return step


def _bound(node: Node | None, size: Poly, step: int, span: Span) -> Poly | None:
    if node is None:
        return None
    poly = integer_poly(node)
    if poly is None:
        hint = None if node.type == "int" else "declare it as `index`, or use an integer"
        raise UnsupportedError(
            "the bounds of a slice must be made of numbers, dims, loop variables and elements of `index` inputs",
            span,
            hint,
        )
    below_end = (size - poly).constant
    if below_end == 1 or (below_end == 2 and step > 0):
        return poly  # below 0 it comes before the start of the axis, counted from either end
    return wrapped(poly, size)
