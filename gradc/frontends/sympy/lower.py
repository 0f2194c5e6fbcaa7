"""SymPy expressions to graph values. Each part is a generator that asks for what it needs; one loop runs them all."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial, reduce

import sympy
from msgspec import Struct, field
from sympy.functions import factorial, gamma
from sympy.matrices.expressions import Determinant, Inverse, MatMul, Trace
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.matrices.expressions.slice import MatrixSlice

from gradc.errors import GradcError, ShapeError, UnsupportedError
from gradc.extents import ONE, Index, Poly
from gradc.frontends.sympy import logarithms, scalars
from gradc.frontends.sympy.forms import Part
from gradc.frontends.sympy.integers import Integers, Leaf, Scope, elements
from gradc.frontends.sympy.matrices import Matrices
from gradc.frontends.sympy.names import shown
from gradc.frontends.sympy.walk import Parts, place, printed
from gradc.ir import Node
from gradc.lower.arrays import Arrays
from gradc.lower.subscripts import subscript
from gradc.program import Value

Wanted = Sequence[tuple[Part, Scope]]
Steps = Generator[Wanted, list[Value], Value]
Key = tuple[object, ...]


class Task(Struct):
    """A part that is being lowered, and the keys of what it waits for."""

    part: Part
    scope: Scope
    key: Key
    steps: Steps | None = None
    asked: list[Key] = field(default_factory=list)


class Lowering:
    """Lowers the parts of one expression, each once for each meaning of the index variables in it."""

    def __init__(self, parts: Parts, integers: Integers, inputs: Mapping[str, Value], root: Part) -> None:
        self.parts, self.integers, self.inputs = parts, integers, inputs
        self.build, self.names = integers.build, integers.names
        self.arrays = Arrays(self.build)
        self.span = place(root)
        self.matrices = Matrices(self.arrays, self._length, self.span)
        self.done: dict[Key, Value] = {}
        self.rules: dict[type, Callable[[Part, Scope], Steps]] = {
            sympy.Symbol: self._symbol,
            sympy.Idx: self._symbol,
            sympy.IndexedBase: self._whole_array,
            sympy.MatrixSymbol: self._matrix,
            sympy.Indexed: self._element,
            MatrixElement: self._matrix_element,
            sympy.Sum: self._reduction,
            sympy.Product: self._reduction,
            ElementwiseApplyFunction: self._applied,
            sympy.FunctionMatrix: self._entries,
            MatrixSlice: self._slice,
            **{kind: partial(self._scalar, rule) for kind, rule in scalars.RULES.items()},
            **{kind: partial(self._whole, rule) for kind, rule in self.matrices.rules.items()},
            sympy.log: self._log,
            MatMul: self._product,
            Trace: self._trace,
        }

    def value(self, root: Part) -> Value:
        """The value of the expression. Raises GradcError at the part that cannot be lowered."""
        first = Task(root, Scope(), self._key(root, Scope()))
        stack = [first]
        while stack:
            task = stack[-1]
            if task.key in self.done:
                stack.pop()
                continue
            try:
                wanted = self._advance(task)
            except StopIteration as finished:
                self.done[task.key] = finished.value
                stack.pop()
            except GradcError as error:
                if error.span not in (None, self.span):
                    raise
                raise type(error)(error.message, place(task.part), error.hint) from None
            else:
                task.asked = [self._key(*w) for w in wanted]
                missing = (Task(*w, k) for w, k in zip(wanted, task.asked, strict=True) if k not in self.done)
                stack += reversed([*missing])
        return self.done[first.key]

    def _advance(self, task: Task) -> Wanted:
        """Goes on with a part: what it asks for next. Raises StopIteration, with its value, at the end."""
        self.arrays.reserved[:] = task.scope.loops
        if task.steps is None:
            task.steps = self._rule(task.part)(task.part, task.scope)
            return next(task.steps)
        return task.steps.send([self.arrays.clear_of_loops(self.done[k]) for k in task.asked])

    def _key(self, e: Part, scope: Scope) -> Key:
        return (id(e), *(scope.variables.get(v) for v in self.parts.variables(e)))

    def _rule(self, e: Part) -> Callable[[Part, Scope], Steps]:
        for kind in type(e).__mro__:
            if kind in self.rules:
                return self.rules[kind]
        name = type(e).__name__
        if isinstance(e, sympy.core.function.AppliedUndef):
            raise UnsupportedError(f"{shown(name)} is a function without a definition", hint="write its formula out")
        if e is sympy.zoo:
            raise UnsupportedError("a division by zero, or log(0), that SymPy has worked out", hint="it is infinite")
        if e is sympy.I:
            raise UnsupportedError("complex numbers are not supported", hint="real symbols have fewer of them")
        raise UnsupportedError(f"{name} is not supported", hint=scalars.HINTS.get(name))

    def _all(self, e: Part, scope: Scope) -> Wanted:
        return [(p, scope) for p in self.parts.of(e)]

    # functions of numbers, functions of matrices

    def _scalar(self, rule: scalars.Rule, e: Part, scope: Scope) -> Steps:
        values = yield self._all(e, scope)
        return Value(rule(self.build, e, [_number(v, e) for v in values]))

    def _whole(self, rule: Callable[[Part, Sequence[Value]], Value], e: Part, scope: Scope) -> Steps:
        values = yield self._all(e, scope)
        return rule(e, values)

    def _log(self, e: Part, scope: Scope) -> Steps:
        """Of what overflows the logarithm is computed itself."""
        (x,) = self.parts.of(e)
        if isinstance(x, gamma | factorial):
            (argument,) = yield self._all(x, scope)
            n = _number(argument, x)
            if isinstance(x, factorial):
                n = scalars.real(self.build, "add", n, self.build.const(1.0))
            return Value(scalars.log_gamma(self.build, n))
        terms = logarithms.terms(x)
        if terms is not None:
            return (yield from self._sum_of_logarithms(e, terms, scope))
        (value,) = yield [(x, scope)]
        return Value(scalars.real(self.build, "log", _number(value, e)))

    def _sum_of_logarithms(self, e: Part, terms: Sequence[logarithms.Term], scope: Scope) -> Steps:
        total: Node | None = None
        for base, exponents in terms:
            inner = base.args[0] if isinstance(base, Determinant | sympy.exp) else base
            value, *factors = yield [(p, scope) for p in (inner, *exponents)]
            if isinstance(base, Determinant):
                value = self.matrices.algebra.determinant("logdet", value, self.span)
            elif not isinstance(base, sympy.exp):
                value = Value(scalars.real(self.build, "log", value.node))
            nodes = [_number(f, e) for f in (value, *factors)]
            term = reduce(lambda a, b: scalars.real(self.build, "mul", b, a), nodes)
            total = term if total is None else scalars.real(self.build, "add", total, term)
        assert total is not None
        return Value(total)

    def _product(self, e: Part, scope: Scope) -> Steps:
        values = yield [(p.arg if isinstance(p, Inverse) else p, scope) for p in self.parts.of(e)]
        return self.matrices.product(e, values)

    def _trace(self, e: Part, scope: Scope) -> Steps:
        (x,) = self.parts.of(e)
        if isinstance(x, MatMul) and all(p.is_Matrix and not isinstance(p, Inverse) for p in self.parts.of(x)):
            *factors, last = yield self._all(x, scope)
            return self.matrices.trace_of_product(self.matrices.chain([(f, False) for f in factors]), last)
        values = yield [(x, scope)]
        return self.matrices.trace(e, values)

    def _applied(self, e: Part, scope: Scope) -> Steps:
        """A function of one number, of each element of a matrix."""
        (matrix,) = yield [(e.expr, scope)]
        (argument,) = e.function.variables
        axes = tuple(a for a in matrix.axes if a is not None)
        inner = Scope({**scope.variables, argument: matrix.node}, (*scope.loops, *axes))
        (element,) = yield [(e.function.expr, inner)]
        return Value(_number(element, e), matrix.axes)

    def _entries(self, e: Part, scope: Scope) -> Steps:
        """A matrix by the formula of its entries."""
        axes, inner = self.integers.entries(e, scope, self._free)
        (entry,) = yield [(e.lamda.expr, inner)]
        return Value(_number(entry, e), axes)

    def _slice(self, e: Part, scope: Scope) -> Steps:
        """Some rows and columns of a matrix, as many as SymPy says there are."""
        (matrix,) = yield [(e.parent, scope)]
        leaf = yield from self._elements(self.parts.of(e)[1:], scope)
        axes: list[Index | None] = []
        at: dict[Index, Node] = {}
        for axis, length, (start, _, step) in zip(matrix.axes, e.shape, (e.rowslice, e.colslice), strict=True):
            extent = self.integers.poly(length, scope, leaf)
            axes.append(None if extent == ONE else self.arrays.fresh(extent, [*axes, *matrix.axes]))
            first, turn = self.integers.node(start, scope, leaf), axes[-1]
            if axis is not None and turn is not None:
                steps = self.build.op("mul", self.integers.node(step, scope, leaf), self.build.index(turn))
                at[axis] = self.build.op("add", first, steps)
            elif axis is not None:
                at[axis] = first
        return Value(self.build.read(matrix.node, list(at), list(at.values())), tuple(axes))

    # inputs and their elements

    def _symbol(self, e: Part, scope: Scope) -> Steps:
        yield []
        return Value(scope.variables[e] if e in scope.variables else self._free(e))

    def _length(self, e: Part) -> Poly:
        return self.integers.poly(e, Scope(), self._free)

    def _free(self, e: Part) -> Node:
        """A symbol that no sum binds."""
        if isinstance(e, sympy.Idx):
            raise UnsupportedError(f"index {printed(e)} is not summed over", hint="write Sum(..., (i, 0, n - 1))")
        return self.inputs[self.names.of(e)].node

    def _whole_array(self, e: Part, scope: Scope) -> Steps:
        yield []
        raise UnsupportedError("an array is used as a number", hint="subscript it: x[i]")

    def _matrix(self, e: Part, scope: Scope) -> Steps:
        yield []
        return self.inputs[self.names.of(e)]

    def _element(self, e: Part, scope: Scope) -> Steps:
        array = self.inputs[self.names.of(e.base)]
        items = yield from self._subscripts(e.indices, scope)
        return subscript(self.arrays, array, items, self.span)

    def _matrix_element(self, e: Part, scope: Scope) -> Steps:
        matrix, *subscripts = self.parts.of(e)
        items = yield from self._subscripts(subscripts, scope)
        (value,) = yield [(matrix, scope)]
        return subscript(self.arrays, value, items, self.span)

    def _subscripts(self, subscripts: Sequence[Part], scope: Scope) -> Generator[Wanted, list[Value], list[Value]]:
        leaf = yield from self._elements(subscripts, scope)
        return [Value(self.integers.node(s, scope, leaf)) for s in subscripts]

    def _elements(self, integers: Sequence[Part], scope: Scope) -> Generator[Wanted, list[Value], Leaf]:
        """What the symbols and the elements of arrays in integer expressions are."""
        inner = elements(integers)
        values = yield [(p, scope) for p in inner]
        known = {id(p): v.node for p, v in zip(inner, values, strict=True)}
        return lambda p: known[id(p)] if id(p) in known else self._free(p)

    # index notation

    def _reduction(self, e: Part, scope: Scope) -> Steps:
        indices = []
        for limit in reversed(e.limits):
            leaf = yield from self._elements(limit[1:], scope)
            index, scope = self.integers.opened(e, limit, scope, leaf)
            indices += [index] if index is not None else []
        (element,) = yield [(e.function, scope)]
        node = self.build.convert(element.node, "float")
        kind = "sum" if isinstance(e, sympy.Sum) else "prod"
        return Value(self.build.reduce(kind, indices, node), element.axes)


def _number(value: Value, e: Part) -> Node:
    if value.axes:
        hint = "use A.applyfunc(f) for each element, or one of them: A[0, 0]"
        raise ShapeError(f"{type(e).__name__} takes numbers, not matrices", hint=hint)
    return value.node
