"""Arrays made of nothing but lengths and numbers, and matrices with parts left out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gradc import extents
from gradc.bounds import integer_poly
from gradc.errors import ShapeError, Span, UnsupportedError
from gradc.extents import ONE, Index, Poly
from gradc.ir import Node
from gradc.lower import shaping
from gradc.lower.arrays import Arrays
from gradc.program import Value


def full(arrays: Arrays, shape: Sequence[Poly], value: Value, span: Span) -> Value:
    """An array that is the same number everywhere."""
    if value.axes:
        raise ShapeError("full takes a number to fill the array with", span, "an array broadcasts by itself")
    return Value(value.node, _axes(arrays, shape, span))


def eye(arrays: Arrays, rows: Poly, columns: Poly | None, k: int, span: Span) -> Value:
    axes = _axes(arrays, (rows, rows if columns is None else columns), span)
    build = arrays.build
    i, j = (build.const(0) if a is None else build.index(a) for a in axes)
    on_diagonal = build.op("eq", j, build.op("add", i, build.const(k)))
    return Value(build.convert(on_diagonal, "float"), axes)


def one_hot(arrays: Arrays, labels: Value, classes: Poly, span: Span) -> Value:
    """A row for each label: 1 at its position, 0 elsewhere, and everywhere if there is no such position."""
    if labels.node.type != "int":
        raise ShapeError("one_hot takes integer labels", span, "declare them as `index`")
    (last,) = _axes(arrays, (classes,), span, labels.axes)
    hit = arrays.build.op("eq", labels.node, arrays.build.const(0) if last is None else arrays.build.index(last))
    return Value(arrays.build.convert(hit, "float"), (*labels.axes, last))


def arange(arrays: Arrays, bounds: Sequence[Value], span: Span) -> Value:
    """`arange(stop)`, `arange(start, stop)` or `arange(start, stop, step)`."""
    if not 1 <= len(bounds) <= 3 or any(b.axes for b in bounds):
        raise ShapeError("arange takes one to three numbers", span, "arange(start, stop, step)")
    nodes = [b.node for b in bounds]
    start, stop = (arrays.build.const(0), nodes[0]) if len(nodes) == 1 else (nodes[0], nodes[1])
    step = nodes[2] if len(nodes) == 3 else arrays.build.const(1)
    (axis,) = _axes(arrays, (_count(start, stop, step, span),), span)
    turn = arrays.build.const(0) if axis is None else arrays.build.index(axis)
    return Value(arrays.build.op("add", start, arrays.build.op("mul", step, turn)), (axis,))


def _count(start: Node, stop: Node, step: Node, span: Span) -> Poly:
    """How many numbers there are from start below stop."""
    if step.op != "const" or not step.value:
        raise UnsupportedError("the step of arange must be a number other than 0 that stands in the text", span)
    a, b = integer_poly(start), integer_poly(stop)
    if a is not None and b is not None and step.type == "int":
        length, size = (b - a, int(step.value)) if step.value > 0 else (a - b, -int(step.value))
        return extents.floor_div(length + Poly.const(size - 1), Poly.const(size))
    if start.op != "const" or stop.op != "const":
        raise ShapeError("the length of arange cannot be told", span, "its bounds are made of numbers and dims")
    number = (stop.value - start.value) / step.value
    if not math.isfinite(number):
        raise ShapeError("arange without end", span)
    return Poly.const(max(0, math.ceil(number)))


def linspace(arrays: Arrays, start: Value, stop: Value, num: Poly, endpoint: bool, span: Span) -> Value:
    """Both ends are met exactly."""
    if start.axes or stop.axes:
        raise ShapeError("linspace takes numbers as its ends", span)
    build = arrays.build
    (axis,) = _axes(arrays, (num,), span)
    if axis is None:
        return Value(build.convert(start.node, "float"), (None,))
    steps = build.op("maximum", build.integer(num - ONE if endpoint else num), build.const(1))
    t = build.op("div", build.index(axis), steps)
    before = build.op("mul", start.node, build.op("sub", build.const(1.0), t))
    return Value(build.op("add", before, build.op("mul", stop.node, t)), (axis,))


def diagonal(arrays: Arrays, matrix: Value, k: int, span: Span, what: str) -> Value:
    """The elements k above the diagonal of a matrix."""
    if len(matrix.axes) != 2:
        hint = "it takes a vector or a matrix" if what == "diag" else "it takes a matrix"
        raise ShapeError(f"{what} of an array of {len(matrix.axes)} axes", span, hint)
    build, (row, column) = arrays.build, matrix.axes
    rows, columns = matrix.shape
    down, right = max(-k, 0), max(k, 0)
    length = extents.minimum(rows - Poly.const(down), columns - Poly.const(right))
    (axis,) = _axes(arrays, (length if (length.constant or 0) >= 0 else Poly(()),), span)
    along = build.const(0) if axis is None else build.index(axis)
    at = {a: build.op("add", along, build.const(start)) for a, start in ((row, down), (column, right)) if a is not None}
    return Value(build.read(matrix.node, list(at), list(at.values())), (axis,))


def diagonal_matrix(arrays: Arrays, vector: Value, k: int, span: Span) -> Value:
    """The matrix with these elements k above its diagonal, and 0 elsewhere."""
    build = arrays.build
    (gap,) = _axes(arrays, (Poly.const(abs(k)),), span)
    zero = build.const({"float": 0.0, "int": 0, "bool": False}[vector.node.type])
    longer = shaping.concatenate(arrays, [vector, Value(zero, (gap,))], 0, span) if k else vector
    axes = _axes(arrays, longer.shape * 2, span)
    i, j = (build.const(0) if a is None else build.index(a) for a in axes)
    along = [(a, i if k >= 0 else j) for a in longer.axes if a is not None]
    element = build.read(longer.node, [a for a, _ in along], [e for _, e in along])
    hit = build.op("eq", j, build.op("add", i, build.const(k)))
    return Value(build.select(hit, element, zero), axes)


def triangle(arrays: Arrays, matrix: Value, k: int, lower: bool, span: Span) -> Value:
    """A matrix, or many, with 0 above (below) the elements k above the diagonal."""
    if len(matrix.axes) < 2:
        raise ShapeError(
            f"{'tril' if lower else 'triu'} of an array of {len(matrix.axes)} axes", span, "it takes a matrix"
        )
    build = arrays.build
    i, j = (build.const(0) if a is None else build.index(a) for a in matrix.axes[-2:])
    kept = build.op("le" if lower else "ge", j, build.op("add", i, build.const(k)))
    zero = build.const({"float": 0.0, "int": 0, "bool": False}[matrix.node.type])
    return Value(build.select(kept, matrix.node, zero), matrix.axes)


def _axes(
    arrays: Arrays, shape: Sequence[Poly], span: Span, taken: Sequence[Index | None] = ()
) -> tuple[Index | None, ...]:
    """Indices for an array of this shape."""
    axes: list[Index | None] = []
    for length in shape:
        if length.constant is not None and length.constant < 0:
            raise ShapeError(f"a length is negative: {length}", span)
        axes.append(None if length == ONE else arrays.fresh(length, [*taken, *axes]))
    return tuple(axes)
