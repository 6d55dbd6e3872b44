"""When commits were made: what a snapshot knows of it, and where that is told."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from snapshotter.archive.sealed import Sealed
from snapshotter.capture.options import CaptureOptions
from snapshotter.query.question import ask
from snapshotter.query.terms import QueryOptions
from tests.support.faults import NoFilters
from tests.support.git import Origin
from tests.support.lab import Lab
from tests.support.scans import artifacts, options, quickly, scan_of

BEFORE, AFTER = "2019-01-02 03:04:05 +0100", "2021-06-07 08:09:10 -0700"
BEFORE_UTC, AFTER_UTC = "2019-01-02 02:04:05", "2021-06-07 15:09:10"
MAIN, SIDE = "refs/heads/main", "refs/heads/side"


class Dated(Origin):
    """An origin whose commits are made when it is told."""

    def commit_at(
        self, when: str, ref: str, *, parents: tuple[str, ...] = (), tree: str | None = None
    ) -> str:
        """A commit upon `parents`, or else upon the ref's tip, with that tip's tree where none is given."""
        head = b"".join(b"parent %b\n" % one.encode() for one in parents)
        seconds, zone = self.text("rev-parse", f"--since={when}").partition("=")[2], when.split()[-1]
        person = b"A <a@b.invalid> %b %b" % (seconds.encode(), zone.encode())
        held = tree or self.oid(f"{ref}^{{tree}}")
        text = b"tree %b\n%bauthor %b\ncommitter %b\n\nx\n" % (held.encode(), head, person, person)
        made = self.text("hash-object", "-t", "commit", "-w", "--stdin", data=text)
        self.ref(ref, made)
        return made


@pytest.fixture
def origin(tmp_path: Path) -> Dated:
    made = Dated(tmp_path / "x.git", filters=True)
    first = made.commit_at(
        BEFORE, MAIN, tree=made.tree(**{"a.py": b"x = 1\n", "weight": random.Random(1).randbytes(9999)})
    )
    made.ref(SIDE, first)
    return made


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    quickly(monkeypatch)
    return Lab(tmp_path / "store")


def asked(lab: Lab, sql: str) -> list[tuple[str | None, ...]]:
    with ask(lab.store, sql, QueryOptions()) as answer:
        return [tuple(row) for row in answer.texts()]


def dates(lab: Lab) -> dict[str | None, str | None]:
    return {ref: when for ref, when in asked(lab, "SELECT ref, committed_at FROM refs")}  # noqa: C416 - rows


def told(lab: Lab, taken: Sealed, name: str) -> str:
    return artifacts(lab.store, scan_of(taken))[name].decode()


def test_the_scanned_commits_date_is_told_wherever_the_commit_is(origin: Dated, lab: Lab) -> None:
    taken = lab.take(origin, options())
    assert asked(lab, "SELECT committed_at FROM snapshots") == [(BEFORE_UTC,)]
    assert dates(lab) == {"HEAD": BEFORE_UTC, MAIN: BEFORE_UTC, SIDE: BEFORE_UTC}
    assert f"made {BEFORE_UTC[:16]} UTC" in told(lab, taken, "digest.md")
    assert f"<dt>Committed</dt><dd>{BEFORE_UTC} UTC</dd>" in told(lab, taken, "report.html")


def test_a_branch_that_moved_has_its_tips_date_then_and_later(origin: Dated, lab: Lab) -> None:
    tip = origin.oid(MAIN)
    lab.take(origin, options())
    origin.commit_at(AFTER, SIDE, parents=(tip,))
    lab.take(origin, options())
    assert dates(lab) == {"HEAD": BEFORE_UTC, MAIN: BEFORE_UTC, SIDE: AFTER_UTC}
    assert lab.take(origin, options()).manifest.kind == "unchanged"
    assert dates(lab) == {"HEAD": BEFORE_UTC, MAIN: BEFORE_UTC, SIDE: AFTER_UTC}
    origin.ref(SIDE, None)
    lab.take(origin, options())
    assert dates(lab) == {"HEAD": BEFORE_UTC, MAIN: BEFORE_UTC}


def test_a_commit_that_changes_no_file_is_the_one_that_was_scanned(origin: Dated, lab: Lab) -> None:
    lab.take(origin, options())
    made = origin.commit_at(AFTER, MAIN, parents=(origin.oid(MAIN),))
    taken = lab.take(origin, options())
    assert scan_of(taken).run_id != taken.manifest.run_id  # its tables are the parent's
    assert asked(lab, "SELECT scan_commit, committed_at FROM snapshots") == [(made, AFTER_UTC)]


def test_the_pack_tells_dates_where_the_origin_cannot_be_asked_and_what_nobody_told_is_null(
    origin: Dated, lab: Lab
) -> None:
    lab.take(origin, CaptureOptions(), wrap=NoFilters)
    assert asked(lab, "SELECT committed_at FROM snapshots") == [(None,)], "no commit was scanned"
    assert {*dates(lab).values()} == {BEFORE_UTC}
    origin.ref("refs/odd/blob", origin.blob(b"of no date"))
    lab.take(origin, CaptureOptions(), wrap=NoFilters)
    assert dates(lab)["refs/odd/blob"] is None


def test_an_annotated_tag_has_the_date_of_its_commit(origin: Dated, lab: Lab) -> None:
    origin.ref("refs/tags/v1", origin.text("mktag", data=_tag(origin.oid(MAIN))))
    lab.take(origin, options())
    assert dates(lab)["refs/tags/v1"] == BEFORE_UTC


def _tag(commit: str) -> bytes:
    return b"object %b\ntype commit\ntag v1\ntagger A <a@b.invalid> 1 +0000\n\nx\n" % commit.encode()
