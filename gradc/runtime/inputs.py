"""The inputs of a call: bound, converted and checked in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradc.errors import InputError, did_you_mean
from gradc.extents import Atom, Poly
from gradc.program import Input, Outline, Requirement

if TYPE_CHECKING:
    import numpy.typing as npt

FITTING = 0x0001 | 0x0100
"""NumPy's flags of an array that compiled code takes as it is: C-ordered and aligned."""
Accepted = tuple[list[tuple[int, ...]] | None, dict[Atom, Any], list[tuple[int, int]]]
"""Shapes of the arrays of a call, found right, its dims, and the lengths that its subscripts must be below."""


class Inputs:
    """Turns what a caller passes into what the compiled code takes, or raises InputError."""

    def __init__(self, outline: Outline, dtype: str = "float64") -> None:
        inputs, required, ranges = outline.inputs, outline.requirements, outline.ranges
        self.inputs = inputs
        self.names = tuple(i.name for i in inputs)
        self.named = frozenset(self.names)
        self.requirements = [r for r in required if not (r.left - r.right).entries]
        self.of_elements = [r for r in required if (r.left - r.right).entries]
        self.ranges = [(name, length) for name, length in ranges if not length.entries]
        self.ranges_of_elements = [(name, length) for name, length in ranges if length.entries]
        checked = required or ranges
        only_floats = not checked and all(not i.shape and i.type == "float" for i in inputs)
        self.floats = len(inputs) if only_floats else None
        self.dtype = np.dtype(dtype)
        self.dtypes = tuple(np.dtype(np.int64) if i.type == "int" else self.dtype for i in inputs)
        self.wanted = [(k, i, bool(i.shape), own) for k, (i, own) in enumerate(zip(inputs, self.dtypes, strict=True))]
        self.arrays = [i for i in inputs if i.shape]
        self.accepted: Accepted = (None, {}, [])

    def ready(self, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> Sequence[Any]:
        """The inputs of a call as compiled code takes them. A call with nothing but floats goes straight through."""
        if len(args) == self.floats and not keywords:
            for a in args:
                if not isinstance(a, float):
                    break
            else:
                return args
        return self.convert(self.bind(args, keywords))

    def bind(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> list[Any]:
        """One value an input, in declaration order: positional, by name, or the default."""
        if len(args) > len(self.inputs):
            raise InputError(f"takes {len(self.inputs)} inputs ({', '.join(self.names)}), {len(args)} were given")
        if len(args) == len(self.inputs) and not keywords:
            return list(args)
        if not args and keywords.keys() == self.named:
            return [keywords[name] for name in self.names]
        given = dict(zip(self.names, args, strict=False))
        for name, value in keywords.items():
            if name not in self.names:
                raise InputError(
                    f"unknown input '{name}'", hint=did_you_mean(name, self.names) or f"inputs: {', '.join(self.names)}"
                )
            if name in given:
                raise InputError(f"input '{name}' is given twice")
            given[name] = value
        bound = []
        for i in self.inputs:
            if i.name not in given and i.default is None:
                raise InputError(f"input '{i.name}' is missing", hint=f"expected {i}")
            bound.append(given.get(i.name, i.default))
        return bound

    def convert(self, values: list[Any]) -> list[Any]:
        """The values as C-ordered arrays and numbers. Arrays that fit are not copied.

        Sizes are looked at only where they differ from those of the last call.
        """
        shapes = []
        for k, i, is_array, dtype in self.wanted:
            value = values[k]
            if is_array:
                fits = type(value) is np.ndarray and value.dtype is dtype and value.flags.num & FITTING == FITTING
                if not fits:
                    value = values[k] = self._array(i, value, dtype)
                shapes.append(value.shape)
            elif not isinstance(value, float) or i.type == "int":
                values[k] = self._scalar(i, value)
        known, dims, lengths = self.accepted
        if shapes != known:
            dims = self._dims(shapes)
            lengths = [(self.names.index(name), poly.length(dims)) for name, poly in self.ranges]
            self.accepted = shapes, dims, lengths
        for k, length in lengths:
            self._check_range(self.names[k], values[k], length)
        if self.of_elements or self.ranges_of_elements:
            self._check_elements({**dims, **dict(zip(self.names, values, strict=True))})
        return values

    def _check_elements(self, known: Mapping[Atom, Any]) -> None:
        """Checks lengths that elements of index inputs are part of."""
        for r in self.of_elements:
            _require(r, known)
        for name, poly in self.ranges_of_elements:
            self._check_range(name, known[name], poly.length(known))

    def _dims(self, shapes: Sequence[tuple[int, ...]]) -> dict[Atom, Any]:
        """The dims of a call. Checks its sizes."""
        dims: dict[Atom, Any] = {}
        bound_by: dict[str, str] = {}
        others: list[tuple[Input, int, Poly, int]] = []
        for i, shape in zip(self.arrays, shapes, strict=True):
            if len(shape) != len(i.shape):
                raise InputError(f"input '{i.name}': expected {_shape(i)}, given an array of shape {shape}")
            for axis, (poly, size) in enumerate(zip(i.shape, shape, strict=True)):
                dim = str(poly)
                if poly != Poly.atom(dim):
                    others.append((i, axis, poly, size))
                    continue
                if dims.setdefault(dim, size) != size:
                    given = f"{dim} = {dims[dim]} by '{bound_by[dim]}'"
                    raise InputError(
                        f"input '{i.name}': expected {_shape(i)} with {given}, given an array of shape {shape}"
                    )
                bound_by.setdefault(dim, i.name)
        for i, axis, poly, size in others:
            wanted = poly.length(dims)
            if size != wanted:
                raise InputError(f"input '{i.name}': axis {axis} has length {poly} = {wanted}, given {size}")
        for r in self.requirements:
            _require(r, dims)
        return dims

    def _check_range(self, name: str, given: Any, length: int) -> None:
        array = np.asarray(given)
        if not array.size or array.view(np.uint64).max() < length:  # unsigned, what is negative is too large
            return
        bad = np.atleast_1d((array < 0) | (array >= length))
        position = tuple(int(p) for p in np.argwhere(bad)[0])
        where = f"[{', '.join(map(str, position))}]" if array.ndim else ""
        shown = np.atleast_1d(array)[position]
        raise InputError(f"input '{name}': {name}{where} = {shown} is out of range: expected 0 to {length - 1}")

    def _scalar(self, i: Input, value: Any) -> float | int:
        array = self._numeric(i, value)
        if array.ndim:
            raise InputError(f"input '{i.name}': expected a number, given an array of shape {array.shape}")
        return int(array) if i.type == "int" else float(array)

    def _array(self, i: Input, value: Any, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        with np.errstate(over="ignore"):  # what is too large for float32 is infinite
            return np.require(self._numeric(i, value), dtype, requirements=["C", "A"])

    def _numeric(self, i: Input, value: Any) -> npt.NDArray[Any]:
        if isinstance(value, np.ma.MaskedArray):
            raise InputError(
                f"input '{i.name}': expected numbers, given a masked array", hint="fill it: value.filled(0)"
            )
        try:
            array = np.asarray(float(value) if isinstance(value, int) and i.type == "float" else value)
        except (ValueError, TypeError, OverflowError) as error:
            raise InputError(f"input '{i.name}': expected {_shape(i)}: {error}") from None
        if array.dtype.kind not in "biuf":
            given = f"{type(value).__name__} of {array.dtype}" if array.ndim else type(value).__name__
            raise InputError(f"input '{i.name}': expected numbers, given {given}")
        if i.type == "float":
            return array
        if array.dtype.kind == "f" and not np.all(np.floor(array) == array):
            raise InputError(f"input '{i.name}': expected integers, given {array.dtype} with fractions")
        if array.dtype.kind in "fu" and np.any(np.abs(array) >= 2.0**63):
            raise InputError(f"input '{i.name}': expected integers of 64 bits, given larger ones")
        return array.astype(np.int64, copy=False)


def _require(r: Requirement, known: Mapping[Atom, Any]) -> None:
    left, right = r.left.evaluate(known), r.right.evaluate(known)
    if left < right if r.relation == "at least" else max(left, 0) != max(right, 0):
        given = [f"{d} = {known[d]}" for d in sorted(r.left.dims | r.right.dims)]
        entries = {str(Poly.atom(e)): Poly.atom(e).evaluate(known) for e in r.left.entries | r.right.entries}
        given += [f"{text} = {value}" for text, value in sorted(entries.items())]
        raise InputError(f"{r.message}; given {', '.join(given)}" if given else r.message, r.span)


def _shape(i: Input) -> str:
    return f"{i.name}[{', '.join(map(str, i.shape))}]"
