"""Extension modules of other packages without what the packages import around them, which takes them much longer."""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@functools.cache
def extension(name: str) -> Any:
    """An extension module by its full name. Raises LookupError if its package is not installed or has no such file."""
    if name in sys.modules:
        return sys.modules[name]
    package, *folders, last = name.split(".")
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise LookupError(f"{package} is not installed")
    place = Path(found.origin).parent.joinpath(*folders)
    files = (place / (last + suffix) for suffix in importlib.machinery.EXTENSION_SUFFIXES)
    file = next((f for f in files if f.is_file()), None)
    if file is None:
        raise LookupError(f"{package} has no extension module {name}")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    assert spec.loader is not None
    spec.loader.exec_module(module)
    sys.modules.pop(name, None)  # Python may have entered it; the package will want to import it for itself
    return module


@contextmanager
def without_package(name: str) -> Iterator[None]:
    """Lets whoever imports an extension module meanwhile have it alone, unless its package is there or it cannot be."""
    try:
        module = None if name.rpartition(".")[0] in sys.modules else extension(name)
    except LookupError:
        module = None
    if module is not None:
        sys.modules[name] = module
    try:
        yield
    finally:
        if module is not None:
            sys.modules.pop(name, None)  # its package will want to import it for itself
