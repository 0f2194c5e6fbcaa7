"""A block of a loop program as LLVM's text: functions of some hundred statements each, called one after another.

Scalars are LLVM's own values within a function. What one function computes and another needs lives on a tape of 8-byte
slots, where the caller puts what the block reads and finds what it writes. Arrays are C-ordered. Arithmetic is printed
without flags: results are those of the statements as they stand. A scalar function that is more than one instruction is
a call of an `Operation`, which is compiled from its Python text like any other code.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct

from gradc.emit.batches import LOOP, Fetch, Keep, Line, Step, Vectors, batched, in_order
from gradc.emit.blocks import read_first
from gradc.emit.pairs import side_by_side
from gradc.emit.tape import Tape
from gradc.ir import Number, Type
from gradc.loops import Apply, Assign, Block, Const, Element, Expr, Name, Plain, parts

SIZE = 500
"""Statements in one LLVM function: the cost of compiling one grows faster than its length."""

TYPES: dict[Type, str] = {"float": "double", "int": "i64", "bool": "i1"}
STORED: dict[Type, str] = {**TYPES, "bool": "i8"}
FLOAT = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
INTEGER = {"add": "add", "sub": "sub", "mul": "mul"}
ORDERED = {"lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq", "ne": "une"}
SIGNED = {"lt": "slt", "le": "sle", "gt": "sgt", "ge": "sge", "eq": "eq", "ne": "ne"}


class Operation(Struct, frozen=True):
    """A scalar function that blocks call by this name: an expression over its parameters."""

    name: str
    params: tuple[Name, ...]
    value: Apply


Define = Callable[[Operation], bool]
"""Told of every operation before it is first called; whether it is long, so that calls of it are better batched."""


class BlockText:
    """The text of a block: a function `name(tape, data, lengths of all axes but the first, data, ...)`.

    `ranks` of its arrays, in order; `pointer` is how a pointer to a type is spelt, `{}*` or `ptr`; `size` is how many
    statements one LLVM function gets. Those of a `straight` block, which runs once, are translated as they stand.
    `tape` says where on it scalars are, once the parts are made.
    """

    def __init__(
        self, block: Block, name: str, ranks: Sequence[int], pointer: str, size: int, straight: bool, define: Define
    ) -> None:
        self.name, self.pointer = name, pointer
        self.attributes = 'noinline optnone nounwind "frame-pointer"="all"' if straight else "noinline nounwind"
        body = side_by_side(block.body)
        self.chunks = [body[k : k + size] for k in range(0, len(body), size)]
        crossing = [n for chunk in self.chunks for n in read_first(chunk).values()]
        self.crossing = {n.name for n in (*block.writes, *crossing)}
        self.tape = Tape([n.name for n in block.reads], pointer)
        params = [f"{pointer.format('double')} noalias %tape"]
        self.arrays = {a.name: f"%a{k}" for k, a in enumerate(block.arrays)}
        for a, rank in zip(block.arrays, ranks, strict=True):
            data = self.arrays[a.name]
            params += [f"{pointer.format(STORED[a.type])} {data}", *(f"i64 {data}.{k}" for k in range(1, rank))]
        self.params = ", ".join(params)
        self.operations = _Operations(name, define)
        self.called: dict[Vectors, None] = {}

    def parts(self, together: int) -> Iterator[str]:
        """Its functions, so many at a time, with declarations of what they call."""
        for first in range(0, len(self.chunks), together):
            declared: dict[str, None] = {}
            functions = []
            for k, chunk in enumerate(self.chunks[first : first + together], first):
                calls, text = self._function(f"{self.name}.{k}", chunk)
                declared |= dict.fromkeys(calls)
                functions.append(text)
            yield "\n\n".join([*declared, *functions])

    def whole(self) -> str:
        """The function that calls the others."""
        names = [f"{self.name}.{k}" for k in range(len(self.chunks))]
        arguments = self.params.replace(" noalias", "")
        declared = [f'declare void @"{name}"({arguments})' for name in names]
        calls = [f'call void @"{name}"({arguments})' for name in names]
        head = f'define void @"{self.name}"({self.params}) nounwind {{'
        return "\n".join([*declared, head, *calls, "ret void", "}"])

    def vectors(self) -> str:
        """The functions by which the parts so far call operations on vectors, if they do."""
        if not self.called:
            return ""
        operations = [_declaration(o) for o in self.operations.long.values()]
        return "\n\n".join([*operations, *(vectors.definition(self.pointer) for vectors in self.called), LOOP])

    def _function(self, name: str, chunk: Sequence[Plain]) -> tuple[list[str], str]:
        """Declarations of what the function of these statements calls, and the function."""
        function = _Function(self.crossing, self.arrays, self.pointer, self.operations)
        written: Sequence[Step] = function.body(chunk)
        vectors: Mapping[Vectors, str] = {}
        if function.may_be_reordered:
            lines, vectors = batched(written, self.tape)
            self.called |= dict.fromkeys(vectors)
        else:
            lines = in_order(written, self.tape)
        table, loads = _loaded(f"{name}.constants", function.constants, self.pointer)
        declared = [
            *map(_declaration, function.operations_called.values()),
            *(v.declaration(self.pointer) for v in vectors),
        ]
        addresses, more = _addresses(name, vectors, self.pointer)
        head = f'define void @"{name}"({self.params}) {self.attributes} {{'
        return declared, "\n".join([table, *addresses, head, *loads, *more, *lines, "ret void", "}"])


def _loaded(name: str, constants: Mapping[str, str], pointer: str) -> tuple[str, list[str]]:
    """A table of a function's constants, and the lines that read it into registers.

    As operands they would be fetched where they stand, each time by way of an address as long as the instruction.
    """
    kind = f"[{len(constants)} x double]"
    double = pointer.format("double")
    table = f'@"{name}" = internal constant {kind} [{", ".join(f"double {c}" for c in constants)}]'
    loads = [f'%c = getelementptr {kind}, {pointer.format(kind)} @"{name}", i64 0, i64 0']
    for k, register in enumerate(constants.values()):
        loads.append(f"{register}.place = getelementptr double, {double} %c, i64 {k}")
        loads.append(f"{register} = load double, {double} {register}.place")
    return table, loads


def _addresses(name: str, vectors: Mapping[Vectors, str], pointer: str) -> tuple[list[str], list[str]]:
    """The addresses of functions, and the lines that read them into registers, for the same reason."""
    variables, loads = [], []
    for k, (function, register) in enumerate(vectors.items()):
        kind = pointer.format(function.function(pointer))
        variables.append(f'@"{name}.f{k}" = internal constant {kind} {function.symbol}')
        loads.append(f'{register} = load {kind}, {pointer.format(kind)} @"{name}.f{k}"')
    return variables, loads


def _declaration(o: Operation) -> str:
    return f'declare {TYPES[o.value.type]} @"{o.name}"({", ".join(TYPES[p.type] for p in o.params)})'


class _Operations:
    """The operations of a block, made as they are found."""

    def __init__(self, block: str, define: Define) -> None:
        self.block, self.define = block, define
        self.known: dict[tuple[object, ...], Operation] = {}
        self.long: dict[str, Operation] = {}

    def of(self, e: Apply) -> Operation:
        """Whole numbers are part of the operation: an exponent of 2 is no function of two arguments."""
        key = (e.op, e.type, *(a if _is_whole(a) else _type(a) for a in e.args))
        if key not in self.known:
            args = tuple(a if _is_whole(a) else Name(f"a{k}", _type(a)) for k, a in enumerate(e.args))
            params = tuple(a for a in args if isinstance(a, Name))
            name = f"{self.block}.operation{len(self.known) + 1}"
            o = self.known[key] = Operation(name, params, Apply(e.op, args, e.type))
            if self.define(o) and {e.type, *(p.type for p in params)} == {"float"}:
                self.long[name] = o
        return self.known[key]


class _Function:
    """Prints the statements of one function. A value is an operand in LLVM's text: a constant or a register."""

    def __init__(
        self,
        crossing: set[str],
        arrays: dict[str, str],
        pointer: str,
        operations: _Operations,
    ) -> None:
        self.crossing, self.arrays, self.operations = crossing, arrays, operations
        self.pointers = {kind: pointer.format(stored) for kind, stored in STORED.items()}
        self.lines: list[Step] = []
        self.values: dict[str, str] = {}
        self.count = 0
        self.label = "0"
        self.fixed = False
        self.fetched: set[str] = set()
        self.constants: dict[str, str] = {}
        self.operations_called: dict[str, Operation] = {}

    def body(self, chunk: Sequence[Plain]) -> list[Step]:
        last = {s.target.name: s for s in chunk if isinstance(s.target, Name)}
        for s in chunk:
            self._statement(s)
            if isinstance(s.target, Name) and last[s.target.name] is s and s.target.name in self.crossing:
                self._keep(s.target)
        return self.lines

    @property
    def may_be_reordered(self) -> bool:
        """Whether nothing but registers says what must come before what."""
        return self.label == "0" and not self.fixed

    # statements

    def _statement(self, s: Plain) -> None:
        target, value, guard = s.target, s.value, None
        if not isinstance(s, Assign):
            guard = s.guard
            value = Apply(s.op, (target, s.value), target.type)
        if isinstance(target, Element):
            self._store(target, value, guard)
            return
        if guard is not None:
            value = Apply("select", (guard, value, target), target.type)
        self.values[target.name] = self._value(value, target.type)

    def _store(self, target: Element, value: Expr, guard: Expr | None) -> None:
        self.fixed = True
        taken, after = self._labels("taken", "after")
        if guard is not None:
            self._branch(guard, (value, *target.at), taken, after)
            self._start(taken)
        stored = self._value(value, target.type)
        if target.type == "bool":
            stored = self._register(f"zext i1 {stored} to i8", stored)
        place = self._place(target)
        self._line(f"store {STORED[target.type]} {stored}, {self.pointers[target.type]} {place}", stored, place)
        if guard is not None:
            self._line(f"br label %{after}")
            self._start(after)

    def _scalar(self, n: Name) -> str:
        if n.name not in self.values:
            self.values[n.name] = self._fetched(n)
        return self.values[n.name]

    def _fetched(self, n: Name) -> str:
        self.fetched.add(n.name)
        word = f"%r{len(self.lines)}"
        self.lines.append(Fetch(n.name))
        if n.type != "float":
            word = self._register(f"bitcast double {word} to i64", word)
        return self._register(f"trunc i64 {word} to i1", word) if n.type == "bool" else word

    def _keep(self, n: Name) -> None:
        self.fixed |= n.name in self.fetched
        word = self.values[n.name]
        if n.type == "bool":
            word = self._register(f"zext i1 {word} to i64", word)
        if n.type != "float":
            word = self._register(f"bitcast i64 {word} to double", word)
        self.lines.append(Keep(n.name, word, _lines([word])))

    # expressions

    def _value(self, e: Expr, wanted: Type) -> str:
        """The expression's value in the wanted type."""
        if isinstance(e, Name):
            value = self.values.get(e.name) or self._scalar(e)
        elif isinstance(e, Apply):
            value = self._apply(e)
        elif isinstance(e, Element):
            value = self._load(e)
        else:
            constant = _constant(e.value, wanted)
            return self.constants.setdefault(constant, f"%c{len(self.constants)}") if wanted == "float" else constant
        return value if e.type == wanted else self._converted(value, e.type, wanted)

    def _converted(self, value: str, given: Type, wanted: Type) -> str:
        if wanted == "float":
            return self._register(f"{'uitofp i1' if given == 'bool' else 'sitofp i64'} {value} to double", value)
        if given == "bool":
            return self._register(f"zext i1 {value} to i64", value)
        raise TypeError(f"a value of type {given} where {wanted} is expected")

    def _load(self, e: Element) -> str:
        place = self._place(e)
        read = self._register(f"load {STORED[e.type]}, {self.pointers[e.type]} {place}", place, lazy=True)
        return self._register(f"trunc i8 {read} to i1", read) if e.type == "bool" else read

    def _place(self, e: Element) -> str:
        data, at = self.arrays[e.array], self._value(e.at[0], "int")
        for k, subscript in enumerate(e.at[1:], 1):
            rows, column = self._register(f"mul i64 {at}, {data}.{k}", at), self._value(subscript, "int")
            at = self._register(f"add i64 {rows}, {column}", rows, column)
        kind = STORED[e.type]
        return self._register(f"getelementptr {kind}, {self.pointers[e.type]} {data}, i64 {at}", at, lazy=True)

    def _apply(self, e: Apply) -> str:
        if e.type == "float" and e.op in FLOAT:
            left, right = [self._value(a, "float") for a in e.args]
            return self._register(f"{FLOAT[e.op]} double {left}, {right}", left, right)
        if e.op == "select":
            condition, a, b = e.args
            return self._select(condition, a, b, e.type)
        if e.op == "and":
            return self._select(e.args[0], e.args[1], Const(False), "bool")
        if e.op == "or":
            return self._select(e.args[0], Const(True), e.args[1], "bool")
        if not _is_instruction(e):
            return self._call(e)
        if e.op == "float":
            return self._value(e.args[0], "float")
        if e.op == "not":
            given = self._value(e.args[0], "bool")
            return self._register(f"xor i1 {given}, true", given)
        if e.op in ORDERED:
            return self._compare(e)
        operands = [self._value(a, e.type) for a in e.args]
        if e.op in ("maximum", "minimum"):
            return self._extreme(e, operands)
        if e.op == "neg":
            if e.type == "float":  # translated as it stands, `fneg` goes by way of whole numbers
                return self._register(f"fmul double {operands[0]}, {self._value(Const(-1.0), 'float')}", *operands)
            return self._register(f"sub i64 0, {operands[0]}", *operands)
        return self._register(f"{INTEGER[e.op]} i64 {', '.join(operands)}", *operands)

    def _compare(self, e: Apply) -> str:
        real = any(_type(a) == "float" for a in e.args)
        kind: Type = "float" if real else "int"
        operands = [self._value(a, kind) for a in e.args]
        test = f"fcmp {ORDERED[e.op]} double" if real else f"icmp {SIGNED[e.op]} i64"
        return self._register(f"{test} {', '.join(operands)}", *operands)

    def _extreme(self, e: Apply, operands: list[str]) -> str:
        """The number replaces the other operand only if it is beyond it: a NaN stays."""
        kept, other = operands[::-1] if isinstance(e.args[0], Const) else operands
        beyond = "gt" if e.op == "maximum" else "lt"
        test = f"fcmp o{beyond}" if e.type == "float" else f"icmp s{beyond}"
        kind = TYPES[e.type]
        better = self._register(f"{test} {kind} {other}, {kept}", other, kept)
        return self._register(f"select i1 {better}, {kind} {other}, {kind} {kept}", better, other, kept)

    def _select(self, condition: Expr, a: Expr, b: Expr, kind: Type) -> str:
        """Arms that call or read are computed only if they are taken."""
        if _is_simple(a) and _is_simple(b):
            test = self._value(condition, "bool")
            arms = [self._value(a, kind), self._value(b, kind)]
            return self._register(f"select i1 {test}, {', '.join(f'{TYPES[kind]} {x}' for x in arms)}", test, *arms)
        yes, no, after = self._labels("yes", "no", "after")
        self._branch(condition, (a, b), yes, no)
        incoming = []
        for label, arm in ((yes, a), (no, b)):
            self._start(label)
            value = self._value(arm, kind)
            incoming.append(f"[{value}, %{self.label}]")
            self._line(f"br label %{after}")
        self._start(after)
        return self._register(f"phi {TYPES[kind]} {', '.join(incoming)}")

    def _call(self, e: Apply) -> str:
        operation = self.operations.of(e)
        self.operations_called[operation.name] = operation
        given = [a for a in e.args if not _is_whole(a)]
        operands = [self._value(a, _type(a)) for a in given]
        arguments = ", ".join([f"{TYPES[_type(a)]} {x}" for a, x in zip(given, operands, strict=True)])
        text = f'call {TYPES[e.type]} @"{operation.name}"({arguments})'
        if operation.name not in self.operations.long:
            return self._register(text, *operands)
        return self._register(f"{text} noinline", *operands, call=(operation.name, arguments))

    # lines

    def _branch(self, condition: Expr, arms: Sequence[Expr], yes: str, no: str) -> None:
        """Goes one of two ways. What the arms read is fetched before, for all that comes behind."""
        for arm in arms:
            for p in parts(arm):
                if isinstance(p, Name):
                    self._scalar(p)
        self._line(f"br i1 {self._value(condition, 'bool')}, label %{yes}, label %{no}")

    def _register(self, instruction: str, *needs: str, lazy: bool = False, call: tuple[str, str] | None = None) -> str:
        register = f"%r{len(self.lines)}"
        self.lines.append(Line(f"{register} = {instruction}", _lines(needs), lazy, call))
        return register

    def _line(self, text: str, *needs: str) -> None:
        self.lines.append(Line(text, _lines(needs)))

    def _labels(self, *kinds: str) -> list[str]:
        self.count += 1
        return [f"{kind}{self.count}" for kind in kinds]

    def _start(self, label: str) -> None:
        self.label = label
        self._line(f"{label}:")


