"""Where generated modules and their machine code are kept between processes.

A module is named by a hash of everything its machine code depends on, so that an entry never has to be invalidated:
what changed has another name. Entries appear by renaming a finished directory, whatever else runs at the same time.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


def directory() -> Path:
    """The cache directory: `GRADC_CACHE_DIR`, or the user's own for caches."""
    given = os.environ.get("GRADC_CACHE_DIR")
    if given:
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_cache_dir("gradc"))


def digest(parts: Sequence[str]) -> str:
    """The name of an entry: a hash of the texts it is made from and of the machine."""
    return hashed([*parts, *_machine()])


def hashed(parts: Sequence[str]) -> str:
    """The name of an entry that is the same for every machine."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


@functools.cache
def _machine() -> tuple[str, ...]:
    import llvmlite
    import numpy as np
    from llvmlite import binding

    versions = (sys.version, np.__version__, _numba(), llvmlite.__version__)
    settings = (f"{k}={v}" for k, v in sorted(os.environ.items()) if k.startswith("NUMBA_"))
    return (
        *versions,
        *settings,
        platform.machine(),
        binding.get_host_cpu_name(),
        binding.get_host_cpu_features().flatten(),
    )


def _numba() -> str:
    """What tells Numba's version, without starting it if that can be had."""
    package = importlib.util.find_spec("numba")
    if package is not None and package.origin is not None:
        file = Path(package.origin).with_name("_version.py")
        if file.is_file():
            return file.read_text(encoding="utf-8")
    import numba

    return str(numba.__version__)


def entry(name: str, text: str) -> Path:
    """The file that holds this text under this name; made if it is not there, mended if it is not what it should be.

    Raises OSError where nothing can be written.
    """
    home = directory() / name
    file = home / f"gradc_{name}.py"
    if not home.is_symlink() and _holds(file, text):
        return file
    remove(name)
    home.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=home.parent))
    (made / file.name).write_text(text, encoding="utf-8")
    try:
        made.rename(home)
    except OSError:
        shutil.rmtree(made, ignore_errors=True)  # another process was first: its entry holds the same text
    return file


def _holds(file: Path, text: str) -> bool:
    try:
        return file.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False


def read(name: str, part: str) -> bytes | None:
    """What `write` has kept in an entry; None if there is nothing. Raises ValueError if it has been damaged."""
    try:
        checksum, _, data = _part(name, part).read_bytes().partition(b"\n")
    except OSError:
        return None
    if _checksum(name, part, data) != checksum:
        raise ValueError("a damaged file in the cache")
    return data


def write(name: str, part: str, data: bytes) -> None:
    """Keeps data in an entry, all of it or nothing, if the entry can be written to."""
    file = _part(name, part)
    with suppress(OSError), tempfile.TemporaryDirectory(dir=file.parent) as place:
        made = Path(place) / file.name
        made.write_bytes(_checksum(name, part, data) + b"\n" + data)
        made.replace(file)


def _checksum(name: str, part: str, data: bytes) -> bytes:
    """Of the data and of what it is: one part is not taken for another."""
    return hashlib.sha256(f"{name} {part} ".encode() + data).hexdigest().encode()


def _part(name: str, part: str) -> Path:
    return directory() / name / f"gradc_{name}.{part}"


def temporary(name: str, text: str) -> Path:
    """A file with this text that goes when the process ends, for programs that are not to be cached."""
    file = _scratch() / f"gradc_{name}.py"
    file.write_text(text, encoding="utf-8")
    return file


@functools.cache
def _scratch() -> Path:
    import atexit

    place = Path(tempfile.mkdtemp(prefix="gradc-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


def remove(name: str) -> None:
    """Deletes an entry, also if it has become something other than a directory."""
    place = directory() / name
    if place.is_symlink() or place.is_file():
        place.unlink(missing_ok=True)
    else:
        shutil.rmtree(place, ignore_errors=True)


def clear() -> int:
    """Deletes all entries; returns how many there were."""
    found = _entries()
    for p in found:
        shutil.rmtree(p, ignore_errors=True)
    return len(found)


def _entries() -> list[Path]:
    """Directories with names of entries, finished or not: whatever else lies in the directory is not gradc's."""
    found = directory().iterdir() if directory().is_dir() else ()
    return [p for p in found if re.fullmatch(r"[0-9a-f]{32}|\.[0-9a-f]{32}-\w+", p.name) and p.is_dir()]


def usage() -> tuple[int, int]:
    """(entries, bytes) in the cache."""
    entries = _entries()
    return len(entries), sum(f.stat().st_size for p in entries for f in p.rglob("*") if f.is_file())
