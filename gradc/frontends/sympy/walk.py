"""A SymPy expression, taken apart: every part once, arguments first. Nothing here recurses or compares expressions."""

from __future__ import annotations

import sympy
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.slice import MatrixSlice

from gradc.errors import Source, Span, UnsupportedError
from gradc.frontends.sympy.forms import Part, is_known, is_well_formed

PRINTED = 60
"""Parts with more nodes than this are not printed, in messages and in comments; numbers of many digits count more."""
LONGEST = 200
"""Nor are longer texts."""

LEAVES = (
    sympy.Symbol,
    sympy.IndexedBase,
    sympy.Idx,
    sympy.MatrixSymbol,
    sympy.Identity,
    sympy.ZeroMatrix,
    sympy.OneMatrix,
)
"""Their arguments are names and lengths."""


def children(e: Part) -> tuple[Part, ...]:
    """The parts a part is made of, without the names that it declares."""
    if isinstance(e, LEAVES) or not is_known(e) or not is_well_formed(e):
        return ()
    if isinstance(e, sympy.Indexed):
        return tuple(e.indices)
    if isinstance(e, sympy.Sum | sympy.Product):
        return (e.function, *(bound for limit in e.limits for bound in limit[1:]))
    if isinstance(e, sympy.Piecewise):
        return tuple(p for pair in e.args for p in pair.args)
    if isinstance(e, sympy.KroneckerDelta):
        return (*e.args[:2], *(bound for limits in e.args[2:] for bound in limits))
    if isinstance(e, sympy.MatrixBase):
        return tuple(e.flat())
    if isinstance(e, sympy.BlockMatrix):
        return tuple(e.blocks.flat())
    if isinstance(e, MatrixSlice):
        return (e.parent, *e.rowslice, *e.colslice)
    if isinstance(e, ElementwiseApplyFunction):
        return (e.function.expr, e.expr)
    if isinstance(e, sympy.FunctionMatrix):
        return (e.lamda.expr,)
    return tuple(e.args)


class Parts:
    """All parts of an expression by identity: shared ones are seen once, however often they occur.

    Comparing or hashing large expressions would make SymPy recurse; only symbols are ever looked up.
    """

    def __init__(self, root: Part) -> None:
        self.order: list[Part] = []
        """Arguments before what they are arguments of."""
        self._children: dict[int, tuple[Part, ...]] = {}
        self._variables: dict[int, tuple[Part, ...]] = {}
        self._collect(root)
        self._find_variables()

    def of(self, e: Part) -> tuple[Part, ...]:
        """The parts of a part; the same objects every time, as not all of SymPy's are kept by what they belong to."""
        return self._children[id(e)]

    def variables(self, e: Part) -> tuple[Part, ...]:
        """The index variables that are free in a part: what its value depends on besides the inputs."""
        return self._variables[id(e)]

    def _collect(self, root: Part) -> None:
        stack = [(root, False)]
        open_parts: set[int] = set()
        while stack:
            e, complete = stack.pop()
            if complete:
                self.order.append(e)
                open_parts.discard(id(e))
            elif id(e) in open_parts:
                raise UnsupportedError("an expression that contains itself", place(e))
            elif id(e) not in self._children:
                _check(e)
                self._children[id(e)] = children(e)
                open_parts.add(id(e))
                stack.append((e, True))
                stack += [(p, False) for p in reversed(self._children[id(e)])]

    def _find_variables(self) -> None:
        bound = {v for e in self.order for v in bound_variables(e)}
        for e in self.order:
            if isinstance(e, sympy.Symbol | sympy.Idx):
                free = {e} & bound
            elif isinstance(e, sympy.Sum | sympy.Product):
                free = set(self._variables[id(e.function)])
                for limit in e.limits:  # the innermost first; later ones bind what the bounds before them use
                    free.discard(limit[0])
                    free.update(v for b in limit[1:] for v in self._variables[id(b)])
            elif isinstance(e, ElementwiseApplyFunction):
                free = {*self._variables[id(e.function.expr)]} - {*bound_variables(e)}
                free.update(self._variables[id(e.expr)])
            else:
                free = {v for p in self.of(e) for v in self._variables[id(p)]} - {*bound_variables(e)}
            self._variables[id(e)] = tuple(free)


def _check(e: Part) -> None:
    """Raises UnsupportedError for what no constructor of SymPy has made."""
    name = type(e).__name__
    if not isinstance(e, sympy.Basic):
        raise UnsupportedError(
            f"{name} is not a class of SymPy's", place(e), "give one expression of SymPy's own parts"
        )
    if not is_known(e):
        raise UnsupportedError(f"{name} is not supported", place(e), "write its formula out")
    if not is_well_formed(e):
        raise UnsupportedError(f"{name} does not have the arguments that it should have", place(e))


def bound_variables(e: Part) -> tuple[Part, ...]:
    """What a part binds: the indices of a sum or a product, the arguments of a function that gives elements."""
    if isinstance(e, sympy.Sum | sympy.Product):
        return tuple(limit[0] for limit in e.limits)
    if isinstance(e, sympy.FunctionMatrix):
        return tuple(e.lamda.variables)
    return tuple(e.function.variables) if isinstance(e, ElementwiseApplyFunction) else ()


def place(e: Part) -> Span:
    """Where an error is: the part itself, as SymPy prints it, if that is short."""
    text = printed(e)
    return Span(Source("<sympy>", text), 1, 1, len(text))


def printed(e: Part) -> str:
    """A part on one line; of a long one only what it is."""
    size, stack = 0, [e]
    while stack and size <= PRINTED:
        p = stack.pop()
        size += 1 + _digits(p) // 30
        stack += children(p)
    text = _text(e) if size <= PRINTED else ""
    return text if 0 < len(text) <= LONGEST else f"{type(e).__name__}(...)"


def _digits(e: Part) -> int:
    """About how many digits a number has."""
    if isinstance(e, sympy.Rational):
        return max(abs(int(e.p)), int(e.q)).bit_length() // 3
    if isinstance(e, sympy.Float):
        return int(max(e._prec, abs(e._mpf_[2])) // 3)
    return 0


def _text(e: Part) -> str:
    try:
        return " ".join(str(e).split())
    except Exception:  # what is put together by hand need not be printable
        return ""
