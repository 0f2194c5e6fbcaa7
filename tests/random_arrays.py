"""Random compositions of array functions, reshape of concatenate of stack, with inputs that fit them.

An expression is grown step by step from an input. A length is a tuple of factors, texts such as "n", "3" or "(n + d)",
so that shapes of equal volume can be made by dealing the factors out anew.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from random_programs import Program

Length = tuple[str, ...]
Shape = tuple[Length, ...]
UNARY = (
    "sin({})",
    "tanh({})",
    "({})*0.7",
    "square(sin({}))",
    "relu({})",
    "abs({})",
    "-({})",
    "({} if {} > 0 else 0.1)",
)
LARGEST = 600


@dataclass
class Grower:
    seed: int
    inputs: dict[str, Shape] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        sizes = (1, 2, 2, 3, 3, 4) if self.random.random() < 0.9 else (0, 1, 2)
        self.dims = {"n": self.random.choice(sizes), "d": self.random.choice(sizes)}
        if self.random.random() < 0.2:
            self.dims["d"] = self.dims["n"]

    def program(self) -> Program:
        text, shape = self.leaf()
        for _ in range(self.random.randint(1, 6)):
            text, shape = self.step(text, shape)
        if self.random.random() < 0.3:
            text, shape = self.named(text, shape)
            text = f"sum({text}*{self.together(text, shape)})"
        else:
            text = f"sum(tanh({text}))" if shape else f"tanh({text})"
        declared = [f"{name}: param{_brackets(shape)}" for name, shape in self.inputs.items()]
        declared += [
            f"spare_{d}: data[{d}]"
            for d in self.dims
            if re.search(rf"\b{d}\b", "\n".join([*declared, text, *self.lines]))
        ]
        used = {d: size for d, size in self.dims.items() if any(f"spare_{d}:" in line for line in declared)}
        values: dict[str, Any] = {}
        normal = np.random.default_rng(self.seed)
        for name, own in self.inputs.items():
            values[name] = normal.normal(size=tuple(self.size(c) for c in own))
            if not own:
                values[name] = float(values[name])
        values |= {f"spare_{d}": np.zeros(size) for d, size in used.items()}
        return Program("\n".join([*declared, *self.lines, text]), values, used, True)

    def size(self, length: Length) -> int:
        return int(eval(_text(length), {}, dict(self.dims)))

    def volume(self, shape: Shape) -> int:
        return int(np.prod([self.size(c) for c in shape], dtype=int))

    def leaf(self, shape: Shape | None = None) -> tuple[str, Shape]:
        if shape is None:
            lengths: list[Length] = [("n",), ("d",), ("3",), ("2",), ("n", "d"), ("2", "3"), ("2", "n")]
            shape = tuple(self.random.choice(lengths) for _ in range(self.random.choice((1, 2, 2, 3))))
        same = [name for name, own in self.inputs.items() if own == shape]
        if same and self.random.random() < 0.5:
            return self.random.choice(same), shape
        name = f"x{len(self.inputs) + 1}"
        self.inputs[name] = shape
        return name, shape

    def named(self, text: str, shape: Shape) -> tuple[str, Shape]:
        name = f"v{len(self.lines) + 1}"
        self.lines.append(f"{name} = {text}")
        return name, shape

    def together(self, text: str, shape: Shape) -> str:
        """A number made of an array."""
        full = self.random.choice(
            ("sum({})", "norm({} + 1)", "logsumexp({})", "sum(cumsum({}))", "prod(1 + sin({})/9)")
        )
        return full.format(text)

    def step(self, text: str, shape: Shape) -> tuple[str, Shape]:
        steps: list[Callable[[str, Shape], tuple[str, Shape]]] = [
            self.reshape, self.reshape, self.stack, self.concatenate, self.concatenate, self.unary, self.transpose,
            self.slice, self.reduce, self.running, self.product, self.binary, self.display, self.matrix, self.gather,
            self.loop,
        ]  # fmt: skip
        made, own = self.random.choice(steps)(text, shape)
        if self.volume(own) > LARGEST or len(own) > 4:
            return text, shape
        return self.named(made, own) if self.random.random() < 0.5 else (made, own)

    def axis(self, shape: Shape) -> int:
        return self.random.randrange(len(shape))

    def unary(self, text: str, shape: Shape) -> tuple[str, Shape]:
        text, shape = self.named(text, shape)
        return self.random.choice(UNARY).replace("{}", text), shape

    def reshape(self, text: str, shape: Shape) -> tuple[str, Shape]:
        factors = [f for c in shape for f in c]
        if self.random.random() < 0.5:
            self.random.shuffle(factors)
        new: list[Length] = []
        while factors:
            take = self.random.randint(0, min(2, len(factors))) if len(new) < 3 else len(factors)
            new.append(tuple(factors[:take]))
            factors = factors[take:]
        if not new or self.random.random() < 0.2:
            return f"ravel({text})", (tuple(f for c in shape for f in c),)
        lengths = [_text(c) for c in new]
        unknown = self.random.randrange(len(new))
        if self.random.random() < 0.3 and all(self.size(c) for c in new):
            lengths[unknown] = "-1"
        return f"reshape({text}, ({', '.join(lengths)},))", tuple(new)

    def stack(self, text: str, shape: Shape) -> tuple[str, Shape]:
        text, shape = self.named(text, shape)
        count = self.random.choice((1, 2, 2, 3))
        others = [self.variant(text, shape) for _ in range(count - 1)]
        k = self.random.randint(0, len(shape))
        items = f"[{', '.join([text, *others])}]"
        own = (*shape[:k], () if count == 1 else (str(count),), *shape[k:])
        if k == 0 and self.random.random() < 0.5:
            return items, own
        return f"stack({items}, axis={k if self.random.random() < 0.5 else k - len(own)})", own

    def variant(self, text: str, shape: Shape) -> str:
        """Another array of the same shape."""
        kind = self.random.randrange(4)  # a slice of an axis of length 1 is avoided
        if kind == 0:
            return f"sin({text})"
        if kind == 1 and shape and shape[0]:
            return f"{text}[::-1]"
        if kind == 2:
            return self.leaf(shape)[0]
        return f"zeros(({', '.join(map(_text, shape))},))" if shape else "0.5"

    def concatenate(self, text: str, shape: Shape) -> tuple[str, Shape]:
        if not shape:
            return self.unary(text, shape)
        text, shape = self.named(text, shape)
        k = self.axis(shape)
        parts, lengths = [text], [_text(shape[k])]
        for _ in range(self.random.choice((1, 1, 2))):
            if self.random.random() < 0.4 and self.size(shape[k]) > 0 and shape[k]:
                parts.append(f"{text}[{':, ' * k}1:]")
                lengths.append(f"{_text(shape[k])} - 1")
            else:
                parts.append(self.variant(text, shape))
                lengths.append(_text(shape[k]))
        order = list(range(len(parts)))
        self.random.shuffle(order)
        total = f"({' + '.join(lengths)})"
        items = ", ".join(parts[o] for o in order)
        return f"concatenate([{items}], axis={k})", (*shape[:k], (total,), *shape[k + 1 :])

    def transpose(self, text: str, shape: Shape) -> tuple[str, Shape]:
        if self.random.random() < 0.4:
            return f"({text}).T", shape[::-1]
        order = list(range(len(shape)))
        self.random.shuffle(order)
        return (f"transpose({text}, {tuple(order)})", tuple(shape[k] for k in order)) if shape else (text, shape)

    def slice(self, text: str, shape: Shape) -> tuple[str, Shape]:
        axes = [k for k, c in enumerate(shape) if self.size(c) > 0 and c]
        if not axes:
            return text, shape
        k = self.random.choice(axes)
        cut, own = self.random.choice(
            [("0", None), ("-1", None), ("1:", (f"({_text(shape[k])} - 1)",)), ("::-1", shape[k]), ("None", shape[k])]
        )
        if cut == "None":
            return f"({text})[{':, ' * k}None]", (*shape[:k], (), *shape[k:])
        return f"({text})[{':, ' * k}{cut}]", (*shape[:k], *([] if own is None else [own]), *shape[k + 1 :])

    def reduce(self, text: str, shape: Shape) -> tuple[str, Shape]:
        if not shape:
            return self.unary(text, shape)
        axes = sorted(self.random.sample(range(len(shape)), self.random.randint(1, min(2, len(shape)))))
        empty = any(not self.size(shape[k]) for k in axes)
        names = ("sum",) if empty else ("sum", "mean", "max", "prod", "logsumexp", "var", "norm", "min")
        name = self.random.choice(names)
        inner = f"2 + sin({text})" if name == "norm" else f"sin({text})" if name == "prod" else text
        given = axes[0] if len(axes) == 1 else tuple(axes)
        if self.random.random() < 0.3:
            return f"{name}({inner}, axis={given}, keepdims=True)", tuple(
                () if k in axes else c for k, c in enumerate(shape)
            )
        return f"{name}({inner}, axis={given})", tuple(c for k, c in enumerate(shape) if k not in axes)

    def running(self, text: str, shape: Shape) -> tuple[str, Shape]:
        if not shape or not self.volume(shape):
            return self.unary(text, shape)
        name = self.random.choice(("cumsum", "softmax", "log_softmax", "cumsum"))
        if name == "cumsum" and self.random.random() < 0.3:
            return f"cumsum({text})", (tuple(f for c in shape for f in c),)
        return f"{name}({text}, axis={self.axis(shape)})", shape

    def product(self, text: str, shape: Shape) -> tuple[str, Shape]:
        if not shape:
            return self.unary(text, shape)
        rows = self.leaf((shape[-1], ("2",)))[0] if self.random.random() < 0.5 else None
        if rows:
            return f"({text}) @ {rows}", (*shape[:-1], ("2",))
        labels = "abcd"[: len(shape)]
        kind = self.random.randrange(3)
        if kind == 0:
            other = self.leaf((shape[0],))[0]
            return f"einsum('{labels},a->{labels[::-1]}', {text}, {other})", shape[::-1]
        if kind == 1:
            return f"einsum('{labels},{labels}->{labels[0]}', {text}, {self.variant(*self.named(text, shape))})", shape[
                :1
            ]
        other = self.leaf((("n",),))[0]
        return f"outer({text}, {other})", (tuple(f for c in shape for f in c), ("n",))

    def binary(self, text: str, shape: Shape) -> tuple[str, Shape]:
        cut = self.random.randint(0, len(shape))
        other = tuple(() if self.random.random() < 0.2 else c for c in shape[cut:])
        return f"({text} {self.random.choice('+-*')} {self.leaf(other)[0]})", shape

    def display(self, text: str, shape: Shape) -> tuple[str, Shape]:
        """Numbers made of an array, as a list or a matrix of two columns."""
        text, shape = self.named(text, shape)
        items = [
            self.together(text, shape),
            f"mean(sin({text}))" if self.volume(shape) else "0.5",
            self.leaf(())[0],
            "2",
        ]
        self.random.shuffle(items)
        if self.random.random() < 0.5:
            return f"[{', '.join(items[:3])}]", (("3",),)
        return f"[[{items[0]}, {items[1]}], [{items[2]}, {items[3]}]]", (("2",), ("2",))

    def matrix(self, text: str, shape: Shape) -> tuple[str, Shape]:
        k = self.random.randint(-1, 1)
        if len(shape) >= 2 and self.random.random() < 0.6:
            return f"{self.random.choice(('tril', 'triu'))}({text}, {k})", shape
        if len(shape) == 1:
            length = (f"({_text(shape[0])} + {abs(k)})",) if k else shape[0]
            return f"diag({text}, {k})", (length, length)
        if len(shape) == 2 and shape[0] == shape[1]:
            return (f"trace({text})", ()) if self.random.random() < 0.5 else (f"diag({text})", shape[:1])
        if len(shape) == 2:
            return f"eye({_text(shape[0])}) @ ({text})", shape
        return self.unary(text, shape)

    def gather(self, text: str, shape: Shape) -> tuple[str, Shape]:
        """At positions that are computed."""
        if not shape or not shape[0]:
            return self.unary(text, shape)
        length = _text(shape[0])
        at = self.random.choice((f"arange({length})//2", f"{length} - 1 - arange({length})", f"arange({length})*2//3"))
        return f"({text})[{at}]", shape

    def loop(self, text: str, shape: Shape) -> tuple[str, Shape]:
        """Row by row."""
        if not shape or not shape[0] or not self.size(shape[0]):
            return self.unary(text, shape)
        text, shape = self.named(text, shape)
        body, own = (
            self.random.choice((self.unary, self.binary))("row", shape[1:]) if False else ("sin(row)", shape[1:])
        )
        if len(shape) > 1 and self.random.random() < 0.5:
            body, own = "[sum(row), 0.3]", (("2",),)
        return f"[{body} for row in {text}]", (shape[0], *own)


def _text(length: Length) -> str:
    return "*".join(length) if length else "1"


def _brackets(shape: Shape) -> str:
    return f"[{', '.join(map(_text, shape))}]" if shape else ""


def generate(seed: int) -> Program:
    return Grower(seed).program()
