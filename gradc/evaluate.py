"""The reference evaluator: a graph's values over NumPy. Slow and obvious: the oracle of the tests.

A value is one array over the node's indices, in the order of `in_order`. An index whose bound depends on others
(`j < i + 1`) has the length it has at most; elements outside the true range hold anything, and nobody uses them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gradc.extents import Atom, Index, in_order
from gradc.ir import Linear, Node, Reduce, Type, reachable
from gradc.linear import REFERENCE
from gradc.numerics import FUNCTIONS
from gradc.ops import OPS

Array = npt.NDArray[Any]
Axes = tuple[Index, ...]

_DTYPES: dict[Type, type[np.generic]] = {"bool": np.bool_, "int": np.int64, "float": np.float64}
_UFUNCS = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}
_LOWEST = {"bool": False, "int": np.iinfo(np.int64).min, "float": -math.inf}
_HIGHEST = {"bool": True, "int": np.iinfo(np.int64).max, "float": math.inf}


def evaluate(roots: Sequence[Node], inputs: Mapping[str, Any], dims: Mapping[str, int]) -> list[Array]:
    """For each root the array over its indices, in the order of `in_order(root.indices)`.

    A `place` gives its kept indices in that order, then its axes. Raises IndexError where a read or a place that is
    run is out of range.
    """
    run = _Run(inputs, dims)
    with np.errstate(all="ignore"):
        for node in reachable(roots):
            run.values[node] = run.value(node)
    return [np.array(run.values[r]) for r in roots]


def evaluate_value(
    node: Node, axes: tuple[Index | None, ...], inputs: Mapping[str, Any], dims: Mapping[str, int]
) -> Array:
    """The array with these axes; None is an axis of length 1, an index the node lacks is broadcast along."""
    (array,) = evaluate([node], inputs, dims)
    space = _Space(inputs, dims)
    shape = [1 if i is None else space.length(i) for i in axes]
    return np.array(np.broadcast_to(_aligned(array, space.axes(node.indices), axes), shape))


def _aligned(array: Array, own: Axes, axes: Sequence[Index | None]) -> Array:
    """The array with its own axes put in the order of `axes`, length 1 where it has none."""
    assert set(own) <= set(axes), "an axis would be lost"
    moved = array.transpose([own.index(i) for i in axes if i in own])
    return moved[tuple(slice(None) if i in own else None for i in axes)]


class _Space:
    """The ranges of indices when dims and index inputs are known."""

    def __init__(self, inputs: Mapping[str, Any], dims: Mapping[str, int]) -> None:
        self.known: dict[Atom, Any] = {name: np.asarray(v) for name, v in inputs.items()}
        self.known.update(dims.items())
        self._axes: dict[frozenset[Index], Axes] = {}
        self._bounds: dict[Index, Array] = {}

    def axes(self, indices: frozenset[Index]) -> Axes:
        if indices not in self._axes:
            self._axes[indices] = tuple(in_order(indices))
        return self._axes[indices]

    def bound(self, index: Index) -> Array:
        """The true length of an index, over the indices its bound is made of; 0 where those are out of range."""
        if index not in self._bounds:
            outer = self.outer(index)
            inside = self.inside(outer)
            lengths = np.zeros(inside.shape, np.int64)
            for at in np.ndindex(inside.shape):
                if inside[at]:
                    lengths[at] = index.extent.length({**self.known, **dict(zip(outer, at, strict=True))})
            self._bounds[index] = lengths
        return self._bounds[index]

    def outer(self, index: Index) -> Axes:
        """The indices the bound of an index is made of."""
        return self.axes(index.closure - {index})

    def length(self, index: Index) -> int:
        return int(self.bound(index).max(initial=0))

    def shape(self, axes: Axes) -> tuple[int, ...]:
        return tuple(self.length(i) for i in axes)

    def position(self, index: Index, axes: Axes) -> Array:
        """The value of the index, as an array that broadcasts over `axes`."""
        return _aligned(np.arange(self.length(index)), (index,), axes)

    def inside(self, axes: Axes) -> Array:
        """Where every index is within its true range."""
        inside = np.ones(self.shape(axes), np.bool_)
        for i in axes:
            if i.extent.indices:
                inside &= self.position(i, axes) < _aligned(self.bound(i), self.outer(i), axes)
        return inside


class _Run:
    """The values of nodes so far."""

    def __init__(self, inputs: Mapping[str, Any], dims: Mapping[str, int]) -> None:
        self.inputs = inputs
        self.space = _Space(inputs, dims)
        self.values: dict[Node, Array] = {}

    def axes(self, node: Node) -> Axes:
        """The axes of the node's array."""
        return self.space.axes(node.indices) + (node.axes if node.op == "place" else ())

    def over(self, node: Node, axes: Axes) -> Array:
        """The value of an argument, as an array that broadcasts over `axes`."""
        return _aligned(self.values[node], self.axes(node), axes)

    def value(self, node: Node) -> Array:
        axes, args = self.axes(node), node.args
        match node.op:
            case "const":
                result: Any = node.value
            case "dim":
                result = self.space.known[node.name]
            case "index":
                result = self.space.position(node.index, axes)
            case "input":
                result = self.input(node)
            case "read":
                result = self.read(node)
            case "reduce":
                result = self.reduce(node)
            case "scan":
                (v,) = args
                result = np.where(self.space.inside(axes), self.values[v], 0).cumsum(axes.index(node.index))
            case "place":
                result = self.place(node)
            case "scatter":
                result = sum(self.over(p, axes) for p in args)
            case "linear":
                result = self.linear(node)
            case "spread":
                result = self.over(args[0], axes)
            case "select":
                result = np.where(*(self.over(a, axes) for a in args))
            case "convert" | "stop":
                result = self.values[args[0]]
            case name:
                given = [self.over(a, axes) for a in args]
                if OPS[name].result != "bool":  # NumPy's arithmetic on bools is logic, and its exp(True) a float16
                    given = [g.astype(np.int64) if g.dtype == np.bool_ else g for g in given]
                result = FUNCTIONS[name](*given)
        return np.broadcast_to(np.asarray(result).astype(_DTYPES[node.type], copy=False), self.space.shape(axes))

    def input(self, node: Node) -> Array:
        array = np.asarray(self.inputs[node.name])
        assert array.ndim == len(node.axes), f"input '{node.name}' has {array.ndim} axes, not {len(node.axes)}"
        for i, given in zip(node.axes, array.shape, strict=True):
            fits = given >= self.space.length(i) if i.extent.indices else given == self.space.length(i)
            assert fits, f"input '{node.name}' has an axis of length {given} where {i} is {self.space.length(i)}"
        at = tuple(self.space.position(i, self.axes(node)) for i in node.axes)
        return array.astype(_DTYPES[node.type], casting="same_kind")[at]

    def reduce(self, node: Node) -> Array:
        assert isinstance(node.attr, Reduce)
        v = node.args[0]
        axes = self.axes(v)
        identity = {"sum": 0, "prod": 1, "max": _LOWEST[v.type], "min": _HIGHEST[v.type]}[node.attr.kind]
        seen = np.where(self.space.inside(axes), self.values[v], np.asarray(identity, _DTYPES[v.type]))
        over = tuple(k for k, i in enumerate(axes) if i in node.over)
        reduced: Array = _UFUNCS[node.attr.kind].reduce(seen, axis=over, initial=identity)
        return reduced

    def read(self, node: Node) -> Array:
        v, axes = node.args[0], self.axes(node)
        replaced = {a: self.over(e, axes) for a, e in zip(node.axes, node.subscripts, strict=True)}
        at = [replaced[i] if i in replaced else self.space.position(i, axes) for i in self.axes(v)]
        runs = self.runs(node, axes)
        places = self.checked(node, self.axes(v), [np.broadcast_to(p, runs.shape)[runs] for p in at])
        for i in replaced.keys() - v.indices:
            inside = (replaced[i] >= 0) & (replaced[i] < _aligned(self.space.bound(i), self.space.outer(i), axes))
            if not np.broadcast_to(inside, runs.shape)[runs].all():
                raise IndexError(f"{node}: no such element along {i}")
        result = np.zeros(runs.shape, _DTYPES[node.type])
        result[runs] = self.values[v][places]
        return result

    def place(self, node: Node) -> Array:
        v, kept = node.args[0], self.space.axes(node.indices)
        loops = self.space.axes(node.indices | node.over)
        at = [self.space.position(i, loops) for i in kept] + [self.over(e, loops) for e in node.subscripts]
        runs = self.runs(node, loops)
        places = self.checked(node, self.axes(node), [np.broadcast_to(p, runs.shape)[runs] for p in at])
        result = np.zeros(self.space.shape(self.axes(node)), _DTYPES[node.type])
        np.add.at(result, places, np.broadcast_to(self.over(v, loops), runs.shape)[runs])
        return result

    def linear(self, node: Node) -> Array:
        """One matrix after the other; each as long as its axes are there."""
        assert isinstance(node.attr, Linear)
        each = self.space.axes(node.each)
        axes = self.axes(node)
        made = np.zeros(self.space.shape((*each, *node.axes)), np.float64)
        given = [self.over(a, (*each, *inner)) for a, inner in zip(node.arrays, node.inner, strict=True)]
        inside = self.space.inside(each)
        runs = inside if node.guard is None else inside & self.over(node.guard, each)
        for at in np.argwhere(runs):
            place: dict[Atom, int] = dict(zip(each, map(int, at), strict=True))
            whole = []
            for g, inner in zip(given, node.inner, strict=True):
                stretched = np.broadcast_to(g, self.space.shape((*each, *inner)))
                whole.append(stretched[self._part(place, inner)])
            made[self._part(place, node.axes)] = REFERENCE[node.attr.kind](*whole)
        return _aligned(made, (*each, *node.axes), axes)

    def _part(self, at: Mapping[Atom, int], inner: Axes) -> tuple[int | slice, ...]:
        """Where in an array over the places `at` and then `inner` one matrix lies."""
        lengths = (i.extent.length({**self.space.known, **at}) for i in inner)
        return (*at.values(), *(slice(length) for length in lengths))

    def runs(self, node: Node, loops: Axes) -> Array:
        """Where in its loops a read or place is performed."""
        inside = self.space.inside(loops)
        return inside if node.guard is None else inside & self.over(node.guard, loops)

    def checked(self, node: Node, axes: Axes, places: list[Array]) -> tuple[Array, ...]:
        """The places, one array of positions an axis; raises IndexError if one is outside the axes' ranges."""
        lengths = self.space.shape(axes)
        good = np.ones(places[0].shape if places else (), np.bool_)
        for p, length in zip(places, lengths, strict=True):
            good &= (p >= 0) & (p < length)
        if good.all():
            good = self.space.inside(axes)[tuple(places)]
        if not good.all():
            first = np.flatnonzero(~good)[0]
            raise IndexError(f"{node}: no element {tuple(int(p.flat[first]) for p in places)} in axes {lengths}")
        return tuple(places)
