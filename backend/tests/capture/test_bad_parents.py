"""A newest manifest or ledger that cannot be read is not built on."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from snapshotter.archive import layout
from snapshotter.archive.canonical import canonical
from snapshotter.archive.sealed import Sealed
from snapshotter.base.errors import Unavailable
from snapshotter.recover.verify import VerifyOptions
from tests.support.git import Origin
from tests.support.lab import Lab


def replace_manifest(lab: Lab, taken: Sealed, data: bytes) -> None:
    lab.file(taken.manifest.key.key(layout.MANIFEST)).write_bytes(data)


def test_a_newer_schema_is_not_built_on_nor_over(lab: Lab, origin: Origin) -> None:
    taken = lab.take(origin)
    newer = msgspec.to_builtins(taken.manifest) | {"schema_version": 3, "news": True}
    replace_manifest(lab, taken, canonical(newer))
    before = lab.store.list("")
    with pytest.raises(Unavailable) as caught:
        lab.take(origin)
    assert caught.value.code == "manifest-newer"
    assert caught.value.exit_code == 4
    assert "release" in caught.value.hint
    assert lab.store.list("") == before


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"schema_version":2}', b"null"])
def test_an_unreadable_newest_manifest_makes_a_base(
    lab: Lab, origin: Origin, tmp_path: Path, data: bytes
) -> None:
    lab.take(origin)
    bad = lab.take(origin)
    replace_manifest(lab, bad, data)
    taken = lab.take(origin)
    assert taken.manifest.kind == "base"
    assert any("cannot be built on" in warning for warning in lab.observer.warnings)
    assert lab.restored(taken, tmp_path / "r.git") == origin.state
    verdicts = {v.run: v for v in lab.verify(taken, VerifyOptions(receipts=False))}
    assert [verdict.run for verdict in verdicts.values() if not verdict.ok] == [bad.manifest.key]
    assert lab.take(origin).manifest.kind == "unchanged"


def test_unreadable_refs_of_the_parent_make_a_base(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    first = lab.take(origin)
    lab.file(first.manifest.refs.artifact).write_bytes(b"nonsense\n")
    origin.commit()
    taken = lab.take(origin)
    assert taken.manifest.kind == "base"
    assert lab.restored(taken, tmp_path / "r.git") == origin.state
