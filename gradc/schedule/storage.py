"""Where each value lives: in a scalar if only its own loop reads it, else in an array over the loops in between."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from msgspec import Struct, field

from gradc.extents import Index
from gradc.ir import Node
from gradc.schedule.levels import Item, Levels, Loop, UnstorableError

Path = tuple[Loop, ...]


class Storage(Struct):
    """`paths`: the loops around each node, for each time it is computed. `axes`: the stored axes; none for scalars.

    `writers`: of a value that is computed several times, the times it is stored.
    """

    paths: dict[Node, list[Path]] = field(default_factory=dict)
    axes: dict[Node, tuple[Index, ...]] = field(default_factory=dict)
    outputs: dict[Node, str] = field(default_factory=dict)
    writers: dict[Node, set[Path]] = field(default_factory=dict)

    def stores(self, n: Node, path: Path) -> bool:
        """Whether the value computed at this path is put into an array, not only into a scalar for those around it."""
        return n in self.axes and (len(self.paths[n]) == 1 or path in self.writers.get(n, ()))

    def homes(self, n: Node) -> list[Path]:
        """The loops around the place where the finished value is first known."""
        return [home(n, path) for path in self.paths[n]]


def home(n: Node, path: Path) -> Path:
    """The loops around an accumulator; for other nodes those around the node itself."""
    if n.op == "scan":
        return _before(path, frozenset({n.index}))
    return _before(path, n.over) if n.over else path


def plan(items: Sequence[Item], levels: Levels, outputs: dict[Node, tuple[str, tuple[Index, ...]]]) -> Storage:
    """Storage of every node. `outputs`: accumulators that are results themselves, with their name and axes."""
    storage = Storage(outputs={n: name for n, (name, _) in outputs.items()})
    _walk(items, (), storage.paths)
    scheduled = [n for n in levels.nodes if n in storage.paths]
    _check(storage, levels, scheduled)
    for n in scheduled:
        if n.op == "scatter":
            homes = [home(p, path) for p in n.args for path in storage.paths[p]]
            storage.paths[n] = [_common(homes)]
    stored: dict[Node, set[Index]] = defaultdict(set)
    for n in scheduled:
        for a, moved in levels.deps[n].items():
            outside = storage.paths[a] == [()] and not moved
            if a.op != "place" and not outside:
                stored[a] |= moved
                for path in storage.paths[n]:
                    stored[a] |= _crossed(storage, a, path, moved)
        accumulated = (n,) if n.op == "reduce" else n.args if n.op == "scatter" else ()
        for part in accumulated:
            for path in storage.paths[part]:
                start = len(storage.homes(n)[0]) if n.op == "scatter" else len(home(n, path))
                stored[n] |= {loop.index for loop in path[start:]} - part.over
    for n in scheduled:
        own = n.axes if n.op in ("scatter", "linear") else ()
        if n in outputs:
            storage.axes[n] = outputs[n][1]
        elif own or n in stored:
            path = storage.paths[n.args[0]][0] if n.op == "scatter" else storage.paths[n][0]
            around = [loop.index for loop in path if loop.index in stored[n] and loop.index not in own]
            axes = (*around, *own)
            if axes:
                storage.axes[n] = axes
                if n.op == "reduce":
                    storage.writers[n] = set(storage.paths[n])
            if not all(i.extent.has_bound for i in axes):
                raise UnstorableError(n)
    return storage


def _check(storage: Storage, levels: Levels, scheduled: Sequence[Node]) -> None:
    """What nothing can be stored over has been copied to wherever it is needed, if that is possible at all."""
    for n in scheduled:
        missing = [a for a in levels.deps[n] if a not in storage.paths and a.op != "scatter"]
        if missing:
            raise UnstorableError(missing[0])
        accumulates = n.op in ("place", "scan", "output", "linear") or (n.op == "reduce" and not levels.endless[n])
        if accumulates and len(storage.paths[n]) > 1:
            raise UnstorableError(n)
        if any(len(path) > 1 and len({loop.index for loop in path}) < len(path) for path in storage.paths[n]):
            raise UnstorableError(n)


def _walk(items: Sequence[Item], path: Path, paths: dict[Node, list[Path]]) -> None:
    for item in items:
        if isinstance(item, Loop):
            _walk(item.body, (*path, item), paths)
        else:
            paths.setdefault(item, []).append(path)


def _crossed(storage: Storage, a: Node, path: Path, moved: frozenset[Index]) -> set[Index]:
    """The indices of loops that are closed between a and its reader at this path; notes that a is stored there, if so.

    Along `moved` indices a is read at other places, so that it must be complete before the loops over them.
    """
    best: tuple[set[Index], Path] | None = None
    nearest = -1
    for where, full in zip(storage.paths[a] if a.op == "scan" else storage.homes(a), storage.paths[a], strict=True):
        common = _common([where, path])
        if any(loop.index in moved for loop in common):
            continue
        crossed = {loop.index for loop in where[len(common) :]} & a.indices
        closer = best is not None and len(crossed) == len(best[0]) and len(common) > nearest
        if best is None or len(crossed) < len(best[0]) or closer:
            best, nearest = (crossed, full), len(common)
    assert best is not None
    if best[0] or moved:
        storage.writers.setdefault(a, set()).add(best[1])
    return best[0]


def _before(path: Path, over: frozenset[Index]) -> Path:
    for k, loop in enumerate(path):
        if loop.index in over:
            return path[:k]
    return path


def _common(paths: Sequence[Path]) -> Path:
    shared = paths[0]
    for p in paths[1:]:
        k = 0
        while k < min(len(shared), len(p)) and shared[k] is p[k]:
            k += 1
        shared = shared[:k]
    return shared
