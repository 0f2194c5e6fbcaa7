"""The static graph: scalar expressions over named loop indices, hash-consed, frozen, in topological order.

A node is the value of an array's element *at* its indices: `z = sum_j x[i, j]*w[j] + b` has the free index `i`.

    op        args                     attr                meaning
    const     -                        bool | int | float  a number
    dim       -                        name                the length bound to a dim name
    index     -                        Index               the value of a loop index
    input     -                        (name, axes, type)  an element of an input, at its axes
    read      v, e1 .. ek [, guard]    Read                v with its axes replaced by the integers e1 .. ek; along axes
                                                           that v does not have, e is only checked to be a position
    reduce    v [, guard]              Reduce              sum, prod, max, min over some indices of v
    scan      v                        Index               running sum along the index, this element included
    place     v, e1 .. ek [, guard]    Place               v accumulated at e1 .. ek, over all its other indices
    scatter   place ..                 axes                the sum of its places: zero where nothing is placed
    linear    arrays [, guard]         Linear              an element of a result of linear algebra, at its axes
    spread    v                        axes                v over these axes too, along which it is constant
    select    c, a, b                  -                   a where c, else b
    convert   v                        type                a bool or int as int or float
    stop      v                        -                   v, with no derivative
    output    v                        (name, axes)        v, to be stored as an array over these axes
    NAME      as in gradc.ops          -                   a scalar function
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Hashable, Iterable, Iterator
from operator import attrgetter
from typing import Literal

from msgspec import Struct

from gradc.extents import Index, in_order
from gradc.ops import OPS

Type = Literal["bool", "int", "float"]
Number = bool | int | float


class Read(Struct, frozen=True):
    """Which axes of the value a read replaces, and whether a guard is its last argument."""

    axes: tuple[Index, ...]
    guarded: bool = False


class Place(Struct, frozen=True):
    """Axes that are written at computed places; `kept` indices are shared with the reader, not summed."""

    axes: tuple[Index, ...]
    kept: frozenset[Index]
    guarded: bool = False


class Reduce(Struct, frozen=True):
    kind: Literal["sum", "prod", "max", "min"]
    over: frozenset[Index]
    guarded: bool = False


class Linear(Struct, frozen=True):
    """A function of `gradc.linear`: the axes that it takes whole of each argument, and those of its result.

    All other indices number what it is applied to: `solve(A[i], b[i])` takes a whole matrix and a whole vector each.
    """

    kind: str
    inner: tuple[tuple[Index, ...], ...]
    axes: tuple[Index, ...]
    guarded: bool = False


class Node(Struct, frozen=True, eq=False, weakref=True):
    """One scalar expression. Nodes of a graph are unique, so equality is identity."""

    op: str
    args: tuple[Node, ...]
    attr: Hashable
    type: Type
    indices: frozenset[Index]
    number: int

    @property
    def value(self) -> Number:
        """The number of a `const`."""
        assert isinstance(self.attr, (float, int))
        return self.attr

    @property
    def index(self) -> Index:
        assert isinstance(self.attr, Index)
        return self.attr

    @property
    def name(self) -> str:
        """The name of an `input`, a `dim` or an `output`."""
        name = self.attr[0] if isinstance(self.attr, tuple) else self.attr
        assert isinstance(name, str)
        return name

    @property
    def axes(self) -> tuple[Index, ...]:
        """The axes of an `input`, a `read`, a `place`, a `scatter`, a `linear`, a `spread` or an `output`."""
        if isinstance(self.attr, Read | Place | Linear):
            return self.attr.axes
        assert isinstance(self.attr, tuple)
        return self.attr if self.op in ("scatter", "spread") else self.attr[1]

    @property
    def arrays(self) -> tuple[Node, ...]:
        """What a `linear` is a function of."""
        assert isinstance(self.attr, Linear)
        return self.args[: len(self.attr.inner)]

    @property
    def inner(self) -> tuple[tuple[Index, ...], ...]:
        """The axes of each of its `arrays` that a `linear` takes whole."""
        assert isinstance(self.attr, Linear)
        return self.attr.inner

    @property
    def each(self) -> frozenset[Index]:
        """The indices that number the arrays a `linear` is applied to."""
        return _outer(self.arrays, self.inner).union(*(a.indices for a in self.args[len(self.inner) :]))

    @property
    def subscripts(self) -> tuple[Node, ...]:
        """Where a `read` reads or a `place` writes, one integer an axis."""
        return self.args[1 : 1 + len(self.axes)]

    @property
    def guard(self) -> Node | None:
        """The condition under which a `read`, `place`, `reduce` or `linear` is run at all."""
        assert isinstance(self.attr, Read | Place | Reduce | Linear)
        return self.args[-1] if self.attr.guarded else None

    @property
    def kind(self) -> str:
        """How a `reduce` combines: sum, prod, max or min. A `scan` sums. Which function a `linear` is."""
        return self.attr.kind if isinstance(self.attr, Reduce | Linear) else "sum"

    @property
    def over(self) -> frozenset[Index]:
        """The indices a node sums or otherwise reduces away."""
        if self.attr is None:
            return frozenset()
        if isinstance(self.attr, Reduce):
            return self.attr.over
        if isinstance(self.attr, Place):
            return frozenset().union(*(a.indices for a in self.args)) - self.attr.kept
        return frozenset()

    def __repr__(self) -> str:
        return f"%{self.number}"


COMMUTATIVE = frozenset({"add", "mul", "eq", "ne"})
"""To the last bit: either order is the same node, with the arguments as they first came."""


class Graph:
    """All nodes made so far, oldest first: an argument always stands before its users. `ops` are their operations."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.ops: set[str] = set()
        self._known: dict[Hashable, Node] = {}

    def node(self, op: str, args: tuple[Node, ...] = (), attr: Hashable = None) -> Node:
        """The node with this content: the one there is, or a new one. `a*b` is `b*a`."""
        bits = attr if attr is None else struct.pack("<d", attr) if isinstance(attr, float) else (type(attr), attr)
        turned = op in COMMUTATIVE and args[0].number > args[-1].number
        key = (op, args[::-1] if turned else args, bits)
        found = self._known.get(key)
        if found is None:
            found = Node(op, args, attr, _type(op, args, attr), _indices(op, args, attr), len(self.nodes))
            self._known[key] = found
            self.nodes.append(found)
            self.ops.add(op)
        return found

    def having(self, ops: Collection[str], roots: Iterable[Node]) -> list[Node]:
        """The nodes of these operations that the roots are made of, oldest first."""
        return [] if self.ops.isdisjoint(ops) else [n for n in reachable(roots) if n.op in ops]


