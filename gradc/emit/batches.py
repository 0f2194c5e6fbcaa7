"""Calls that do not wait for one another, made four at a time on vectors.

A long program is mostly calls. Within a basic block an instruction may move as far as its operands let it: what can be
done is done in the order it stands in, calls wait until nothing else is left to do, and then all that wait are made,
those of one function together. Functions of the same numbers are called as one. Each result is what a call by itself
gives.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from heapq import heapify, heappop, heappush

from msgspec import Struct

WIDTH = 4
VECTOR = f"<{WIDTH} x double>"


class Line(Struct, frozen=True):
    """A line of a function, and the numbers of those that make what it needs. Line k makes register `%rk`, if any.

    Loads and what they need are `lazy`: made where they are first needed, so that not all of them are held at once. A
    `call` that may be batched is of a function of floats that is worth it: its name and arguments.
    """

    text: str
    needs: Sequence[int] = ()
    lazy: bool = False
    call: tuple[str, str] | None = None


class Calls(Struct, frozen=True):
    """Calls of functions, by name, with the same arguments: what register gets which one's result."""

    registers: tuple[str, ...]
    names: tuple[str, ...]
    arguments: str

    @property
    def vectors(self) -> Vectors:
        return Vectors(self.names, len(self.arguments.split(", ")))


class Vectors(Struct, frozen=True):
    """A function of vectors that computes what these functions give for each element."""

    names: tuple[str, ...]
    params: int

    @property
    def symbol(self) -> str:
        return f'@"{"+".join(self.names)}.vector"'

    @property
    def result(self) -> str:
        return VECTOR if len(self.names) == 1 else f"{{{', '.join([VECTOR] * len(self.names))}}}"

    def declaration(self) -> str:
        return f"declare {self.result} {self.symbol}({', '.join([VECTOR] * self.params)})"

    def definition(self, pointer: str) -> str:
        """Calls the functions for each element, in a loop that LLVM turns into vector code."""
        memory, element = pointer.format(VECTOR), pointer.format("double")
        given = range(self.params)
        made = range(self.params, self.params + len(self.names))
        lines = [f"define {self.result} {self.symbol}({', '.join(f'{VECTOR} %v{k}' for k in given)}) noinline {{"]
        lines += ["entry:", *(f"%p{k} = alloca {VECTOR}" for k in (*given, *made))]
        lines += [f"store {VECTOR} %v{k}, {memory} %p{k}" for k in given]
        lines += ["br label %loop", "loop:", "%i = phi i64 [0, %entry], [%next, %loop]"]
        lines += [f"%e{k} = getelementptr {VECTOR}, {memory} %p{k}, i64 0, i64 %i" for k in (*given, *made)]
        lines += [f"%x{k} = load double, {element} %e{k}" for k in given]
        arguments = ", ".join(f"double %x{k}" for k in given)
        for k, name in zip(made, self.names, strict=True):
            lines += [f'%y{k} = call double @"{name}"({arguments}) alwaysinline']
            lines += [f"store double %y{k}, {element} %e{k}"]
        lines += ["%next = add i64 %i, 1", f"%done = icmp eq i64 %next, {WIDTH}"]
        lines += ["br i1 %done, label %after, label %loop, !llvm.loop !0", "after:"]
        lines += [f"%r{k} = load {VECTOR}, {memory} %p{k}" for k in made]
        whole = f"%r{self.params}"
        if len(self.names) > 1:
            whole = "undef"
            for j, k in enumerate(made):
                lines.append(f"%all{j} = insertvalue {self.result} {whole}, {VECTOR} %r{k}, {j}")
                whole = f"%all{j}"
        lines += [f"ret {self.result} {whole}", "}"]
        return "\n".join(lines)


def batched(lines: Sequence[Line]) -> tuple[list[str], list[Vectors]]:
    """The instructions of one basic block in another order, with marked calls in batches; and what these call."""
    schedule = _Schedule(lines)
    return schedule.made(), list(schedule.called)


LOOP = f"""\
!0 = distinct !{{!0, !1, !2, !3}}
!1 = !{{!"llvm.loop.unroll.disable"}}
!2 = !{{!"llvm.loop.vectorize.enable", i1 true}}
!3 = !{{!"llvm.loop.vectorize.width", i32 {WIDTH}}}
"""
"""What LLVM is told of the loops in vector functions."""


