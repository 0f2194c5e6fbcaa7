"""Comments of generated code: which statement of the user's, or the adjoint of what, the next statements are."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from gradc.ir import Node
from gradc.loops import Comment, Stmt
from gradc.program import Origin, Provenance
from gradc.schedule.levels import Levels

Group = tuple[str, str]


class Comments:
    """Says what comes next where that changes. `inline` are the values that are part of another's expression.

    `kept` are those that live in the array of a result for a while, each with the array's name.
    """

    def __init__(
        self, provenance: Provenance, levels: Levels, inline: Container[Node], kept: Mapping[Node, str]
    ) -> None:
        self.provenance, self.levels, self.inline = provenance, levels, inline
        self.notes = provenance.notes | {
            n: f"{n.op} is kept in {array} until its elements are known" for n, array in kept.items()
        }
        self.group: Group | None = None
        self.shown: set[str] = set()
        self.noted: set[tuple[Group | None, str]] = set()

    def group_of(self, n: Node) -> Group | None:
        adjoint = self.provenance.adjoint_of.get(n)
        if adjoint:
            return ("adjoint", adjoint)
        origin = self.provenance.origins.get(n)
        return ("primal", str(origin)) if origin else None

    def before(self, nodes: Sequence[Node]) -> list[Stmt]:
        """Says what the next statements are about, if it is not what the last ones were."""
        made: list[Stmt] = []
        group = self.group_of(nodes[0])
        if group is not None and group != self.group:
            text = f"adjoint of {group[1]}" if group[0] == "adjoint" else self._origin(nodes[0], group[1])
            made.append(Comment(text))
            self.group = group
        for n in nodes if self.notes else ():
            stack = [n]
            while stack:
                x = stack.pop()
                note = self.notes.get(x)
                if note and (self.group, note) not in self.noted:
                    self.noted.add((self.group, note))
                    made.append(Comment(f"  {note}"))
                stack += [a for a in self.levels.deps[x] if a in self.inline]
        return made

    def _origin(self, n: Node, text: str) -> str:
        """The statement in full where it first comes up, its name afterwards."""
        origin = self.provenance.origins[n]
        if text not in self.shown:
            self.shown.add(text)
            return text
        return str(Origin(origin.target, origin.span))
