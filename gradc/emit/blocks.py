"""Long runs of statements without loops, cut out of a routine so that they can be compiled apart.

A compiler's front end looks at a function as a whole and takes far more than twice as long for twice the statements.
What has no loops needs none of that: a run becomes one `Block`, and the front end sees a call of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from gradc.loops import (
    Accumulate,
    Alloc,
    Assign,
    Block,
    Check,
    Comment,
    Element,
    Expr,
    Fill,
    For,
    Name,
    Routine,
    Stmt,
    parts,
)

LIMIT = 300
"""Runs of more statements than this become blocks."""

Plain = Assign | Accumulate


def with_blocks(routine: Routine, limit: int = LIMIT) -> tuple[Routine, tuple[Block, ...]]:
    """The routine with its long runs replaced by blocks, and these blocks."""
    if max(_runs(routine.body)) <= limit:
        return routine, ()
    cutter = _Cutter(routine, limit)
    body = cutter.body(routine.body)
    return replace(routine, body=body), tuple(cutter.blocks)


def _runs(body: Sequence[Stmt]) -> Iterator[int]:
    """How many statements each run has, here and in the loops of the body."""
    length = 0
    for s in body:
        if isinstance(s, For):
            yield from _runs(s.body)
        if isinstance(s, Plain):
            length += 1
        elif not isinstance(s, Comment | Alloc):
            yield length
            length = 0
    yield length


class _Cutter:
    def __init__(self, routine: Routine, limit: int) -> None:
        self.limit = limit
        self.blocks: list[Block] = []
        results = (routine.value, *(routine.gradient or ()))
        self.mentions = Counter(n.name for e in results for n in parts(e) if isinstance(n, Name))
        for s, _ in routine.statements():
            self.mentions.update(n.name for n in names_read(s))

    def body(self, body: Sequence[Stmt]) -> tuple[Stmt, ...]:
        made: list[Stmt] = []
        run: list[Stmt] = []
        for s in body:
            if isinstance(s, Plain | Comment | Alloc):
                run.append(s)
            else:
                made += self._run(run)
                made.append(replace(s, body=self.body(s.body)) if isinstance(s, For) else s)
                run = []
        return (*made, *self._run(run))

    def _run(self, run: list[Stmt]) -> list[Stmt]:
        """A short run stays as it is. The arrays that a long one fills are made before it."""
        plain = tuple(s for s in run if isinstance(s, Plain))
        if len(plain) <= self.limit:
            return run
        self.blocks.append(self._block(f"_block_{len(self.blocks) + 1}", plain))
        return [*(s for s in run if isinstance(s, Alloc)), self.blocks[-1]]

    def _block(self, name: str, body: tuple[Plain, ...]) -> Block:
        inside = Counter(n.name for s in body for n in names_read(s))
        arrays = {e.array: Name(e.array, e.type) for s in body for e in _elements(s)}
        reads = read_first(body)
        written = {s.target.name: s.target for s in body if isinstance(s.target, Name)}
        lasting = (n for n in written.values() if n.name in reads or self.mentions[n.name] > inside[n.name])
        return Block(name, body, tuple(reads.values()), tuple(arrays.values()), tuple(lasting))


def read_first(body: Iterable[Plain]) -> dict[str, Name]:
    """The scalars that are read before they are assigned: what a run takes from outside."""
    found: dict[str, Name] = {}
    written: set[str] = set()
    for s in body:
        for n in names_read(s):
            if n.name not in written:
                found.setdefault(n.name, n)
        if isinstance(s.target, Name):
            written.add(s.target.name)
    return found


def names_read(s: Stmt) -> list[Name]:
    """The scalars a statement reads itself, once for each time; those of a loop's body are not its own."""
    return [p for e in _expressions(s) for p in parts(e) if isinstance(p, Name)]


def _elements(s: Plain) -> list[Element]:
    return [p for e in (*_expressions(s), s.target) for p in parts(e) if isinstance(p, Element)]


def _expressions(s: Stmt) -> list[Expr]:
    found: list[Expr] = []
    if isinstance(s, Assign | Accumulate):
        found.append(s.value)
        if isinstance(s.target, Element):
            found += s.target.at
        elif isinstance(s, Accumulate):
            found.append(s.target)
    if isinstance(s, Check):
        found.append(s.position)
    if isinstance(s, Accumulate | Check) and s.guard is not None:
        found.append(s.guard)
    if isinstance(s, Fill):
        found += [e for e in s.at if e is not None]
    return found
