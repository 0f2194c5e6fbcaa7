"""A loop program as Python source: a module that runs on NumPy alone and that Numba compiles as it stands."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from gradc import resources
from gradc.count import operations
from gradc.emit import arrays, scalars
from gradc.emit.llvm import Operation
from gradc.extents import Poly
from gradc.loops import (
    Accumulate,
    Alloc,
    Apply,
    Assign,
    Block,
    Check,
    Comment,
    Const,
    Element,
    Expr,
    Fill,
    For,
    Name,
    Product,
    Routine,
    Stmt,
    Sweep,
    Target,
    Tiles,
    View,
    expressions,
    lengths,
    parts,
)
from gradc.ops import OPS
from gradc.program import Input
from gradc.schedule.names import ARRAYS, BUILTINS, C_NAMES

if TYPE_CHECKING:
    import jinja2

TEMPLATE = "module.py.jinja"
HELPERS = {f.__name__: f for f in (*scalars.FUNCTIONS, *arrays.FUNCTIONS)}
NUMPY = {
    *("sign", "floor", "ceil", "round", "maximum", "minimum", "sqrt", "cbrt", "hypot", "exp", "exp2", "expm1"),
    *("log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "arctan2"),
    *("sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh"),
}
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
TILE_NUMBERS = 1 << 16
"""How many numbers a tile and the data of its rows may have: half a megabyte, part of a core's own cache."""
TILE_STEP, TILE_LEAST, TILE_MOST = 8, 2, 64
"""A tile has a multiple of so many rows, what fits a vector register; at least and at most so many times that."""
CHUNK_WORK = 1 << 19
"""Weighted operations a chunk must have to be worth handing to a thread: a tenth of a millisecond or so."""
CHUNKS = 8
"""The most chunks there are, and so the most threads that can work on a sweep."""


@dataclass(frozen=True)
class Module:
    """An emitted module: its routines, and what the template makes a text of when somebody wants it.

    `helpers` are the library's, as they are spelt there.
    """

    parts: Mapping[str, Any]
    helpers: dict[str, str]
    inputs: tuple[Input, ...]
    routines: tuple[Routine, ...]
    spelling: Mapping[str, str]

    @property
    def entries(self) -> tuple[str, ...]:
        return tuple(r.name for r in self.routines)

    @property
    def kernels(self) -> tuple[str, ...]:
        """The functions that entries call for chunks of the rows."""
        return tuple(s.kernel for r in self.routines for s in r.body if isinstance(s, Sweep))

    @property
    def key(self) -> str:
        """All the text depends on: modules of equal keys have equal texts."""
        return repr(self.parts) + (resources.path("templates") / TEMPLATE).read_text(encoding="utf-8")

    @cached_property
    def text(self) -> str:
        return _environment().get_template(TEMPLATE).render(self.parts)

    @property
    def body(self) -> str:
        """The part of the text that defines the functions."""
        return self.text[: self.text.index("\n\ntry:\n    from numba import njit")] + "\n"

    def only(self, routine: Routine) -> Module:
        """A module of one of the routines, or of another form of it."""
        entry = _entry(_Printer(self.spelling), self.inputs, routine)
        return replace(self, parts={**self.parts, "entries": [entry]}, routines=(routine,))

    def operation(self, operation: Operation, name: str) -> str:
        """A scalar function as a Python function of this name."""
        value = _Printer(self.spelling).expr(operation.value)
        return f"def {name}({', '.join(p.name for p in operation.params)}):\n{INDENT}return {value}"


def emit(
    title: str, version: str, inputs: Sequence[Input], routines: Sequence[Routine], spelling: Mapping[str, str]
) -> Module:
    """One module with these entry points. `spelling`: what library names are called where the user has taken them."""
    printer = _Printer(spelling)
    entries = [_entry(printer, inputs, r) for r in routines]
    used = _closure(printer.used)
    helpers = [f for f in HELPERS if f in used]
    imports = sorted(used & IMPORTS)
    kernels = [s.kernel for r in routines for s in r.body if isinstance(s, Sweep)]
    parts = {
        "title": _docstring(title) or "Generated gradient code.",
        "version": version,
        "inputs": [str(i) for i in inputs],
        "counts": [(r.name, operations(r)) for r in routines],
        "imports": [_imported(name, spelling) for name in imports if name not in C_NAMES],
        "c_imports": [
            f"{name.removeprefix('c_')} as {spelling.get(name, name)}" for name in imports if name in C_NAMES
        ],
        "builtins": [f"{name} as {spelling[name]}" for name in sorted(used & BUILTINS) if name in spelling],
        "helpers": [_helper(name, spelling) for name in helpers],
        "entries": entries,
        "functions": [spelling.get(h, h) for h in helpers] + kernels + [r.name for r in routines],
    }
    spelt = {spelling.get(h, h): h for h in helpers}
    return Module(parts, spelt, tuple(inputs), tuple(routines), spelling)


