"""The loop program: what is left when the graph has been scheduled. Emitters print it; it knows no calculus.

Expressions are trees over named scalars and array elements. Statements assign, accumulate, loop and check;
matrix products, tiles of rows and sweeps over chunks of rows are statements of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import ClassVar

from msgspec import Struct
from msgspec.structs import replace

from gradc.extents import ZERO, Index, Poly, volume
from gradc.ir import Number, Type


class Const(Struct, frozen=True):
    value: Number
    args: ClassVar[tuple[Expr, ...]] = ()


class Name(Struct, frozen=True):
    """A scalar variable, a loop index or a dim."""

    name: str
    type: Type
    args: ClassVar[tuple[Expr, ...]] = ()


class Element(Struct, frozen=True):
    """An element of an array, or the array's only element if there are no subscripts."""

    array: str
    at: tuple[Expr, ...]
    type: Type

    @property
    def args(self) -> tuple[Expr, ...]:
        return self.at


class Apply(Struct, frozen=True):
    """A row of `gradc.ops`, `select`, or a conversion to `float` or `int`."""

    op: str
    args: tuple[Expr, ...]
    type: Type


Expr = Const | Name | Element | Apply
"""What an expression is made of are its `args`."""
Target = Name | Element


class Assign(Struct, frozen=True):
    target: Target
    value: Expr


class Accumulate(Struct, frozen=True):
    """`target = target op value`, op one of add, mul, maximum, minimum; only where the guard holds, if there is one."""

    target: Target
    op: str
    value: Expr
    guard: Expr | None = None


class Alloc(Struct, frozen=True):
    """An array of this shape, filled with a number or left as it is."""

    array: str
    shape: tuple[Poly, ...]
    type: Type
    fill: Number | None = None


class Fill(Struct, frozen=True):
    """Elements of an array set to one number: all along the axes where `at` is None."""

    array: str
    at: tuple[Expr | None, ...]
    value: Number


class Check(Struct, frozen=True):
    """Stops the program with `message` unless 0 <= position < length, where the guard holds."""

    position: Expr
    length: Poly
    message: str
    guard: Expr | None = None


class Comment(Struct, frozen=True):
    text: str


class For(Struct, frozen=True):
    """A loop from 0 below the index's extent, or over the part of it between two bounds; only where the guard holds."""

    index: Index
    variable: str
    body: tuple[Stmt, ...]
    bounds: tuple[str, str] | None = None
    guard: Expr | None = None


class Section(Struct, frozen=True):
    """A vector or matrix in an array: at these positions of its axes, and all along those where a length stands."""

    array: str
    at: tuple[Expr | Poly, ...]
    transposed: bool = False

    @property
    def positions(self) -> tuple[Expr, ...]:
        return tuple(e for e in self.at if not isinstance(e, Poly))


class Linear(Struct, frozen=True):
    """A function of `gradc.linear` applied to matrices and vectors; only where the guard holds, if there is one.

    `work` is how many operations that is.
    """

    kind: str
    given: tuple[Section, ...]
    target: Section | Target
    work: tuple[Fraction, tuple[Poly, ...]]
    guard: Expr | None = None


class View(Struct, frozen=True):
    """A vector or matrix made of an array: for each axis the bounds of a slice, or None for all of it."""

    array: str
    slices: tuple[tuple[str, str] | None, ...]
    transposed: bool = False


class Product(Struct, frozen=True):
    """`target = left @ right`, or `target += left @ right`, of vectors and matrices; `loops` are what it stands for."""

    target: View
    left: View
    right: View
    add: bool
    loops: tuple[Index, ...]


def numbers_of_a_row(array: Alloc, rows: Poly) -> Poly:
    """How many numbers an array of a tile holds for each of its rows, which are one of its axes."""
    return volume(length for length in array.shape if length != rows)


class Tiles(Struct, frozen=True):
    """The rows from `first` below `last`, some at a time: those from `start` below `stop`.

    `height` is how many: as `elements` numbers a row leave room for, or as many as matrix products over them repay,
    whose other two lengths are in `products`; or it `is_given`. `arrays` hold the values of one tile; one of their axes
    is `height` long.
    """

    first: str
    last: str
    start: str
    stop: str
    height: str
    elements: Poly
    products: tuple[tuple[Poly, Poly], ...]
    arrays: tuple[Alloc, ...]
    body: tuple[Stmt, ...]
    is_given: bool = False

    @property
    def streams(self) -> bool:
        """Whether a tile is rows of data, and beside them a few numbers each, and no matrix products."""
        kept = [numbers_of_a_row(a, Poly.atom(self.height)).constant for a in self.arrays]
        return not self.products and None not in kept and self.elements.constant is None


def word(length: Poly) -> Const | Name | None:
    """A length that is a number or a dim, as an expression."""
    if length.constant is not None:
        return Const(length.constant)
    text = str(length)
    return Name(text, "int") if text in length.dims else None


