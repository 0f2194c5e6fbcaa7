"""A loop program as Python source: a module that runs on NumPy alone and that Numba compiles as it stands."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING

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
    """A module of these routines, printed when somebody wants its text.

    `spelling`: what library names are called where the user has taken them.
    """

    title: str
    version: str
    inputs: tuple[Input, ...]
    routines: tuple[Routine, ...]
    spelling: Mapping[str, str]
    dtype: str = "float64"

    @property
    def entries(self) -> tuple[str, ...]:
        return tuple(r.name for r in self.routines)

    @property
    def kernels(self) -> tuple[str, ...]:
        """The functions that entries call for chunks of the rows."""
        return tuple(s.kernel for r in self.routines for s in r.body if isinstance(s, Sweep))

    @property
    def key(self) -> str:
        """All the text depends on, beside gradc itself: modules of equal keys have equal texts."""
        names = sorted(self.spelling.items())
        return repr((self.title, self.version, [str(i) for i in self.inputs], self.routines, names, self.dtype))

    @cached_property
    def helpers(self) -> dict[str, str]:
        """The helpers of the library's that the text carries, by how they are spelt in it."""
        _, used = self._printed
        return {self.spelling.get(h, h): h for h in HELPERS if h in used}

    @cached_property
    def text(self) -> str:
        entries, used = self._printed
        imports = sorted(used & IMPORTS)
        spelling = self.spelling
        return _template().render(
            title=_docstring(self.title) or "Generated gradient code.",
            version=self.version,
            dtype=self.dtype,
            exact=any(r.exact for r in self.routines),
            inputs=[str(i) for i in self.inputs],
            counts=[(r.name, operations(r)) for r in self.routines],
            imports=[_imported(name, spelling) for name in imports if name not in C_NAMES],
            c_imports=[
                f"{name.removeprefix('c_')} as {spelling.get(name, name)}" for name in imports if name in C_NAMES
            ],
            builtins=[f"{name} as {spelling[name]}" for name in sorted(used & BUILTINS) if name in spelling],
            helpers=[_helper(name, spelling, self.dtype) for name in self.helpers.values()],
            entries=entries,
            functions=[*self.helpers, *self.kernels, *self.entries],
        )

    @property
    def body(self) -> str:
        """The part of the text that defines the functions."""
        return self.text[: self.text.index("\n\ntry:\n    from numba import njit")] + "\n"

    @cached_property
    def _printed(self) -> tuple[list[str], set[str]]:
        """The functions, and the names that they need of the library."""
        printer = Printer(self.spelling, self.dtype)
        entries = [_entry(printer, self.inputs, r) for r in self.routines]
        used = _closure(printer.used)
        if printer.single and not used.isdisjoint(HELPERS):
            used.add("float32")
        return entries, used

    def only(self, routine: Routine) -> Module:
        """A module of one of the routines, or of another form of it."""
        return replace(self, routines=(routine,))

    def operation(self, operation: Operation) -> Module:
        """A module of a scalar function."""
        inputs = tuple(Input(p.name, "data" if p.type == "float" else "index") for p in operation.params)
        return replace(self, inputs=inputs, routines=(Routine("operation", (), operation.value, None, {}),))


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
    return {p.name for e in exprs for p in parts(e) if type(p) is Name}


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
def _template() -> jinja2.Template:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources.path("templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.get_template(TEMPLATE)
