"""Expressions of Python's syntax tree to graph values, construct by construct; whatever is not listed is refused."""

from __future__ import annotations

import ast
import keyword
import math
from collections.abc import Callable, Mapping, Sequence

from gradc.bounds import integer_poly
from gradc.build import Builder
from gradc.errors import GradcError, ParseError, ShapeError, Source, Span, UnsupportedError, did_you_mean
from gradc.extents import Index, Poly
from gradc.ir import Node
from gradc.lower.arrays import Arrays
from gradc.lower.functions import NEVER_EMPTY, REDUCTIONS, Call, Functions, scalar_node, transpose
from gradc.lower.subscripts import Item, NewAxis, Rest, Slice, subscript
from gradc.ops import ALIASES, CALLABLE, COMPOSITES, OPS
from gradc.program import Value

BITS = "a power is **; conditions are joined by and, or, not"
DEPTH_LIMIT = 150
"""Expressions nested deeper than this are refused; chains of binary operators may be of any length."""

BINARY = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.FloorDiv: "floordiv",
    ast.Mod: "mod",
    ast.Pow: "power",
}
COMPARE = {ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne"}
CONSTANTS = {"pi": math.pi, "e": math.e, "inf": math.inf}
MODULES = frozenset({"np", "numpy", "math", "linalg"})
UNSUPPORTED = {
    ast.Lambda: ("lambda", "write the expression out"),
    ast.Dict: ("a dictionary", "use arrays"),
    ast.Set: ("a set", "use arrays"),
    ast.Await: ("await", None),
    ast.Yield: ("yield", None),
    ast.JoinedStr: ("a string", None),
    ast.NamedExpr: (":=", "assign on a line of its own"),
    ast.Starred: ("*", None),
    ast.Tuple: ("a tuple", None),
    ast.List: ("a list of expressions", "write a comprehension over a range"),
    ast.DictComp: ("a dictionary comprehension", "use arrays"),
    ast.SetComp: ("a set comprehension", "use arrays"),
}


class Expressions:
    """Lowers expressions of one text into one graph. `names` are the values in scope, `dims` the dim names."""

    def __init__(self, build: Builder, source: Source, dims: frozenset[str] = frozenset()) -> None:
        self.build, self.source, self.dims = build, source, dims
        self.arrays = Arrays(build)
        self.functions = Functions(self.arrays)
        self.names: dict[str, Value] = {}
        self.index_names: dict[Index, str] = {}

    def span(self, node: ast.AST) -> Span:
        line = getattr(node, "lineno", 1)
        start = getattr(node, "col_offset", 0)
        end = getattr(node, "end_col_offset", start + 1) if getattr(node, "end_lineno", line) == line else None
        return self.source.span(line, start, end)

    def check_name(self, name: str, tree: ast.AST) -> None:
        """Raises ParseError for what cannot be the name of anything."""
        if name.startswith("_") or keyword.iskeyword(name):
            raise ParseError(
                f"'{name}' cannot be a name", self.span(tree), "names start with a letter and are no keywords"
            )

    def lower(self, tree: ast.expr) -> Value:
        """The value of an expression. Raises GradcError at the part that cannot be lowered."""
        self._check_depth(tree)
        return self.visit(tree)

    def _check_depth(self, tree: ast.expr) -> None:
        if tree.end_lineno and tree.end_lineno == tree.lineno and (tree.end_col_offset or 0) < DEPTH_LIMIT:
            return  # every level takes a character
        level: list[ast.AST] = [tree]
        for _ in range(DEPTH_LIMIT):
            below: list[ast.AST] = []
            for n in level:
                while isinstance(n, ast.BinOp):
                    below.append(n.right)
                    n = n.left
                below += ast.iter_child_nodes(n)
            level = below
            if not level:
                return
        raise ParseError("nested too deeply", self.span(tree), "give parts of the expression names of their own")

    def visit(self, tree: ast.expr) -> Value:
        """The value of an expression that is known not to be nested too deeply."""
        method: Callable[[ast.expr], Value] | None = getattr(self, f"_{type(tree).__name__.lower()}", None)
        if method is None:
            what, hint = UNSUPPORTED.get(type(tree), (type(tree).__name__, None))
            raise UnsupportedError(f"{what} is not part of the language", self.span(tree), hint)
        return method(tree)

    # names and numbers

    def _constant(self, tree: ast.Constant) -> Value:
        value = tree.value
        if not isinstance(value, bool | int | float):
            what = "a complex number" if isinstance(value, complex) else f"{type(value).__name__} {str(value)[:20]!r}"
            raise UnsupportedError(f"{what} is not part of the language", self.span(tree), "expected a number")
        if isinstance(value, int) and abs(value) >= 2**63:
            value = float(value) if value.bit_length() < 1024 else math.inf
        return Value(self.build.const(value))

    def _name(self, tree: ast.Name) -> Value:
        found = self.names.get(tree.id)
        if found is not None:
            return self.arrays.clear_of_loops(found)
        if tree.id in self.dims:
            return Value(self.build.dim(tree.id))
        if tree.id in CONSTANTS:
            return Value(self.build.const(CONSTANTS[tree.id]))
        known = {*self.names, *self.dims, *CONSTANTS}
        hint = did_you_mean(tree.id, known) or "declare it, or assign it first"
        if self._is_function(tree.id):
            hint = f"'{tree.id}' is a function: call it"
        raise ParseError(f"unknown name '{tree.id}'", self.span(tree), hint)

    def _attribute(self, tree: ast.Attribute) -> Value:
        if tree.attr == "T":
            return transpose(self.visit(tree.value))
        if isinstance(tree.value, ast.Name) and tree.value.id in MODULES and tree.value.id not in self.names:
            if tree.attr in CONSTANTS:
                return Value(self.build.const(CONSTANTS[tree.attr]))
            raise ParseError(f"unknown constant '{tree.attr}'", self.span(tree), did_you_mean(tree.attr, CONSTANTS))
        hint = "write x.shape[0]" if tree.attr == "shape" else "attributes are .T, .shape[k]"
        raise UnsupportedError(f"attribute '.{tree.attr}' is not part of the language", self.span(tree), hint)

    # operators

    def _binop(self, tree: ast.BinOp) -> Value:
        chain: list[ast.BinOp] = []
        left: ast.expr = tree
        while isinstance(left, ast.BinOp):
            chain.append(left)
            left = left.left
        value = self.visit(left)
        for step in reversed(chain):
            value = self._binary(step, value, self.visit(step.right))
        return value

    def _binary(self, tree: ast.BinOp, a: Value, b: Value) -> Value:
        if isinstance(tree.op, ast.MatMult):
            return self.functions.matmul(a, b, self.span(tree))
        name = BINARY.get(type(tree.op))
        if name is None:
            raise UnsupportedError("bit operators are not part of the language", self.span(tree), BITS)
        if (
            name == "power"
            and b.node.type == "int"
            and a.node.type == "int"
            and not (b.node.op == "const" and b.node.value >= 0)
        ):
            a = Value(self.build.convert(a.node, "float"), a.axes)
        return self.arrays.elementwise(name, [a, b], self.span(tree))

    def _unaryop(self, tree: ast.UnaryOp) -> Value:
        value = self.visit(tree.operand)
        if isinstance(tree.op, ast.UAdd):
            return value
        if isinstance(tree.op, ast.Invert):
            raise UnsupportedError("bit operators are not part of the language", self.span(tree), "use not")
        return Value(self.build.op("not" if isinstance(tree.op, ast.Not) else "neg", value.node), value.axes)

    def _boolop(self, tree: ast.BoolOp) -> Value:
        name = "and" if isinstance(tree.op, ast.And) else "or"
        value = self.visit(tree.values[0])
        for other in tree.values[1:]:
            value = self.arrays.elementwise(name, [value, self.visit(other)], self.span(tree))
        return value

    def _compare(self, tree: ast.Compare) -> Value:
        left = self.visit(tree.left)
        result: Value | None = None
        for op, tree_right in zip(tree.ops, tree.comparators, strict=True):
            name = COMPARE.get(type(op))
            if name is None:
                raise UnsupportedError("'in' and 'is' are not part of the language", self.span(tree), "compare with ==")
            right = self.visit(tree_right)
            step = self.arrays.elementwise(name, [left, right], self.span(tree))
            result = step if result is None else self.arrays.elementwise("and", [result, step], self.span(tree))
            left = right
        assert result is not None
        return result

    def _ifexp(self, tree: ast.IfExp) -> Value:
        condition = self.visit(tree.test)
        return self.arrays.select(condition, self.visit(tree.body), self.visit(tree.orelse), self.span(tree))

    # subscripts

    def _subscript(self, tree: ast.Subscript) -> Value:
        if isinstance(tree.value, ast.Attribute) and tree.value.attr == "shape":
            shape = self.visit(tree.value.value).shape
            k = integer_poly(self.visit(tree.slice).node)
            if k is None or k.constant is None or not -len(shape) <= k.constant < len(shape):
                raise ShapeError(f"shape of {len(shape)} axes", self.span(tree), "use a number that names an axis")
            return Value(self.build.length(shape[k.constant]))
        value = self.visit(tree.value)
        parts = tree.slice.elts if isinstance(tree.slice, ast.Tuple) else [tree.slice]
        return subscript(self.arrays, value, [self._item(p) for p in parts], self.span(tree))

    def _item(self, tree: ast.expr) -> Item:
        if isinstance(tree, ast.Slice):
            low, high, step = (
                None if t is None else self._scalar(t, "a bound of a slice")
                for t in (tree.lower, tree.upper, tree.step)
            )
            return Slice(low, high, step)
        if isinstance(tree, ast.Constant) and tree.value is None:
            return NewAxis()
        if isinstance(tree, ast.Constant) and tree.value is ...:
            return Rest()
        return self.visit(tree)

    def _scalar(self, tree: ast.expr, what: str) -> Node:
        return scalar_node(self.visit(tree), what, self.span(tree))

    # calls

    def _call(self, tree: ast.Call) -> Value:
        name = self._function_name(tree.func)
        span = self.span(tree)
        if any(isinstance(a, ast.Starred) for a in tree.args) or any(k.arg is None for k in tree.keywords):
            raise UnsupportedError("* and ** in calls are not part of the language", span)
        keywords = {k.arg: k.value for k in tree.keywords if k.arg}
        if len(tree.args) == 1 and isinstance(tree.args[0], ast.GeneratorExp) and name in REDUCTIONS:
            return self._generator(name, tree.args[0], keywords, span)
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

    def _is_function(self, name: str) -> bool:
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
        node = self._scalar(tree, "axis")
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

    # index notation

    def _listcomp(self, tree: ast.ListComp) -> Value:
        if len(tree.generators) != 1 or tree.generators[0].ifs:
            raise UnsupportedError(
                "a list comprehension has one `for` and no `if`", self.span(tree), "nest lists, or sum()"
            )

        def element(indices: list[Index], where: Node | None) -> Value:
            value = self.visit(tree.elt)
            for a in value.axes:
                if a is not None and set(indices) & a.extent.indices:
                    raise ShapeError("rows of different lengths", self.span(tree), "reduce them inside the loop")
            return Value(value.node, (indices[0], *value.axes))

        return self._loops(tree.generators, element)

    def _generator(self, name: str, tree: ast.GeneratorExp, keywords: Mapping[str, ast.expr], span: Span) -> Value:
        if keywords:
            raise ParseError(f"{name}() of a comprehension takes no '{next(iter(keywords))}'", span)

        def reduce(indices: list[Index], where: Node | None) -> Value:
            value = self.visit(tree.elt)
            if where is not None and name in ("argmax", "argmin"):
                raise UnsupportedError(f"{name}() takes no `if`", span)
            if name in NEVER_EMPTY and where is None:
                for i in indices:
                    self.functions.never_empty(name, i, span)
            return Value(self.functions.reductions.kinds[name](value.node, indices, where), value.axes)

        return self._loops(tree.generators, reduce)

    def _loops(
        self, generators: Sequence[ast.comprehension], inside: Callable[[list[Index], Node | None], Value]
    ) -> Value:
        """Opens the loops of a comprehension, runs `inside` with their indices and their filter, closes them."""
        outer, depth = dict(self.names), len(self.arrays.reserved)
        indices: list[Index] = []
        where: Node | None = None
        try:
            for g in generators:
                if g.is_async:
                    raise UnsupportedError("async is not part of the language", self.span(g.target))
                index, values = self._iterated(g.iter)
                self.arrays.reserved.append(index)
                indices.append(index)
                self._bind(g.target, [Value(n, axes) for n, axes in values], index)
                for condition in g.ifs:
                    holds = self.build.convert(self._scalar(condition, "a filter"), "bool")
                    where = holds if where is None else self.build.op("and", where, holds)
            result = inside(indices, where)
        finally:
            self.names = outer
            del self.arrays.reserved[depth:]
        return result

    def _bind(self, target: ast.expr, values: list[Value], index: Index) -> None:
        targets = target.elts if isinstance(target, ast.Tuple) else [target]
        if len(targets) != len(values):
            raise ParseError(f"{len(targets)} names for {len(values)} values", self.span(target))
        for t, value in zip(targets, values, strict=True):
            if not isinstance(t, ast.Name):
                raise ParseError("expected a name", self.span(t))
            self.check_name(t.id, t)
            self.names[t.id] = value
            if value.node.op == "index":
                self.index_names.setdefault(index, t.id)

    def _iterated(self, tree: ast.expr) -> tuple[Index, list[tuple[Node, tuple[Index | None, ...]]]]:
        """The loop index of what is iterated over, and what each of its targets is bound to."""
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and not tree.keywords:
            if tree.func.id == "range":
                return self._range(tree)
            if tree.func.id == "enumerate" and len(tree.args) == 1:
                index, values = self._iterated(tree.args[0])
                return index, [(self.build.index(index), ()), *values]
            if tree.func.id == "zip" and tree.args:
                arrays = [self._iterable(a) for a in tree.args]
                lengths = [a.shape[0] for a in arrays]
                for other in lengths[1:]:
                    self.arrays.agree(lengths[0], other, "zip", self.span(tree))
                index = self.arrays.fresh(lengths[0])
                return index, [self._element(a, index) for a in arrays]
        array = self._iterable(tree)
        assert array.axes[0] is not None
        index = self.arrays.fresh(array.axes[0].extent)
        return index, [self._element(array, index)]

    def _iterable(self, tree: ast.expr) -> Value:
        value = self.visit(tree)
        if not value.axes or value.axes[0] is None:
            raise ShapeError("cannot iterate over this", self.span(tree), "iterate over range(...), or over an array")
        return value

    def _element(self, array: Value, index: Index) -> tuple[Node, tuple[Index | None, ...]]:
        axes: list[Index | None] = [index]
        for a in array.axes[1:]:
            axes.append(a if a is None or a not in axes else self.arrays.fresh(a.extent, axes))
        return self.arrays.renamed(array, axes), tuple(axes[1:])

    def _range(self, tree: ast.Call) -> tuple[Index, list[tuple[Node, tuple[Index | None, ...]]]]:
        bounds = []
        for a in tree.args:
            poly = integer_poly(self._scalar(a, "a bound of range()"))
            if poly is None:
                raise UnsupportedError(
                    "the bounds of range() must be made of numbers, dims and loop variables", self.span(a)
                )
            bounds.append(poly)
        if not 1 <= len(bounds) <= 2:
            raise UnsupportedError("range() takes one or two bounds", self.span(tree))
        start = bounds[0] if len(bounds) == 2 else Poly.const(0)
        index = self.arrays.fresh(bounds[-1] - start)
        return index, [(self.build.integer(start + Poly.atom(index)), ())]


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
    {"solve", "inv", "det", "logdet", "cholesky", "trace", "diag", "einsum", "tril", "triu", "zeros", "ones", "full"}
    | {"eye", "arange", "linspace", "concatenate", "stack", "reshape", "ravel", "one_hot", "grad"}
)
"""Functions the language will have."""
FORMULAS = _formulas()
DEFAULTS: dict[str, dict[str, float]] = {"leaky_relu": {"slope": 0.01}, "elu": {"alpha": 1.0}}
ARRAY_FUNCTIONS = frozenset(
    {"cumsum", "softmax", "log_softmax", "cross_entropy", "cross_entropy_with_logits"}
    | {"dot", "matmul", "outer", "transpose", "where", "stop_gradient"}
)
ALL_FUNCTIONS = frozenset({*CALLABLE, *FORMULAS, *REDUCTIONS, *ARRAY_FUNCTIONS, "len", "float"})
