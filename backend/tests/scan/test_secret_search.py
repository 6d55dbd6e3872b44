"""The search for secrets that scans share: real kingfisher, behind a script that counts its starts."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted
from snapshotter.scan import secrets
from snapshotter.scan.runner import ScannerFailed, program
from snapshotter.scan.secret_search import ExpectedSearch, SecretSearch
from snapshotter.scan.secrets import SecretFinding
from snapshotter.scan.staging import Staging, blob_place
from tests.scan import planted
from tests.scan.planted import VALUES
from tests.support.processes import alive, open_files
from tests.support.scans import rule_cache

HOW: dict[str, Any] = {"key": b"a key of the tests", "seconds": 120}


def oid(number: int) -> str:
    return f"{number:040x}"


@pytest.fixture
def stagings(tmp_path: Path) -> Iterator[list[Staging]]:
    """Three scans: each has a secret of its own, and all of them have one more blob, with a secret, in common."""
    with ExitStack() as stack:
        made = []
        for number, value in enumerate(list(VALUES.values())[:3]):
            staging = stack.enter_context(Staging(0, folder=tmp_path, tmpfs=tmp_path / "none"))
            staging.add(oid(1), "py", planted.in_source(VALUES["github-pat"]))
            staging.add(oid(10 + number), "py", b"\n" * number + planted.in_source(value))
            staging.add(oid(99), "yaml", b"kind: Secret\nstringData:\n  a: q7Lw2ZxN4vKp9RtB3mYd\n")
            made.append(staging)
        yield made


class Counted:
    """kingfisher behind a script that notes its arguments, and first does `body`, with `$held` where it is to wait."""

    def __init__(self, folder: Path, body: str = "") -> None:
        self.path, self._log = folder / "kingfisher", folder / "started"
        self.path.write_text(
            f'#!/bin/sh\necho "$@" >> {self._log}\ncase "$*" in *audit-log*) held=yes;; *) held=;; esac\n'
            f'{body}\nexec {program("kingfisher")} "$@"\n'
        )
        self.path.chmod(0o755)

    @property
    def starts(self) -> list[str]:
        """`held` or `alone`, for each start."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return ["held" if "--audit-log" in line else "alone" for line in lines]


def search_by(kingfisher: Counted, folder: Path, scans: int = 3) -> SecretSearch:
    return SecretSearch(
        scans, rule_cache=rule_cache(), temp=folder, tmpfs=folder / "none", kingfisher=kingfisher.path
    )


def asked(find: Any, staging: Staging, cancel: Cancel | None = None) -> list[SecretFinding]:
    return find(staging, rule_cache=rule_cache(), cancel=cancel or Cancel(), **HOW)


def alone(staging: Staging) -> list[SecretFinding]:
    return asked(secrets.find, staging)


def all_ask(search: SecretSearch, stagings: list[Staging]) -> list[list[SecretFinding]]:
    """The answers, where each scan asks in a thread of its own and all are known to be under way."""
    with ExitStack() as stack, ThreadPoolExecutor(len(stagings)) as pool:
        finders = [stack.enter_context(search.expected()) for _ in stagings]
        return list(pool.map(asked, finders, stagings))


def test_one_process_answers_all_scans_that_ask_at_once_as_it_would_each_alone(
    stagings: list[Staging], tmp_path: Path
) -> None:
    kingfisher = Counted(tmp_path)
    with search_by(kingfisher, tmp_path) as search:
        answers = all_ask(search, stagings)
        assert kingfisher.starts == ["held"]
        assert answers == [alone(staging) for staging in stagings]
        assert [{one.blob for one in answer} for answer in answers] == [
            {oid(1), oid(10 + number), oid(99)} for number in range(3)
        ]
        assert all((staging.root / blob_place(oid(1))).is_file() for staging in stagings)
        assert all_ask(search, stagings[:2]) == answers[:2]
        assert kingfisher.starts == ["held", "held"]
    assert sorted(path.name for path in tmp_path.glob("snapshotter-scan-*")) == sorted(
        staging.root.name for staging in stagings
    )


def test_a_process_that_was_made_ready_waits_for_blobs_that_come_later(tmp_path: Path) -> None:
    kingfisher = Counted(tmp_path)
    with (
        search_by(kingfisher, tmp_path, scans=1) as search,
        Staging(0, folder=tmp_path, tmpfs=tmp_path / "none") as staging,
    ):
        search.prepare(120)
        search.prepare(120)
        staging.add(oid(1), "py", planted.in_source(VALUES["github-pat"]))
        assert [one.blob for one in asked(search.find, staging)] == [oid(1)]
    assert kingfisher.starts == ["held"]


