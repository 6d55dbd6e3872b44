"""An inventory in the store: the one that was meant, or none."""

from __future__ import annotations

import hashlib

import pytest

from snapshotter.base.errors import Finding, UsageError
from snapshotter.base.settings import Settings
from snapshotter.fleet.stored_inventory import is_stored, read_stored_inventory
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


def test_a_path_is_no_place_in_a_store() -> None:
    assert is_stored(PLACE) and is_stored("file:/srv/store/_jobs/x.toml")
    assert not is_stored("fleet.toml") and not is_stored("/srv/fleet.toml")
