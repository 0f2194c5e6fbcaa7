"""Elementary functions as arithmetic without branches, which LLVM inlines into loops and vectorises.

A loaded module calls `exp` and means NumPy's, or a helper it carries; `replace` puts these functions there. Numba and
llvmlite are imported when that happens, not before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def replace(namespace: dict[str, Any], helpers: Mapping[str, str], in_loops: bool) -> None:
    """Puts these functions in the place of NumPy's and of the `helpers` among the globals of a loaded module.

    None of them is a user's: what users name are local variables. `in_loops` says whether the module has any.
    """
    import numpy as np

    from gradc.runtime.vectors.library import FUNCTIONS, fast

    for name, value in list(namespace.items()):
        known = value.__name__ if isinstance(value, np.ufunc) else helpers.get(name)
        if known in FUNCTIONS:
            namespace[name] = fast(known, in_loops)
