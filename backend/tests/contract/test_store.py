"""The contract of a Store, kept by a folder, by memory and by a real S3 server with the bucket's own rules."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from snapshotter.archive.manifest import Artifact
from snapshotter.archive.transfer import checked_get
from snapshotter.base.errors import AccessDenied, Missing, Unavailable, UsageError
from snapshotter.store.backend import ListedObject
from snapshotter.store.objects import Store
from snapshotter.store.opening import open_store
from tests import servers
from tests.support import faults

BUCKET = "fruitful-lab-snapshots-prod"
PREFIX = "repo-scans/snapshotter/"
ANY = f"arn:aws:s3:::{BUCKET}/*"
# The bucket's rules of docs/aws.md, and no more rights than the task role has.
BUCKET_POLICY = {
    "Version": servers.VERSION,
    "Statement": [
        {
            "Sid": sid,
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": ANY,
            "Condition": rule,
        }
        for sid, rule in (
            ("other", {"StringNotEquals": {"s3:x-amz-server-side-encryption": "AES256"}}),
            ("none", {"Null": {"s3:x-amz-server-side-encryption": "true"}}),
        )
    ],
}
ACCESS_POLICY = {
    "Version": servers.VERSION,
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": f"arn:aws:s3:::{BUCKET}",
            "Condition": {"StringLike": {"s3:prefix": f"{PREFIX}*"}},
        },
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:PutObjectTagging"],
            "Resource": f"arn:aws:s3:::{BUCKET}/{PREFIX}*",
        },
    ],
}
_numbers = count()


@pytest.fixture(scope="module")
def bucket() -> Iterator[servers.Server]:
    """A RADOS Gateway with the bucket, started when the first test needs it."""
    if shutil.which("radosgw") is None:
        pytest.skip("no radosgw here (Debian: radosgw ceph-mon ceph-osd), so the store is not tested on S3")
    with ExitStack() as stack:
        server = stack.enter_context(servers.rgw())
        servers.put_bucket_with_policy(server, BUCKET, BUCKET_POLICY, ACCESS_POLICY)
        yield server


def s3(server: servers.Server, keys: servers.Keys, path: str) -> Store:
    return open_store(f"s3://{BUCKET}/{path}", env=server.environment(keys))


@pytest.fixture(params=["folder", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind. On S3 it is the least-privileged user's, in a folder of its own."""
    if request.param == "folder":
        store = open_store(f"file:{tmp_path / 'store'}", env={})
    elif request.param == "memory":
        store = open_store("memory:", env={})
    else:
        server = request.getfixturevalue("bucket")
        store = s3(server, server.user, f"{PREFIX}contract-{next(_numbers)}/")
    store.pause = lambda *_: None
    return store


def keys(entries: list[ListedObject]) -> list[str]:
    return [entry.key for entry in entries]


def test_what_is_put_is_got(store: Store) -> None:
    for size in (0, 1, 100_000):
        data = os.urandom(size)
        store.put_new(f"a/{size}", memoryview(data), content_type="text/plain", tags={"kind": "base"})
        assert store.get(f"a/{size}") == data
        assert b"".join(store.stream(f"a/{size}")) == data


def test_a_range_is_those_bytes(store: Store) -> None:
    store.put_new("a/b", bytes(range(100)))
    assert store.get_range("a/b", 0, 1) == b"\0"
    assert store.get_range("a/b", 10, 99) == bytes(range(10, 99))
    assert store.get_range("a/b", 99, 100) == b"\x63"


def test_a_key_is_written_once(store: Store) -> None:
    store.put_new("a/key", b"first")
    with pytest.raises(Unavailable) as raised:
        store.put_new("a/key", b"other")
    assert raised.value.code == "exists"
    with pytest.raises(Unavailable):
        store.put_new("a/key", b"longer than the first")
    assert store.get("a/key") == b"first"


def test_a_first_try_whose_answer_was_lost_counts(store: Store) -> None:
    store.put_new("a/key", b"these bytes")
    store.put_new("a/key", b"these bytes")
    store.put_new("a/key", memoryview(bytearray(b"these bytes")))
    assert keys(store.list("a")) == ["a/key"]


def test_of_writers_at_once_one_wins(store: Store) -> None:
    def write(n: int) -> bool:
        try:
            store.put_new("a/contested", b"%d" % n)
        except Unavailable as error:
            assert error.code == "exists"
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(write, range(8)))
    assert sum(won) == 1
    assert store.get("a/contested") == b"%d" % won.index(True)


