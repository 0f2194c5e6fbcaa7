"""Reverse mode: adjoints in reverse topological order, fan-out summed.

Scalar functions come from `gradc.ops`, linear algebra from `gradc.autodiff.linear`. Beside them there are three
structural rules: the adjoint of a reduction is a broadcast, of a read a scatter, of a running sum a running sum from
the other end.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from functools import cache, reduce

from msgspec import Struct
from msgspec.structs import replace

from gradc.algebra import joined_parts
from gradc.autodiff.arms import Arms
from gradc.autodiff.choices import Moderate, behind_choices, differentiated
from gradc.autodiff.guards import Guard, Use, condition_of, guards
from gradc.autodiff.linear import received
from gradc.bounds import needs_guard
from gradc.build import Builder
from gradc.errors import Source
from gradc.extents import Index, in_order
from gradc.ir import Linear, Node, Place, Reduce, reachable
from gradc.lower.expressions import Expressions
from gradc.ops import OPS
from gradc.program import Provenance, Value


class Bar(Struct, frozen=True):
    """A summand of an adjoint, `factor*core`.

    The factor has no index: it is the adjoint of the sum that the core is inside of. Kept apart it costs one operation
    after a loop instead of one in every turn, and may depend on what that loop has yet to sum up.
    """

    core: Node
    factor: Node | None = None


class Contribution(Struct, frozen=True):
    """A summand of an input's adjoint, accumulated at `at` over all its indices; where it was read from."""

    bar: Bar
    at: tuple[Node, ...]
    guard: Node | None
    reader: Node


def reverse(build: Builder, provenance: Provenance, root: Node, wrt: dict[str, Node]) -> dict[str, Value]:
    """The gradient of a scalar root by input name, each with the axes of its input. `wrt` gives the input nodes."""
    return _Reverse(build, provenance, root, wrt).run()


