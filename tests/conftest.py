"""Tests keep compiled code in a directory of their own, one a process; `--update` writes the golden files anew."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import hypothesis
import pytest

WORKER = os.environ.get("PYTEST_XDIST_WORKER")
"""The name of this process among those that share the tests; the one that started them has none."""
OURS = tempfile.mkdtemp(prefix="gradc-test-") if "GRADC_CACHE_DIR" not in os.environ else None

if OURS:
    os.environ["GRADC_CACHE_DIR"] = OURS
elif WORKER:
    os.environ["GRADC_CACHE_DIR"] = str(Path(os.environ["GRADC_CACHE_DIR"]) / WORKER)

hypothesis.settings.register_profile(  # every run does the same, and a clock on the wall says nothing about it
    "gradc",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("gradc")


def pytest_unconfigure() -> None:
    if OURS:
        shutil.rmtree(OURS, ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="write the golden files anew")


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update"))
