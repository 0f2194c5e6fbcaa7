"""Loop fusion by levels.

Loops are opened one index after another. Along an index, a node's level is the number of completed loops over it that
must lie behind the node. Nodes of one level share one loop; what does not have the index goes between the loops.
Values needed on several levels are computed again there if that is cheap; otherwise they have to be stored. Over a loop
of which only elements of index inputs tell how long it gets nothing can be stored: there everything is computed again.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cached_property

from msgspec import Struct

from gradc.extents import Index
from gradc.ir import Node
from gradc.ops import ARITHMETIC, OPS, TRANSCENDENTAL
from gradc.schedule.factors import factors
from gradc.schedule.keep import keepable
from gradc.schedule.needs import Needs, known_in, needs
from gradc.schedule.once import ALONE, once
from gradc.schedule.order import Access, accesses, contiguity, dependencies, is_row, loops_of

RECOMPUTE_ROW = 48
"""Along the rows a value is computed again rather than stored up to this cost: storing it would take a whole column."""
RECOMPUTE_INNER = 4
"""Along other indices a value is computed again up to this cost; a short array is cheap to store."""

KEEP = TRANSCENDENTAL
"""From this cost on a value that is needed again for a result is kept in the result's array."""

MOST_AT_ONCE = 24
"""Of more loops than this, loops over a few of the nodes each, the earlier half is arranged before the later one."""

NEVER = 1 << 30
Copies = Mapping[Node, frozenset[Node]]
"""What is computed again, each with the nodes that it is computed again for, or along with."""


