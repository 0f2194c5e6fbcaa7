"""An installed wheel works without the checkout beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_wheel_carries_templates_and_examples(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(ROOT)], check=True)
    wheel = next(tmp_path.glob("gradc-*.whl"))
    place = tmp_path / "installed"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(place), str(wheel)], check=True)
    code = "import gradc, sys; print(gradc.__file__); print(gradc.compile('x*x')(3.0))"
    env = {**os.environ, "PYTHONPATH": str(place), "GRADC_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    where, value = done.stdout.split()
    assert Path(where).is_relative_to(place)
    assert value == "9.0"
    command = [sys.executable, "-c", "from gradc.cli import main; main()", "new", "logistic"]
    subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True)
    assert (tmp_path / "logistic.gradc").read_text() == (ROOT / "examples/logistic.gradc").read_text()
