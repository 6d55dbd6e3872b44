"""The views of manifests and refs ledgers."""

from __future__ import annotations

from pathlib import Path

from snapshotter.archive.manifest import Gap, RefChange, RefChangeList, RefChanges
from snapshotter.git.refs import Ref, RefsLedger
from snapshotter.store.opening import open_store
from tests.support.lake import DAY, NOV, Counting, Lake, file_row, refused


def test_snapshots_refs_and_changes(lake: Lake) -> None:
    tag = Ref(b"refs/tags/v1", "c" * 40, "d" * 40)
    branches = [Ref(b"refs/heads/main", "a" * 40), Ref(b"refs/heads/\xff", "b" * 40)]
    ledger = RefsLedger.build([*branches, tag], b"refs/heads/main")
    change = RefChange(ref="refs/heads/main", old="1" * 40, new="a" * 40)
    changes = RefChanges(
        moved=RefChangeList(count=1, refs=[change]), rewritten=RefChangeList(count=1, refs=[change])
    )
    taken = lake.made.add(
        "h__a",
        NOV,
        {"files": [file_row("x")]},
        ledger=ledger,
        ref_changes=changes,
        labels={"team": "it's"},
        gaps=[Gap(kind="lfs", count=2)],
    )
    run = taken.manifest.run_id
    facts = "repo, run_id, refs, labels['team'], gaps[1].kind, scan_run_id, stored_bytes"
    assert lake.ask(f"SELECT {facts} FROM snapshots") == [
        ("h__a", run, "3", "it's", "lfs", run, str(sum(a.bytes for a in taken.manifest.artifacts)))
    ]
    assert lake.ask("SELECT ref, oid, peeled, symref, ref_bytes FROM refs ORDER BY ref") == [
        ("HEAD", "a" * 40, None, "refs/heads/main", None),
        ("refs/heads/\\xff", "b" * 40, None, None, "cmVmcy9oZWFkcy//"),
        ("refs/heads/main", "a" * 40, None, None, None),
        ("refs/tags/v1", "c" * 40, "d" * 40, None, None),
    ]
    assert lake.ask("SELECT change, ref, old, new FROM ref_changes ORDER BY change") == [
        ("moved", "refs/heads/main", "1" * 40, "a" * 40),
        ("rewritten", "refs/heads/main", "1" * 40, "a" * 40),
    ]


def test_a_kept_ledger_that_was_altered_is_not_used(tmp_path: Path) -> None:
    lake = Lake(open_store("memory:"), tmp_path / "cache")
    lake.made.add("h__a", NOV)
    sql = "SELECT oid FROM refs WHERE ref = 'refs/heads/main'"
    assert lake.ask(sql) == [("a" * 40,)]
    (kept,) = (tmp_path / "cache" / "objects").rglob("*.parquet")
    kept.write_bytes(kept.read_bytes().replace(b"a" * 40, b"b" * 40))
    assert lake.ask(sql) == [("a" * 40,)]


def test_refs_that_need_too_much_memory_end_it_too(folder_lake: Lake) -> None:
    lake = folder_lake
    many = RefsLedger.build(Ref(b"refs/tags/%06d" % number, f"{number:040x}") for number in range(60_000))
    lake.made.add("h__a", NOV, ledger=many)
    assert refused("SELECT max(oid) FROM refs", lake.store, memory=4_000_000).code == "query-memory"
    assert lake.ask("SELECT count(*) FROM refs") == [("60000",)]


def test_a_ledger_that_snapshots_share_is_read_once(tmp_path: Path) -> None:
    lake = Lake(open_store("memory:"), tmp_path / "cache")
    first = lake.made.add("h__a", NOV)
    for day in range(1, 4):
        lake.made.add("h__a", NOV + day * DAY, refs=first.manifest.refs)
    store = Counting(lake.store)
    assert lake.ask("SELECT count(*), count(DISTINCT run_id) FROM refs", store=store, history=True) == [
        ("8", "4")
    ]
    assert [key for method, key in store.calls if method == "get" and key.endswith("refs.txt")] == [
        first.manifest.refs.artifact
    ]
