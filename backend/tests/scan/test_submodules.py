"""What `.gitmodules` says, as git reads it, whoever wrote it; and where a relative URL leads, as git resolves it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from snapshotter.archive.manifest import LIST_CAP
from snapshotter.base.cancel import Cancel
from snapshotter.git.origin_parsing import parse
from snapshotter.scan.listing import TreeEntry
from snapshotter.scan.reading_plan import PlannedFile
from snapshotter.scan.submodules import resolved, submodules
from tests.support.git import git

ORIGIN = "https://h/a/b"


def links(paths: Iterable[bytes]) -> list[PlannedFile]:
    return [
        PlannedFile(TreeEntry(path, 0o160000, "1" * 40), path.decode(), None, "submodule", ("1" * 40, ""))
        for path in paths
    ]


def urls(gitmodules: bytes, *paths: bytes) -> list[str | None]:
    return [each.url for each in submodules(links(paths), gitmodules, ORIGIN, Cancel())]


def test_a_path_may_end_in_a_slash_and_an_entry_may_lack_anything() -> None:
    text = (
        b'[submodule "a"]\n\tpath = a/\n\turl = https://h/a\n'
        b'[submodule "b"]\n\tpath = b\n'
        b'[submodule "c"]\n\turl = https://h/c\n'
        b"[submodule]\n\tpath = d\n\turl = https://h/d\n"
    )
    assert urls(text, b"a", b"b", b"c", b"d") == ["https://h/a", None, None, None]


def test_what_another_file_says_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "more").write_bytes(b'[submodule "a"]\n\turl = https://h/secret\n')
    text = b"[include]\n\tpath = %b\n" % bytes(tmp_path / "more")
    assert urls(b'[submodule "a"]\n\tpath = a\n' + text, b"a") == [None]


def test_a_file_that_is_too_large_says_nothing() -> None:
    text = b'[submodule "a"]\n\tpath = a\n\turl = https://h/a\n'
    room = (1 << 20) - len(text)
    assert urls(text + b"#" * room, b"a") == ["https://h/a"]
    assert urls(text + b"#" * (room + 1), b"a") == [None]


@pytest.mark.parametrize("url", [b"https://h/\xff", b"https://h/a\\n/b", b"https://h/\x1b[2J", b"\xff"])
def test_a_url_that_cannot_be_shown_is_not_known(url: bytes) -> None:
    assert urls(b'[submodule "a"]\n\tpath = a\n\turl = "%b"\n' % url, b"a") == [None]


def test_so_many_are_told_and_no_more() -> None:
    files = links(b"%d" % number for number in range(LIST_CAP + 1))
    assert len(submodules(files, None, ORIGIN, Cancel())) == LIST_CAP


_ORIGINS = (
    "https://github.com/a/b.git",
    "https://github.com/a/b/",
    "https://h:8443/a/b",
    "ssh://git@h:2222/a/b",
    "git@h:a/b.git",
    "git@h:b",
    "git://h/a",
    "/srv/git/b.git",
    "/b",
)
_RELATIVE = ("../x", "../x.git", "../x/", "./x", "././x", "./../x", ".././x", "../x//y", "../x y")
_REFUSED = ("../x/../y", "../.", "../..", "../%2e%2e/x")


def test_a_relative_url_leads_where_git_says(tmp_path: Path) -> None:
    git(None, "init", "-q", tmp_path)
    git(tmp_path, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},s")
    for origin in _ORIGINS:
        git(tmp_path, "config", "remote.origin.url", origin)
        for url in _RELATIVE:
            (tmp_path / ".gitmodules").write_text(f'[submodule "s"]\n\tpath = s\n\turl = {url}\n')
            git(tmp_path, "config", "--unset", "submodule.s.url", check=False)
            git(tmp_path, "submodule", "init", "s")
            said = git(tmp_path, "config", "submodule.s.url").decode().removesuffix("\n")
            assert resolved(url, origin) == parse(said).url, (origin, url, said)


@pytest.mark.parametrize("origin", _ORIGINS)
def test_no_relative_url_leads_to_another_host_or_climbs(origin: str) -> None:
    for url in _REFUSED:  # on this machine its own folders say where such a path leads
        assert resolved(url, origin) is None or origin.startswith("/")
    for steps in range(2, 9):
        found = resolved("../" * steps + "other.test/x", origin)
        assert found is None or parse(found).host == parse(origin).host
