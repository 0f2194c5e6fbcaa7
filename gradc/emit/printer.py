"""Statements and expressions of a loop program as Python."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence

from gradc.emit import single
from gradc.extents import Poly
from gradc.ir import Number, Type
from gradc.loops import (
    Accumulate,
    Alloc,
    Apply,
    Assign,
    Check,
    Comment,
    Const,
    Element,
    Expr,
    Fill,
    Flat,
    For,
    Linear,
    Name,
    Product,
    Rows,
    Section,
    Stmt,
    Sweep,
    Target,
    Tiles,
    View,
    as_update,
)
from gradc.ops import OPS

PRECEDENCE = {
    "select": 0,
    "or": 1,
    "and": 2,
    "not": 3,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "//": 6,
    "%": 6,
    "neg": 7,
    "**": 8,
}
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
EXTREMES = ("maximum", "minimum")
ATOM = 9
INDENT = "    "
TILE_NUMBERS = 1 << 17
"""How many numbers a tile and the data of its rows may have: a megabyte.

That is twice as much as some cores have a cache of their own for. Most of a row's numbers are written once and looked
at once, and loops over few rows take longer than that costs.
"""
STREAM_NUMBERS, PRODUCT_NUMBERS = 1 << 16, 1 << 15
"""And where a tile is little more than rows of data, and where there are products of matrices.

All is looked at twice then, and the products' other factors are to stay in that cache, too.
"""
NEAR = 160
"""How many registers full of numbers are near at hand: ten kilobytes, part of a core's first cache.

A tile that is little more than rows of data keeps to that, if they are short: looking at them again is for nothing.
"""
SHORT = 32
"""The most registers full of numbers of short rows: two kilobytes, some of which are near at hand yet."""
TILE_STEP, TILE_LEAST, TILE_MOST = 8, 2, 63
"""A tile has a multiple of so many rows, what fits a vector register; at least and at most so many times that.

Twice as many float32 fit a register. Where a tile has arrays with an axis of its rows behind another one, it is an odd
multiple: the numbers of a row, as far apart as a power of two, would have to share few places of the first cache.
"""
TOGETHER = 512
"""How many elements short rows put together have."""
SWEEP_WORK = 1 << 20
"""Weighted operations a sweep must have to be worth handing to threads: a fifth of a millisecond or so."""
PRIVATE_WORK = 4
"""And how many for each number that a chunk has for itself: they are filled, and added up in the end."""
CHUNKS, MANY_CHUNKS = 8, 32
"""The chunks of such a sweep, and so the most threads that can work on it: many if they may be short.

