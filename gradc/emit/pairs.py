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
    first: dict[Name, int] = {}
    functions: dict[Name, dict[Apply, None]] = defaultdict(dict)
    to_come = Counter(s.target.name for s in body if isinstance(s.target, Name))
    for position, s in enumerate(body):
        for call in _calls(_always(s)):
            (x,) = call.args
            if isinstance(x, Name) and not to_come[x.name]:
                first.setdefault(x, position)
                functions[x][call] = None
        if isinstance(s.target, Name):
            to_come[s.target.name] -= 1
    names: dict[Apply, Name] = {}
    before: dict[int, list[Plain]] = defaultdict(list)
    for x, calls in functions.items():
        if len(calls) > 1:
            own = {call: Name(f"{call.op}({x.name})", call.type) for call in calls}
            before[first[x]] += (Assign(name, call) for call, name in own.items())
            names |= own
    return tuple(each for k, s in enumerate(body) for each in (*before.get(k, ()), _with(s, names)))


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

    if any(call in names for call in _calls(_always(s))):
        return replace(s, value=replaced(s.value, change))
    return s
