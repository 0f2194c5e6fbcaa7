"""Arrays of the same numbers that lie differently in memory."""

from __future__ import annotations

from typing import Any

import numpy as np


def by_rows(a: Any) -> Any:
    return np.ascontiguousarray(a)


def transposed(a: Any) -> Any:
    return np.ascontiguousarray(a.T).T


def some_rows(a: Any) -> Any:
    return np.concatenate([a[:1], a, a])[len(a[:1]) : len(a[:1]) + len(a)]


def tile(a: Any) -> Any:
    """The first columns of a wider array."""
    return np.concatenate([a, np.full((len(a), 3), np.nan, a.dtype)], axis=1)[:, : a.shape[1]]


def tile_transposed(a: Any) -> Any:
    return tile(a.T).T
