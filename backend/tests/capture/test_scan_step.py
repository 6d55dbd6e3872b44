"""The scan of a snapshot: what it costs the origin, what it builds on, and what it never builds on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from githost import GitHost
from snapshotter.archive.sealed import Sealed
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, Interrupted, Unavailable, UsageError
from snapshotter.capture import scan_step
from snapshotter.capture.options import ScanOptions
from snapshotter.git.refs import RefsLedger
from snapshotter.scan import scanners
from snapshotter.scan.runner import ScannerFailed
from snapshotter.scan.scanners import FAILED, scanner_versions
from snapshotter.store.objects import Store
from snapshotter.transport import FetchRequest, Transport
from tests.support import fixtures
from tests.support.faults import FaultyStore, HeldStore
from tests.support.git import Origin
from tests.support.lab import Lab
from tests.support.scans import KEY, options, rows, scan_of, scan_options, tables

WHOLE, TREES, BY_ID = "blob:limit=1048577", "blob:none", None
lab, origin, host = fixtures.quick_lab, fixtures.origin_of_sources, fixtures.host


class Asked:
    """A transport that notes each fetch by its filter; those that wait for a commit at depth 1 are the scan's."""

    def __init__(self) -> None:
        self.filters: list[str | None] = []
        self.broken = False

    def __call__(self, inner: Transport) -> Transport:
        self.inner = inner
        return self  # type: ignore[return-value]

    def ls_refs(self) -> RefsLedger:
        return self.inner.ls_refs()

    def fetch(self, request: FetchRequest, sink: Callable[[memoryview], None]) -> None:
        if request.filter == "tree:0":
            return self.inner.fetch(request, sink)  # what the branches hold
        if request.depth == 1 or not (request.haves or request.thin):
            if request.depth != 1 and not self.filters:
                return self.inner.fetch(request, sink)  # the base
            self.filters.append(request.filter)
            if self.broken:
                raise Unavailable("the origin is broken", code="stream-cut", hint="mend it")
        return self.inner.fetch(request, sink)

    def fork(self) -> Transport:
        return self.inner.fork()

    def close(self) -> None:
        self.inner.close()


def take(lab: Lab, origin: Origin, **changed: Any) -> tuple[Sealed, list[str | None]]:
    """A snapshot, and what its scan asked the origin for."""
    asked = Asked()
    return lab.take(origin, options(scan_options(**changed)), wrap=asked), asked.filters


def own(taken: Sealed) -> bool:
    return scan_of(taken).run_id == taken.manifest.run_id


def test_the_scanners_themselves_make_the_same_tables_of_the_same_commit(
    origin: Origin, tmp_path: Path
) -> None:
    one, other = Lab(tmp_path / "one"), Lab(tmp_path / "other")
    first, second = one.take(origin, options()), other.take(origin, options())
    assert tables(one, first) == tables(other, second)
    assert first.manifest.run_id != second.manifest.run_id
    assert rows(one, first, "SELECT path, language, lines, kind FROM files ORDER BY path") == [
        ("LICENSE", "License", 1, "file"),
        ("app.py", "Python", 5, "file"),
        ("requirements.txt", "Plain Text", 1, "file"),
        ("util.py", "Python", 2, "file"),
    ]
    assert rows(one, first, "SELECT path, module, resolved_path FROM imports") == [
        ("app.py", "util", "util.py")
    ]
    assert rows(one, first, "SELECT name, version FROM dependencies") == [("requests", "2.31.0")]


def test_the_artifacts_are_in_the_manifest_and_as_it_says(lab: Lab, origin: Origin) -> None:
    taken, _ = take(lab, origin)
    names = {artifact.name for artifact in taken.manifest.artifacts}
    assert {artifact.name for artifact in scan_of(taken).artifacts} <= names
    assert {"report.html", "digest.md", "scan/files.parquet"} <= names
    lab.assert_whole(taken)


def test_without_any_change_nothing_but_the_listing_is_asked(lab: Lab, host: GitHost) -> None:
    first = lab.take(host.url("x.git"), options())
    before = len(host.requests)
    second, third = lab.take(host.url("x.git"), options()), lab.take(host.url("x.git"), options())
    assert len(host.requests) - before == 2 * 2  # discovery and ls-refs, each time
    assert second.manifest.kind == third.manifest.kind == "unchanged"
    assert second.manifest.scan == third.manifest.scan == first.manifest.scan
    assert {artifact.name for artifact in second.manifest.artifacts} == set()
    lab.assert_whole(first)


