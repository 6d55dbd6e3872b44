"""The processes of the grammars: hostile blobs, their limits and their end, and what one scan leaves to the next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from snapshotter.scan.runner import ScannerFailed
from snapshotter.scan.symbols import workers as processes
from snapshotter.scan.symbols.analysis import analyze
from snapshotter.scan.symbols.records import Analysis
from snapshotter.scan.symbols.routing import WORTH, QueuedBlob, Queues
from snapshotter.scan.symbols.workers import Workers
from tests.scan import golden
from tests.support.processes import alive, until_gone

_SOURCES = [(golden.FIXTURES / "symbols" / name, language) for name, language in golden.LANGUAGES.items()]


def analyzed(workers: Workers, jobs: Sequence[tuple[str, bytes, str]]) -> dict[str, Analysis]:
    """What the workers find in blobs of (key, blob, language), by key."""
    blobs = {key: blob for key, blob, _ in jobs}
    return dict(
        workers.analyze([QueuedBlob(key, language, len(blob)) for key, blob, language in jobs], blobs.get)
    )


# each of these drives a grammar into memory or time without bounds, or is a worst case of the query
HOSTILE = {
    "unbounded memory in a grammar": (b"a<" * 200_000, "Java"),
    "unbounded memory in another": (b"%w[" * 50_000, "Rust"),
    "quadratic query": (b"{" * 19_000, "C"),
    "nesting": (b"(" * 100_000 + b")" * 100_000, "JavaScript"),
    "nested blocks": (b"".join(b" " * depth + b"if x:\n" for depth in range(1_200)), "Python"),
    "heredocs": (b"".join(b"cat <<E%d\n" % number for number in range(3_000)), "BASH"),
    "interpolation": (b'"#{' * 30_000, "Ruby"),
    "generics": (b"class A<" + b"B<" * 50_000, "C#"),
    "unclosed comments": (b"class A /*" * 50_000, "Kotlin"),
    "one line": (b"x = '" + b"a" * 900_000 + b"'\n", "JavaScript"),
}


def test_hostile_sources_cost_one_file_each() -> None:
    jobs = [(name, blob, language) for name, (blob, language) in HOSTILE.items()]
    jobs += [(f"good {number}", b"def f(): pass\n", "Python") for number in range(20)]
    with Workers(count=2, seconds=5) as workers:
        found = analyzed(workers, jobs)
    assert {*found} == {key for key, _, _ in jobs}
    assert all(found[f"good {number}"].parsed for number in range(20))
    assert str(found["unbounded memory in a grammar"].error).startswith(("the grammar", "ran out", "gave up"))


def test_a_worker_that_runs_too_long_is_replaced() -> None:
    endless = """if True:
        from snapshotter.scan.symbols import serving
        analyze = serving.analyze
        def endless(blob, language):
            while language == "JavaScript":
                pass
            return analyze(blob, language)
        serving.analyze = endless
        serving.serve()
    """
    with Workers(count=1, seconds=0, program=endless) as workers:
        found = analyzed(workers, [("slow", b"a=1;", "JavaScript"), ("next", b"int x;", "C")])
    assert found["slow"].error == "the grammar ran for over 0 s"
    assert [one.name for one in found["next"].symbols] == ["x"]


def test_a_worker_limits_its_own_memory() -> None:
    with Workers(count=1, memory=700 << 20) as workers:
        analyzed(workers, [("any", b"x = 1", "Python")])
        limits = Path(f"/proc/{workers.pids[0]}/limits").read_text()
    assert any(
        line.startswith("Max address space") and str(700 << 20) in line for line in limits.splitlines()
    )


def test_workers_answer_as_the_function_does() -> None:
    jobs = [(path.name, path.read_bytes(), language) for path, language in _SOURCES]
    with Workers() as workers:
        found = analyzed(workers, jobs)
    assert found == {name: analyze(blob, language) for name, blob, language in jobs}


def test_closing_ends_the_processes() -> None:
    with Workers(count=1) as workers:
        workers.start(1)
        (pid,) = workers.pids
        assert alive(pid)
        workers.close()
        workers.close()
        assert not alive(pid)


def test_workers_end_with_their_parent() -> None:
    script = (
        "import os, sys\n"
        "from snapshotter.scan.symbols.workers import Workers\n"
        "if __name__ == '__main__':\n"
        "    with Workers(count=1) as workers:\n"
        "        workers.start(1)\n"
        "        print(workers.pids[0], flush=True)\n"
        "        os._exit(0)\n"
    )
    code = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, cwd=code, timeout=60, check=True
    )
    until_gone(int(done.stdout))


def test_processes_that_do_not_start_are_no_fault_of_a_blob() -> None:
    with (
        Workers(count=1, program="raise SystemExit(1)") as workers,
        pytest.raises(ScannerFailed, match="does not start"),
    ):
        analyzed(workers, [("any", b"x = 1", "Python")])


def test_modules_of_the_working_directory_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the checkout of a stranger's repository."""
    for name in ("tree_sitter", "msgspec", "socket"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    with Workers(1) as workers:
        ((key, analysis),) = analyzed(workers, [("a", b"def f(): pass\n", "Python")]).items()
    assert (key, analysis.error, len(analysis.symbols)) == ("a", None, 1)
    assert not (tmp_path / "run").exists()


def test_rows_do_not_depend_on_what_the_process_saw_before() -> None:
    """One process for all: after others, after itself, and after blobs that gave up, ran out of memory or crashed."""
    jobs = [(path.name, path.read_bytes(), language) for path, language in _SOURCES]
    fresh = {name: analyze(blob, language) for name, blob, language in jobs}
    hostile = [(name, blob, language) for name, (blob, language) in HOSTILE.items()]
    with Workers(count=1, seconds=5) as workers:
        assert analyzed(workers, jobs) == fresh
        analyzed(workers, hostile)
        assert analyzed(workers, jobs[::-1]) == fresh


def test_processes_serve_one_scan_after_another() -> None:
    with Workers(count=1) as workers:
        analyzed(workers, [("a", b"x = 1", "Python")])
        before = workers.pids
        assert analyzed(workers, [("b", b"x = 1", "Python")])["b"].parsed
        assert workers.pids == before != []


def test_a_process_that_ended_between_two_scans_is_no_fault_of_a_blob() -> None:
    with Workers(count=1) as workers:
        analyzed(workers, [("a", b"x = 1", "Python")])
        (pid,) = workers.pids
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert analyzed(workers, [("b", b"x = 1", "Python")])["b"].parsed


def test_a_process_that_ran_out_of_memory_is_replaced() -> None:
    greedy = """if True:
        from snapshotter.scan.symbols import serving
        def greedy(blob, language):
            raise MemoryError
        serving.analyze = greedy
        serving.serve()
    """
    with Workers(count=1, program=greedy) as workers:
        workers.start(1)
        (first,) = workers.pids
        assert analyzed(workers, [("a", b"", "C")])["a"].error == "ran out of memory"
        workers.start(1)
        assert workers.pids != [first]


def test_a_process_that_has_read_many_is_replaced_and_no_blob_pays_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "MOST_ANSWERS", 3)
    blobs = [(f"a{number}", b"x = %d" % number, "Python") for number in range(8)]
    with Workers(count=1) as workers:
        workers.start(1)
        seen = {*workers.pids}
        for blob in blobs:
            assert analyzed(workers, [blob])[blob[0]].parsed
            seen |= {*workers.pids}
        assert len(seen) == 3
        assert all(answer.parsed for answer in analyzed(workers, blobs).values())


