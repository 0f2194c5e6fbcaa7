"""Python's garbage collector, kept out of the way."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

LEAST = 100_000
"""So many objects are let be, even where that is more than half of all."""

_moved = 0
"""How many objects have been moved to the oldest since Python looked through those."""
_many = LEAST
"""So many are half of all, as far as is known: to count all takes long where there are millions."""


@contextmanager
def paused() -> Iterator[None]:
    """No collections meanwhile. A graph that grows has no garbage in it, and is walked again and again to find none.

    What was made is not walked when collections go on either: freezing and thawing moves it to the oldest objects.
    """
    global _moved
    running, before = gc.isenabled(), gc.get_count()[0]
    gc.disable()
    try:
        yield
    finally:
        if running:
            if not gc.get_freeze_count():
                _moved += max(0, gc.get_count()[0] - before)
                gc.freeze()
                gc.unfreeze()
            gc.enable()


def tidy() -> None:
    """Collects what earlier graphs have left behind, if that may be half of all objects.

    Python has such a rule for the oldest objects, but does not count those that were moved there.
    """
    global _moved, _many
    if _moved < _many or not gc.isenabled() or gc.get_freeze_count():
        return
    gc.freeze()
    _many = max(LEAST, gc.get_freeze_count() // 2)
    gc.unfreeze()
    if _moved >= _many:
        _moved = 0
        gc.collect()
