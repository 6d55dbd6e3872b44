"""Manifests: canonical bytes that read back the same, and nothing else that reads at all."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapshotter.archive.canonical import canonical
from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.manifest import (
    MAX_COUNT,
    Artifact,
    ChainBytes,
    Filters,
    Gap,
    History,
    Limits,
    Manifest,
    Parent,
    RefChange,
    RefChangeList,
    RefChanges,
    RefsRecord,
    json_schema,
)
from snapshotter.archive.sealed import Sealed, open_sealed, seal
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unavailable
from snapshotter.capture.options import CaptureOptions
from snapshotter.capture.snapshot import take
from snapshotter.git.origin_parsing import parse
from snapshotter.store.opening import open_store
from snapshotter.transport import WireLimits
from snapshotter.transport.connect import Connector
from tests.support.git import Origin
from tests.support.wires import NoCredentials

SCHEMA = Path(__file__).parents[3] / "docs" / "manifest.schema.json"
RUN = "20261123T120000Z-0123abcd"
WHERE = RunKey("github.com__psf__requests", RunId(RUN))
D = "d" * 64


def example(**changes: Any) -> Manifest:
    """A manifest in which every field holds something."""
    change = RefChange(ref="refs/heads/\\xff", old="a" * 40, new="b" * 40, ref_bytes="cmVmcy9oZWFkcy//")
    whole = Manifest(
        schema_version=2,
        tool_version="0.1.0",
        run_id=RUN,
        repo=WHERE.repo,
        origin="https://github.com/psf/requests",
        started_at=datetime(2026, 11, 23, 12, tzinfo=UTC),
        finished_at=datetime(2026, 11, 23, 12, 0, 1, 500000, UTC),
        kind="increment",
        reason="the refs changed",
        parent=Parent(run_id="20261122T120000Z-0123abcd", manifest_sha256=D),
        head="refs/heads/m\u00e4in",
        object_format="sha1",
        refs=RefsRecord(count=1, sha256=D, artifact=WHERE.key("refs.txt")),
        history=History(
            prerequisites=["a" * 40],
            segments=["history.bundle"],
            bundle_sha256=D,
            pack_checksum="e" * 40,
            objects=3,
            bytes=300,
        ),
        chain=["20261122T120000Z-0123abcd", RUN],
        chain_bytes=ChainBytes(base=1, increments=300),
        scan=None,
        ref_changes=RefChanges(moved=RefChangeList(count=1, refs=[change])),
        gaps=[Gap(kind="refs-left-out", count=1, sample=["x"])],
        artifacts=[
            Artifact(name="refs.txt", key=WHERE.key("refs.txt"), bytes=9, sha256=D, content_type="text/plain")
        ],
        limits=Limits(segment_bytes=1, uploads_in_flight=2, max_refs=3, idle_seconds=90.0),
        filters=Filters(refs=[], exclude_refs=["refs/pull/*/merge"]),
        labels={"team": "\u202ea"},
        timings={"refs": 0.25},
    )
    return msgspec.structs.replace(whole, **changes)


def refused(data: bytes, where: RunKey = WHERE) -> Unavailable:
    with pytest.raises(Unavailable) as raised:
        open_sealed(data, where)
    assert raised.value.hint
    return raised.value


def test_a_manifest_survives_its_bytes() -> None:
    sealed = seal(example())
    again = open_sealed(sealed.data, WHERE)
    assert again == sealed
    assert again.sha256 == hashlib.sha256(sealed.data).hexdigest()
    assert again.manifest.key == WHERE
    assert [key.folder for key in again.manifest.chain_keys][-1] == WHERE.folder
    assert msgspec.structs.replace(again.manifest, self_sha256="") == example()


@given(
    st.text(),
    st.text(),
    st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=4),
    st.dictionaries(st.sampled_from(["refs", "history"]), st.floats(0, 1e9)),
    st.integers(0, MAX_COUNT),
)
def test_any_manifest_survives_its_bytes(
    reason: str, head: str, labels: dict[str, str], timings: dict[str, float], size: int
) -> None:
    sealed = seal(
        example(
            reason=reason,
            head=head,
            labels=labels,
            timings=timings,
            chain_bytes=ChainBytes(base=size, increments=0),
        )
    )
    assert open_sealed(sealed.data, WHERE) == sealed


def test_the_bytes_are_canonical() -> None:
    data = seal(example()).data
    plain = json.loads(data)
    assert data == json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    assert b"m\xc3\xa4in" in data
    assert list(plain) == sorted(plain)
    assert plain["started_at"] == "2026-11-23T12:00:00Z"


def test_any_flipped_byte_is_refused() -> None:
    data = seal(example()).data
    for at in range(len(data)):
        for mask in (0x01, 0x20):  # 0x20 turns capitals into small letters
            spoiled = bytearray(data)
            spoiled[at] ^= mask
            assert refused(bytes(spoiled)).code.startswith("manifest")


def test_any_cut_or_padding_is_refused() -> None:
    data = seal(example()).data
    for length in range(0, len(data), 7):
        refused(data[:length])
    for other in (data + b"\n", b" " + data, b"\xef\xbb\xbf" + data, data.replace(b",", b", ", 1)):
        assert refused(other).code.startswith("manifest")


@pytest.mark.parametrize(
    "edit",
    [
        {"chain": [RUN]},
        {"kind": "unchanged"},
        {"origin": "https://evil.test/x"},
        {"self_sha256": D},
        {"self_sha256": ""},
    ],
)
def test_an_edit_without_a_new_seal_is_refused(edit: dict[str, Any]) -> None:
    plain = msgspec.json.decode(seal(example()).data) | edit
    assert refused(canonical(plain)).code == "manifest-damaged"


@pytest.mark.parametrize("version", [0, 3, 99])
def test_another_schema_is_refused_and_named(version: int) -> None:
    newer = msgspec.json.decode(seal(example()).data) | {"schema_version": version, "something": "new"}
    error = refused(canonical(newer))
    assert error.code == "manifest-newer"
    assert str(version) in error.message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"null",
        b"[]",
        b"\xff",
        b'{"schema_version":2}',
        b'{"schema_version":"1"}',
        b'{"schema_version":1e400}',
        b"[" * 100_000,
        b'{"schema_version":2,"a":' + b"[" * 100_000,
        b"<html>",
    ],
)
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    assert refused(data).code == "manifest-unreadable"


def test_unknown_fields_are_refused() -> None:
    plain = msgspec.json.decode(seal(example()).data) | {"extra": 1}
    assert refused(canonical(plain)).code == "manifest-unreadable"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"repo": "another"}, "manifest-misplaced"),
        ({"run_id": "20261123T120000Z-ffffffff"}, "manifest-misplaced"),
        ({"chain": ["../../x"]}, "manifest-damaged"),
        ({"chain": [RUN, "20261122T120000Z-0123abcd"]}, "manifest-damaged"),
        ({"chain": [RUN + "\n"]}, "manifest-damaged"),
        ({"chain": [RUN, RUN]}, "manifest-damaged"),
        ({"chain": [f"20261122T120000Z-{n:08x}" for n in range(101)]}, "manifest-damaged"),
    ],
)
def test_a_sealed_lie_is_refused(changes: dict[str, Any], code: str) -> None:
    assert refused(seal(example(**changes)).data).code == code


# The JSON Schema, and manifests of real runs


def valid(data: bytes) -> None:
    jsonschema.Draft202012Validator(
        json.loads(SCHEMA.read_bytes()), format_checker=jsonschema.FormatChecker()
    ).validate(json.loads(data))


def test_the_schema_in_docs_is_the_codes() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    assert json.loads(SCHEMA.read_bytes()) == json_schema()


def test_the_schema_takes_ours_and_refuses_others() -> None:
    data = seal(example()).data
    valid(data)
    plain = json.loads(data)
    for edit in ({"kind": "other"}, {"extra": 1}, {"chain": "x"}, {"object_format": "md5"}, {"refs": {}}):
        with pytest.raises(jsonschema.ValidationError):
            valid(json.dumps(plain | edit).encode())
    del plain["origin"]
    with pytest.raises(jsonschema.ValidationError):
        valid(json.dumps(plain).encode())


def test_manifests_of_real_runs_keep_to_the_schema(tmp_path: Path) -> None:
    repo = Origin(tmp_path / "x.git")
    store, origin = open_store("memory:"), parse(str(repo.path))
    connector = Connector(NoCredentials(), WireLimits())

    def run(minute: int) -> Sealed:
        transport = connector(origin, Cancel())
        try:
            return take(
                origin,
                transport,
                store,
                CaptureOptions(labels={"a": "b"}),
                now=datetime(2026, 11, 23, 12, minute, tzinfo=UTC),
            )
        finally:
            transport.close()

    taken = [run(0)]
    noise = hashlib.shake_256(b"noise").digest(20_000)  # a base that no increment outweighs
    first = repo.commit_tree(ref="refs/heads/main", message="one", f=noise)
    repo.git("update-ref", b"refs/heads/\xff", first)
    taken.append(run(1))
    taken.append(run(2))
    repo.commit_tree(ref="refs/heads/main", message="rewritten")
    taken.append(run(3))
    repo.git("update-ref", "refs/tags/only-a-ref", first)
    taken.append(run(4))
    assert [sealed.manifest.kind for sealed in taken] == [
        "empty",
        "base",
        "unchanged",
        "increment",
        "increment",
    ]
    for sealed in taken:
        stored = store.get(sealed.manifest.key.key("manifest.json"))
        assert stored == sealed.data
        valid(stored)
        assert open_sealed(stored, sealed.manifest.key) == sealed
    for parent, child in pairwise(taken):
        assert child.manifest.parent == Parent(run_id=parent.manifest.run_id, manifest_sha256=parent.sha256)
    assert taken[3].manifest.ref_changes is not None
    assert taken[3].manifest.ref_changes.rewritten.count == 1
