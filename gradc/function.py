"""What users hold: a compiled loss with its value, gradient, source and graph."""

from __future__ import annotations

import threading
from collections import namedtuple
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from gradc.collector import paused
from gradc.errors import InputError, UnsupportedError
from gradc.extents import Index
from gradc.ir import Node, format_graph, reachable
from gradc.program import Input, Outline, Program
from gradc.runtime import recall
from gradc.runtime.inputs import Inputs
from gradc.version import VERSION

if TYPE_CHECKING:  # what makes a function is imported where that is needed: not for one that the cache has
    import numpy.typing as npt

    from gradc.check import Report
    from gradc.derive import Derived
    from gradc.emit.python import Module
    from gradc.loops import Routine
    from gradc.scipy_bridge import Problem

OUT = "make it with empty_gradient(...)"
SINGLE_RTOL = 1e-3
"""What a float32 gradient may differ from differences: it has seven digits, less what cancels in its sums."""

Restore = Callable[[Any, dict[str, Any]], "Function"]


class _Later:
    """A method that is not there yet. A `__getattr__` would be asked for every attribute first, in every call."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise AttributeError(f"gradc.{owner.__name__}.{self.name} is not supported yet")


class GraphView:
    """The static graph of the result. `nodes` is in topological order; `str()` is a numbered listing."""

    def __init__(self, roots: Sequence[Node]) -> None:
        self.roots = tuple(roots)

    @property
    def nodes(self) -> list[Node]:
        return reachable(self.roots)

    def __str__(self) -> str:
        return format_graph(self.roots)

    def __repr__(self) -> str:
        return f"<graph of {len(self.nodes)} nodes>"


class Function:
    """A compiled loss. Call it with its inputs by position or by name; see `signature`.

    Arrays are anything `numpy.asarray` takes, of any strides and float or integer dtype; they are never modified. An
    array that is C-ordered and of the function's dtype (int64 for an `index`) is used as it is, any other is converted
    once. Every call raises InputError, naming the input, for inputs that are missing, misshapen or not numbers.
    """

    def __init__(
        self,
        outline: Outline,
        derive: Callable[[], Derived],
        origin: Any,
        options: dict[str, Any],
        restore: Restore,
        kept: str | None = None,
    ) -> None:
        """`derive()` is asked for what calls do not need, or for what no earlier process has `kept` under this name.

        `restore(origin, options)` makes the function again, from a pickle.
        """
        self._outline, self._derive, self._kept = outline, derive, kept
        self._origin, self._options, self._restore = origin, options, restore
        self._lock = threading.RLock()
        self._inputs = Inputs(outline, self.dtype)
        self._gradient_type = _named_tuple(outline.wrt)
        self._mapped: dict[frozenset[str], Function] = {}
        self._routines: dict[str, Routine] = {}
        self._made: Derived | None = None
        self._printed: Module | None = None

    @classmethod
    def of(
        cls, derived: Derived, origin: Any, options: dict[str, Any], restore: Restore, kept: str | None = None
    ) -> Function:
        """The function of a derived program."""
        return cls(derived.outline, lambda: derived, origin, options, restore, kept)

    @property
    def _derived(self) -> Derived:
        """Made when it is first asked for. Here, and for what else is made of it, there is one lock only."""
        with self._lock:
            self._made = self._made or self._derive()
            return self._made

    # evaluation

    def __call__(self, /, *args: Any, **inputs: Any) -> Any:
        """The value: a float, or an array."""
        evaluate, values = self._value, self._inputs.ready(args, inputs)
        try:
            return evaluate(*values)
        except IndexError as error:  # compiled code stops at a bad index it computed itself
            raise InputError(str(error)) from None

    def value_and_grad(self, /, *args: Any, out: Any = None, **inputs: Any) -> tuple[float, Any]:
        """(value, gradient). The gradient is a named tuple, one field per name in `wrt`, shapes as the inputs'.

        `out`, from `empty_gradient`, is filled and returned in its place. Raises UnsupportedError for array results.
        """
        evaluate, ready, gradient = self._calls
        values = ready(args, inputs)
        try:
            value, fields = evaluate(*values)
        except IndexError as error:
            raise InputError(str(error)) from None
        if out is None:
            return value, tuple.__new__(gradient, fields)
        self._fill(out, fields)
        return value, out

    def grad(self, /, *args: Any, **inputs: Any) -> Any:
        """The gradient alone, as `value_and_grad` gives it."""
        return self.value_and_grad(*args, **inputs)[1]

    def empty_gradient(self, /, *args: Any, **inputs: Any) -> Any:
        """A gradient to pass as `out=`: arrays of the inputs' shapes, 0-d arrays for scalars, contents undefined."""
        values = self._inputs.ready(args, inputs)
        shapes = dict(zip(self._inputs.names, map(np.shape, values), strict=True))
        return self._gradient_type._make(np.empty(shapes[name], self.dtype) for name in self.wrt)

    def map(self, /, *args: Any, **inputs: Any) -> tuple[Any, Any]:
        """(values, gradient) of many rows: every input may have one more leading axis, the others are shared.

        There is a value and a gradient for each row: `values` has the shape (rows,), every field of the gradient the
        shape (rows, ...), also by what is shared. Raises UnsupportedError for array results.
        """
        from gradc.batch import batch

        self._check_gradient()
        values = self._inputs.bind(args, inputs)
        pairs = zip(self.signature, values, strict=True)
        batched = frozenset(i.name for i, value in pairs if _rank(value) == len(i.shape) + 1)
        if not batched:
            self._inputs.convert(values)
            names = ", ".join(self._inputs.names)
            raise InputError("no input has one more leading axis", hint=f"give one or more of {names} an axis of rows")
        with self._lock:
            if batched not in self._mapped:
                derived = batch(self._derived, batched)
                self._mapped[batched] = Function.of(derived, self._origin, self._options, self._restore)
        return self._mapped[batched].value_and_grad(*values)

    def check(self, /, *args: Any, seed: int = 0, **inputs: Any) -> Report:
        """Compares the gradient with extrapolated central differences; the report names the worst entry.

        A float32 gradient is compared, to three digits, with differences of the loss in float64: those of a loss in
        float32 have no digits to spare.
        """
        from gradc.check import check_gradient

        if not isinstance(seed, int) or seed < 0:
            raise InputError(f"seed: expected an integer from 0 on, given {seed!r}")
        values = self._inputs.ready(args, inputs)
        named = dict(zip(self._inputs.names, values, strict=True))
        gradient = dict(zip(self.wrt, self.grad(*values), strict=True))
        if self.dtype == "float64":
            return check_gradient(lambda point: float(self(**point)), gradient, named, self.wrt, seed=seed)
        wide = Function.of(self._derived, self._origin, self._options | {"dtype": "float64"}, self._restore)
        method = "central differences in float64"
        return check_gradient(
            lambda point: float(wide(**point)), gradient, named, self.wrt, seed=seed, rtol=SINGLE_RTOL, method=method
        )

    def scipy(self, /, **fixed: Any) -> Problem:
        """The loss as SciPy's minimisers take it, over one flat vector of all params.

        `fixed` gives the data; params given there are where `x0` starts, others start at their default, or at 0.
        """
        from gradc.scipy_bridge import Problem

        return Problem(self.value_and_grad, self.program, self.wrt, fixed)

    # looking inside

    @property
    def program(self) -> Program:
        return self._derived.program

    @property
    def dtype(self) -> str:
        """The dtype of arrays and of what is computed: "float64" or "float32"."""
        return str(self._options["dtype"])

    @property
    def wrt(self) -> tuple[str, ...]:
        """The names the loss is differentiated by."""
        return self._outline.wrt

    @property
    def signature(self) -> tuple[Input, ...]:
        """The declared inputs: name, kind, shape, default."""
        return self._outline.inputs

    @property
    def graph(self) -> GraphView:
        return GraphView([self._derived.value.node])

    @property
    def adjoint_listing(self) -> str:
        """The graph of value and gradient as a numbered listing, with the node of each result."""
        fields = self._derived.gradient or {}
        names = [f"value = {self._derived.value.node!r}", *(f"{name}_bar = {v.node!r}" for name, v in fields.items())]
        return format_graph([self._derived.value.node, *(v.node for v in fields.values())]) + "\n\n" + "\n".join(names)

    @property
    def source(self) -> str:
        """The generated Python: a module that runs without gradc."""
        with self._lock, paused():
            return self._module.text

    @property
    def _module(self) -> Module:
        """All entry points."""
        with self._lock:
            entries = ["value", "value_and_grad"] if self._outline.has_gradient else ["value"]
            self._printed = self._printed or self._emitted(*entries)
            return self._printed

    def _emitted(self, *names: str) -> Module:
        """A module with these entry points."""
        from gradc.emit.python import Module

        with self._lock, paused():
            routines = tuple(self._routine(name) for name in names)
            p = self.program
            return Module(p.title, VERSION, p.inputs, routines, self._derived.spelling, self.dtype)

    def _routine(self, name: str) -> Routine:
        """One entry point, scheduled once. That of the gradient comes first, whoever asks: the order numbers nodes."""
        if name not in self._routines:
            if name == "value" and self._derived.gradient:
                self._routine("value_and_grad")
            self._routines[name] = self._derived.routine(name, name != "value")
        return self._routines[name]

    jvp, vjp, hvp, hessian, jacobian, trace, write = (_Later() for _ in range(7))

    def __repr__(self) -> str:
        return f"gradc.Function({', '.join(map(str, self.signature))})"

    def __reduce__(self) -> tuple[Any, ...]:
        return self._restore, (self._origin, self._options)

    # compiled code

    def _entry(self, name: str) -> Callable[..., Any]:
        """An entry point to call. What it does not need is neither scheduled nor printed."""
        o = self._options
        with self._lock, paused():
            found = recall.entry(self._kept, name) if self._kept else None
            if found is not None:
                return found
            from gradc.runtime.jit import Compiled, Settings, python

            if o["backend"] == "python":
                return python(self._module)[name]
            settings = Settings(o["cache"], o["fast_math_library"], None if o["threads"] == "auto" else o["threads"])
            compiled = Compiled(self._emitted(name), self.signature, settings)
            entry = compiled.entry(name)
            if self._kept:
                recall.keep(self._kept, self._outline, name, compiled.code)
            return entry

    @cached_property
    def _value(self) -> Callable[..., Any]:
        return self._entry("value")

    @cached_property
    def _value_and_grad(self) -> Callable[..., tuple[float, tuple[Any, ...]]]:
        self._check_gradient()
        return self._entry("value_and_grad")

    @cached_property
    def _calls(self) -> tuple[Callable[..., tuple[float, Any]], Callable[..., Sequence[Any]], Any]:
        """What calls need, in one place: each attribute takes as long to look up as a short loss takes."""
        return self._value_and_grad, self._inputs.ready, self._gradient_type

    def _check_gradient(self) -> None:
        """Raises UnsupportedError if the result has no gradient."""
        if not self._outline.has_gradient:
            shape = ", ".join(str(a.extent) if isinstance(a, Index) else "1" for a in self._derived.value.axes)
            raise UnsupportedError(
                f"the result has shape ({shape}): only a number has a gradient", hint="reduce it: sum(...), mean(...)"
            )
        if not self.wrt:
            raise UnsupportedError("there is nothing to differentiate by", hint="declare a param, or give wrt=")

    def _fill(self, out: Any, fields: Sequence[float | npt.NDArray[np.floating]]) -> None:
        if not isinstance(out, tuple) or len(out) != len(self.wrt):
            raise InputError(f"out: expected a gradient of {', '.join(self.wrt)}, given {type(out).__name__}", hint=OUT)
        for name, target, value in zip(self.wrt, out, fields, strict=True):
            shape = getattr(value, "shape", ())
            if not isinstance(target, np.ndarray) or target.shape != shape:
                given = getattr(target, "shape", type(target).__name__)
                raise InputError(f"out: field '{name}': expected an array of shape {shape}, given {given}")
            writeable = target.flags.writeable
            if target.dtype != self._inputs.dtype or not writeable:
                given = str(target.dtype) if writeable else "a read-only one"
                raise InputError(f"out: field '{name}': expected a {self.dtype} array to fill, given {given}", hint=OUT)
        for (a, one), (b, other) in combinations(zip(self.wrt, out, strict=True), 2):
            if np.shares_memory(one, other):
                raise InputError(f"out: fields '{a}' and '{b}' overlap: one would be written over the other", hint=OUT)
        for target, value in zip(out, fields, strict=True):
            target[...] = value


def _rank(value: Any) -> int:
    """The number of axes of what somebody passes, 0 if it is nothing that can have any."""
    try:
        return np.ndim(value)
    except (ValueError, TypeError, OverflowError):
        return 0


def _named_tuple(fields: tuple[str, ...]) -> Any:
    return namedtuple("Gradient", fields)
