"""What is a receipt of a run, and what merely lies under the name of one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from snapshotter.archive import receipts
from snapshotter.archive.canonical import canonical
from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.listed_run import ListedRun
from snapshotter.archive.receipts import NoReceipt, Receipt
from snapshotter.base.errors import Damaged
from snapshotter.store.objects import Store
from snapshotter.store.opening import open_store

KEY = RunKey("example.org__x", RunId("20240301T130000Z-c6258393"))
NAME = "receipts/20240302T130000Z-01234567.json"
RECEIPT = Receipt(
    schema_version=1,
    tool_version="1",
    run_id=str(KEY.run_id),
    repo=KEY.repo,
    manifest_sha256="0" * 64,
    verified_at=RunId("20240302T130000Z-00000000").started_at,
    mode="full",
    ok=True,
    problems=[],
    chain=[],
    refs=1,
    fsck=None,
    git_version=None,
    seconds=0.5,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the receipt lies."""
    path = tmp_path / KEY.key(NAME)
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"file:{tmp_path}")


def write(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def receipt(**changes: Any) -> Callable[[Path], object]:
    return write(canonical(structs.replace(RECEIPT, **changes)))


NONE: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "folder": Path.mkdir,
    "link to nowhere": lambda path: path.symlink_to("nowhere"),
    "link out of the store": lambda path: path.symlink_to("/etc/passwd"),
    "empty": write(b""),
    "zeroes": write(bytes(300)),
    "list": write(b"[]"),
    "object": write(b"{}"),
    "not UTF-8": write(canonical(RECEIPT).replace(b"full", b"\xff\xfe")),
    "deep": write(b"[" * 100_000),
    "cut": write(canonical(RECEIPT)[:-9]),
    "longer": write(canonical(RECEIPT) + b"{}"),
    "newer": receipt(schema_version=2),
    "of another run": receipt(run_id="20240301T130000Z-00000000"),
    "of another repo": receipt(repo="example.org__y"),
}


@pytest.mark.parametrize("stranger", NONE)
def test_what_does_not_read_as_a_receipt_of_its_run_is_none(store: Store, path: Path, stranger: str) -> None:
    NONE[stranger](path)
    with pytest.raises(NoReceipt) as raised:
        receipts.read(store, KEY, NAME)
    assert raised.value.message.count(KEY.key(NAME)) == 1


@pytest.mark.parametrize(("ok", "name"), [(False, NAME), (True, NAME.replace("-0", "-f"))])
def test_a_receipt_that_contradicts_its_name_was_altered(
    store: Store, ok: bool, name: str, path: Path
) -> None:
    receipt(ok=ok)(path.parents[1] / name)
    with pytest.raises(Damaged, match="does not say what its name says") as raised:
        receipts.read(store, KEY, name)
    assert raised.value.code == "receipt-altered"


def test_a_receipt_reads_as_what_was_written(store: Store) -> None:
    key = receipts.write(store, RECEIPT)
    assert receipts.read(store, KEY, key.removeprefix(KEY.key(""))) == RECEIPT


@pytest.mark.parametrize(
    "name",
    [
        "receipts/zz.json",
        "receipts/notes-f.json",
        "receipts/20249901T130000Z-f1234567.json",
        "receipts/20240302T130000Z-f123456.json",
        "receipts/20240302T130000Z-f1234567.json.bak",
        "receipts/20240302T130000Z-f1234567.json/x.json",
        "receipts/x/20240302T130000Z-f1234567.json",
        "20240302T130000Z-f1234567.json",
    ],
)
def test_what_is_named_otherwise_has_no_verdict(name: str) -> None:
    run = ListedRun(KEY, {NAME: 1, name: 1})
    assert (run.receipts, run.verified) == ([NAME], True)


def test_a_receipt_s_name_without_a_known_verdict_counts_as_failed() -> None:
    assert ListedRun(KEY, {NAME: 1, NAME.replace("-0", "-9"): 1}).verified is False
