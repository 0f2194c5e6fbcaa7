"""The loop program: what is left when the graph has been scheduled. Emitters print it; it knows no calculus.

Expressions are trees over named scalars and array elements. Statements assign, accumulate, loop and check.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from gradc.extents import Index, Poly
from gradc.ir import Number, Type


@dataclass(frozen=True)
class Const:
    value: Number


@dataclass(frozen=True)
class Name:
    """A scalar variable, a loop index or a dim."""

    name: str
    type: Type


@dataclass(frozen=True)
class Element:
    """An element of an array, or the array's only element if there are no subscripts."""

    array: str
    at: tuple[Expr, ...]
    type: Type


@dataclass(frozen=True)
class Apply:
    """A row of `gradc.ops`, `select`, or a conversion to `float` or `int`."""

    op: str
    args: tuple[Expr, ...]
    type: Type


Expr = Const | Name | Element | Apply
Target = Name | Element


@dataclass(frozen=True)
class Assign:
    target: Target
    value: Expr


@dataclass(frozen=True)
class Accumulate:
    """`target = target op value`, op one of add, mul, maximum, minimum; only where the guard holds, if there is one."""

    target: Target
    op: str
    value: Expr
    guard: Expr | None = None


@dataclass(frozen=True)
class Alloc:
    """An array of this shape, filled with a number or left as it is."""

    array: str
    shape: tuple[Poly, ...]
    type: Type
    fill: Number | None = None


@dataclass(frozen=True)
class Fill:
    """Elements of an array set to one number: all along the axes where `at` is None."""

    array: str
    at: tuple[Expr | None, ...]
    value: Number


@dataclass(frozen=True)
class Check:
    """Stops the program with `message` unless 0 <= position < length, where the guard holds."""

    position: Expr
    length: Poly
    message: str
    guard: Expr | None = None


@dataclass(frozen=True)
class Comment:
    text: str


@dataclass(frozen=True)
class For:
    index: Index
    variable: str
    body: tuple[Stmt, ...]


@dataclass(frozen=True)
class Block:
    """Assignments in a row that are compiled apart from the rest, under a name.

    `reads` are the scalars it takes, `writes` those it leaves behind; `arrays` names what it reads or fills, each with
    the type of its elements.
    """

    name: str
    body: tuple[Assign | Accumulate, ...]
    reads: tuple[Name, ...]
    arrays: tuple[Name, ...]
    writes: tuple[Name, ...]


Stmt = Assign | Accumulate | Alloc | Fill | Check | Comment | For | Block


@dataclass(frozen=True)
class Routine:
    """One function: its statements, what it returns, and the names its loop indices go by."""

    name: str
    body: tuple[Stmt, ...]
    value: Expr
    gradient: tuple[Expr, ...] | None
    index_names: dict[Index, str] = field(hash=False)

    def statements(self) -> Iterator[tuple[Stmt, tuple[Index, ...]]]:
        """Every statement with the indices of the loops around it, in order."""
        stack: list[tuple[Iterator[Stmt], tuple[Index, ...]]] = [(iter(self.body), ())]
        while stack:
            statements, around = stack[-1]
            s = next(statements, None)
            if s is None:
                stack.pop()
                continue
            yield s, around
            if isinstance(s, For):
                stack.append((iter(s.body), (*around, s.index)))

    def sweeps(self, dim: str) -> int:
        """How many outermost loops run over a length made of this dim."""
        return sum(isinstance(s, For) and dim in s.index.extent.dims for s in self.body)

    def allocations(self) -> list[Alloc]:
        return [s for s, _ in self.statements() if isinstance(s, Alloc)]


def parts(expr: Expr) -> list[Expr]:
    """The expression and everything inside it."""
    found: list[Expr] = [expr]
    for e in found:
        if isinstance(e, Apply):
            found += e.args
        elif isinstance(e, Element):
            found += e.at
    return found
