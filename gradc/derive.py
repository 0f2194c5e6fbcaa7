"""The middle of the pipeline: a parsed program to the routines that will be printed. Every stage can be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial

from msgspec import Struct

from gradc.autodiff.guards import protect, skip_untaken
from gradc.autodiff.reverse import reverse
from gradc.build import Builder
from gradc.errors import UnsupportedError, did_you_mean
from gradc.ir import Node, reachable
from gradc.loops import Routine
from gradc.outline import outline
from gradc.program import Outline, Program, Value
from gradc.rewrite import by_totals, condense, share_exponentials, stabilise, without_stops
from gradc.schedule.names import LIBRARY, spelling
from gradc.schedule.order import row_dim
from gradc.schedule.plan import routine


class Derived(Struct, frozen=True, dict=True):
    """A program with its gradient: `gradient` is None where the result is an array."""

    program: Program
    wrt: tuple[str, ...]
    value: Value
    gradient: dict[str, Value] | None

    @cached_property
    def nodes(self) -> list[Node]:
        """All nodes of value and gradient, in topological order."""
        roots = [self.value, *(self.gradient or {}).values()]
        return reachable(v.node for v in roots)

    @cached_property
    def outline(self) -> Outline:
        return outline(self.program, self.nodes, self.wrt, self.gradient is not None)

    @cached_property
    def spelling(self) -> dict[str, str]:
        """How library names are spelt where the user's names have taken them."""
        p = self.program
        dims = (dim for dim, _, _ in p.dims())
        assigned = (p.provenance.names[n] for n in self.nodes if n in p.provenance.names)
        return spelling([*(i.name for i in p.inputs), *dims, *assigned, *p.provenance.index_names.values()])

    def routine(self, name: str, gradient: bool) -> Routine:
        """The loop program of the value, or of value and gradient. What it names, it names for itself."""
        p = self.program
        build, provenance = Builder(p.graph), p.provenance.copy()
        roots = [self.value, *(self.gradient or {}).values()] if gradient else [self.value]
        nodes = condense(build, provenance, [v.node for v in roots])
        nodes = by_totals(build, provenance, nodes, partial(row_dim, p.inputs))
        nodes = share_exponentials(build, provenance, nodes)
        nodes = skip_untaken(build, provenance, without_stops(build, provenance, nodes))
        value, *fields = (Value(n, v.axes) for n, v in zip(nodes, roots, strict=True))
        library = (LIBRARY - set(self.spelling)) | set(self.spelling.values())
        taken = {*library, *(dim for dim, _, _ in p.dims())}
        grads = dict(zip(self.gradient or {}, fields, strict=True)) if gradient else None
        return routine(name, build, provenance, p.inputs, value, grads, taken)


def derive(program: Program, wrt: Sequence[str] | None = None) -> Derived:
    """Stable forms, then guards, then the gradient by `wrt` (all params by default). Raises UnsupportedError."""
    names = program.params if wrt is None else tuple(wrt)
    _check_wrt(program, names)
    build, provenance = Builder(program.graph), program.provenance
    root = protect(build, provenance, stabilise(build, provenance, program.result.node))
    value = Value(root, program.result.axes)
    if value.axes:
        return Derived(program, names, value, None)
    inputs = {n.name: n for n in program.graph.nodes if n.op == "input"}
    gradient = reverse(build, provenance, root, {name: inputs[name] for name in names})
    return Derived(program, names, value, gradient)


def _check_wrt(program: Program, names: tuple[str, ...]) -> None:
    kinds = {i.name: i.kind for i in program.inputs}
    for name in names:
        if name not in kinds:
            raise UnsupportedError(f"wrt: there is no input '{name}'", hint=did_you_mean(name, kinds))
        if kinds[name] == "index":
            raise UnsupportedError(f"wrt: '{name}' is an index, and has no derivative")
    if len(set(names)) != len(names):
        raise UnsupportedError("wrt: a name is given twice")
