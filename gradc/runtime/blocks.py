"""Blocks of a loop program as functions that Numba calls: their LLVM text goes past Numba's front end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gradc.emit.llvm import SIZE, BlockText, Operation
from gradc.loops import Block, Name
from gradc.runtime import cache

LONG = 20
"""Functions of more instructions than this are not inlined, and called on vectors where that can be."""

FULLY = 3
"""LLVM's level for operations: they are short, and all that a long program does."""

TOGETHER = 8
"""Functions of a block that LLVM is given at once: it waits for Python's lock between."""

Compile = Callable[[Operation], Any]
"""From a scalar function to Numba's dispatcher of it."""


class Apart:
    """Object code that is not part of the module which calls it, and what is to be done while LLVM makes it."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self.meanwhile = meanwhile
        self.objects: list[bytes] = []


def callable_block(block: Block, straight: bool, compiled: Compile, apart: Apart | None) -> Any:
    """What Numba's code calls as `block.name`, with the block's scalars and arrays, for the scalars it writes.

    A `straight` block runs once a call. Its object code is added to what is `apart`, if that is not None.
    """
    from numba.extending import intrinsic

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        with optimised(FULLY):  # the operations, whatever is made of the code around
            return _Call(block, straight, compiled, apart, context, builder).made(sig, args[0])

    @intrinsic
    def call(typing: Any, *given: Any) -> Any:
        return _signature(block, given), generate

    return call


def _signature(block: Block, given: tuple[Any, ...]) -> Any:
    """Scalars are converted to what the block calls them, arrays are what they are."""
    from numba import types

    tuple_of: Any = types.Tuple
    scalars = [_numba(n.type) for n in block.reads]
    arguments = tuple_of([*scalars, *given[len(scalars) :]])
    return tuple_of([_numba(n.type) for n in block.writes])(arguments)


def _numba(kind: str) -> Any:
    """Numba's type of a scalar."""
    from numba.core import types

    return {"float": types.float64, "int": types.int64, "bool": types.boolean}[kind]


@contextmanager
def optimised(level: int) -> Iterator[None]:
    """Lets LLVM do as much as this level says to what is finished meanwhile: 0 translates code as it stands.

    To be entered with Numba's compiler lock held.
    """
    from numba.core import config
    from numba.core.registry import cpu_target

    assert cpu_target.target_context is not None  # it keeps the level it is made with
    before = config.OPT
    config.OPT = type(before)(level)
    try:
        yield
    finally:
        config.OPT = before


