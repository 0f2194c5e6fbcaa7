"""SymPy expressions as programs: their objects are looked at one by one, nothing goes through text.

What SymPy leaves open: inputs are real; symbols in shapes and in the bounds of sums are lengths; a range that ends
before it begins is empty; of equal arguments of Max or Min each has half of the derivative.
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy

from gradc.build import Builder
from gradc.errors import UnsupportedError
from gradc.frontends.sympy.forms import Part
from gradc.frontends.sympy.inputs import Inputs
from gradc.frontends.sympy.integers import Integers
from gradc.frontends.sympy.lower import Lowering
from gradc.frontends.sympy.names import Names, identifier, shown
from gradc.frontends.sympy.walk import Parts, printed
from gradc.ir import Graph
from gradc.program import Input, Origin, Program, Provenance, Value, axes_of


def program(expression: Part, wrt: Sequence[Part | str] | None = None) -> Program:
    """The program of an expression. Raises ParseError, ShapeError or UnsupportedError at a part of it.

    Inputs are those in `wrt`, in their order, and then the others by name. Without `wrt` all that hold real numbers
    are params.
    """
    if not isinstance(expression, sympy.Basic):
        raise UnsupportedError(f"a {type(expression).__name__} is not a SymPy expression", hint="give one expression")
    graph = Graph()
    build = Builder(graph)
    parts = Parts(expression)
    found = Inputs(parts, Names())
    inputs = found.find(expression, wrt)
    values = {i.name: _value(build, i) for i in inputs}
    values |= {name: Value(build.dim(name)) for name in found.dims}
    integers = Integers(build, found.names)
    lowering = Lowering(parts, integers, values, expression)
    result = lowering.value(expression)
    if result.axes and all(a is None for a in result.axes):  # a matrix of one element is that number
        result = Value(result.node)
    result = Value(build.convert(result.node, "float"), result.axes)
    origin = Origin(printed(expression), None)
    provenance = Provenance(origins=dict.fromkeys(graph.nodes, origin), index_names=integers.index_names)
    return Program("", inputs, graph, result, provenance, tuple(lowering.arrays.requirements))


def _value(build: Builder, entry: Input) -> Value:
    """An input as an array. Axes of length 1 have no index."""
    axes = axes_of(entry.shape)
    single = [a for a in axes if a.extent.constant == 1]
    node = build.read(build.input(entry.name, axes, entry.type), single, [build.const(0)] * len(single))
    return Value(node, tuple(None if a in single else a for a in axes))


def names(wrt: Sequence[Part | str]) -> tuple[str, ...]:
    """Symbols as the names of the inputs they are. Raises ParseError or UnsupportedError for what is none."""
    for s in wrt:
        if not isinstance(s, str | sympy.Symbol | sympy.IndexedBase | sympy.MatrixSymbol):
            what = printed(s) if isinstance(s, sympy.Basic) else f"a {type(s).__name__}"
            raise UnsupportedError(f"wrt: {what} is not a symbol", hint="give symbols, arrays or their names")
        if isinstance(s, str) and identifier(s) is None:
            raise UnsupportedError(f"wrt: there is no input {shown(s)}")
    return tuple(s if isinstance(s, str) else Names().of(s) for s in wrt)
