"""Which matrices of a tile lie with its rows first, as data do.

Rows last, a loop over the rows of a tile runs along memory, whatever is computed for each. But a loop that does little
with every element of a row of data is best run along that row: with gaps between the elements, reading them takes
longer than the rest. What such loops take from products, and hand to them, then lies like the data: products write and
read either way. Rows that an index picks, `E_bar[i[row], k]`, are such data too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from gradc.count import cost
from gradc.loops import Accumulate, Assign, Comment, Element, Expr, For, Name, Product, Stmt, View, parts, walk
from gradc.ops import TRANSCENDENTAL
from gradc.schedule.roles import mentioned

Loops = Mapping[str, tuple[For, ...]]


def rows_first(body: Sequence[Stmt], row: For, kept: Loops, arrays: Iterable[str]) -> tuple[set[str], list[For]]:
    """The matrices, and the loops that run along rows. `kept` are scalars by their loops, `arrays` those of one row."""
    owned = set(arrays)
    candidates = {id(s): _along_rows(s, row, kept, owned) for s in body if isinstance(s, For)}
    along = {k: matrices for k, matrices in candidates.items() if matrices}
    users: dict[str, list[int]] = defaultdict(list)
    for k, matrices in along.items():
        for name in matrices:
            users[name].append(k)
    others = (s for s in body if id(s) not in along and not isinstance(s, Product))
    spoilt = [name for s in others for t, _ in walk([s]) for name in mentioned(t)]
    while spoilt:
        for k in users.pop(spoilt.pop(), ()):
            spoilt += along.pop(k, ())
    return set(users), [s for s in body if isinstance(s, For) and id(s) in along]


def _along_rows(nest: For, row: For, kept: Loops, arrays: set[str]) -> set[str] | None:
    """The matrices of a loop along the rows of data that does little with them; None if it is none."""
    if nest.guard is not None or row.index in nest.index.closure:
        return None
    if not all(isinstance(s, Assign | Accumulate | Comment) for s in nest.body):
        return None
    if sum(map(cost, nest.body)) >= TRANSCENDENTAL:
        return None
    own, column = Name(row.variable, "int"), Name(nest.variable, "int")
    matrices: set[str] = set()
    along = False
    for s in nest.body:
        for p in (p for e in ((s.target, s.value) if isinstance(s, Assign | Accumulate) else ()) for p in parts(e)):
            if isinstance(p, Name) and [loop.variable for loop in kept.get(p.name, ())] == [nest.variable]:
                matrices.add(p.name)
            if not isinstance(p, Element):
                continue
            if p.array in arrays:
                if p.at != (column,):
                    return None
                matrices.add(p.array)
            elif len(p.at) > 1 and is_of_row(p.at[0], own):
                if p.at[1:] != (column,):
                    return None
                along = True
    return matrices if along else None


def is_of_row(e: Expr, row: Name) -> bool:
    """Whether it is the row, or what an index picks for it."""
    return e == row or (isinstance(e, Element) and e.type == "int" and e.at == (row,))


def laid_out(s: Product, names: set[str]) -> Product:
    """The product of arrays of which these have their rows first."""

    def turned(v: View) -> View:
        return replace(v, slices=v.slices[::-1]) if v.array in names else v

    def transposed(v: View, really: bool = True) -> View:
        return replace(v, transposed=v.transposed != really)

    target, left, right = turned(s.target), turned(s.left), turned(s.right)
    if len(target.slices) == 1:  # of a matrix and a vector: that says which goes first
        if any(len(v.slices) == 2 and v.array in names for v in (left, right)):
            left, right = right, left
        return replace(s, target=target, left=left, right=right)
    left, right = (transposed(v, v.array in names) for v in (left, right))
    if target.array in names:
        left, right = transposed(right), transposed(left)
    return replace(s, target=target, left=left, right=right)
