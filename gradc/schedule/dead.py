"""What is assigned and read by nobody goes: conditions that were to spare a loop, and did not.

A value that is no array is read behind the place where it is assigned, in the same turn of the loop or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from msgspec.structs import replace

from gradc.loops import Assign, Comment, Element, For, Name, Routine, Stmt, parts
from gradc.schedule.roles import mentioned, named, reads


def without_dead(routine: Routine) -> Routine:
    """The routine without what nobody reads. Straight lines are as they were asked for: they have no loops to spare."""
    if not any(isinstance(s, For) for s in routine.body):
        return routine
    results = (routine.value, *(routine.gradient or ()))
    read = {named(p) for e in results for p in parts(e) if isinstance(p, Name | Element)}
    return replace(routine, body=tuple(needed(routine.body, read, outermost=True)[0]))


def needed(body: Sequence[Stmt], behind: Set[str], outermost: bool = False) -> tuple[list[Stmt], set[str]]:
    """The statements that somebody needs, and the names that stand in them or are read `behind` them.

    What the turns of an outermost loop assign, nobody reads behind it.
    """
    kept: list[Stmt] = []
    read = {*behind}
    for s in reversed(body):
        if isinstance(s, For):
            inner, names = needed(s.body, frozenset() if outermost else read)
            read |= names
            if any(not isinstance(t, Comment) for t in inner):
                read.update(reads(s))
                kept.append(replace(s, body=tuple(inner)))
        elif not (isinstance(s, Assign) and isinstance(s.target, Name)):
            read |= mentioned(s)
            kept.append(s)
        elif s.target.name in read:
            read.update(reads(s))
            kept.append(s)
    return kept[::-1], read