def test_the_same_commit_under_other_refs_is_not_read_again(lab: Lab, origin: Origin) -> None:
    first, _ = take(lab, origin)
    origin.ref("refs/tags/v1", origin.oid("main"))
    second, filters = take(lab, origin)
    assert second.manifest.kind == "increment"
    assert (filters, second.manifest.scan) == ([], first.manifest.scan)


def test_another_branch_that_moves_is_no_reason_to_read_again(lab: Lab, origin: Origin) -> None:
    first, _ = take(lab, origin)
    origin.commit("refs/heads/side", {"x": b"x"})
    second, filters = take(lab, origin)
    assert (filters, second.manifest.scan) == ([], first.manifest.scan)


def test_of_the_same_tree_under_a_new_commit_only_the_trees_are_read(lab: Lab, origin: Origin) -> None:
    first, _ = take(lab, origin)
    made = origin.commit(files={})
    second, filters = take(lab, origin)
    assert second.manifest.kind == "increment"
    assert filters == [TREES]
    held = structs.replace(scan_of(first), commit=made, committed_at=scan_of(second).committed_at)
    assert scan_of(second) == held


def test_a_changed_file_costs_the_trees_and_its_blob(lab: Lab, origin: Origin) -> None:
    first, whole = take(lab, origin)
    origin.commit(files={"util.py": b"def f():\n    return 2\n\n\ndef g(): ...\n"})
    second, filters = take(lab, origin)
    assert whole == [WHOLE]
    assert filters == [TREES, BY_ID]
    assert own(second)
    assert rows(lab, second, "SELECT name FROM symbols WHERE path = 'util.py' ORDER BY 1") == [("f",), ("g",)]
    assert scan_of(first).tree != scan_of(second).tree


def test_a_deletion_costs_the_trees_and_what_report_and_digest_quote(lab: Lab, origin: Origin) -> None:
    take(lab, origin)
    origin.git("update-ref", "refs/heads/main", _without(origin, "util.py"))
    second, filters = take(lab, origin)
    assert filters[0] == TREES
    assert rows(lab, second, "SELECT module, resolved_path FROM imports") == [("util", None)]


def _without(origin: Origin, name: str) -> str:
    listed = origin.git("ls-tree", "main").splitlines(keepends=True)
    tree = origin.git("mktree", data=b"".join(line for line in listed if name.encode() not in line))
    tip = origin.oid("main")
    return origin.git("commit-tree", "-p", tip, "-m", "less", tree.decode().strip()).decode().strip()