IMPORTS = (NUMPY - {"round"}) | ARRAYS | C_NAMES


def _entry(printer: _Printer, inputs: Sequence[Input], routine: Routine) -> str:
    lines = [f"def {routine.name}({', '.join(i.name for i in inputs)}):"]
    used = _names(routine)
    for i in inputs:
        if not i.shape and i.type == "float" and i.name in used:
            lines.append(f"{INDENT}{i.name} = {printer.call('float64')}({i.name})")
    lines += [INDENT + line for line in _sizes(inputs, routine, used)]
    lines += printer.block(routine.body, 1)
    lines = [f"{kernel}\n\n" for kernel in printer.kernels] + lines
    printer.kernels = []
    value = printer.expr(routine.value)
    if routine.gradient is None:
        lines.append(f"{INDENT}return {value}")
    else:
        fields = ", ".join(printer.expr(g) for g in routine.gradient)
        lines.append(f"{INDENT}return {value}, ({fields}{',' if len(routine.gradient) == 1 else ''})")
    return "\n".join(lines)


def _names(routine: Routine) -> set[str]:
    """The scalars that the routine mentions."""
    exprs = [routine.value, *(routine.gradient or ())]
    for s, _ in routine.statements():
        exprs += expressions(s)
    return {p.name for e in exprs for p in parts(e) if isinstance(p, Name)}


def _sizes(inputs: Sequence[Input], routine: Routine, used: set[str]) -> list[str]:
    """Lines that bind the dims the routine uses to the shapes of its arrays."""
    needed: set[str] = set()
    for s, _ in routine.statements():
        needed |= frozenset().union(*(p.dims for p in lengths(s)))
    dims = {d for i in inputs for p in i.shape for d in p.dims}
    needed |= dims & used
    lines: list[str] = []
    bound: set[str] = set()
    for i in inputs:
        new = [str(p) for p in i.shape if p == Poly.atom(str(p)) and str(p) in needed - bound]
        if not new:
            continue
        names = [str(p) if p == Poly.atom(str(p)) and str(p) in needed - bound else "_" for p in i.shape]
        if len(set(names)) == len(names) > 1 and "_" not in names:
            lines.append(f"{', '.join(names)} = {i.name}.shape")
        else:
            lines += [f"{d} = {i.name}.shape[{k}]" for k, d in enumerate(names) if d != "_" and d not in names[:k]]
        bound |= set(new)
    return lines


