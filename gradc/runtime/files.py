"""gradc's own files: on all of them depends what is made of a program, and so what the cache keeps it under."""

from __future__ import annotations

import functools
import hashlib
import time
from pathlib import Path

import gradc
from gradc import resources

IMPORTED = time.time()


@functools.cache
def state() -> str | None:
    """A hash of all files that take part in making a function. None if they are not what this process has imported."""
    found = hashlib.sha256()
    try:
        for file in _paths():
            data = file.read_bytes()
            found.update(f"{file.name} {len(data)} ".encode() + data)
        return found.hexdigest() if unchanged() else None
    except OSError:
        return None


def _paths() -> list[Path]:
    package = Path(gradc.__file__).parent
    return [p for p in (*sorted(package.rglob("*.py")), *sorted(resources.path("templates").iterdir())) if p.is_file()]


def unchanged() -> bool:
    """Whether no file has been changed since this process has begun to import them."""
    return all(max(p.stat().st_mtime, p.stat().st_ctime) <= IMPORTED for p in _paths())
