"""Calls: which function a call means, and how its arguments are bound."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from gradc.bounds import integer_poly
from gradc.errors import GradcError, ParseError, ShapeError, Span, UnsupportedError, did_you_mean
from gradc.extents import Poly
from gradc.ir import Node
from gradc.lower.comprehensions import Comprehensions
from gradc.lower.functions import REDUCTIONS, TABLE_NAMES
from gradc.lower.outside import METHODS, function_hint
from gradc.lower.signatures import FIRST_NAMES, KINDS, NUMPY_NAMES, Call, Row, Signature, signature
from gradc.ops import ALIASES, CALLABLE, COMPOSITES, OPS
from gradc.program import Value

MODULES = frozenset({"np", "numpy", "math", "linalg", "scipy", "special"})
DEFINE = "define it: def f(x): return ..."


class Calls(Comprehensions):
    """Lowers calls of functions by name."""

    def _call(self, tree: ast.Call) -> Value:
        name, module = self._function_name(tree)
        span = self.span(tree)
        if any(isinstance(a, ast.Starred) for a in tree.args) or any(k.arg is None for k in tree.keywords):
            raise UnsupportedError("* and ** in calls are not part of the language", span, "write the arguments out")
        if len(tree.args) == 1 and isinstance(tree.args[0], ast.GeneratorExp) and name in REDUCTIONS:
            keywords = {k.arg: k.value for k in tree.keywords if k.arg}
            return self.generator(name, tree.args[0], keywords, span)
        if name in ("max", "min") and len(tree.args) > 1 and not module:
            return self._extreme_of_several(name, tree, span)
        text, implementation = self._row(name, module, tree.func)
        return implementation(self._bound(name, signature(text), tree, module == "np"))

    def _row(self, name: str, module: str, func: ast.expr) -> Row:
        """The function of this name: the module's own, one of the table, a scalar function, or a formula."""
        special = self.functions.special.get((module, name))
        if special is not None or name in self.functions.table:
            return special or self.functions.table[name]
        if name in CALLABLE:
            defaults = DEFAULTS.get(name, {})
            params = (f"{p}={defaults[p]}" if p in defaults else p for p in OPS[name].params)
            return ", ".join(params), lambda c: self.arrays.elementwise(name, list(c.values.values()), c.span)
        if name in FORMULAS:
            params_text, body = FORMULAS[name]
            return params_text, lambda c: self._formula(body, c.values, c.span)
        elsewhere = function_hint(name)
        if elsewhere:
            raise UnsupportedError(f"'{name}' is not part of the language", self.span(func), elsewhere)
        known = ALL_FUNCTIONS | set(ALIASES)
        raise ParseError(f"unknown function '{name}'", self.span(func), did_you_mean(name, known) or DEFINE)

    def _function_name(self, tree: ast.Call) -> tuple[str, str]:
        """The name of what is called, and the module before it: "np", "math" or none."""
        func = tree.func
        if isinstance(func, ast.Attribute):
            if not self.is_module(func.value):
                if isinstance(func.value, ast.Name) and func.value.id not in MODULES:
                    self.visit(func.value)
                hint = METHODS.get(func.attr) or function_hint(func.attr)
                if self.is_function(func.attr):
                    hint = f"write {func.attr}({_brief(func.value)}{', ...' if tree.args or tree.keywords else ''})"
                raise UnsupportedError(f"attribute '.{func.attr}' cannot be called", self.span(func), hint)
            math = isinstance(func.value, ast.Name) and func.value.id == "math"
            return ALIASES.get(func.attr, func.attr), "math" if math else "np"
        if not isinstance(func, ast.Name):
            raise UnsupportedError("only functions can be called, by their name", self.span(func))
        if func.id in self.names:
            hint = "the name has been taken; give the value another" if self.is_function(func.id) else "* multiplies"
            raise ParseError(f"'{func.id}' is a value, not a function", self.span(func), hint)
        return ALIASES.get(func.id, func.id), ""

    def is_function(self, name: str) -> bool:
        return ALIASES.get(name, name) in ALL_FUNCTIONS

    def is_module(self, tree: ast.expr) -> bool:
        """Whether an expression stands for a library, as before the last dot of `np.linalg.solve`."""
        while isinstance(tree, ast.Attribute) and tree.attr in MODULES:
            tree = tree.value
        return isinstance(tree, ast.Name) and tree.id in MODULES and not self.is_defined(tree.id)

    def _extreme_of_several(self, name: str, tree: ast.Call, span: Span) -> Value:
        """Python's max and min of several arguments, element by element."""
        if tree.keywords:
            raise ParseError(
                f"{name}() of several values takes no '{tree.keywords[0].arg}'", span, f"write np.{name}(x, axis)"
            )
        result, *others = (self.visit(a) for a in tree.args)
        for v in others:
            result = self.arrays.elementwise({"max": "maximum", "min": "minimum"}[name], [result, v], span)
        return result

    # arguments

    def _bound(self, name: str, sign: Signature, tree: ast.Call, numpy: bool) -> Call:
        """The arguments of a call by parameter name, as Python binds them."""
        span, takes = self.span(tree), f"{name}({sign.text})"
        own, rest = tree.args[: sign.positional], tree.args[sign.positional :]
        if rest and sign.rest is None:
            raise ParseError(f"{name}() takes {sign.positional} arguments, {len(tree.args)} given", span, takes)
        given: dict[str, ast.expr] = dict(zip(sign.params, own, strict=False))
        for keyword in tree.keywords:
            assert keyword.arg is not None
            key = self._parameter(keyword.arg, sign, numpy)
            if key in given or key not in sign.params:
                problem = "given twice" if key in given else "unknown"
                raise ParseError(f"{name}(): argument '{key}' {problem}", span, did_you_mean(key, sign.params) or takes)
            given[key] = keyword.value
        missing = [p for p in sign.params if p not in given and p not in sign.defaults]
        if missing:
            raise ParseError(f"{name}() needs '{missing[0]}'", span, takes)
        values: dict[str, Value] = {}
        settings: dict[str, Any] = {}
        for p in sign.params:
            argument = given.get(p) or sign.defaults[p]
            left_out = _is_none(argument) and (KINDS.get(p) == "axis" or _is_none(sign.defaults.get(p)))
            if p in KINDS:
                settings[p] = None if left_out else self._setting(p, argument, takes)
            elif not left_out:
                values[p] = self.argument(argument)
        return Call(name, span, values, settings, tuple(self.argument(a) for a in rest))

    def _parameter(self, key: str, sign: Signature, numpy: bool) -> str:
        if key not in sign.params and numpy:
            if key in FIRST_NAMES:
                return sign.params[0]
            return NUMPY_NAMES.get(key, key)
        return key

    def argument(self, tree: ast.expr) -> Value:
        """A value; a tuple is a list here, as NumPy has it."""
        if isinstance(tree, ast.Tuple):
            tree = ast.copy_location(ast.List(tree.elts, ast.Load()), tree)
        return self.visit(tree)

    def _setting(self, name: str, tree: ast.expr, takes: str) -> Any:
        """What a parameter says that is no value."""
        kind = KINDS[name]
        if kind == "flag":
            if not (isinstance(tree, ast.Constant) and isinstance(tree.value, bool)):
                raise ParseError(f"{name} must be True or False", self.span(tree))
            return tree.value
        if kind == "text":
            if not (isinstance(tree, ast.Constant) and isinstance(tree.value, str)):
                raise ParseError(f"{name} must be a text in quotes", self.span(tree), "einsum('ij,j->i', A, x)")
            return tree.value
        if kind == "sequence":
            elements = tree.elts if isinstance(tree, ast.List | ast.Tuple) else None
            return self.visit(tree) if elements is None else [self.argument(e) for e in elements]
        if kind == "shape":
            return self._shape(tree)
        if kind == "order" and isinstance(tree, ast.Constant) and tree.value == "fro":
            return "fro"
        if kind == "order of axes" and not isinstance(tree, ast.Tuple | ast.List):
            raise ParseError(f"{name} must be a tuple of integers", self.span(tree), "transpose(x, (0, 2, 1))")
        if kind in ("axis", "order of axes") and isinstance(tree, ast.Tuple | ast.List):
            return tuple(self._number(name, e, takes) for e in tree.elts)
        if kind == "length":
            return self._length(tree)
        return self._number(name, tree, takes)

    def _number(self, name: str, tree: ast.expr, takes: str) -> float:
        value = self.visit(tree)
        wanted = ("int", "float") if KINDS[name] == "order" else ("int",)
        if value.axes or value.node.op != "const" or value.node.type not in wanted:
            kind = "a number" if "float" in wanted else "an integer"
            raise ParseError(f"{name} must be {kind} that stands in the text", self.span(tree), takes)
        return value.node.value

    def _shape(self, tree: ast.expr) -> tuple[Poly, ...]:
        if isinstance(tree, ast.Attribute) and tree.attr == "shape":
            return self.visit(tree.value).shape
        if isinstance(tree, ast.Tuple | ast.List):
            return tuple(self._length(e) for e in tree.elts)
        return (self._length(tree),)

    def _length(self, tree: ast.expr) -> Poly:
        node: Node = self.scalar(tree, "a length")
        poly = integer_poly(node)
        if poly is None or poly.entries:
            hint = "write an integer" if node.type == "float" else None
            raise ShapeError("a length is made of numbers and dims", self.span(tree), hint)
        return poly

    def _formula(self, body: ast.expr, values: dict[str, Value], span: Span) -> Value:
        """A formula of gradc's own: its names are its parameters, and no function in it is the user's."""
        outer, self.names = self.names, values
        nested, self.in_formula = self.in_formula, True
        try:
            return self.visit(body)
        except GradcError as error:
            raise type(error)(error.message, span, error.hint) from None
        finally:
            self.names, self.in_formula = outer, nested


def _is_none(tree: ast.expr | None) -> bool:
    return isinstance(tree, ast.Constant) and tree.value is None


def _brief(tree: ast.AST) -> str:
    """The text of an expression; dots for a long one."""
    text = ast.unparse(tree)
    return text if len(text) <= LONGEST_HINT else "..."


def _formulas(composites: Mapping[str, str]) -> dict[str, tuple[str, ast.expr]]:
    """Parameters and body by name."""
    table = {}
    for head, body in composites.items():
        name, _, params = head.removesuffix(")").partition("(")
        table[name] = (params, ast.parse(body, mode="eval").body)
    return table


LONGEST_HINT = 40
FORMULAS = _formulas(COMPOSITES)
DEFAULTS: dict[str, dict[str, float]] = {"leaky_relu": {"slope": 0.01}, "elu": {"alpha": 1.0}}
ALL_FUNCTIONS = frozenset({*CALLABLE, *FORMULAS, *TABLE_NAMES})
