"""The git host that other tests and the benchmarks stand on: git clones from it, and it fails as told."""

import os
import random
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from githost import Fault, GitHost
from tests.support.git import ENV, Origin


def git(*args: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
    """git with all that it said; `env` adds to the environment of every test's git."""
    return subprocess.run(
        ["git", *args],
        env=ENV | env,
        check=check,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        timeout=60,
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one bare repository, `x.git`: 2 MiB of noise in its history and many tags."""
    root = tmp_path_factory.mktemp("host")
    origin = Origin(root / "x.git")
    tip = origin.commit(files={"noise.bin": random.Random(1).randbytes(2 << 20)})
    tags = "".join(f"create refs/tags/v{n} {tip}\n" for n in range(300))
    origin.git("update-ref", "--stdin", data=tags.encode())
    return root


@pytest.fixture
def host(root: Path) -> Iterator[GitHost]:
    with GitHost(root) as host:
        yield host


def refs(folder: Path) -> str:
    return git("-C", str(folder), "for-each-ref").stdout


def statuses(host: GitHost) -> list[int]:
    return [request.status for request in host.requests]


@pytest.mark.parametrize(("version", "v0"), [("2", False), ("0", False), ("2", True)])
def test_clone_brings_everything(root: Path, tmp_path: Path, version: str, v0: bool) -> None:
    with GitHost(root, v0=v0) as host:
        git(
            "-c",
            f"protocol.version={version}",
            "clone",
            "-q",
            "--mirror",
            host.url("x.git"),
            str(tmp_path / "c"),
        )
    assert refs(tmp_path / "c") == refs(root / "x.git")
    git("-C", str(tmp_path / "c"), "fsck", "--strict")
    paths = [request.path for request in host.requests]
    assert paths[0] == "/x.git/info/refs?service=git-upload-pack"
    if version == "2" and not v0:
        assert paths[1:] == ["/x.git/git-upload-pack#ls-refs", "/x.git/git-upload-pack#fetch"]
        assert {request.protocol for request in host.requests} == {"version=2"}
    else:
        assert paths[1:] == ["/x.git/git-upload-pack"]
    assert set(statuses(host)) == {200}


def test_gzipped_and_chunked_request_bodies_arrive(host: GitHost, tmp_path: Path) -> None:
    # git gzips bodies over 1 kB, and sends in chunks what exceeds http.postBuffer: 300 wants do both in turn
    git("clone", "-q", "--mirror", "-c", "http.postBuffer=65536", host.url("x.git"), str(tmp_path / "a"))
    trace = git(
        "-c",
        "protocol.version=0",
        "-c",
        "http.postBuffer=1",
        "-C",
        str(tmp_path / "a"),
        "push",
        host.url("x.git"),
        "refs/heads/main:refs/heads/pushed",
        check=False,
        GIT_CURL_VERBOSE="1",
    )
    assert "403" in trace.stderr  # nobody may push here without credentials
    listing = b"0014command=ls-refs\n00010009peel\n0000"
    with socket.create_connection(("127.0.0.1", int(host.url().rsplit(":", 1)[1]))) as connection:
        head = b"POST /x.git/git-upload-pack HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
        head += b"Git-Protocol: version=2\r\nTransfer-Encoding: chunked\r\n"
        head += b"Content-Type: application/x-git-upload-pack-request\r\n\r\n"
        connection.sendall(
            head + b"".join(b"%x\r\n%b\r\n" % (1, bytes((c,))) for c in listing) + b"0\r\n\r\n"
        )
        reply = b"".join(iter(lambda: connection.recv(65536), b""))
    assert reply.startswith(b"HTTP/1.1 200")
    assert reply.count(b"refs/tags/v") == 300


def test_one_connection_serves_many_requests(host: GitHost) -> None:
    trace = git("ls-remote", host.url("x.git"), GIT_CURL_VERBOSE="1").stderr
    assert len(host.requests) == 2
    assert re.search("Re-using existing connection", trace)


@pytest.mark.parametrize(
    ("kinds", "credential", "passes"),
    [
        ({"basic": ("u", "p")}, None, False),
        ({"basic": ("u", "p")}, "u:wrong", False),
        ({"basic": ("u", "p")}, "u:p", True),
        ({"bearer": "t0ken"}, None, False),
        ({"bearer": "t0ken"}, "Bearer t0ken", True),
        ({"bearer": "t0ken", "basic": ("u", "p")}, "u:p", True),
    ],
)
def test_credentials_are_asked_for(root: Path, kinds: dict, credential: str | None, passes: bool) -> None:
    with GitHost(root, **kinds) as host:
        url, options = host.url("x.git"), []
        if credential and credential.startswith("Bearer"):
            options = ["-c", f"http.extraHeader=Authorization: {credential}"]
        elif credential:
            url = url.replace("http://", f"http://{credential}@")
        done = git(*options, "ls-remote", url, check=False)
        assert (done.returncode == 0) == passes, done.stderr
        assert (200 in statuses(host)) == passes


def test_a_missing_repository_is_404(host: GitHost) -> None:
    assert git("ls-remote", host.url("none.git"), check=False).returncode != 0
    assert statuses(host) == [404]


def test_configuration_reaches_the_serving_git(root: Path, tmp_path: Path) -> None:
    with GitHost(root) as host:
        git("clone", "-q", "--bare", "--filter=tree:0", host.url("x.git"), str(tmp_path / "filtered"))
        host.config["uploadpack.hideRefs"] = "refs/tags"
        assert git("ls-remote", host.url("x.git")).stdout.count("refs/") == 1


@pytest.mark.parametrize("at", [0, 1, 100, 65_519, 65_520, 65_521, 1_500_000])
@pytest.mark.parametrize("fault", ["cut_at", "flip_at"])
def test_a_spoiled_pack_fails_the_clone(root: Path, tmp_path: Path, fault: str, at: int) -> None:
    def spoil(path: str) -> Fault | None:
        return Fault(**{fault: at}) if path.endswith("#fetch") else None

    with GitHost(root, fault=spoil) as host:
        assert git("clone", "-q", "--mirror", host.url("x.git"), str(tmp_path / "c"), check=False).returncode


def body(host: GitHost, path: str) -> tuple[int, bytes]:
    """curl's exit code and the body of a GET, in pieces put together again."""
    done = subprocess.run(["curl", "-s", host.url() + path], capture_output=True, timeout=30)
    return done.returncode, done.stdout


def test_cuts_and_flips_are_exact(host: GitHost) -> None:
    listing = "/x.git/info/refs?service=git-upload-pack"
    _, whole = body(host, listing)
    host.fault = lambda _: Fault(cut_at=777)
    assert body(host, listing) == (18, whole[:777])  # 18: curl knows that something is missing
    host.fault = lambda _: Fault(cut_at=777, cut_cleanly=True)
    assert body(host, listing) == (0, whole[:777])
    host.fault = lambda _: Fault(flip_at=777)
    code, flipped = body(host, listing)
    assert code == 0
    assert [n for n, (a, b) in enumerate(zip(whole, flipped, strict=True)) if a != b] == [777]
    host.fault = lambda _: Fault(status=503, headers={"Retry-After": "1"}, body=b"<html>busy</html>")
    assert body(host, listing) == (0, b"<html>busy</html>")
    assert statuses(host)[-1] == 503


def test_a_stall_goes_on_after_its_time_or_ends_with_the_host(root: Path) -> None:
    listing = "/x.git/info/refs?service=git-upload-pack"
    with GitHost(root, fault=lambda _: Fault(stall_at=10, stall_seconds=0.5)) as host:
        assert len(body(host, listing)[1]) > 10_000
        host.fault = lambda _: Fault(stall_at=10)
        curl = subprocess.Popen(["curl", "-sN", host.url() + listing], stdout=subprocess.PIPE)
        assert curl.stdout
        assert len(curl.stdout.read(10)) == 10
        assert curl.poll() is None
    assert curl.wait(60) != 0


LISTING = "info/refs?service=git-upload-pack"


@pytest.mark.parametrize(
    ("v0", "suffix"),
    [(False, LISTING), (False, "#ls-refs"), (False, "#fetch"), (True, LISTING), (True, "/git-upload-pack")],
)
def test_chatter_is_well_formed_and_has_no_end(root: Path, tmp_path: Path, suffix: str, v0: bool) -> None:
    with GitHost(root, v0=v0, fault=lambda path: Fault(chatter=path.endswith(suffix))) as host:
        clone = subprocess.Popen(
            ["git", "clone", "-q", "--mirror", host.url("x.git"), tmp_path / "c"],
            env=ENV,
            stderr=subprocess.PIPE,
            process_group=0,
        )
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                clone.wait(0.7)
        finally:  # the helpers too: on their own they would go on reading into memory
            os.killpg(clone.pid, signal.SIGKILL)
        assert b"fatal" not in clone.communicate(timeout=60)[1]


def test_the_script_serves_until_its_input_closes(root: Path) -> None:
    script = Path(__file__).parents[3] / "benchmarks" / "githost.py"
    with subprocess.Popen(
        ["python3", script, root, "--port", "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as served:
        assert served.stdin and served.stdout
        url = served.stdout.readline().strip()
        assert "refs/heads/main" in git("ls-remote", f"{url}/x.git").stdout
        served.stdin.close()
        assert served.wait(60) == 0
