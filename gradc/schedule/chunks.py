"""Loops over rows become sweeps: kernels that run over one chunk of the rows at a time, on whatever threads there are.

A chunk has accumulators of its own, combined in order when all are through, and how many chunks there are depends on
lengths alone. So the result does not depend on how many threads there are, to the last bit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from math import ceil

from msgspec.structs import replace

from gradc.count import cost
from gradc.extents import Poly, volume
from gradc.ir import Type
from gradc.loops import (
    Accumulate,
    Alloc,
    Assign,
    Check,
    Flat,
    For,
    Linear,
    Name,
    Part,
    Routine,
    Stmt,
    Sweep,
    Tiles,
    identity,
    lengths,
    walk,
)
from gradc.program import Input
from gradc.schedule.fission import apart
from gradc.schedule.flat import flattened
from gradc.schedule.names import Names
from gradc.schedule.order import is_row
from gradc.schedule.roles import Roles, mentioned, named, roles, written
from gradc.schedule.tiles import Tiling
from gradc.schedule.together import together


def in_sweeps(routine: Routine, inputs: Sequence[Input], row: str | None, names: Names) -> Routine:
    """The routine with its outermost loops over rows as sweeps, where rows can be computed in any grouping."""
    body: list[Stmt] = list(routine.body)
    if not any(isinstance(s, For) and is_row(s.index, row) for s in body):
        return routine
    shapes = {i.name: i.shape for i in inputs if i.shape}
    allocs = {s.array: s for s in body if isinstance(s, Alloc)}
    shapes.update({name: a.shape for name, a in allocs.items()})
    order = {name: k for k, name in enumerate(shapes)}
    local: set[str] = set()
    axes: list[str] = []
    count = 0
    used_in, written_in = _items(body, mentioned), _items(body, _written)
    for position, s in enumerate(body):
        if isinstance(s, For) and is_row(s.index, row):
            loop, flat = flattened(s, shapes)
            found = roles(loop)
            if found is not None and found.arrays.keys() <= allocs.keys() - _left_behind(found, used_in, written_in):
                count += 1
                kernel = names.claim(f"{routine.name}_rows" + (f"_{count}" if count > 1 else ""))
                body[position] = _sweep(loop, flat, found, kernel, allocs, shapes, order, names, axes)
                local |= found.arrays.keys()
    if not count:
        return routine
    elsewhere = {name for s, _ in walk([s for s in body if not isinstance(s, Sweep)]) for name in mentioned(s)}
    elsewhere.update(name for s in body if isinstance(s, Sweep) for name in s.parameters)
    kept = [s for s in body if not (isinstance(s, Alloc) and s.array in local and s.array not in elsewhere)]
    return replace(routine, body=tuple(kept))


def _items(body: Sequence[Stmt], names: Callable[[Stmt], set[str]]) -> dict[str, set[int]]:
    """Which of the outermost statements each of these names is in."""
    found: dict[str, set[int]] = defaultdict(set)
    for position, item in enumerate(body):
        for s, _ in walk([item]):
            for name in names(s):
                found[name].add(position)
    return found


def _left_behind(found: Roles, used_in: Mapping[str, set[int]], written_in: Mapping[str, set[int]]) -> set[str]:
    """The arrays of single rows that only this loop writes to, and that others read as its last row has left them."""
    return {name for name in found.arrays if len(written_in[name]) == 1 < len(used_in[name])}


def _written(s: Stmt) -> set[str]:
    return {w for w in (written(s),) if w is not None}


def _sweep(
    loop: For,
    flat: Flat,
    found: Roles,
    kernel: str,
    allocs: Mapping[str, Alloc],
    shapes: Mapping[str, tuple[Poly, ...]],
    order: Mapping[str, int],
    names: Names,
    axes: list[str],
) -> Sweep:
    first, last = names.claim("first"), names.claim("last")
    own = {name: allocs[name] for name in sorted(found.arrays, key=order.__getitem__)}
    plain = replace(loop, guard=None)
    shapes = {**shapes, **{array: (flat.size, *others) for array, others in flat.arrays.items()}}
    short = together(plain, found, shapes, names, (first, last))
    rows, flat = (short.rows, short.flat) if short else (None, flat)
    tiles = short.tiles if short else Tiling(plain, found, own, shapes, names, (first, last)).tiled()
    if tiles is None:
        kept, loops = apart([replace(plain, bounds=(first, last))], names)
        body = (*own.values(), *kept, *loops)
    else:
        kept, loops = apart(tiles.body, names)
        body = (*kept, replace(tiles, body=tuple(loops)))
    totals = _parts(loop, found, allocs, names, axes)
    private = Poly.sum(volume(length for _, length in p.axes) for p in totals if p.axes)
    parameters = _parameters(body, {first, last}, [p.name for p in totals], order)
    return Sweep(
        kernel, loop.index, names.claim("chunk"), names.claim("chunks"), first, last, found.reach, totals,
        parameters, _work(loop), private, body, loop.guard, flat, rows,
    )  # fmt: skip


def _parameters(
    body: Sequence[Stmt], own: set[str], totals: Sequence[str], order: Mapping[str, int]
) -> tuple[str, ...]:
    """What the kernel needs from around it: arrays, then lengths, then numbers."""
    made = {*own, *totals}
    used: dict[str, None] = {}
    for s, _ in walk(body):
        made |= {s.variable} if isinstance(s, For) else set()
        made |= {s.array} if isinstance(s, Alloc) else set()
        if isinstance(s, Tiles):
            made |= {s.start, s.stop}
            if s.is_given:
                used[s.height] = None
            else:
                made.add(s.height)
        if isinstance(s, Assign | Linear) and isinstance(s.target, Name):
            made.add(s.target.name)
        needed = mentioned(s).union(*(poly.dims | {e.name for e in poly.entries} for poly in lengths(s)))
        used.update(dict.fromkeys(sorted(needed)))
    free = [name for name in used if name not in made]
    return tuple(sorted(free, key=lambda n: order.get(n, len(order))))


def _parts(loop: For, found: Roles, allocs: Mapping[str, Alloc], names: Names, axes: list[str]) -> tuple[Part, ...]:
    """The accumulators; `axes` are the variables of the loops that combine them, the same for all."""
    made: list[Part] = []
    types: dict[str, Type] = {}
    for s, _ in walk(loop.body):
        if isinstance(s, Accumulate):
            types.setdefault(named(s.target), s.target.type)
    for name, op in found.totals.items():
        start = identity(op, types[name])
        shape = allocs[name].shape if name in allocs else ()
        axes += [names.claim("k") for _ in shape[len(axes) :]]
        over = tuple(zip(axes, shape, strict=False))
        made.append(Part(name, names.claim(f"{name}_parts"), op, start, over, types[name]))
    return tuple(made)


def _work(loop: For) -> Poly:
    """Weighted operations and array elements, for all rows."""
    parts: list[Poly] = []
    for s, around in walk(loop.body):
        own = cost(s) + (1 if isinstance(s, Assign | Accumulate | Check) else 0)
        turns = loop.index.extent * volume(i.extent for i in around)
        parts.append(turns * Poly.const(own))
        if isinstance(s, Linear):
            times, of = s.work
            parts.append(turns * volume(of) * Poly.const(ceil(times)))
    return Poly.sum(parts)
