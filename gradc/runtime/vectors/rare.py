"""Calls of the C library, for the few arguments a function has no arithmetic for, that leave loops vectorised.

LLVM does not vectorise a loop with a call in it, not even with one behind a branch, unless the called function says
what its vector forms are called. These say so; their vector forms, inlined once the loop is vectorised, look whether
any lane is concerned.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from gradc.runtime.vectors.values import DOUBLE, Real, Truth

WIDTHS = (2, 4, 8)
"""Lanes of the vector forms: what registers of 128, 256 and 512 bits hold."""


def unless(rare: Truth, usual: Real, x: Real, c_function: str) -> Real:
    """`usual`, but where the condition holds what the C library's function of this name gives for x."""
    builder = x.builder
    start = builder.block
    with builder.if_then(rare.value, likely=False):
        value = builder.call(_called(builder.module, c_function), [x.value])
        end = builder.block
    phi = builder.phi(DOUBLE)
    phi.add_incoming(usual.value, start)
    phi.add_incoming(value, end)
    return Real(builder, phi)


def _called(module: ir.Module, c_function: str) -> Any:
    """A function that calls C's, and does nothing else that LLVM would have to fear."""
    signature = ir.FunctionType(DOUBLE, [DOUBLE])
    function = _function(module, f"gradc_rare_{c_function}", signature, "noinline")
    forms = [_vector_form(module, function, lanes) for lanes in WIDTHS]
    names = ",".join(f"_ZGV_LLVM_M{n}v_{function.name}({f.name})" for n, f in zip(WIDTHS, forms, strict=True))
    set.add(function.attributes, f'"vector-function-abi-variant"="{names}"')  # llvmlite knows no such attribute
    builder = ir.IRBuilder(function.append_basic_block())
    builder.ret(builder.call(ir.Function(module, signature, c_function), function.args))
    _keep(module, forms)
    return function


def _vector_form(module: ir.Module, scalar: Any, lanes: int) -> Any:
    """The function of a vector and a mask, as LLVM's naming scheme for vector forms wants it."""
    vector, mask = ir.VectorType(DOUBLE, lanes), ir.VectorType(ir.IntType(1), lanes)
    signature = ir.FunctionType(vector, [vector, mask])
    each = _function(module, f"{scalar.name}_each_{lanes}", ir.FunctionType(vector, [vector]), "noinline", "cold")
    builder = ir.IRBuilder(each.append_basic_block())
    result = each.args[0]
    for lane in range(lanes):
        i = ir.IntType(32)(lane)
        result = builder.insert_element(result, builder.call(scalar, [builder.extract_element(each.args[0], i)]), i)
    builder.ret(result)
    function = _function(module, f"{scalar.name}_{lanes}", signature, "alwaysinline")
    x, concerned = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    number = ir.IntType(lanes)
    with builder.if_then(builder.icmp_unsigned("!=", builder.bitcast(concerned, number), number(0)), likely=False):
        builder.ret(builder.call(each, [x]))
    builder.ret(x)
    return function


def _function(module: ir.Module, name: str, signature: ir.FunctionType, *attributes: str) -> Any:
    function = ir.Function(module, signature, name)
    function.linkage = "linkonce_odr"
    for attribute in (*attributes, "nounwind", "readnone"):
        function.attributes.add(attribute)
    return function


def _keep(module: ir.Module, functions: list[Any]) -> None:
    """Nothing calls the vector forms before a loop is vectorised; until then they must not be dropped."""
    pointer = ir.IntType(8).as_pointer()
    array = ir.ArrayType(pointer, len(functions))
    used = ir.GlobalVariable(module, array, "llvm.compiler.used")
    used.linkage, used.section = "appending", "llvm.metadata"
    used.initializer = ir.Constant(array, [f.bitcast(pointer) for f in functions])