Then a thread that comes late, or loses its core, leaves the others less to wait for.
"""


class Printer:
    """Prints statements and expressions, and notes which library names they use.

    `wide` are the names that are float64 in a float32 module.
    """

    def __init__(self, spelling: Mapping[str, str], dtype: str) -> None:
        self.spelling, self.dtype, self.single = spelling, dtype, dtype == "float32"
        self.wide: frozenset[str] = frozenset()
        self.used: set[str] = set()
        self.names: dict[object, str] = {}
        self.plain: set[str] = set()
        self.kernels: list[str] = []

    def call(self, name: str) -> str:
        self.used.add(name)
        return self.spelling.get(name, name)

    def block(self, body: Sequence[Stmt], depth: int) -> list[str]:
        lines: list[str] = []
        for s in body:
            lines += [INDENT * depth + line for line in self._statement(s)]
        return lines

    def _statement(self, s: Stmt) -> list[str]:
        if isinstance(s, Assign):
            return self._assign(s)
        if isinstance(s, Accumulate):
            return self._accumulate(s, self._place(s.target))
        if isinstance(s, Comment):
            return [f"# {printable(s.text)}"]
        if isinstance(s, For):
            self.names[s.index] = s.variable
            length = s.index.extent.render(lambda i: self.names[i])  # below 0 there is no turn, as with 0
            bounds = length if s.bounds is None else ", ".join(s.bounds)
            loop = [f"for {s.variable} in {self.call('range')}({bounds}):", *self._indented(s.body)]
            return self._where(s.guard, loop)
        if isinstance(s, Tiles):
            return self._tiles(s)
        if isinstance(s, Sweep):
            return self._where(s.guard, self._sweep(s))
        if isinstance(s, Product):
            operands = ", ".join(self._view(v) for v in (s.left, s.right, s.target))
            return [f"{self.call('multiply_add' if s.add else 'multiply')}({operands})"]
        if isinstance(s, Alloc):
            return [f"{s.array} = {self._array(s)}"]
        if isinstance(s, Fill):
            at = ", ".join(":" if a is None else self.expr(a) for a in s.at)
            return [f"{s.array}[{at}] = {self._typed(s.value)}"]
        if isinstance(s, Check):
            return self._check(s)
        if isinstance(s, Linear):
            return self._linear(s)
        call = f"{s.name}({', '.join(n.name for n in (*s.reads, *s.arrays))})"
        return [f"({', '.join(n.name for n in s.writes)},) = {call}" if s.writes else call]

    def _assign(self, s: Assign) -> list[str]:
        target = self._place(s.target)
        if target in self.wide:
            return [f"{target} = {self._widened(s.value)}"]
        if isinstance(s.target, Name):
            (self.plain.add if _plain(s.value, self.plain) else self.plain.discard)(s.target.name)
        update = as_update(s)
        return [f"{target} = {self.expr(s.value)}"] if update is None else self._accumulate(update, target)

    def _indented(self, body: Sequence[Stmt]) -> list[str]:
        return self.block(body, 1)

    def _where(self, guard: Expr | None, lines: list[str]) -> list[str]:
        """The lines, run only where the guard holds."""
        return lines if guard is None else [f"if {self.expr(guard)}:", *(INDENT + line for line in lines)]

    def _tiles(self, s: Tiles) -> list[str]:
        least = self.call("min")
        height = [] if s.is_given else [f"{s.height} = {self._height(s)}  # rows at a time"]
        return [
            *height,
            *(f"{a.array} = {self._array(a)}" for a in s.arrays),
            f"for {s.start} in {self.call('range')}({s.first}, {s.last}, {s.height}):",
            f"{INDENT}{s.stop} = {least}({s.start} + {s.height}, {s.last})",
            *self._indented(s.body),
        ]

    def _height(self, s: Tiles) -> str:
        """As many rows as there is room for what is held of them; a number where that is known."""
        step = TILE_STEP * (2 if self.single else 1)
        room = STREAM_NUMBERS if s.streams else PRODUCT_NUMBERS if s.products else TILE_NUMBERS
        elements, fixed = self._positive(s.elements), s.elements.constant
        largest, least = self.call("max"), self.call("min")
        if s.streams:
            near = f"{NEAR}//{elements} if {self._length(s.elements)} <= {SHORT * step}"
            return f"{step}*{largest}({TILE_LEAST}, {least}({TILE_MOST}, {near} else {room // step}//{elements}))"
        pair, fewest, most = 2 * step, TILE_LEAST // 2, TILE_MOST // 2
        if fixed and not s.products:
            return str(pair * max(fewest, min(most, room // pair // fixed)) + step)
        text = f"{room // pair}//{elements}"
        for a, b in s.products:
            text = f"{largest}({text}, {least}({self._length(a)}, {self._length(b)})//{step})"
        return f"{pair}*{largest}({fewest}, {least}({most}, {text})) + {step}"

    def _sweep(self, s: Sweep) -> list[str]:
        """The call of a kernel, whose own text goes before the function that is being printed."""
        wide = [p for p in s.parts if self.single and single.loses_digits(p)]
        around = self.wide | {p.parts for p in wide}
        self.wide = around | {p.name for p in wide}
        self.kernels.append(self._kernel(s))
        self.wide = around
        most, private = MANY_CHUNKS if _may_be_short(s) else CHUNKS, PRIVATE_WORK * CHUNKS
        least = str(max(SWEEP_WORK, private * (s.private.constant or 0)))
        if s.private.constant is None:
            least = f"{self.call('max')}({least}, {private}*{self._factor(s.private)})"
        count = f"{most} if {self._length(s.work)} >= {least} else 1"
        lines = self._put_together(s.rows) if s.rows else []
        lines.append(f"{s.chunks} = {count}  # parts of the {_swept(s)}, for threads")
        for p in s.parts:
            own = (s.rows.size,) if s.rows and p.name in s.rows.totals else tuple(length for _, length in p.axes)
            shape = (Poly.atom(s.chunks), *own)
            start = None if s.fills(p) else p.start
            lines.append(f"{p.parts} = {self._array(Alloc(p.parts, shape, p.type, start))}")
        rows = self._length(s.index.extent)
        given = [self._flat(name, s.flat) if name in s.flat.arrays else name for name in s.parameters]
        given += [p.parts for p in s.parts]
        args = f"({', '.join(given)}{',' if len(given) == 1 else ''})"
        lines.append(f"{self.call('in_chunks')}({s.kernel}, {rows}, {s.chunks}, {s.reach}, {args})")
        return lines + self._combined(s)

    def _flat(self, name: str, flat: Flat) -> str:
        """An array with its first axes as one, which costs a copy only if its elements do not lie in order."""
        others = [self._length(length) for length in flat.arrays[name]]
        row = f"{name}.ravel()"
        return f"{row}.reshape({', '.join([self._length(flat.size), *others])})" if others else row

    def _put_together(self, s: Rows) -> list[str]:
        """How many rows, and each one's own of the vectors that are read."""
        room = f"{TOGETHER}//({self._length(s.columns)} + 1)"
        lines = [f"{s.height} = {self.call('max')}(1, {room})  # short rows, put together"]
        lines += [f"{c.copy} = {self._array(Alloc(c.copy, (s.size,), c.type))}" for c in s.copies]
        column = Name(s.turns[1], "int")
        loops = self._loops((s.turns[0], Poly.atom(s.height)), (column.name, s.columns))
        copied: list[str] = []
        for c in s.copies:
            copied += self._assign(
                Assign(Element(c.copy, (s.place(column),), c.type), Element(c.array, (column,), c.type))
            )
        return lines + (_nested(loops, copied) if copied else [])

    def _loops(self, *axes: tuple[str, Poly]) -> list[str]:
        return [f"for {variable} in {self.call('range')}({self._length(length)}):" for variable, length in axes]

    def _combined(self, s: Sweep) -> list[str]:
        """The parts added up, chunk by chunk; row by row where they are matrices, so that totals stay at hand."""
        loop = f"for {s.chunk} in {self.call('range')}({s.chunks}):"
        together: list[str] = []
        apart: list[str] = []
        for p in s.parts:
            at: tuple[Expr, ...] = tuple(Name(k, "int") for k, _ in p.axes)
            total: Target = Element(p.name, at, p.type) if at else Name(p.name, p.type)
            axes, place = p.axes, at
            if s.rows and p.name in s.rows.totals:
                axes, place = ((s.rows.turns[0], Poly.atom(s.rows.height)), *axes), (s.rows.place(at[0]),)
            part = Element(p.parts, (Name(s.chunk, "int"), *place), p.type)
            lines = self._accumulate(Accumulate(total, p.op, part), self._place(total))
            loops = self._loops(*axes)
            if len(p.axes) > 1:
                apart += _nested([*loops[:-1], loop, loops[-1]], lines)
            else:
                together += _nested(loops, lines)
        return [*(_nested([loop], together) if together else []), *apart]

    def _kernel(self, s: Sweep) -> str:
        given = ", ".join([s.chunk, s.first, s.last, *s.parameters, *(p.parts for p in s.parts)])
        before, after = [], []
        for p in s.parts:
            is_wide = p.name in self.wide
            at = tuple(Name(k, "int") for k, _ in p.axes)
            if len(p.axes) > 1:
                before.append(f"{p.name} = {p.parts}[{s.chunk}]")
                if s.fills(p):
                    start = self._widened(Const(p.start)) if is_wide else self._typed(p.start)
                    before.append(f"{p.name}[{', '.join(':' * len(p.axes))}] = {start}")
                continue
            if p.axes:
                before.append(f"{p.name} = {self._new(f'{p.parts}.shape[1]', p.type, p.start, is_wide)}")
            else:
                before.append(f"{p.name} = {self._widened(Const(p.start)) if is_wide else self._typed(p.start)}")
            part = Element(p.parts, (Name(s.chunk, "int"), *at), p.type)
            own = Element(p.name, at, p.type) if at else Name(p.name, p.type)
            loops = [f"for {k} in {self.call('range')}({p.name}.size):" for k, _ in p.axes]
            after += _nested(loops, self._accumulate(Accumulate(part, p.op, own), self._place(part)))
        body = self.block(s.body, 0)
        lines = [
            f"def {s.kernel}({given}):",
            f'{INDENT}"""The {_swept(s)} from {s.first} below {s.last}."""',
            *(INDENT + line for line in (*before, *body, *after)),
        ]
        return "\n".join(lines)

    def _view(self, v: View) -> str:
        at = ", ".join(":" if s is None else ":".join(s) for s in v.slices)
        text = v.array if all(s is None for s in v.slices) else f"{v.array}[{at.removesuffix(', :')}]"
        return f"{text}.T" if v.transposed else text

    def _factor(self, poly: Poly) -> str:
        text = self._length(poly)
        return text if text.replace("_", "").replace("*", "").isalnum() or text.endswith(")") else f"({text})"

    def _positive(self, poly: Poly) -> str:
        text = poly.render(lambda i: self.names[i])
        if poly.constant is not None:
            return text
        return f"({text})" if poly.is_nonnegative() else f"{self.call('max')}({text}, 1)"

    def _accumulate(self, s: Accumulate, target: str) -> list[str]:
        value, sign = s.value, OPS[s.op].infix
        if s.op == "add" and isinstance(value, Apply) and value.op == "neg":
            value, sign = value.args[0], "-"
        term = self.expr(value)
        if isinstance(value, Name | Element) and self._is_wide(value) and self._is_wide(s.target):
            term = self._place(value)
        function = self.call(s.op[:3] if s.op in EXTREMES and s.target.type == "int" else s.op)
        line = f"{target} {sign}= {term}" if sign else f"{target} = {function}({target}, {term})"
        return self._where(s.guard, [line])

    def _check(self, s: Check) -> list[str]:
        inside = f"0 <= {self.expr(s.position, 5)} < {self._length(s.length, 5)}"
        test = f"not {inside}" if s.guard is None else f"{self.expr(s.guard, 3)} and not {inside}"
        return [f"if {test}:", f"{INDENT}raise {self.call('IndexError')}({s.message!r})"]

    def _linear(self, s: Linear) -> list[str]:
        given = [self._section(g) for g in s.given]
        if isinstance(s.target, Section):
            line = f"{self.call(s.kind)}({', '.join([*given, self._section(s.target)])})"
            return [line] if s.guard is None else [f"if {self.expr(s.guard)}:", INDENT + line]
        number = f"{self.call(s.kind)}({', '.join(given)})"
        if self.single:
            number = f"{self.call('float32')}({number})"
        line = f"{self._place(s.target)} = {number}"
        return [line] if s.guard is None else [f"{line} if {self.expr(s.guard, 1)} else {self._typed(0.0)}"]

    def _section(self, s: Section) -> str:
        at = [(f":{self._length(e)}" if e.indices else ":") if isinstance(e, Poly) else self.expr(e) for e in s.at]
        while at and at[-1] == ":":
            at.pop()
        text = f"{s.array}[{', '.join(at)}]" if at else s.array
        return f"{text}.T" if s.transposed else text

    def _array(self, s: Alloc) -> str:
        lengths = [self._length(p) for p in s.shape]
        shape = lengths[0] if len(lengths) == 1 else f"({', '.join(lengths)})"
        return self._new(shape, s.type, s.fill, s.array in self.wide)

    def _new(self, shape: str, type: Type, fill: Number | None, is_wide: bool) -> str:
        kind = {
            "float": f", {self.call('float32')}" if self.single and not is_wide else "",
            "int": f", {self.call('int64')}" if type == "int" else "",
            "bool": ", bool_",
        }[type]
        if type == "bool":
            self.used.add("bool_")
        if fill is None:
            return f"{self.call('empty')}({shape}{kind})"
        if fill == 0:
            return f"{self.call('zeros')}({shape}{kind})"
        return f"{self.call('full')}({shape}, {self._typed(fill)})"

    def _length(self, poly: Poly, precedence: int = 0) -> str:
        text = poly.render(lambda i: self.names[i])
        return text if poly.is_nonnegative() else f"{self.call('max')}({text}, 0)"

    def _number(self, value: float) -> str:
        if isinstance(value, float) and not math.isfinite(value):
            return self.call("nan") if value != value else ("-" if value < 0 else "") + self.call("inf")
        return repr(value)

    def _typed(self, value: float) -> str:
        text = self._number(value)
        return f"{self.call('float32')}({text})" if self.single and isinstance(value, float) else text

    def _place(self, e: Target) -> str:
        return e.name if isinstance(e, Name) else f"{e.array}[{', '.join(self.expr(a) for a in e.at)}]"

    def _is_wide(self, e: Expr) -> bool:
        if not self.wide:
            return False
        return (isinstance(e, Name) and e.name in self.wide) or (isinstance(e, Element) and e.array in self.wide)

    def _widened(self, e: Expr) -> str:
        """The expression as a float64, not rounded if it is one."""
        if isinstance(e, Name | Element) and self._is_wide(e):
            return self._place(e)
        return f"{self.call('float64')}({self._number(e.value) if isinstance(e, Const) else self.expr(e)})"

    def result(self, e: Expr, arrays: Container[str]) -> str:
        """What a function returns: numbers are float64 in every module."""
        array = isinstance(e, Name) and e.name in arrays
        return self._widened(e) if self.single and not array and single.kind(e) == "float" else self.expr(e)

    def expr(self, e: Expr, precedence: int = 0) -> str:
        text, own = self._expr(e)
        return f"({text})" if own < precedence else text

    def _expr(self, e: Expr) -> tuple[str, int]:
        if isinstance(e, Name | Element):
            text = self._place(e)
            return f"{self.call('float32')}({text})" if self._is_wide(e) else text, ATOM
        if isinstance(e, Const):
            text = self._typed(e.value)
            return text, PRECEDENCE["neg"] if text.startswith("-") else ATOM
        if e.op == "select":
            c, a, b = e.args
            return f"{self.expr(a, 1)} if {self.expr(c, 1)} else {self.expr(b, 1)}", PRECEDENCE["select"]
        if e.op in ("float", "int"):
            return f"{self.call(self.dtype if e.op == 'float' else 'int64')}({self.expr(e.args[0])})", ATOM
        infix = OPS[e.op].infix
        if self.single:
            e = single.of_floats(e)
        if e.op == "neg":
            return f"-{self.expr(e.args[0], 7)}", PRECEDENCE["neg"]
        if e.op == "not":
            return f"not {self.expr(e.args[0], 4)}", PRECEDENCE["not"]
        if infix in COMPARISONS:
            return f"{self.expr(e.args[0], 5)} {infix} {self.expr(e.args[1], 5)}", 4
        if infix:
            return self._infix(e, infix)
        text = f"{self._function(e)}({', '.join(self.expr(a) for a in _number_last(e))})"
        return f"{self.call('float32')}({text})" if self.single and e.op in single.DOUBLE else text, ATOM

    def _function(self, e: Apply) -> str:
        if e.op in EXTREMES and (e.type == "int" or any(isinstance(a, Const) for a in e.args)):
            return self.call(e.op[:3])
        if e.op == "round":
            return self.call("rint")
        return self.call(e.op)

    def _infix(self, e: Apply, infix: str) -> tuple[str, int]:
        own = PRECEDENCE[infix]
        left, right = e.args
        a = self.expr(left, own + (infix == "**"))
        if (
            e.op in ("div", "mod", "floordiv", "power")
            and e.type == "float"
            and not self.single
            and _plain(left, self.plain)
            and _plain(right, self.plain)
        ):
            a = f"{self.call('float64')}({self.expr(left)})"
        b = self.expr(right, own + (infix != "**"))
        if e.type == "int" and e.op in ("floordiv", "mod") and not (isinstance(right, Const) and right.value):
            return f"{a}{infix}{b} if {self.expr(right, 1)} else 0", PRECEDENCE["select"]
        space = " " if own in (1, 2, 5) else ""
        return f"{a}{space}{infix}{space}{b}", own


