"""The functions of the language that are more than one row of the op table: what each does with its arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gradc.build import Builder
from gradc.errors import ShapeError, Span, UnsupportedError
from gradc.extents import Index, Poly
from gradc.ir import Graph, Node, Type
from gradc.lower import construction, contractions, shaping
from gradc.lower.arrays import Arrays
from gradc.lower.exponentials import Exponentials, Term
from gradc.lower.linear import LinearAlgebra
from gradc.lower.reductions import Reductions
from gradc.lower.signatures import Call, Row
from gradc.program import Requirement, Value

REDUCTIONS = frozenset(
    {"sum", "mean", "prod", "max", "min", "any", "all", "var", "std", "norm", "logsumexp", "argmax", "argmin"}
)
INF = float("inf")
Kind = Callable[[Node, Sequence[Index], Node | None], Node]
NEVER_EMPTY = frozenset({"max", "min", "argmax", "argmin"})


class Functions:
    """Array functions by name: `table[name]` is (signature, implementation); `special` those of one module alone."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        self.build = arrays.build
        self.reductions = Reductions(arrays.build)
        self.exponentials = Exponentials(arrays.build)
        reduction = "x, axis=None, *, keepdims=False"
        self.table: dict[str, Row] = {
            **dict.fromkeys(REDUCTIONS - {"var", "std", "norm"}, (reduction, self.reduce)),
            **dict.fromkeys(("var", "std"), ("x, axis=None, *, ddof=0, keepdims=False", self.spread)),
            "norm": ("x, ord=None, axis=None, keepdims=False", self.norm),
            "cumsum": ("x, axis=None", self.cumsum),
            "softmax": ("x, axis=-1", self.softmax),
            "log_softmax": ("x, axis=-1", self.log_softmax),
            "cross_entropy": ("p, labels", self.cross_entropy),
            "cross_entropy_with_logits": ("z, labels", self.cross_entropy),
            "where": ("condition, x, y", self.where),
            "clip": ("x, lo=None, hi=None", self.clip),
            "power": ("a, b", lambda c: self.power(c.values["a"], c.values["b"], c.span)),
            "stop_gradient": ("x", lambda c: Value(self.build.stop(c.values["x"].node), c.values["x"].axes)),
            **dict.fromkeys(("array", "asarray"), ("x", lambda c: c.values["x"])),
            "polygamma": ("m, x", self.polygamma),
            "len": ("x", self.length),
            "int": ("x", lambda c: self._converted(c, "int")),
            "float": ("x", lambda c: self._converted(c, "float")),
            **self._contractions(),
            **self._algebra(),
            **self._shaping(),
            **self._construction(),
        }
        self.special: dict[tuple[str, str], Row] = {
            **dict.fromkeys([("np", "round"), ("", "round")], ("x, decimals=None", self.round)),
            ("math", "log"): ("x, base=None", self.logarithm),
        }

    def _contractions(self) -> dict[str, Row]:
        arrays, two = self.arrays, "a, b"
        return {
            "dot": (two, lambda c: contractions.dot(arrays, c.values["a"], c.values["b"], c.span)),
            "matmul": (two, lambda c: self.matmul(c.values["a"], c.values["b"], c.span)),
            "cross": (two, lambda c: contractions.cross(arrays, c.values["a"], c.values["b"], c.span)),
            "outer": (two, lambda c: contractions.outer(arrays, c.values["a"], c.values["b"], c.span)),
            "einsum": (
                "subscripts, *operands",
                lambda c: contractions.einsum(arrays, c.settings["subscripts"], c.rest, c.span),
            ),
        }

    def _algebra(self) -> dict[str, Row]:
        algebra = LinearAlgebra(self.arrays)
        return {
            "solve": ("a, b", lambda c: algebra.solve(c.values["a"], c.values["b"], c.span)),
            "inv": ("a", lambda c: algebra.inv(c.values["a"], c.span)),
            "det": ("a", lambda c: algebra.determinant("det", c.values["a"], c.span)),
            "logdet": ("a", lambda c: algebra.determinant("logdet", c.values["a"], c.span)),
            "cholesky": ("a", lambda c: algebra.cholesky(c.values["a"], c.span)),
        }

    def _shaping(self) -> dict[str, Row]:
        arrays = self.arrays
        return {
            "stack": (
                "arrays, axis=0",
                lambda c: shaping.stack(arrays, c.settings["arrays"], self._one_axis(c), c.span),
            ),
            "concatenate": (
                "arrays, axis=0",
                lambda c: shaping.concatenate(
                    arrays, c.settings["arrays"], None if c.axis is None else self._one_axis(c), c.span
                ),
            ),
            "reshape": (
                "x, shape",
                lambda c: shaping.reshape(arrays, c.values["x"], c.settings["shape"], c.span),
            ),
            "ravel": ("x", lambda c: shaping.ravel(arrays, c.values["x"], c.span)),
            "transpose": (
                "x, axes=None",
                lambda c: shaping.transpose(c.values["x"], c.settings["axes"], c.span),
            ),
        }

    def _construction(self) -> dict[str, Row]:
        arrays, build = self.arrays, self.build
        return {
            "zeros": (
                "shape",
                lambda c: construction.full(arrays, c.settings["shape"], Value(build.const(0.0)), c.span),
            ),
            "ones": (
                "shape",
                lambda c: construction.full(arrays, c.settings["shape"], Value(build.const(1.0)), c.span),
            ),
            "full": (
                "shape, value",
                lambda c: construction.full(arrays, c.settings["shape"], c.values["value"], c.span),
            ),
            "eye": (
                "rows, columns=None, k=0",
                lambda c: construction.eye(arrays, c.settings["rows"], c.settings["columns"], c.settings["k"], c.span),
            ),
            "one_hot": (
                "labels, classes",
                lambda c: construction.one_hot(arrays, c.values["labels"], c.settings["classes"], c.span),
            ),
            "arange": (
                "start, stop=None, step=None",
                lambda c: construction.arange(arrays, list(c.values.values()), c.span),
            ),
            "linspace": (
                "start, stop, num=50, endpoint=True",
                lambda c: construction.linspace(
                    arrays, c.values["start"], c.values["stop"], c.settings["num"], c.settings["endpoint"], c.span
                ),
            ),
            "diag": ("x, k=0", self.diag),
            "diagonal": ("x, offset=0", self.diagonal),
            "trace": ("x, offset=0", self.trace),
            "tril": (
                "x, k=0",
                lambda c: construction.triangle(arrays, c.values["x"], c.settings["k"], True, c.span),
            ),
            "triu": (
                "x, k=0",
                lambda c: construction.triangle(arrays, c.values["x"], c.settings["k"], False, c.span),
            ),
        }

    def where(self, call: Call) -> Value:
        return self.arrays.select(call.values["condition"], call.values["x"], call.values["y"], call.span)

    def clip(self, call: Call) -> Value:
        """Into bounds, of which either may be left out."""
        value = call.values["x"]
        for bound, name in (("lo", "maximum"), ("hi", "minimum")):
            if bound in call.values:
                value = self.arrays.elementwise(name, [value, call.values[bound]], call.span)
        return value

    def power(self, a: Value, b: Value, span: Span) -> Value:
        """Integers to a power that may be negative are floats."""
        whole = a.node.type == b.node.type == "int"
        if whole and not (b.node.op == "const" and b.node.value >= 0):
            a = Value(self.build.convert(a.node, "float"), a.axes)
        return self.arrays.elementwise("power", [a, b], span)

    def polygamma(self, call: Call) -> Value:
        order, x = call.values["m"], call.values["x"]
        if order.node.type != "int" or (order.node.op == "const" and order.node.value < 0):
            raise UnsupportedError("the order of polygamma must be a whole number: 0, 1, 2 ...", call.span)
        if order.node is self.build.const(0):
            return self.arrays.elementwise("digamma", [x], call.span)
        return self.arrays.elementwise("polygamma", [order, x], call.span)

    def logarithm(self, call: Call) -> Value:
        """Of any base, as in Python's math."""
        logs = [self.arrays.elementwise("log", [v], call.span) for v in call.values.values()]
        return self.arrays.elementwise("div", logs, call.span) if len(logs) > 1 else logs[0]

    def round(self, call: Call) -> Value:
        if call.settings["decimals"]:
            raise UnsupportedError("round() to decimals is not supported", call.span, "write round(x*100)/100")
        return self.arrays.elementwise("round", [call.values["x"]], call.span)

    def length(self, call: Call) -> Value:
        shape = call.values["x"].shape
        if not shape:
            raise ShapeError("len() of a number", call.span)
        return Value(self.build.length(shape[0]))

    def _converted(self, call: Call, type_: Type) -> Value:
        value = call.values["x"]
        return Value(self.build.convert(value.node, type_), value.axes)

    def diag(self, call: Call) -> Value:
        """The diagonal of a matrix, or the matrix with a vector on it."""
        value, k = call.values["x"], call.settings["k"]
        if len(value.axes) == 1:
            return construction.diagonal_matrix(self.arrays, value, k, call.span)
        return construction.diagonal(self.arrays, value, k, call.span, "diag")

    def diagonal(self, call: Call) -> Value:
        return construction.diagonal(self.arrays, call.values["x"], call.settings["offset"], call.span, call.name)

    def trace(self, call: Call) -> Value:
        value = self.diagonal(call)
        return Value(self.reductions.sum(value.node, [a for a in value.axes if a is not None]))

    def reduce(self, call: Call) -> Value:
        if call.name in ("argmax", "argmin") and isinstance(call.axis, tuple):
            raise ShapeError(f"{call.name} takes one axis", call.span)
        return self._reduced(call, self.reductions.kinds[call.name])

    def spread(self, call: Call) -> Value:
        kind, ddof = {"var": self.reductions.var, "std": self.reductions.std}[call.name], call.settings["ddof"]
        return self._reduced(call, lambda v, over, where: kind(v, over, where, ddof))

    def _reduced(self, call: Call, kind: Kind) -> Value:
        value = call.values["x"]
        positions = self._positions(call, value)
        over = [a for a in (value.axes[p] for p in positions) if a is not None]
        if call.name in NEVER_EMPTY:
            for i in over:
                self.never_empty(call.name, i, call.span)
        node = kind(value.node, over, None)
        if call.keepdims:
            return Value(node, tuple(None if p in positions else a for p, a in enumerate(value.axes)))
        return Value(node, tuple(a for p, a in enumerate(value.axes) if p not in positions))

    def never_empty(self, name: str, index: Index, span: Span) -> None:
        extent = index.extent
        if extent.constant is not None and extent.constant < 1:
            raise ShapeError(f"{name} of an empty axis", span)
        if extent.constant is None and not (extent - Poly.const(1)).is_nonnegative() and not extent.indices:
            message = f"{name} of an empty axis of length {extent}"
            self.arrays.requirements[Requirement(extent, "at least", Poly.const(1), message, span)] = None

    def norm(self, call: Call) -> Value:
        """The 2-norm of all elements, or of vectors along an axis; of vectors also the 1-norm and the largest."""
        order = call.settings["ord"]
        vectors = len(self._positions(call, call.values["x"])) == 1
        if order is None or (order == 2 and vectors) or (order == "fro" and not vectors):
            return self._reduced(call, self.reductions.norm)
        if not vectors or order not in (1, INF):
            raise UnsupportedError(
                f"norm of order {order} is not supported here", call.span, "ord is 1, 2 or inf, of vectors; or 'fro'"
            )
        magnitude = self.arrays.elementwise("abs", [call.values["x"]], call.span)
        name = "sum" if order == 1 else "max"
        inner = Call(name, call.span, {"x": magnitude}, call.settings)
        return self._reduced(inner, self.reductions.kinds[name])

    def cumsum(self, call: Call) -> Value:
        """Along an axis; without one, along all elements in a row."""
        value = call.values["x"]
        if call.axis is None:
            value, p = shaping.ravel(self.arrays, value, call.span), 0
        else:
            p = shaping.position(self._one_axis(call), len(value.axes), call.span)
        axis = value.axes[p]
        counted = self.build.convert(value.node, "int") if value.node.type == "bool" else value.node
        node = counted if axis is None else self.build.scan(axis, counted)
        return Value(node, value.axes)

    def softmax(self, call: Call) -> Value:
        value, over = self._axes(call)
        shift = self.exponentials.shift([Term(value.node, tuple(over))])
        exponential = self.build.op("exp", self.build.op("sub", value.node, shift))
        return Value(self.build.op("div", exponential, self.reductions.sum(exponential, over)), value.axes)

    def log_softmax(self, call: Call) -> Value:
        value, over = self._axes(call)
        return Value(self.exponentials.log_softmax(self.build.convert(value.node, "float"), over), value.axes)

    def cross_entropy(self, call: Call) -> Value:
        """Per row over the last axis; labels are integers, or one-hot rows."""
        logits = call.name.endswith("logits")
        value = call.values["z" if logits else "p"]
        labels = call.values["labels"]
        if not value.axes or value.axes[-1] is None:
            raise ShapeError(f"{call.name} needs an axis of classes, last", call.span)
        classes = value.axes[-1]
        if labels.node.type != "int":
            axes, (v, t) = self.arrays.aligned([value, labels], call.span, call.name)
            last = axes[-1]
            assert last is not None
            log = self.exponentials.log_softmax(v, [last]) if logits else self.build.op("log", v)
            return Value(self.build.op("neg", self.reductions.sum(self.build.op("mul", t, log), [last])), axes[:-1])
        rows, (at,) = self.arrays.aligned([labels], call.span)
        if classes in rows:
            last = self.arrays.fresh(classes.extent, (*rows, *value.axes))
            value = Value(self.arrays.renamed(value, (*value.axes[:-1], last)), (*value.axes[:-1], last))
            classes = last
        if len(rows) > len(value.axes) - 1:
            raise ShapeError(f"{call.name}: labels have {len(rows)} axes, the rows {len(value.axes) - 1}", call.span)
        axes, (at, _) = self.arrays.aligned([Value(at, rows), Value(value.node, value.axes[:-1])], call.span, call.name)
        node = self.arrays.renamed(Value(value.node, value.axes[:-1]), axes[len(axes) - len(value.axes) + 1 :])
        picked = self.build.read(node, [classes], [at])
        if not logits:
            return Value(self.build.op("neg", self.build.op("log", picked)), axes)
        others = self.exponentials.without(Term(node, (classes,)), {classes: at})
        return Value(self.build.op("neg", self.exponentials.log_share(Term(picked), [others])), axes)

    def matmul(self, a: Value, b: Value, span: Span) -> Value:
        return contractions.matmul(self.arrays, a, b, span)

    def _axes(self, call: Call) -> tuple[Value, list[Index]]:
        """The value, and those of its axes that the call names."""
        value = call.values["x"]
        if not value.axes:
            raise ShapeError(f"{call.name} needs an array", call.span)
        return value, [a for a in (value.axes[p] for p in self._positions(call, value)) if a is not None]

    def _one_axis(self, call: Call) -> int:
        if not isinstance(call.axis, int):
            raise ShapeError(f"{call.name} takes one axis", call.span, "an integer")
        return call.axis

    def _positions(self, call: Call, value: Value) -> Sequence[int]:
        """The axes a call names, from the front; all if it names none."""
        if call.axis is None:
            return range(len(value.axes))
        named = call.axis if isinstance(call.axis, tuple) else (call.axis,)
        positions = [shaping.position(axis, len(value.axes), call.span) for axis in named]
        if len(set(positions)) < len(positions):
            raise ShapeError(f"{call.name}: an axis is named twice", call.span)
        return sorted(positions)


TABLE_NAMES = frozenset(Functions(Arrays(Builder(Graph()))).table)
"""The names of all functions in the table."""
