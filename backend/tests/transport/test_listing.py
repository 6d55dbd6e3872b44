"""What a server's list of refs becomes: object format, HEAD, and names and ids that cannot be."""

from __future__ import annotations

import pytest

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import SnapshotterError
from snapshotter.git.refs import RefListing
from snapshotter.transport import WantVanished, WireLimits, v0, v2
from snapshotter.transport.pktline import FLUSH, PktReader, buffered, encode, encode_lines
from snapshotter.transport.replies import server_error

A, B, LONG, NULL = "a" * 40, "b" * 40, "c" * 64, "0" * 40


def reader(data: bytes) -> PktReader:
    rest = memoryview(data)

    def read_into(view: memoryview) -> int:
        nonlocal rest
        count = min(len(view), len(rest))
        view[:count], rest = rest[:count], rest[count:]
        return count

    return PktReader(buffered(read_into), WireLimits())


def by_v0(capabilities: str, *lines: str) -> RefListing:
    first, *others = lines
    packets = encode(f"{first}\0{capabilities}\n".encode()) + encode_lines(line.encode() for line in others)
    stream = reader(packets + FLUSH)
    return v0.read_server(stream.line(), stream, WireLimits(), Cancel()).listing


def by_v2(capabilities: str, *lines: str) -> RefListing:
    offered = ["version 2", "fetch", *capabilities.split()]
    stream = reader(encode_lines(word.encode() for word in offered) + FLUSH)
    stream.line()
    server = v2.parse_capabilities(stream)
    answer = reader(encode_lines(line.encode() for line in lines) + FLUSH)
    return v2.read_refs(server, answer, WireLimits(), Cancel())


@pytest.mark.parametrize(
    ("branches", "target"),
    [
        ({"trunk": A, "aaa": B}, b"refs/heads/trunk"),
        ({"main": A, "aaa": A}, b"refs/heads/main"),
        ({"master": A, "main": A, "aaa": A}, b"refs/heads/master"),
        ({"main": B, "b": A, "c": A}, b"refs/heads/b"),
    ],
)
def test_a_v0_server_that_tells_no_symref_is_guessed_at(branches: dict[str, str], target: bytes) -> None:
    lines = [f"{oid} refs/heads/{name}" for name, oid in branches.items()]
    listed = by_v0("side-band-64k", f"{A} HEAD", *lines)
    assert (listed.head_target, listed.head_oid, listed.head_guessed) == (target, None, True)


def test_a_v0_head_that_no_branch_has_is_detached() -> None:
    listed = by_v0("side-band-64k", f"{A} HEAD", f"{B} refs/heads/main", f"{A} refs/tags/v1")
    assert (listed.head_target, listed.head_oid, listed.head_guessed) == (None, A, False)


def test_a_v0_server_that_tells_symrefs_is_believed() -> None:
    told = by_v0("symref=HEAD:refs/heads/b", f"{A} HEAD", f"{A} refs/heads/a", f"{A} refs/heads/b")
    assert (told.head_target, told.head_guessed) == (b"refs/heads/b", False)
    other = by_v0("symref=refs/heads/x:refs/heads/b", f"{A} HEAD", f"{A} refs/heads/b")
    assert (other.head_target, other.head_oid) == (None, A)


def test_the_object_format_is_the_servers_own_word() -> None:
    assert by_v0("object-format=sha256", f"{'0' * 64} capabilities^{{}}").object_format == "sha256"
    assert by_v0("x", f"{LONG} refs/heads/main").object_format == "sha256"
    assert by_v0("x", f"{A} refs/heads/main").object_format == "sha1"
    assert by_v2("object-format=sha256").object_format == "sha256"
    assert by_v2("object-format=sha1", f"{LONG} refs/heads/main").object_format == "sha1"
    assert by_v2("ls-refs", f"{LONG} refs/heads/main").object_format == "sha256"
    assert by_v2("").object_format == "sha1"
    for listing in (by_v0, by_v2):
        with pytest.raises(SnapshotterError, match="neither sha1 nor sha256"):
            listing("object-format=md5", f"{A} refs/heads/main")


def test_names_and_ids_that_cannot_be_are_listed_as_they_come() -> None:
    listed = by_v2("", f"{A} refs/heads/a..b", f"{NULL} refs/heads/empty", f"{A} HEAD symref-target:heads/x")
    assert dict(listed.oids) == {b"refs/heads/a..b": A, b"refs/heads/empty": NULL}
    assert listed.head_target == b"heads/x"


@pytest.mark.parametrize(
    ("words", "oid"),
    [
        (f"upload-pack: not our ref {A}", A),
        (f"upload-pack: not our ref {LONG}", LONG),
        (f"want {B} not valid", B),
        (f"Server does not allow request for unadvertised object {A}", A),
        ("upload-pack: not our ref", None),
    ],
)
def test_a_want_that_vanished_is_known_by_gits_and_jgits_words(words: str, oid: str | None) -> None:
    error = server_error(words.encode())
    assert isinstance(error, WantVanished)
    assert error.oid == oid


@pytest.mark.parametrize("words", ["the password is not valid", "want more not valid", "not a ref"])
def test_other_words_are_no_vanished_want(words: str) -> None:
    assert not isinstance(server_error(words.encode()), WantVanished)
