"""Random programs of the language, with inputs that fit them.

A program is grown from its result downwards: `expr(shape)` picks a construct whose value has that shape and grows its
operands. Lengths are texts ("n", "n-1", "2"), so that equal texts are equal lengths. Choices are drawn from a
`Choices`, the simplest first: drawn by Hypothesis, failing programs shrink.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np

T = TypeVar("T")
Shape = tuple[str, ...]
DIMS = ("n", "d", "K")
PLAIN = ("n", "d", "K", "2", "3")
LENGTHS = (*PLAIN, "1", "n-1", "2*d", "(n+1)//2")
NAMES = (*"abcfghmopqrstuwxyz", *(f"y{k}" for k in range(200)))
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
EXTREME = ("max", "min", "argmax", "argmin", "std", "norm", "var", "mean")


class Choices(Protocol):
    """Where decisions come from. Smaller numbers are simpler."""

    def integer(self, low: int, high: int) -> int: ...


class Seeded:
    """Decisions of a seeded generator: fast, and does not shrink."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def integer(self, low: int, high: int) -> int:
        return self.random.randint(low, high)


class Drawn:
    """Decisions drawn by Hypothesis."""

    def __init__(self, draw: Callable[[Any], int], integers: Callable[[int, int], Any]) -> None:
        self.draw, self.integers = draw, integers

    def integer(self, low: int, high: int) -> int:
        return self.draw(self.integers(low, high))


@dataclass
class Program:
    """A text, inputs for it, and the sizes of its dims. `smooth` if the inputs are in general position."""

    text: str
    inputs: dict[str, Any]
    dims: dict[str, int]
    smooth: bool

    def __str__(self) -> str:
        lines = [self.text, "", *(f"{k} = {v!r}" for k, v in (self.dims | self.inputs).items())]
        return "\n".join(lines)

    __repr__ = __str__

    @property
    def is_empty(self) -> bool:
        """Whether some axis may have no elements."""
        return any(size < 2 for size in self.dims.values())


@dataclass
class _Index:
    """An integer expression that is a position on axes of some length."""

    text: str
    length: str


