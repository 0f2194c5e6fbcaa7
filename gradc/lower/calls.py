"""Calls: which function a call means, and how its arguments are bound."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from gradc.errors import GradcError, ParseError, ShapeError, Span, UnsupportedError, did_you_mean
from gradc.lower.comprehensions import Comprehensions
from gradc.lower.functions import REDUCTIONS, Call
from gradc.ops import ALIASES, CALLABLE, COMPOSITES, OPS
from gradc.program import Value

MODULES = frozenset({"np", "numpy", "math", "linalg"})


class Calls(Comprehensions):
    """Lowers calls of functions by name."""

    def _call(self, tree: ast.Call) -> Value:
        name = self._function_name(tree.func)
        span = self.span(tree)
        if any(isinstance(a, ast.Starred) for a in tree.args) or any(k.arg is None for k in tree.keywords):
            raise UnsupportedError("* and ** in calls are not part of the language", span)
        keywords = {k.arg: k.value for k in tree.keywords if k.arg}
        if len(tree.args) == 1 and isinstance(tree.args[0], ast.GeneratorExp) and name in REDUCTIONS:
            return self.generator(name, tree.args[0], keywords, span)
        if name in ("abs", "round", "int", "float", "len") and name not in CALLABLE:
            return self._builtin(name, tree, span)
        if name in ("max", "min") and len(tree.args) > 1 and not self._has_module(tree.func):
            values = [self.visit(a) for a in tree.args]
            result = values[0]
            for v in values[1:]:
                result = self.arrays.elementwise({"max": "maximum", "min": "minimum"}[name], [result, v], span)
            return result
        if name in self.functions.table:
            return self._array_function(name, tree, keywords, span)
        if name in CALLABLE:
            bound = self._bound(name, OPS[name].params, DEFAULTS.get(name, {}), tree.args, keywords, span)
            return self.arrays.elementwise(name, list(bound.values()), span)
        if name in FORMULAS:
            params, defaults, body = FORMULAS[name]
            return self._formula(body, self._bound(name, params, defaults, tree.args, keywords, span), span)
        if name in LATER:
            raise UnsupportedError(f"'{name}' is not supported yet", self.span(tree.func))
        raise ParseError(
            f"unknown function '{name}'", self.span(tree.func), did_you_mean(name, ALL_FUNCTIONS | set(ALIASES))
        )

    def _has_module(self, func: ast.expr) -> bool:
        return isinstance(func, ast.Attribute)

    def _function_name(self, func: ast.expr) -> str:
        if isinstance(func, ast.Attribute):
            base: ast.expr = func.value
            while isinstance(base, ast.Attribute) and base.attr in MODULES:
                base = base.value
            if not (isinstance(base, ast.Name) and base.id in MODULES and base.id not in self.names):
                raise UnsupportedError(
                    f"attribute '.{func.attr}' cannot be called", self.span(func), f"write {func.attr}(...)"
                )
            return ALIASES.get(func.attr, func.attr)
        if not isinstance(func, ast.Name):
            raise UnsupportedError("only functions can be called, by their name", self.span(func))
        if func.id in self.names:
            raise ParseError(f"'{func.id}' is a value, not a function", self.span(func))
        return ALIASES.get(func.id, func.id)

    def is_function(self, name: str) -> bool:
        return ALIASES.get(name, name) in ALL_FUNCTIONS

    def _builtin(self, name: str, tree: ast.Call, span: Span) -> Value:
        if len(tree.args) != 1 or tree.keywords:
            raise ParseError(f"{name}() takes one argument", span)
        value = self.visit(tree.args[0])
        if name == "len":
            if not value.axes:
                raise ShapeError("len() of a number", span)
            return Value(self.build.length(value.shape[0]))
        if name == "int":
            raise UnsupportedError("int() of a computed number is not supported", span, "declare it as `index`")
        return Value(self.build.convert(value.node, "float"), value.axes)

    def _array_function(self, name: str, tree: ast.Call, keywords: dict[str, ast.expr], span: Span) -> Value:
        params, implementation = self.functions.table[name]
        axis, keepdims = keywords.pop("axis", None), keywords.pop("keepdims", None)
        args = list(tree.args)
        if len(args) == 2 and params == ("x",) and axis is None and self._takes_axis(name):
            axis = args.pop()
        if (axis or keepdims) and not self._takes_axis(name):
            raise ParseError(f"{name}() takes no axis", span)
        values = self._bound(name, params, {}, args, keywords, span)
        return implementation(Call(name, values, self._axis(axis), self._flag(keepdims), span))

    def _takes_axis(self, name: str) -> bool:
        return name in REDUCTIONS or name in ("cumsum", "softmax", "log_softmax")

    def _axis(self, tree: ast.expr | None) -> int | None:
        if tree is None or (isinstance(tree, ast.Constant) and tree.value is None):
            return None
        node = self.scalar(tree, "axis")
        if node.op != "const" or node.type != "int":
            raise ParseError("axis must be an integer", self.span(tree))
        return int(node.value)

    def _flag(self, tree: ast.expr | None) -> bool:
        if tree is None:
            return False
        if not (isinstance(tree, ast.Constant) and isinstance(tree.value, bool)):
            raise ParseError("keepdims must be True or False", self.span(tree))
        return tree.value

    def _bound(
        self,
        name: str,
        params: Sequence[str],
        defaults: Mapping[str, float],
        args: Sequence[ast.expr],
        keywords: Mapping[str, ast.expr],
        span: Span,
    ) -> dict[str, Value]:
        """The arguments of a call by parameter name, as Python binds them."""
        takes = f"{name}({', '.join(params)})"
        if len(args) > len(params):
            raise ParseError(f"{name}() takes {len(params)} arguments, {len(args)} given", span, takes)
        given = dict(zip(params, args, strict=False))
        for key, tree in keywords.items():
            if key in given or key not in params:
                problem = "given twice" if key in given else "unknown"
                raise ParseError(f"{name}(): argument '{key}' {problem}", span, did_you_mean(key, params) or takes)
            given[key] = tree
        missing = [p for p in params if p not in given and p not in defaults]
        if missing:
            raise ParseError(f"{name}() needs '{missing[0]}'", span, takes)
        return {p: self.visit(given[p]) if p in given else Value(self.build.const(defaults[p])) for p in params}

    def _formula(self, body: ast.expr, values: dict[str, Value], span: Span) -> Value:
        outer, self.names = self.names, values
        try:
            return self.visit(body)
        except GradcError as error:
            raise type(error)(error.message, span, error.hint) from None
        finally:
            self.names = outer


def _formulas() -> dict[str, tuple[tuple[str, ...], dict[str, float], ast.expr]]:
    table = {}
    for head, body in COMPOSITES.items():
        call = ast.parse(f"def {head}: pass").body[0]
        assert isinstance(call, ast.FunctionDef)
        params = tuple(a.arg for a in call.args.args)
        values = [
            float(d.value) for d in call.args.defaults if isinstance(d, ast.Constant) and isinstance(d.value, float)
        ]
        defaults = dict(zip(params[len(params) - len(values) :], values, strict=True))
        table[call.name] = (params, defaults, ast.parse(body, mode="eval").body)
    return table


LATER = frozenset(
    {"trace", "diag", "einsum", "tril", "triu", "zeros", "ones", "full"}
    | {"eye", "arange", "linspace", "concatenate", "stack", "reshape", "ravel", "one_hot", "grad"}
)
"""Functions the language will have."""
FORMULAS = _formulas()
DEFAULTS: dict[str, dict[str, float]] = {"leaky_relu": {"slope": 0.01}, "elu": {"alpha": 1.0}}
ARRAY_FUNCTIONS = frozenset(
    {"cumsum", "softmax", "log_softmax", "cross_entropy", "cross_entropy_with_logits"}
    | {"dot", "matmul", "outer", "transpose", "where", "stop_gradient"}
    | {"solve", "inv", "det", "logdet", "cholesky"}
)
ALL_FUNCTIONS = frozenset({*CALLABLE, *FORMULAS, *REDUCTIONS, *ARRAY_FUNCTIONS, "len", "float"})
