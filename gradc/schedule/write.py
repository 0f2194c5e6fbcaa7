"""Writes the arranged nodes down as a loop program: what is a statement, what is part of another's expression."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gradc.extents import ONE, Index, Poly
from gradc.ir import Node, Number
from gradc.linear import WORK
from gradc.loops import (
    Accumulate,
    Alloc,
    Apply,
    Assign,
    Check,
    Const,
    Element,
    Expr,
    Fill,
    For,
    Linear,
    Name,
    Routine,
    Section,
    Stmt,
    Target,
    chosen_once,
    identity,
)
from gradc.ops import OPS
from gradc.program import Provenance
from gradc.schedule.checks import Checks
from gradc.schedule.comments import Comments
from gradc.schedule.levels import Item, Levels, Loop, loops_in
from gradc.schedule.names import Names
from gradc.schedule.order import dependencies
from gradc.schedule.skips import Skips
from gradc.schedule.storage import Path, Storage, home

INLINE_LIMIT = 9
"""An expression of more operations than this gets a name of its own."""

NEVER_INLINE = frozenset({"reduce", "scan", "place", "scatter", "linear", "output"})
COMBINE = {"sum": "add", "prod": "mul", "max": "maximum", "min": "minimum"}


class Writer:
    """Turns one schedule into one routine."""

    def __init__(
        self,
        levels: Levels,
        items: Sequence[Item],
        storage: Storage,
        leaves: set[Node],
        names: Names,
        roots: Sequence[Node],
    ) -> None:
        self.levels, self.items, self.storage, self.leaves, self.names = levels, items, storage, leaves, names
        self.provenance: Provenance = names.provenance
        self.roots = set(roots)
        self.checks = Checks(levels, storage, names)
        self.inline: dict[Node, int] = {}
        self.seeds: dict[Node, tuple[Node, Node]] = {}
        self._choose_inline()
        self._choose_seeds()
        self.aliases = self._buffers_of_outputs()
        self.arrays: dict[Node, str] = {}
        self.seeded = {n for n, _ in self.seeds.values()}
        kept = {n: array for n, array in self.aliases.items() if n in levels.kept}
        self.comments = Comments(self.provenance, levels, self.inline, kept)
        self.skips = Skips(levels, storage, self.inline)
        self.starts: dict[int, list[Node]] = {}
        self.blocks: dict[int, list[Node]] = {}
        self.allocs: dict[int, list[Stmt]] = {}
        self._place_arrays()

    def routine(self, name: str, value: tuple[Node, str], gradient: Sequence[tuple[Node, str]] | None) -> Routine:
        """The finished routine. A result is a node and the name of the array it is stored in, empty for a scalar."""
        for loop in loops_in(self.items):
            self.names.index(loop.index)
        body = self._block(self.items, ())
        result = self._result(*value)
        fields = None if gradient is None else tuple(self._result(*g) for g in gradient)
        return Routine(name, tuple(body), result, fields, dict(self.names.indices), self.levels.twice)

    def _result(self, n: Node, array: str) -> Expr:
        return Name(array, n.type) if array else self._expr(n, ())

    # decisions

    def _choose_inline(self) -> None:
        """Unnamed values with one reader in the same place become part of its expression."""
        for n in self.levels.nodes:
            users = self.levels.users[n]
            once = len(users) == 1 and users[0].args.count(n) == 1 and n not in self.storage.axes
            simple = once and n.op not in NEVER_INLINE and n not in self.roots and n not in self.provenance.names
            if simple and self.storage.paths[n] == self.storage.paths[users[0]] and not self.checks.must_stand(n):
                size = 1 + sum(self.inline.get(a, 0) for a in self.levels.deps[n])
                if size <= INLINE_LIMIT:
                    self.inline[n] = size

    def _choose_seeds(self) -> None:
        """A sum that is only added to something known beforehand starts from there: `z = b`, then `z += ...`."""
        for n in self.levels.nodes:
            if n.op != "add" or n in self.inline or n in self.storage.axes or len(self.storage.paths[n]) != 1:
                continue
            for total, start in (n.args, n.args[::-1]):
                if total.op != "reduce" or total.kind != "sum" or total in self.storage.axes or total in self.roots:
                    continue
                alone = self.levels.users[total] == [n] and len(self.storage.paths[total]) == 1
                if alone and self.storage.homes(total) == self.storage.paths[n] and self._is_plain(start):
                    self.seeds[total] = (n, start)
                    break

    def _is_plain(self, n: Node) -> bool:
        return n in self.leaves and not dependencies(n, self.leaves) and n.op not in OPS

    def _buffers_of_outputs(self) -> dict[Node, str]:
        """Accumulators that only an output over the same axes reads, element by element, live in the output's array.

        So does a value that is kept there, if all others who read it do so in the loop that it is computed in.
        """
        found: dict[Node, str] = dict(self.storage.outputs)
        for a, output in self.levels.kept.items():
            around, readers = self.storage.paths[a], self.levels.keepable[output][a]
            beside = all(u in readers or self.storage.paths[u] == around for u in self.levels.users[a])
            if set(self.storage.axes.get(a, ())) == set(output.axes) and len(around) == 1 and beside:
                self.storage.axes[a] = output.axes
                found[a] = output.name
        for n in self.levels.nodes:
            if n.op == "output":
                for a in self._read_in_place(n):
                    fits = set(self.storage.axes.get(a, ())) == set(n.axes) and a.type == "float"
                    alone = len(self.levels.users[a]) == 1 and a not in self.roots
                    if a.op in ("reduce", "scatter", "linear") and fits and alone and n.name not in found.values():
                        self.storage.axes[a] = n.axes
                        found[a] = n.name
        return found

    def _read_in_place(self, n: Node) -> list[Node]:
        """What the expression of n reads at no other places than n's own."""
        found: list[Node] = []
        stack = [n]
        while stack:
            for a, moved in self.levels.deps[stack.pop()].items():
                if not moved:
                    (stack if a in self.inline else found).append(a)
        return found

    def _place_arrays(self) -> None:
        """Where accumulators start, and before which outermost item each array is made."""
        top: dict[Node, int] = {}
        for position, item in enumerate(self.items):
            for n in self._inside(item):
                for target in self._targets(n):
                    top.setdefault(target, position)
        claimed: set[str] = set()
        for n, position in top.items():
            if n.op in ("reduce", "scan"):
                for path in self.storage.paths[n]:
                    start = home(n, path)
                    self.starts.setdefault(id(path[len(start)]), []).append(n)
            if self._running_axes(n):
                shape = tuple(a.extent.bounding() for a in self._running_axes(n))
                self.allocs.setdefault(position, []).append(Alloc(self.names.of(n), shape, n.type))
            if n in self.storage.axes or n.op == "output":
                name = self._array(n)
                if name not in claimed:
                    self.allocs.setdefault(position, []).append(self._alloc(n))
                    claimed.add(name)
            if n.op == "scatter" and self.storage.paths[n][0]:
                self.blocks.setdefault(id(self.storage.paths[n][0][-1]), []).append(n)

    def _targets(self, n: Node) -> Iterable[Node]:
        if n.op == "place":
            return (u for u in self.levels.users[n])
        return () if n.op == "scatter" else (n,)

    def _inside(self, item: Item) -> Iterable[Node]:
        stack = [item]
        while stack:
            x = stack.pop()
            if isinstance(x, Loop):
                stack += reversed(x.body)
            else:
                yield x

    # statements

    def _block(self, items: Sequence[Item], path: Path) -> list[Stmt]:
        out: list[Stmt] = []
        if path:
            for n in self.blocks.get(id(path[-1]), ()):
                out.append(self._reset(n, 0.0, path))
        for position, item in enumerate(items):
            if isinstance(item, Loop):
                self._open(item, path, position, out)
            elif item not in self.inline and item.op != "scatter" and item not in self.seeded:
                out += self.comments.before([item])
                if not path:
                    out += self.allocs.get(position, ())
                out += self._statement(item, path)
                self.skips.known.add((item, path))
        return out

    def _open(self, loop: Loop, path: Path, position: int, out: list[Stmt]) -> None:
        inside = [n for n in self._inside(loop) if n not in self.inline and n.op != "scatter"]
        if not inside:
            return
        together = len({self.comments.group_of(n) for n in inside}) == 1
        if together:
            out += self.comments.before(inside)
        else:
            self.comments.group = None
        if not path:
            out += self.allocs.get(position, ())
        for n in dict.fromkeys(self.starts.get(id(loop), ())):
            kind = n.kind
            start = identity(COMBINE[kind], n.type)
            if n in self.seeds:
                out.append(Assign(self._variable(n), self._expr(self.seeds[n][1], path)))
            elif self._running_axes(n):
                out.append(Fill(self.names.of(n), (None,) * len(self._running_axes(n)), start))
            elif n not in self.storage.axes or self._runs_in_scalar(n):
                out.append(Assign(self._variable(n), Const(start)))
            elif path:
                out.append(self._reset(n, start, path))
        outer = self.comments.group
        guard = self._any_of(self.skips.opened(loop, inside, path), path)
        out += self.checks.ahead_of(loop, guard)
        self.checks.enter()
        body = self._block(loop.body, (*path, loop))
        self.checks.leave()
        self.comments.group = outer if together else None
        self.skips.closed()
        out.append(For(loop.index, self.names.index(loop.index), tuple(body), guard=guard))
        for n in dict.fromkeys(self.starts.get(id(loop), ())):
            if n.op == "reduce" and self._runs_in_scalar(n):
                out.append(Assign(self._element(n), self._variable(n)))
            self.skips.known.add((n, path))

    def _any_of(self, conditions: Sequence[Node], path: Path) -> Expr | None:
        """That one of these conditions holds; None if there are none."""
        total: Expr | None = None
        for c in conditions:
            holds = self._expr(c, path)
            total = holds if total is None else Apply("or", (total, holds), "bool")
        return total

    def _runs_in_scalar(self, n: Node) -> bool:
        """Whether an accumulator that is kept in an array is a scalar as long as it runs."""
        if n.op == "scan":
            return True
        if n.op != "reduce" or n not in self.storage.axes or len(self.storage.paths[n]) != 1:
            return False
        return set(self.storage.axes[n]) <= {loop.index for loop in self.storage.homes(n)[0]}

    def _reset(self, n: Node, value: Number, path: Path) -> Stmt:
        """Sets an accumulator back, in the part of its array that the loops around point to."""
        around = {loop.index for loop in path}
        at = tuple(self._index(a) if a in around and a not in self._placed(n) else None for a in self.storage.axes[n])
        return Fill(self._array(n), at, value) if None in at else Assign(self._element(n), Const(value))

    def _placed(self, n: Node) -> tuple[Index | None, ...]:
        return n.axes if n.op == "scatter" else ()

    def _running_axes(self, n: Node) -> tuple[Index, ...]:
        """The axes of the totals of a running sum: one for each turn of the loops inside its own."""
        if n.op != "scan":
            return ()
        path = self.storage.paths[n][0]
        return tuple(loop.index for loop in path[len(home(n, path)) + 1 :])

    def _variable(self, n: Node) -> Target:
        if self._running_axes(n):
            return Element(self.names.of(n), tuple(self._index(a) for a in self._running_axes(n)), n.type)
        return Name(self.names.of(self.seeds[n][0] if n in self.seeds else n), n.type)

    def _alloc(self, n: Node) -> Alloc:
        fill: Number | None = None
        if n.op == "scatter" and not self.storage.paths[n][0]:
            fill = 0.0
        elif n.op == "reduce" and not home(n, self.storage.paths[n][0]):
            fill = identity(COMBINE[n.kind], n.type)
        return Alloc(self._array(n), self._shape(n), n.type, fill)

    def _statement(self, n: Node, path: Path) -> list[Stmt]:
        if n.op == "reduce":
            kind = n.kind
            target = self._variable(n) if self._runs_in_scalar(n) else self._target(n, path)
            return [Accumulate(target, COMBINE[kind], self._expr(n.args[0], path))]
        if n.op == "place":
            return self._place(n, path)
        if n.op == "linear":
            return [self._linear(n, path)]
        if n.op == "scan":
            running = self._variable(n)
            step: list[Stmt] = [Accumulate(running, "add", self._expr(n.args[0], path))]
            return step + ([Assign(self._element(n), running)] if n in self.storage.axes else [])
        if n.op == "output":
            at = tuple(Const(0) if a is None else Name(self.names.index(a), "int") for a in n.axes)
            return [Assign(Element(n.name, at, n.type), self._expr(n.args[0], path))]
        checks = self._checks(n, path) if n.op == "read" else []
        return [*checks, Assign(self._target(n, path), self._apply(n, path))]

    def _place(self, n: Node, path: Path) -> list[Stmt]:
        """Adds to every array that has this summand: adjoints of several inputs may share it."""
        made = self._checks(n, path)
        places = dict(zip(n.axes, n.subscripts, strict=True))
        guard = self._guard(n, path)
        for buffer in self.levels.users[n]:
            axes = self.storage.axes[buffer]
            at = tuple(self._expr(places[a], path) if a in places else self._index(a) for a in axes)
            target = Element(self._array(buffer), at, "float")
            made.append(Accumulate(target, "add", self._expr(n.args[0], path), guard))
        return made

    def _linear(self, n: Node, path: Path) -> Stmt:
        given = []
        for a, inner in zip(n.arrays, n.inner, strict=True):
            array, axes = (a.name, a.axes) if a.op == "input" else (self._array(a), self.storage.axes[a])
            given.append(self._section(array, axes, inner))
        target = self._section(self._array(n), self.storage.axes[n], n.axes) if n.axes else self._target(n, path)
        factor, power = WORK[n.kind]
        lengths = [i.extent for i in n.inner[0][1:]] * power + [i.extent for axes in n.inner[1:] for i in axes[1:]]
        guard = self._guard(n, path)
        return Linear(n.kind, tuple(given), target, (factor, tuple(lengths)), guard)

    def _guard(self, n: Node, path: Path) -> Expr | None:
        """The condition under which something is run, if there is one that does not hold all around it."""
        return None if n.guard is None or self.skips.holds(n.guard) else self._expr(n.guard, path)

    def _section(self, array: str, axes: tuple[Index, ...], inner: tuple[Index, ...]) -> Section:
        """The part of an array over these axes that is one matrix."""
        at = tuple(i.extent if i in inner else self._index(i) for i in axes)
        return Section(array, at, [i for i in axes if i in inner] != [*inner])

    def _checks(self, n: Node, path: Path) -> list[Stmt]:
        guard = self._guard(n, path)
        unchecked = self.checks.in_place.get((n, path), ())
        return self.checks.new(
            Check(self._expr(e, path), axis.extent, self.checks.message(n, axis), guard) for axis, e in unchecked
        )

    # expressions

    def _expr(self, n: Node, path: Path) -> Expr:
        if n in self.inline:
            return self._apply(n, path)
        if n in self.leaves:
            return self._leaf(n, path)
        if n not in self.storage.axes or self._still_there(n, path):
            return self._variable(n)
        return self._element(n)

    def _still_there(self, n: Node, path: Path) -> bool:
        """Whether a scalar holds what is stored for this place, so that it need not be read back."""
        if self._runs_in_scalar(n):
            known = self.storage.paths[n] if n.op == "scan" else self.storage.homes(n)
        else:
            known = [own for own in self.storage.paths[n] if not self.storage.stores(n, own)]
        return any(own == path[: len(own)] for own in known)

    def _leaf(self, n: Node, path: Path) -> Expr:
        if n.op == "const":
            return Const(n.value)
        if n.op == "dim":
            return Name(n.name, "int")
        if n.op == "index":
            return self._index(n.index)
        if n.op == "input":
            return Element(n.name, tuple(self._index(a) for a in n.axes), n.type) if n.axes else Name(n.name, n.type)
        if n.op == "read":
            return self._read(n, path)
        return Apply(n.op, tuple(self._expr(a, path) for a in n.args), n.type)

    def _apply(self, n: Node, path: Path) -> Expr:
        if n.op == "index":
            return self._index(n.index)
        if n.op == "read":
            read, guard = self._read(n, path), self._guard(n, path)
            zero = Const(0.0 if n.type == "float" else 0)
            return read if guard is None else Apply("select", (guard, read, zero), n.type)
        arm = self.skips.arm(n) if n.op == "select" else None
        if arm is not None:
            return self._expr(arm, path)
        if n.op == "spread":
            return self._expr(n.args[0], path)
        op = str(n.attr) if n.op == "convert" else n.op
        args = tuple(self._expr(a, path) for a in n.args)
        return Apply(op, chosen_once(args) if op == "select" else args, n.type)

    def _read(self, n: Node, path: Path) -> Expr:
        v = n.args[0]
        if not v.indices.intersection(n.axes):
            return self._expr(v, path)
        places = {a: self._expr(e, path) for a, e in zip(n.axes, n.subscripts, strict=True)}
        axes = v.axes if v.op == "input" else self.storage.axes[v]
        name = v.name if v.op == "input" else self._array(v)
        return Element(name, tuple(places.get(a) or self._index(a) for a in axes), n.type)

    def _index(self, i: Index) -> Expr:
        return Name(self.names.index(i), "int")

    def _target(self, n: Node, path: Path) -> Target:
        return self._element(n) if self.storage.stores(n, path) else self._variable(n)

    def _element(self, n: Node) -> Element:
        return Element(self._array(n), tuple(self._index(a) for a in self.storage.axes[n]), n.type)

    def _array(self, n: Node) -> str:
        if n.op == "output":
            return n.name
        if n in self.aliases:
            return self.aliases[n]
        if self._runs_in_scalar(n) or not all(self.storage.stores(n, path) for path in self.storage.paths[n]):
            if n not in self.arrays:
                self.arrays[n] = self.names.claim(f"{self.names.of(n)}_all")
            return self.arrays[n]
        return self.names.of(n)

    def _shape(self, n: Node) -> tuple[Poly, ...]:
        axes = n.axes if n.op == "output" else self.storage.axes[n]
        return tuple(ONE if a is None else a.extent.bounding() for a in axes)
