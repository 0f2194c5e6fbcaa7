"""Where a row points to is read before the loop along the row: `c_i = c[i]`, then `A[c_i, j]` for all j.

A loop that adds to `A_bar[c[i], j]` might change `c` for all that LLVM knows, and is not vectorised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from gradc.extents import Index, Poly
from gradc.loops import Assign, Element, Expr, For, Name, Routine, Stmt, Sweep, Tiles, changed, expressions, parts, walk
from gradc.program import Input
from gradc.schedule.names import Names


def read_ahead(routine: Routine, inputs: Sequence[Input], names: Names) -> Routine:
    """The routine with places that inputs point to read ahead of innermost loops."""
    if not any(i.shape and i.type == "int" for i in inputs):
        return routine
    return replace(routine, body=_Reader(inputs, names).block(routine.body, {}))


class _Reader:
    """`read` are the elements with the variables that hold them, in whichever loops that is."""

    def __init__(self, inputs: Sequence[Input], names: Names) -> None:
        self.shapes = {i.name: i.shape for i in inputs if i.shape and i.type == "int"}
        self.names = names
        self.read: dict[Expr, Name] = {}

    def block(self, body: Sequence[Stmt], around: Mapping[str, Index]) -> tuple[Stmt, ...]:
        out: list[Stmt] = []
        here: set[Expr] = set()
        for s in body:
            if isinstance(s, Sweep | Tiles):
                s = replace(s, body=self.block(s.body, around))
            elif isinstance(s, For) and any(isinstance(t, For) for t, _ in walk(s.body)):
                s = replace(s, body=self.block(s.body, {**around, s.variable: s.index}))
            elif isinstance(s, For):
                found = dict.fromkeys(self._picked(s, around))
                out += [Assign(self._name(e), e) for e in found if e not in here]
                here.update(found)
                s = replace(s, body=tuple(changed(t, lambda e: self.read[e] if e in here else e) for t in s.body))
            out.append(s)
        return tuple(out)

    def _picked(self, loop: For, around: Mapping[str, Index]) -> list[Element]:
        """What a loop reads of inputs, each at places of the loops around it."""
        lengths: dict[Expr, Poly] = {Name(variable, "int"): index.extent for variable, index in around.items()}
        found = (p for s in loop.body for e in expressions(s) for p in parts(e) if isinstance(p, Element))
        return [p for p in found if tuple(lengths.get(a) for a in p.at) == self.shapes.get(p.array)]

    def _name(self, e: Element) -> Name:
        if e not in self.read:
            place = "_".join(a.name for a in e.at if isinstance(a, Name))
            self.read[e] = Name(self.names.claim(f"{e.array}_{place}"), "int")
        return self.read[e]
