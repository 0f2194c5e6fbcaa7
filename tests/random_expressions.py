"""Random expressions of a given shape: functions, broadcasting, reductions, products, subscripts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from random_draws import LENGTHS, NAMES, PLAIN, Choices, Index, Shape, T

SAFE = {
    "exp": "exp(tanh({}))", "exp2": "exp2(sin({}))", "expm1": "expm1(tanh({}))", "log": "log(0.5 + square({}))",
    "log2": "log2(1.5 + sin({}))", "log10": "log10(2 + cos({}))", "log1p": "log1p(abs({}))",
    "sqrt": "sqrt(1 + square({}))",
    "cbrt": "cbrt(2 + tanh({}))", "sin": "sin({})", "cos": "cos({})", "tan": "tan(sin({}))",
    "arcsin": "arcsin(0.9*sin({}))",
    "arccos": "arccos(0.9*tanh({}))", "arctan": "arctan({})", "sinh": "sinh(sin({}))", "cosh": "cosh(tanh({}))",
    "tanh": "tanh({})", "arcsinh": "arcsinh({})", "arccosh": "arccosh(1.5 + square(sin({})))",
    "arctanh": "arctanh(0.9*sin({}))", "square": "square(sin({}))", "reciprocal": "reciprocal(1.5 + sin({}))",
    "erf": "erf({})", "erfc": "erfc({})", "lgamma": "lgamma(1.5 + sin({}))", "digamma": "digamma(1.5 + tanh({}))",
    "sigmoid": "sigmoid({})", "log_sigmoid": "log_sigmoid({})", "relu": "relu({})", "leaky_relu": "leaky_relu({}, 0.1)",
    "elu": "elu({}, 0.7)", "softplus": "softplus({})", "gelu": "gelu({})", "silu": "silu({})", "abs": "abs({})",
    "neg": "-{}", "huber": "huber({}, 0.6)", "power2": "tanh({})**2", "power3": "sin({})**3", "half": "{}/2",
    "clip": "clip({}, -0.6, 0.7)", "rpower": "2**sin({})", "wave": "exp(-({})**2)", "negpower": "(1.5 + sin({}))**-2",
    "logexp": "log(1 + exp(tanh({})))", "logsig": "log(sigmoid(3*sin({})))", "step": "step({})", "sign": "sign({})",
    "floor": "floor({})", "ceil": "ceil({})", "round": "round({})", "plus": "+{}", "float": "float({})",
}  # fmt: skip
GUARDED = (
    "(log({0}) if {0} > 0 else 0)",
    "(sqrt({0}) if {0} > 0 else {1})",
    "({1} if {0} <= 0 else {1}*log({0}))",
    "where({0} > 0.1, 1/{0}, {1})",
    "({1}/{0} if abs({0}) > 0.3 else {0})",
    "({1}/relu({0}) if {0} > 0.2 else {1})",
    "(1/floor({0}) if abs({0}) >= 1 else {1})",
    "(arccosh({0}) if {0} > 1.1 else {1})",
)
PAIRS = (
    "{0} + {1}", "{0} - {1}", "{0}*{1}", "{0}/(1.5 + sin({1}))", "maximum({0}, {1})", "minimum({0}, {1})",
    "max({0}, {1})",
    "min({0}, {1})", "hypot({0}, {1})", "arctan2({0}, 1.2 + sin({1}))", "squared_error({0}, {1})",
    "bce(sigmoid(tanh({0})), sigmoid({1}))", "bce_with_logits(sin({0}), sigmoid({1}))", "hinge({0}, {1})",
    "(1.2 + sin({0}))**tanh({1})", "{0} % (1.5 + square(sin({1})))", "{0}*{0} - {1}", "{0} // (1.5 + square(sin({1})))",
    "leaky_relu({0}, {1})", "elu({0}, {1})", "huber({0}, 0.5 + square({1}))", "zero_one({0}, {1})",
)  # fmt: skip
CONDITIONS = (
    "{0} > {1}", "{0} <= {1}", "0 < {0} < {1}", "{0} > 0 and {1} > 0", "{0} > 0 or {1} < 0", "not {0} > {1}",
    "{0} >= 0.5 or not ({1} < 0.2 and {0} != {1})", "{0}",
)  # fmt: skip
REDUCERS = ("sum", "mean", "max", "min", "prod", "logsumexp", "var", "norm", "std", "any", "all", "argmax", "argmin")
Maker = Callable[[Shape], str]


@dataclass
class Expressions:
    """Expressions of a given shape."""

    choices: Choices
    budget: int = 12
    floats: dict[str, Shape] = field(default_factory=dict)
    tables: dict[str, tuple[Shape, str]] = field(default_factory=dict)
    declared: dict[str, tuple[str, Shape, str]] = field(default_factory=dict)
    loops: list[Index] = field(default_factory=list)
    loop_names: int = 0
    stops: bool = True

    # choices

    def chance(self, percent: int) -> bool:
        return self.choices.integer(0, 99) >= 100 - percent

    def pick(self, items: Sequence[T]) -> T:
        return items[self.choices.integer(0, len(items) - 1)]

    def length(self) -> str:
        return self.pick(PLAIN if self.chance(70) else LENGTHS)

    def shape(self, most: int = 3) -> Shape:
        rank = self.pick((0, 1, 1, 2, 2, 2, 3)[: 2 + 2 * most])
        return tuple(self.length() for _ in range(min(rank, most)))

    def expr(self, shape: Shape) -> str:
        """An expression of exactly this shape, fit to be an operand of anything."""
        self.budget -= 1
        if self.choices.integer(0, 99) < 12 or self.budget <= 0:
            return self.leaf(shape)
        if len(self.loops) > 4:
            return self.leaf(shape)
        return self.pick(self.makers(shape))(shape)

    def makers(self, shape: Shape) -> list[Maker]:
        """What an expression of this shape can be made by, some more often than others."""
        makers: list[Maker] = [
            self.unary, self.binary, self.binary, self.conditional, self.reduction, self.scalar_subscript, self.gather,
            self.stop, self.guarded,
        ]  # fmt: skip
        if not shape:
            makers += [self.dot]
        if len(shape) in (1, 2):
            makers += [self.matmul, self.matmul]
        if shape:
            makers += [self.last_axis, self.slice, self.slice, self.transpose, self.double_gather]
        if len(shape) == 1:
            makers += [self.label_loss]
        if "1" in shape:
            makers += [self.new_axis]
        return makers

    def leaf(self, shape: Shape) -> str:
        known = [name for name, own in self.floats.items() if own == shape]
        if known and self.chance(75):
            return self.pick(known)
        if not shape:
            options = ["number", "param"]
            if self.loops:
                options += ["loop", "element", "element", "element"]
            kind = self.pick(options)
            if kind == "number":
                return self.pick(("1", "0.5", "2", "-0.3", "1.7", "0"))
            if kind == "loop":
                return f"({self.pick(self.loops).text} + 1)"
            if kind == "element":
                return self._element()
        return self.declare(shape)

    def _element(self) -> str:
        """An element of an array at loop indices."""
        at = [self.pick(self.loops) for _ in range(self.pick((1, 1, 2)))]
        name = self._atom(tuple(i.length for i in at))
        return f"{name}[{', '.join(i.text for i in at)}]"

    def _atom(self, shape: Shape) -> str:
        known = [name for name, own in self.floats.items() if own == shape]
        return self.pick(known) if known and self.chance(60) else self.declare(shape)

    def declare(self, shape: Shape) -> str:
        same = [
            n
            for n, (kind, own, _) in self.declared.items()
            if own == shape and kind != "index" and self.floats.get(n) == own
        ]
        if same and self.chance(50):
            return self.pick(same)
        name = next(c for c in NAMES if c not in self.declared)
        self.declared[name] = ("param" if not self.chance(25) else "data", shape, "")
        self.floats[name] = shape
        return name

    def table(self, shape: Shape, length: str) -> str:
        """An index input of this shape, of positions on an axis of this length."""
        known = [name for name, own in self.tables.items() if own == (shape, length)]
        if known and self.chance(60):
            return self.pick(known)
        name = f"at{len(self.tables) + 1}"
        self.tables[name] = (shape, length)
        self.declared[name] = ("index", shape, length)
        return name

    def unary(self, shape: Shape) -> str:
        text = self.expr(shape)
        for _ in range(self.pick((1, 2, 2))):
            text = f"({SAFE[self.pick(list(SAFE))].format(text)})"
        return text

    def narrower(self, shape: Shape) -> Shape:
        """A shape that broadcasts to this one."""
        if self.chance(60):
            return shape
        cut = self.choices.integer(0, len(shape))
        return tuple("1" if self.chance(25) else c for c in shape[cut:])

    def two(self, shape: Shape) -> tuple[str, str]:
        a, b = self.expr(shape), self.expr(self.narrower(shape))
        return (b, a) if self.chance(40) else (a, b)

    def binary(self, shape: Shape) -> str:
        return "(" + self.pick(PAIRS).format(*self.two(shape)) + ")"

    def guarded(self, shape: Shape) -> str:
        return self.pick(GUARDED).format(self.expr(shape), self.expr(self.narrower(shape)))

    def conditional(self, shape: Shape) -> str:
        condition = self.pick(CONDITIONS).format(self.expr(self.narrower(shape)), self.expr(self.narrower(shape)))
        a, b = self.two(shape)
        if self.chance(25):
            return f"where({condition}, {a}, {b})"
        return f"({a} if {condition} else {b})"

    def reduction(self, shape: Shape) -> str:
        name = self.pick(REDUCERS[:8] if self.chance(80) else REDUCERS)
        if not shape and self.chance(50):
            own = self.shape() or (self.length(),)
            return f"{name}({self.expr(own)})"
        ones = [k for k, c in enumerate(shape) if c == "1"]
        if ones and self.chance(60):
            k = self.pick(ones)
            own = (*shape[:k], self.length(), *shape[k + 1 :])
            return f"{name}({self.expr(own)}, axis={self.axis(k, len(own))}, keepdims=True)"
        if len(shape) > 2:
            return self.leaf(shape)
        k = self.choices.integer(0, len(shape))
        own = (*shape[:k], self.length(), *shape[k:])
        return f"{name}({self.expr(own)}, axis={self.axis(k, len(own))})"

    def axis(self, k: int, rank: int) -> int:
        return k if self.chance(60) else k - rank

    def matmul(self, shape: Shape) -> str:
        inner = self.length()
        if inner == "1":
            inner = "n"
        if len(shape) == 2:
            left, right = (shape[0], inner), (inner, shape[1])
        else:
            left, right = ((shape[0], inner), (inner,)) if self.chance(50) else ((inner,), (inner, shape[0]))
        a, b = self.expr(left), self.expr(right)
        if len(shape) == 2 and self.chance(15):
            return f"outer({self.expr(shape[:1])}, {self.expr(shape[1:])})"
        return self.pick(("({0} @ {1})", "matmul({0}, {1})", "dot({0}, {1})")).format(a, b)

    def dot(self, shape: Shape) -> str:
        own = self.pick(("n", "d", "K", "n-1"))
        return self.pick(("({0} @ {1})", "dot({0}, {1})")).format(self.expr((own,)), self.expr((own,)))

    def transpose(self, shape: Shape) -> str:
        return self.pick(("{}.T", "transpose({})")).format(self.expr(shape[::-1]))

    def last_axis(self, shape: Shape) -> str:
        name = self.pick(("softmax", "log_softmax", "cumsum"))
        if name != "cumsum" and self.chance(50):
            return f"{name}({self.expr(shape)})"
        if len(shape) == 1 and self.chance(50):
            return f"{name}({self.expr(shape)})"
        return f"{name}({self.expr(shape)}, axis={self.axis(self.choices.integer(0, len(shape) - 1), len(shape))})"

    def label_loss(self, shape: Shape) -> str:
        classes = self.pick(("K", "d", "3"))
        labels = self.table(shape, classes) if self.chance(60) else f"softmax({self.expr((*shape, classes))})"
        z = self.expr((*shape, classes))
        if self.chance(50):
            return f"cross_entropy_with_logits({z}, {labels})"
        return f"cross_entropy(softmax({z}), {labels})"

    def slice(self, shape: Shape) -> str:
        k = self.choices.integer(0, len(shape) - 1)
        c = shape[k]
        old, cuts = {
            "n-1": ("n", ("1:", ":-1", ":n-1", "1:n", "1:n:1")),
            "(n+1)//2": ("n", ("::2",)),
            "2": ("3", (":2", "1:", ":-1", "::2", "-2:", "1:3", "1:5")),
            "3": ("3", (":", "::-1", ":5")),
            "2*d": ("2*d", ("::-1", ":", "0:2*d")),
        }.get(c, (c, (":", "::-1", "0:", f":{c}", "...")))
        if c == "1":
            old, cuts = "1", (":",)
        cut = self.pick(cuts)
        own = (*shape[:k], old, *shape[k + 1 :])
        if cut == "...":
            return f"{self.expr(own)}[...]"
        return f"{self.expr(own)}[{', '.join([*[':'] * k, cut])}]"

    def new_axis(self, shape: Shape) -> str:
        k = shape.index("1")
        own = shape[:k] + shape[k + 1 :]
        if not own:
            return self.leaf(shape)
        return f"{self.expr(own)}[{', '.join([*[':'] * k, 'None'])}]"

    def scalar_subscript(self, shape: Shape) -> str:
        if len(shape) > 2:
            return self.leaf(shape)
        k = self.choices.integer(0, len(shape))
        if self.loops and self.chance(70):
            index = self.pick(self.loops)
            at, length = index.text, index.length
        else:
            length = self.pick(("3", "n", "2", "d"))
            at = self.pick(("0", "-1")) if self.chance(60) else self.table((), length)
        own = (*shape[:k], length, *shape[k:])
        return f"{self.expr(own)}[{', '.join([*[':'] * k, at])}]"

    def gather(self, shape: Shape) -> str:
        """An integer array as subscript; its shape is part of the result's."""
        rank = self.choices.integer(0, min(2, len(shape)))
        k = self.choices.integer(0, len(shape) - rank)
        if len(shape) - rank > 2:
            return self.leaf(shape)
        length = self.pick(("n", "d", "K", "3"))
        own = (*shape[:k], length, *shape[k + rank :])
        if rank == 0 and self.loops and self.chance(60):
            index = self.pick(self.loops)
            at = f"{self.table((index.length,), length)}[{index.text}]"
        else:
            at = self.table(shape[k : k + rank], length)
        return f"{self.expr(own)}[{', '.join([*[':'] * k, at])}]"

    def double_gather(self, shape: Shape) -> str:
        a, b = self.pick(("n", "d", "3")), self.pick(("n", "K", "2"))
        where = self.pick(("both", "apart", "mixed"))
        if where == "both" or len(shape) < 2:
            own = (a, b, *shape[1:])
            if len(own) > 3:
                return self.leaf(shape)
            return f"{self.expr(own)}[{self.table(shape[:1], a)}, {self.table(shape[:1], b)}]"
        if where == "apart" and len(shape) == 2:  # the axis of the tables comes first
            own = (a, shape[1], b)
            return f"{self.expr(own)}[{self.table(shape[:1], a)}, :, {self.table(shape[:1], b)}]"
        own = (a, b)
        if len(shape) != 2:
            return self.leaf(shape)
        return f"{self.expr(own)}[{self.table((shape[0], '1'), a)}, {self.table(shape[1:], b)}]"

    def stop(self, shape: Shape) -> str:
        return f"stop_gradient({self.expr(shape)})" if self.chance(50) and self.stops else self.leaf(shape)
