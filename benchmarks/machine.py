"""What the figures were measured on, and with which versions."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

from benchmarks.bounds import cores

LIBRARIES = ("gradc", "numpy", "numba", "llvmlite", "jax", "jaxlib", "torch", "casadi")


def describe() -> dict[str, str]:
    """Names and what they are here."""
    return {
        "CPU": f"{_cpu()}, {cores()} cores",
        "memory": _memory(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "libraries": ", ".join(f"{name} {_version(name)}" for name in LIBRARIES),
    }


def _cpu() -> str:
    """The model's name; Linux keeps it where `platform` does not look."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        fields = dict(line.split(":", 1) for line in listing.read_text().splitlines() if ":" in line)
        named = {key.strip(): value.strip() for key, value in fields.items()}
        if "model name" in named:
            family = [f"{key} {named[key]}" for key in ("cpu family", "model") if key in named]
            return f"{named['model name']} ({', '.join(family)})" if family else named["model name"]
    return platform.processor() or platform.machine()


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
