"""The host of a fleet's tests: its repositories are git's, they do as their names say, and what it counts is so."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fleet_host import BEHAVIOURS, FleetHost
from tests.support.git import ENV, git


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetHost]:
    with FleetHost(tmp_path_factory.mktemp("fleet") / "srv", dict.fromkeys(BEHAVIOURS, 2)) as host:
        yield host


def listed(host: FleetHost, name: str) -> tuple[int, str]:
    """What `git ls-remote` makes of a repository: its exit code, and all that it said."""
    done = subprocess.run(
        ["git", "ls-remote", host.repo_url(name)], env=ENV, capture_output=True, check=False, text=True
    )
    return done.returncode, done.stdout + done.stderr


def cloned(host: FleetHost, name: str, folder: Path) -> int:
    argv = ["git", "clone", "-q", "--mirror", host.repo_url(name), str(folder / name)]
    return subprocess.run(argv, env=ENV, check=False, capture_output=True).returncode


def test_five_hundred_repositories_are_made_by_two_processes(tmp_path: Path) -> None:
    host = FleetHost(tmp_path / "srv", {"quiet": 500})
    states = [host.origin(name).path / "packed-refs" for name in host.names]
    assert len({path.read_bytes() for path in states}) == 500
    assert all(path.read_text().count("refs/") == 3 for path in states)
    assert len(host.state(host.names[7]).objects) == 10  # three commits, trees and blobs, and a tag


@pytest.mark.parametrize("what", ["quiet", "growing", "slow", "moving"])
def test_a_clone_has_all_of_a_repository_and_nothing_of_the_others(
    host: FleetHost, what: str, tmp_path: Path
) -> None:
    assert cloned(host, f"{what}-0", tmp_path) == 0
    assert git(tmp_path / f"{what}-0", "for-each-ref") == git(host.origin(f"{what}-0").path, "for-each-ref")
    assert git(tmp_path / f"{what}-0", "count-objects", "-v").count(b"in-pack: 10\n") == 1


@pytest.mark.parametrize("what", ["broken", "cut", "vanishing"])
def test_what_lists_its_refs_may_have_no_pack_for_them(host: FleetHost, what: str, tmp_path: Path) -> None:
    assert listed(host, f"{what}-1")[0] == 0
    assert cloned(host, f"{what}-1", tmp_path) != 0
    assert listed(host, f"{what}-1")[0] == (128 if what == "vanishing" else 0)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("secret", "error: 403"),
        ("private", "terminal prompts disabled"),
        ("missing", "not found"),
        ("busy", "error: 429"),
        ("flapping", "error: 503"),
    ],
)
def test_what_is_refused_is_refused_by_its_status(host: FleetHost, what: str, said: str) -> None:
    code, words = listed(host, f"{what}-0")
    assert (code, said in words) == (128, True), words


def test_a_large_one_is_as_large_as_told(tmp_path: Path) -> None:
    with FleetHost(tmp_path / "srv", {"large": 1}, large=3_000_001) as host:
        assert cloned(host, "large-0", tmp_path) == 0
        assert git(tmp_path / "large-0", "cat-file", "-s", "main:noise") == b"3000001\n"


def test_empty_and_shallow_are_so(host: FleetHost) -> None:
    assert listed(host, "empty-0") == (0, "")
    assert host.origin("shallow-0").text("rev-parse", "--is-shallow-repository") == "true"


def test_a_day_later(tmp_path: Path) -> None:
    behaviours = ("quiet", "growing", "forced", "shrinking", "moving", "leaving")
    with FleetHost(tmp_path / "srv", dict.fromkeys(behaviours, 1)) as host:
        before = {name: (listed(host, name), host.state(name)) for name in host.names}
        host.next_day()
        after = {name: listed(host, name) for name in host.names}
        changed = {name for name in host.names if after[name] != before[name][0]}
        assert changed == {"growing-0", "forced-0", "shrinking-0", "leaving-0", "moving-0"}
        assert after["leaving-0"][0] == 128
        assert "warning: redirecting to " in after["moving-0"][1]
        assert host.state("growing-0").objects > before["growing-0"][1].objects
        assert host.origin("forced-0").text("rev-list", "--count", "main") == "1"
        host.next_day()
        assert listed(host, "moving-0") == after["moving-0"]


def test_requests_are_counted_and_those_above_a_limit_refused(tmp_path: Path) -> None:
    with FleetHost(tmp_path / "srv", {"quiet": 3}) as host:
        for name in host.names:
            assert listed(host, name)[0] == 0
        assert host.first_asked() == host.names
        assert [len(host.requests_of(name)) for name in host.names] == [2, 2, 2]
        assert (host.most_in_a_second(1000), host.most_at_once) == (6, 1)
        assert 0 < host.longest_pause() < 1000
        host.most_a_second = 1
        assert "error: 429" in "".join(listed(host, "quiet-0")[1] for _ in range(2))
        host.down = True
        assert listed(host, "quiet-0")[0] == 128
