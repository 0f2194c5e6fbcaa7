"""docs/architecture.md describes the tree as it is: its modules, and what it says is printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import gradc
from gradc.api import parse
from gradc.ir import format_graph

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/architecture.md").read_text()
EXAMPLE = ROOT / "examples/logistic.gradc"
MODULES = sorted(p.relative_to(ROOT / "gradc") for p in (ROOT / "gradc").rglob("*.py") if p.stem != "__init__")


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_every_module_is_described(path: Path) -> None:
    floors = PAGE[PAGE.index("## The floors") : PAGE.index("## Decisions")]
    package = path.parts[0] + "/"
    if len(path.parts) == 1:
        assert f"`{path.stem}`" in floors
    elif path.parts[0] == "cli":
        assert f"`{package}`" in floors
    elif len(path.parts) == 2:
        row = next(line for line in floors.splitlines() if f"`{package}`" in line)
        assert f"`{path.stem}`" in row
    else:
        assert f"`{path.parts[1]}/`" in floors


def unnumbered(line: str) -> str:
    """Numbers of nodes change whenever something else is made before them."""
    return " ".join(re.sub(r"%\d+", "%", line).split())


def test_nodes_shown_are_printed() -> None:
    function = gradc.compile(EXAMPLE)
    program = parse(EXAMPLE.read_text())
    printed = "\n".join([format_graph([program.result.node]), str(function.graph), function.adjoint_listing])
    shown = re.findall(r"^ *%\d+ = .*$|^\w+_bar = %\d+$", PAGE, re.M)
    assert len(shown) > 10
    assert {unnumbered(line) for line in shown} <= {unnumbered(line) for line in printed.splitlines()}


def test_links_lead_somewhere() -> None:
    for page in [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]:
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            assert link.startswith("http") or (page.parent / link).exists(), (page, link)


def test_files_named_are_there() -> None:
    for name in set(re.findall(r"`((?:tests|gradc|docs|examples)/[\w/.]+)`", PAGE)) | {
        f"tests/{t}" for t in re.findall(r"`(test_\w+\.py)`", PAGE)
    }:
        assert (ROOT / name).exists(), name