def reachable(roots: Iterable[Node]) -> list[Node]:
    """The roots and all they are made of, arguments first."""
    seen = set(roots)
    stack = list(seen)
    while stack:
        for a in stack.pop().args:
            if a not in seen:
                seen.add(a)
                stack.append(a)
    return sorted(seen, key=attrgetter("number"))


def validate(graph: Graph) -> None:
    """Raises AssertionError where a node breaks the rules of the table above."""
    for k, n in enumerate(graph.nodes):
        assert n.number == k, f"{n}: out of place"
        assert all(a.number < n.number and graph.nodes[a.number] is a for a in n.args), f"{n}: argument not before it"
        assert all(i.closure <= n.indices for i in n.indices), f"{n}: an index without the indices of its bound"
        for problem in _problems(n):
            raise AssertionError(f"{n} = {format_node(n)}: {problem}")


def _problems(n: Node) -> Iterator[str]:
    types = tuple(a.type for a in n.args)
    if n.op in ("read", "place"):
        assert isinstance(n.attr, Read | Place)
        if len(n.args) != 1 + len(n.axes) + n.attr.guarded:
            yield "wrong number of subscripts"
        if any(e.type != "int" for e in n.subscripts):
            yield "a subscript that is not an integer"
        if n.guard is not None and n.guard.type != "bool":
            yield "a guard that is not a condition"
    elif n.op == "reduce":
        if not n.over or not n.over <= n.args[0].indices:
            yield "reduces over an index its value does not have"
        if any(i.closure & n.over for i in n.indices):
            yield "reduces over an index that bounds one it keeps"
    elif isinstance(n.attr, Linear):
        if any(a.type != "float" for a in n.arrays):
            yield "a matrix of something other than floats"
        if not all(set(axes) <= a.indices for a, axes in zip(n.arrays, n.inner, strict=True)):
            yield "takes whole an axis its argument does not have"
        if n.each & {*n.axes, *(i for axes in n.inner for i in axes)}:
            yield "an axis of a matrix that also numbers matrices"
        if n.guard is not None and n.guard.type != "bool":
            yield "a guard that is not a condition"
    elif n.op == "scan" and n.index not in n.args[0].indices:
        yield "scans along an index its value does not have"
    elif n.op == "scatter" and any(p.op != "place" or p.axes != n.axes for p in n.args):
        yield "gathers something other than places of its own axes"
    elif n.op == "scatter" and len(set(n.args)) < len(n.args):
        yield "has a place twice, which counts once"
    elif n.op == "select" and (types[0] != "bool" or types[1] != types[2]):
        yield f"selects with types {types}"
    elif n.op in OPS and len(n.args) != len(OPS[n.op].params):
        yield "wrong number of arguments"


