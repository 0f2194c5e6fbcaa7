"""Elementary functions as arithmetic without branches, which LLVM inlines into loops and vectorises.

`library` builds them and puts them in the place of NumPy's names in a loaded module. Nothing here imports Numba before
a module is compiled.
"""

from __future__ import annotations

from pathlib import Path


def sources() -> list[str]:
    """The text of this package, on which machine code made with it depends."""
    return [file.read_text(encoding="utf-8") for file in sorted(Path(__file__).parent.glob("*.py"))]
