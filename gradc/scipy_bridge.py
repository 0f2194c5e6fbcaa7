"""A loss over one flat vector, as `scipy.optimize.minimize(..., jac=True)` takes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from gradc.errors import InputError
from gradc.extents import Atom, Poly
from gradc.program import Program

Vector = npt.NDArray[np.float64]


class Problem:
    """`fun(v)` gives (value, flat gradient), `x0` is the start; `pack` and `unpack` convert params and vectors."""

    def __init__(
        self,
        value_and_grad: Callable[..., tuple[float, Any]],
        program: Program,
        wrt: tuple[str, ...],
        fixed: Mapping[str, Any],
    ) -> None:
        self._value_and_grad, self._wrt = value_and_grad, wrt
        known = {i.name for i in program.inputs}
        for name in fixed:
            if name not in known:
                raise InputError(f"unknown input '{name}'", hint=f"inputs: {', '.join(sorted(known))}")
        self._fixed = {name: value for name, value in fixed.items() if name not in wrt}
        shapes = _shapes(program, wrt, fixed)
        self._shapes = [shapes[name] for name in wrt]
        ends = np.cumsum([int(np.prod(s)) for s in self._shapes])
        self._cuts = [int(e) for e in ends[:-1]]
        defaults = {i.name: i.default or 0.0 for i in program.inputs}
        start = (np.broadcast_to(np.asarray(fixed.get(n, defaults[n]), dtype=float), shapes[n]) for n in wrt)
        self.x0: Vector = self.pack(dict(zip(wrt, start, strict=True)))

    def fun(self, v: npt.ArrayLike) -> tuple[float, Vector]:
        """(value, flat gradient) at a flat vector of params."""
        value, gradient = self._value_and_grad(**self._fixed, **self.unpack(v))
        return float(value), self.pack(gradient._asdict())

    def pack(self, params: Mapping[str, Any]) -> Vector:
        """All params as one flat vector, in the order of `wrt`."""
        return np.concatenate([np.ravel(np.asarray(params[name], dtype=float)) for name in self._wrt])

    def unpack(self, v: npt.ArrayLike) -> dict[str, Any]:
        """The params of a flat vector by name; scalars are floats."""
        try:
            flat = np.asarray(v, dtype=float)
        except (ValueError, TypeError) as error:
            raise InputError(f"expected a vector of {len(self.x0)} numbers: {error}") from None
        if flat.shape != self.x0.shape:
            raise InputError(f"expected a vector of {len(self.x0)} numbers, given an array of shape {flat.shape}")
        parts = np.split(flat, self._cuts)
        shaped = zip(self._wrt, parts, self._shapes, strict=True)
        return {name: part.reshape(shape) if shape else float(part[0]) for name, part, shape in shaped}


def _shapes(program: Program, wrt: tuple[str, ...], fixed: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of the params, from the arrays that are given. Raises InputError where they do not tell."""
    dims: dict[Atom, int] = {}
    for i in program.inputs:
        if i.name in fixed:
            for poly, size in zip(i.shape, np.shape(fixed[i.name]), strict=False):
                if poly == Poly.atom(str(poly)):
                    dims.setdefault(str(poly), size)
    found = {}
    for name in wrt:
        shape = program.input(name).shape
        unknown = sorted({d for p in shape for d in p.dims} - set(dims))
        if unknown and name not in fixed:
            raise InputError(
                f"input '{name}': the size of '{unknown[0]}' is not known", hint=f"give a starting value: {name}=..."
            )
        found[name] = np.shape(fixed[name]) if name in fixed else tuple(p.length(dims) for p in shape)
    return found