def test_a_process_waits_in_its_first_write_because_its_pipe_is_full(tmp_path: Path) -> None:
    with search_by(Counted(tmp_path), tmp_path) as search:
        search.prepare(120)
        (pipe,) = tmp_path.glob("snapshotter-scan-*/audit")
        writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        try:
            with pytest.raises(BlockingIOError):
                os.write(writer, b"x")
        finally:
            os.close(writer)


def test_a_process_that_ended_while_it_waited_is_replaced(stagings: list[Staging], tmp_path: Path) -> None:
    once = tmp_path / "once"
    kingfisher = Counted(
        tmp_path, f"[ -e {once} ] || {{ echo $$ > {once}.new; mv {once}.new {once}; exit 3; }}"
    )
    with search_by(kingfisher, tmp_path, scans=1) as search:
        search.prepare(120)
        while not once.exists() or alive(int(once.read_text())):
            time.sleep(0.01)
        with search.expected() as find:
            assert asked(find, stagings[0]) == alone(stagings[0])
    assert kingfisher.starts == ["held", "held"]


def test_blobs_on_another_file_system_are_searched_alone(tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("this machine has no second file system to write to")
    kingfisher = Counted(tmp_path)
    with (
        search_by(kingfisher, tmp_path, scans=1) as search,
        Staging(0, folder=tmp_path, tmpfs=memory) as staging,
    ):
        staging.add(oid(1), "py", planted.in_source(VALUES["github-pat"]))
        with search.expected() as find:
            assert [one.blob for one in asked(find, staging)] == [oid(1)]
    assert kingfisher.starts == ["held", "alone"]


def test_one_that_was_made_ready_and_never_asked_is_gone_at_the_end(tmp_path: Path) -> None:
    with search_by(Counted(tmp_path), tmp_path) as search:
        search.prepare(120)
        assert list(tmp_path.glob("snapshotter-scan-*"))
        assert len(open_pipes(tmp_path)) == 1
    assert not list(tmp_path.glob("snapshotter-scan-*"))
    assert open_pipes(tmp_path) == []


def test_a_scan_is_awaited_until_it_has_hung_for_long() -> None:
    with SecretSearch().expected() as one:
        assert one.is_awaited(time.monotonic() - 60)
        assert not one.is_awaited(time.monotonic())


def test_a_scan_that_asks_is_not_awaited_and_may_be_followed_by_another(
    stagings: list[Staging], tmp_path: Path
) -> None:
    with search_by(Counted(tmp_path), tmp_path, scans=2) as search, search.expected() as one:
        with search.expected() as other, ThreadPoolExecutor(2) as pool:
            began = time.monotonic()
            answer = pool.submit(asked, one, stagings[0])
            while one.is_awaited(began - 60) and not answer.done():
                time.sleep(0.01)
            assert not answer.done()
            asked(other, stagings[1])
            answer.result()
        assert one.is_awaited(began)


def open_pipes(folder: Path) -> list[str]:
    """The pipes below a folder, gone or not, that this process has open."""
    links = map(str, open_files())
    return [link for link in links if link.startswith(f"{folder}/") and "/audit" in link]


def test_a_scan_without_blobs_has_no_secrets_and_starts_nothing(tmp_path: Path) -> None:
    kingfisher = Counted(tmp_path)
    with (
        search_by(kingfisher, tmp_path) as search,
        Staging(0, folder=tmp_path, tmpfs=tmp_path / "none") as staging,
        search.expected() as find,
    ):
        assert asked(find, staging) == []
    assert kingfisher.starts == []


def test_more_scans_than_a_process_may_have_take_their_turns(stagings: list[Staging], tmp_path: Path) -> None:
    kingfisher = Counted(tmp_path)
    with search_by(kingfisher, tmp_path, scans=1) as search:
        assert all_ask(search, stagings) == [alone(staging) for staging in stagings]
    assert kingfisher.starts == ["held"] * 3


def test_a_scan_whose_blobs_are_gone_costs_the_others_nothing(
    stagings: list[Staging], tmp_path: Path
) -> None:
    kingfisher = Counted(tmp_path)
    (stagings[1].root / blob_place(oid(1))).unlink()

    def ask(find: ExpectedSearch, staging: Staging) -> list[SecretFinding] | None:
        try:
            return asked(find, staging)
        except ScannerFailed:
            return None

    with search_by(kingfisher, tmp_path) as search, ExitStack() as stack, ThreadPoolExecutor(3) as pool:
        finders = [stack.enter_context(search.expected()) for _ in stagings]
        answers = list(pool.map(ask, finders, stagings))
    assert answers == [alone(stagings[0]), None, alone(stagings[2])]
    assert kingfisher.starts == ["held", "alone"]


@pytest.mark.parametrize("body", ['[ "$held" ] && exit 3', "[ \"$held\" ] && echo '{]' && exit 200"])
def test_where_it_fails_for_all_each_scan_is_searched_alone(
    stagings: list[Staging], tmp_path: Path, body: str
) -> None:
    kingfisher = Counted(tmp_path, body)
    with search_by(kingfisher, tmp_path) as search:
        assert all_ask(search, stagings) == [alone(staging) for staging in stagings]
    assert kingfisher.starts == ["held", "alone", "alone", "alone"]


def test_a_process_that_looked_before_the_blobs_were_there_is_not_believed(
    stagings: list[Staging], tmp_path: Path
) -> None:
    plain = f'{program("kingfisher")} $(echo "$@" | sed "s/--audit-log [^ ]*//")'
    looks = f'[ "$held" ] && {{ {plain}; touch {tmp_path}/ran; sleep 2; exit 0; }}'
    kingfisher = Counted(tmp_path, looks)
    with search_by(kingfisher, tmp_path) as search:
        search.prepare(120)
        while not (tmp_path / "ran").exists():
            time.sleep(0.01)
        assert all_ask(search, stagings) == [alone(staging) for staging in stagings]
    assert kingfisher.starts == ["held", "alone", "alone", "alone"]


def test_a_fault_of_one_scan_that_is_alone_is_told_once(stagings: list[Staging], tmp_path: Path) -> None:
    kingfisher = Counted(tmp_path, "sleep 1; exit 3")
    with (
        search_by(kingfisher, tmp_path) as search,
        pytest.raises(ScannerFailed, match="exited with status 3"),
    ):
        asked(search.find, stagings[0])
    assert kingfisher.starts == ["held"]


def test_a_scan_that_is_cancelled_does_not_cost_the_others_their_answer(
    stagings: list[Staging], tmp_path: Path
) -> None:
    """The one that leads is ended while kingfisher runs, which only its cancellation does: the others ask again."""
    kingfisher = Counted(tmp_path, f"[ -e {tmp_path}/go ] || exec sleep 600")
    cancels = [Watched() for _ in stagings]

    def ask(find: ExpectedSearch, staging: Staging, cancel: Cancel) -> object:
        try:
            return asked(find, staging, cancel)
        except Interrupted as error:
            return error

    with (
        search_by(kingfisher, tmp_path) as search,
        ExitStack() as stack,
        ThreadPoolExecutor(len(stagings)) as pool,
    ):
        finders = [stack.enter_context(search.expected()) for _ in stagings]
        answers = [pool.submit(ask, *one) for one in zip(finders, stagings, cancels, strict=True)]
        while not any(cancel.leads.wait(0.01) for cancel in cancels):
            pass
        (tmp_path / "go").touch()
        led_by = next(at for at, cancel in enumerate(cancels) if cancel.leads.is_set())
        cancels[led_by].cancel(Interrupted("enough"))
        results = [answer.result(timeout=120) for answer in answers]
    assert isinstance(results[led_by], Interrupted)
    assert [result for at, result in enumerate(results) if at != led_by] == [
        alone(staging) for at, staging in enumerate(stagings) if at != led_by
    ]


class Watched(Cancel):
    """Tells when something waits that it would end: a running kingfisher."""

    def __init__(self) -> None:
        super().__init__()
        self.leads = threading.Event()

    @contextmanager
    def ending(self, callback: Callable[[], None]) -> Iterator[None]:
        with super().ending(callback):
            self.leads.set()
            yield


def test_a_scan_that_never_asks_keeps_nobody_waiting(stagings: list[Staging], tmp_path: Path) -> None:
    kingfisher = Counted(tmp_path)
    with search_by(kingfisher, tmp_path) as search:
        with search.expected(), search.expected() as find:
            assert asked(find, stagings[0]) == alone(stagings[0])
        with search.expected() as find:
            assert asked(find, stagings[1]) == alone(stagings[1])


def test_a_scan_waits_a_moment_for_others_that_are_about_to_begin(
    stagings: list[Staging], tmp_path: Path
) -> None:
    kingfisher = Counted(tmp_path)
    with search_by(kingfisher, tmp_path) as search, ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(asked, search.find, staging) for staging in stagings[:2]]
        assert [answer.result() for answer in answers] == [alone(staging) for staging in stagings[:2]]
    assert kingfisher.starts == ["held"]


def test_a_scan_waits_for_the_one_that_follows_one_that_has_its_answer(
    stagings: list[Staging], tmp_path: Path
) -> None:
    kingfisher = Counted(tmp_path)
    with search_by(kingfisher, tmp_path) as search, ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        with search.expected() as answered:
            assert asked(answered, stagings[2])
            waiting = pool.submit(asked, stack.enter_context(search.expected()), stagings[0])
            time.sleep(0.8)  # longer than anybody waits who knows of no other
        with search.expected() as following:
            answers = [asked(following, stagings[1]), waiting.result()]
    assert kingfisher.starts == ["held", "held"]
    assert answers == [alone(stagings[1]), alone(stagings[0])]
