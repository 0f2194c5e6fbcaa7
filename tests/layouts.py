"""Arrays of the same numbers that lie differently in memory."""

from __future__ import annotations

import ctypes
import mmap
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


def at_the_end(a: Any) -> Any:
    """Up to where memory is forbidden: to touch one number more would end the process. For POSIX systems."""
    flipped = not a.flags.c_contiguous
    source = a.T if flipped else a
    whole = -(-source.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, whole + mmap.PAGESIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(start + whole), mmap.PAGESIZE, 0) == 0
    out = np.frombuffer(memory, a.dtype, source.size, whole - source.nbytes).reshape(source.shape)
    out[...] = source
    return out.T if flipped else out