def _lines(operands: Sequence[str]) -> list[int]:
    """The numbers of the lines that make these operands, as far as they are registers."""
    return [int(a[2:]) for a in operands if a[:2] == "%r"]


def _constant(value: Number, kind: Type) -> str:
    if kind == "float":
        return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"
    return str(int(value))


def _type(e: Expr) -> Type:
    if isinstance(e, Const):
        return "bool" if isinstance(e.value, bool) else "int" if isinstance(e.value, int) else "float"
    return e.type


def _is_whole(e: Expr) -> bool:
    return isinstance(e, Const) and _type(e) == "int"


def _is_instruction(e: Apply) -> bool:
    if e.op in ("maximum", "minimum"):
        return e.type == "int" or any(isinstance(a, Const) for a in e.args)
    return e.op in (FLOAT if e.type == "float" else INTEGER) or e.op in ("neg", "float", "not") or e.op in ORDERED


def _is_simple(e: Expr) -> bool:
    """Whether computing it for nothing does no harm and costs next to nothing."""
    found = parts(e)
    return not any(
        isinstance(p, Element) or (isinstance(p, Apply) and not _is_selection(p) and not _is_instruction(p))
        for p in found
    )


def _is_selection(e: Apply) -> bool:
    return e.op in ("select", "and", "or")
