"""Origins that were deleted and made anew in another object format: no chain, and no comparison, spans two."""

from __future__ import annotations

import random
import shutil
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from snapshotter.archive import layout
from snapshotter.archive.sealed import Sealed, check_continues, seal
from snapshotter.base.errors import Damaged, Finding, Unusable
from snapshotter.capture.later_scan import scan_snapshot
from snapshotter.transport import WireLimits
from snapshotter.transport.connect import Connector
from tests.support import scans
from tests.support.git import Origin
from tests.support.lab import Lab, check
from tests.support.wires import NoCredentials


def anew(origin: Origin, object_format: str) -> Origin:
    """The origin deleted and made again, with other history."""
    shutil.rmtree(origin.path)
    made = Origin(origin.path, object_format=object_format)
    made.commit(files={"a": random.Random(object_format).randbytes(20_000)})
    return made


@pytest.mark.parametrize("formats", [("sha1", "sha256"), ("sha256", "sha1")])
def test_an_origin_made_anew_in_another_format_gets_a_base(
    lab: Lab, tmp_path: Path, formats: tuple[str, str]
) -> None:
    old, new = formats
    origin = Origin(tmp_path / "x.git", object_format=old)
    origin.commit(files={"a": b"a" * 5000})
    origin.commit("refs/heads/gone")
    first = lab.take(origin)
    before = origin.state
    origin = anew(origin, new)
    taken = lab.take(origin)
    assert taken.manifest.kind == "base"
    assert taken.manifest.reason == f"the origin's object format was {old} and is {new}"
    changes = taken.manifest.ref_changes
    assert changes is not None
    assert (changes.rewritten.count, changes.unknown.count, changes.deleted.count) == (1, 0, 1)
    check(lab, origin, taken, tmp_path)
    origin.commit()
    assert lab.take(origin).manifest.kind == "increment"
    assert lab.take(origin).manifest.kind == "unchanged"
    lab.assert_whole(taken)
    assert lab.restored(first, tmp_path / "old.git") == before


def test_back_and_forth_with_scans(lab: Lab, tmp_path: Path) -> None:
    """A scan builds on one of the same format alone."""
    origin = Origin(tmp_path / "x.git")
    origin.commit(files={"a.py": b"import os\n"})
    lab.take(origin, scans.options())
    for object_format in ("sha256", "sha1"):
        origin = anew(origin, object_format)
        taken = lab.take(origin, scans.options())
        assert taken.manifest.kind == "base"
        assert scans.scan_of(taken).commit == origin.oid("main")
        check(lab, origin, taken, tmp_path)


def test_a_later_scan_of_what_the_origin_no_longer_is_reads_the_snapshot(lab: Lab, tmp_path: Path) -> None:
    origin = Origin(tmp_path / "x.git", object_format="sha256")
    commit = origin.commit(files={"a.py": b"import os\n"})
    taken = lab.take(origin)
    anew(origin, "sha1")
    run = lab.catalog.folder(taken.manifest.key)
    connect = Connector(NoCredentials(), WireLimits())
    found = scan_snapshot(lab.catalog, run, scans.scan_options(), connect)
    assert (found.is_new, found.scan.commit) == (True, commit)


def test_an_empty_origin_is_restored_in_its_own_format(lab: Lab, tmp_path: Path) -> None:
    origin = Origin(tmp_path / "x.git", object_format="sha256")
    taken = lab.take(origin)
    assert (taken.manifest.kind, taken.manifest.object_format) == ("empty", "sha256")
    lab.restore(taken, tmp_path / "r.git")
    assert Origin.at(tmp_path / "r.git").text("rev-parse", "--show-object-format") == "sha256"
    shutil.rmtree(origin.path)
    assert lab.take(Origin(origin.path)).manifest.object_format == "sha1"


def mixed(lab: Lab, tmp_path: Path) -> tuple[Sealed, Sealed]:
    """A good snapshot, and one after it whose chain goes on in another format, as no release should write it."""
    origin = Origin(tmp_path / "x.git", object_format="sha256")
    origin.commit(files={"a": b"a" * 5000})
    good = lab.take(origin)
    origin = anew(origin, "sha1")
    other = lab.take(origin)
    chain = [*good.manifest.chain, *other.manifest.chain]
    bad = seal(msgspec.structs.replace(other.manifest, kind="increment", chain=chain))
    lab.file(other.manifest.key.key(layout.MANIFEST)).write_bytes(bad.data)
    return good, bad


def test_a_stored_chain_of_two_formats_is_damaged_and_its_base_is_not(lab: Lab, tmp_path: Path) -> None:
    good, bad = mixed(lab, tmp_path)
    verdicts = {verdict.run: verdict for verdict in lab.verify(good)}
    assert verdicts[good.manifest.key].ok
    problems = verdicts[bad.manifest.key].problems
    assert any("mixes object formats" in problem.what for problem in problems)
    assert {problem.where.rpartition("/")[0] for problem in problems} == {bad.manifest.key.folder}
    with pytest.raises((Unusable, Finding), match="mixes object formats"):
        lab.restore(bad, tmp_path / "r.git")
    lab.restore(good, tmp_path / "good.git")
    assert lab.take(Origin.at(tmp_path / "x.git")).manifest.kind == "base"


def test_no_chain_is_sealed_that_mixes_formats(lab: Lab, tmp_path: Path) -> None:
    good, bad = mixed(lab, tmp_path)
    with pytest.raises(Damaged) as raised:
        check_continues(bad.manifest, good.manifest)
    assert raised.value.code == "mixed-chain"
    origin = Origin(tmp_path / "fine.git")
    taken = []
    for _ in range(3):
        origin.commit()
        taken.append(lab.take(origin).manifest)
    for parent, child in pairwise(taken):
        check_continues(child, parent)
