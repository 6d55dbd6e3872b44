"""A job's document in the store: held to its digest, and to what a stranger with the right to write may say."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from snapshotter.base.errors import Finding, Missing, SnapshotterError, TooLarge, UsageError
from snapshotter.base.settings import Settings
from snapshotter.fleet.document import MAX_DOCUMENT, Job, Reference
from snapshotter.fleet.stored_job import read_stored, reference_in
from snapshotter.store.memory import MemoryBackend
from snapshotter.store.objects import Place, Store

ROOT = "s3://bucket/prefix/"
PLACE = f"{ROOT}_jobs/daily.json"
SHA = "0" * 64
NOTHING = Settings({})
HOST = "https://git.example.test/a"


def stored(data: object, *, key: str = "_jobs/daily.json") -> tuple[Store, Reference]:
    """A store with a document, and the reference to it."""
    store = Store(MemoryBackend(ROOT), Place(ROOT))
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    store.put_new(key, raw)
    return store, Reference(document=f"{ROOT}{key}", sha256=hashlib.sha256(raw).hexdigest())


def error_of(data: object, settings: Settings = NOTHING) -> SnapshotterError:
    store, reference = stored(data)
    with pytest.raises(SnapshotterError) as raised:
        read_stored(store, reference, settings)
    assert raised.value.hint
    assert "hunter2" not in str(raised.value.as_dict())
    return raised.value


def test_a_stored_job_is_read() -> None:
    origins = [f"https://git.example.test/{n}" for n in range(2_000)]
    store, reference = stored({"origins": origins, "labels": {"team": "core"}, "options": {"full": True}})
    assert reference_in(json.dumps({"document": PLACE, "sha256": reference.sha256}).encode()) == reference
    job = read_stored(store, reference, NOTHING)
    assert (job.all_origins, job.labels, job.options.full) == (origins, {"team": "core"}, True)


@pytest.mark.parametrize(
    "text", [b'{"origin": "x"}', b"{", b"", b"[]", b'"s3://b/_jobs/x"', b"\xff", b"[" * 100_000]
)
def test_what_names_no_document_is_no_reference(text: bytes) -> None:
    assert reference_in(text) is None


@pytest.mark.parametrize(
    "text",
    [
        {"document": PLACE},
        {"document": PLACE, "sha256": ""},
        {"document": PLACE, "sha256": SHA.upper().replace("0", "A")},
        {"document": PLACE, "sha256": SHA + "0"},
        {"document": "", "sha256": SHA},
        {"document": PLACE, "sha256": SHA, "origins": ["x"]},
        {"document": PLACE, "sha256": SHA, "store": ROOT},
    ],
    ids=json.dumps,
)
def test_a_reference_that_cannot_be_meant_is_refused(text: dict[str, object]) -> None:
    with pytest.raises(UsageError) as raised:
        reference_in(json.dumps(text).encode())
    assert raised.value.code == "job"


def test_of_two_digests_in_a_reference_none_is_taken() -> None:
    twice = f'{{"document": "{PLACE}", "sha256": "{SHA}", "sha256": "{"0" * 64}"}}'
    with pytest.raises(UsageError, match="twice"):
        reference_in(twice.encode())


@pytest.mark.parametrize(
    "place",
    [
        "s3://bucket/prefix/daily.json",
        "s3://bucket/prefix/_jobs/",
        "s3://bucket/prefix/_jobs",
        "s3://bucket/prefix2/_jobs/daily.json",
        "s3://other/prefix/_jobs/daily.json",
        "s3://bucket/_jobs/daily.json",
        "s3://bucket/prefix/_jobs/../github.com__psf__requests/daily.json",
        "https://user:hunter2@example.test/_jobs/daily.json",
        "_jobs/daily.json",
        "/srv/_jobs/daily.json",
        "file:/srv/_jobs/daily.json",
    ],
)
def test_a_document_elsewhere_is_not_read(place: str) -> None:
    store, _ = stored({"origin": HOST})
    with pytest.raises(UsageError) as raised:
        read_stored(store, Reference(document=place, sha256=SHA), NOTHING)
    assert f"{ROOT}_jobs/" in raised.value.hint
    assert "hunter2" not in str(raised.value.as_dict())


def test_a_document_with_another_digest_is_a_finding() -> None:
    store, reference = stored({"origin": HOST})
    with pytest.raises(Finding) as raised:
        read_stored(store, Reference(document=reference.document, sha256=SHA), NOTHING)
    assert (raised.value.code, raised.value.exit_code) == ("job-digest", 1)


def test_a_document_that_is_missing_or_too_large_is_told_as_such() -> None:
    store, reference = stored(b" " * (MAX_DOCUMENT + 1))
    with pytest.raises(TooLarge):
        read_stored(store, reference, NOTHING)
    with pytest.raises(Missing) as raised:
        read_stored(store, Reference(document=f"{ROOT}_jobs/none.json", sha256=SHA), NOTHING)
    assert "_jobs/none.json" in raised.value.hint and "verify" not in raised.value.hint


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"origin": HOST, "store": ROOT}, "`store`"),
        ({"verb": "verify", "store": "s3://elsewhere/"}, "`store`"),
        ({"origin": "http://git.example.test/a", "options": {"allow_http": True}}, "SNAPSHOTTER_ALLOW_HTTP"),
        ({"origins": [HOST, "/etc"]}, "origin 2"),
        ({"origin": "."}, "origin 1"),
        ({"origin": "file:///proc/self"}, "origin 1"),
        ({"origin": "https://me:hunter2@git.example.test/a"}, "credential"),
        ({"document": PLACE, "sha256": SHA}, "`document`"),
        ({"origin": HOST, "token_command": "hunter2"}, "`token_command`"),
        ({"origin": HOST, "options": {"ssh_command": "hunter2"}}, "`ssh_command`"),
        ({"origin": HOST, "webhook": "https://hunter2.test/"}, "`webhook`"),
        ({"origin": HOST, "tokens": {"evil.test": "x"}}, "`tokens`"),
        ({}, "no origin"),
        (b"{", "not a job"),
    ],
    ids=str,
)
def test_what_only_the_operator_may_say_is_refused(document: object, named: str) -> None:
    error = error_of(document)
    assert (type(error), error.code) == (UsageError, "job")
    assert named in error.message


@pytest.mark.parametrize("name", ["SNAPSHOTTER_GIT_TOKEN", "SNAPSHOTTER_GIT_TOKEN_COMMAND"])
def test_a_stored_document_brings_no_host_for_a_token_that_names_none(name: str) -> None:
    error = error_of({"origin": "https://evil.test/a"}, Settings({name: "echo hunter2"}))
    assert name in error.message
    store, reference = stored({"origins": ["git@git.example.test:a", "ssh://b.test/a"]})
    assert isinstance(read_stored(store, reference, Settings({name: "x"})), Job)
    bound = Settings({"SNAPSHOTTER_GIT_TOKENS": '{"git.example.test": "x"}'})
    assert isinstance(read_stored(*stored({"origins": [HOST, "https://evil.test/a"]}), bound), Job)


def test_it_is_read_from_a_folder_too(tmp_path: Path) -> None:
    from snapshotter.store.opening import open_store

    store = open_store(f"file:{tmp_path}")
    store.put_new("_jobs/a/b.json", b'{"verb": "verify"}')
    sha256 = hashlib.sha256(b'{"verb": "verify"}').hexdigest()
    reference = Reference(document=f"file:{tmp_path}/_jobs/a/b.json", sha256=sha256)
    assert read_stored(store, reference, NOTHING).verb == "verify"
