"""`def` helpers, written out where they are called, and their derivatives: `grad(f, k=0)`."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from msgspec import Struct

from gradc.autodiff.guards import protect
from gradc.autodiff.reverse import reverse
from gradc.build import Builder
from gradc.errors import ParseError, ShapeError, Source, Span, UnsupportedError, did_you_mean
from gradc.ir import Node, reachable
from gradc.lower.expressions import Expressions
from gradc.program import Provenance, Value
from gradc.rewrite import rebuild, stabilise

MOST_CALLS = 10_000
"""Helpers are written out at most this often: calls of calls could otherwise grow without end."""
MOST_NODES = 2000
"""Derivatives of derivatives of more operations are refused: each order has several times as many as the one before."""


class Scope(Struct, frozen=True, eq=False):
    """A text, and what its names mean outside of helpers: values, functions, and what is neither, by its type."""

    source: Source
    names: dict[str, Value]
    helpers: dict[str, Function]
    foreign: dict[str, str]


class Helper(Struct, frozen=True, eq=False):
    """A function of the user's: its syntax tree, the values of its defaults, the scope it sees."""

    tree: ast.FunctionDef
    defaults: tuple[Value, ...]
    scope: Scope

    @property
    def params(self) -> tuple[str, ...]:
        return tuple(a.arg for a in self.tree.args.args)


class Derivative(Struct, frozen=True):
    """The gradient of a function with a scalar result by its argument number `by`."""

    of: Function
    by: int


Function = Helper | Derivative