class _Printer:
    """Prints statements and expressions, and notes which library names they use."""

    def __init__(self, spelling: Mapping[str, str]) -> None:
        self.spelling = spelling
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
        if isinstance(s, Comment):
            return [f"# {_printable(s.text)}"]
        if isinstance(s, For):
            self.names[s.index] = s.variable
            bounds = self._length(s.index.extent) if s.bounds is None else ", ".join(s.bounds)
            return [f"for {s.variable} in {self.call('range')}({bounds}):", *self._indented(s.body)]
        if isinstance(s, Tiles):
            return self._tiles(s)
        if isinstance(s, Sweep):
            return self._sweep(s)
        if isinstance(s, Product):
            operands = ", ".join(self._view(v) for v in (s.left, s.right, s.target))
            return [f"{self.call('multiply_add' if s.add else 'multiply')}({operands})"]
        if isinstance(s, Alloc):
            return [f"{s.array} = {self._array(s)}"]
        if isinstance(s, Fill):
            at = ", ".join(":" if a is None else self.expr(a) for a in s.at)
            return [f"{s.array}[{at}] = {self._number(s.value)}"]
        if isinstance(s, Check):
            return self._check(s)
        if isinstance(s, Block):
            call = f"{s.name}({', '.join(n.name for n in (*s.reads, *s.arrays))})"
            return [f"({', '.join(n.name for n in s.writes)},) = {call}" if s.writes else call]
        target = self.expr(s.target)
        if isinstance(s, Assign):
            if isinstance(s.target, Name):
                (self.plain.add if _plain(s.value, self.plain) else self.plain.discard)(s.target.name)
            return [f"{target} = {self.expr(s.value)}"]
        return self._accumulate(s, target)

    def _indented(self, body: Sequence[Stmt]) -> list[str]:
        return self.block(body, 1)

    def _tiles(self, s: Tiles) -> list[str]:
        largest, least = self.call("max"), self.call("min")
        room = f"{TILE_NUMBERS // TILE_STEP}//{self._positive(s.elements)}"
        for a, b in s.products:
            room = f"{largest}({room}, {least}({self._length(a)}, {self._length(b)})//{max(1, TILE_STEP // 2)})"
        return [
            f"{s.height} = {TILE_STEP}*{largest}({TILE_LEAST}, {least}({TILE_MOST}, {room}))  # rows at a time",
            *(f"{a.array} = {self._array(a)}" for a in s.arrays),
            f"for {s.start} in {self.call('range')}({s.first}, {s.last}, {s.height}):",
            f"{INDENT}{s.stop} = {least}({s.start} + {s.height}, {s.last})",
            *self._indented(s.body),
        ]

    def _sweep(self, s: Sweep) -> list[str]:
        """The call of a kernel, whose own text goes before the function that is being printed."""
        self.kernels.append(self._kernel(s))
        least = (
            str(CHUNK_WORK)
            if s.private.constant == 0
            else f"{self.call('max')}({CHUNK_WORK}, 4*{self._factor(s.private)})"
        )
        work = f"{self._factor(s.work)}//{least}"
        count = f"{self.call('max')}(1, {self.call('min')}({CHUNKS}, {work}))"
        lines = [f"{s.chunks} = {count}  # parts of the rows, for threads"]
        for p in s.parts:
            shape = (Poly.atom(s.chunks), *(length for _, length in p.axes))
            lines.append(f"{p.parts} = {self._array(Alloc(p.parts, shape, p.type, p.start))}")
        names = [*s.parameters, *(p.parts for p in s.parts)]
        args = f"({', '.join(names)}{',' if len(names) == 1 else ''})"
        rows = self._length(s.index.extent)
        lines.append(f"{self.call('in_chunks')}({s.kernel}, {rows}, {s.chunks}, {s.reach}, {args})")
        if s.parts:
            lines.append(f"for {s.chunk} in {self.call('range')}({s.chunks}):")
        for p in s.parts:
            depth = INDENT
            at = [k for k, _ in p.axes]
            for k, length in p.axes:
                lines.append(f"{depth}for {k} in {self.call('range')}({self._length(length)}):")
                depth += INDENT
            total: Target = Element(p.name, tuple(Name(k, "int") for k in at), p.type) if at else Name(p.name, p.type)
            part = Element(p.parts, tuple(Name(k, "int") for k in (s.chunk, *at)), p.type)
            lines += [depth + line for line in self._accumulate(Accumulate(total, p.op, part), self.expr(total))]
        return lines

    def _kernel(self, s: Sweep) -> str:
        given = ", ".join([s.chunk, s.first, s.last, *s.parameters, *(p.parts for p in s.parts)])
        before, after = [], []
        for p in s.parts:
            own = f"{p.parts}[{s.chunk}]"
            before.append(f"{p.name} = {own}" if p.axes else f"{p.name} = {self._number(p.start)}")
            if not p.axes:
                part = Element(p.parts, (Name(s.chunk, "int"),), p.type)
                after += self._accumulate(Accumulate(part, p.op, Name(p.name, p.type)), own)
        body = self.block(s.body, 0)
        lines = [
            f"def {s.kernel}({given}):",
            f'{INDENT}"""The rows from {s.first} below {s.last}."""',
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
        line = (
            f"{target} {sign}= {self.expr(value)}"
            if sign
            else f"{target} = {self.call(s.op)}({target}, {self.expr(value)})"
        )
        return [line] if s.guard is None else [f"if {self.expr(s.guard)}:", INDENT + line]

    def _check(self, s: Check) -> list[str]:
        inside = f"0 <= {self.expr(s.position, 5)} < {self._length(s.length, 5)}"
        test = f"not {inside}" if s.guard is None else f"{self.expr(s.guard, 3)} and not {inside}"
        return [f"if {test}:", f"{INDENT}raise {self.call('IndexError')}({s.message!r})"]

    def _array(self, s: Alloc) -> str:
        lengths = [self._length(p) for p in s.shape]
        shape = lengths[0] if len(lengths) == 1 else f"({', '.join(lengths)})"
        kind = {"float": "", "int": f", {self.call('int64')}" if s.type == "int" else "", "bool": ", bool_"}[s.type]
        if s.type == "bool":
            self.used.add("bool_")
        if s.fill is None:
            return f"{self.call('empty')}({shape}{kind})"
        if s.fill == 0:
            return f"{self.call('zeros')}({shape}{kind})"
        return f"{self.call('full')}({shape}, {self._number(s.fill)})"

    def _length(self, poly: Poly, precedence: int = 0) -> str:
        text = poly.render(lambda i: self.names[i])
        return text if poly.is_nonnegative() else f"{self.call('max')}({text}, 0)"

    def _number(self, value: float) -> str:
        if isinstance(value, float) and not math.isfinite(value):
            return self.call("nan") if value != value else ("-" if value < 0 else "") + self.call("inf")
        return repr(value)

    def expr(self, e: Expr, precedence: int = 0) -> str:
        text, own = self._expr(e)
        return f"({text})" if own < precedence else text

    def _expr(self, e: Expr) -> tuple[str, int]:
        if isinstance(e, Const):
            text = self._number(e.value)
            return text, PRECEDENCE["neg"] if text.startswith("-") else ATOM
        if isinstance(e, Name):
            return e.name, ATOM
        if isinstance(e, Element):
            return f"{e.array}[{', '.join(self.expr(a) for a in e.at)}]", ATOM
        if e.op == "select":
            c, a, b = e.args
            return f"{self.expr(a, 1)} if {self.expr(c, 1)} else {self.expr(b, 1)}", PRECEDENCE["select"]
        if e.op in ("float", "int"):
            return f"{self.call('float64' if e.op == 'float' else 'int64')}({self.expr(e.args[0])})", ATOM
        infix = OPS[e.op].infix
        if e.op == "neg":
            return f"-{self.expr(e.args[0], 7)}", PRECEDENCE["neg"]
        if e.op == "not":
            return f"not {self.expr(e.args[0], 4)}", PRECEDENCE["not"]
        if infix in COMPARISONS:
            return f"{self.expr(e.args[0], 5)} {infix} {self.expr(e.args[1], 5)}", 4
        if infix:
            return self._infix(e, infix)
        return f"{self._function(e)}({', '.join(self.expr(a) for a in _number_last(e))})", ATOM

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
            and _plain(left, self.plain)
            and _plain(right, self.plain)
        ):
            a = f"{self.call('float64')}({self.expr(left)})"
        b = self.expr(right, own + (infix != "**"))
        if e.type == "int" and e.op in ("floordiv", "mod") and not (isinstance(right, Const) and right.value):
            return f"{a}{infix}{b} if {self.expr(right, 1)} else 0", PRECEDENCE["select"]
        space = " " if own in (1, 2, 5) else ""
        return f"{a}{space}{infix}{space}{b}", own