def test_scans_build_on_a_scan_that_is_referred_to(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    take(lab, origin)
    take(lab, origin)
    origin.commit(files={"new.py": b"import app\n"})
    third, filters = take(lab, origin)
    assert filters == [TREES, BY_ID]
    anew = Lab(tmp_path / "anew")
    assert tables(lab, third) == tables(anew, take(anew, origin)[0])


@pytest.mark.parametrize(
    "changed",
    [
        {"key": KEY},
        {"max_file_bytes": 999},
        {"max_total_bytes": 99_999},
        {"max_files": 99},
        {"exclude": ["x/"]},
        {"scanner_seconds": 60.0},
    ],
)
def test_other_settings_make_a_full_scan(lab: Lab, origin: Origin, changed: dict[str, Any]) -> None:
    take(lab, origin)
    second, filters = take(lab, origin, **changed)
    assert second.manifest.kind == "unchanged"
    assert own(second)
    assert [str(one).partition("=")[0] for one in filters] == ["blob:limit"]


def test_another_fingerprint_key_makes_a_full_scan(lab: Lab, origin: Origin) -> None:
    take(lab, origin, key=KEY)
    second, filters = take(lab, origin, key=b"another")
    assert (own(second), filters) == (True, [WHOLE])


def test_other_scanners_make_a_full_scan(lab: Lab, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    take(lab, origin)
    now = scanner_versions() | {"scc": "99.0"}
    for module in (scanners, scan_step):
        monkeypatch.setattr(module, "scanner_versions", lambda: now)
    second, filters = take(lab, origin)
    assert (own(second), filters) == (True, [WHOLE])
    assert scan_of(second).scanners["scc"] == "99.0"
    assert take(lab, origin)[1] == []


def test_another_ref_makes_a_full_scan(lab: Lab, origin: Origin) -> None:
    origin.commit("refs/heads/side", {"side.py": b"x = 1\n"})
    take(lab, origin)
    second, filters = take(lab, origin, ref="side")
    assert (scan_of(second).ref, filters) == ("refs/heads/side", [WHOLE])
    assert rows(lab, second, "SELECT path FROM files") == [("side.py",)]


def test_a_scan_that_lacks_what_a_scanner_would_tell_is_never_built_on(lab: Lab, origin: Origin) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ScannerFailed("kingfisher", "exited with status 7")

    first, _ = take(lab, origin, resources={"find_secrets": fail})
    assert [(gap.kind, gap.sample) for gap in scan_of(first).gaps] == [
        (FAILED, ["kingfisher exited with status 7"])
    ]
    assert scan_of(first).tables["files"] == 4
    second, filters = take(lab, origin)
    assert second.manifest.kind == "unchanged"
    assert (own(second), filters, scan_of(second).gaps) == (True, [WHOLE], [])


@pytest.mark.parametrize("harm", ["flipped", "short", "empty", "missing"])
@pytest.mark.parametrize("table", ["files", "secrets"])
def test_a_damaged_table_of_the_parent_makes_a_full_scan_with_a_warning(
    lab: Lab, origin: Origin, tmp_path: Path, harm: str, table: str
) -> None:
    first, _ = take(lab, origin)
    artifact = scan_of(first).artifact(f"scan/{table}.parquet")
    assert artifact is not None
    path = lab.file(artifact.key)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.chmod(0o600)
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes({"flipped": bytes(data), "short": bytes(data[:-9]), "empty": b""}[harm])
    origin.commit(files={"new.py": b"import util\n"})
    second, _ = take(lab, origin)
    assert any("this one is full" in warning for warning in lab.observer.warnings), lab.observer.warnings
    anew = Lab(tmp_path / "anew")
    assert tables(lab, second) == tables(anew, take(anew, origin)[0])


def test_a_scan_older_than_its_limit_is_made_anew(lab: Lab, origin: Origin) -> None:
    made = scan_options()
    aged = ScanOptions(made.settings, made.resources, None, timedelta(hours=3))
    first = lab.take(origin, options(aged))
    second = lab.take(origin, options(aged))
    lab.now += timedelta(hours=3)
    third = lab.take(origin, options(aged))
    assert scan_of(second).run_id == scan_of(first).run_id
    assert own(third)


def test_a_ref_may_be_a_branch_a_tag_an_annotated_tag_or_a_full_name(lab: Lab, origin: Origin) -> None:
    old = origin.oid("main")
    origin.git("tag", "-a", "-m", "x", "v1", old)
    origin.commit(files={"later.py": b"x = 1\n"})
    for ref in ("v1", "refs/tags/v1"):
        taken, _ = take(lab, origin, ref=ref)
        assert (scan_of(taken).ref, scan_of(taken).commit) == ("refs/tags/v1", old)
    taken, _ = take(lab, origin, ref="main")
    assert scan_of(taken).ref == "refs/heads/main"


def test_a_ref_that_is_not_there_is_a_mistake_before_anything_is_fetched(lab: Lab, origin: Origin) -> None:
    with pytest.raises(UsageError, match="no such ref to scan: nope"):
        take(lab, origin, ref="nope")
    assert lab.catalog.repos() == []


@pytest.mark.parametrize("content", ["blob", "tree"])
def test_a_ref_that_names_no_commit_is_a_gap(lab: Lab, origin: Origin, content: str) -> None:
    oid = origin.blob(b"x") if content == "blob" else origin.oid("main^{tree}")
    origin.git("tag", "-a", "-m", "odd", "odd", oid)
    taken, _ = take(lab, origin, ref="odd")
    assert taken.manifest.scan is None
    assert [(gap.kind, "did not send the commit" in gap.sample[0]) for gap in taken.manifest.gaps] == [
        ("scan", True)
    ]
    lab.assert_whole(taken)


def test_a_head_without_a_branch_is_a_gap(lab: Lab, origin: Origin) -> None:
    origin.git("symbolic-ref", "HEAD", "refs/heads/not-there")
    taken, filters = take(lab, origin)
    assert (taken.manifest.scan, filters) == (None, [])
    assert [gap.kind for gap in taken.manifest.gaps] == ["scan"]


def test_a_detached_head_is_scanned(lab: Lab, origin: Origin) -> None:
    commit = origin.oid("main")
    origin.git("update-ref", "--no-deref", "HEAD", commit)
    taken, _ = take(lab, origin)
    assert (scan_of(taken).ref, scan_of(taken).commit) == ("HEAD", commit)


def test_an_empty_repository_has_no_scan_and_no_gap(lab: Lab, tmp_path: Path) -> None:
    taken = lab.take(Origin(tmp_path / "empty.git"), options())
    assert (taken.manifest.kind, taken.manifest.scan, taken.manifest.gaps) == ("empty", None, [])


def test_an_empty_tree_has_empty_tables(lab: Lab, tmp_path: Path) -> None:
    empty = Origin(tmp_path / "empty.git")
    empty.commit(files={})
    taken = lab.take(empty, options())
    assert scan_of(taken).tables == dict.fromkeys(
        ("files", "symbols", "imports", "dependencies", "secrets"), 0
    )
    empty.commit(files={"a.py": b"x = 1\n"})
    assert scan_of(lab.take(empty, options())).tables["files"] == 1


def test_an_origin_that_breaks_while_it_is_scanned_costs_the_scan_alone(lab: Lab, origin: Origin) -> None:
    asked = Asked()
    asked.broken = True
    taken = lab.take(origin, options(), wrap=asked)
    assert taken.manifest.scan is None
    assert [(gap.kind, gap.sample) for gap in taken.manifest.gaps] == [("scan", ["the origin is broken"])]
    lab.assert_whole(taken)
    second, filters = take(lab, origin)
    assert (own(second), filters, second.manifest.gaps) == (True, [WHOLE], [])


def test_an_unexpected_error_is_told_by_its_type_alone(lab: Lab, origin: Origin) -> None:
    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("the secret is hunter2")

    taken, _ = take(lab, origin, resources={"count_lines": explode})
    assert [gap.sample for gap in taken.manifest.gaps] == [["unexpected RuntimeError"]]
    assert "hunter2" not in "".join(lab.observer.warnings)


@pytest.mark.parametrize("method", ["put_new", "get"])
def test_a_cancelled_scan_waits_for_no_table_of_a_store_that_hangs(
    lab: Lab, origin: Origin, method: str
) -> None:
    if method == "get":
        take(lab, origin)
        origin.commit(files={"new.py": b"import util\n"})
    held, cancel = HeldStore(lab.store, lambda call, key: call == method and "/scan/" in key), Cancel()
    with ThreadPoolExecutor(1) as pool:
        taking = pool.submit(lab.take, origin, options(scan_options()), store=held, cancel=cancel)
        try:
            assert held.asked.wait(60)
            cancel.cancel()
            with pytest.raises(Interrupted):
                taking.result(60)
            assert held.answered == 0
        finally:
            held.go_on.set()


class RefusesOne(FaultyStore):
    """Refuses a table once another is on its way, which is tried again until its cancel ends it."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.under_way, self.events = threading.Event(), list[str]()

    def put_new(self, key: str, data: bytes | memoryview, **options: Any) -> None:
        name = key.rpartition("/")[2]
        if name == "files.parquet":
            assert self.under_way.wait(60)
            raise AccessDenied("refused", code="store-denied", hint="it was told to")
        if name == "symbols.parquet":
            self.under_way.set()
            with pytest.raises(Interrupted):
                options["cancel"].sleep(60)
            time.sleep(1)  # for longer than between two looks
        super().put_new(key, data, **options)
        self.events.append(name)


def test_a_table_that_is_refused_costs_the_scan_and_no_other_comes_after_the_manifest(
    lab: Lab, origin: Origin
) -> None:
    store = RefusesOne(lab.store)
    taken = lab.take(origin, options(scan_options()), store=store)
    assert [(gap.kind, gap.sample) for gap in taken.manifest.gaps] == [("scan", ["refused"])]
    assert "symbols.parquet" in store.events and store.events[-1] == "manifest.json"
    lab.assert_whole(taken)
