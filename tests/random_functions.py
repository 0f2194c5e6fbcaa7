"""Random calls of array functions and of linear algebra."""

from __future__ import annotations

from random_draws import PLAIN, Shape
from random_expressions import Maker
from random_loops import Loops

SQUARES = (
    "({m}).T", "inv({m} + 4*eye({c}))", "solve({m} + 4*eye({c}), {o})", "cholesky({m} @ ({m}).T + eye({c}))",
    "tril({m})", "triu({m}, 1)", "diag({v})", "({m} @ {o})", "tanh({m})[::-1]", "outer({v}, {v})",
    "({m} if {v} > 0 else inv({m} + 5*eye({c})))",
)  # fmt: skip
NUMBERS = (
    "trace({m})", "det({m}/2)", "logdet({m} @ ({m}).T + eye({c}))", "sum(diag({m})*{v})", "norm({m})",
    "sum(solve({m} + 4*eye({c}), {v}))", "einsum('ij,ji->', {m}, {o})",
    "(logdet({m} + 4*eye({c})) if sum({v}) > 0 else sum({v}))", "({v} @ {m} @ {v})",
)  # fmt: skip


class Functions(Loops):
    """Expressions that put arrays together, take them apart and treat them as matrices."""

    def makers(self, shape: Shape) -> list[Maker]:
        makers = [*super().makers(shape), self.constant]
        if not shape:
            return [*makers, self.of_square, self.of_square, self.of_several]
        makers += [self.reshaped, self.einsum, self.broadcast]
        if any(c in ("2*d", "n+d", "2", "3") for c in shape):
            makers += [self.concatenated, self.concatenated, self.stacked]
        if len(shape) == 2 and shape[0] == shape[1]:
            makers += [self.square, self.square, self.square]
        if len(shape) == 2:
            makers += [self.triangle]
        if len(shape) == 1:
            makers += [self.solved, self.of_length, self.of_length]
        return makers

    def constant(self, shape: Shape) -> str:
        if not shape:
            return self.pick(("pi", "e", "len({})", "{}.shape[0]")).format(self.declare((self.pick(PLAIN),)))
        lengths = f"({', '.join(shape)},)"
        return self.pick(("zeros({0})", "ones({0})", "full({0}, {1})")).format(lengths, self.expr(()))

    def broadcast(self, shape: Shape) -> str:
        return f"({self.expr(shape)} + zeros(({', '.join(shape)},)))"

    def of_several(self, shape: Shape) -> str:
        return f"{self.pick(('max', 'min'))}({self.expr(())}, {self.expr(())}, {self.expr(())})"

    def reshaped(self, shape: Shape) -> str:
        lengths = f"({', '.join(shape)},)"
        forms = [f"reshape({self.expr(shape[::-1])}, {lengths})", f"reshape(ravel({self.expr(shape)}), {lengths})"]
        if shape == ("2*d",):
            forms = [f"ravel({self.expr(('2', 'd'))})", f"reshape({self.expr(('d', '2'))}, (2*d,))"]
        return self.pick(forms)

    def concatenated(self, shape: Shape) -> str:
        parts = {"2*d": ("d", "d"), "n+d": ("n", "d"), "2": ("1", "1"), "3": ("2", "1")}
        k = self.pick([k for k, c in enumerate(shape) if c in parts])
        own = [(*shape[:k], c, *shape[k + 1 :]) for c in parts[shape[k]]]
        return f"concatenate([{', '.join(map(self.expr, own))}], axis={self.axis(k, len(shape))})"

    def stacked(self, shape: Shape) -> str:
        """Of two or three arrays; a list of them if the new axis comes first."""
        found = [k for k, c in enumerate(shape) if c in ("2", "3")]
        if not found:
            return self.concatenated(shape)
        k = self.pick(found)
        items = ", ".join(self.expr((*shape[:k], *shape[k + 1 :])) for _ in range(int(shape[k])))
        if k == 0 and self.chance(60):
            return f"[{items}]"
        return f"stack([{items}], axis={self.axis(k, len(shape))})"

    def einsum(self, shape: Shape) -> str:
        inner, labels = self.pick(("n", "d", "2")), "abc"[: len(shape)]
        kind = self.pick(("turned", "sum", "product"))
        if kind == "turned" or len(shape) == 3:
            return f"einsum('{labels[::-1]}->{labels}', {self.expr(shape[::-1])})"
        if kind == "sum":
            return f"einsum('z{labels}->{labels}', {self.expr((inner, *shape))})"
        a, b = self.expr((inner, shape[0])), self.expr((inner, *shape[1:]))
        return f"einsum('za,z{labels[1:]}->{labels}', {a}, {b})"

    # matrices

    def filled(self, template: str, length: str) -> str:
        """A template of square matrices m and o and a vector v."""
        m = self.expr((length, length))
        o = self.expr((length, length)) if "{o}" in template else ""
        v = self.expr((length,)) if "{v}" in template else ""
        return template.format(m=f"tanh({m})", o=f"tanh({o})", v=f"sin({v})", c=length)

    def square(self, shape: Shape) -> str:
        return self.filled(self.pick(SQUARES), shape[0])

    def of_square(self, shape: Shape) -> str:
        return self.filled(self.pick(NUMBERS), self.pick(("d", "n", "2", "3")))

    def solved(self, shape: Shape) -> str:
        return self.filled(self.pick(("solve({m} + 4*eye({c}), {v})", "diag({m})", "({m} @ {v})")), shape[0])

    def triangle(self, shape: Shape) -> str:
        return f"{self.pick(('tril', 'triu'))}({self.expr(shape)}, {self.pick((0, 1, -1))})"

    def of_length(self, shape: Shape) -> str:
        """Vectors made of a length."""
        c = shape[0]
        forms = ["(0.3*arange({c}) - {a})", "linspace({a}, {b}, {c})", "(arange({c}) > {a})"]
        if self.chance(30):
            return f"sum(one_hot({self.table(('3',), c)}, {c})*{self.expr(('3', c))}, axis=0)"
        return self.pick(forms).format(c=c, a=self.expr(()), b=self.expr(()))
