"""The inputs of a call: bound, converted and checked in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gradc.bounds import in_range, index_input, integer_poly
from gradc.errors import InputError, did_you_mean
from gradc.extents import ONE, Atom, Poly
from gradc.ir import Node
from gradc.program import Input, Program, Provenance, Requirement


class Inputs:
    """Turns what a caller passes into what the compiled code takes, or raises InputError."""

    def __init__(self, program: Program, nodes: Sequence[Node]) -> None:
        inputs = self.inputs = program.inputs
        self.names = tuple(i.name for i in inputs)
        reads = [n for n in nodes if n.op == "read" and n.guard is None]
        self.requirements = (*program.requirements, *_positions(reads, program.provenance))
        self.ranges = _index_ranges(reads)
        checked = self.requirements or self.ranges
        self.only_floats = not checked and all(not i.shape and i.type == "float" for i in inputs)
        self.dtypes = [np.dtype(np.int64 if i.type == "int" else np.float64) for i in inputs]
        self.plain_dims = [[(k, str(p)) for k, p in enumerate(i.shape) if p == Poly.atom(str(p))] for i in inputs]
        self.other_dims = [[(k, p) for k, p in enumerate(i.shape) if p != Poly.atom(str(p))] for i in inputs]

    def ready(self, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> Sequence[Any]:
        """The inputs of a call as compiled code takes them. A call with nothing but floats goes straight through."""
        if self.only_floats and len(args) == len(self.inputs) and not keywords:
            for a in args:
                if type(a) is not float:
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
        """The values as C-ordered arrays and numbers. Arrays that fit are not copied."""
        dims: dict[Atom, int] = {}
        bound_by: dict[str, str] = {}
        for k, i in enumerate(self.inputs):
            value = values[k]
            if not i.shape:
                if type(value) is not float or i.type == "int":
                    values[k] = self._scalar(i, value)
                continue
            if not (
                type(value) is np.ndarray
                and value.dtype == self.dtypes[k]
                and value.flags.c_contiguous
                and value.flags.aligned
            ):
                value = values[k] = self._array(i, value)
            if value.ndim != len(i.shape):
                raise InputError(f"input '{i.name}': expected {_shape(i)}, given an array of shape {value.shape}")
            for axis, dim in self.plain_dims[k]:
                size = value.shape[axis]
                if dims.setdefault(dim, size) != size:
                    given = f"{dim} = {dims[dim]} by '{bound_by[dim]}'"
                    raise InputError(
                        f"input '{i.name}': expected {_shape(i)} with {given}, given an array of shape {value.shape}"
                    )
                bound_by.setdefault(dim, i.name)
        self._check_sizes(values, dims)
        return values

    def _check_sizes(self, values: Sequence[Any], dims: dict[Atom, int]) -> None:
        for k, i in enumerate(self.inputs):
            for axis, poly in self.other_dims[k]:
                wanted = poly.length(dims)
                if values[k].shape[axis] != wanted:
                    raise InputError(
                        f"input '{i.name}': axis {axis} has length {poly} = {wanted}, given {values[k].shape[axis]}"
                    )
        for r in self.requirements:
            left, right = r.left.evaluate(dims), r.right.evaluate(dims)
            if left < right if r.relation == "at least" else max(left, 0) != max(right, 0):
                sizes = ", ".join(f"{d} = {dims[d]}" for d in sorted(r.left.dims | r.right.dims))
                raise InputError(f"{r.message}; given {sizes}" if sizes else r.message, r.span)
        for name, poly in self.ranges:
            array = values[self.names.index(name)]
            length = poly.length(dims)
            if np.size(array) and (np.min(array) < 0 or np.max(array) >= length):
                bad = np.atleast_1d((array < 0) | (array >= length))
                position = tuple(int(p) for p in np.argwhere(bad)[0])
                where = f"[{', '.join(map(str, position))}]" if np.ndim(array) else ""
                shown = np.atleast_1d(array)[position]
                raise InputError(f"input '{name}': {name}{where} = {shown} is out of range: expected 0 to {length - 1}")

    def _scalar(self, i: Input, value: Any) -> float | int:
        array = self._numeric(i, value)
        if array.ndim:
            raise InputError(f"input '{i.name}': expected a number, given an array of shape {array.shape}")
        return int(array) if i.type == "int" else float(array)

    def _array(self, i: Input, value: Any) -> npt.NDArray[Any]:
        return np.require(self._numeric(i, value), requirements=["C", "A"])

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
            return array.astype(np.float64, copy=False)
        if array.dtype.kind == "f" and not np.all(np.floor(array) == array):
            raise InputError(f"input '{i.name}': expected integers, given {array.dtype} with fractions")
        if array.dtype.kind in "fu" and np.any(np.abs(array) >= 2.0**63):
            raise InputError(f"input '{i.name}': expected integers of 64 bits, given larger ones")
        return array.astype(np.int64, copy=False)


def _shape(i: Input) -> str:
    return f"{i.name}[{', '.join(map(str, i.shape))}]"


def _positions(reads: Sequence[Node], provenance: Provenance) -> list[Requirement]:
    """What the sizes must be for positions that are made of sizes alone to be in range."""
    found: dict[Requirement, None] = {}
    for n in reads:
        for axis, e in zip(n.axes, n.subscripts, strict=True):
            poly = integer_poly(e)
            if poly is not None and in_range(e, axis) == "call":
                origin = provenance.origins.get(n)
                message = f"index {poly} is out of range for an axis of length {axis.extent}"
                for high, low in ((poly, Poly.const(0)), (axis.extent - ONE, poly)):
                    if not (high - low).is_nonnegative():
                        found[Requirement(high, "at least", low, message, origin.span if origin else None)] = None
    return list(found)


def _index_ranges(reads: Sequence[Node]) -> list[tuple[str, Poly]]:
    """Which index inputs subscript axes of which lengths, where the call can check it beforehand."""
    found: dict[tuple[str, Poly], None] = {}
    for n in reads:
        for axis, e in zip(n.axes, n.subscripts, strict=True):
            name = index_input(e)
            if name is not None and in_range(e, axis) == "call":
                found[name, axis.extent] = None
    return list(found)
