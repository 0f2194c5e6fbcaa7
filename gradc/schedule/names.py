"""Names in generated code: the user's own for values, `NAME_bar` for adjoints, something telling for the rest."""

from __future__ import annotations

import keyword
from collections.abc import Iterable

from gradc.extents import Index
from gradc.ir import Node
from gradc.linear import REFERENCE
from gradc.ops import OPS
from gradc.program import Provenance

SUFFIX = {
    "add": "sum",
    "sub": "diff",
    "mul": "product",
    "div": "ratio",
    "neg": "negative",
    "select": "choice",
    "read": "at",
    **dict.fromkeys(("lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not"), "test"),
}
LETTERS = "ijklmnopqrsuv"


class Names:
    """Hands out names that clash with nothing: neither what the user chose nor what the code around uses."""

    def __init__(self, provenance: Provenance, taken: Iterable[str]) -> None:
        self.provenance = provenance
        self.taken = {*taken, *keyword.kwlist}
        self.numbers: dict[str, int] = {}
        self.nodes: dict[Node, str] = {}
        self.indices: dict[Index, str] = {}

    def claim(self, wanted: str) -> str:
        """The wanted name, or with a number behind it if it is gone."""
        name, k = wanted, self.numbers.get(wanted, 1)
        while name in self.taken:
            k += 1
            name = f"{wanted}_{k}"
        self.numbers[wanted] = k
        self.taken.add(name)
        return name

    def of(self, n: Node) -> str:
        """The variable of a node."""
        if n not in self.nodes:
            self.nodes[n] = self.claim(self.provenance.names.get(n) or self._derived(n))
        return self.nodes[n]

    def index(self, i: Index) -> str:
        """The variable of a loop index: the user's, or a letter."""
        if i not in self.indices:
            given = self.provenance.index_names.get(i)
            letter = next((c for c in LETTERS if c not in self.taken), "i")
            self.indices[i] = self.claim(given or letter)
        return self.indices[i]

    def _derived(self, n: Node) -> str:
        adjoint = self.provenance.adjoint_of.get(n)
        origin = self.provenance.origins.get(n)
        base = f"{adjoint}_bar" if adjoint else origin.target if origin else "value"
        kind = n.kind if n.op in ("reduce", "linear") else SUFFIX.get(n.op, n.op)
        return f"{base}_{kind}"


BUILTINS = frozenset({"range", "abs", "max", "min", "IndexError"})
ARRAYS = frozenset(
    {
        "empty",
        "full",
        "zeros",
        "inf",
        "nan",
        "pi",
        "float32",
        "float64",
        "int64",
        "bool_",
        "rint",
        "dot",
        "ascontiguousarray",
        "absolute",
        "arange",
        "argmax",
        "outer",
    }
)
C_NAMES = frozenset({"c_erf", "c_erfc", "c_lgamma"})
SWEEPS = frozenset({"in_chunks", "multiply", "multiply_add"})
ALGEBRA = frozenset(REFERENCE)
LIBRARY = frozenset(OPS) | BUILTINS | ARRAYS | C_NAMES | SWEEPS | ALGEBRA
"""Names that generated code may use for what is not the user's."""


def spelling(user: Iterable[str]) -> dict[str, str]:
    """How library names are spelt where the user has taken them: the user's names always win."""
    taken = {*user, *LIBRARY}
    found = {}
    for name in sorted(LIBRARY.intersection(user)):
        other = name
        while other in taken:
            other += "_"
        taken.add(other)
        found[name] = other
    return found
