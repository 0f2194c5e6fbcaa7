"""Functions of earlier processes, found by what their user wrote: nothing is parsed, derived or printed for them.

Under a hash of the program, the options and all of gradc's own files, the cache has the outline of a program and, for
each entry point that was called and each machine, where the machine code is.
"""

from __future__ import annotations

import functools
import hashlib
import pickle
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gradc
from gradc import resources
from gradc.program import Outline
from gradc.runtime import cache
from gradc.runtime.code import Code
from gradc.version import VERSION

IMPORTED = time.time()
OUTLINE = "outline"
TEXT = '"""What calls of a program need to know, and where its machine code is."""\n'


def name(written: str, options: Mapping[str, Any]) -> str | None:
    """What a program is kept under; `written` is all that its user wrote. None if this process keeps nothing."""
    files = _files()
    return files and cache.hashed([written, repr(sorted(options.items())), VERSION, files])


@functools.cache
def _files() -> str | None:
    """A hash of all files that take part in making a function. None if they are not what this process has imported."""
    found = hashlib.sha256()
    try:
        for file in _paths():
            data = file.read_bytes()
            found.update(f"{file.name} {len(data)} ".encode() + data)
        return found.hexdigest() if _unchanged() else None
    except OSError:
        return None


def _paths() -> list[Path]:
    package = Path(gradc.__file__).parent
    return [p for p in (*sorted(package.rglob("*.py")), *sorted(resources.path("templates").iterdir())) if p.is_file()]


def _unchanged() -> bool:
    """Whether no file has been changed since this process has begun to import them."""
    return all(max(p.stat().st_mtime, p.stat().st_ctime) <= IMPORTED for p in _paths())


def outline(name: str) -> Outline | None:
    """The outline kept under this name, if there is one."""
    found = _read(name, OUTLINE)
    return found if isinstance(found, Outline) else None


def entry(name: str, entry: str) -> Callable[..., Any] | None:
    """An entry point kept under this name, if this process can load it."""
    code = _read(name, _place(entry))
    try:
        return code.kept(entry) if isinstance(code, Code) else None
    except ValueError:
        return None


def keep(name: str, outline: Outline, entry: str, code: Code) -> None:
    """Keeps what `outline` and `entry` give a later process, if the cache can be written to.

    Not if a file of gradc's has changed meanwhile: it may have been imported only then.
    """
    try:
        if not _unchanged():
            return
        cache.entry(name, TEXT)
    except OSError:
        return
    cache.write(name, OUTLINE, pickle.dumps(outline))
    cache.write(name, _place(entry), pickle.dumps(code))


def _place(entry: str) -> str:
    return f"{entry}.{cache.digest([])[:8]}"


def _read(name: str, part: str) -> Any:
    """A part of what is kept; what cannot be read goes."""
    try:
        data = cache.read(name, part)
        return None if data is None else pickle.loads(data)
    except Exception:  # whatever a damaged file makes pickle raise; the program is then made again
        cache.remove(name)
        return None
