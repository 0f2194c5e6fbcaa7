"""Files of numbers: `.csv` and `.parquet` tables by column, `.npz` archives by array name."""

from __future__ import annotations

import csv
import importlib
import tokenize
import zipfile
import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from gradc.errors import InputError

Array = npt.NDArray[Any]


DAMAGE = (ValueError, TypeError, KeyError, EOFError, SyntaxError, RecursionError, MemoryError)
"""What NumPy raises for a damaged archive."""


class CellError(Exception):
    """A cell that is not a number: what was expected and given, in which column, and the place in the file."""

    def __init__(self, message: str, column: str, place: str) -> None:
        super().__init__(message)
        self.column, self.place = column, place


class Table(Struct, frozen=True):
    """A file of named columns. `read` gives some of them and raises CellError."""

    path: Path
    header: Sequence[str]
    read: Callable[[Sequence[str]], dict[str, Array]]


def archive(path: Path) -> dict[str, Array]:
    """The arrays of a `.npz` file. Raises InputError; nothing in the file is unpickled."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (*DAMAGE, zipfile.BadZipFile, zlib.error, tokenize.TokenError):
        raise InputError(f"cannot read '{path}': not a .npz file of number arrays") from None


def csv_table(path: Path) -> Table:
    """A CSV file whose first row names the columns. Raises InputError."""

    def rows() -> Iterator[tuple[int, list[str]]]:
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file)
                yield from ((reader.line_num, row) for row in reader if row)
        except UnicodeDecodeError:
            raise InputError(f"cannot read '{path}': not a text file") from None
        except csv.Error as error:
            raise InputError(f"cannot read '{path}': not a CSV file ({error})") from None

    _, header = next(rows(), (1, []))
    header = [name.strip() for name in header]
    if not any(header):
        raise InputError(f"cannot read '{path}': expected a first row with the names of the columns")

    def read(names: Sequence[str]) -> dict[str, Array]:
        places, values = [header.index(name) for name in names], array("d")
        for number, (line, row) in enumerate(rows()):
            if number == 0:
                continue
            if len(row) != len(header):
                raise InputError(f"{path}:{line}: row {number} has {len(row)} cells, expected {len(header)}")
            try:
                values.extend([_number(row[k]) for k in places])
            except ValueError:
                k = next(k for k in places if not _is_number(row[k]))
                given = f"'{row[k][:40]}'" if row[k].strip() else "nothing"
                raise CellError(
                    f"expected a finite number, given {given}", header[k], f":{line}, row {number}"
                ) from None
        matrix = np.array(values).reshape(-1, max(1, len(names)))
        return {name: matrix[:, k].copy() for k, name in enumerate(names)}

    return Table(path, header, read)


def _number(text: str) -> float:
    value = float(text)
    if value - value != 0 or "_" in text:  # what is not finite, less itself, is NaN
        raise ValueError
    return value


def _is_number(text: str) -> bool:
    try:
        _number(text)
    except ValueError:
        return False
    return True


def parquet_table(path: Path) -> Table:
    """A Parquet file. Raises InputError, also where pyarrow is not installed."""
    try:
        parquet, arrow = importlib.import_module("pyarrow.parquet"), importlib.import_module("pyarrow")
    except ImportError:
        message = f"cannot read '{path}': .parquet files need pyarrow"
        raise InputError(message, hint="pip install gradc[parquet]") from None
    try:
        header = list(parquet.read_schema(path).names)
    except arrow.ArrowException:
        raise InputError(f"cannot read '{path}': not a .parquet file") from None

    def read(names: Sequence[str]) -> dict[str, Array]:
        columns = parquet.read_table(path, columns=list(names))
        for name in names:
            if columns[name].null_count:
                row = int(columns[name].is_null().to_numpy().argmax()) + 1
                raise CellError("expected a finite number, given nothing", name, f", row {row}")
        return {name: columns[name].to_numpy() for name in names}

    return Table(path, header, read)


READERS: dict[str, Callable[[Path], Table]] = {".csv": csv_table, ".parquet": parquet_table}