class Copy(Struct, frozen=True):
    """A vector that each row of a tile has for itself, one behind the other."""

    array: str
    copy: str
    type: Type


class Rows(Struct, frozen=True):
    """Short rows of `length` elements, `height` of them put together.

    Each has its own of the vectors that are read, in `copies`, and of those in `totals`, which chunks add up. `turns`
    are the variables of loops over the rows and their elements.
    """

    height: str
    length: Const | Name
    turns: tuple[str, str]
    copies: tuple[Copy, ...]
    totals: tuple[str, ...]

    @property
    def columns(self) -> Poly:
        """The length as such."""
        return Poly.const(int(self.length.value)) if isinstance(self.length, Const) else Poly.atom(self.length.name)

    @property
    def size(self) -> Poly:
        """How many elements rows put together have."""
        return Poly.atom(self.height) * self.columns

    def place(self, column: Expr) -> Expr:
        """Where an element of a row is among them."""
        return Apply("add", (Apply("mul", (Name(self.turns[0], "int"), self.length), "int"), column), "int")


class Part(Struct, frozen=True):
    """An accumulator each chunk has for itself, from the number `start`; they are combined by `op`, chunk by chunk."""

    name: str
    parts: str
    op: str
    start: Number
    axes: tuple[tuple[str, Poly], ...]
    type: Type


class Flat(Struct, frozen=True):
    """Arrays whose first axes a kernel takes as one, so long; each with the lengths of its other axes."""

    size: Poly = ZERO
    arrays: dict[str, tuple[Poly, ...]] = {}


class Sweep(Struct, frozen=True):
    """`body` as a kernel, run over chunks of the rows, each from `first` below `last`.

    How many chunks there are follows from the `work` and from how many numbers are `private` to each. The last `reach`
    rows of a chunk write where the next chunk does: they are run when all other rows are through. Nothing is run where
    the guard does not hold.
    """

    kernel: str
    index: Index
    chunk: str
    chunks: str
    first: str
    last: str
    reach: int
    parts: tuple[Part, ...]
    parameters: tuple[str, ...]
    work: Poly
    private: Poly
    body: tuple[Stmt, ...]
    guard: Expr | None = None
    flat: Flat = Flat()
    rows: Rows | None = None

    def fills(self, part: Part) -> bool:
        """Whether the kernel fills its own of these parts, which are matrices: it is called once for each chunk."""
        return len(part.axes) > 1 and not self.reach


class Block(Struct, frozen=True):
    """Assignments in a row that are compiled apart from the rest, under a name.

    `reads` are the scalars it takes, `writes` those it leaves behind; `arrays` names what it reads or fills, each with
    the type of its elements.
    """

    name: str
    body: tuple[Assign | Accumulate, ...]
    reads: tuple[Name, ...]
    arrays: tuple[Name, ...]
    writes: tuple[Name, ...]


Plain = Assign | Accumulate
"""What nearly all statements are, and is asked for first."""
Stmt = Assign | Accumulate | Alloc | Fill | Check | Comment | For | Linear | Product | Tiles | Sweep | Block
STRAIGHT = (Assign, Accumulate, Comment)
"""Statements without lengths: most there are, as `isinstance` takes them."""
Loop = (For, Tiles, Sweep)
"""Statements made of others, as `isinstance` takes them."""


class Routine(Struct, frozen=True):
    """One function: its statements, what it returns, and the names its loop indices go by.

    `exact`: whether every result must have the bits that its text says, because it is computed twice and compared.
    """

    name: str
    body: tuple[Stmt, ...]
    value: Expr
    gradient: tuple[Expr, ...] | None
    index_names: dict[Index, str]
    exact: bool = False

    def statements(self) -> Iterator[tuple[Stmt, tuple[Index, ...]]]:
        """Every statement with the indices of the loops around it, in order."""
        return walk(self.body)

    def sweeps(self, dim: str) -> int:
        """How many outermost loops run over a length made of this dim."""
        return sum(isinstance(s, For | Sweep) and dim in s.index.extent.dims for s in self.body)

    @property
    def has_loops(self) -> bool:
        return any(inside(s) for s in self.body)

    @property
    def has_matrices(self) -> bool:
        """Whether matrices are multiplied or factored."""
        return any(
            isinstance(s, Linear) or (isinstance(s, Product) and len(s.loops) == 3) for s, _ in self.statements()
        )

    def allocations(self) -> list[Alloc]:
        return [s for s, _ in self.statements() if isinstance(s, Alloc)]


IDENTITIES: dict[str, tuple[float, int]] = {
    "add": (0.0, 0),
    "mul": (1.0, 1),
    "maximum": (float("-inf"), -(2**63) + 1),
    "minimum": (float("inf"), 2**63 - 1),
}


def identity(op: str, type: Type) -> Number:
    """What an accumulator by this operation starts from."""
    return IDENTITIES[op][type != "float"]


