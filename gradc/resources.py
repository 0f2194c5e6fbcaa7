"""Where the files beside the code are: inside the package in a wheel, at the root of a checkout otherwise."""

from __future__ import annotations

from pathlib import Path


def path(name: str) -> Path:
    """The directory `templates` or `examples`. Raises FileNotFoundError if the installation lacks it."""
    package = Path(__file__).parent
    for place in (package / name, package.parent / name):
        if place.is_dir():
            return place
    raise FileNotFoundError(f"gradc's {name} directory is missing from this installation")
