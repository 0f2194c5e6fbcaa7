"""Makes nodes: constants fold and local identities apply as a node is made, so that no pass has to look for them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator, Iterable, Sequence, Set
from itertools import count, pairwise

from gradc.algebra import Algebra, is_const, is_short
from gradc.bounds import in_range, integer_poly
from gradc.extents import ONE, Index, Poly, in_order
from gradc.ir import Graph, Linear, Node, Place, Read, Reduce
from gradc.ops import ARITHMETIC, OPS
from gradc.pieces import MOST_PIECES, Pieces, unclipped

PUSH_LIMIT = 4
"""A read of a value at other places recomputes it there when that costs no more than this; otherwise it is stored."""


MOST_CHOICES = 32
"""A reduction of a choice becomes a choice of reductions, of so many at most."""
NEVER = 1 << 30
Places = dict[Index, Node]
Moved = tuple[Node, tuple[tuple[Index, Node], ...]]
STORED = frozenset({"input", "linear", "scatter"})
"""What is kept in arrays whoever asks for it."""


class Builder(Algebra):
    """Makes nodes of one graph."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self.pieces = Pieces()
        self.moved: dict[Moved, Node] = {}

    def reduce(self, kind: str, over: Iterable[Index], value: Node) -> Node:
        """A reduction. What does not vary is pulled out of a sum; along an index the value lacks, it is counted.

        An extreme only takes part where such an index has a range at all.
        """
        over = frozenset(over)
        if kind == "sum" and value.op == "const" and not value.value:
            return self.convert(value, "int") if value.type == "bool" else value
        for i in reversed(in_order(over)):
            if i not in value.indices and kind in ("sum", "prod"):
                count = self.length(i.extent)
                if kind == "sum":
                    value = self._unless_empty(frozenset({i}), self.op("mul", count, value), value)
                else:
                    value = self.op("power", value, count)
            elif i not in value.indices and i.extent.indices:
                some = self.op("gt", self.length(i.extent), self.const(0))
                worst = float("-inf") if kind == "max" else float("inf")
                value = self.select(some, self.convert(value, "float"), self.const(worst))
        over &= value.indices
        if not over:
            return value
        if kind == "sum" and value.type == "bool":
            value = self.convert(value, "int")
        if _is_choice(value, over) and not self.pieces.indices(value):
            arms = (self.reduce(kind, over, a) for a in value.args[1:])
            return self.select(value.args[0], *arms)
        one = self._only_summand(over, value) if kind == "sum" else None
        if one is not None:
            return one
        apart = self._in_pieces(kind, over, value) if kind in ("sum", "prod") else None
        if apart is not None:
            return apart
        if kind != "sum":
            return self.graph.node("reduce", (value,), Reduce(kind, over))  # type: ignore[arg-type]
        factor, summand, divisor = self._split_factors(value, over)
        total = self.graph.node("reduce", (summand,), Reduce("sum", over))
        if factor is not None:
            total = self.op("mul", factor, total)
        if divisor is not None:
            total = self.op("div", total, divisor)
        return self._unless_empty(over, total, factor, divisor)

    def scan(self, index: Index, value: Node) -> Node:
        if index not in value.indices:
            position = self.op("add", self.index(index), self.const(1))
            return self.op("mul", position, value)
        return self.graph.node("scan", (value,), index)

    def read(self, value: Node, axes: Sequence[Index], at: Sequence[Node]) -> Node:
        """The value with each axis replaced by an integer expression, all at once.

        A value is the same along an axis it does not have, but there has to be such a position.
        """
        plain = (self._plain_position(e) for e in at)
        places = {a: e for a, e in zip(axes, plain, strict=True) if not _is_index(e, a)}
        unproved = {a for a, e in places.items() if in_range(e, a) != "proved"}
        places = {a: e for a, e in places.items() if a in value.indices or a in unproved}
        if unproved and (not _checks_the_same(value, unproved) or unproved - value.indices):
            proved = _proved(places, unproved)
            return self._checked_read(value, self._moved(value, proved), places, proved)
        return self._moved(value, places)

    def read_where(self, guard: Node, value: Node, axes: Sequence[Index], at: Sequence[Node]) -> Node:
        """A read that is only run under a condition."""
        if guard.op == "const":
            return self.read(value, axes, at) if guard.value else self.convert(self.const(False), value.type)
        places = {a: e for a, e in zip(axes, at, strict=True) if a in value.indices}
        if not places:
            return value
        return self.graph.node("read", (value, *places.values(), guard), Read(tuple(places), guarded=True))

    def _plain_position(self, e: Node) -> Node:
        """A position made of numbers, dims and indices, in its one normal form."""
        poly = integer_poly(e) if e.op not in ("const", "dim", "index", "read") else None
        return e if poly is None else self.integer(poly)

    def place(
        self, value: Node, axes: tuple[Index, ...], at: Sequence[Node], kept: frozenset[Index], guard: Node | None
    ) -> Node:
        args = (value, *at) if guard is None else (value, *at, guard)
        return self.graph.node("place", args, Place(axes, kept, guard is not None))

    def scatter(self, places: Sequence[Node]) -> Node:
        """The sum of what is placed. Equal places become one, as a place counts once."""
        summands: dict[Node, None] = {}
        for p, times in Counter(places).items():
            place = p if times == 1 else self._multiple(times, p)
            while place in summands:  # the multiple of one may be another
                del summands[place]
                place = self._multiple(2, place)
            summands[place] = None
        return self.graph.node("scatter", tuple(summands), places[0].axes)

    def _multiple(self, times: int, place: Node) -> Node:
        value, *rest = place.args
        return self.graph.node("place", (self.op("mul", self.const(float(times)), value), *rest), place.attr)

    def linear(
        self, kind: str, arrays: Sequence[tuple[Node, tuple[Index, ...]]], axes: tuple[Index, ...], guard: Node | None
    ) -> Node:
        """A function of whole arrays, each given with the axes that it takes whole; `axes` are those of the result."""
        if guard is not None and guard.op == "const":
            return self.linear(kind, arrays, axes, None) if guard.value else self.const(0.0)
        whole = tuple(self.whole(self.convert(a, "float"), inner) for a, inner in arrays)
        attr = Linear(kind, tuple(inner for _, inner in arrays), axes, guard is not None)
        return self.graph.node("linear", whole if guard is None else (*whole, guard), attr)

    def whole(self, value: Node, axes: tuple[Index, ...]) -> Node:
        """The value with all these axes, so that it can be stored as an array over them."""
        fits = value.indices.issuperset(axes) and value.op not in ("const", "dim", "index")
        return value if fits else self.graph.node("spread", (value,), axes)

    def has_range(self, over: frozenset[Index]) -> Node:
        """Whether there is any position along these indices together."""
        if any(i.extent.indices & over for i in over):
            return self.op("gt", self.reduce("sum", over, self.const(1)), self.const(0))
        some = self.const(True)
        for i in in_order(over):
            some = self.op("and", some, self.op("gt", self.length(i.extent), self.const(0)))
        return some

    # inside

    def _only_summand(self, over: frozenset[Index], value: Node) -> Node | None:
        """A sum of `value if index == place else 0` along the index: the value there, if there is such a position."""
        if value.op != "select" or value.args[0].op != "eq" or not is_const(value.args[2], 0):
            return None
        condition, summand, _ = value.args
        for here, place in (condition.args, condition.args[::-1]):
            if here.op != "index" or here.index not in over or not self._pushable(summand):
                continue
            i, rest = here.index, over - {here.index}
            if in_range(place, i) == "proved" and not any(i in x.closure for x in (*place.indices, *rest)):
                return self.reduce("sum", rest, self.read(summand, [i], [place]))
        return None

    def _in_pieces(self, kind: str, over: frozenset[Index], value: Node) -> Node | None:
        """A sum or product along an index with several formulas, as one of several reductions."""
        for i in in_order(over & self.pieces.indices(value)):
            bounds = None if i in self.pieces.risk(value).fixed else self.pieces.bounds(value, i)
            if bounds is None or any(i in j.extent.indices for j in value.indices):
                continue
            total: Node | None = None
            for low, high in pairwise(bounds):
                piece, rest = self._piece(value, i, low, high), over - {i}
                part = self.reduce(kind, piece[1] | rest, piece[0])
                if total is None:
                    total = part
                elif not (kind == "sum" and part.op == "const" and part.value == 0):
                    skipped = kind == "sum" and total.op == "const" and total.value == 0
                    total = part if skipped else self.op("add" if kind == "sum" else "mul", total, part)
            return total
        return None

    def _piece(self, value: Node, i: Index, low: Poly, high: Poly) -> tuple[Node, frozenset[Index]]:
        """The value between two positions of an index, and the index it has instead if there are several."""
        if high - low == ONE:
            return self._moved(value, {i: self.integer(low)}), frozenset()
        taken = value.indices - {i}
        length = unclipped(high - low)
        index = next(j for j in (Index(length, k) for k in count()) if j not in taken)
        return self._moved(value, {i: self.integer(low + Poly.atom(index))}), frozenset({index})

    def _split_factors(self, value: Node, over: frozenset[Index]) -> tuple[Node | None, Node, Node | None]:
        """(factor, summand, divisor), value = factor*summand/divisor, where only the summand varies along `over`."""
        factor: Node | None = None
        divisor: Node | None = None
        while value.op in ("neg", "mul", "div"):
            a, b = value.args[0], value.args[-1]
            if value.op == "neg":
                fixed, value = self.const(-1.0), a
            elif not (over & b.indices) and value.op == "mul":
                fixed, value = b, a
            elif not (over & a.indices) and value.op == "mul":
                fixed, value = a, b
            elif not (over & b.indices) and value.op == "div" and divisor is None:
                divisor, value = b, self.convert(a, "float")
                continue
            else:
                break
            factor = fixed if factor is None else self.op("mul", factor, fixed)
        return factor, value, divisor

    def _unless_empty(
        self, over: frozenset[Index], total: Node, factor: Node | None, divisor: Node | None = None
    ) -> Node:
        """A sum that numbers were pulled out of: 0 over an empty range, where it has none of them, be they infinite."""
        harmless = divisor is None or (divisor.op == "const" and divisor.value)
        if harmless and (factor is None or _is_finite(factor)):
            return total
        return self.select(self.has_range(over), total, self.convert(self.const(0), total.type))

    def _moved(self, value: Node, places: Places) -> Node:
        """The value at other places. Works through nested values on a stack, and remembers what it has moved."""
        key = self._key(value, places)
        stack = [(key, self._moving(value, dict(key[1])))]
        result: Node | None = None
        while stack:
            step = stack[-1][1]
            try:
                a, at = step.send(result)
            except StopIteration as finished:
                result = self.moved[stack.pop()[0]] = finished.value
                continue
            key = self._key(a, at)
            result = self.moved.get(key)
            if result is None:
                stack.append((key, self._moving(a, dict(key[1]))))
        assert result is not None
        return result

    def _key(self, value: Node, places: Places) -> Moved:
        return value, tuple((a, e) for a, e in places.items() if a in value.indices and not _is_index(e, a))

    def _moving(self, n: Node, places: Places) -> Generator[tuple[Node, Places], Node | None, Node]:
        """Yields the parts it needs at other places, and is sent them. Returns the whole."""
        if not places:
            return n
        if n.op == "index":
            return places[n.index]
        unproved = {a for a, e in places.items() if in_range(e, a) != "proved"}
        if unproved and not _checks_the_same(n, unproved):
            proved = _proved(places, unproved)
            return self._checked_read(n, _sent((yield n, proved)), places, proved)
        if n.op == "read" and n.guard is None:
            inner: Places = {}
            for a, e in zip(n.axes, n.subscripts, strict=True):
                inner[a] = self._plain_position(_sent((yield e, places)))
            inner |= {a: e for a, e in places.items() if a in n.args[0].indices and a not in n.axes}
            return _sent((yield n.args[0], inner))
        if n.op == "read" and n.guard is not None:
            return (yield from self._moving_guarded(n, places))
        if n.op == "select" and self.pieces.risk(n).fixed & places.keys():
            return self._plain_read(n, places)
        if n.op == "select" and self._goes_through(n, places):
            condition = _sent((yield n.args[0], places))
            if condition.op == "const":
                return _sent((yield n.args[1 if condition.value else 2], places))
            return self.select(condition, _sent((yield n.args[1], places)), _sent((yield n.args[2], places)))
        if (n.op in OPS or n.op in ("convert", "stop")) and self._goes_through(n, places):
            args = []
            for part in n.args:
                args.append(_sent((yield part, places)))
            if n.op == "convert":
                return self.convert(args[0], n.type)
            return self.stop(args[0]) if n.op == "stop" else self.op(n.op, *args)
        apart = (self.pieces.indices(n) | self.pieces.risk(n).loose) & places.keys()
        if n.op == "reduce" and n.guard is None and apart:
            return (yield from self._moving_reduction(n, places))
        inside = frozenset().union(*(e.indices for e in places.values()))
        if n.op == "scan" and apart and n.index not in inside and not n.index.closure & places.keys():
            return self.scan(n.index, _sent((yield n.args[0], places)))
        return self._plain_read(n, places)

    def _moving_reduction(self, n: Node, places: Places) -> Generator[tuple[Node, Places], Node | None, Node]:
        """A reduction is one of values at other places, over indices that do not stand in these."""
        inside = frozenset().union(*(e.indices for e in places.values()))
        bounds = frozenset().union(*(i.extent.indices for i in n.over))
        if bounds & (places.keys() | n.over):
            return self._plain_read(n, places)
        own = _renamed(in_order(n.over), inside, n.args[0].indices)
        moved = places | {i: self.index(j) for i, j in own.items()}
        return self.reduce(n.kind, own.values(), _sent((yield n.args[0], moved)))

    def _moving_guarded(self, n: Node, places: Places) -> Generator[tuple[Node, Places], Node | None, Node]:
        """A read under a condition moves with its condition, over axes that do not stand in the other places."""
        assert n.guard is not None
        value = n.args[0]
        rest = {a: e for a, e in places.items() if a in value.indices and a not in n.axes}
        own = _renamed(n.axes, frozenset().union(*(e.indices for e in rest.values())), value.indices)
        rest |= {a: self.index(b) for a, b in own.items()}
        guard = _sent((yield n.guard, places))
        at = []
        for e in n.subscripts:
            at.append(_sent((yield e, places)))
        return self.read_where(guard, _sent((yield value, rest)), list(own.values()), at)

    def _checked_read(self, value: Node, moved: Node, places: Places, proved: Places) -> Node:
        """A read of a value, so that it is this value's length that is checked, moved to the places that are proved."""
        if moved.op == "read" and moved.args[0] is value:
            return self._plain_read(value, places)
        return self._plain_read(moved, {a: e for a, e in places.items() if a not in proved})

    def _plain_read(self, value: Node, places: Places) -> Node:
        plain = value.op == "input" and places.keys() <= set(value.axes)
        axes = [a for a in (value.axes if plain else in_order(places)) if a in places]
        return self.graph.node("read", (value, *(places[a] for a in axes)), Read(tuple(axes)))

    def _goes_through(self, value: Node, places: Places) -> bool:
        """Whether a scalar function is computed again at other places: at few, or where it has one formula of many."""
        few = all(e.op == "const" and (a.extent.constant or NEVER) <= MOST_PIECES for a, e in places.items())
        apart = self.pieces.indices(value) | self.pieces.risk(value).loose
        return few or self._pushable(value) or not apart.isdisjoint(places)

    def _pushable(self, value: Node) -> bool:
        """Whether it costs next to nothing to compute the value again at other places, or is made of positions."""
        cost, stack = 0, [value]
        while stack and cost <= PUSH_LIMIT:
            n = stack.pop()
            if n.type != "float" and is_short(n):
                continue
            if n.op in OPS or n.op in ("select", "convert", "stop"):
                cost += OPS[n.op].weight if n.op in OPS else ARITHMETIC
                stack += n.args
            elif n.op not in ("const", "dim", "index") and (n.args[0] if n.op == "read" else n).op not in STORED:
                return False
        return cost <= PUSH_LIMIT


