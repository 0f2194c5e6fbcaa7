"""Products of a tile are finished in place: what adds to each of their elements, or scales it, does it in their array.

`z_product = W @ x[rows].T` and then `z[j, i] = z_product[j, i] + b[j]`, after which nobody reads the product, becomes
`z = W @ x[rows].T` and `z[j, i] += b[j]`: one array of a tile less. So does a copy, whoever reads the product.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from gradc.loops import (
    Accumulate,
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
    changed,
    expressions,
    parts,
)
from gradc.schedule.roles import written

UPDATES = ("add", "mul")


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
        self.statements = list(_statements(body, ()))
        self.of: dict[str, list[int]] = {}
        for k, (s, _) in enumerate(self.statements):
            for array in _arrays(s):
                self.of.setdefault(array, []).append(k)

    def finished(self, product: str) -> str | None:
        """The array of `target = product op other`, that alone reads the product, and is first to know the target."""
        *before, last = self.of[product]
        s, around = self.statements[last]
        target = _updated(s, product)
        if target is None or self.of[target.array][0] < last or _loops(target) != sorted(around):
            return None
        return target.array if all(_only_writes(self.statements[k][0], product) for k in before) else None

    def copy(self, product: str) -> str | None:
        """The array that holds the product, which is complete by then, and never anything else."""
        for k in self.of[product]:
            s, around = self.statements[k]
            if isinstance(s, Assign) and isinstance(s.target, Element) and s.value == replace(s.target, array=product):
                copy = s.target.array
                first = self.of[copy][0] == k and _loops(s.target) == sorted(around)
                stays = self._writes(copy) == [k] and all(w < k for w in self._writes(product))
                return copy if first and stays else None
        return None

    def _writes(self, array: str) -> list[int]:
        return [k for k in self.of[array] if _target(self.statements[k][0]) == array]


def _updated(s: Stmt, product: str) -> Element | None:
    if not (isinstance(s, Assign) and isinstance(s.target, Element) and isinstance(s.value, Apply)):
        return None
    if s.value.op not in UPDATES or s.target.array == product:
        return None
    for own, other in (s.value.args, s.value.args[::-1]):
        if own == replace(s.target, array=product):
            inside = {p.array for p in parts(other) if isinstance(p, Element)}
            return None if inside & {product, s.target.array} else s.target
    return None


def _target(s: Stmt) -> str | None:
    return s.target.array if isinstance(s, Product) else written(s)


def _only_writes(s: Stmt, array: str) -> bool:
    if isinstance(s, Product):
        return array not in (s.left.array, s.right.array)
    mentioned = [p for e in expressions(s) for p in parts(e) if isinstance(p, Element) and p.array == array]
    return isinstance(s, Fill) or (isinstance(s, Assign | Accumulate) and mentioned == [s.target])


def _arrays(s: Stmt) -> set[str]:
    """The arrays that stand in a statement itself."""
    if isinstance(s, Product):
        return {s.target.array, s.left.array, s.right.array}
    found = {p.array for e in expressions(s) for p in parts(e) if isinstance(p, Element)}
    return found | {s.array} if isinstance(s, Fill) else found


def _statements(body: Sequence[Stmt], around: tuple[str, ...]) -> Iterator[tuple[Stmt, tuple[str, ...]]]:
    """All statements, with the variables of the loops around each."""
    for s in body:
        yield s, around
        if isinstance(s, For):
            yield from _statements(s.body, (*around, s.variable))


def _loops(element: Element) -> list[str]:
    """The variables of the loops whose turns are its subscripts, rows counted from the first of the tile."""
    turns = (e.args[0] if isinstance(e, Apply) and e.op == "sub" else e for e in element.at)
    return sorted(e.name if isinstance(e, Name) else "" for e in turns)


def _renamed(body: Sequence[Stmt], names: Mapping[str, str]) -> list[Stmt]:
    """The statements with other names for some arrays, none of which is copied onto itself."""

    def change(e: Expr) -> Expr:
        return replace(e, array=names[e.array]) if isinstance(e, Element) and e.array in names else e

    def viewed(v: View) -> View:
        return replace(v, array=names.get(v.array, v.array))

    out: list[Stmt] = []
    for s in body:
        if isinstance(s, Product):
            s = replace(s, target=viewed(s.target), left=viewed(s.left), right=viewed(s.right))
        elif isinstance(s, Fill):
            s = replace(s, array=names.get(s.array, s.array))
        s = changed(s, change)
        if isinstance(s, For):
            s = replace(s, body=tuple(_renamed(s.body, names)))
            if all(isinstance(t, Comment) for t in s.body):
                out += s.body
                continue
        if not (isinstance(s, Assign) and s.value == s.target):
            out.append(s)
    return out
