"""Tests keep compiled code in a directory of their own."""

from __future__ import annotations

import os
import tempfile

os.environ.setdefault("GRADC_CACHE_DIR", tempfile.mkdtemp(prefix="gradc-test-"))