def test_a_list_is_by_key_and_knows_sizes(store: Store) -> None:
    for name in ("b", "a", "c/d", "c.e"):
        store.put_new(f"folder/{name}", name.encode())
    store.put_new("folder-2/x", b"x")
    assert store.list("folder") == [
        ListedObject("folder/a", 1),
        ListedObject("folder/b", 1),
        ListedObject("folder/c.e", 3),
        ListedObject("folder/c/d", 3),
    ]
    assert store.list("fold") == []
    assert store.list("nothing/here") == []


def test_a_list_begins_after_a_key(store: Store) -> None:
    for day in ("2026/10/31", "2026/11/01", "2026/11/02"):
        store.put_new(f"repo/{day}/x", b"x")
    assert keys(store.list("repo", after="repo/2026/11/01")) == ["repo/2026/11/01/x", "repo/2026/11/02/x"]
    assert keys(store.list("repo", after="repo/2026/11/01/x")) == ["repo/2026/11/02/x"]
    assert store.list("repo", after="repo/2027") == []
    assert len(store.list("repo", after="repo/")) == 3


def test_the_root_can_be_listed(store: Store) -> None:
    assert store.folders("") == []
    store.put_new("one/a", b"")
    store.put_new("two/b/c", b"")
    assert keys(store.list("")) == ["one/a", "two/b/c"]
    assert store.folders("") == ["one", "two"]


def test_folders_are_the_names_directly_below(store: Store) -> None:
    for key in ("r/2026/11/01/x", "r/2025/12/31/x", "r/2026/12/01/x", "r/file"):
        store.put_new(key, b"x")
    assert store.folders("r") == ["2025", "2026"]
    assert store.folders("r/2026") == ["11", "12"]
    assert store.folders("none") == []


def test_a_long_list_is_whole(store: Store) -> None:
    count = 1100 if store.place.uri.startswith("s3:") else 50  # more than one page of S3
    names = [f"many/{n:05d}" for n in range(count)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: store.put_new(name, b""), names))
    assert keys(store.list("many")) == names
    assert keys(store.list("many", after="many/00040")) == names[41:]


def test_more_bytes_than_expected_are_refused_unread(store: Store) -> None:
    store.put_new("a/key", b"12345")
    assert store.get("a/key", limit=5) == b"12345"
    with pytest.raises(Unavailable) as raised:
        store.get("a/key", limit=4)
    assert raised.value.code == "too-large"


def test_a_missing_key_is_missing_not_denied(store: Store) -> None:
    store.put_new("a/there", b"x")
    for key in ("a/not-there", "none/at/all"):
        with pytest.raises(Unavailable) as raised:
            store.get(key)
        assert raised.value.code == "missing"
        assert key in raised.value.message


@pytest.mark.parametrize(
    "key",
    [
        "../" * 20 + "etc/hostname",
        "/etc/hostname",
        "a//there",
        "a/./there",
        "a/",
        "a/x\n",
        "a/x\x00",
        "a/\x9b",
    ],
)
def test_a_key_that_no_object_can_have_is_missing(store: Store, key: str) -> None:
    store.put_new("a/there", b"x")
    for call in (lambda: store.get(key), lambda: store.get_range(key, 0, 1), lambda: list(store.stream(key))):
        with pytest.raises(Missing) as raised:
            call()
        assert raised.value.hint
        assert raised.value.message.isprintable()


def test_a_checked_read_finds_every_fault(store: Store) -> None:
    data = b"some bytes to be spoiled"
    store.put_new("a/key", data)
    artifact = Artifact(
        name="key", key="a/key", bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), content_type=""
    )
    assert checked_get(store, artifact) == data
    spoiled = [faults.TruncatingStore(store, keep) for keep in (0, 1, len(data) - 1)]
    spoiled += [faults.FlippingStore(store, offset) for offset in (0, 11, -1)]
    for faulty in spoiled:
        with pytest.raises(Unavailable) as raised:
            checked_get(faulty, artifact)
        assert raised.value.code == "damaged"


