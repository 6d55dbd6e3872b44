"""A verification where objects expire: what went as it was meant is no damage."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from snapshotter.archive.expiry import Expiry
from snapshotter.capture.options import CaptureOptions
from snapshotter.cli import describe, documents
from snapshotter.recover.ending import ending
from snapshotter.recover.many import verify_named
from snapshotter.recover.verify import VerifyOptions
from tests.support.git import Origin
from tests.support.lab import Lab

DAY = timedelta(days=1)


def test_a_chain_that_has_expired_is_left_out_and_no_damage(tmp_path: Path) -> None:
    lab, origin = Lab(tmp_path / "store"), Origin(tmp_path / "x.git")
    origin.commit(files={"bulk": os.urandom(40_000)})
    base = lab.take(origin).manifest
    origin.commit(files={"a": b"a"})
    increment = lab.take(origin, advance=9 * DAY).manifest
    assert increment.kind == "increment"
    shutil.rmtree(tmp_path / "store" / base.key.folder)
    a_week_ago = Expiry(datetime.now(UTC) - base.started_at - 7 * DAY)
    gone, alive = (VerifyOptions(quick=True, expiry=expiry) for expiry in (a_week_ago, Expiry(36500 * DAY)))

    for newest in (False, True):
        damaged = verify_named(lab.catalog, None, alive, newest=newest)
        assert [verdict.ok for verdict in damaged.verdicts] == [False]
        found = verify_named(lab.catalog, None, gone, newest=newest)
        assert (found.verdicts, found.expired, ending(found.verdicts)) == ([], [increment.key], None)
        assert describe.verification(found, []) == ["1 snapshot left out: what they rest on has expired"]
        assert documents.verification(found, [], quick=True)["expired"] == [describe.name_of(increment.key)]

    new = lab.take(origin, CaptureOptions(full=True), advance=9 * DAY).manifest
    found = verify_named(lab.catalog, origin.path.as_posix(), gone)
    assert [(verdict.run, verdict.ok) for verdict in found.verdicts] == [(new.key, True)]
    assert found.expired == [increment.key]
    named = verify_named(lab.catalog, describe.name_of(increment.key), gone)
    assert [verdict.ok for verdict in named.verdicts] == [False], "who names it is told what is missing"
