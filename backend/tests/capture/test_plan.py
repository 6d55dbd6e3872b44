"""What planning costs those who do not scan."""

from __future__ import annotations

import subprocess
import sys


def test_planning_loads_nothing_that_only_a_scan_needs() -> None:
    """`snapshot --no-scan` plans too."""
    code = "import sys, snapshotter.capture.plan; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    heavy = {"duckdb", "yaml", "packaging", "tree_sitter", "licenseclassifier", "snapshotter.scan.tree_scan"}
    assert heavy & {*loaded.split()} == set()
