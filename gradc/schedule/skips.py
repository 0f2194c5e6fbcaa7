"""Which loops are run only under a condition, and what is known inside of them."""

from __future__ import annotations

from collections.abc import Container, Sequence
from operator import attrgetter

from gradc.ir import Node
from gradc.schedule.levels import Levels, Loop
from gradc.schedule.needs import Needs, known_in, read_by
from gradc.schedule.storage import Path, Storage, home


class Skips:
    """The conditions of the loops that are open. `known` are the values that stand before, each with its loops."""

    def __init__(self, levels: Levels, storage: Storage, inline: Container[Node]) -> None:
        self.levels, self.storage, self.inline = levels, storage, inline
        self.held: list[frozenset[Node]] = []
        self.known: set[tuple[Node, Path]] = set()

    def opened(self, loop: Loop, inside: Sequence[Node], path: Path) -> list[Node]:
        """The conditions of which one must hold for a loop to be run; none if it is run whatever holds."""
        needed = [need for n in inside for need in self._needed_behind((*path, loop), n)]
        around = frozenset(outer.index for outer in path)
        conditions = frozenset().union(*(n for n in needed if n is not None))
        known = known_in(conditions, around) is not None and all(self._is_known(c, path) for c in conditions)
        skipped = None not in needed and conditions not in self.held and known
        self.held.append(conditions if skipped else frozenset())
        return sorted(self.held[-1], key=attrgetter("number"))

    def closed(self) -> None:
        self.held.pop()

    def _is_known(self, condition: Node, path: Path) -> bool:
        """Whether all that the condition is made of stands before, here or further out."""
        stack = read_by(condition, self.levels.deps)
        while stack:
            n = stack.pop()
            if n in self.inline:
                stack += self.levels.deps[n]
            elif not any((n, path[:k]) in self.known for k in range(len(path) + 1)):
                return False
        return True

    def _needed_behind(self, here: Path, n: Node) -> list[Needs]:
        """What a loop leaves behind of a node is needed under: a total, or stored values. Nothing if it leaves none.

        Where an array is emptied in the loop before values are placed in it, it is as needed as what is placed.
        """
        paths = self.storage.paths
        own = [p for p in paths[n] if p[: len(here)] == here]
        if n.op == "place":
            emptied = [s for s in self.levels.users[n] if any(p[: len(here)] == here for p in paths[s])]
            return [self.levels.needs[m] for m in (n, *emptied)]
        if n.op in ("output", "linear") or any(len(home(n, p)) < len(here) for p in own):
            return [self.levels.needs[n]]
        return [self.levels.stored_needs[n]] if any(self.storage.stores(n, p) for p in own) else []

    def holds(self, condition: Node) -> bool:
        """Whether nothing around would be run if the condition did not hold."""
        return {condition} in self.held

    def arm(self, n: Node) -> Node | None:
        """The arm of a choice whose condition is known, because nothing around would be run otherwise."""
        condition, a, b = n.args
        if self.holds(condition):
            return a
        for held in self.held:
            if len(held) == 1 and any(c.op == "not" and c.args[0] is condition for c in held):
                return b
        return None