def inside(s: Stmt) -> tuple[Stmt, ...]:
    """The statements a statement is made of."""
    if type(s) not in Loop:
        return ()
    if isinstance(s, Tiles):
        return s.arrays + s.body
    return s.body if isinstance(s, (For, Sweep)) else ()


def walk(body: Sequence[Stmt]) -> Iterator[tuple[Stmt, tuple[Index, ...]]]:
    """Every statement with the indices of the loops around it, in order."""
    stack: list[tuple[Iterator[Stmt], tuple[Index, ...]]] = [(iter(body), ())]
    while stack:
        statements, around = stack[-1]
        s = next(statements, None)
        if s is None:
            stack.pop()
            continue
        yield s, around
        if type(s) in Loop:
            stack.append((iter(inside(s)), (*around, s.index) if isinstance(s, For) else around))


def expressions(s: Stmt) -> tuple[Expr, ...]:
    """The expressions that stand in a statement itself: what it computes, where it stores, what it asks."""
    if isinstance(s, Assign):
        return (s.value, s.target)
    if isinstance(s, Accumulate):
        return (s.value, s.target) if s.guard is None else (s.value, s.target, s.guard)
    if isinstance(s, Fill):
        return tuple(e for e in s.at if e is not None)
    if isinstance(s, Check):
        return (s.position,) if s.guard is None else (s.position, s.guard)
    if isinstance(s, For | Sweep):
        return () if s.guard is None else (s.guard,)
    if isinstance(s, Linear):
        target = s.target.at if isinstance(s.target, Element) else ()
        sections = (*s.given, s.target) if isinstance(s.target, Section) else s.given
        positions = (*(e for section in sections for e in section.positions), *target)
        return positions if s.guard is None else (*positions, s.guard)
    return s.reads if isinstance(s, Block) else ()


def lengths(s: Stmt) -> tuple[Poly, ...]:
    """The lengths that stand in a statement itself."""
    if isinstance(s, STRAIGHT):
        return ()
    if isinstance(s, For):
        return () if s.bounds else (s.index.extent,)
    if isinstance(s, Alloc):
        return s.shape
    if isinstance(s, Tiles):
        return (s.elements, *(p for pair in s.products for p in pair))
    if isinstance(s, Sweep):
        of_rows = [s.rows.columns] if s.rows else []
        of_rows += [length for others in s.flat.arrays.values() for length in others]
        return (s.index.extent, s.work, s.private, *of_rows, *(length for p in s.parts for _, length in p.axes))
    if isinstance(s, Linear):
        sections = (*s.given, s.target) if isinstance(s.target, Section) else s.given
        return tuple(p for section in sections for p in section.at if isinstance(p, Poly) and p.indices)
    return (s.length,) if isinstance(s, Check) else ()


def replaced(expr: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """The expression with every part changed, inner parts first."""
    if isinstance(expr, Apply):
        expr = Apply(expr.op, tuple(replaced(a, change) for a in expr.args), expr.type)
    elif isinstance(expr, Element):
        expr = Element(expr.array, tuple(replaced(a, change) for a in expr.at), expr.type)
    return change(expr)


def changed(s: Stmt, change: Callable[[Expr], Expr]) -> Stmt:
    """The statement with every part of its expressions changed, which leaves targets what they are.

    Of a loop that is its guard, of a statement without expressions nothing.
    """
    if isinstance(s, Assign | Accumulate):
        target = replaced(s.target, change)
        assert isinstance(target, Name | Element)
        s = replace(s, target=target, value=replaced(s.value, change))
    elif isinstance(s, Fill):
        s = replace(s, at=tuple(e if e is None else replaced(e, change) for e in s.at))
    elif isinstance(s, Check):
        s = replace(s, position=replaced(s.position, change))
    if isinstance(s, Accumulate | Check | For) and s.guard is not None:
        s = replace(s, guard=replaced(s.guard, change))
    return s


def as_update(s: Stmt) -> Accumulate | None:
    """`a[i] = a[i] + b` as `a[i] += b`, or the same of products."""
    if isinstance(s, Assign) and isinstance(s.target, Element) and isinstance(s.value, Apply):
        for own, other in (s.value.args, s.value.args[::-1]) if s.value.op in ("add", "mul") else ():
            if own == s.target:
                return Accumulate(s.target, s.value.op, other)
    return None


def parts(expr: Expr) -> list[Expr]:
    """The expression and everything inside it."""
    found: list[Expr] = [expr]
    for e in found:
        found += e.args
    return found


def chosen_once(args: tuple[Expr, ...]) -> tuple[Expr, ...]:
    """The parts of a choice; an arm that asks the same once more is the arm of it that is taken."""
    condition, *arms = args
    for k, holds in enumerate((condition, Apply("not", (condition,), "bool"))):
        arm = arms[k]
        if isinstance(arm, Apply) and arm.op == "select" and arm.args[0] == holds:
            arms[k] = arm.args[1]
    return condition, *arms
