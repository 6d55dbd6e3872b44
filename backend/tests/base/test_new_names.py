"""A finished file gets a name that nothing has, with hard links and without."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest

from snapshotter.base.new_names import NeitherLinkNorRename, take_name


@pytest.fixture(params=["links", errno.EPERM, errno.ENOTSUP, errno.ENOSYS], ids=str)
def _file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One with hard links, or one that answers as FAT, a network share, or FUSE do."""
    if request.param != "links":
        _without_links(monkeypatch, request.param)


def _without_links(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def link(*_: object, **__: object) -> NoReturn:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", link)


@pytest.mark.usefixtures("_file_system")
def test_the_file_has_its_name(tmp_path: Path) -> None:
    (tmp_path / "unnamed").write_bytes(b"these bytes")
    take_name(tmp_path / "unnamed", tmp_path / "name")
    assert (tmp_path / "name").read_bytes() == b"these bytes"


@pytest.mark.usefixtures("_file_system")
@pytest.mark.parametrize("there", ["file", "folder", "dangling link"])
def test_nothing_is_replaced(tmp_path: Path, there: str) -> None:
    unnamed, name = tmp_path / "unnamed", tmp_path / "name"
    unnamed.write_bytes(b"these bytes")
    if there == "file":
        name.write_bytes(b"others")
    elif there == "folder":
        name.mkdir()
    else:
        name.symlink_to("nowhere")
    before = os.lstat(name)
    with pytest.raises(FileExistsError):
        take_name(unnamed, name)
    assert os.lstat(name).st_ino == before.st_ino
    assert unnamed.read_bytes() == b"these bytes"


def test_where_neither_can_be_done_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_links(monkeypatch, errno.EPERM)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())  # a C library without renameat2
    (tmp_path / "unnamed").write_bytes(b"")
    with pytest.raises(NeitherLinkNorRename):
        take_name(tmp_path / "unnamed", tmp_path / "name")
    assert list(tmp_path.iterdir()) == [tmp_path / "unnamed"]
