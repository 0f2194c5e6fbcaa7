"""Products of arrays: sums over labels, which are `@`, `dot`, `outer` and `einsum`; and `cross`."""

from __future__ import annotations

import string
from collections.abc import Sequence

from gradc.errors import ParseError, ShapeError, Span
from gradc.extents import Poly
from gradc.lower import shaping
from gradc.lower.arrays import Arrays
from gradc.lower.subscripts import Rest, subscript
from gradc.program import Value

Labelled = tuple[Value, str]


def matmul(arrays: Arrays, a: Value, b: Value, span: Span) -> Value:
    """The last axis of a with the last but one of b; axes before them number matrices."""
    if not a.axes or not b.axes:
        raise ShapeError("@ needs arrays on both sides, not a number", span, "use * to multiply by a number")
    batch = "abcdefghlmnopqrstuvwxyz"[: max(len(a.axes), len(b.axes), 2) - 2]
    left = batch[len(batch) + 2 - len(a.axes) :] + "ik" if len(a.axes) > 1 else "k"
    right = batch[len(batch) + 2 - len(b.axes) :] + "kj" if len(b.axes) > 1 else "k"
    result = batch + ("i" if len(a.axes) > 1 else "") + ("j" if len(b.axes) > 1 else "")
    return arrays.contract([(a, left), (b, right)], result, span, "@", stretched=batch)


def dot(arrays: Arrays, a: Value, b: Value, span: Span) -> Value:
    """The last axis of a with the last but one of b, for all pairs of the others."""
    if not a.axes or not b.axes:
        return arrays.elementwise("mul", [a, b], span)
    letters = iter(string.ascii_letters)
    left = [next(letters) for _ in a.axes]
    right = [next(letters) for _ in b.axes]
    right[-2 if len(right) > 1 else -1] = left[-1]
    result = [c for c in (*left, *right) if c != left[-1]]
    return arrays.contract([(a, "".join(left)), (b, "".join(right))], "".join(result), span, "dot")


def outer(arrays: Arrays, a: Value, b: Value, span: Span) -> Value:
    """Every element of a times every one of b."""
    a, b = (shaping.ravel(arrays, v, span) if len(v.axes) != 1 else v for v in (a, b))
    return arrays.contract([(a, "i"), (b, "j")], "ij", span, "outer")


def cross(arrays: Arrays, a: Value, b: Value, span: Span) -> Value:
    """Of vectors of three numbers, along the last axis."""
    for v in (a, b):
        if not v.axes:
            raise ShapeError("cross takes vectors of length 3, not a number", span)
        arrays.agree(v.shape[-1], Poly.const(3), "cross", span, stretch=False)

    def component(v: Value, k: int) -> Value:
        return subscript(arrays, v, [Rest(), Value(arrays.build.const(k % 3))], span)

    def minor(k: int) -> Value:
        products = [arrays.elementwise("mul", [component(a, k + p), component(b, k - p)], span) for p in (1, -1)]
        return arrays.elementwise("sub", products, span)

    return shaping.stack(arrays, [minor(k) for k in range(3)], -1, span)


def einsum(arrays: Arrays, text: str, values: Sequence[Value], span: Span) -> Value:
    """NumPy's einsum, from left to right: a label is summed over as soon as no further operand has it."""
    operands, result, stretched = _labels(text, values, span)
    done = operands[0]
    for k, following in enumerate(operands[1:], 1):
        later = result + "".join(labels for _, labels in operands[k + 1 :])
        kept = "".join(c for c in dict.fromkeys(done[1] + following[1]) if c in later)
        done = arrays.contract([done, following], kept, span, "einsum", stretched), kept
    return arrays.contract([done], result, span, "einsum", stretched)


def _labels(text: str, values: Sequence[Value], span: Span) -> tuple[list[Labelled], str, str]:
    """The operands with their labels, those of the result, and those `...` stands for."""
    inputs, arrow, output = text.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != len(values) or not values:
        raise ParseError(f"einsum: '{text}' is for {len(terms)} operands, {len(values)} given", span)
    for term in (*terms, output):
        plain = term.replace("...", "", 1)
        if not all(c in string.ascii_letters for c in plain):
            raise ParseError(f"einsum: '{term}' holds something other than letters and one '...'", span)
    hidden = [len(v.axes) - len(t.replace("...", "")) for t, v in zip(terms, values, strict=True)]
    for term, value, count in zip(terms, values, hidden, strict=True):
        if count < 0 or (count and "..." not in term):
            raise ShapeError(f"einsum: '{term}' for an array of {len(value.axes)} axes", span)
    spare = [chr(ord("0") + k) for k in range(max(hidden))]
    operands = [
        (v, t.replace("...", "".join(spare[len(spare) - count :])))
        for t, v, count in zip(terms, values, hidden, strict=True)
    ]
    used = "".join(labels for _, labels in operands)
    rest = "".join(spare)
    if not arrow:
        output = ("..." if rest else "") + "".join(sorted(c for c in set(used) - set(spare) if used.count(c) == 1))
    if rest and "..." not in output:
        raise ParseError("einsum: the result must have '...' as the operands have it", span)
    result = output.replace("...", rest)
    if len(set(result)) < len(result) or not set(result) <= set(used):
        raise ParseError(f"einsum: '{output}' must name labels of the operands, each once", span)
    return operands, result, rest
