"""Calls that do not wait for one another, made four at a time on vectors.

A long program is mostly calls. Within a basic block an instruction may move as far as its operands let it: what can be
done is done in the order it stands in, calls wait until nothing else is left to do, and then all that wait are made,
those of one function together. Functions of the same numbers are called as one. Each result is what a call by itself
gives.

A call leaves nothing in registers. So what is on the tape is read from there again behind it, which is part of the
instruction that needs it, instead of being put aside before.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush

from msgspec import Struct

from gradc.emit.tape import Tape

WIDTH = 4
VECTOR = f"<{WIDTH} x double>"

NEAR = 24
"""So many lines behind the one that made it, a value on the tape is taken to be in its register still."""


class Line(Struct, frozen=True):
    """A line of a function, and the numbers of those that make what it needs. Line k makes register `%rk`, if any.

    Loads and what they need are `lazy`: made where they are first needed, so that not all of them are held at once. A
    `call` that may be batched is of a function of floats that is worth it: its name and arguments.
    """

    text: str
    needs: Sequence[int] = ()
    lazy: bool = False
    call: tuple[str, str] | None = None


class Fetch(Struct, frozen=True):
    """Line k that makes `%rk` of the scalar of this name, which is on the tape."""

    name: str
    needs: tuple[()] = ()


class Keep(Struct, frozen=True):
    """Puts what `operand` is on the tape, as the scalar of this name."""

    name: str
    operand: str
    needs: Sequence[int]


class Calls(Struct, frozen=True):
    """Calls of functions, by name, with the same arguments: what register gets which one's result."""

    registers: tuple[str, ...]
    names: tuple[str, ...]
    arguments: str
    needs: Sequence[int]

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

    def function(self, pointer: str) -> str:
        """Its type: four times the first argument, and so on, and where the results go, four of each function."""
        return f"void ({', '.join([*['double'] * (WIDTH * self.params), pointer.format('double')])})"

    def declaration(self, pointer: str) -> str:
        return f"declare {self.function(pointer).replace(' (', f' {self.symbol}(', 1)}"

    def definition(self, pointer: str) -> str:
        """Calls the functions for each element, in a loop that LLVM turns into vector code."""
        memory, element = pointer.format(VECTOR), pointer.format("double")
        given = range(self.params)
        scalars = ", ".join(f"double %a{p}.{k}" for p in given for k in range(WIDTH))
        lines = [f"define void {self.symbol}({scalars}, {element} noalias %to) noinline nounwind {{", "entry:"]
        for p in given:
            lines.append(f"%p{p} = alloca {VECTOR}")
            vector = "undef"
            for k in range(WIDTH):
                lines.append(f"%v{p}.{k} = insertelement {VECTOR} {vector}, double %a{p}.{k}, i32 {k}")
                vector = f"%v{p}.{k}"
            lines.append(f"store {VECTOR} {vector}, {memory} %p{p}")
        lines += ["br label %loop", "loop:", "%i = phi i64 [0, %entry], [%next, %loop]"]
        for p in given:
            lines += [f"%e{p} = getelementptr {VECTOR}, {memory} %p{p}, i64 0, i64 %i"]
            lines += [f"%x{p} = load double, {element} %e{p}"]
        arguments = ", ".join(f"double %x{p}" for p in given)
        for j, name in enumerate(self.names):
            lines += [f'%y{j} = call double @"{name}"({arguments}) alwaysinline']
            lines += [f"%all{j} = getelementptr double, {element} %to, i64 {WIDTH * j}"]
            lines += [f"%to{j} = getelementptr double, {element} %all{j}, i64 %i"]
            lines += [f"store double %y{j}, {element} %to{j}"]
        lines += ["%next = add i64 %i, 1", f"%done = icmp eq i64 %next, {WIDTH}"]
        lines += ["br i1 %done, label %after, label %loop, !llvm.loop !0", "after:", "ret void", "}"]
        return "\n".join(lines)


Step = Line | Fetch | Keep


def in_order(steps: Sequence[Step], tape: Tape) -> list[str]:
    """The lines of these steps as they stand."""
    made = []
    for k, step in enumerate(steps):
        if type(step) is Line:
            made.append(step.text)
        elif type(step) is Fetch:
            made.append(tape.load(f"%r{k}", tape.slots[step.name]))
        elif type(step) is Keep:
            made.append(tape.store(step.operand, step.name, f"%k{k}"))
    return made


def batched(steps: Sequence[Step], tape: Tape) -> tuple[list[str], Mapping[Vectors, str]]:
    """The steps of one basic block in another order, with marked calls in batches; and the registers these call."""
    schedule = _Schedule(steps, tape)
    return schedule.made(), schedule.called


LOOP = f"""\
!0 = distinct !{{!0, !1, !2, !3}}
!1 = !{{!"llvm.loop.unroll.disable"}}
!2 = !{{!"llvm.loop.vectorize.enable", i1 true}}
!3 = !{{!"llvm.loop.vectorize.width", i32 {WIDTH}}}
"""
"""What LLVM is told of the loops in vector functions."""


