"""What a program leaves behind is collected, though collections are put off while one is compiled."""

from __future__ import annotations

import gc
import json
import subprocess
import sys

import gradc

COUNT = """
import gc, json, gradc
from gradc.ir import Node

lines = "\\n".join(f"v{k} = sin(x)*{k}" for k in range(300))
gc.collect()
left = []
for _ in range(60):
    try:
        gradc.compile(f"x: param\\n{lines}\\nunknown")
    except gradc.ParseError:
        left.append(sum(type(o) is Node for o in gc.get_objects()))
print(json.dumps(left))
"""


def test_what_programs_leave_behind_is_collected() -> None:
    done = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    left = json.loads(done.stdout)
    assert len(left) == 60
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
