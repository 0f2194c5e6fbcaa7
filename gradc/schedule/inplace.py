"""Products of a tile are finished in place: what adds to each of their elements, or scales it, does it in their array.

`z_product = W @ x[rows].T` and then `z[j, i] = z_product[j, i] + b[j]`, after which nobody reads the product, becomes
`z = W @ x[rows].T` and `z[j, i] += b[j]`: one array of a tile less. So does a copy, whoever reads the product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    kept, found = {a.array: a for a in arrays}, list(body)
    for product in [s.target.array for s in body if isinstance(s, Product)]:
        update, copy = _finished(product, found), _copied(product, found)
        old, new = (product, update) if update else (copy, product)
        if old in kept and new in kept and _alike(kept[old], kept[new]):
            del kept[old]
            found = _renamed(found, old, new)
    return tuple(kept.values()), found


def _alike(a: Alloc, b: Alloc) -> bool:
    """Whether one may stand for the other; what they are filled with, a product would write over."""
    return (a.shape, a.type) == (b.shape, b.type) and a.fill is None and b.fill is None


def _finished(product: str, body: Sequence[Stmt]) -> str | None:
    """The array of `target = product op other`, that alone reads the product, and is the first to know the target."""
    found: str | None = None
    known: set[str] = set()
    for s, around in _statements(body, ()):
        mentioned = _arrays(s)
        if found is not None:
            if product in mentioned:
                return None
        elif product in mentioned and (target := _updated(s, product)) is not None:
            if target.array in known or _loops(target) != sorted(around):
                return None
            found = target.array
        elif product in mentioned and not _only_writes(s, product):
            return None
        known |= mentioned
    return found


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


def _copied(product: str, body: Sequence[Stmt]) -> str | None:
    """The array that holds the product, which is complete by then, and never anything else."""
    statements = list(_statements(body, ()))
    for k, (s, around) in enumerate(statements):
        if isinstance(s, Assign) and isinstance(s.target, Element) and s.value == replace(s.target, array=product):
            name, others = s.target.array, statements[:k] + statements[k + 1 :]
            if _loops(s.target) != sorted(around) or any(name in _arrays(t) for t, _ in statements[:k]):
                return None
            if name in {_target(t) for t, _ in others} or product in {_target(t) for t, _ in statements[k:]}:
                return None
            return name
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


def _renamed(body: Sequence[Stmt], old: str, new: str) -> list[Stmt]:
    """The statements with one array for both, which is not copied onto itself."""

    def change(e: Expr) -> Expr:
        return replace(e, array=new) if isinstance(e, Element) and e.array == old else e

    def viewed(v: View) -> View:
        return replace(v, array=new) if v.array == old else v

    out: list[Stmt] = []
    for s in body:
        if isinstance(s, Product):
            s = replace(s, target=viewed(s.target), left=viewed(s.left), right=viewed(s.right))
        elif isinstance(s, Fill) and s.array == old:
            s = replace(s, array=new)
        s = changed(s, change)
        if isinstance(s, For):
            s = replace(s, body=tuple(_renamed(s.body, old, new)))
            if all(isinstance(t, Comment) for t in s.body):
                out += s.body
                continue
        if not (isinstance(s, Assign) and s.value == s.target):
            out.append(s)
    return out
