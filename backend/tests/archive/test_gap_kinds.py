"""The kinds of gaps that a setting may name are those that manifests have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from snapshotter.archive.gap_kinds import GAP_KINDS
from snapshotter.base.variables import DEFAULTS
from snapshotter.scan.facts import UNREAD
from snapshotter.scan.scanners import FAILED
from snapshotter.transport.lfs.source import Reason

PACKAGE = Path(__file__).resolve().parents[2] / "snapshotter"
DOCS = PACKAGE.parents[1] / "docs"


def test_what_the_code_writes_is_known() -> None:
    makers = ("capture/scan_step.py", "capture/lfs_record.py", "scan/gaps.py")
    written = {UNREAD, FAILED, *(f"lfs-{reason}" for reason in get_args(Reason))}
    for name in makers:
        written |= {*re.findall(r'(?:Gap\(kind=|_gap\(\s*)"([a-z-]+)"', (PACKAGE / name).read_text())}
    written |= {
        *re.findall(
            r'"((?:refs|worktree|older)-[a-z-]+)"', (PACKAGE / "capture/manifest_making.py").read_text()
        )
    }
    assert written == GAP_KINDS


def test_every_kind_is_explained() -> None:
    said = (DOCS / "format.md").read_text() + (DOCS / "scan.md").read_text()
    assert not [kind for kind in sorted(GAP_KINDS) if f"`{kind}`" not in said]


def test_the_default_limits_are_of_kinds_that_exist() -> None:
    assert {each.partition("=")[0] for each in DEFAULTS["SNAPSHOTTER_FLEET_GAPS"].split()} <= GAP_KINDS
