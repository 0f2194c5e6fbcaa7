"""Random index notation: comprehensions and reductions over ranges, arrays, triangles and ragged rows."""

from __future__ import annotations

from collections.abc import Sequence

from random_draws import Index, Shape
from random_expressions import Expressions, Maker


class Loops(Expressions):
    """Expressions that open loops."""

    def makers(self, shape: Shape) -> list[Maker]:
        makers = [*super().makers(shape), self.sum_comprehension, self.sum_comprehension, self.comprehension]
        if shape:
            return [*makers, self.comprehension]
        return [*makers, self.several_loops, self.several_loops, self.ragged]

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
                self.loops.append(Index(i, length))
            elif kind == "below":
                other = self.pick(outer)
                bound_text = self.pick((other.text, f"{other.text} + 1"))
                clauses.append(f"for {i} in range({bound_text})")
                self.loops.append(Index(i, other.length))
            elif kind == "between":
                other = self.pick(outer)
                start = self.pick((other.text, f"{other.text} + 1"))
                clauses.append(f"for {i} in range({start}, {other.length})")
                self.loops.append(Index(i, other.length))
            elif kind == "shifted":
                clauses.append(f"for {i} in range(1, n)")
                self.loops += [Index(i, "n"), Index(f"{i} - 1", "n"), Index(f"n - {i}", "n")]
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
                    self.loops.append(Index(i, length))
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

    def ragged(self, shape: Shape) -> str:
        """Sums over parts of an axis that an index input divides."""
        length = self.pick(("d", "K", "2*d"))
        bounds = self.table(("n+1",), f"rising {length}")
        before = len(self.loops)
        i, p = self.fresh(), self.fresh()
        self.loops += [Index(i, "n"), Index(p, length)]
        body = self.expr(())
        del self.loops[before:]
        rows = f"for {p} in range({bounds}[{i}], {bounds}[{i} + 1])"
        if self.chance(50):
            return f"sum({body} for {i} in range(n) {rows})"
        row = f"[sum({body} {rows}) for {i} in range(n)]"
        return f"sum({self.pick(('sin', 'square', 'softmax', 'cumsum'))}({row}))"

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
        self.loops.append(Index(i, shape[0]))
        body = self.expr(shape[1:])
        self.loops.pop()
        return f"[{body} for {i} in range({shape[0]})]"