def _indices(op: str, args: tuple[Node, ...], attr: Hashable) -> frozenset[Index]:
    if not args:
        if isinstance(attr, Index):
            return attr.closure
        return (
            frozenset().union(*(i.closure for i in attr[1]))
            if op == "input" and isinstance(attr, tuple)
            else frozenset()
        )
    if attr is None:
        return _together(args)
    if isinstance(attr, Read):
        around = (a.closure - {a} for a in attr.axes if a not in args[0].indices)
        return (args[0].indices - set(attr.axes)).union(*around, *(a.indices for a in args[1:]))
    if isinstance(attr, Linear):
        outer = _outer(args, attr.inner).union(*(a.indices for a in args[len(attr.inner) :]))
        return outer.union(*(i.closure for i in attr.axes))
    if isinstance(attr, Reduce):
        return args[0].indices - attr.over
    if isinstance(attr, Place):
        return attr.kept
    if op == "output" and isinstance(attr, tuple):
        return args[0].indices.union(*(i.closure for i in attr[1] if i is not None))
    if op in ("scatter", "spread") and isinstance(attr, tuple):
        return frozenset().union(*(i.closure for i in attr), *(p.indices for p in args))
    return _together(args)


def _together(nodes: tuple[Node, ...]) -> frozenset[Index]:
    found = nodes[0].indices
    for a in nodes[1:]:
        if not a.indices <= found:
            found |= a.indices
    return found


def _outer(arrays: tuple[Node, ...], inner: tuple[tuple[Index, ...], ...]) -> frozenset[Index]:
    return frozenset().union(*(a.indices - frozenset(axes) for a, axes in zip(arrays, inner, strict=False)))


def _type(op: str, args: tuple[Node, ...], attr: Hashable) -> Type:
    row = OPS.get(op)
    if row is not None:
        if row.result != "same":
            return row.result
        return "float" if "float" in [a.type for a in args] else "int"
    if op == "const":
        return "bool" if isinstance(attr, bool) else "int" if isinstance(attr, int) else "float"
    if op in ("dim", "index"):
        return "int"
    if op == "input":
        return "float" if attr[2] == "float" else "int"  # type: ignore[index]
    if op == "convert":
        return attr  # type: ignore[return-value]
    if op == "select":
        return args[1].type
    return args[0].type


def format_node(n: Node) -> str:
    """One node as text: `%4 = sum over [d] of %3`."""
    if n.op == "const":
        return repr(n.value)
    if n.op == "dim":
        return n.name
    if n.op == "index":
        return str(n.index)
    if n.op == "input":
        return n.name + ("[" + ", ".join(map(str, n.axes)) + "]" if n.axes else "")
    if n.op == "reduce" and isinstance(n.attr, Reduce):
        return f"{n.attr.kind} over {', '.join(map(str, in_order(n.over)))} of {n.args[0]!r}"
    if n.op in ("read", "place"):
        at = ", ".join(f"{a} = {e!r}" for a, e in zip(n.axes, n.subscripts, strict=False))
        return f"{n.op} {n.args[0]!r} at {at}" + (f" where {n.guard!r}" if n.guard else "")
    if isinstance(n.attr, Linear):
        whole = (f"{a!r}{_axes(axes)}" for a, axes in zip(n.arrays, n.inner, strict=True))
        where = f" where {n.guard!r}" if n.guard else ""
        return f"{n.attr.kind}({', '.join(whole)}) at {_axes(n.axes)}{where}"
    if n.op == "spread":
        return f"{n.args[0]!r} along {_axes(n.axes)}"
    if n.op == "scan":
        return f"running sum along {n.index} of {n.args[0]!r}"
    if n.op == "convert":
        return f"{n.attr}({n.args[0]!r})"
    return f"{n.op}({', '.join(map(repr, n.args))})"


def _axes(axes: tuple[Index, ...]) -> str:
    return "[" + ", ".join(map(str, axes)) + "]"


def format_graph(roots: Iterable[Node]) -> str:
    """A numbered listing, one node a line."""
    lines = []
    for n in reachable(roots):
        free = " ".join(map(str, in_order(n.indices)))
        lines.append(f"{n!r:>6} = {format_node(n):<50} {n.type}{'  over ' + free if free else ''}".rstrip())
    return "\n".join(lines)