class _Reverse:
    def __init__(self, build: Builder, provenance: Provenance, root: Node, wrt: dict[str, Node]) -> None:
        self.build, self.provenance, self.root, self.wrt = build, provenance, root, wrt
        self.inputs = set(wrt.values())
        self.nodes = reachable([root])
        self.arms = Arms(build)
        self.primal = frozenset(self.nodes)
        self.active = self._active()
        self.guards = guards(build, [root])
        self.influence = guards(build, [root], uses=differentiated)
        self.behind_choices = behind_choices(build.graph, root, selects=True)
        self.may_lose = behind_choices(build.graph, root, selects=False)
        self.moderate = Moderate(build.graph)
        self.may_vanish: set[Node] = set()
        self.bars: dict[Node, list[Bar]] = {}
        self.parts: dict[Node, list[Contribution]] = {n: [] for n in wrt.values()}
        self.factor: Node | None = None
        self.partials = Expressions(build, Source("partial", ""))

    def run(self) -> dict[str, Value]:
        self._receive(self.root, self.build.const(1.0), frozenset())
        for y in reversed(self.nodes):
            if y in self.bars:
                before = len(self.build.graph.nodes)
                self._visit(y)
                self._record(y, before)
        gradient = {}
        for name, node in self.wrt.items():
            before = len(self.build.graph.nodes)
            total = gradient[name] = self._total(node)
            assert total.node.indices <= node.indices | set(total.axes), f"{name}: a sum has been left out"
            for made in self.build.graph.nodes[before:]:
                self.provenance.adjoint_of.setdefault(made, name)
            self._name_sums(name, total.node, [p.bar.core for p in self.parts[node]])
        return gradient

    def _name_sums(self, name: str, total: Node, summands: Sequence[Node]) -> None:
        """Sums that an adjoint of an input is made of are called after the input, not after what reads it."""
        for s in summands:
            if s.op == "reduce" and s is not total and s not in self.primal:
                self.provenance.names.setdefault(s, f"{name}_bar_sum")

    def _active(self) -> set[Node]:
        """Nodes through which the root depends on an input it is differentiated by."""
        active: set[Node] = set()
        for n in self.nodes:
            if n in self.inputs or (n.type == "float" and n.op != "stop" and any(a in active for a in n.args)):
                active.add(n)
        return active

    def _record(self, y: Node, before: int) -> None:
        origin = self.provenance.origins.get(y)
        of = self.provenance.names.get(y) or (origin.target if origin else "result")
        for made in self.build.graph.nodes[before:]:
            self.provenance.adjoint_of.setdefault(made, of)
            if origin:
                self.provenance.origins.setdefault(made, origin)

    def _visit(self, y: Node) -> None:
        total = self._fan_out(self.bars.pop(y))
        bar, self.factor = total.core, total.factor
        name = self.provenance.names.get(y)
        if name and bar.op not in ("const", "input") and y is not self.root:
            self.provenance.names.setdefault(bar, f"{name}_bar")
            if self.factor is not None:
                self.provenance.notes.setdefault(bar, "but for a factor that is applied after the loop")
        if y.op in OPS:
            self._elementwise(y, bar)
        elif y.op == "select":
            for arm, adjoint in zip(y.args[1:], self.arms.divided(y.args[0], bar), strict=True):
                self._send(y, arm, adjoint)
        elif y.op == "read":
            self._read(y, bar)
        elif isinstance(y.attr, Reduce):
            self._reduce(y, y.attr, bar)
        elif y.op == "scan":
            self._scan(y, bar)
        elif isinstance(y.attr, Linear):
            self._linear(y, bar)
        elif y.op == "spread":
            self._send(y, y.args[0], bar)
        elif y.op == "scatter":
            for p in y.args:
                self._receive(p, bar, y.indices - set(y.axes))
        elif isinstance(y.attr, Place):
            if y.guard is None:
                moved = self.build.read(bar, y.axes, y.subscripts)
            else:
                there = self.build.read_where(y.guard, bar, y.axes, y.subscripts)
                moved = self.build.select(y.guard, there, self.build.const(0.0))
            self._receive(y.args[0], moved, frozenset().union(*(a.indices for a in y.args)))

    def _fan_out(self, bars: list[Bar]) -> Bar:
        """The sum of all contributions; a factor they share stays apart."""
        shared = bars[0].factor if all(b.factor is bars[0].factor for b in bars) else None
        return Bar(self.arms.added([b.core if shared is not None else self._multiplied(b) for b in bars]), shared)

    def _multiplied(self, bar: Bar) -> Node:
        if bar.factor is None:
            return bar.core
        product = self.build.op("mul", bar.factor, bar.core)
        if bar.factor not in self.may_vanish or self.moderate(bar.core):
            return product
        zero = self.build.const(0.0)
        return self.build.select(self.build.op("ne", bar.factor, zero), product, zero)

    def _send(self, y: Node, x: Node, contribution: Node) -> None:
        self._receive(x, contribution, y.indices)

    def _receive(self, x: Node, contribution: Node, over: frozenset[Index]) -> None:
        """Adds to the adjoint of x, summed over what x does not have: a broadcast, seen from behind."""
        if x not in self.active:
            return
        bar = Bar(self._summed(contribution, over - x.indices), self.factor)
        if x in self.inputs:
            self.parts[x].append(Contribution(bar, tuple(self.build.index(a) for a in x.axes), None, x))
        else:
            self.bars.setdefault(x, []).append(bar)

    def _summed(self, value: Node, over: frozenset[Index]) -> Node:
        return self.build.reduce("sum", in_order(over), value) if over else value

    # scalar functions

    def _elementwise(self, y: Node, bar: Node) -> None:
        inside = self._inside_guard(y, bar)
        for x, partial in zip(y.args, OPS[y.op].partials, strict=True):
            if partial is None or x not in self.active:
                continue
            factor = self._partial(y, partial)
            number = factor.op == "const"
            contribution = self.arms.times(bar, factor) if number else self.arms.scaled(inside, factor)
            if contribution is None:
                continue
            self._send(y, x, self._guarded(y, inside, factor, contribution))

    def _partial(self, y: Node, text: str) -> Node:
        params = OPS[y.op].params
        if text in params:
            return y.args[params.index(text)]
        number = _number(text)
        if number is not None:
            return self.build.const(number)
        names = zip(params, y.args, strict=True)
        self.partials.names = {**{name: Value(x) for name, x in names}, "y": Value(y)}
        return self.partials.visit(_parsed(text)).node

    def _guarded(self, y: Node, bar: Node, factor: Node, contribution: Node) -> Node:
        """The contribution where y is used, 0 where it is not: an arm that is not taken contributes nothing.

        Nor does what was not chosen, whose adjoint is 0: here 0 times an infinite factor is 0.
        """
        guard: Guard = self.guards[y]
        if factor.op == "const" or (guard is Use.ALWAYS and y not in self.behind_choices):
            return contribution
        condition = None if isinstance(guard, Use) else condition_of(guard)
        exactly = guard is Use.ALWAYS or isinstance(guard, Node)
        may_lose = guard is Use.ALWAYS or y in self.may_lose or self.influence[y] is not guard
        if not exactly or (may_lose and not self.moderate(factor)):
            counts = self.build.op("ne", bar, self.build.const(0.0))
            condition = counts if condition is None else self.build.op("and", condition, counts)
        return contribution if condition is None else self.build.select(condition, contribution, self.build.const(0.0))

    def _inside_guard(self, y: Node, bar: Node) -> Node:
        """The adjoint of y as it is where y is used: what it is elsewhere, nobody asks."""
        guard = self.guards[y]
        if not isinstance(guard, Node):
            return bar
        holds = frozenset(joined_parts(guard, "and"))
        fails = {c.args[0] for c in holds if c.op == "not"}
        return self.arms.inside(bar, holds, fails)

    # structure

    def _reduce(self, y: Node, reduction: Reduce, bar: Node) -> None:
        build, x = self.build, y.args[0]
        zero, over = build.const(0.0), in_order(reduction.over)
        if reduction.kind == "sum":
            factor = None if bar.indices else self._factor_for(reduction, Bar(bar, self.factor))
            if factor is not None:
                if y in self.behind_choices:
                    self.may_vanish.add(factor)
                self.factor, bar = factor, build.const(1.0)
            self._send(y, x, bar)
        elif reduction.kind == "prod":
            is_zero = build.op("eq", x, zero)
            others = build.reduce("prod", over, build.select(is_zero, build.const(1.0), x))
            zeros = build.reduce("sum", over, build.convert(is_zero, "int"))
            alone = build.op("and", is_zero, build.op("eq", zeros, build.const(1)))
            product = build.op("mul", bar, others)
            share = build.select(
                build.op("eq", zeros, build.const(0)), build.op("div", product, x), build.select(alone, product, zero)
            )
            self._receive(x, self._guarded(y, bar, others, share), x.indices)
        else:
            hit = build.op("eq", x, y)
            ties = build.reduce("sum", over, build.convert(hit, "int"))
            share = build.select(hit, build.op("div", bar, ties), zero)
            self._receive(x, self._guarded(y, bar, ties, share), x.indices)

    def _factor_for(self, reduction: Reduce, bar: Bar) -> Node | None:
        """The adjoint of a sum as a factor that is applied last; None if there would be one for each turn of a loop."""
        factor = self._multiplied(bar)
        if factor is bar.factor or self.moderate(factor):
            return factor
        some = self.build.has_range(reduction.over)  # infinite it may be, but to summands
        return None if some.indices else self.build.select(some, factor, self.build.const(0.0))

    def _scan(self, y: Node, bar: Node) -> None:
        """x_k is in every sum from k on, so its adjoint is the running sum of the bars from the far end."""
        build, index = self.build, y.index
        mirrored = build.op("sub", build.op("sub", build.integer(index.extent), build.const(1)), build.index(index))
        sums = build.scan(index, build.read(bar, [index], [mirrored]))
        self._receive(y.args[0], build.read(sums, [index], [mirrored]), y.indices)

    def _linear(self, y: Node, bar: Node) -> None:
        """What is not run contributes nothing: where y is not run, nobody asks for it, or it makes no difference."""
        build, guard = self.build, self.guards[y]
        condition = None if isinstance(guard, Use) else condition_of(guard)
        if guard is not Use.ALWAYS and not isinstance(guard, Node):
            differs = build.convert(build.op("ne", bar, build.const(0.0)), "int")
            some = build.op("gt", build.reduce("sum", y.axes, differs), build.const(0))
            condition = some if condition is None else build.op("and", condition, some)
        if y.guard is not None and (condition is None or y.guard not in joined_parts(condition, "and")):
            condition = y.guard if condition is None else build.op("and", y.guard, condition)
        for x, contribution in received(build, y, bar, condition):
            if condition is not None:
                contribution = build.select(condition, contribution, build.const(0.0))
            self._receive(x.node, contribution, y.each.union(*(i.closure for i in x.axes)))

    def _read(self, y: Node, bar: Node) -> None:
        """Accumulates at the places that were read; a pure renaming is renamed back."""
        build, v = self.build, y.args[0]
        if v not in self.active:
            return
        guard = y.guard if y.guard is not None else self._needed_guard(y)
        if v in self.inputs:
            places = dict(zip(y.axes, y.subscripts, strict=True))
            at = tuple(places.get(a) or build.index(a) for a in v.axes)
            if guard is not None and not at:  # a number has no place that might not be there
                bar, guard = build.select(guard, bar, build.const(0.0)), None
            bar = self._summed(bar, self._only_checked(y, at, guard))
            self.parts[v].append(Contribution(Bar(bar, self.factor), at, guard, y))
            return
        own = {a: e for a, e in zip(y.axes, y.subscripts, strict=True) if a in v.indices}
        if not own:
            taken = bar if guard is None else build.select(guard, bar, build.const(0.0))
            self._receive(v, taken, y.indices)
            return
        axes, at = tuple(own), tuple(own.values())
        kept = v.indices - set(axes)
        renamed = _renaming(axes, at, kept)
        if renamed is not None and guard is None:
            total = self._summed(bar, y.indices - kept - set(renamed))
            back = build.read(total, renamed, [build.index(a) for a in axes])
            self.bars.setdefault(v, []).append(Bar(back, self.factor))
        elif y.indices <= kept and not any(a in y.indices for a in axes):
            hit = guard
            for a, e in own.items():
                here = build.op("eq", build.index(a), e)
                hit = here if hit is None else build.op("and", hit, here)
            assert hit is not None
            self.bars.setdefault(v, []).append(Bar(build.select(hit, bar, build.const(0.0)), self.factor))
        else:
            bar = self._summed(bar, self._only_checked(y, at, guard) - kept)
            varies = bar.indices.union(*(e.indices for e in y.args[1:]))
            place = build.place(bar, axes, at, kept & varies, guard)
            self.bars.setdefault(v, []).append(Bar(build.scatter([place]), self.factor))

    def _only_checked(self, y: Node, at: tuple[Node, ...], guard: Node | None) -> frozenset[Index]:
        """The indices of a read that come with axes its value does not have: along them the same is read again."""
        elsewhere = y.args[0].indices - set(y.axes)
        return y.indices.difference(elsewhere, *(e.indices for e in at), guard.indices if guard else ())

    def _needed_guard(self, y: Node) -> Node | None:
        guard = self.guards[y]
        return condition_of(guard) if not isinstance(guard, Use) and needs_guard(y) else None

    def _total(self, x: Node) -> Value:
        """The adjoint of an input: one sum if all contributions are over whole axes, else a scatter of them all."""
        parts = self.parts[x]
        if not parts:
            return Value(self.build.const(0.0), x.axes)
        whole = [_renaming(x.axes, p.at, frozenset()) if p.guard is None else None for p in parts]
        axes = next((axes for axes in whole if axes is not None), None)
        bars = [self._everywhere(p, axes) for p in parts] if axes is not None else []
        if bars and None not in bars:
            return Value(self._multiplied(self._fan_out([bar for bar in bars if bar])), axes or ())
        factor = parts[0].bar.factor if all(p.bar.factor is parts[0].bar.factor for p in parts) else None
        values = [p.bar.core if factor is not None else self._multiplied(p.bar) for p in parts]
        places = []
        for v, p in zip(values, parts, strict=True):
            place = self.build.place(v, x.axes, p.at, frozenset(), p.guard)
            if p.reader in self.provenance.origins:
                self.provenance.origins.setdefault(place, self.provenance.origins[p.reader])
            places.append(place)
        scattered = self.build.scatter(places)
        product = self._multiplied(Bar(scattered, factor))
        if factor is not None and not self.moderate(factor):  # it may be infinite, but not to what is not read
            product = self.build.select(
                self.build.op("ne", scattered, self.build.const(0.0)), product, self.build.const(0.0)
            )
        return Value(product, x.axes)

    def _everywhere(self, part: Contribution, axes: tuple[Index, ...]) -> Bar | None:
        """A contribution along whole axes: itself, or one to a place of each row, which is 0 at the row's others."""
        build, bar = self.build, part.bar
        if part.guard is None and part.at == tuple(map(build.index, axes)):
            return replace(bar, core=self._summed(bar.core, self._iterated(part) - set(axes)))
        rows = {
            e.index: a for a, e in zip(axes, part.at, strict=True) if e.op == "index" and e.index.extent == a.extent
        }
        conditions = () if part.guard is None else (part.guard,)
        known = self._iterated(part).union(*(c.indices for c in conditions))
        if not 0 < len(rows) < len(axes) or not known <= rows.keys():
            return None

        def here(n: Node) -> Node:
            return build.read(n, tuple(rows), [build.index(a) for a in rows.values()])

        hits = [
            build.op("eq", build.index(a), here(e))
            for a, e in zip(axes, part.at, strict=True)
            if a not in rows.values()
        ]
        hit = reduce(lambda a, b: build.op("and", a, b), [*map(here, conditions), *hits])
        if bar.factor is not None and not self.moderate(bar.factor):  # it may be infinite, but not to other places
            bar = Bar(self._multiplied(bar))
        return replace(bar, core=build.select(hit, here(bar.core), build.const(0.0)))

    def _iterated(self, part: Contribution) -> frozenset[Index]:
        return part.bar.core.indices.union(*(e.indices for e in part.at))


def _renaming(axes: tuple[Index, ...], at: tuple[Node, ...], kept: frozenset[Index]) -> tuple[Index, ...] | None:
    """The indices at which the axes are read, if they are distinct loop indices over the whole axes."""
    if not all(e.op == "index" and e.index.extent == a.extent for a, e in zip(axes, at, strict=True)):
        return None
    indices = tuple(e.index for e in at)
    return indices if len(set(indices)) == len(indices) and not kept & set(indices) else None


@cache
def _parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


@cache
def _number(text: str) -> int | None:
    """What a partial that is a whole number comes to."""
    return int(text) if text.removeprefix("-").isdecimal() else None
