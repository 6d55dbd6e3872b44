"""An inventory in the store: the one that was meant, or none."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from snapshotter.base.errors import Finding, UsageError
from snapshotter.base.settings import Settings
from snapshotter.fleet.stored_inventory import read_stored_inventory, stored_place
from snapshotter.store.memory import MemoryBackend
from snapshotter.store.objects import Place, Store

ROOT = "s3://bucket/prefix/"
PLACE = f"{ROOT}_jobs/fleet-1.toml"
TEXT = b'[[repo]]\norigin = "https://git.example.org/a"\n'
NOTHING = Settings({})


def stored(data: bytes = TEXT) -> tuple[Store, str]:
    store = Store(MemoryBackend(ROOT), Place(ROOT))
    store.put_new("_jobs/fleet-1.toml", data)
    return store, hashlib.sha256(data).hexdigest()


def test_the_one_that_was_meant_is_read() -> None:
    found = read_stored_inventory(*stored()[:1], PLACE, stored()[1], NOTHING)
    assert (found.name, found.repos[0].origin.canonical, found.folder) == (
        "fleet-1",
        "git.example.org/a",
        None,
    )


def test_another_in_its_place_is_a_finding() -> None:
    store, _ = stored()
    with pytest.raises(Finding) as raised:
        read_stored_inventory(store, PLACE, "0" * 64, NOTHING)
    assert raised.value.code == "inventory-digest"


@pytest.mark.parametrize("sha256", [None, "", "0" * 63, "A" * 64])
def test_without_a_digest_nothing_is_read(sha256: str | None) -> None:
    store, _ = stored()
    with pytest.raises(UsageError) as raised:
        read_stored_inventory(store, PLACE, sha256, NOTHING)
    assert "--sha256" in raised.value.hint


@pytest.mark.parametrize(
    "place", [f"{ROOT}fleet-1.toml", "s3://other/_jobs/fleet-1.toml", f"{ROOT}_jobs/../x"]
)
def test_it_lies_where_documents_of_jobs_lie(place: str) -> None:
    store, sha256 = stored()
    with pytest.raises(UsageError):
        read_stored_inventory(store, place, sha256, NOTHING)


@pytest.mark.parametrize("text", [TEXT, b'[[github]]\norganisation = "psf"\n'])
@pytest.mark.parametrize("name", ["SNAPSHOTTER_GIT_TOKEN", "SNAPSHOTTER_GIT_TOKEN_COMMAND"])
def test_no_host_that_it_names_gets_a_token_without_a_host(text: bytes, name: str) -> None:
    store, sha256 = stored(text)
    with pytest.raises(UsageError) as raised:
        read_stored_inventory(store, PLACE, sha256, Settings({name: "hunter2"}))
    assert raised.value.code == "tokens"
    assert "hunter2" not in str(raised.value.as_dict())


def test_a_path_is_no_place_in_a_store_and_a_uri_is(tmp_path: Path) -> None:
    assert stored_place(PLACE, ROOT) == PLACE
    assert stored_place("file:/srv/store/_jobs/x.toml", ROOT) == "file:/srv/store/_jobs/x.toml"
    for store in (ROOT, "memory:", f"file:{tmp_path / 'store'}", str(tmp_path / "store")):
        assert stored_place(str(tmp_path / "fleet.toml"), store) is None


def test_however_a_path_is_written_what_lies_in_the_store_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "store"
    (root / "_jobs").mkdir(parents=True)
    (root / "_jobs" / "x.toml").write_bytes(TEXT)
    (tmp_path / "link.toml").symlink_to(root / "_jobs" / "x.toml")
    (tmp_path / "folder").symlink_to(root)
    (root / "_jobs" / "out.toml").symlink_to(tmp_path / "fleet.toml")
    monkeypatch.chdir(tmp_path)
    spelt = ("store/_jobs/x.toml", "./store/../store/_jobs/x.toml", "link.toml", "folder/_jobs/x.toml")
    for place in (
        *spelt,
        f"file:{root}/_jobs/x.toml",
        f"file://{root}/_jobs/x.toml",
        "file:folder/_jobs/x.toml",
    ):
        for store in (f"file:{root}", "store", "file:folder", "./store/"):
            found = stored_place(place, store)
            assert found and found.endswith("/_jobs/x.toml"), (place, store)
            assert found.startswith("file:"), (place, store)
    assert stored_place("store/_jobs/out.toml", "store") == f"file:{root}/_jobs/out.toml"