def test_a_process_that_has_read_much_does_not_wait_for_the_next_scan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "MANY_ANSWERS", 3)
    with Workers(count=1) as workers:
        few = [("a", b"x = 1", "Python"), ("b", b"x = 2", "Python")]
        assert len(analyzed(workers, few)) == 2
        assert workers.pids
        assert all(answer.parsed for answer in analyzed(workers, few).values())
        assert not workers.pids
        assert analyzed(workers, few)["a"].parsed


def test_an_analysis_that_is_left_early_leaves_no_answer_for_the_next() -> None:
    def stops(key: str) -> bytes:
        if key == "Go":
            raise InterruptedError
        return b"x = 1\n" * 50_000

    with Workers(count=2) as workers:
        workers.start(2)
        with pytest.raises(InterruptedError):
            list(workers.analyze([QueuedBlob("Python", "Python", 2), QueuedBlob("Go", "Go", 1)], stops))
        assert analyzed(workers, [("next", b"def f(): pass\n", "Python")])["next"].symbols[0].name == "f"


def test_an_interruption_ends_an_analysis_and_not_the_workers(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    endless = f"""if True:
        from pathlib import Path
        from snapshotter.scan.symbols import serving
        analyze = serving.analyze
        def endless(blob, language):
            while language == "JavaScript":
                Path({str(marker)!r}).touch()
            return analyze(blob, language)
        serving.analyze = endless
        serving.serve()
    """
    with Workers(count=1, program=endless) as workers:
        analyzed(workers, [("first", b"int x;", "C")])

        def interrupt() -> None:
            while not marker.exists():  # before that, there is nothing to end
                threading.Event().wait(0.01)
            workers.interrupt()

        thread = threading.Thread(target=interrupt)
        thread.start()
        (found,) = workers.analyze([QueuedBlob("slow", "JavaScript", 4)], lambda _: b"a=1;")
        thread.join()
        assert found[1].error == "the grammar crashed"
        assert analyzed(workers, [("next", b"int x;", "C")])["next"].parsed


def _routed(queues: Queues[str], knowing: list[set[str]]) -> list[list[str]]:
    """What each of so many processes takes, in turn, until nothing is left for any."""
    taken: list[list[str]] = [[] for _ in knowing]
    going = True
    while going:
        going = False
        for index, mine in enumerate(knowing):
            others = set[str]().union(*(one for at, one in enumerate(knowing) if at != index))
            if job := queues.take(mine, others):
                mine.add(job.language.lower())
                taken[index].append(job.key)
                going = True
    return taken


def test_a_language_is_one_process_until_another_pays() -> None:
    few = [QueuedBlob(f"Python{n}", "Python", 100) for n in range(9)]
    few += [QueuedBlob(f"{name}0", name, 100) for name in ("Go", "Rust", "Java")]
    taken = _routed(Queues(few), [set(), set()])
    assert sorted(taken[0] + taken[1]) == sorted(job.key for job in few)
    assert {key[:-1] for key in taken[0]}.isdisjoint(key[:-1] for key in taken[1])
    many = [QueuedBlob(str(n), "Python", WORTH) for n in range(6)]
    first, second = _routed(Queues(many), [set(), set()])
    assert len(first) > 1 < len(second), "both read what is worth a second compilation"


def test_what_nobody_has_read_is_anybodys() -> None:
    """A process that died knows nothing any more, and what it had begun is left for the others."""
    queues = Queues([QueuedBlob("a", "Python", 1), QueuedBlob("b", "Go", 1)])
    assert queues.take({"python"}, {"go"}) == QueuedBlob("a", "Python", 1)
    assert queues.take({"python"}, {"go"}) is None
    assert queues.take({"python"}, set()) == QueuedBlob("b", "Go", 1)


def test_c_and_its_headers_are_read_by_one_process() -> None:
    jobs = [QueuedBlob("a", "C", 3), QueuedBlob("b", "C++", 2), QueuedBlob("c", "C Header", 1)]
    assert _routed(Queues(jobs), [{"c"}, {"python"}]) == [["a", "b", "c"], []]
