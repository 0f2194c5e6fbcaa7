"""Elementary functions as arithmetic without branches, which LLVM inlines into loops and vectorises.

A loaded module calls `exp` and means NumPy's, or a helper it carries; `replace` puts these functions there. Numba and
llvmlite are imported when that happens, not before.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any


@functools.cache
def sources() -> tuple[str, ...]:
    """The text of this package, on which machine code made with it depends."""
    return tuple(file.read_text(encoding="utf-8") for file in sorted(Path(__file__).parent.glob("*.py")))


def replace(namespace: dict[str, Any], helpers: Mapping[str, str]) -> None:
    """Puts these functions in the place of NumPy's and of the `helpers` among the globals of a loaded module.

    None of them is a user's: what users name are local variables.
    """
    import numpy as np

    from gradc.runtime.vectors.library import FUNCTIONS, fast

    for name, value in list(namespace.items()):
        known = value.__name__ if isinstance(value, np.ufunc) else helpers.get(name)
        if known in FUNCTIONS:
            namespace[name] = fast(known)
