"""The published table of kinks and poles: every row, evaluated. `pytest --update` writes the text anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gradc
from gradc.kinks import Kink, rows, table
from gradc.ops import ALIASES, COMPOSITES, OPS

PUBLISHED = Path(__file__).parent.parent / "docs" / "kinks.md"
ROWS = rows()
SCALARS = [
    k for k in ROWS if not any(isinstance(v, tuple) for v in k.at.values()) and not k.expression.startswith("poly")
]
SMOOTH = frozenset(
    {"add", "sub", "mul", "neg", "exp", "exp2", "expm1", "sin", "cos", "arctan", "sinh", "cosh", "tanh", "arcsinh"}
    | {"erf", "erfc", "sigmoid", "log_sigmoid", "softplus", "log_cosh"}
)
"""Functions with a derivative everywhere."""
TOGETHER = 8
CONDITIONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not"})
ELSEWHERE = {"tan": "between the doubles", "polygamma": "the poles of digamma"}


def test_the_table_is_published(update: bool) -> None:
    if update:
        PUBLISHED.write_text(table())
    assert PUBLISHED.read_text() == table()


def test_every_function_has_its_kinks_or_none() -> None:
    with_kinks = {name for name, op in OPS.items() if op.kinks}
    assert with_kinks | SMOOTH | CONDITIONS | set(ELSEWHERE) == set(OPS)
    assert not with_kinks & (SMOOTH | CONDITIONS)
    formulas = {c.partition("(")[0] for c in COMPOSITES}
    smooth = {"square", "gelu", "silu", "squared_error", "bce_with_logits"}
    listed = {k.expression.partition("(")[0] for k in ROWS}
    assert formulas - smooth <= listed
    assert not set(ALIASES) & listed


def shown(k: Kink) -> str:
    return f"{k.expression} at {k.at}"


@pytest.mark.parametrize("k", ROWS, ids=shown)
def test_rows(k: Kink) -> None:
    kinds = {name: "param[n]" if isinstance(v, tuple) else "param" for name, v in k.at.items()}
    head = "".join(f"{name}: {kind}\n" for name, kind in kinds.items())
    inputs = {name: np.array(v) if isinstance(v, tuple) else v for name, v in k.at.items()}
    value, gradient = gradc.compile(f"{head}1.0*({k.expression})", backend="python").value_and_grad(**inputs)
    np.testing.assert_equal(float(value), k.value)
    for name, slope in k.slopes.items():
        np.testing.assert_array_equal(getattr(gradient, name), np.array(slope), err_msg=name)


@pytest.mark.parametrize("first", range(0, len(SCALARS), TOGETHER))
def test_compiled(first: int) -> None:
    """Several rows of numbers in one program, a helper each: one compilation serves them."""
    text, together = "", SCALARS[first : first + TOGETHER]
    for number, k in enumerate(together):
        text += f"def f{number}({', '.join(k.at)}):\n    return 1.0*({k.expression})\n"
    calls = [f"f{number}({', '.join('pqr'[: len(k.at)])})" for number, k in enumerate(together)]
    text += "u = 0.0\n" + "".join(f"u = {call} if k == {number} else u\n" for number, call in enumerate(calls))
    loss = gradc.compile(f"p: param\nq: param\nr: param\nk: index\n{text}u", cache=False)
    for number, k in enumerate(together):
        point = [*k.at.values(), 1.0, 1.0][:3]
        value, gradient = loss.value_and_grad(*point, number)
        np.testing.assert_equal(value, k.value, err_msg=shown(k))
        np.testing.assert_equal(list(gradient)[: len(k.at)], list(k.slopes.values()), err_msg=shown(k))


def test_a_wrong_row_is_noticed() -> None:
    with pytest.raises(AssertionError):
        test_rows(Kink("relu(x)", {"x": 0.0}, 0.0, {"x": 1.0}))