class UnstorableError(Exception):
    """A value would have to be stored over a loop of which nobody knows how long it gets."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.node = node


class Loop(Struct, eq=False):
    """A loop of the schedule: its index and what is in it, in order."""

    index: Index
    body: list[Node | Loop]


Item = Node | Loop


def loops_in(items: Sequence[Item]) -> Iterator[Loop]:
    """All loops, outer ones first, in order."""
    stack = list(reversed(items))
    while stack:
        x = stack.pop()
        if isinstance(x, Loop):
            yield x
            stack += reversed(x.body)


class Levels:
    """Arranges nodes, given oldest first, into loops. `needed` are wanted by whoever asked, not only by other nodes.

    `once` are values that are not computed again, since their bits matter; `twice` says that some cannot be stored.
    `kept` are values that live in the array of an output until its elements are known, each with its output.
    """

    def __init__(self, nodes: Sequence[Node], written_out: set[Node], needed: set[Node], row: str | None) -> None:
        self.nodes = [n for n in nodes if n not in written_out]
        self.loops = {n: loops_of(n) for n in self.nodes}
        self.deps = {n: dependencies(n, written_out) for n in self.nodes}
        self.users: dict[Node, list[Node]] = {n: [] for n in self.nodes}
        for n in self.nodes:
            for a in self.deps[n]:
                self.users[a].append(n)
        self.written_out, self.needed, self.row = written_out, needed, row
        self.keepable = keepable(self.nodes, self.deps, self.users, needed)
        self.kept: dict[Node, Node] = {}
        self.endless = {n: _endless(n) for n in self.nodes}
        self.factors = factors(self.nodes)
        fragile = {n for n in once(nodes) if n in self.loops}
        self.once = {n for n in fragile if not self.endless[n]}
        self.twice = fragile != self.once

    @cached_property
    def touched(self) -> dict[Node, list[Access]]:
        """The array elements that each node reads or writes."""
        return {n: accesses(n, self.written_out) for n in self.nodes}

    @cached_property
    def needs(self) -> dict[Node, Needs]:
        """What each node is needed under."""
        return needs(self.nodes, self.deps, self.needed)

    @cached_property
    def stored_needs(self) -> dict[Node, Needs]:
        """What each node is needed under if other loops read it: those of sums may run where they add zeros."""
        return needs(self.nodes, self.deps, self.needed, adds_zeros=True)

    def arrange(self) -> list[Item]:
        return self._arrange(self.nodes, frozenset(), {})

    def passes(self, n: Node, opened: frozenset[Index]) -> bool:
        """Whether the values of n are gone when a loop that is yet to be opened is through."""
        return bool(self.endless[n] - opened)

    def rises(self, a: Node, n: Node, i: Index, here: Container[Node]) -> bool:
        """Whether n needs a completed loop over i behind a: to have its sum, or its value at other places of i.

        `here` are the nodes that are computed in that loop.
        """
        return (i in a.over and a in here) or i in self.deps[n][a]

    def _arrange(self, group: list[Node], opened: frozenset[Index], copies: Copies) -> list[Item]:
        """The group in loops. `copies` are computed again in one of the loops opened, each for nodes of that alone."""
        free = {i for n in group for i in self.loops[n] if i not in opened}
        if not free:
            return list(group)
        i = self._next_loop(group, [f for f in free if f.closure - {f} <= opened], opened)
        if len(free) > MOST_AT_ONCE and self._is_minor(group, i):
            middle = len(group) // 2
            return self._arrange(group[:middle], opened, copies) + self._arrange(group[middle:], opened, copies)
        here = set(self._outer(group, i, opened))
        level = self._levels(group, i, here)
        between, bodies = self._bodies(group, i, level, opened, here, copies)
        if between.get(0) == group:
            raise UnstorableError(next(n for n in group if self.passes(n, opened)))
        items: list[Item] = []
        for k in range(max(level.values()) + 1):
            items += self._arrange(between.get(k, []), opened, copies)
            body = bodies.get(k, [])
            own = frozenset(body)
            again = {**copies, **{n: own for n in body if n not in here or level[n] != k}}
            for part in self._apart(body, opened):
                items.append(Loop(i, self._arrange(part, opened | {i}, again)))
        return items

    def _is_minor(self, group: list[Node], i: Index) -> bool:
        """Whether most nodes have nothing to do with the loop, and all can be stored: arranging them time and again
        for one loop after another would take quadratic time."""
        return 2 * sum(i in self.loops[n] for n in group) < len(group) and not any(self.endless[n] for n in group)

    def _apart(self, body: list[Node], opened: frozenset[Index]) -> list[list[Node]]:
        """The nodes of one loop: in several, if they have nothing to do with each other and not all are needed."""
        under = {n: known_in(self.needs[n], opened) for n in body}
        if not any(under.values()):
            return [body] if body else []
        part: dict[Node, list[Node]] = {}
        for n in body:
            part[n] = [n]
            for a in self.deps[n]:
                fewer, more = sorted((part[n], part.get(a, part[n])), key=len)
                if fewer is not more:
                    more += fewer
                    part.update(dict.fromkeys(fewer, more))
        needed: dict[int, Needs] = {}
        together: dict[Needs, list[Node]] = {}
        for n in body:
            if id(part[n]) not in needed:
                conditions = [under[m] for m in part[n]]
                known = frozenset().union(*(c for c in conditions if c is not None))
                needed[id(part[n])] = None if None in conditions else known
            together.setdefault(needed[id(part[n])], []).append(n)
        return list(together.values())

    def _outer(self, group: list[Node], i: Index, opened: frozenset[Index]) -> list[Node]:
        """Those that have the loop i, but for sums over i whose values would be gone when the loop is through."""
        after = opened | {i}
        return [n for n in group if i in self.loops[n] and not (i in n.over and self.passes(n, after))]

    def _next_loop(self, group: list[Node], free: list[Index], opened: frozenset[Index]) -> Index:
        """Rows outermost, then loops over which nothing can be stored, then contiguous elements innermost."""
        score = contiguity(access for n in group for access in self.touched[n])
        endless = frozenset().union(*(i.closure for n in group for i in self.endless[n])) - opened
        having = {f: sum(f in self.loops[n] for n in group) for f in free} if endless else {}

        def rank(f: Index) -> tuple[int, bool, bool, int, str, int]:
            left_out = having[f] - len(self._outer(group, f, opened)) if endless else 0
            return left_out, not is_row(f, self.row), f not in endless, score.get(f, 0), str(f.extent), f.occurrence

        return min(free, key=rank)

    def _levels(self, group: list[Node], i: Index, here: set[Node]) -> dict[Node, int]:
        """As early as arguments allow, then as late as users do, so that little has to be kept in between."""
        level: dict[Node, int] = {}
        for n in group:
            level[n] = max((level[a] + self.rises(a, n, i, here) for a in self.deps[n] if a in level), default=0)
        cost = self._recompute_cost(group, frozenset({i}))
        for n in reversed(group):
            users = [u for u in self.users[n] if u in level]
            movable = n not in here or cost[n] < NEVER
            if users and movable:
                level[n] = max(level[n], min(level[u] - self.rises(n, u, i, here) for u in users))
        return level

    def _recompute_cost(self, group: list[Node], inside: frozenset[Index]) -> dict[Node, int]:
        """What it costs to have a node once more in another loop; nothing if it is in none of the loops `inside`."""
        cost: dict[Node, int] = {}
        here = set(group)
        for n in group:
            if self.loops[n].isdisjoint(inside):
                cost[n] = 0
            elif n.op in ALONE or n in self.once or (n.op == "reduce" and not self.endless[n]):
                cost[n] = NEVER
            else:
                own = OPS[n.op].weight if n.op in OPS else ARITHMETIC
                again = [a for a, moved in self.deps[n].items() if moved.isdisjoint(inside)]
                again = [a for a in again if a not in here or (a.over.isdisjoint(inside) and a not in self.once)]
                if self.endless[n]:
                    again = [a for a in again if self.endless[a]]  # the others can be stored
                cost[n] = min(NEVER, own + sum(cost.get(a, 0) for a in again))
        return cost

    def _bodies(
        self,
        group: list[Node],
        i: Index,
        level: dict[Node, int],
        opened: frozenset[Index],
        here: set[Node],
        copies: Copies,
    ) -> tuple[dict[int, list[Node]], dict[int, list[Node]]]:
        """By level, the nodes between the loops over i and those in them, with what is computed again in each."""
        along = self._recompute_cost(group, frozenset({i}))
        across = self._recompute_cost(group, frozenset().union(*(self.loops[n] for n in group)) - opened - {i})
        limit = RECOMPUTE_ROW if is_row(i, self.row) else RECOMPUTE_INNER
        self._keep(level, along, here)
        present: dict[int, set[Node]] = {}
        for n in group:
            if n in here:
                present.setdefault(level[n], set()).add(n)
        for k, there in present.items():
            stack = list(there)
            while stack:
                n = stack.pop()
                for a in self.deps[n]:
                    if a in there or a not in level or self.rises(a, n, i, here):
                        continue
                    if a in here:
                        most = NEVER - 1 if self.endless[a] else limit
                        again = level[a] < k and a not in self.kept and along[a] <= most
                    elif self.passes(a, opened):
                        again = across[a] < NEVER and not self.deps[n][a]
                    else:
                        is_factor = i in self.factors.get(a, ())
                        again = 0 < across[a] <= RECOMPUTE_INNER and not self.deps[n][a] and not is_factor
                    if again:
                        there.add(a)
                        stack.append(a)
        return self._alive(group, i, level, present, opened, here, copies)

    def _keep(self, level: dict[Node, int], along: dict[Node, int], here: set[Node]) -> None:
        """Chooses for each output the value that is best kept in its array between one loop and others."""
        for output, values in self.keepable.items():
            worth = [
                a
                for a, readers in values.items()
                if {a, output} <= here and level[a] < level[output] and KEEP <= along[a] < NEVER
                if all(u in readers or level.get(u) == level[a] for u in self.users[a])
            ]
            if worth and output not in self.kept.values():
                self.kept[max(worth, key=lambda a: (along[a], a.number))] = output

    def _alive(
        self,
        group: list[Node],
        i: Index,
        level: dict[Node, int],
        present: dict[int, set[Node]],
        opened: frozenset[Index],
        here: set[Node],
        copies: Copies,
    ) -> tuple[dict[int, list[Node]], dict[int, list[Node]]]:
        """Of the nodes between and in the loops over i, those that somebody reads there."""
        inside = set(group)
        wanted_between: dict[Node, set[int]] = {n: set() for n in group}
        wanted_in: dict[Node, set[int]] = {n: set() for n in group}
        between: dict[int, list[Node]] = {}
        bodies: dict[int, list[Node]] = {}

        def want(a: Node, k: int, in_loop: bool, complete: bool) -> None:
            """On level k: a copy in the loop if there is one, else the node where it was first put."""
            if in_loop and not complete and a in present.get(k, ()):
                wanted_in[a].add(k)
            elif a in here and (in_loop or complete or i not in a.indices):
                wanted_in[a].add(level[a])
            else:
                wanted_between[a].add(k if self.passes(a, opened) else level[a])

        for n in reversed(group):
            served = copies.get(n)
            elsewhere = any(u not in inside and (served is None or u in served) for u in self.users[n])
            wanted = served is None and (n in self.needed or not self.users[n])
            if wanted or (elsewhere and not self.passes(n, opened)):
                want(n, level[n], False, True)
            for k in wanted_between[n]:
                between.setdefault(k, []).append(n)
            for k in wanted_in[n]:
                bodies.setdefault(k, []).append(n)
            for a in self.deps[n]:
                if a in inside:
                    complete = self.rises(a, n, i, here)
                    for k in wanted_in[n]:
                        want(a, k, True, complete)
                    for k in wanted_between[n]:
                        want(a, k, False, complete)
        return {k: b[::-1] for k, b in between.items()}, {k: b[::-1] for k, b in bodies.items()}


def _endless(n: Node) -> frozenset[Index]:
    """The loops of which nobody knows how long they get."""
    return frozenset(i for i in n.indices if not i.extent.has_bound) if n.indices else n.indices