class _Schedule:
    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = lines
        self.calls, first = _joined(lines)
        self.operands = [[first.get(a, a) for a in line.needs] for line in lines]
        self.users: dict[int, list[int]] = defaultdict(list)
        self.missing: dict[int, int] = {}
        self.loaded: set[int] = set()
        self.out: list[str] = []
        self.called: dict[Vectors, None] = {}
        for k, line in enumerate(lines):
            if not line.lazy and first.get(k, k) == k:
                needed = self._needed(k)
                self.missing[k] = len(needed)
                for a in needed:
                    self.users[a].append(k)

    def _needed(self, k: int) -> set[int]:
        """The lines that must come before, beside lazy ones, which come with it."""
        found: set[int] = set()
        for a in self.operands[k]:
            if self.lines[a].lazy:
                found |= self._needed(a)
            else:
                found.add(a)
        return found

    def made(self) -> list[str]:
        ready = [k for k, count in self.missing.items() if not count and k not in self.calls]
        heapify(ready)
        waiting: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for k, calls in self.calls.items():
            if not self.missing[k]:
                waiting[calls.names].append(k)
        while ready or waiting:
            if ready:
                done = [heappop(ready)]
                self._load(done[0])
                self.out.append(self.lines[done[0]].text)
            else:
                done = [k for nodes in waiting.values() for k in nodes]
                for nodes in waiting.values():
                    for first in range(0, len(nodes), WIDTH):
                        self._batch(nodes[first : first + WIDTH])
                waiting.clear()
            for k in done:
                for user in self.users[k]:
                    self.missing[user] -= 1
                    if not self.missing[user]:
                        if user in self.calls:
                            waiting[self.calls[user].names].append(user)
                        else:
                            heappush(ready, user)
        return self.out

    def _load(self, k: int) -> None:
        for a in self.operands[k]:
            if self.lines[a].lazy and a not in self.loaded:
                self.loaded.add(a)
                self._load(a)
                self.out.append(self.lines[a].text)

    def _batch(self, nodes: Sequence[int]) -> None:
        for k in nodes:
            self._load(k)
        found = [self.calls[k] for k in nodes]
        first = found[0]
        function = first.vectors
        if len(nodes) == 1 == len(first.names):
            self.out.append(self.lines[nodes[0]].text)
            return
        self.called[function] = None
        padded = [*found, *(found[-1] for _ in range(WIDTH - len(found)))]
        of = first.registers[0]
        vectors = []
        for p, column in enumerate(zip(*(calls.arguments.split(", ") for calls in padded), strict=True)):
            vector = "undef"
            for k, argument in enumerate(column):
                self.out.append(f"{of}.{p}.{k} = insertelement {VECTOR} {vector}, {argument}, i32 {k}")
                vector = f"{of}.{p}.{k}"
            vectors.append(f"{VECTOR} {vector}")
        self.out.append(f"{of}.all = call {function.result} {function.symbol}({', '.join(vectors)})")
        for j in range(len(first.names)):
            result = f"{of}.all"
            if len(first.names) > 1:
                result = f"{of}.all.{j}"
                self.out.append(f"{result} = extractvalue {function.result} {of}.all, {j}")
            for k, calls in enumerate(found):
                self.out.append(f"{calls.registers[j]} = extractelement {VECTOR} {result}, i32 {k}")


def _joined(lines: Sequence[Line]) -> tuple[dict[int, Calls], dict[int, int]]:
    """The calls that may be batched, those with the same arguments as one, by the first of them; and its number."""
    found: dict[str, list[int]] = defaultdict(list)
    names: dict[int, str] = {}
    for k, line in enumerate(lines):
        if line.call is not None:
            names[k], arguments = line.call
            found[arguments].append(k)
    calls: dict[int, Calls] = {}
    first: dict[int, int] = {}
    for arguments, places in found.items():
        calls[places[0]] = Calls(tuple(f"%r{k}" for k in places), tuple(names[k] for k in places), arguments)
        first.update(dict.fromkeys(places, places[0]))
    return calls, first