@dataclass
class Generator:
    choices: Choices
    budget: int = 12
    floats: dict[str, Shape] = field(default_factory=dict)
    tables: dict[str, tuple[Shape, str]] = field(default_factory=dict)
    declared: dict[str, tuple[str, Shape, str]] = field(default_factory=dict)
    loops: list[_Index] = field(default_factory=list)
    loop_names: int = 0

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

    # programs

    def program(self) -> Program:
        lines = []
        for _ in range(self.choices.integer(0, 4)):
            name = f"v{len(lines) + 1}" if not self.floats or self.chance(70) else self.pick(list(self.floats))
            shape = self.shape()
            self.budget = 10
            text = self.expr(shape)
            if name in self.declared and shape == () and not self.chance(30):
                name = f"v{len(lines) + 1}"
            lines.append(f"{name} = {text}")
            self.floats[name] = shape
        self.budget = 8
        result = self._result()
        return self._with_inputs("\n".join([*lines, result]))

    def _result(self) -> str:
        shape = self.shape()
        total = self.expr(shape)
        terms = [f"{self.pick(('sum', 'mean'))}({total})" if shape else total]
        for name, own in self.floats.items():
            if name.startswith("v") and self.chance(60):
                terms.append(f"{self.pick(('sum', 'mean'))}({name})" if own else name)
        return " + ".join(terms)

    def _declaration(self, name: str) -> str:
        kind, shape, _ = self.declared[name]
        return f"{name}: {kind}" + (f"[{', '.join(shape)}]" if shape else "")

    def _with_inputs(self, text: str) -> Program:
        if self.chance(25):  # all dims the same: square arrays, axes that have to be told apart
            text, merged = re.sub(r"\b[dK]\b", "n", text), re.compile(r"\b[dK]\b")
            for name, (kind, shape, limit) in self.declared.items():
                self.declared[name] = (kind, tuple(merged.sub("n", c) for c in shape), merged.sub("n", limit))
        declarations = [self._declaration(name) for name in self.declared]
        text = "\n".join([*declarations, text])
        used = {c for _, shape, _ in self.declared.values() for c in shape}
        needed = [d for d in DIMS if re.search(rf"\b{d}\b", text)]
        spare = [d for d in DIMS if d in needed and d not in used]
        spares = [f"spare_{d}: data[{d}]" for d in spare]
        dims = {d: self.pick((2, 3, 4, 2, 3, 4, 1) if d == "n" else (2, 3, 1, 4)) for d in needed}
        if self.chance(4) and dims:
            dims[self.pick(list(dims))] = 0
        if dims.get("n") == 0 and "n-1" in text:
            dims["n"] = 1
        random = np.random.default_rng(self.choices.integer(0, 65535))
        smooth = not self.chance(10)
        inputs: dict[str, Any] = {f"spare_{d}": np.zeros(dims[d]) for d in spare}
        for name, (kind, shape, limit) in self.declared.items():
            sizes = tuple(size(c, dims) for c in shape)
            if kind == "index":
                top = size(limit, dict.fromkeys(DIMS, 1) | dims)
                if top == 0 and int(np.prod(sizes)):
                    top = 1
                inputs[name] = random.integers(0, max(top, 1), sizes)
            else:
                inputs[name] = random.normal(size=sizes) if smooth else random.integers(-1, 3, sizes).astype(float)
            if not shape:
                inputs[name] = inputs[name].item() if hasattr(inputs[name], "item") else inputs[name]
        return Program("\n".join([*spares, text]), inputs, dims, smooth)

    # expressions

    def expr(self, shape: Shape) -> str:
        """An expression of exactly this shape, fit to be an operand of anything."""
        self.budget -= 1
        if self.choices.integer(0, 99) < 12 or self.budget <= 0:
            return self.leaf(shape)
        makers = [
            self.unary,
            self.binary,
            self.binary,
            self.conditional,
            self.reduction,
            self.comprehension,
            self.scalar_subscript,
        ]
        makers += [self.gather, self.sum_comprehension, self.sum_comprehension, self.stop, self.guarded]
        if len(self.loops) > 4:
            return self.leaf(shape)
        if not shape:
            makers += [self.dot, self.several_loops, self.several_loops]
        if len(shape) in (1, 2):
            makers += [self.matmul, self.matmul]
        if shape:
            makers += [
                self.elementwise_loop,
                self.last_axis,
                self.slice,
                self.slice,
                self.transpose,
                self.double_gather,
            ]
        if len(shape) == 1:
            makers += [self.label_loss]
        if "1" in shape:
            makers += [self.new_axis]
        return self.pick(makers)(shape)

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
        return f"stop_gradient({self.expr(shape)})" if self.chance(50) else self.leaf(shape)

    # index notation

    def fresh(self) -> str:
        self.loop_names += 1
        names = "ijkl"
        return names[self.loop_names % 4] + ("" if self.loop_names < 4 else str(self.loop_names))

    def _ranges(self, count: int) -> tuple[list[str], int, list[tuple[str, Shape]]]:
        """`for` clauses; how many loop indices they bind; arrays elements are bound to."""
        clauses: list[str] = []
        before = len(self.loops)
        bound: list[tuple[str, Shape]] = []
        for _ in range(count):
            kind = self.pick(("range", "range", "array", "below", "between", "zip", "enumerate", "shifted"))
            i = self.fresh()
            outer = [x for x in self.loops[before:] if x.text.isalnum()]
            if kind in ("below", "between") and not outer:
                kind = "range"
            length = self.pick(("n", "d", "K", "3", "n-1", "2*d"))
            if kind == "range":
                clauses.append(f"for {i} in range({length})")
                self.loops.append(_Index(i, length))
            elif kind == "below":
                other = self.pick(outer)
                bound_text = self.pick((other.text, f"{other.text} + 1"))
                clauses.append(f"for {i} in range({bound_text})")
                self.loops.append(_Index(i, other.length))
            elif kind == "between":
                other = self.pick(outer)
                start = self.pick((other.text, f"{other.text} + 1"))
                clauses.append(f"for {i} in range({start}, {other.length})")
                self.loops.append(_Index(i, other.length))
            elif kind == "shifted":
                clauses.append(f"for {i} in range(1, n)")
                self.loops += [_Index(i, "n"), _Index(f"{i} - 1", "n"), _Index(f"n - {i}", "n")]
            else:
                element = tuple(self.length() for _ in range(self.pick((0, 0, 1))))
                array = self.expr((length, *element))
                e = f"e{self.loop_names}"
                if kind == "array":
                    clauses.append(f"for {e} in {array}")
                elif kind == "zip":
                    other_array = self.expr((length,))
                    clauses.append(f"for {e}, z{self.loop_names} in zip({array}, {other_array})")
                    bound.append((f"z{self.loop_names}", ()))
                else:
                    clauses.append(f"for {i}, {e} in enumerate({array})")
                    self.loops.append(_Index(i, length))
                bound.append((e, element))
            for name, own in bound:
                self.floats[name] = own
        return clauses, before, bound

    def _leave(self, before: int, bound: Sequence[tuple[str, Shape]]) -> None:
        del self.loops[before:]
        for name, _ in bound:
            del self.floats[name]

    def comprehended(self, shape: Shape, count: int) -> str:
        name = self.pick(("sum", "sum", "mean", "prod", "logsumexp", "max", "min", "any"))
        if name == "any" and not self.chance(20):
            name = "sum"
        clauses, before, bound = self._ranges(count)
        element = self.expr(shape)
        if name == "prod":
            element = f"sin({element})"
        if self.loops and self.chance(25) and name not in ("max", "min", "mean"):
            index = self.pick(self.loops)
            test = self.pick((f"{index.text} != 1", f"{index.text} % 2 == 0", f"{self._element()} > 0"))
            clauses.append(f"if {test}")
        self._leave(before, bound)
        return f"{name}({element} {' '.join(clauses)})"

    def sum_comprehension(self, shape: Shape) -> str:
        return self.comprehended(shape, 1)

    def several_loops(self, shape: Shape) -> str:
        return self.comprehended(shape, self.pick((2, 2, 3)))

    def elementwise_loop(self, shape: Shape) -> str:
        return self.comprehension(shape)

    def comprehension(self, shape: Shape) -> str:
        """A list comprehension as an array."""
        if not shape or shape[0] in ("1", "(n+1)//2"):
            return self.comprehended(shape, 1)
        i = self.fresh()
        if self.chance(30):
            element = tuple(self.length() for _ in range(self.pick((0, 1))))
            array = self.expr((shape[0], *element))
            e = f"e{self.loop_names}"
            self.floats[e] = element
            body = self.expr(shape[1:])
            del self.floats[e]
            return f"[{body} for {e} in {array}]"
        self.loops.append(_Index(i, shape[0]))
        body = self.expr(shape[1:])
        self.loops.pop()
        return f"[{body} for {i} in range({shape[0]})]"


def size(length: str, dims: dict[str, int]) -> int:
    """The number a length stands for."""
    return max(0, eval(length, {}, dims))


def generate(choices: Choices) -> Program:
    return Generator(choices).program()
