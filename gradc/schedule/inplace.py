"""Products of a tile are finished in place: what adds to each of their elements, or scales it, does it in their array.

`z_product = W @ x[rows].T` and then `z[j, i] = z_product[j, i] + b[j]`, after which nobody reads the product, becomes
`z = W @ x[rows].T` and `z[j, i] += b[j]`: one array of a tile less. So does a copy, whoever reads the product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from gradc.extents import Index
from gradc.loops import (
    Alloc,
    Apply,
    Assign,
    Comment,
    Element,
    Expr,
    Fill,
    For,
    Name,
    Product,
    Stmt,
    View,
    as_update,
    changed,
    parts,
    walk,
)
from gradc.schedule.roles import mentioned, named, reads, written


def in_place(arrays: Sequence[Alloc], body: Sequence[Stmt]) -> tuple[tuple[Alloc, ...], list[Stmt]]:
    """The arrays of a tile that are left, and what is then done for it."""
    kept = {a.array: a for a in arrays}
    uses = _Uses(body)
    names: dict[str, str] = {}
    for product in dict.fromkeys(s.target.array for s in body if isinstance(s, Product)):
        update = uses.finished(product)
        old, new = (product, update) if update else (uses.copy(product), product)
        alone = {old, new}.isdisjoint((*names, *names.values()))
        if old in kept and new in kept and alone and _alike(kept[old], kept[new]):
            names[old] = new
    return tuple(a for a in arrays if a.array not in names), _renamed(body, names)


def _alike(a: Alloc, b: Alloc) -> bool:
    """Whether one may stand for the other; what they are filled with, a product would write over."""
    return (a.shape, a.type) == (b.shape, b.type) and a.fill is None and b.fill is None


class _Uses:
    """Where each array stands, as places in the sequence of all statements."""

    def __init__(self, body: Sequence[Stmt]) -> None:
        self.statements = list(walk(body))
        self.of: dict[str, list[int]] = {}
        self.loops: dict[str, Index] = {}
        for k, (s, _) in enumerate(self.statements):
            for name in mentioned(s):
                self.of.setdefault(name, []).append(k)
            if isinstance(s, For):
                self.loops[s.variable] = s.index

    def finished(self, product: str) -> str | None:
        """The array of `target = product op other`, that alone reads the product, and is first to know the target."""
        *before, last = self.of[product]
        s, _ = self.statements[last]
        if not isinstance(s, Assign) or written(s) == product or not self._starts(s, last):
            return None
        target = named(s.target)
        update = as_update(_renamed_in(s, {product: target}))
        if update is None or target in (named(p) for p in parts(update.value) if isinstance(p, Element)):
            return None
        return None if any(product in reads(self.statements[k][0]) for k in before) else target

    def copy(self, product: str) -> str | None:
        """The array that holds the product, which is complete by then, and never anything else."""
        for k in self.of[product]:
            s, _ = self.statements[k]
            if isinstance(s, Assign) and isinstance(s.target, Element) and s.value == replace(s.target, array=product):
                copy = s.target.array
                stays = self._writes(copy) == [k] and all(w < k for w in self._writes(product))
                return copy if stays and self._starts(s, k) else None
        return None

    def _starts(self, s: Assign, k: int) -> bool:
        """Whether nobody knows the array before, and each turn of the loops around has an element of its own."""
        if not isinstance(s.target, Element) or self.of[s.target.array][0] < k:
            return False
        turns = (e.args[0] if isinstance(e, Apply) and e.op == "sub" else e for e in s.target.at)  # a tile's i - start
        found = [self.loops.get(e.name) if isinstance(e, Name) else None for e in turns]
        around = self.statements[k][1]
        return len(found) == len(around) and set(found) == set(around)

    def _writes(self, array: str) -> list[int]:
        return [k for k in self.of[array] if written(self.statements[k][0]) == array]


def _renamed_in(s: Stmt, names: Mapping[str, str]) -> Stmt:
    """The statement itself with other names for some arrays."""

    def change(e: Expr) -> Expr:
        return replace(e, array=names[e.array]) if isinstance(e, Element) and e.array in names else e

    def viewed(v: View) -> View:
        return replace(v, array=names.get(v.array, v.array))

    if isinstance(s, Product):
        return replace(s, target=viewed(s.target), left=viewed(s.left), right=viewed(s.right))
    if isinstance(s, Fill):
        s = replace(s, array=names.get(s.array, s.array))
    return changed(s, change)


def _renamed(body: Sequence[Stmt], names: Mapping[str, str]) -> list[Stmt]:
    """The statements with these names, and without what is then copied onto itself."""
    out: list[Stmt] = []
    for s in body:
        s = _renamed_in(s, names)
        if isinstance(s, For):
            s = replace(s, body=tuple(_renamed(s.body, names)))
            if all(isinstance(t, Comment) for t in s.body):
                out += s.body
                continue
        if not (isinstance(s, Assign) and s.value == s.target):
            out.append(s)
    return out
