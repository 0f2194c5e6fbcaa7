"""Comments of generated code: which statement of the user's, or the adjoint of what, the next statements are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from operator import attrgetter

from msgspec.structs import replace

from gradc.ir import Node
from gradc.loops import Comment, For, Stmt, walk
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
        self.provenance = provenance
        self.notes: dict[Node, list[str]] = defaultdict(list)
        notes = provenance.notes | {
            n: f"{n.op} is kept in {array} until its elements are known" for n, array in kept.items()
        }
        for n in sorted(notes, key=attrgetter("number"), reverse=True):
            self.notes[_spelled_in(n, levels, inline)].append(notes[n])
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
        for n in nodes:
            for note in self.notes.get(n, ()):
                if (self.group, note) not in self.noted:
                    self.noted.add((self.group, note))
                    made.append(Comment(f"  {note}"))
        return made

    def _origin(self, n: Node, text: str) -> str:
        """The statement in full where it first comes up, its name afterwards."""
        origin = self.provenance.origins[n]
        if text not in self.shown:
            self.shown.add(text)
            return text
        return str(Origin(origin.target, origin.span))


def _spelled_in(n: Node, levels: Levels, inline: Container[Node]) -> Node:
    """The node in whose statement this one is written out."""
    while n in inline:
        (n,) = levels.users[n]
    return n


def before_what_follows(body: Sequence[Stmt]) -> list[Stmt]:
    """The statements, with comments that end a loop's body behind the loop: they are about what comes next.

    What they were about has been taken out of the loop.
    """
    out: list[Stmt] = []
    for s in body:
        if isinstance(s, For):
            inner = before_what_follows(s.body)
            end = next(k for k in range(len(inner), 0, -1) if not isinstance(inner[k - 1], Comment))
            out += [replace(s, body=tuple(inner[:end])), *inner[end:]]
        else:
            out.append(s)
    return out


def is_subject(s: Stmt) -> bool:
    """Whether it says what the next statements are about; other comments are notes on one of them."""
    return isinstance(s, Comment) and not s.text.startswith(" ")


def without_repeats(body: Sequence[Stmt], subject: Comment | None = None) -> list[Stmt]:
    """The statements, with what they are about said where it changes, and where anything follows.

    They have been moved, each together with what it is about.
    """
    out: list[Stmt] = []
    coming = subject
    for s in body:
        if isinstance(s, Comment) and is_subject(s):
            coming = s
            continue
        if _says_itself(s):
            inside = _subjects(s)
            coming = inside.pop() if len(inside) == 1 else subject
        if coming is not None and coming != subject:
            out.append(coming)
        subject = coming
        if isinstance(s, For):
            s = replace(s, body=tuple(without_repeats(s.body, subject)))
            if _subjects(s):
                coming = subject = None
        out.append(s)
    return out


def _subjects(s: Stmt) -> set[Comment]:
    """What is said in a loop about what is in it."""
    return {c for c, _ in walk([s]) if isinstance(c, Comment) and is_subject(c)}


def _says_itself(s: Stmt) -> bool:
    """Whether the first that is in a loop is what it is about."""
    return isinstance(s, For) and bool(s.body) and (is_subject(s.body[0]) or _says_itself(s.body[0]))