def _may_be_short(s: Sweep) -> bool:
    """Whether chunks of few rows cost nothing: there are no tiles, no arrays of their own, no rows to be run later."""
    return s.private.constant == 0 and not s.reach and not any(isinstance(t, Tiles) for t in s.body)


def _swept(s: Sweep) -> str:
    """What a kernel runs over, by what its arrays are."""
    return "elements" if s.flat.size == s.index.extent and not any(s.flat.arrays.values()) else "rows"


def _nested(loops: Sequence[str], body: list[str]) -> list[str]:
    for loop in reversed(loops):
        body = [loop, *(INDENT + line for line in body)]
    return body


def _number_last(e: Apply) -> tuple[Expr, ...]:
    """The arguments, a number behind the rest: Python's max and min let a NaN through only if it stands first."""
    return e.args[::-1] if e.op in EXTREMES and isinstance(e.args[0], Const) else e.args


def _plain(e: Expr, names: set[str]) -> bool:
    """Whether the expression may be a number of Python's own, whose division by zero raises; `names` may be."""
    if isinstance(e, Name):
        return e.type == "int" or e.name in names
    if isinstance(e, Apply):
        if e.op == "select":
            return any(_plain(a, names) for a in e.args[1:])
        simple = e.op in ("add", "sub", "mul", "neg", "abs") or e.type == "int"
        if e.op in EXTREMES:
            return any(_plain(a, names) for a in e.args)
        return simple and all(_plain(a, names) for a in e.args)
    return isinstance(e, Const)


def printable(text: str) -> str:
    """Text of the user's that cannot end the line it stands in."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