def test_the_faulty_stores_do_what_they_say(store: Store) -> None:
    with pytest.raises(AccessDenied):
        faults.DenyingStore(store, "manifest").put_new("a/manifest.json", b"x")
    failing = faults.FailNthStore(store, 2)
    failing.put_new("a/1", b"x")
    with pytest.raises(Unavailable):
        failing.put_new("a/2", b"x")
    failing.put_new("a/3", b"x")
    assert keys(store.list("a")) == ["a/1", "a/3"]
    with pytest.raises(Unavailable):
        faults.FailNthStore(store, 1, stored=True).put_new("a/4", b"x")
    recording = faults.RecordingStore(store)
    assert b"".join(recording.stream("a/1")) == b"x"
    assert keys(recording.list("a")) == ["a/1", "a/3", "a/4"]
    assert recording.calls == [("stream", "a/1"), ("list", "a")]


# What holds on S3 alone


def test_a_stranger_is_denied_with_the_rule_named(bucket: servers.Server) -> None:
    stranger = s3(bucket, bucket.stranger, PREFIX)
    for call in (
        lambda: stranger.put_new("a/x", b"x"),
        lambda: stranger.list("a"),
        lambda: stranger.folders(""),
    ):
        with pytest.raises(AccessDenied) as raised:
            call()
        assert raised.value.code == "store-denied"
        assert "fruitful-repo-snapshotter-task-role" in raised.value.hint


def test_outside_the_prefix_is_denied_with_the_rule_named(bucket: servers.Server) -> None:
    outside = s3(bucket, bucket.user, "elsewhere/")
    for call in (lambda: outside.put_new("a", b"x"), lambda: outside.list("a")):
        with pytest.raises(AccessDenied) as raised:
            call()
        assert PREFIX in raised.value.hint


def test_an_object_bears_encryption_type_and_tags(bucket: servers.Server) -> None:
    store = s3(bucket, bucket.user, f"{PREFIX}attributes/")
    store.put_new("a/x", b"x", content_type="text/plain", tags={"kind": "base", "repo": "r__s"})
    answer = servers.client(bucket, bucket.user).get_object(Bucket=BUCKET, Key=f"{PREFIX}attributes/a/x")
    assert (answer["ContentType"], answer["TagCount"]) == ("text/plain", 2)


@pytest.mark.parametrize("odd", ["a//b", "a/\x01", "a/\n", "a/\x7f", "a/b/"])
def test_a_key_that_is_none_of_ours_costs_no_list(bucket: servers.Server, odd: str) -> None:
    folder = f"{PREFIX}odd-{next(_numbers)}/"
    client = servers.client(bucket, bucket.user)
    client.put_object(Bucket=BUCKET, Key=f"{folder}{odd}", Body=b"x", ServerSideEncryption="AES256")
    store = s3(bucket, bucket.user, folder)
    plain = ["a/+ %41&<>…", "a/x", "c/y"]
    for key in plain:
        store.put_new(key, b"x")
    assert keys(store.list("")) == plain
    assert keys(store.list("a", after="a/y")) == []
    assert store.folders("") == ["a", "c"]


def test_no_bucket_is_could_not(bucket: servers.Server) -> None:
    missing = open_store(f"s3://no-such-bucket/{PREFIX}", env=bucket.environment(bucket.user))
    with pytest.raises(Unavailable) as raised:
        missing.list("a")
    assert raised.value.code == "no-bucket"


# Names of stores


@pytest.mark.parametrize(
    "uri",
    [
        "s3://",
        "s3://UPPER/x",
        "s3://b/x/../../y",
        "s3://a_b/",
        "https://host/x",
        "gs://bucket/x",
        "s3://b/..",
    ],
)
def test_what_is_no_store(uri: str) -> None:
    with pytest.raises(UsageError):
        open_store(uri, env={"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "r"})


@pytest.mark.parametrize(
    ("endpoint", "allow_http", "fine"),
    [
        ("http://127.0.0.1:1", True, True),
        ("http://127.0.0.1:1", False, False),
        ("http://s3.test", True, False),
        ("https://s3.test", False, True),
    ],
)
def test_s3_is_https_except_on_loopback_when_asked_for(endpoint: str, allow_http: bool, fine: bool) -> None:
    env = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "r"}
    env["AWS_ENDPOINT_URL_S3"] = endpoint
    if fine:
        assert open_store("s3://bucket/x", allow_http=allow_http, env=env).place.uri == "s3://bucket/x/"
    else:
        with pytest.raises(UsageError):
            open_store("s3://bucket/x", allow_http=allow_http, env=env)


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable) as raised:
        open_store(f"file:{tmp_path}/file/store", env={})
    assert raised.value.code == "store"
    assert open_store(str(tmp_path / "plain"), env={}).place.folder == tmp_path / "plain"