def _proved(places: Places, unproved: Set[Index]) -> Places:
    """The places that a value can be moved to before it is read at the others."""
    proved = {a: e for a, e in places.items() if a not in unproved}
    return {} if any(e.indices & unproved for e in proved.values()) else proved


def _renamed(bound: Sequence[Index], inside: frozenset[Index], others: frozenset[Index]) -> dict[Index, Index]:
    """What indices that are bound somewhere are called where their names do not stand `inside` of what is put there."""
    taken, own = inside | others, {}
    for i in bound:
        own[i] = i if i not in inside else next(j for j in (Index(i.extent, k) for k in count()) if j not in taken)
        taken |= {own[i]}
    return own


def _checks_the_same(node: Node, axes: Set[Index]) -> bool:
    """Whether positions along these axes are ones along as long axes of what the node reads, to be checked there."""
    return node.op == "input" or (node.op == "read" and node.guard is None and all(_is_kept(node, a) for a in axes))


def _is_kept(read: Node, axis: Index) -> bool:
    """Whether the value that is read has this axis, whatever its name."""
    places = [(a, e) for a, e in zip(read.axes, read.subscripts, strict=True) if axis in e.indices]
    if axis in read.args[0].indices - set(read.axes):
        return not places
    return len(places) == 1 and _is_index(places[0][1], axis) and places[0][0].extent == axis.extent


def _is_choice(value: Node, over: frozenset[Index]) -> bool:
    """Whether it is chosen between few values in the same way all along these indices."""
    stack, found = [value], 0
    while stack and found <= MOST_CHOICES:
        n = stack.pop()
        if n.op == "select" and not over & n.args[0].indices:
            found += 1
            stack += n.args[1:]
    return 0 < found <= MOST_CHOICES


def _is_finite(node: Node) -> bool:
    """Whether a value is a finite number, whatever the inputs are."""
    integer = node.args[0] if node.op == "convert" else node
    return integer.type != "float" or (node.op == "const" and math.isfinite(node.value))


def _is_index(node: Node, index: Index) -> bool:
    return node.op == "index" and node.attr == index


def _sent(part: Node | None) -> Node:
    assert part is not None
    return part
