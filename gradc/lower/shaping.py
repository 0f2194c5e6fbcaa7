"""Arrays put together and reshaped: lists of expressions, stack, concatenate, reshape, transpose.

What is put together is a choice between its parts over a new index. Reshaping reads at positions in row-major order.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradc import extents
from gradc.division import divide, divides
from gradc.errors import ShapeError, Span
from gradc.extents import ONE, Index, Poly
from gradc.ir import Node
from gradc.lower.arrays import Arrays
from gradc.program import Value

Axes = tuple[Index | None, ...]


def stack(arrays: Arrays, values: Sequence[Value] | Value, axis: int, span: Span) -> Value:
    """Along a new axis. An array in the place of a sequence is one of its elements along its first axis."""
    if isinstance(values, Value):
        first, *others = _sequence_axes(values, "stack", span)
        p = position(axis, len(values.axes), span)
        return Value(values.node, (*others[:p], first, *others[p:]))
    rank = len(values[0].axes) if values else 0
    p = position(axis, rank + 1, span)
    deeper = [Value(v.node, (*v.axes[:p], None, *v.axes[p:])) for v in values]
    return _joined(arrays, deeper, p, "stack", span)


def display(arrays: Arrays, values: Sequence[Value], span: Span) -> Value:
    """`[a, b, c]`: an array of its elements along a new first axis."""
    return _joined(arrays, [Value(v.node, (None, *v.axes)) for v in values], 0, "a list", span)


def concatenate(arrays: Arrays, values: Sequence[Value] | Value, axis: int | None, span: Span) -> Value:
    """Along an axis there is; without one (None) of all elements in a row."""
    if isinstance(values, Value):
        first, *others = _sequence_axes(values, "concatenate", span)
        if axis is None:
            return ravel(arrays, values, span)
        p = position(axis, len(others), span)
        moved = Value(values.node, (*others[:p], first, *others[p:]))
        lengths = [_length(a) for a in moved.axes]
        return reshape(arrays, moved, (*lengths[:p], lengths[p] * lengths[p + 1], *lengths[p + 2 :]), span)
    if axis is None:
        values, axis = [ravel(arrays, v, span) for v in values], 0
    if any(not v.axes for v in values):
        raise ShapeError("concatenate takes arrays, not numbers", span, "write stack, or a list of numbers: [a, b]")
    p = position(axis, len(values[0].axes) if values else 1, span)
    return _joined(arrays, values, p, "concatenate", span)


def _joined(arrays: Arrays, values: Sequence[Value], p: int, what: str, span: Span) -> Value:
    """Values of one rank one after the other along axis p, in which alone their shapes may differ."""
    if not values:
        raise ShapeError(f"{what} of nothing: the shape of its elements is not known", span, "write zeros(0)")
    ranks = {len(v.axes) for v in values}
    if len(ranks) > 1:
        raise ShapeError(f"{what} of arrays of {' and '.join(map(str, sorted(ranks)))} axes", span)
    axes: list[Index | None] = []
    for q in range(len(values[0].axes)):
        there = [v.axes[q] for v in values]
        if q != p:
            for v in values[1:]:
                arrays.agree(values[0].shape[q], v.shape[q], what, span, stretch=False)
        axes.append(None if q == p else arrays.choose([a for a in there if a is not None], axes))
    lengths = [_length(v.axes[p]) for v in values]
    ends = [lengths[0]]
    for length in lengths[1:]:
        ends.append(ends[-1] + length)
    along = None if ends[-1] == ONE else arrays.fresh(ends[-1], axes)
    nodes = []
    for v, end, length in zip(values, ends, lengths, strict=True):
        at = {a: arrays.build.index(b) for a, b in zip(v.axes, axes, strict=True) if a is not None and b is not None}
        own = v.axes[p]
        if own is not None and along is not None:
            at[own] = arrays.build.integer(Poly.atom(along) - (end - length))
        elif own is not None:  # the only one that is not empty, of length 1
            at[own] = arrays.build.const(0)
        nodes.append(arrays.build.read(v.node, list(at), list(at.values())))
    kept = [(n, end) for n, end, length in zip(nodes, ends, lengths, strict=True) if length.terms]
    axes[p] = along
    if not kept:
        return Value(nodes[0], tuple(axes))
    return Value(_choice(arrays, kept, along), tuple(axes))


def _choice(arrays: Arrays, parts: Sequence[tuple[Node, Poly]], along: Index | None) -> Node:
    """The part in which a position along the index lies; parts come with their ends."""
    if len(parts) == 1 or along is None:
        return parts[0][0]
    middle = len(parts) // 2
    before = arrays.build.op("lt", arrays.build.index(along), arrays.build.integer(parts[middle - 1][1]))
    return arrays.build.select(before, _choice(arrays, parts[:middle], along), _choice(arrays, parts[middle:], along))


def ravel(arrays: Arrays, value: Value, span: Span) -> Value:
    total = ONE
    for a in value.axes:
        total = total * _length(a)
    return reshape(arrays, value, (total,), span)


def reshape(arrays: Arrays, value: Value, shape: Sequence[Poly], span: Span) -> Value:
    """Another shape of as many elements; one length of -1 is what is left for it.

    Neighbouring axes of equal volume are taken together, so that only what really changes is computed.
    """
    if any(a is not None and a.extent.indices - set(arrays.reserved) for a in value.axes):
        raise ShapeError("rows of different lengths cannot be reshaped", span)
    old = [a for a in value.axes if a is not None]
    lengths = _complete(arrays, [_length(a) for a in old], shape, span)
    axes: list[Index | None] = [None] * len(lengths)
    at: dict[Index, Node] = {}
    taken: set[Index] = set(old)
    for olds, news in _groups(arrays, old, [(k, n) for k, n in enumerate(lengths) if n != ONE], span):
        if len(olds) == len(news) == 1 and _length(olds[0]) == news[0][1] and olds[0] not in arrays.reserved:
            axes[news[0][0]] = olds[0]
            continue
        flat: Poly | None = None
        for k, length in news:
            index = arrays.fresh(length, taken)
            taken.add(index)
            axes[k] = index
            flat = Poly.atom(index) if flat is None else flat * length + Poly.atom(index)
        at |= _digits(arrays, olds, Poly(()) if flat is None else flat)
    return Value(arrays.build.read(value.node, list(at), list(at.values())), tuple(axes))


def _digits(arrays: Arrays, axes: Sequence[Index], flat: Poly) -> dict[Index, Node]:
    """The position on each axis of the element at this one of all in a row."""
    build, at = arrays.build, {}
    behind = ONE
    for k, axis in reversed(list(enumerate(axes))):
        at[axis] = build.op("floordiv", build.integer(flat), build.integer(behind))
        if k:
            at[axis] = build.op("mod", at[axis], build.integer(_length(axis)))
        behind = behind * _length(axis)
    return at


def _complete(arrays: Arrays, old: Sequence[Poly], shape: Sequence[Poly], span: Span) -> list[Poly]:
    """The new lengths, an open one filled in; the volumes are equal, or have to be at the call."""
    given = ", ".join(map(str, shape))
    total, known = ONE, ONE
    for length in old:
        total = total * length
    opened = [k for k, length in enumerate(shape) if length.constant == -1]
    for k, length in enumerate(shape):
        if k not in opened and length.constant is not None and length.constant < 0:
            raise ShapeError(f"reshape to ({given}): a length is negative", span, "one may be -1: what is left")
        known = known if k in opened else known * _clipped(length)
    if len(opened) > 1:
        raise ShapeError(f"reshape to ({given}): only one length may be left open", span)
    lengths = [_clipped(length) for length in shape]
    if opened:
        if not known.terms:
            raise ShapeError(f"reshape to ({given}): cannot tell the open length", span)
        quotient, remainder = divide(total, known)
        lengths[opened[0]] = extents.floor_div(total, known) if remainder.terms else quotient
        known = known * lengths[opened[0]]
    arrays.agree(total, known, f"reshape of {total} elements to ({given})", span, stretch=False)
    return lengths


def _groups(
    arrays: Arrays, old: Sequence[Index], new: Sequence[tuple[int, Poly]], span: Span
) -> list[tuple[list[Index], list[tuple[int, Poly]]]]:
    """Old axes and new ones of equal volume, in order; as few together as that goes."""
    groups = []
    i = j = 0
    while i < len(old) or j < len(new):
        olds, news = list(old[i : i + 1]), list(new[j : j + 1])
        a = _length(olds[0]) if olds else ONE
        b = news[0][1] if news else ONE
        while a != b:
            i_next, j_next = i + len(olds), j + len(news)
            if i_next < len(old) and (divides(a, b) or j_next == len(new)):
                olds.append(old[i_next])
                a = a * _length(olds[-1])
            elif j_next < len(new):
                news.append(new[j_next])
                b = b * news[-1][1]
            else:
                break
        i, j = i + len(olds), j + len(news)
        groups.append((olds, news))
    return groups


def transpose(value: Value, axes: Sequence[int] | None = None, span: Span | None = None) -> Value:
    if axes is None:
        return Value(value.node, value.axes[::-1])
    order = [position(k, len(value.axes), span) for k in axes]
    if sorted(order) != list(range(len(value.axes))):
        raise ShapeError(
            f"transpose: axes {tuple(axes)} of an array of {len(value.axes)} axes", span, "name each axis once"
        )
    return Value(value.node, tuple(value.axes[k] for k in order))


def position(axis: int, rank: int, span: Span | None) -> int:
    """An axis counted from the front. Raises ShapeError."""
    if not -rank <= axis < rank:
        raise ShapeError(f"axis {axis} of an array of {rank} axes", span)
    return axis % rank


def _length(axis: Index | None) -> Poly:
    """The length of an axis, never negative."""
    return ONE if axis is None else _clipped(axis.extent)


def _clipped(length: Poly) -> Poly:
    return length if length.is_nonnegative() else extents.maximum(length, Poly(()))


def _sequence_axes(value: Value, what: str, span: Span) -> Axes:
    if not value.axes or (what == "concatenate" and len(value.axes) < 2):
        raise ShapeError(f"{what} takes a list of arrays", span, f"write {what}([a, b])")
    return value.axes
