"""Products of a tile are finished in place: what adds to each of their elements, or scales it, does it in their array.

`z_product = W @ x[rows].T` and then `z[j, i] = z_product[j, i] + b[j]`, after which nobody reads the product, becomes
`z = W @ x[rows].T` and `z[j, i] += b[j]`: one array of a tile less.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gradc.loops import (
    Accumulate,
    Alloc,
    Apply,
    Assign,
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

UPDATES = ("add", "mul")


def in_place(arrays: Sequence[Alloc], body: Sequence[Stmt]) -> tuple[tuple[Alloc, ...], list[Stmt]]:
    """The arrays of a tile that are left, and what is then done for it."""
    kept, found = {a.array: a for a in arrays}, list(body)
    for product in [s.target.array for s in body if isinstance(s, Product)]:
        update = _update(product, found)
        if update is None:
            continue
        name = update.target.array
        if name in kept and product in kept and _alike(kept[name], kept[product]):
            del kept[product]
            found = [_with(update, product, s) for s in found]
    return tuple(kept.values()), found


def _alike(a: Alloc, b: Alloc) -> bool:
    return (a.shape, a.type, a.fill) == (b.shape, b.type, b.fill)


@dataclass(frozen=True)
class Update:
    """`target = product op other`, the only statement that reads the product, and the first that knows the target."""

    statement: Assign
    target: Element
    op: str
    other: Expr


def _update(product: str, body: Sequence[Stmt]) -> Update | None:
    found: Update | None = None
    known: set[str] = set()
    for s, around in _statements(body, ()):
        mentioned = _arrays(s)
        if found is not None:
            if product in mentioned:
                return None
        elif product in mentioned and (update := _as_update(s, product)) is not None:
            if update.target.array in known or _loops(update.target) != sorted(around):
                return None
            found = update
        elif product in mentioned and not _only_writes(s, product):
            return None
        known |= mentioned
    return found


def _as_update(s: Stmt, product: str) -> Update | None:
    if not (isinstance(s, Assign) and isinstance(s.target, Element) and isinstance(s.value, Apply)):
        return None
    if s.value.op not in UPDATES or s.target.array == product:
        return None
    for own, other in (s.value.args, s.value.args[::-1]):
        if own == replace(s.target, array=product):
            inside = {p.array for p in parts(other) if isinstance(p, Element)}
            return None if inside & {product, s.target.array} else Update(s, s.target, s.value.op, other)
    return None


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


def _with(update: Update, product: str, s: Stmt) -> Stmt:
    """The statement when the product has the update's array."""
    array = update.target.array

    def change(e: Expr) -> Expr:
        return replace(e, array=array) if isinstance(e, Element) and e.array == product else e

    def viewed(v: View) -> View:
        return replace(v, array=array) if v.array == product else v

    if s is update.statement:
        return Accumulate(update.target, update.op, update.other)
    if isinstance(s, Product):
        return replace(s, target=viewed(s.target))
    if isinstance(s, Fill) and s.array == product:
        return replace(s, array=array)
    if isinstance(s, For):
        return replace(s, body=tuple(_with(update, product, t) for t in s.body))
    return changed(s, change)
