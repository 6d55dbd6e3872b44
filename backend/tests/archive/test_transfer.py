"""Artifacts: what was put is described, and comes back only as it was described."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest

from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.transfer import JSON, RunFolder, checked_get
from snapshotter.base.errors import Damaged, Unavailable
from snapshotter.store.opening import open_store

KEY = RunKey("example.org__x", RunId("20261123T120000Z-0123abcd"))


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(open_store(f"file:{tmp_path}"), KEY, "base")


@pytest.mark.parametrize("data", [b"", b"{}", memoryview(b"a view")])
def test_an_artifact_is_described_by_what_was_put(folder: RunFolder, data: bytes | memoryview) -> None:
    artifact = folder.put("a.json", data, JSON)
    assert msgspec.to_builtins(artifact) == {
        "name": "a.json",
        "key": "example.org__x/2026/11/23/20261123T120000Z-0123abcd/a.json",
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "content_type": "application/json",
    }
    assert checked_get(folder.store, artifact) == data


def test_an_object_is_tagged_with_the_kind_and_the_repo(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags: list[object] = []
    monkeypatch.setattr(folder.store, "put_new", lambda *_, **options: tags.append(options["tags"]))
    folder.put("a.json", b"{}", JSON)
    assert tags == [{"kind": "base", "repo": "example.org__x"}]


def test_nothing_is_written_over(folder: RunFolder) -> None:
    folder.put("a.json", b"{}", JSON)
    with pytest.raises(Unavailable) as caught:
        folder.put("a.json", b"[]", JSON)
    assert caught.value.code == "exists"


@pytest.mark.parametrize("data", [b"", b"{", b"{ ", b"[]", b"{} ", None])
def test_an_altered_object_is_damaged(folder: RunFolder, tmp_path: Path, data: bytes | None) -> None:
    artifact = folder.put("a.json", b"{}", JSON)
    path = tmp_path / artifact.key
    path.unlink() if data is None else path.write_bytes(data)
    with pytest.raises(Damaged, match=r"a\.json") as caught:
        checked_get(folder.store, artifact)
    assert "verify" in caught.value.hint
