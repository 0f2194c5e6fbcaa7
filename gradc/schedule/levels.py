"""Loop fusion by levels.

Loops are opened one index after another. Along an index, a node's level is the number of completed loops over it that
must lie behind the node. Nodes of one level share one loop; what does not have the index goes between the loops.
Values needed on several levels are computed again there if that is cheap; otherwise they have to be stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradc.extents import Index
from gradc.ir import Node
from gradc.ops import ARITHMETIC, OPS
from gradc.schedule.needs import Needs, known_in, needs
from gradc.schedule.order import accesses, contiguity, dependencies, is_row, loops_of

RECOMPUTE_ROW = 48
"""Along the rows a value is computed again rather than stored up to this cost: storing it would take a whole column."""
RECOMPUTE_INNER = 4
"""Along other indices a value is computed again up to this cost; a short array is cheap to store."""

NEVER = 1 << 30


@dataclass(eq=False)
class Loop:
    """A loop of the schedule: its index and what is in it, in order."""

    index: Index
    body: list[Node | Loop]


Item = Node | Loop


class Levels:
    """Arranges nodes, given oldest first, into loops. `needed` are wanted by whoever asked, not only by other nodes."""

    def __init__(self, nodes: Sequence[Node], written_out: set[Node], needed: set[Node], row: str | None) -> None:
        self.nodes = [n for n in nodes if n not in written_out]
        self.loops = {n: loops_of(n) for n in self.nodes}
        self.deps = {n: dependencies(n, written_out) for n in self.nodes}
        self.touched = {n: accesses(n, written_out) for n in self.nodes}
        self.users: dict[Node, list[Node]] = {n: [] for n in self.nodes}
        for n in self.nodes:
            for a in self.deps[n]:
                self.users[a].append(n)
        self.needed, self.row = needed, row
        self.needs = needs(self.nodes, self.deps, needed)

    def arrange(self) -> list[Item]:
        return self._arrange(self.nodes, frozenset())

    def rises(self, a: Node, n: Node, i: Index) -> bool:
        """Whether n needs a completed loop over i behind a: to have its sum, or its value at other places of i."""
        return i in a.over or i in self.deps[n][a]

    def _arrange(self, group: list[Node], opened: frozenset[Index]) -> list[Item]:
        free = {i for n in group for i in self.loops[n] if i not in opened}
        if not free:
            return list(group)
        i = self._next_loop(group, [f for f in free if f.closure - {f} <= opened])
        level = self._levels(group, i)
        between, bodies = self._bodies(group, i, level, opened)
        items: list[Item] = []
        for k in range(max(level.values()) + 1):
            items += self._arrange(between.get(k, []), opened)
            for part in self._apart(bodies.get(k, []), opened):
                items.append(Loop(i, self._arrange(part, opened | {i})))
        return items

    def _apart(self, body: list[Node], opened: frozenset[Index]) -> list[list[Node]]:
        """The nodes of one loop: in several, if they have nothing to do with each other and not all are needed."""
        under = {n: known_in(self.needs[n], opened) for n in body}
        if not any(under.values()):
            return [body] if body else []
        part: dict[Node, set[Node]] = {}
        for n in body:
            mine = {n}
            for a in self.deps[n]:
                if a in part and n not in part[a]:
                    mine |= part[a]
            for m in mine:
                part[m] = mine
        together: dict[Needs, list[Node]] = {}
        for n in body:
            conditions = [under[m] for m in part[n]]
            needed = None if None in conditions else frozenset().union(*(c for c in conditions if c is not None))
            together.setdefault(needed, []).append(n)
        return list(together.values())

    def _next_loop(self, group: list[Node], free: list[Index]) -> Index:
        """Rows outermost, then whatever leaves contiguous elements to the innermost loop."""
        score = contiguity(access for n in group for access in self.touched[n])
        return min(free, key=lambda f: (not is_row(f, self.row), score.get(f, 0), str(f.extent), f.occurrence))

    def _levels(self, group: list[Node], i: Index) -> dict[Node, int]:
        """As early as arguments allow, then as late as users do, so that little has to be kept in between."""
        level: dict[Node, int] = {}
        for n in group:
            level[n] = max((level[a] + self.rises(a, n, i) for a in self.deps[n] if a in level), default=0)
        cost = self._recompute_cost(group, frozenset({i}))
        for n in reversed(group):
            users = [u for u in self.users[n] if u in level]
            movable = i not in self.loops[n] or cost[n] < NEVER
            if users and movable:
                level[n] = max(level[n], min(level[u] - self.rises(n, u, i) for u in users))
        return level

    def _recompute_cost(self, group: list[Node], inside: frozenset[Index]) -> dict[Node, int]:
        """What it costs to have a node once more in another loop; nothing if it is in none of the loops `inside`."""
        cost: dict[Node, int] = {}
        for n in group:
            if not self.loops[n] & inside:
                cost[n] = 0
            elif n.op in ("reduce", "place", "scatter", "scan", "output"):
                cost[n] = NEVER
            else:
                own = OPS[n.op].weight if n.op in OPS else ARITHMETIC
                again = (cost.get(a, 0) for a in self.deps[n] if not any(self.rises(a, n, j) for j in inside))
                cost[n] = min(NEVER, own + sum(again))
        return cost

    def _bodies(
        self, group: list[Node], i: Index, level: dict[Node, int], opened: frozenset[Index]
    ) -> tuple[dict[int, list[Node]], dict[int, list[Node]]]:
        """By level, the nodes between the loops over i and those in them, with what is computed again in each."""
        along = self._recompute_cost(group, frozenset({i}))
        across = self._recompute_cost(group, frozenset().union(*(self.loops[n] for n in group)) - opened - {i})
        limit = RECOMPUTE_ROW if is_row(i, self.row) else RECOMPUTE_INNER
        present: dict[int, set[Node]] = {}
        for n in group:
            if i in self.loops[n]:
                present.setdefault(level[n], set()).add(n)
        for k, here in present.items():
            stack = list(here)
            while stack:
                n = stack.pop()
                for a in self.deps[n]:
                    if a in here or a not in level or self.rises(a, n, i):
                        continue
                    if i in self.loops[a]:
                        again = level[a] < k and along[a] <= limit
                    else:
                        again = 0 < across[a] <= RECOMPUTE_INNER and not self.deps[n][a]
                    if again:
                        here.add(a)
                        stack.append(a)
        return self._alive(group, i, level, present)

    def _alive(
        self, group: list[Node], i: Index, level: dict[Node, int], present: dict[int, set[Node]]
    ) -> tuple[dict[int, list[Node]], dict[int, list[Node]]]:
        """Of the nodes between and in the loops over i, those that somebody reads there."""
        inside = set(group)
        wanted_between: set[Node] = set()
        wanted_in: dict[Node, set[int]] = {n: set() for n in group}
        between: dict[int, list[Node]] = {}
        bodies: dict[int, list[Node]] = {}

        def want(a: Node, k: int | None) -> None:
            """A copy in loop k if there is one, else the node where it was first put."""
            if k is not None and a in present.get(k, ()):
                wanted_in[a].add(k)
            elif i in self.loops[a]:
                wanted_in[a].add(level[a])
            else:
                wanted_between.add(a)

        for n in reversed(group):
            if n in self.needed or not self.users[n] or any(u not in inside for u in self.users[n]):
                want(n, None)
            if n in wanted_between:
                between.setdefault(level[n], []).append(n)
            for k in wanted_in[n]:
                bodies.setdefault(k, []).append(n)
            for a in self.deps[n]:
                if a in inside:
                    for k in wanted_in[n]:
                        want(a, None if self.rises(a, n, i) else k)
                    if n in wanted_between:
                        want(a, None)
        return {k: b[::-1] for k, b in between.items()}, {k: b[::-1] for k, b in bodies.items()}
