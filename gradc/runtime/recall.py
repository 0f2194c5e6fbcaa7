"""Functions of earlier processes, found by what their user wrote: nothing is parsed, derived or printed for them.

Under a hash of the program, the options and all of gradc's own files, the cache has the outline of a program and, for
each entry point that was called and each machine, where the machine code is.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import Any

from gradc.program import Outline
from gradc.runtime import cache, files
from gradc.runtime.code import Code
from gradc.version import VERSION

OUTLINE = "outline"
TEXT = '"""What calls of a program need to know, and where its machine code is."""\n'


def name(written: str, options: Mapping[str, Any]) -> str | None:
    """What a program is kept under; `written` is all that its user wrote. None if this process keeps nothing."""
    state = files.state()
    return state and cache.hashed([written, repr(sorted(options.items())), VERSION, state])


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
        if not files.unchanged():
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