class _Call:
    """The call of one block in the code of a function: scalars onto a tape, the block's function, scalars off it."""

    def __init__(
        self, block: Block, straight: bool, compiled: Compile, apart: Apart | None, context: Any, builder: Any
    ) -> None:
        from llvmlite import ir

        self.block, self.straight, self.compiled, self.apart = block, straight, compiled, apart
        self.context, self.builder = context, builder
        self.name = f"gradc_{cache.hashed([builder.function.name])}.{block.name}"  # Numba's names grow with the inputs
        self.code = context.active_code_library
        self.short: list[Any] = []
        self.long: list[Any] = []
        self.word, self.double = ir.IntType(64), ir.DoubleType()
        self.ir = ir

    def made(self, sig: Any, given: Any) -> Any:
        values = [self.builder.extract_value(given, k) for k in range(len(sig.args[0]))]
        kinds = sig.args[0].types[len(self.block.reads) :]
        pointer = str(self.double.as_pointer()).replace("double", "{}")
        ranks = [kind.ndim for kind in kinds]
        text = BlockText(self.block, self.name, ranks, pointer, SIZE, self.straight, self._define)
        if self.apart is None:
            self._link(text)
        else:
            self.apart.objects += self._objects(text, self.apart.meanwhile)
        self.code._final_module.link_in(self._parsed(text.whole()))
        with self._tape(text.tape.size) as tape:
            results = self._called(text.tape.slots, tape, sig, values)
        return self.context.make_tuple(self.builder, sig.return_type, results)

    @contextmanager
    def _tape(self, slots: int) -> Iterator[Any]:
        """Memory that belongs to the code while one call is on it, and comes from the heap for calls meanwhile.

        Not from the heap for every call: what a large request costs there depends on what others have left in it.
        """
        builder, one = self.builder, self.word(1)
        own = self._variable("tape", self.ir.ArrayType(self.double, slots))
        users = self._variable("tape.users", self.word)
        taken = builder.icmp_unsigned("!=", builder.atomic_rmw("xchg", users, one, "acquire"), self.word(0))
        kind = self.double.as_pointer()
        before = builder.block
        with builder.if_then(taken, likely=False):
            memory = builder.bitcast(self.context.nrt.allocate(builder, self.word(8 * slots)), kind)
            allocated = builder.block
        tape = builder.phi(kind)
        tape.add_incoming(own.bitcast(kind), before)
        tape.add_incoming(memory, allocated)
        yield tape
        with builder.if_else(taken, likely=False) as (of_the_heap, of_the_code):
            with of_the_heap:
                self.context.nrt.free(builder, builder.bitcast(tape, self.ir.IntType(8).as_pointer()))
            with of_the_code:
                builder.store_atomic(self.word(0), users, "release", 8)

    def _variable(self, name: str, kind: Any) -> Any:
        """A variable of the code, zero at first."""
        module = self.builder.module
        made = self.ir.GlobalVariable(module, kind, module.get_unique_name(f"{self.name}.{name}"))
        made.linkage, made.initializer = "internal", self.ir.Constant(kind, None)
        return made

    def _called(self, slots: Mapping[str, int], tape: Any, sig: Any, values: list[Any]) -> list[Any]:
        """What the block writes for these values of its scalars and arrays."""
        block, builder, count = self.block, self.builder, len(self.block.reads)

        def place(n: Name) -> Any:
            return builder.gep(tape, [self.ir.Constant(self.word, slots[n.name])])

        for n, value in zip(block.reads, values[:count], strict=True):
            builder.store(self._to_word(value, n.type), place(n))
        arguments = [tape]
        for kind, value in zip(sig.args[0].types[count:], values[count:], strict=True):
            array = self.context.make_array(kind)(self.context, builder, value=value)
            lengths = [builder.extract_value(array.shape, k) for k in range(1, kind.ndim)]
            arguments += [array.data, *lengths]
        function = self.ir.FunctionType(self.ir.VoidType(), [a.type for a in arguments])
        builder.call(self.ir.Function(builder.module, function, self.name), arguments)
        return [self._from_word(builder.load(place(n)), n.type) for n in block.writes]

    def _to_word(self, value: Any, kind: str) -> Any:
        if kind == "bool":
            value = self.builder.zext(value, self.word)
        return value if kind == "float" else self.builder.bitcast(value, self.double)

    def _from_word(self, word: Any, kind: str) -> Any:
        if kind == "float":
            return word
        value = self.builder.bitcast(word, self.word)
        return self.builder.trunc(value, self.ir.IntType(1)) if kind == "bool" else value

    def _define(self, operation: Operation) -> bool:
        """A function of the operation's name that calls what Numba makes of its Python text; whether that is long."""
        context = self.context
        kinds = tuple(_numba(p.type) for p in operation.params)
        dispatcher = self.compiled(operation)
        dispatcher.compile(kinds)
        compiled = dispatcher.overloads[kinds]
        body = compiled.library.get_function(compiled.fndesc.llvm_func_name)
        long = sum(1 for block in body.blocks for _ in block.instructions) > LONG
        library = context.codegen().create_library(operation.name)
        library.enable_object_caching()
        module = library.create_ir_module(operation.name)
        wanted = _numba(operation.value.type)
        own = self.ir.FunctionType(context.get_value_type(wanted), [context.get_value_type(k) for k in kinds])
        function = self.ir.Function(module, own, operation.name)
        if not long:
            function.attributes.add("alwaysinline")
        builder = self.ir.IRBuilder(function.append_basic_block("entry"))
        callee = context.declare_function(module, compiled.fndesc)
        found = compiled.signature.return_type
        _, result = context.call_conv.call_function(builder, callee, found, kinds, function.args)
        builder.ret(context.cast(builder, result, found, wanted))
        library.add_ir_module(module)
        library.add_linking_library(compiled.library)
        (self.long if long else self.short).append(library)
        return long

    def _link(self, text: BlockText) -> None:
        """Adds the block to the code around it, and its operations, which have been through LLVM's passes by then."""
        for part in text.parts(TOGETHER):
            self.code._final_module.link_in(self._parsed(part))
        for library in (*self.short, *self.long, *self._vectors(text)):
            self.code.add_linking_library(library)

    def _objects(self, text: BlockText, meanwhile: Callable[[], object]) -> list[bytes]:
        """Object code of the block, made of each part while the next one is written, and of its long operations."""
        from gradc.runtime.translate import Translator, load

        codegen = self.context.codegen()
        with Translator(codegen) as translator:
            for part in text.parts(TOGETHER):
                translator.add(self._headed(part), [short._get_module_for_linking() for short in self.short])
            meanwhile()
            libraries = [*self.long, *self._vectors(text)]
            for library in libraries:
                library._ensure_finalized()
            made = translator.made()
        load(codegen, made)  # what they call is there by now
        return [*made, *(library._get_compiled_object() for library in libraries)]

    def _vectors(self, text: BlockText) -> list[Any]:
        """The functions by which the block calls long operations on vectors, as a library."""
        functions = text.vectors()
        if not functions:
            return []
        library = self.context.codegen().create_library(f"{self.name}.vectors")
        library.enable_object_caching()
        library.add_llvm_module(self._parsed(functions))
        for operation in self.long:
            library.add_linking_library(operation)
        return [library]

    def _parsed(self, text: str) -> Any:
        from llvmlite import binding

        return binding.parse_assembly(self._headed(text))

    def _headed(self, text: str) -> str:
        own = self.builder.module
        return f'target triple = "{own.triple}"\ntarget datalayout = "{own.data_layout}"\n{text}'
