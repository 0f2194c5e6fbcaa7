"""The tape of a block: 8-byte slots for what one of its functions computes and another reads."""

from __future__ import annotations

from collections.abc import Iterable


class Tape:
    """Says where scalars are. `reads` are there before the block is called; `pointer` is how a pointer is spelt."""

    def __init__(self, reads: Iterable[str], pointer: str) -> None:
        self.slots = {name: k for k, name in enumerate(reads)}
        self.size = len(self.slots)
        self.double = pointer.format("double")

    def more(self, count: int) -> int:
        """The first of so many new slots in a row."""
        first, self.size = self.size, self.size + count
        return first

    def slot(self, name: str) -> int:
        """Where this scalar is kept, from now on."""
        if name not in self.slots:
            self.slots[name] = self.more(1)
        return self.slots[name]

    def address(self, register: str, slot: int) -> str:
        return f"{register} = getelementptr double, {self.double} %tape, i64 {slot}"

    def load(self, register: str, slot: int) -> str:
        place = f"{register}.place"
        return f"{self.address(place, slot)}\n{register} = load double, {self.double} {place}"

    def store(self, operand: str, name: str, place: str) -> str:
        return f"{self.address(place, self.slot(name))}\nstore volatile double {operand}, {self.double} {place}"
