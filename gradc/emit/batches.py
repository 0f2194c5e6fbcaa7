"""Calls of one function that do not wait for one another, made four at a time on vectors.

A long program is mostly calls. Within a basic block an instruction may move as far as its operands let it: what can be
done is done in the order it stands in, calls wait until nothing else is left to do, and then those of one function are
made together. Each result is what a call by itself gives.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Sequence
from heapq import heapify, heappop, heappush

WIDTH = 4
VECTOR = f"<{WIDTH} x double>"
MARK = "noinline"
"""Stands behind the calls that may be batched: of functions of floats that are worth it."""

_REGISTER = re.compile(r"%r\d+")
_CALL = re.compile(rf'(%r\d+) = call double @"([^"]*)"\((.*)\) {MARK}$')
_LAZY = re.compile(r"%r\d+ = (load|getelementptr) ")


def batched(lines: Sequence[str]) -> list[str]:
    """The instructions of one basic block in another order, with marked calls in batches."""
    return _Schedule(lines).made()


def vector_function(name: str, params: int, pointer: str) -> str:
    """A function of vectors that calls `name` for each element, in a loop that LLVM turns into vector code."""
    memory, element = pointer.format(VECTOR), pointer.format("double")
    every = range(params)
    lines = [f"define {VECTOR} {_vector(name)}({', '.join(f'{VECTOR} %v{k}' for k in every)}) noinline {{"]
    lines += ["entry:", *(f"%p{k} = alloca {VECTOR}" for k in range(params + 1))]
    lines += [f"store {VECTOR} %v{k}, {memory} %p{k}" for k in every]
    lines += ["br label %loop", "loop:", "%i = phi i64 [0, %entry], [%next, %loop]"]
    lines += [f"%e{k} = getelementptr {VECTOR}, {memory} %p{k}, i64 0, i64 %i" for k in range(params + 1)]
    lines += [f"%x{k} = load double, {element} %e{k}" for k in every]
    lines += [f'%y = call double @"{name}"({", ".join(f"double %x{k}" for k in every)}) alwaysinline']
    lines += [f"store double %y, {element} %e{params}", "%next = add i64 %i, 1", f"%done = icmp eq i64 %next, {WIDTH}"]
    lines += ["br i1 %done, label %after, label %loop, !llvm.loop !0", "after:"]
    lines += [f"%r = load {VECTOR}, {memory} %p{params}", f"ret {VECTOR} %r", "}"]
    return "\n".join(lines)


def vector_declaration(name: str, params: int) -> str:
    return f"declare {VECTOR} {_vector(name)}({', '.join([VECTOR] * params)})"


LOOP = f"""\
!0 = distinct !{{!0, !1, !2, !3}}
!1 = !{{!"llvm.loop.unroll.disable"}}
!2 = !{{!"llvm.loop.vectorize.enable", i1 true}}
!3 = !{{!"llvm.loop.vectorize.width", i32 {WIDTH}}}
"""
"""What LLVM is told of the loops in vector functions."""


def _vector(name: str) -> str:
    return f'@"{name}.vector"'


class _Schedule:
    """Loads are made where they are first needed, so that not all of them are held at once."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = lines
        self.makers = {line.split(" ", 1)[0]: k for k, line in enumerate(lines) if line.startswith("%")}
        made_by = [[self.makers[r] for r in _REGISTER.findall(line)] for line in lines]
        self.operands = [[a for a in makers if a != k] for k, makers in enumerate(made_by)]
        self.calls = {k: m for k, line in enumerate(lines) if line.endswith(MARK) and (m := _CALL.match(line))}
        self.lazy = {k for k, line in enumerate(lines) if _LAZY.match(line)}
        self.users: dict[int, list[int]] = defaultdict(list)
        self.missing: dict[int, int] = {}
        self.loaded: set[int] = set()
        self.out: list[str] = []
        for k in range(len(lines)):
            if k not in self.lazy:
                needed = self._needed(k)
                self.missing[k] = len(needed)
                for a in needed:
                    self.users[a].append(k)

    def _needed(self, k: int) -> set[int]:
        """The instructions that must come before, beside loads, which come with it."""
        found: set[int] = set()
        stack = [k]
        while stack:
            for a in self.operands[stack.pop()]:
                if a in self.lazy:
                    stack.append(a)
                else:
                    found.add(a)
        return found

    def made(self) -> list[str]:
        ready = [k for k, count in self.missing.items() if not count and k not in self.calls]
        heapify(ready)
        waiting: dict[str, deque[int]] = defaultdict(deque)
        for k, call in self.calls.items():
            if not self.missing[k]:
                waiting[call[2]].append(k)
        while ready or any(waiting.values()):
            if ready:
                done = [heappop(ready)]
                self._load(done[0])
                self.out.append(self.lines[done[0]])
            else:
                pool = max(waiting.values(), key=lambda pool: (min(len(pool), WIDTH), -pool[0] if pool else 0))
                done = [pool.popleft() for _ in range(min(len(pool), WIDTH))]
                self._batch(done)
            for k in done:
                for user in self.users[k]:
                    self.missing[user] -= 1
                    if not self.missing[user]:
                        if user in self.calls:
                            waiting[self.calls[user][2]].append(user)
                        else:
                            heappush(ready, user)
        return self.out

    def _load(self, k: int) -> None:
        for a in self.operands[k]:
            if a in self.lazy and a not in self.loaded:
                self.loaded.add(a)
                self._load(a)
                self.out.append(self.lines[a])

    def _batch(self, calls: Sequence[int]) -> None:
        for k in calls:
            self._load(k)
        if len(calls) == 1:
            self.out.append(self.lines[calls[0]])
            return
        found = [self.calls[k] for k in calls]
        padded = [*found, *(found[-1] for _ in range(WIDTH - len(found)))]
        first = found[0][1]
        vectors = []
        for p, column in enumerate(zip(*(call[3].split(", ") for call in padded), strict=True)):
            vector = "undef"
            for k, argument in enumerate(column):
                self.out.append(f"{first}.{p}.{k} = insertelement {VECTOR} {vector}, {argument}, i32 {k}")
                vector = f"{first}.{p}.{k}"
            vectors.append(f"{VECTOR} {vector}")
        self.out.append(f"{first}.all = call {VECTOR} {_vector(found[0][2])}({', '.join(vectors)})")
        for k, call in enumerate(found):
            self.out.append(f"{call[1]} = extractelement {VECTOR} {first}.all, i32 {k}")