class _Schedule:
    def __init__(self, steps: Sequence[Step], tape: Tape) -> None:
        self.steps, self.tape = steps, tape
        self.calls, self.first = _joined(steps)
        self.users: dict[int, list[int]] = defaultdict(list)
        self.missing: dict[int, int] = {}
        self.out: list[str] = []
        self.called: dict[Vectors, str] = {}
        self.loaded: set[int] = set()
        self.places = {k: tape.slots[s.name] for k, s in enumerate(steps) if type(s) is Fetch}
        """Slots of the registers that are on the tape."""
        self.unnamed: dict[int, int] = {}
        """Those of results that are no scalar's yet."""
        self.copies: dict[int, tuple[str, int]] = {}
        """The registers they were last in, and since what line."""
        for k, step in enumerate(steps):
            if not _is_lazy(step) and self.first.get(k, k) == k:
                needed = self._needed(k)
                self.missing[k] = len(needed)
                for a in needed:
                    self.users[a].append(k)

    def _needed(self, k: int) -> set[int]:
        """The lines that must come before, beside lazy ones, which come with it."""
        found: set[int] = set()
        for a in self.steps[k].needs:
            if _is_lazy(self.steps[a]):
                found |= self._needed(a)
            else:
                found.add(self.first.get(a, a))
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
                self._make(done[0])
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

    def _make(self, k: int) -> None:
        step = self.steps[k]
        if type(step) is Keep:
            self._keep(step, k)
        elif type(step) is Line:
            self.out.append(self._with_operands(step.text, step.needs))
            self.copies[k] = f"%r{k}", len(self.out)

    def _keep(self, step: Keep, k: int) -> None:
        """What a call has put on the tape is there already. Only one scalar may say so: it may be assigned again."""
        unnamed = next((self.unnamed.pop(a) for a in step.needs if a in self.unnamed), None)
        if unnamed is not None and step.name not in self.tape.slots:
            self.tape.slots[step.name] = unnamed
            return
        self.out.append(self.tape.store(self._with_operands(step.operand, step.needs), step.name, f"%k{k}"))
        for a in step.needs:
            self.places[a] = self.tape.slots[step.name]

    def _with_operands(self, text: str, needs: Sequence[int]) -> str:
        """The text with the registers that its operands are in, which are loaded if that has to be."""
        renamed = {f"%r{a}": self._operand(a) for a in needs}
        if all(a == b for a, b in renamed.items()):
            return text
        return re.sub(r"%r\d+", lambda found: renamed.get(found[0], found[0]), text)

    def _operand(self, a: int) -> str:
        register, step = f"%r{a}", self.steps[a]
        if a in self.places:
            copy, since = self.copies.get(a, ("", -NEAR))
            if len(self.out) - since < NEAR:
                return copy
            register = f"{register}.{len(self.out)}"
            self.out.append(self.tape.load(register, self.places[a]))
            self.copies[a] = register, len(self.out)
        elif type(step) is Line and step.lazy and a not in self.loaded:
            self.loaded.add(a)
            self.out.append(self._with_operands(step.text, step.needs))
        return register

    def _batch(self, nodes: Sequence[int]) -> None:
        """The calls of one function with these arguments, or of several functions that have the same."""
        found = [self.calls[k] for k in nodes]
        first = found[0]
        if len(nodes) == 1 == len(first.names):
            self._make(nodes[0])
            self.copies = {nodes[0]: (first.registers[0], len(self.out))}
            return
        vectors, size = first.vectors, WIDTH * len(first.names)
        function = self.called.setdefault(vectors, f"%f{len(self.called)}")
        given = [self._with_operands(calls.arguments, calls.needs).split(", ") for calls in found]
        given += [given[-1]] * (WIDTH - len(found))
        arguments = ", ".join(argument for column in zip(*given, strict=True) for argument in column)
        slot, place = self.tape.more(size), f"{first.registers[0]}.results"
        self.out.append(self.tape.address(place, slot))
        self.out.append(f"call void {function}({arguments}, {self.tape.double} {place})")
        self.copies.clear()
        for k, calls in enumerate(found):
            for j, register in enumerate(calls.registers):
                a = int(register[2:])
                self.places[a] = self.unnamed[a] = slot + WIDTH * j + k


def _is_lazy(step: Step) -> bool:
    return type(step) is Fetch or (type(step) is Line and step.lazy)


def _joined(steps: Sequence[Step]) -> tuple[dict[int, Calls], dict[int, int]]:
    """The calls that may be batched, those with the same arguments as one, by the first of them; and its number."""
    found: dict[str, list[int]] = defaultdict(list)
    names: dict[int, str] = {}
    for k, step in enumerate(steps):
        if type(step) is Line and step.call is not None:
            names[k], arguments = step.call
            found[arguments].append(k)
    calls: dict[int, Calls] = {}
    first: dict[int, int] = {}
    for arguments, places in found.items():
        registers = tuple(f"%r{k}" for k in places)
        calls[places[0]] = Calls(registers, tuple(names[k] for k in places), arguments, steps[places[0]].needs)
        first.update(dict.fromkeys(places, places[0]))
    return calls, first
