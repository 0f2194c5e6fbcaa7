"""A loop along a row that adds to neighbours in memory is split: what it adds goes behind, each column in its own loop.

`x_bar[i, j + 1] += p` and `x_bar[i, j] -= p` in one loop over j are not vectorised, since a turn changes what the next
one reads. What they add is kept for the row. The total variation of a million points took 3.3 ms, and takes 1.8 so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from msgspec.structs import replace

from gradc.loops import Accumulate, Alloc, Apply, Assign, Comment, Const, Element, Expr, For, Name, Stmt, changed, parts
from gradc.schedule.names import Names
from gradc.schedule.roles import reads, written

PLAIN = (Assign, Accumulate, Comment)


def apart(body: Sequence[Stmt], names: Names) -> tuple[list[Alloc], list[Stmt]]:
    """The statements with every such loop in them split, and the arrays that this takes."""
    allocs: list[Alloc] = []
    out: list[Stmt] = []
    for s in body:
        if not isinstance(s, For):
            out.append(s)
            continue
        made, inner = apart(s.body, names)
        allocs += made
        s = replace(s, body=tuple(inner))
        kept, loops = _split(s, names)
        allocs += kept
        out += loops
    return allocs, out


def _split(loop: For, names: Names) -> tuple[list[Alloc], list[Stmt]]:
    body = loop.body
    if loop.bounds or len(loop.index.closure) > 1 or not all(isinstance(s, PLAIN) for s in body):
        return [], [loop]
    here = Name(loop.variable, "int")
    beside = _beside(body, here)
    if not beside or beside & {name for s in body for name in reads(s)}:
        return [], [loop]
    computed: list[Stmt] = []
    added: dict[Expr, list[Stmt]] = defaultdict(list)
    notes: list[Stmt] = []
    for s in body:
        notes.append(s)
        if not isinstance(s, Comment):
            target = s.target if isinstance(s, Accumulate) and written(s) in beside else None
            stretch = added[target.at[-1]] if isinstance(target, Element) else computed
            stretch += notes
            notes = []
    made = {s.target.name: s.target.type for s in computed if isinstance(s, Assign) and isinstance(s.target, Name)}
    needed = {name for stretch in added.values() for s in stretch for name in reads(s)}
    if needed & ({written(s) for s in computed} - made.keys()):
        return [], [loop]
    kept = {name: names.claim(f"{name}_all") for name in made if name in needed}

    def change(e: Expr) -> Expr:
        return Element(kept[e.name], (here,), e.type) if isinstance(e, Name) and e.name in kept else e

    allocs = [Alloc(array, (loop.index.extent.bounding(),), made[name]) for name, array in kept.items()]
    stretches = [stretch for stretch in (computed, *added.values()) if stretch]
    return allocs, [replace(loop, body=tuple(changed(s, change) for s in stretch)) for stretch in stretches]


def _beside(body: Sequence[Stmt], here: Name) -> set[str]:
    """The arrays with several places along their rows that the loop adds to, all of them so far from where it is."""
    places: dict[str, set[Expr]] = defaultdict(set)
    others: set[str | None] = set()
    for s in body:
        if isinstance(s, Accumulate) and isinstance(s.target, Element) and _moves_along(s.target, here):
            places[s.target.array].add(s.target.at[-1])
        else:
            others.add(written(s))
    return {array for array, of in places.items() if len(of) > 1} - others


def _moves_along(e: Element, here: Name) -> bool:
    """Whether its last subscript, and no other, is the loop's variable, or a number more or less."""
    *others, last = e.at
    if isinstance(last, Apply) and last.op in ("add", "sub") and isinstance(last.args[1], Const):
        last = last.args[0]
    return last == here and not any(here in parts(a) for a in others)
