"""Long runs of statements without loops, cut out of a routine so that they can be compiled apart.

A compiler's front end looks at a function as a whole and takes far more than twice as long for twice the statements.
What has no loops needs none of that: a run becomes one `Block`, and the front end sees a call of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from gradc.loops import (
    Accumulate,
    Alloc,
    Assign,
    Block,
    Comment,
    Element,
    Expr,
    Loop,
    Name,
    Plain,
    Routine,
    Stmt,
    Sweep,
    expressions,
    inside,
    parts,
)

LIMIT = 300
"""Runs of more statements than this become blocks."""

IN_A_RUN = (Assign, Accumulate, Comment, Alloc)


def with_blocks(routine: Routine, limit: int = LIMIT) -> tuple[Routine, tuple[Block, ...]]:
    """The routine with its long runs replaced by blocks, and these blocks."""
    if not any(len(_plain(part)) > limit for part in _parts(routine.body)):
        return routine, ()
    results = (routine.value, *(routine.gradient or ()))
    wanted = {n.name for e in results for n in parts(e) if isinstance(n, Name)} | _wanted(routine.body)
    blocks: list[Block] = []
    body = _cut(routine.body, limit, wanted, blocks)
    return replace(routine, body=body), tuple(blocks)


def _cut(body: Sequence[Stmt], limit: int, wanted: set[str], blocks: list[Block]) -> tuple[Stmt, ...]:
    """The body with blocks, which are added to those there are. A block leaves behind what is wanted elsewhere."""
    made: list[Stmt] = []
    for part in _segments(body):
        plain = _plain(part)
        if len(plain) > limit:
            name = f"_block_{len(blocks) + 1}"
            blocks.append(_block(name, plain, wanted))
            made += [*(s for s in part if isinstance(s, Alloc)), blocks[-1]]
        else:
            made += (replace(s, body=_cut(s.body, limit, wanted, blocks)) if isinstance(s, Loop) else s for s in part)
    return tuple(made)


def _block(name: str, body: tuple[Plain, ...], wanted: set[str]) -> Block:
    arrays = {e.array: Name(e.array, e.type) for s in body for e in _elements(s)}
    written = {s.target.name: s.target for s in body if isinstance(s.target, Name)}
    lasting = tuple(n for n in written.values() if n.name in wanted)
    return Block(name, body, tuple(read_first(body).values()), tuple(arrays.values()), lasting)


def _wanted(body: Sequence[Stmt]) -> set[str]:
    """The scalars that something else than a run reads, or a run before it assigns them."""
    found: set[str] = set()
    for part in _parts(body):
        plain = _plain(part)
        found |= read_first(plain).keys() if plain else {n for s in part for n in _mentioned(s)}
    return found


def _mentioned(s: Stmt) -> set[str]:
    """What a statement by itself reads, and the accumulators that a sweep combines."""
    if isinstance(s, Sweep):
        return {*s.parameters, *(p.name for p in s.parts)}
    return {n.name for n in names_read(s)}


def _parts(body: Sequence[Stmt]) -> Iterator[list[Stmt]]:
    """All segments of a body and of the loops in it."""
    for part in _segments(body):
        yield part
        for s in part:
            if isinstance(s, Loop):
                yield from _parts(inside(s))


def _segments(body: Sequence[Stmt]) -> Iterator[list[Stmt]]:
    """The runs of a body and, each by itself, the statements between. Comments and new arrays do not end a run."""
    run: list[Stmt] = []
    for s in body:
        if type(s) in IN_A_RUN:
            run.append(s)
        else:
            yield run
            yield [s]
            run = []
    yield run


def _plain(part: Sequence[Stmt]) -> tuple[Plain, ...]:
    return tuple(s for s in part if isinstance(s, Plain))


def read_first(body: Iterable[Plain]) -> dict[str, Name]:
    """The scalars that are read before they are assigned: what a run takes from outside."""
    found: dict[str, Name] = {}
    written: set[str] = set()
    for s in body:
        for n in names_read(s):
            if n.name not in written and n.name not in found:
                found[n.name] = n
        if isinstance(s.target, Name):
            written.add(s.target.name)
    return found


def names_read(s: Stmt) -> list[Name]:
    """The scalars a statement reads itself, once for each time; those of a loop's body are not its own."""
    return [p for e in expressions_read(s) for p in parts(e) if type(p) is Name]


def expressions_read(s: Stmt) -> tuple[Expr, ...]:
    return (s.value,) if isinstance(s, Assign) and isinstance(s.target, Name) else expressions(s)


def _elements(s: Plain) -> list[Element]:
    return [p for e in expressions(s) for p in parts(e) if type(p) is Element]
