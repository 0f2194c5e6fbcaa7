"""What a program leaves behind is collected, though collections are put off while one is compiled."""

from __future__ import annotations

import gc

import pytest

import gradc
from gradc import collector
from gradc.ir import Node

LINES = "\n".join(f"v{k} = sin(x)*{k}" for k in range(300))
BROKEN = f"x: param\n{LINES}\nunknown"


def nodes() -> int:
    return sum(type(o) is Node for o in gc.get_objects())


def test_what_programs_leave_behind_is_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "_many", collector.LEAST)
    gc.collect()
    before = nodes()
    made = len(gc.get_objects())
    left = []
    for _ in range(made // 2000 + 60):  # a program makes some 4000 objects
        with pytest.raises(gradc.ParseError):
            gradc.compile(BROKEN)
        left.append(nodes() - before)
    assert left[1] > left[0] > 0, "nothing to collect: this test has lost its point"
    assert min(left[2:]) < left[1], "it stays for good"


def test_garbage_collection_is_as_before() -> None:
    gradc.compile("x: param\nx**2")
    assert gc.isenabled()
    gc.disable()
    try:
        gradc.compile("x: param\nx**2")
        assert not gc.isenabled()
    finally:
        gc.enable()
