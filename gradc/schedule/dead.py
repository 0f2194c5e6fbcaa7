"""What is assigned in a loop and read by nobody goes: conditions that were to spare a loop, and did not.

A value that is no array is read behind the place where it is assigned, in the same turn of the loop or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from msgspec.structs import replace

from gradc.loops import Assign, Comment, For, Name, Stmt
from gradc.schedule.roles import mentioned, reads


def without_dead(body: Sequence[Stmt]) -> tuple[Stmt, ...]:
    """The outermost statements, with nothing in their loops that nobody reads."""
    kept = (_alive(s, frozenset())[0] if isinstance(s, For) else s for s in body)
    return tuple(s for s in kept if s is not None)


def _alive(loop: For, behind: Set[str]) -> tuple[For | None, set[str]]:
    """The loop, None if it has nothing to do, and the names that stand in it, or `behind` it in the loop around."""
    kept: list[Stmt] = []
    read = {*behind}
    for s in reversed(loop.body):
        if isinstance(s, For):
            inner, read = _alive(s, read)
            if inner is not None:
                kept.append(inner)
        elif not (isinstance(s, Assign) and isinstance(s.target, Name)):
            read |= mentioned(s)
            kept.append(s)
        elif s.target.name in read:
            read.update(reads(s))
            kept.append(s)
    read.update(reads(loop))
    alive = any(not isinstance(s, Comment) for s in kept)
    return replace(loop, body=tuple(reversed(kept))) if alive else None, read
