"""The functions of the language that are more than one row of the op table: what each does with its arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gradc.errors import ShapeError, Span, UnsupportedError
from gradc.extents import Index, Poly
from gradc.lower.arrays import Arrays
from gradc.lower.exponentials import Exponentials, Term
from gradc.lower.reductions import Reductions
from gradc.program import Requirement, Value

REDUCTIONS = frozenset(
    {"sum", "mean", "prod", "max", "min", "any", "all", "var", "std", "norm", "logsumexp", "argmax", "argmin"}
)
NEVER_EMPTY = frozenset({"max", "min", "argmax", "argmin"})


@dataclass(frozen=True)
class Call:
    """A call being lowered: its values by parameter name, and where it stands."""

    name: str
    values: dict[str, Value]
    axis: int | None
    keepdims: bool
    span: Span


class Functions:
    """Array functions by name: `table[name]` is (parameter names, implementation)."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        self.build = arrays.build
        self.reductions = Reductions(arrays.build)
        self.exponentials = Exponentials(arrays.build)
        one, two = ("x",), ("a", "b")
        self.table: dict[str, tuple[tuple[str, ...], Callable[[Call], Value]]] = {
            **dict.fromkeys(REDUCTIONS, (one, self.reduce)),
            "cumsum": (one, self.cumsum),
            "softmax": (one, self.softmax),
            "log_softmax": (one, self.log_softmax),
            "cross_entropy": (("p", "labels"), self.cross_entropy),
            "cross_entropy_with_logits": (("z", "labels"), self.cross_entropy),
            "dot": (two, self.dot),
            "matmul": (two, lambda c: self.matmul(c.values["a"], c.values["b"], c.span)),
            "outer": (two, self.outer),
            "transpose": (one, lambda c: transpose(c.values["x"])),
            "where": (("c", "a", "b"), self.where),
            "stop_gradient": (one, lambda c: Value(self.build.stop(c.values["x"].node), c.values["x"].axes)),
        }

    def where(self, call: Call) -> Value:
        return self.arrays.select(call.values["c"], call.values["a"], call.values["b"], call.span)

    def reduce(self, call: Call) -> Value:
        value = call.values["x"]
        positions = self._positions(call, value)
        over = [a for a in (value.axes[p] for p in positions) if a is not None]
        if call.name in NEVER_EMPTY:
            for i in over:
                self.never_empty(call.name, i, call.span)
        node = self.reductions.kinds[call.name](value.node, over, None)
        if call.keepdims:
            return Value(node, tuple(None if p in positions else a for p, a in enumerate(value.axes)))
        return Value(node, tuple(a for p, a in enumerate(value.axes) if p not in positions))

    def never_empty(self, name: str, index: Index, span: Span) -> None:
        extent = index.extent
        if extent.constant is None and not (extent - Poly.const(1)).is_nonnegative() and not extent.indices:
            message = f"{name} of an empty axis of length {extent}"
            self.arrays.requirements[Requirement(extent, "at least", Poly.const(1), message, span)] = None

    def cumsum(self, call: Call) -> Value:
        value = call.values["x"]
        if call.axis is None and len(value.axes) != 1:
            raise ShapeError("cumsum of an array of several axes needs axis=", call.span)
        axis = value.axes[self._positions(call, value)[0]]
        counted = self.build.convert(value.node, "int") if value.node.type == "bool" else value.node
        node = counted if axis is None else self.build.scan(axis, counted)
        return Value(node, value.axes)

    def softmax(self, call: Call) -> Value:
        value, over = self._last_axis(call)
        shift = self.exponentials.shift([Term(value.node, tuple(over))])
        exponential = self.build.op("exp", self.build.op("sub", value.node, shift))
        return Value(self.build.op("div", exponential, self.reductions.sum(exponential, over)), value.axes)

    def log_softmax(self, call: Call) -> Value:
        value, over = self._last_axis(call)
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
        return Value(self.build.op("neg", self.exponentials.log_share(picked, [others])), axes)

    def dot(self, call: Call) -> Value:
        a, b = call.values["a"], call.values["b"]
        if not a.axes or not b.axes:
            return self.arrays.elementwise("mul", [a, b], call.span)
        if len(a.axes) > 2 or len(b.axes) > 2:
            raise UnsupportedError(
                "dot of arrays of more than 2 axes is not supported", call.span, "use @ or index notation"
            )
        return self.matmul(a, b, call.span)

    def matmul(self, a: Value, b: Value, span: Span) -> Value:
        if not a.axes or not b.axes:
            raise ShapeError("@ needs arrays on both sides, not a number", span, "use * to multiply by a number")
        batch = "abcdefghlmnopqrstuvwxyz"[: max(len(a.axes), len(b.axes), 2) - 2]
        left = batch[len(batch) + 2 - len(a.axes) :] + "ik" if len(a.axes) > 1 else "k"
        right = batch[len(batch) + 2 - len(b.axes) :] + "kj" if len(b.axes) > 1 else "k"
        result = batch + ("i" if len(a.axes) > 1 else "") + ("j" if len(b.axes) > 1 else "")
        return self.arrays.contract([(a, left), (b, right)], result, span, "@")

    def outer(self, call: Call) -> Value:
        a, b = call.values["a"], call.values["b"]
        if len(a.axes) != 1 or len(b.axes) != 1:
            raise ShapeError("outer takes two arrays of one axis each", call.span)
        return self.arrays.contract([(a, "i"), (b, "j")], "ij", call.span, "outer")

    def _last_axis(self, call: Call) -> tuple[Value, list[Index]]:
        value = call.values["x"]
        if not value.axes:
            raise ShapeError(f"{call.name} needs an array", call.span)
        axis = value.axes[self._axis_position(-1 if call.axis is None else call.axis, value, call.span)]
        return value, [] if axis is None else [axis]

    def _positions(self, call: Call, value: Value) -> Sequence[int]:
        if call.axis is None:
            return range(len(value.axes))
        return [self._axis_position(call.axis, value, call.span)]

    def _axis_position(self, axis: int, value: Value, span: Span) -> int:
        if not -len(value.axes) <= axis < len(value.axes):
            raise ShapeError(f"axis {axis} of an array of {len(value.axes)} axes", span)
        return axis % len(value.axes)


def transpose(value: Value) -> Value:
    return Value(value.node, value.axes[::-1])
