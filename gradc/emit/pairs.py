"""Functions of one number, made where the first of them stands.

sin(x) in a loss has cos(x) in its adjoint, at the other end of a long program. Next to each other they are computed
together, and share what they have in common.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from gradc.emit.blocks import expressions_read
from gradc.loops import Apply, Assign, Expr, Name, Plain, replaced
from gradc.ops import OPS, TRANSCENDENTAL


def side_by_side(body: Sequence[Plain]) -> tuple[Plain, ...]:
    """The statements, with scalars for the functions of whatever has several of them, before the first is used.

    Only functions that are computed whatever the conditions are, of scalars that are not assigned any more.
    """
    found: dict[Name, dict[Apply, list[int]]] = defaultdict(lambda: defaultdict(list))
    to_come = Counter(s.target.name for s in body if isinstance(s.target, Name))
    for position, s in enumerate(body):
        for call in _calls(_always(s)):
            (x,) = call.args
            if isinstance(x, Name) and not to_come[x.name]:
                found[x][call].append(position)
        if isinstance(s.target, Name):
            to_come[s.target.name] -= 1
    before: dict[int, list[Plain]] = defaultdict(list)
    names: dict[int, dict[Apply, Name]] = defaultdict(dict)
    for x, places in found.items():
        if len(places) > 1:
            first = before[min(positions[0] for positions in places.values())]
            for call, positions in places.items():
                name = Name(f"{call.op}({x.name})", call.type)
                first.append(Assign(name, call))
                for position in positions:
                    names[position][call] = name
    return tuple(
        each for k, s in enumerate(body) for each in (*before.get(k, ()), _with(s, names[k]) if k in names else s)
    )


def _always(s: Plain) -> tuple[Expr, ...]:
    """What is computed for a statement whatever its condition is."""
    if isinstance(s, Assign) or s.guard is None:
        return expressions_read(s)
    return (s.guard,)


def _calls(exprs: Iterable[Expr]) -> Iterator[Apply]:
    """The functions of one number in them; of a choice, those in what it depends on."""
    stack = list(exprs)
    while stack:
        e = stack.pop()
        if isinstance(e, Apply):
            stack += e.args[:1] if e.op in ("select", "and", "or") else e.args
            if len(e.args) == 1 and e.op in OPS and OPS[e.op].weight >= TRANSCENDENTAL:
                yield e
        else:
            stack += e.args


def _with(s: Plain, names: Mapping[Apply, Name]) -> Plain:
    """The statement, reading these names where it has computed what they are."""

    def change(e: Expr) -> Expr:
        return names.get(e, e) if isinstance(e, Apply) else e

    return replace(s, value=replaced(s.value, change))
