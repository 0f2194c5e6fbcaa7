"""docs/language.md is true: its programs run, its values and formulas hold, no function is missing."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradc
from gradc.api import parse
from gradc.build import Builder
from gradc.datasets import complete
from gradc.ir import Graph
from gradc.kinds import KINDS
from gradc.lower.arrays import Arrays
from gradc.lower.calls import ALL_FUNCTIONS, DEFAULTS, FORMULAS
from gradc.lower.functions import REDUCTIONS, Functions
from gradc.lower.outside import ATTRIBUTES
from gradc.lower.signatures import KINDS as SETTINGS
from gradc.lower.signatures import signature as read_signature
from gradc.ops import ALIASES, OPS

PAGE = (Path(__file__).parent.parent / "docs/language.md").read_text()
SIZES = {"n": 4, "d": 3, "K": 2, "m": 5, "k": 5, "r": 4}
GIVEN = {"start": np.array([0, 2, 2, 5]), "i": np.array(2), "counts": np.array([0, 3, 1, 2])}


def blocks(kind: str) -> list[str]:
    return [m[1] for m in re.finditer(rf"```{kind}\n(.*?)```", PAGE, re.S)]


def inputs_of(text: str) -> dict[str, Any]:
    program = parse(text)
    given = {i.name: GIVEN[i.name] for i in program.inputs if i.name in GIVEN and i.name in text}
    dims = {a for i in program.inputs for length in i.shape for a in length.dims}
    return complete(program, given, {a: SIZES[a] for a in dims}, 0)


@pytest.mark.parametrize("text", blocks("gradc"))
def test_programs(text: str) -> None:
    stated = re.search(r"# = (.+)$", text)
    function = gradc.compile(text, backend="python", cache=False)
    if stated:
        np.testing.assert_allclose(function(), ast.literal_eval(stated[1]), rtol=1e-12)
        return
    inputs = inputs_of(text)
    assert np.isfinite(function(**inputs))
    assert function.check(**inputs).ok


@pytest.mark.parametrize("text", blocks("python"))
def test_python(text: str, tmp_path: Path) -> None:
    path = tmp_path / "shown.py"
    path.write_text(text)
    exec(compile(text, str(path), "exec"), {"__name__": "shown"})


@pytest.mark.parametrize(("text", "says"), list(zip(blocks("error"), blocks("text"), strict=True)))
def test_errors(text: str, says: str) -> None:
    with pytest.raises(gradc.GradcError) as caught:
        gradc.compile(text)
    assert str(caught.value) + "\n" == says


# the tables of functions


def rows() -> dict[str, tuple[str, str]]:
    """Signature, and what the page says it is, by the name of the function."""
    found = {}
    for line in PAGE.splitlines():
        cells = [c.strip() for c in re.split(r"(?<!\\)\|", line)][1:-1]
        if len(cells) == 2 and re.match(r"`\w+\(", cells[0]):
            for name, params in re.findall(r"`(\w+)\((.*?)\)`", cells[0]):
                assert name not in found
                found[name] = (params, cells[1])
    return found


ROWS = rows()
TABLE = {name: row[0] for name, row in Functions(Arrays(Builder(Graph()))).table.items()}


def signature(name: str) -> str:
    if name in TABLE:
        return TABLE[name]
    if name in FORMULAS:
        return FORMULAS[name][0]
    defaults = DEFAULTS.get(name, {})
    return ", ".join(f"{p}={defaults[p]}" if p in defaults else p for p in OPS[name].params)


def test_every_function_is_there_with_its_signature() -> None:
    assert set(ROWS) == ALL_FUNCTIONS - {"stop_gradient"}
    assert {name: params for name, (params, _) in ROWS.items()} == {name: signature(name) for name in ROWS}
    assert "`stop_gradient(x)`" in PAGE
    assert "`grad(f, k=0)`" in PAGE


def test_other_names_are_there() -> None:
    spellings = re.search(r"Other spellings: `(.+?)`", PAGE)
    assert spellings is not None
    assert set(spellings[1].split()) == set(ALIASES)
    notation = PAGE[PAGE.index("## Index notation") : PAGE.index("## Functions")]
    assert all(f"`{name}`" in notation for name in REDUCTIONS)
    assert all(f"| `{kind}` |" in PAGE for kind in KINDS)
    assert "x.shape[k]" in PAGE
    assert "shape" in ATTRIBUTES


FORMULA = {
    name: found[1] for name, (_, says) in ROWS.items() if (found := re.match(r"`([^`]+)`($| along| of a vector)", says))
}
MATRICES = {"inv", "logdet", "trace", "transpose"}
DOMAINS = {"arccosh": (1.2, 3.0), "log1mexp": (-3.0, -0.2)}


def test_most_functions_are_formulas() -> None:
    assert len(FORMULA) > 60


@pytest.mark.parametrize("name", FORMULA)
def test_formulas(name: str) -> None:
    """The function and its formula have the same values and gradients at drawn points."""
    values = [p for p in read_signature(signature(name)).params if p not in SETTINGS]
    square = name in MATRICES
    low, high = DOMAINS.get(name, (0.1, 0.9))
    random = np.random.default_rng(1)
    head = "".join(f"{p}: param[n, n]\n" if square else f"{p}: param[n]\n" for p in values)
    point = [
        random.uniform(low, high, (4, 4)) + 4 * np.eye(4) if square else random.uniform(low, high, 4) for _ in values
    ]
    results = []
    for text in (f"{name}({', '.join(values)})", FORMULA[name]):
        function = gradc.compile(f"{head}r = {text}\nsum(r*cos(r))", backend="python", cache=False)
        results.append(function.value_and_grad(*point))
    (value, gradient), (expected, slope) = results
    assert value == pytest.approx(expected, rel=1e-11)
    for a, b in zip(gradient, slope, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
