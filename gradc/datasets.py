"""The inputs of a program: from files, from settings, drawn at random; checked against what the program declares."""

from __future__ import annotations

import ast
import csv
import unicodedata
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from gradc.bounds import index_input
from gradc.errors import InputError, did_you_mean
from gradc.extents import Poly
from gradc.program import Input, Program
from gradc.tables import READERS, Array, CellError, Table, archive

Inputs = dict[str, Any]
Columns = Mapping[str, Sequence[str]]

TOO_LARGE = 2**63
"""Whole numbers from here on do not fit 64 bits."""


# what is written by hand


def setting(text: str) -> tuple[str, Array]:
    """`NAME=VALUE` with a number or a (nested) list of numbers. Raises InputError."""
    name, _, value = text.partition("=")
    name, value = normal(name), value.strip()
    if not name or not value:
        raise InputError(f"cannot read the setting '{_short(text)}'", hint="write NAME=VALUE: w=0.5, or w=[0.5, -1]")
    try:
        return name, np.array(_numbers(ast.literal_eval(value)))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        message = f"input '{name}': expected a finite number or a list of them, given '{_short(value)}'"
        raise InputError(message) from None


def _numbers(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_numbers(v) for v in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return value if abs(value) < TOO_LARGE else float(value)


def dimension(text: str) -> tuple[str, int]:
    """`NAME=LENGTH`. Raises InputError."""
    name, _, length = text.partition("=")
    name, length = normal(name), length.strip()
    if not name or not (length.isascii() and length.isdecimal()) or len(length) > 18:
        raise InputError(f"cannot read the length '{_short(text)}'", hint="write DIM=LENGTH: n=1000")
    return name, int(length)


def choice(text: str) -> tuple[str, list[str]]:
    """`NAME=COLUMN,COLUMN,...`; columns may be quoted as in a CSV file. Raises InputError."""
    name, _, columns = text.partition("=")
    name, chosen = normal(name), [c.strip() for row in csv.reader([columns]) for c in row]
    if not name or not chosen or not all(chosen):
        raise InputError(f"cannot read the columns '{_short(text)}'", hint="write NAME=COLUMN,COLUMN: x=height,weight")
    return name, chosen


def normal(name: str) -> str:
    """A name as Python's parser reads it."""
    return unicodedata.normalize("NFKC", name.strip())


# what is in files


def load(paths: Sequence[Path], inputs: Sequence[Input], columns: Columns | None = None) -> Inputs:
    """Inputs by name: the arrays of `.npz` files, the columns of `.csv` and `.parquet` tables.

    A column feeds the input that `columns` names it for, else the input with one axis that has its name. An input with
    two axes takes as many as are named for it. Raises InputError for what is unknown, missing, there twice, or not a
    finite number, and OSError for a file that cannot be opened.
    """
    known, columns = {i.name: i for i in inputs}, columns or {}
    for name in columns:
        _known(name, known, "--columns")
    found: Inputs = {}
    tables = []
    for path in paths:
        kind = path.suffix.lower()
        if kind == ".npz":
            arrays = {normal(name): values for name, values in archive(path).items()}
        elif kind in READERS:
            tables.append(READERS[kind](path))
            arrays = _from_table(tables[-1], known, columns)
        else:
            raise InputError(f"cannot read '{path}': expected a .npz, .csv or .parquet file")
        for name, values in arrays.items():
            entry = _known(name, known, str(path))
            if name in found:
                raise InputError(f"input '{name}' is given twice, the second time in {path}", entry.span)
            found[name] = _checked(entry, values)
    for name, chosen in columns.items():
        if name not in found:
            _no_column(known[name], chosen, tables)
    return found


def _from_table(table: Table, known: Mapping[str, Input], columns: Columns) -> Inputs:
    chosen = {name: list(names) for name, names in columns.items() if set(names) <= set(table.header)}
    for column in table.header:
        entry = known.get(normal(column))
        if entry is not None and len(entry.shape) == 1 and entry.name not in columns:
            chosen[entry.name] = [column]
    for name, names in chosen.items():
        entry = known[name]
        if len(entry.shape) not in (1, 2) or len(entry.shape) < min(2, len(names)):
            plural = "columns do" if len(names) > 1 else "column does"
            raise InputError(f"input '{name}': expected {entry}, {len(names)} {plural} not make one", entry.span)
        for column in names:
            if table.header.count(column) > 1:
                raise InputError(f"input '{name}': {table.path} has {table.header.count(column)} columns '{column}'")
    wanted = {column: name for name, names in chosen.items() for column in names}
    try:
        read = table.read(list(wanted))
    except CellError as error:
        place = f"{table.path}{error.place}, column '{error.column}'"
        raise InputError(f"input '{wanted[error.column]}': {error} ({place})") from None
    single = {name: len(known[name].shape) == 1 for name in chosen}
    return {n: read[c[0]] if single[n] else np.column_stack([read[k] for k in c]) for n, c in chosen.items()}


def _no_column(entry: Input, names: Sequence[str], tables: Sequence[Table]) -> NoReturn:
    if not tables:
        raise InputError(f"input '{entry.name}': there is no table to take columns from", hint="add --data FILE.csv")
    table = min(tables, key=lambda t: len(set(names) - set(t.header)))
    missing = next(c for c in names if c not in table.header)
    hint = did_you_mean(missing, table.header) or f"it has: {_short(', '.join(table.header), 100)}"
    raise InputError(f"input '{entry.name}': {table.path} has no column '{missing}'", hint=hint)


# all of them together


def complete(
    program: Program, given: Mapping[str, Any], dims: Mapping[str, int] | None = None, seed: int | None = None
) -> Inputs:
    """All inputs of a program, in order: what is given, else the default, else (with a seed) a normal draw.

    Integers are drawn from the axes they are positions of. What is drawn for an input depends on the seed and on its
    place among the inputs, not on the others. Raises InputError for what is missing, surplus, misshapen, not finite or
    not a number.
    """
    known = {i.name: i for i in program.inputs}
    arrays = {name: _checked(_known(name, known), value) for name, value in given.items()}
    lengths = sizes(program, arrays, dims)
    for position, entry in enumerate(program.inputs):
        if entry.name in arrays:
            continue
        if entry.default is not None:
            arrays[entry.name] = np.array(entry.default, np.int64 if entry.kind == "index" else np.float64)
        elif seed is not None:
            arrays[entry.name] = _drawn(program, entry, lengths, np.random.default_rng([seed, position]))
        else:
            raise missing(program, arrays)
    return {i.name: arrays[i.name] if i.shape else arrays[i.name].item() for i in program.inputs}


def missing(program: Program, given: Container[str]) -> InputError:
    """The error for inputs that are neither given nor have a default: names the first, data before params."""
    absent = [i for i in program.inputs if i.name not in given and i.default is None]
    absent.sort(key=lambda i: i.kind == "param")
    entry, *others = absent
    also = f"; also missing: {', '.join(i.name for i in others)}" if others else ""
    ways = f"give it with --data, from a table with --columns {entry.name}=..., with --set {entry.name}=..."
    message = f"input '{entry.name}' is missing: expected {entry}{also}"
    return InputError(message, entry.span, f"{ways}, or have it drawn with --random SEED")


def sizes(program: Program, given: Mapping[str, Any], dims: Mapping[str, int] | None = None) -> dict[str, int]:
    """The length of each dim that the given inputs or `dims` tell. Raises InputError where they disagree."""
    lengths, told = dict(dims or {}), dict.fromkeys(dims or {}, "--dim")
    names = [name for name, _, _ in program.dims()]
    for name in lengths:
        if name not in names:
            hint = did_you_mean(name, names) or f"dims: {', '.join(names) or 'none'}"
            raise InputError(f"there is no dim '{name}'", hint=hint)
    present = [(i, np.shape(given[i.name])) for i in program.inputs if i.name in given]
    for entry, shape in present:
        if len(shape) != len(entry.shape):
            axes = "a number" if not shape else f"an array of shape {_tuple(shape)}"
            raise InputError(f"input '{entry.name}': expected {entry}, given {axes}", entry.span)
        for poly, length in zip(entry.shape, shape, strict=True):
            name = str(poly)
            if poly == Poly.atom(name) and name not in lengths:
                lengths[name], told[name] = length, f"'{entry.name}'"
    for entry, shape in present:
        for poly, length in zip(entry.shape, shape, strict=True):
            if poly.dims <= lengths.keys() and _length(poly, lengths) != length:
                expected = _tuple(_length(p, lengths) if p.dims <= lengths.keys() else str(p) for p in entry.shape)
                facts = ", ".join(f"{d} = {lengths[d]} by {told[d]}" for d in sorted(poly.dims))
                message = f"input '{entry.name}': expected shape {expected}, given {_tuple(shape)}"
                raise InputError(message + (f" ({facts})" if facts else ""), entry.span)
    return lengths


def shape_of(entry: Input, lengths: Mapping[str, int]) -> tuple[int, ...]:
    """The shape of an input. Raises InputError where a dim is not known."""
    for name in sorted(frozenset().union(*(p.dims for p in entry.shape)) - lengths.keys()):
        message = f"input '{entry.name}': the length {name} is not known"
        raise InputError(message, entry.span, f"give it with --dim {name}=...")
    return tuple(_length(p, lengths) for p in entry.shape)


def _length(poly: Poly, lengths: Mapping[str, int]) -> int:
    return poly.length(dict(lengths.items()))


def _drawn(program: Program, entry: Input, lengths: Mapping[str, int], random: np.random.Generator) -> Array:
    shape = shape_of(entry, lengths)
    try:
        if entry.kind != "index":
            return np.asarray(random.standard_normal(shape))
        return np.asarray(random.integers(_range(program, entry, lengths), size=shape))
    except (MemoryError, ValueError):
        raise InputError(f"input '{entry.name}': an array of shape {_tuple(shape)} is too large", entry.span) from None


def _range(program: Program, entry: Input, lengths: Mapping[str, int]) -> int:
    """The length of the shortest axis that elements of an index input are positions of."""
    extents = [a.extent for a, e in _subscripts(program) if index_input(e) == entry.name and not a.extent.indices]
    if not extents:
        message = (
            f"input '{entry.name}': cannot tell the range to draw integers from: it is not the position on an axis"
        )
        raise InputError(message, entry.span, f"give it with --data, or with --set {entry.name}=...")
    shortest = min(extents, key=lambda p: _length(p, lengths))
    if not _length(shortest, lengths):
        raise InputError(f"input '{entry.name}': the axis {shortest} it is a position on is empty", entry.span)
    return _length(shortest, lengths)


def _subscripts(program: Program) -> Iterator[tuple[Any, Any]]:
    for node in program.graph.having(("read", "place"), [program.result.node]):
        yield from zip(node.axes, node.subscripts, strict=True)


def _known(name: str, known: Mapping[str, Input], where: str = "") -> Input:
    if name not in known:
        hint = did_you_mean(name, known) or f"inputs: {', '.join(known) or 'none'}"
        raise InputError(f"unknown input '{name}'{where and f' in {where}'}", hint=hint)
    return known[name]


def _checked(entry: Input, value: Any) -> Array:
    """The value as an array of finite numbers. Raises InputError."""
    try:
        numbers = np.asarray(value)
    except ValueError:
        raise InputError(
            f"input '{entry.name}': expected {entry}, given rows of different lengths", entry.span
        ) from None
    if numbers.dtype.kind not in "fiub":
        given = {"U": "text", "S": "bytes", "c": "complex numbers"}.get(numbers.dtype.kind, str(numbers.dtype))
        raise InputError(f"input '{entry.name}': expected numbers, given {given}", entry.span)
    _refuse(entry, numbers, ~np.isfinite(numbers), "a finite number")
    if entry.kind != "index":
        return numbers if numbers.dtype.kind == "f" else numbers.astype(np.float64)
    if numbers.dtype.kind in "fu":
        _refuse(entry, numbers, (numbers != np.floor(numbers)) | (np.abs(numbers) >= TOO_LARGE), "an integer")
    return numbers.astype(np.int64)


def _refuse(entry: Input, numbers: Array, wrong: Array, expected: str) -> None:
    if wrong.any():
        at = tuple(int(k) for k in np.argwhere(wrong)[0])
        place = f" at [{', '.join(map(str, at))}]" if at else ""
        raise InputError(f"input '{entry.name}': expected {expected}, given {numbers[at]}{place}", entry.span)


def _tuple(lengths: Any) -> str:
    parts = [str(k) for k in lengths]
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def _short(text: str, limit: int = 40) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
