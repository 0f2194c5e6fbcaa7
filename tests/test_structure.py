"""The house: each floor imports only floors below it, there is no cycle, and files stay of a size to be read."""

from __future__ import annotations

import ast
from pathlib import Path

import networkx
import pytest

import gradc

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "gradc"
FLOORS = {
    0: ("errors", "kinds", "extents", "division", "ops", "version", "resources", "collector"),
    1: ("ir", "numerics", "algebra", "build", "bounds", "linear", "pieces", "program", "outline", "evaluate", "kinks"),
    2: ("lower",),
    3: ("rewrite", "autodiff"),
    4: ("frontends", "loops", "count", "schedule", "derive", "batch"),
    5: ("emit",),
    6: ("runtime",),
    7: ("check", "scipy_bridge", "function"),
    8: ("api", ""),
    9: ("datasets", "fit", "tables"),
    10: ("cli",),
}


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(p for p in parts if p != "__init__")] = path
    return found


def imports(path: Path, known: set[str]) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "gradc":
            base = node.module.removeprefix("gradc").removeprefix(".")
            for alias in node.names:
                inside = f"{base}.{alias.name}".strip(".")
                found.add(inside if inside in known else base)
    return found


def floor(module: str) -> int:
    top = module.split(".")[0]
    return next(f for f, tops in FLOORS.items() if top in tops)


def edges() -> list[tuple[str, str]]:
    known = modules()
    return [(m, target) for m, path in known.items() for target in imports(path, set(known)) if target != m]


def test_every_module_has_a_floor() -> None:
    tops = {m.split(".")[0] for m in modules()}
    assert tops == {top for f in FLOORS.values() for top in f}


def test_no_module_hides_a_public_name() -> None:
    """Importing `gradc.x` makes the module what `gradc.x` is."""
    assert not set(modules()) & set(gradc.__all__)


def test_no_import_points_up() -> None:
    wrong = [(m, target) for m, target in edges() if floor(target) > floor(m)]
    assert not wrong


def test_no_import_cycle() -> None:
    graph = networkx.DiGraph(edges())
    assert list(networkx.simple_cycles(graph)) == []


@pytest.mark.parametrize("path", modules().values(), ids=modules())
def test_files_can_be_read_in_one_go(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 500


RUNNING = frozenset(
    {"exec", "eval", "literal_eval", "sympify", "parse_expr", "lambdify", "srepr", "diff", "cse", "simplify", "doit"}
)
"""Functions that run text, or that would make SymPy differentiate or rewrite what gradc was given."""


def test_user_text_is_never_run() -> None:
    """`exec` runs generated modules, in one place; nothing evaluates text; SymPy does not do gradc's work."""
    runs = []
    for name, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text())):
            called = node.func if isinstance(node, ast.Call) else None
            word = (
                called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
            )
            if word in RUNNING:
                runs.append((name, word))
    assert runs in ([("runtime.jit", "exec")], [("datasets", "literal_eval"), ("runtime.jit", "exec")])
