"""A loop program as Python source: a module that runs on NumPy alone and that Numba compiles as it stands."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from gradc import resources
from gradc.count import operations
from gradc.emit import algebra, arrays, scalars, single
from gradc.emit.llvm import Operation
from gradc.emit.printer import INDENT, Printer, printable
from gradc.extents import Poly
from gradc.loops import (
    Name,
    Routine,
    Sweep,
    expressions,
    lengths,
    parts,
)
from gradc.program import Input
from gradc.schedule.names import ARRAYS, BUILTINS, C_NAMES

if TYPE_CHECKING:
    import jinja2

HELPERS = {f.__name__: f for f in (*scalars.FUNCTIONS, *arrays.FUNCTIONS, *algebra.FUNCTIONS)}
NUMPY = {
    *("sign", "floor", "ceil", "round", "maximum", "minimum", "sqrt", "cbrt", "hypot", "exp", "exp2", "expm1"),
    *("log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "arctan2"),
    *("sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh"),
}
TEMPLATE = "module.py.jinja"


class Module(Struct, frozen=True, dict=True):
    """An emitted module: its routines, and what the template makes a text of when somebody wants it.

    `helpers` are the library's, as they are spelt there.
    """

    parts: Mapping[str, Any]
    helpers: dict[str, str]
    inputs: tuple[Input, ...]
    routines: tuple[Routine, ...]
    spelling: Mapping[str, str]
    dtype: str

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
        entry = _entry(Printer(self.spelling, self.dtype), self.inputs, routine)
        return replace(self, parts={**self.parts, "entries": [entry]}, routines=(routine,))

    def operation(self, operation: Operation, name: str) -> str:
        """A scalar function as a Python function of this name."""
        value = Printer(self.spelling, self.dtype).expr(operation.value)
        return f"def {name}({', '.join(p.name for p in operation.params)}):\n{INDENT}return {value}"


def emit(
    title: str,
    version: str,
    inputs: Sequence[Input],
    routines: Sequence[Routine],
    spelling: Mapping[str, str],
    dtype: str = "float64",
) -> Module:
    """One module with these entry points. `spelling`: what library names are called where the user has taken them."""
    printer = Printer(spelling, dtype)
    entries = [_entry(printer, inputs, r) for r in routines]
    used = _closure(printer.used)
    helpers = [f for f in HELPERS if f in used]
    if helpers and printer.single:
        used.add("float32")
    imports = sorted(used & IMPORTS)
    kernels = [s.kernel for r in routines for s in r.body if isinstance(s, Sweep)]
    parts = {
        "title": _docstring(title) or "Generated gradient code.",
        "version": version,
        "dtype": dtype,
        "exact": any(r.exact for r in routines),
        "inputs": [str(i) for i in inputs],
        "counts": [(r.name, operations(r)) for r in routines],
        "imports": [_imported(name, spelling) for name in imports if name not in C_NAMES],
        "c_imports": [
            f"{name.removeprefix('c_')} as {spelling.get(name, name)}" for name in imports if name in C_NAMES
        ],
        "builtins": [f"{name} as {spelling[name]}" for name in sorted(used & BUILTINS) if name in spelling],
        "helpers": [_helper(name, spelling, dtype) for name in helpers],
        "entries": entries,
        "functions": [spelling.get(h, h) for h in helpers] + kernels + [r.name for r in routines],
    }
    spelt = {spelling.get(h, h): h for h in helpers}
    return Module(parts, spelt, tuple(inputs), tuple(routines), spelling, dtype)


IMPORTS = (NUMPY - {"round"}) | ARRAYS | C_NAMES


def _entry(printer: Printer, inputs: Sequence[Input], routine: Routine) -> str:
    lines = [f"def {routine.name}({', '.join(i.name for i in inputs)}):"]
    used = _names(routine)
    for i in inputs:
        if not i.shape and i.type == "float" and i.name in used:
            lines.append(f"{INDENT}{i.name} = {printer.call(printer.dtype)}({i.name})")
    lines += [INDENT + line for line in _sizes(inputs, routine, used)]
    printer.wide = single.outermost_sums(routine) if printer.single else frozenset()
    lines += printer.block(routine.body, 1)
    lines = [f"{kernel}\n\n" for kernel in printer.kernels] + lines
    printer.kernels = []
    made = {a.array for a in routine.allocations()}
    value = printer.result(routine.value, made)
    if routine.gradient is None:
        lines.append(f"{INDENT}return {value}")
    else:
        fields = ", ".join(printer.result(g, made) for g in routine.gradient)
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


def _docstring(text: str) -> str:
    """Text of the user's that cannot end the docstring it stands in, nor mean anything else there."""
    return printable(text).replace("\\", "\\\\").replace('"', "'")


def _imported(name: str, spelling: Mapping[str, str]) -> str:
    return f"{name} as {spelling[name]}" if name in spelling else name


@cache
def _source(name: str) -> str:
    text = inspect.getsource(HELPERS[name]).rstrip()
    return re.sub(r": (float|int|Any)\b| -> (float|int|None|Any)\b", "", text)


def _helper(name: str, spelling: Mapping[str, str], dtype: str) -> str:
    text = single.helper(name, _source(name)) if dtype == "float32" else _source(name)
    for word, other in spelling.items():
        text = re.sub(rf"(?<!\.)\b{word}\b", other, text)
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
