"""What is float32 in a float32 module, and what is not.

Everything a float is made of is float32 by name, the numbers in the text too: next to a float64, compiled code would
compute in float64. Accumulators over all rows are float64, and rounded when they are read.
"""

from __future__ import annotations

import re

from gradc.loops import Accumulate, Apply, Assign, Const, Expr, Name, Part, Routine

DOUBLE = ("lgamma", "digamma", "polygamma")
"""Helpers that compute in float64 in every module."""


def of_floats(e: Apply) -> Apply:
    """The operation with all operands floats, if the result or an operand is one."""
    kinds = [kind(a) for a in e.args]
    if "float" not in (e.type, *kinds) or e.op in DOUBLE:
        return e
    args = (a if k == "float" else Apply("float", (a,), "float") for a, k in zip(e.args, kinds, strict=True))
    return Apply(e.op, tuple(args), e.type)


def kind(e: Expr) -> str:
    """The type of an expression."""
    return type(e.value).__name__ if isinstance(e, Const) else e.type


def outermost_sums(routine: Routine) -> frozenset[str]:
    """The scalars in which sums and products run that start outside all loops."""
    started = {s.target.name for s in routine.body if isinstance(s, Assign) and isinstance(s.target, Name)}
    sums = (s for s, _ in routine.statements() if isinstance(s, Accumulate) and loses_digits(s))
    return frozenset(s.target.name for s in sums if isinstance(s.target, Name)) & started


def loses_digits(s: Accumulate | Part) -> bool:
    """Whether rounding adds up in it."""
    return (s.type if isinstance(s, Part) else s.target.type) == "float" and s.op in ("add", "mul")


def helper(name: str, text: str) -> str:
    """The text of a helper as float32 modules carry it."""
    if name in DOUBLE:
        return text
    return re.sub(r"(?<![\w.])\d+\.\d*", r"float32(\g<0>)", text.replace("float64", "float32"))
