"""What is a pointer to us is one to git-lfs, and the other way round: one that is not seen is a lost object."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from snapshotter.git.lfs_pointer import LONGEST, lfs_pointer, may_be_part
from tests.servers import need
from tests.support.git import ENV

OID = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393"
VERSION = b"version https://git-lfs.github.com/spec/v1\n"
NAMED = f"oid sha256:{OID}\n".encode()
SIZE = b"size 12345\n"
WHOLE = VERSION + NAMED + SIZE
EXTENSION = b"ext-0-foo sha256:%b\n" % OID.encode()

TEXTS = {
    "as git-lfs writes it": WHOLE,
    "no last line end": WHOLE[:-1],
    "line ends of Windows": WHOLE.replace(b"\n", b"\r\n"),
    "one line end of Windows": VERSION[:-1] + b"\r\n" + NAMED + SIZE,
    "more line ends": WHOLE + b"\n\r\n\n",
    "space around": b" \t\n" + WHOLE + b"  ",
    "a blank line": VERSION + b"\n\r\n" + NAMED + b"\n" + SIZE,
    "space in a line": VERSION + NAMED[:-1] + b" \n" + SIZE,
    "line ends of old Macs": WHOLE.replace(b"\n", b"\r"),
    "another order": VERSION + SIZE + NAMED,
    "twice": VERSION + NAMED + NAMED + SIZE,
    "a line more": WHOLE + b"more of it\n",
    "a byte order mark": b"\xef\xbb\xbf" + WHOLE,
    "upper case": WHOLE.replace(OID.encode(), OID.upper().encode()),
    "another digest": WHOLE.replace(b"sha256", b"sha512"),
    "a tab": WHOLE.replace(b" ", b"\t"),
    "no size": VERSION + NAMED,
    "a zero before": VERSION + NAMED + b"size 0012345\n",
    "a plus": VERSION + NAMED + b"size +12345\n",
    "less than nothing": VERSION + NAMED + b"size -1\n",
    "the largest": VERSION + NAMED + b"size 9223372036854775807\n",
    "more than that": VERSION + NAMED + b"size 9223372036854775808\n",
    "its first name": WHOLE.replace(VERSION, b"version http://git-media.io/v/2\n"),
    "its second name": WHOLE.replace(b"git-lfs.github", b"hawser.github"),
    "another version": WHOLE.replace(b"v1", b"v2"),
    "another's": WHOLE.replace(b"git-lfs.github.com", b"git-lfs.example.com"),
    "an extension": VERSION + EXTENSION + NAMED + SIZE,
    "extensions elsewhere": EXTENSION + VERSION + NAMED + EXTENSION.replace(b"0", b"1", 1) + SIZE,
    "an extension of Windows": (VERSION + EXTENSION + NAMED + SIZE).replace(b"\n", b"\r\n"),
    "an extension at the end": WHOLE + EXTENSION,
    "an extension without a value": VERSION + b"ext-0-foo\n" + NAMED + SIZE,
    "no extension": VERSION + b"ext-foo x\n" + NAMED + SIZE,
    "the longest": WHOLE + b"\n" * (LONGEST - 1 - len(WHOLE)),
}


def by_git_lfs(data: bytes, folder: Path) -> bool:
    need("git-lfs")
    done = subprocess.run(
        ["git", "lfs", "pointer", "--check", "--stdin"],
        input=data,
        cwd=folder,
        env=ENV,
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_pointer_is_what_git_lfs_reads_as_one(text: bytes, tmp_path: Path) -> None:
    found = lfs_pointer(text)
    assert found is None or may_be_part(text)
    assert (found is not None) == by_git_lfs(text, tmp_path)
    assert found is None or found == (OID, int(text.split(b"size ")[1]))


def mutated(chance: random.Random) -> Iterator[bytes]:
    """A pointer with a few lines or bytes changed, left out or doubled."""
    pieces = [VERSION, NAMED, SIZE, EXTENSION, b"\n", b"\r\n", b" ", b"\r", b"x\n"]
    while True:
        lines = [VERSION, NAMED, SIZE]
        for _ in range(chance.randint(1, 2)):
            lines.insert(chance.randint(0, 3), chance.choice(pieces))
        yield b"".join(lines)


def test_so_it_is_of_any_text_that_is_nearly_one(tmp_path: Path) -> None:
    texts = mutated(random.Random(7))
    for _ in range(60):
        text = next(texts)
        assert may_be_part(text)
        assert (lfs_pointer(text) is not None) == by_git_lfs(text, tmp_path), text


def test_one_of_nothing_needs_no_object() -> None:
    assert lfs_pointer(VERSION + NAMED + b"size 0\n") is None


def test_what_git_lfs_takes_for_too_long_is_none() -> None:
    assert lfs_pointer(WHOLE + b"\n" * (LONGEST - len(WHOLE))) is None