def _number_last(e: Apply) -> tuple[Expr, ...]:
    """The arguments, a number behind the rest: Python's max and min let a NaN through only if it stands first."""
    return e.args[::-1] if e.op in EXTREMES and isinstance(e.args[0], Const) else e.args


def _plain(e: Expr, names: set[str]) -> bool:
    """Whether the expression may be a number of Python's own, whose division by zero raises; `names` may be."""
    if isinstance(e, Apply):
        if e.op == "select":
            return any(_plain(a, names) for a in e.args[1:])
        simple = e.op in ("add", "sub", "mul", "neg", "abs") or e.type == "int"
        if e.op in EXTREMES:
            return any(_plain(a, names) for a in e.args)
        return simple and all(_plain(a, names) for a in e.args)
    return isinstance(e, Const) or (isinstance(e, Name) and (e.type == "int" or e.name in names))


def _closure(used: set[str]) -> set[str]:
    """The names a set of names needs, through the helpers."""
    found, stack = set(), list(used)
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            if name in HELPERS:
                stack += [n for n in HELPERS[name].__code__.co_names if n in IMPORTS or n in HELPERS or n in BUILTINS]
    return found


def _printable(text: str) -> str:
    """Text of the user's that cannot end the line it stands in."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def _docstring(text: str) -> str:
    """Text of the user's that cannot end the docstring it stands in, nor mean anything else there."""
    return _printable(text).replace("\\", "\\\\").replace('"', "'")


def _imported(name: str, spelling: Mapping[str, str]) -> str:
    return f"{name} as {spelling[name]}" if name in spelling else name


@cache
def _source(name: str) -> str:
    text = inspect.getsource(HELPERS[name]).rstrip()
    return re.sub(r": (float|int|Any)\b| -> (float|None)\b", "", text)


def _helper(name: str, spelling: Mapping[str, str]) -> str:
    text = _source(name)
    for word, other in spelling.items():
        text = re.sub(rf"\b{word}\b", other, text)
    return text


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources.path("templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