class Helpers(Expressions):
    """Lowers calls of helpers. A name in scope is either a value's or a helper's."""

    def __init__(self, build: Builder, source: Source, dims: frozenset[str] = frozenset()) -> None:
        super().__init__(build, source, dims)
        self.scope = Scope(source, self.names, {}, {})
        self.active: list[Helper] = []
        self.calls = 0
        self.order = 0  # of the derivatives in what is being lowered, of one another
        self._known: dict[object, tuple[Value, int]] = {}
        self._unassigned: dict[str, tuple[str, Span]] = {}
        self._before: list[dict[str, Value | None]] = []

    @property
    def helpers(self) -> dict[str, Function]:
        return self.scope.helpers

    @property
    def inside_helper(self) -> bool:
        return bool(self.active)

    @property
    def inside_arm(self) -> bool:
        return bool(self._before)

    def is_defined(self, name: str) -> bool:
        return name in self.names or (not self.in_formula and (name in self.helpers or name in self.scope.foreign))

    def run_helper(self, tree: ast.FunctionDef) -> Value:
        """What the body of a helper returns, its arguments being bound. Raises GradcError."""
        raise NotImplementedError

    # scope

    def bind(self, name: str, value: Value) -> None:
        """Assigns a name."""
        if self._before:
            self._before[-1].setdefault(name, self.names.get(name))
        if not self.active:
            self.helpers.pop(name, None)
            self._known.clear()
        self._unassigned.pop(name, None)
        self.names[name] = value

    def unassign(self, name: str, why: str, span: Span) -> None:
        """From here on the name means nothing, because `why`."""
        self.names.pop(name, None)
        self._unassigned[name] = (why, span)

    @contextmanager
    def arm(self) -> Iterator[dict[str, Value | None]]:
        """An arm of an `if`: gives what the names it assigns were before, and makes them that again."""
        before: dict[str, Value | None] = {}
        self._before.append(before)
        try:
            yield before
        finally:
            self._before.pop()
            for name, value in before.items():
                if value is None:
                    self.names.pop(name, None)
                else:
                    self.names[name] = value

    def _name(self, tree: ast.Name) -> Value:
        if tree.id not in self.names:
            if tree.id in self._unassigned:
                why, span = self._unassigned[tree.id]
                raise ParseError(f"{why} (line {span.line})", self.span(tree), "assign it before, or in both arms")
            if tree.id in self.helpers:
                raise ParseError(f"'{tree.id}' is a function", self.span(tree), "call it")
            if self._is_foreign(tree.id):
                raise self._from_outside(tree)
        return super()._name(tree)

    def _is_foreign(self, name: str) -> bool:
        """Whether a name that is not assigned here means something in Python alone."""
        inside = name in self.names or name in self.dims or self.in_formula
        return not inside and name in self.scope.foreign

    def _from_outside(self, tree: ast.Name, called: bool = False) -> UnsupportedError:
        """What to say of a name that means something in Python, and nothing here."""
        what = self.scope.foreign[tree.id]
        if what == "module":
            message = f"'{tree.id}' is a module that is not part of the language"
            return UnsupportedError(message, self.span(tree), "np, math and scipy.special are: np.exp(x)")
        hint = f"make it an argument: {tree.id}: gradc.data[...]"
        if what == "Function":
            hint = "a helper is a plain function: compile the function that calls it, and leave this one as it is"
        elif called:
            hint = "functions written with def can be called, and those of np, math and scipy.special"
        return UnsupportedError(f"'{tree.id}' is a value of type {what} from outside", self.span(tree), hint)

    # helpers

    def define(self, tree: ast.FunctionDef) -> None:
        """Makes a helper known by its name."""
        self.names.pop(tree.name, None)
        self.helpers[tree.name] = self.helper(tree)
        self._known.clear()

    def helper(self, tree: ast.FunctionDef) -> Helper:
        """A helper in the scope that is open. Raises UnsupportedError for parameters that are not plain."""
        self.check_name(tree.name, tree)
        args = tree.args
        if args.vararg or args.kwarg or args.kwonlyargs or args.posonlyargs:
            raise UnsupportedError("a helper has plain parameters", self.span(tree), "write: def f(x, y=1.0)")
        if tree.decorator_list:
            raise UnsupportedError(
                "decorators are not part of the language", self.span(tree.decorator_list[0]), "leave it out"
            )
        for k, a in enumerate(args.args):
            self.check_name(a.arg, a)
            if any(a.arg == other.arg for other in args.args[:k]):
                raise ParseError(f"two parameters are called '{a.arg}'", self.span(a))
        return Helper(tree, tuple(self.lower(d) for d in args.defaults), self.scope)

    @contextmanager
    def within(self, scope: Scope) -> Iterator[None]:
        """Opens a scope for a while."""
        outer = self.names, self.source, self.scope
        self.names, self.source, self.scope = scope.names, scope.source, scope
        try:
            yield
        finally:
            self.names, self.source, self.scope = outer

    def alias(self, name: str, tree: ast.expr) -> bool:
        """`g = grad(f)` gives a derivative a name; whether the statement is one of these."""
        derivative = self._function(tree) if isinstance(tree, ast.Call) else None
        if derivative is None:
            return False
        if self.inside_helper or self.inside_arm:
            raise UnsupportedError("a function is not a value", self.span(tree), "call it here: grad(f)(x)")
        self.names.pop(name, None)
        self.helpers[name] = derivative
        self._known.clear()
        return True

    def _call(self, tree: ast.Call) -> Value:
        function = self._function(tree.func)
        if function is None:
            if self._function(tree) is not None:
                raise ParseError("a derivative is a function", self.span(tree), "call it: grad(f)(x)")
            if isinstance(tree.func, ast.Name) and self._is_foreign(tree.func.id):
                raise self._from_outside(tree.func, called=True)
            return super()._call(tree)
        span = self.span(tree)
        if any(isinstance(a, ast.Starred) for a in tree.args) or any(k.arg is None for k in tree.keywords):
            raise UnsupportedError("* and ** in calls are not part of the language", span, "write the arguments out")
        return self._applied(function, self._bound_values(_helper(function), tree, span), span)

    def _function(self, tree: ast.expr) -> Function | None:
        """The function of the user's that an expression stands for, if it does."""
        if self.in_formula:
            return None
        if isinstance(tree, ast.Name):
            return self.helpers.get(tree.id)
        if not (isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id == "grad"):
            return None
        if self.is_defined("grad"):
            return None
        keywords = {k.arg: k.value for k in tree.keywords}
        by = keywords.pop("k", None)
        args = list(tree.args)
        if len(args) == 2 and by is None:
            by = args.pop()
        function = self._function(args[0]) if len(args) == 1 and not keywords else None
        if function is None:
            raise ParseError("grad() takes a helper", self.span(tree), "write: grad(f)(x), or grad(f, k=1)(x, y)")
        position = 0 if by is None else by.value if isinstance(by, ast.Constant) else None
        params = _helper(function).params
        if type(position) is not int or not 0 <= position < len(params):
            hint = f"{_helper(function).tree.name} takes {', '.join(params) or 'nothing'}"
            raise ParseError("k must be the position of an argument, from 0", self.span(tree), hint)
        return Derivative(function, position)

    def _bound_values(self, helper: Helper, call: ast.Call, span: Span) -> tuple[Value, ...]:
        """The arguments in the order of the parameters, as Python binds them."""
        name, params = helper.tree.name, helper.params
        takes = f"{name}({', '.join(params)})"
        if len(call.args) > len(params):
            raise ParseError(f"{name}() takes {len(params)} arguments, {len(call.args)} given", span, takes)
        given = dict(zip(params, call.args, strict=False))
        for k in call.keywords:
            assert k.arg is not None
            if k.arg in given or k.arg not in params:
                problem = "given twice" if k.arg in given else "unknown"
                hint = did_you_mean(k.arg, params) or takes
                raise ParseError(f"{name}(): argument '{k.arg}' {problem}", span, hint)
            given[k.arg] = k.value
        defaults = dict(zip(params[len(params) - len(helper.defaults) :], helper.defaults, strict=True))
        missing = [p for p in params if p not in given and p not in defaults]
        if missing:
            raise ParseError(f"{name}() needs '{missing[0]}'", span, takes)
        return tuple(self.visit(given[p]) if p in given else defaults[p] for p in params)

    def _applied(self, function: Function, values: Sequence[Value], span: Span) -> Value:
        if isinstance(function, Derivative):
            return self._derivative(function, values, span)
        key = (function, tuple(values), tuple(self.arrays.reserved))
        if key not in self._known:
            outer, self.order = self.order, 0
            self._known[key] = self._inlined(function, values, span), self.order
            self.order = outer
        value, order = self._known[key]
        self.order = max(self.order, order)
        return value

    def _inlined(self, helper: Helper, values: Sequence[Value], span: Span) -> Value:
        name = helper.tree.name
        if helper in self.active:
            raise UnsupportedError(f"'{name}' calls itself", span, "recursion is not part of the language")
        self.calls += 1
        if self.calls > MOST_CALLS:
            raise UnsupportedError(f"helpers are called more than {MOST_CALLS} times", span)
        outer = self.names, self.source, self.scope, self._before
        own = _assigned(helper.tree)
        self.scope = helper.scope
        self.names = {n: v for n, v in self.scope.names.items() if n not in own}
        self.names.update(zip(helper.params, values, strict=True))
        self.source, self._before = self.scope.source, []
        self.active.append(helper)
        try:
            return self.run_helper(helper.tree)
        finally:
            self.active.pop()
            self.names, self.source, self.scope, self._before = outer

    # derivatives

    def _derivative(self, function: Derivative, values: Sequence[Value], span: Span) -> Value:
        """The gradient: of the function of a stand-in for the argument, which the argument then takes the place of.

        The stand-in varies along the loops around the call, each turn of which differentiates for itself.
        """
        build, at = self.build, values[function.by]
        around = tuple(i for i in self.arrays.reserved if i not in at.axes)
        at = Value(build.convert(at.node, "float"), at.axes)
        self.calls += 1
        name = f"argument {self.calls} of {_helper(function).tree.name}"
        axes = (*(a for a in at.axes if a is not None), *around)
        stand_in = build.input(name, axes, "float")
        given = list(values)
        given[function.by] = Value(stand_in, at.axes)
        outer, self.order = self.order, 0
        result = self._applied(function.of, given, span)
        if result.axes:
            hint = f"{_helper(function).tree.name} has a result of {len(result.axes)} axes: sum it"
            raise ShapeError("grad() takes a function whose result is a number", span, hint)
        self.order += 1
        if self.order > 2 and len(reachable([result.node])) > MOST_NODES:
            message = f"a derivative of order {self.order - 1} has more than {MOST_NODES} operations"
            raise UnsupportedError(message, span, "differentiate simpler functions, or less often")
        aside = Provenance()
        root = protect(build, aside, stabilise(build, aside, build.convert(result.node, "float")))
        slope = self.arrays.renamed(reverse(build, aside, root, {name: stand_in})[name], axes)

        def rule(build: Builder, op: str, args: tuple[Node, ...], old: Node) -> tuple[Node, str] | None:
            return (at.node, "") if old is stand_in else None

        self.order = max(outer, self.order)
        return Value(rebuild(build, aside, [slope], ("input",), rule)[slope], at.axes)


def _helper(function: Function) -> Helper:
    while isinstance(function, Derivative):
        function = function.of
    return function


def _assigned(tree: ast.FunctionDef) -> set[str]:
    """The names a helper assigns, which are its own all through it."""
    return {n.id for s in tree.body for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
