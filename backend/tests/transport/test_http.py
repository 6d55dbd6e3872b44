"""Smart HTTP among people: bad hosts, bad servers, bad networks, credentials, redirects, proxies, TLS."""

from __future__ import annotations

import gzip
import shlex
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from githost import Fault, GitHost
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, Interrupted, SnapshotterError, UsageError
from snapshotter.base.settings import Settings
from snapshotter.git.origin import parse
from snapshotter.git.pack_frame import PackCheck, pack_objects
from snapshotter.transport import FetchRequest, Transport, WireLimits
from snapshotter.transport.connect import Connector
from snapshotter.transport.credentials import GitCredentials
from tests.support.git import Origin
from tests.support.httpservers import (
    ADVERTISEMENT,
    RESULT,
    Proxy,
    Scripted,
    Seen,
    advertisement,
    pkt,
    reply,
    v2_server,
)
from tests.support.wires import NoCredentials, free_port, pack_of

SECRET = "s3cr3t-Tok3n"
DISCOVERY = "/info/refs?service=git-upload-pack"


class Hurried(Cancel):
    """Notes how long the work would have waited, and does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.naps: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.check()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one repository, `x.git`, with some kilobytes that do not compress."""
    root = tmp_path_factory.mktemp("http")
    repo = Origin(root / "x.git")
    noise = b"".join(b"%d" % (n * n * 7919 % 1000003) for n in range(3000))
    first = repo.commit_tree(ref="refs/heads/main", message="one", f=noise)
    repo.commit_tree(first, ref="refs/heads/main", message="two", f=noise, g=b"g")
    repo.git("tag", "-a", "-m", "tag", "v1", first)
    return root


@pytest.fixture
def host(root: Path) -> Iterator[GitHost]:
    with GitHost(root) as host:
        yield host


@pytest.fixture(autouse=True)
def no_settings_of_mine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def connect() -> Iterator[Callable[..., Transport]]:
    opened: list[Transport] = []

    def connect(url: str, *, cancel: Cancel | None = None, **options: object) -> Transport:
        settings = {"credentials": NoCredentials(), "limits": WireLimits(idle_seconds=5)} | options
        opened.append(Connector(**settings)(parse(url), cancel or Hurried()))  # type: ignore[arg-type]
        return opened[-1]

    yield connect
    for transport in opened:
        transport.close()


def error_of(call: Callable[..., object], *args: object) -> SnapshotterError:
    """The error that a call ends with. Always with advice, never with the secret."""
    with pytest.raises(SnapshotterError) as raised:
        call(*args)
    shown = "".join(traceback.format_exception(raised.value)) + repr(raised.value.as_dict())
    assert SECRET not in shown
    assert raised.value.hint
    return raised.value


def error_listing(connect: Callable[..., Transport], url: str, **options: object) -> SnapshotterError:
    return error_of(connect(url, **options).ls_refs)


def with_secret(url: str) -> str:
    return url.replace("://", f"://user:{SECRET}@")


# Hosts that are not there, or do not want us


def test_no_such_host(connect: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    cancel = Hurried()
    error = error_listing(connect, f"https://user:{SECRET}@git.test/x.git", cancel=cancel)
    assert (error.code, error.exit_code) == ("no-such-host", 4)
    assert "git.test" in error.message
    assert cancel.naps == []  # no use in trying again


def test_connection_refused(connect: Callable[..., Transport]) -> None:
    cancel = Hurried()
    error = error_listing(connect, with_secret(f"http://127.0.0.1:{free_port()}/x.git"), cancel=cancel)
    assert (error.code, error.exit_code) == ("no-connection", 4)
    assert len(cancel.naps) == 3
    assert cancel.naps == sorted(cancel.naps)


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (401, "origin-denied", 5),
        (403, "origin-denied", 5),
        (404, "origin-not-found", 4),
        (410, "origin-not-found", 4),
        (418, "origin-http", 4),
    ],
)
@pytest.mark.parametrize("path", [DISCOVERY, "#ls-refs"])
@pytest.mark.parametrize("credential", ["", f"user:{SECRET}@"])
def test_refusals_by_status(
    host: GitHost,
    connect: Callable[..., Transport],
    status: int,
    code: str,
    exit_code: int,
    path: str,
    credential: str,
) -> None:
    host.fault = lambda label: Fault(status=status, body=b"<html/>") if label.endswith(path) else None
    error = error_listing(connect, host.url("x.git").replace("//", f"//{credential}"))
    assert (error.code, error.exit_code) == (code, exit_code)
    assert "127.0.0.1" in error.message
    if status in (401, 403):
        assert ("was refused" if credential else "SNAPSHOTTER_GIT_TOKEN") in error.hint


def test_plain_http_to_another_machine_needs_leave(connect: Callable[..., Transport]) -> None:
    assert isinstance(error_of(connect, f"http://user:{SECRET}@git.test/x.git"), UsageError)


# Servers that are no git servers


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Type": "text/html; charset=utf-8"}, b"<html>please log in</html>"),
        ({"Content-Type": "text/plain"}, b"0123 refs/heads/main"),
        ({}, b"hello"),
        ({"Content-Type": "\x85\x9b31m"}, b""),
        ({"Content-Type": ADVERTISEMENT}, b"<html>please log in</html>"),
        ({"Content-Type": ADVERTISEMENT}, b""),
        ({"Content-Type": ADVERTISEMENT}, b"0003"),
        ({"Content-Type": ADVERTISEMENT}, b"-004"),
        ({"Content-Type": ADVERTISEMENT}, b"fff5" + b"x" * 70000),
    ],
)
def test_what_is_no_git_server(
    connect: Callable[..., Transport], headers: dict[str, str], body: bytes
) -> None:
    with Scripted(lambda _: [reply(200, headers, body)]) as server:
        error = error_listing(connect, with_secret(server.url()))
    assert error.code == "not-git"
    assert error.message.isprintable()


def test_a_list_of_refs_that_goes_on_after_its_end_is_refused(connect: Callable[..., Transport]) -> None:
    """A flipped bit in `0040` ends the list early: the refs below it would count as deleted. git refuses it too."""
    lines = pkt(b"%040d refs/heads/a\n" % 1) + pkt(b"%040d refs/heads/feature\n" % 1) + b"0000"
    assert b"0040" in lines
    with Scripted(
        v2_server(lambda _: [reply(200, {"Content-Type": RESULT}, lines.replace(b"0040", b"0000"))])
    ) as server:
        assert error_listing(connect, server.url()).code == "protocol"
    with Scripted(v2_server(lambda _: [reply(200, {"Content-Type": RESULT}, lines)])) as server:
        assert len(connect(server.url()).ls_refs()) == 2


def test_dumb_http_is_named(connect: Callable[..., Transport]) -> None:
    with Scripted(lambda _: [reply(200, {"Content-Type": "text/plain"})]) as server:
        assert "dumb HTTP" in error_listing(connect, server.url()).message


@pytest.mark.parametrize("kind", ["text/html", RESULT])
def test_a_page_instead_of_a_pack(connect: Callable[..., Transport], kind: str) -> None:
    page = [reply(200, {"Content-Type": kind}, b"<html>maintenance</html>")]
    with Scripted(v2_server(lambda _: page)) as server:
        error = error_of(connect(server.url()).fetch, FetchRequest(["1" * 40]), pytest.fail)
    assert error.code == "not-git"


@pytest.mark.parametrize(
    "body",
    [
        advertisement(b"ls-refs"),  # no fetch
        advertisement(b"fetch", b"object-format=md5"),
        advertisement(b"fetch")[:-4],
        pkt(b"# service=git-upload-pack\n") + pkt(b"no flush\n"),
        pkt(b"# service=git-upload-pack\n") + b"0000" + pkt(b"%040d refs/heads/a\0caps\n" % 1) + pkt(b"?\n"),
        pkt(b"# service=git-upload-pack\n") + b"0000" + pkt(b"%040d refs/heads/a\0caps\n" % 1),
        b"0000",  # no word of git's, and so no repository without refs
        b"0000" * 1000,
        pkt(b"%040d refs/heads/a\0caps\n" % 1) + b"0000",
        pkt(b"version 1\n") + b"0000",
    ],
)
def test_advertisements_that_break_the_protocol(connect: Callable[..., Transport], body: bytes) -> None:
    with Scripted(lambda _: [reply(200, {"Content-Type": ADVERTISEMENT}, body)]) as server:
        assert error_listing(connect, server.url()).code in ("protocol", "stream-cut")


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"%040d" % 1,
        b"%039d refs/heads/a" % 1,
        b"%040d\n refs/heads/a" % 1,
        b"%040d ../../etc/passwd" % 1,
        b"%040d refs/heads/a\nb" % 1,
        b"%040d refs/heads/a peeled:zz" % 1,
        b"%040d HEAD symref-target:../../x" % 1,
        b"%040d refs/heads/a symref-target:-x" % 1,
        b"%040d refs/heads/%b" % (1, b"a" * 5000),
    ],
)
def test_hostile_lines_in_a_list_of_refs(connect: Callable[..., Transport], line: bytes) -> None:
    body = pkt(line + b"\n") + b"0000"
    with Scripted(v2_server(lambda _: [reply(200, {"Content-Type": RESULT}, body)])) as server:
        error = error_listing(connect, server.url())
    assert error.code in ("protocol", "bad-refs")
    assert error.message.isprintable()


@pytest.mark.parametrize("at", ["advertisement", "ls-refs", "fetch", "side-band"])
def test_the_servers_own_words_are_passed_on_without_danger(
    connect: Callable[..., Transport], at: str
) -> None:
    words = b"\x1b[31mrepository \xe2\x80\xaedisabled"

    def answer(request: Seen) -> Iterable[bytes]:
        if request.method == "GET":
            said = pkt(b"ERR " + words) if at == "advertisement" else advertisement()
            return [reply(200, {"Content-Type": ADVERTISEMENT}, said)]
        said = pkt(b"packfile\n") + pkt(b"\x03" + words) if at == "side-band" else pkt(b"ERR " + words)
        return [reply(200, {"Content-Type": RESULT}, said)]

    with Scripted(answer) as server:
        transport = connect(with_secret(server.url()))
        if at in ("advertisement", "ls-refs"):
            error = error_of(transport.ls_refs)
        else:
            error = error_of(transport.fetch, FetchRequest(["1" * 40]), pytest.fail)
    assert error.code == "origin-error"
    assert "disabled" in error.message
    assert error.message.isprintable()


# Networks that break


def offsets(length: int) -> list[int]:
    return sorted({*range(min(length, 24)), *range(24, length, max(1, length // 25)), length - 1})


def whole_pack(host: GitHost, connect: Callable[..., Transport]) -> tuple[FetchRequest, int]:
    """A request for everything, and the least length of its answer: more packets make it longer."""
    transport = connect(host.url("x.git"))
    request = FetchRequest(sorted(transport.ls_refs().tips))
    return request, len(pack_of(transport, request)) + len(pkt(b"packfile\n") + pkt(b"\x01") + b"0000")


@pytest.mark.parametrize("cleanly", [False, True])
def test_a_pack_cut_anywhere_is_an_error(
    host: GitHost, connect: Callable[..., Transport], cleanly: bool
) -> None:
    request, length = whole_pack(host, connect)
    for at in offsets(length):
        host.fault = lambda label, at=at: (
            Fault(cut_at=at, cut_cleanly=cleanly) if label.endswith("#fetch") else None
        )
        error = error_of(pack_of, connect(host.url("x.git")), request)
        assert error.code in ("stream-cut", "protocol"), at


def test_a_pack_flipped_anywhere_never_passes_for_whole(
    host: GitHost, connect: Callable[..., Transport]
) -> None:
    request, length = whole_pack(host, connect)
    for at in offsets(length):
        host.fault = lambda label, at=at: Fault(flip_at=at) if label.endswith("#fetch") else None
        check = PackCheck("sha1")
        with pytest.raises(SnapshotterError):
            connect(host.url("x.git")).fetch(request, check.update)
            check.finish()


@pytest.mark.parametrize("reply_to", [DISCOVERY, "#ls-refs"])
def test_a_listing_cut_anywhere_is_an_error(
    host: GitHost, connect: Callable[..., Transport], reply_to: str
) -> None:
    for at in range(0, 120, 3):
        host.fault = lambda label, at=at: (
            Fault(cut_at=at, cut_cleanly=at % 2 == 0) if label.endswith(reply_to) else None
        )
        assert error_listing(connect, host.url("x.git")).exit_code == 4


def test_a_listing_flipped_anywhere_is_read_or_refused(
    host: GitHost, connect: Callable[..., Transport]
) -> None:
    for at in range(0, 150, 2):
        reply_to = DISCOVERY if at % 4 else "#ls-refs"
        host.fault = lambda label, at=at, to=reply_to: Fault(flip_at=at) if label.endswith(to) else None
        try:
            connect(host.url("x.git")).ls_refs()
        except SnapshotterError as error:
            assert error.hint


@pytest.mark.parametrize("reply_to", [DISCOVERY, "#ls-refs", "#fetch"])
@pytest.mark.parametrize("at", [0, 30])
def test_a_stalled_server_is_given_up_after_the_idle_timeout(
    host: GitHost, connect: Callable[..., Transport], reply_to: str, at: int
) -> None:
    host.fault = lambda label: Fault(stall_at=at) if label.endswith(reply_to) else None
    transport = connect(host.url("x.git"), limits=WireLimits(idle_seconds=0.3))
    started = time.monotonic()
    fetch = partial(pack_of, transport, FetchRequest([tip(host)]))
    assert error_of(fetch if reply_to == "#fetch" else transport.ls_refs).code == "stalled"
    assert time.monotonic() - started < 3


def tip(host: GitHost) -> str:
    return Origin.at(host.root / "x.git").oid("HEAD")


def silent(closing: threading.Event) -> Iterable[bytes]:
    closing.wait(30)
    return []


def test_a_server_that_does_not_even_begin_is_given_up(connect: Callable[..., Transport]) -> None:
    with Scripted(lambda _: silent(server.closing)) as server:
        started = time.monotonic()
        error = error_listing(connect, with_secret(server.url()), limits=WireLimits(idle_seconds=0.3))
        assert error.code == "stalled"
        assert time.monotonic() - started < 2  # once, not once for each retry


@pytest.mark.parametrize("begins", [True, False])
def test_cancelling_ends_a_wait_at_once(connect: Callable[..., Transport], begins: bool) -> None:
    def answer(_: Seen) -> Iterable[bytes]:
        if begins:
            yield reply(200, {"Content-Type": ADVERTISEMENT}, b"x" * 100)[:-98]
        yield from silent(server.closing)

    with Scripted(answer) as server:
        cancel = Cancel()
        threading.Timer(0.3, cancel.cancel).start()
        started = time.monotonic()
        with pytest.raises(Interrupted):
            connect(server.url(), cancel=cancel, limits=WireLimits(idle_seconds=20)).ls_refs()
        assert time.monotonic() - started < 2


def test_cancelling_ends_a_pause_between_tries(host: GitHost, connect: Callable[..., Transport]) -> None:
    host.fault = lambda _: Fault(status=503, headers={"Retry-After": "30"})
    cancel = Cancel()
    threading.Timer(0.3, cancel.cancel).start()
    started = time.monotonic()
    with pytest.raises(Interrupted):
        connect(host.url("x.git"), cancel=cancel).ls_refs()
    assert time.monotonic() - started < 2


# Servers that never stop


def test_chatter_without_end_is_cut_off(host: GitHost, connect: Callable[..., Transport]) -> None:
    host.fault = lambda label: Fault(chatter=True) if label.endswith("#fetch") else None
    transport = connect(host.url("x.git"), limits=WireLimits(chatter_bytes=100_000))
    assert error_of(transport.fetch, FetchRequest([tip(host)]), pytest.fail).code == "chatter"
    patient = connect(host.url("x.git"), limits=WireLimits(stall_seconds=0.3, chatter_bytes=1 << 40))
    assert error_of(patient.fetch, FetchRequest([tip(host)]), pytest.fail).code == "chatter"


def streamed(kind: str, *pieces: Iterable[bytes]) -> Iterator[bytes]:
    """An answer that goes on for as long as its pieces do."""
    yield f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n".encode()
    for some in pieces:
        yield from some


def refs_without_end(closing: threading.Event) -> Iterator[bytes]:
    for n in count():
        yield pkt(b"%040x refs/heads/endless-%09d\n" % (n + 1, n))
        if closing.is_set():
            return


@pytest.mark.parametrize("v0", [False, True])
@pytest.mark.parametrize("limits", [WireLimits(max_refs=3000), WireLimits(max_refs_bytes=300_000)])
def test_refs_without_end_are_cut_off(
    connect: Callable[..., Transport], v0: bool, limits: WireLimits
) -> None:
    def answer(request: Seen) -> Iterator[bytes]:
        if request.method == "GET" and not v0:
            yield reply(200, {"Content-Type": ADVERTISEMENT}, advertisement())
            return
        preface = pkt(b"# service=git-upload-pack\n") + b"0000" if v0 else b""
        yield from streamed(ADVERTISEMENT if v0 else RESULT, [preface], refs_without_end(server.closing))

    with Scripted(answer) as server:
        error = error_listing(connect, server.url(), limits=limits)
    assert error.code == "limit"
    assert "--max-refs" in error.hint


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"acknowledgments\n", b"ACK 1111111111111111111111111111111111111111\n"),
        (b"wanted-refs\n", b"1111111111111111111111111111111111111111 refs/heads/a\n"),
        (b"packfile\n", b""),
        (b"packfile\n", b"\x01"),
        (b"packfile\n", b"\x07"),
    ],
)
def test_sections_without_end_are_cut_off(
    connect: Callable[..., Transport], first: bytes, again: bytes
) -> None:
    def answer(_: Seen) -> Iterable[bytes]:
        blocks = iter(lambda: b"" if server.closing.is_set() else pkt(again) * 2000, b"")
        return streamed(RESULT, [pkt(first)], blocks)

    with Scripted(v2_server(answer)) as server:
        transport = connect(server.url(), limits=WireLimits(chatter_bytes=500_000))
        started = time.monotonic()
        error = error_of(transport.fetch, FetchRequest(["1" * 40]), pytest.fail)
        assert error.code in ("chatter", "limit")
        assert time.monotonic() - started < 5


def test_capabilities_without_end_are_cut_off(connect: Callable[..., Transport]) -> None:
    body = advertisement(*(b"c%d=%d" % (n, n) for n in range(5000)), b"fetch")
    with Scripted(lambda _: [reply(200, {"Content-Type": ADVERTISEMENT}, body)]) as server:
        assert error_listing(connect, server.url()).code == "limit"


# Trying again


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_trouble_at_the_host_is_tried_again(
    host: GitHost, connect: Callable[..., Transport], status: int
) -> None:
    left = [Fault(status=status, body=b"busy"), Fault(status=status, body=b"busy")]
    host.fault = lambda _: left.pop() if left else None
    cancel = Hurried()
    assert len(connect(host.url("x.git"), cancel=cancel).ls_refs()) == 2
    assert len(cancel.naps) == 2
    assert 0.5 <= cancel.naps[0] <= 1 <= cancel.naps[1] <= 2


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        ("7", 7, 7),
        ("0", 0, 0),
        ("86400", 60, 60),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 0.5, 1),
        ("\xb2", 0.5, 1),
    ],
)
def test_retry_after_is_kept_within_reason(
    host: GitHost, connect: Callable[..., Transport], asked: str, least: float, most: float
) -> None:
    left = [Fault(status=503, headers={"Retry-After": asked})]
    host.fault = lambda _: left.pop() if left else None
    cancel = Hurried()
    connect(host.url("x.git"), cancel=cancel).ls_refs()
    (nap,) = cancel.naps
    assert least <= nap <= most


def test_it_gives_up_in_the_end(host: GitHost, connect: Callable[..., Transport]) -> None:
    host.fault = lambda _: Fault(status=503)
    cancel = Hurried()
    error = error_listing(connect, with_secret(host.url("x.git")), cancel=cancel)
    assert (error.code, len(host.requests), len(cancel.naps)) == ("origin-http", 4, 3)


# What goes over the wire


def test_a_large_request_goes_in_gzip_and_a_small_one_as_it_is(connect: Callable[..., Transport]) -> None:
    with Scripted(v2_server(lambda _: [reply(404)])) as server:
        transport = connect(server.url())
        haves = [f"{n:040x}" for n in range(300)]
        error_of(transport.fetch, FetchRequest(["1" * 40], haves), pytest.fail)
        error_of(transport.fetch, FetchRequest(["1" * 40]), pytest.fail)
    large, small = [request for request in server.seen if request.method == "POST"]
    plain = gzip.decompress(large.body)
    assert large.headers["content-encoding"] == "gzip"
    assert all(f"have {oid}".encode() in plain for oid in haves)
    assert "content-encoding" not in small.headers
    assert small.body.startswith(b"0012command=fetch\n")
    assert {request.headers["git-protocol"] for request in server.seen} == {"version=2"}


def test_answers_in_gzip_are_read(connect: Callable[..., Transport]) -> None:
    refs = pkt(b"%040d refs/heads/main\n" % 7) + b"0000"

    def answer(request: Seen) -> Iterable[bytes]:
        assert request.headers["accept-encoding"] == "gzip"
        kind, body = (ADVERTISEMENT, advertisement()) if request.method == "GET" else (RESULT, refs)
        more = gzip.compress(b"") * 200 if len(server.seen) > 3 else b""  # to be read, though it says nothing
        return [reply(200, {"Content-Type": kind, "Content-Encoding": "gzip"}, gzip.compress(body) + more)]

    with Scripted(answer) as server:
        transport = connect(server.url())
        for _ in range(3):
            assert dict(transport.ls_refs().oids) == {b"refs/heads/main": f"{7:040d}"}


def test_an_unchanged_origin_costs_two_requests_on_one_connection(
    host: GitHost, connect: Callable[..., Transport]
) -> None:
    connect(host.url("x.git")).ls_refs()
    assert [request.path for request in host.requests] == [
        f"/x.git{DISCOVERY}",
        "/x.git/git-upload-pack#ls-refs",
    ]


# Credentials


def token_command(folder: Path, *tokens: str) -> str:
    """A command that prints one token after the other, the last one for ever; and how often it was asked."""
    script = folder / "tokens.py"
    script.write_text(
        "import pathlib, sys\n"
        f"at = pathlib.Path({str(folder / 'asked')!r})\n"
        "n = int(at.read_text()) if at.exists() else 0\n"
        "at.write_text(str(n + 1))\n"
        f"tokens = {tokens!r}\n"
        "print(tokens[min(n, len(tokens) - 1)])\n"
    )
    return shlex.join([sys.executable, "-S", str(script)])


def asked(folder: Path) -> int:
    return int((folder / "asked").read_text())


@pytest.mark.parametrize(
    ("server", "settings"),
    [
        ({"basic": ("x-access-token", SECRET)}, {"SNAPSHOTTER_GIT_TOKEN": SECRET}),
        ({"basic": ("me", SECRET)}, {"SNAPSHOTTER_GIT_TOKEN": f"me:{SECRET}"}),
        ({"basic": ("oauth2", SECRET)}, {"SNAPSHOTTER_GIT_TOKEN": SECRET, "SNAPSHOTTER_GIT_USER": "oauth2"}),
        ({"bearer": SECRET}, {"SNAPSHOTTER_GIT_TOKEN": SECRET, "SNAPSHOTTER_GIT_AUTH": "bearer"}),
        ({"bearer": SECRET}, {"SNAPSHOTTER_GIT_TOKEN": SECRET}),  # as the server's challenge asks
        (
            {"basic": ("x-access-token", SECRET)},
            {"SNAPSHOTTER_GIT_TOKEN_127_0_0_1": SECRET, "SNAPSHOTTER_GIT_TOKEN": "another host's"},
        ),
    ],
)
def test_tokens_are_sent_as_the_host_wants_them(
    root: Path,
    connect: Callable[..., Transport],
    server: dict[str, object],
    settings: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    with GitHost(root, **server) as host:  # type: ignore[arg-type]
        transport = connect(host.url("x.git"), credentials=GitCredentials(Settings(settings)))
        assert len(transport.ls_refs()) == 2
        assert pack_objects(pack_of(transport, FetchRequest([tip(host)]))) == 6
    assert SECRET not in caplog.text


def test_a_credential_in_the_url_is_used_and_not_shown(root: Path, connect: Callable[..., Transport]) -> None:
    with GitHost(root, basic=("user", SECRET)) as host:
        assert len(connect(with_secret(host.url("x.git"))).ls_refs()) == 2
        host.basic = ("user", "another")
        error = error_listing(connect, with_secret(host.url("x.git")))
    assert isinstance(error, AccessDenied)


def test_the_token_command_is_asked_again_when_its_token_expires(
    root: Path, connect: Callable[..., Transport], tmp_path: Path
) -> None:
    command = token_command(tmp_path, "first", "second")
    credentials = GitCredentials(Settings({"SNAPSHOTTER_GIT_TOKEN_COMMAND": command}))
    with GitHost(root, basic=("x-access-token", "first")) as host:
        transport = connect(host.url("x.git"), credentials=credentials)
        transport.ls_refs()
        connect(host.url("x.git"), credentials=credentials).ls_refs()
        assert asked(tmp_path) == 1
        host.basic = ("x-access-token", "second")
        assert pack_objects(pack_of(transport, FetchRequest([tip(host)]))) == 6
        assert asked(tmp_path) == 2
        host.basic = ("x-access-token", "third")
        assert isinstance(error_of(transport.ls_refs), AccessDenied)


def test_a_command_with_ever_new_tokens_is_not_asked_for_ever(
    root: Path, connect: Callable[..., Transport], tmp_path: Path
) -> None:
    command = token_command(tmp_path, *(f"{SECRET}-{n}" for n in range(30)))
    credentials = GitCredentials(Settings({"SNAPSHOTTER_GIT_TOKEN_COMMAND": command}))
    with GitHost(root, basic=("x-access-token", "none of them")) as host:
        error = error_listing(connect, host.url("x.git"), credentials=credentials)
        assert isinstance(error, AccessDenied)
        assert len(host.requests) < 8


@pytest.mark.parametrize("code", ["exit 3", "true", "echo", f"echo {SECRET}; exit 1"])
def test_a_token_command_that_fails_is_told_without_its_words(
    host: GitHost, connect: Callable[..., Transport], code: str
) -> None:
    settings = Settings({"SNAPSHOTTER_GIT_TOKEN_COMMAND": shlex.join(["sh", "-c", code])})
    error = error_of(lambda: connect(host.url("x.git"), credentials=GitCredentials(settings)).ls_refs())
    assert error.code == "token-command"


# Redirects


def redirecting(to: str, status: int = 302) -> Callable[[Seen], Iterable[bytes]]:
    return lambda _: [reply(status, {"Location": to})]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_and_requests_go_to_its_end(
    host: GitHost, connect: Callable[..., Transport], status: int
) -> None:
    with Scripted(redirecting(host.url("x.git") + DISCOVERY, status)) as old:
        transport = connect(old.url("old.git"))
        assert len(transport.ls_refs()) == 2
        assert pack_objects(pack_of(transport, FetchRequest([tip(host)]))) == 6
    assert len(old.seen) == 1


def test_credentials_stay_on_their_host(connect: Callable[..., Transport]) -> None:
    with Scripted(v2_server(lambda _: [reply(200, {"Content-Type": RESULT}, b"0000")])) as other:
        with Scripted(redirecting(other.url() + DISCOVERY)) as own:
            connect(with_secret(own.url())).ls_refs()
        assert "authorization" in own.seen[0].headers
        assert [request.method for request in other.seen] == ["GET", "POST"]
        assert all("authorization" not in request.headers for request in other.seen)
        other.answer = lambda _: [reply(401, {"WWW-Authenticate": "Basic"})]
        other.seen.clear()
        with Scripted(redirecting(other.url() + DISCOVERY)) as own:
            error_listing(connect, with_secret(own.url()))
        assert [dict(request.headers).get("authorization") for request in other.seen] == [None]


def test_a_redirect_on_its_own_host_keeps_the_credentials(connect: Callable[..., Transport]) -> None:
    def answer(request: Seen) -> Iterable[bytes]:
        if request.target.startswith("/old"):
            return [reply(301, {"Location": f"/new.git{DISCOVERY}"})]
        return v2_server(lambda _: [reply(200, {"Content-Type": RESULT}, b"0000")])(request)

    with Scripted(answer) as server:
        connect(with_secret(server.url("old.git"))).ls_refs()
    assert [request.target.split("/")[1] for request in server.seen] == ["old.git", "new.git", "new.git"]
    assert all("authorization" in request.headers for request in server.seen)


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://git.test/x.git" + DISCOVERY, "unsafe-redirect"),  # plain http to another machine
        ("file:///etc/passwd", "unsafe-redirect"),
        ("ftp://127.0.0.1/x" + DISCOVERY, "unsafe-redirect"),
        (f"http://user:{SECRET}@127.0.0.1/x.git" + DISCOVERY, "unsafe-redirect"),
        (f"http://:{SECRET}@127.0.0.1/x.git" + DISCOVERY, "unsafe-redirect"),
        ("http://[::1/x.git" + DISCOVERY, "unsafe-redirect"),
        ("http://127.0.0.1:99999/x.git" + DISCOVERY, "unsafe-redirect"),
        ("https:///x.git" + DISCOVERY, "unsafe-redirect"),
        ("/login?next=x", "origin-denied"),
        ("", "redirects"),
    ],
)
def test_redirects_that_are_not_followed(connect: Callable[..., Transport], location: str, code: str) -> None:
    with Scripted(redirecting(location)) as server:
        error = error_listing(connect, with_secret(server.url()))
    assert error.code == code
    assert len(server.seen) <= 6


def test_a_redirect_of_a_post_is_not_followed(connect: Callable[..., Transport]) -> None:
    with Scripted(v2_server(redirecting("/elsewhere"))) as server:
        assert error_listing(connect, server.url()).code == "origin-http"
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    "inward",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "169.254.169.254",
        "127.1",
        "2130706433",
        "0x7f.1",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "[fe80::1]",
        "10.1.2.3",
        "192.168.0.1",
        "[fd00:ec2::254]",
        "LOCALHOST.",
    ],
)
def test_a_redirect_inwards_is_not_followed(
    connect: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch, inward: str
) -> None:
    with Scripted(redirecting(f"http://{inward}/x.git{DISCOVERY}")) as outside, Proxy(outside.port) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        error = error_listing(connect, "http://git.test/x.git", allow_http=True)
    assert error.code == "unsafe-redirect"
    assert len(proxy.seen) == 1


# Proxies and TLS


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a throw-away CA and a certificate of it for 127.0.0.1 and git.test."""
    folder = tmp_path_factory.mktemp("tls")
    for argv in (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout ca.key -out ca.crt"
        " -subj /CN=ca -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign",
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=x -keyout tls.key"
        " -out tls.csr",
        "x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out tls.crt -extfile ext",
    ):
        (folder / "ext").write_text("subjectAltName=IP:127.0.0.1,DNS:git.test\n")
        subprocess.run(["openssl", *argv.split()], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def tls_host(root: Path, tls: Path) -> Iterator[GitHost]:
    with GitHost(root, tls=tls) as host:
        yield host


def test_a_private_ca_is_trusted_when_named_and_only_then(
    tls_host: GitHost, tls: Path, connect: Callable[..., Transport]
) -> None:
    transport = connect(tls_host.url("x.git"), ca_bundle=str(tls / "ca.crt"))
    assert len(transport.ls_refs()) == 2
    assert pack_objects(pack_of(transport, FetchRequest([tip(tls_host)]))) == 6
    cancel = Hurried()
    error = error_listing(connect, with_secret(tls_host.url("x.git")), cancel=cancel)
    assert error.code == "tls"
    assert "SNAPSHOTTER_CA_BUNDLE" in error.hint
    assert cancel.naps == []


def test_a_redirect_from_https_to_http_is_not_followed(
    tls_host: GitHost, host: GitHost, tls: Path, connect: Callable[..., Transport]
) -> None:
    target = host.url("x.git") + DISCOVERY
    tls_host.fault = lambda _: Fault(status=302, headers={"Location": target})
    error = error_listing(
        connect, with_secret(tls_host.url("x.git")), ca_bundle=str(tls / "ca.crt"), allow_http=True
    )
    assert error.code == "unsafe-redirect"
    assert host.requests == []


def port_of(host: GitHost) -> int:
    return int(host.url().rpartition(":")[2])


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
def test_http_goes_through_the_proxy_of_the_environment(
    host: GitHost, connect: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with Proxy(port_of(host)) as proxy:
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        transport = connect("http://git.test/x.git", allow_http=True)
        assert len(transport.ls_refs()) == 2
        assert pack_objects(pack_of(transport, FetchRequest([tip(host)]))) == 6
        assert {request.target.split("/")[2] for request in proxy.seen} == {"git.test"}
        proxy.seen.clear()
        connect(host.url("x.git")).ls_refs()  # this machine needs no proxy
        assert proxy.seen == []


def test_https_goes_through_the_proxy_in_a_tunnel_with_the_proxys_own_credentials(
    tls_host: GitHost, tls: Path, connect: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(port_of(tls_host), auth=f"me:{SECRET}@/") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:{SECRET}%40%2F@127.0.0.1:{proxy.port}")
        transport = connect("https://token@git.test/x.git", ca_bundle=str(tls / "ca.crt"))
        assert len(transport.ls_refs()) == 2
        assert {(request.method, request.target) for request in proxy.seen} == {("CONNECT", "git.test:443")}
        assert all("authorization" not in request.headers for request in proxy.seen)
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:wrong-{SECRET}@127.0.0.1:{proxy.port}")
        error = error_listing(connect, "https://token@git.test/x.git", ca_bundle=str(tls / "ca.crt"))
    assert error.code == "proxy"


def test_a_dead_proxy_is_named(connect: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{SECRET}@127.0.0.1:{free_port()}")
    error = error_listing(connect, "https://git.test/x.git")
    assert error.code == "proxy"
    assert "HTTPS_PROXY" in error.hint


def test_no_proxy_is_honoured(connect: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "git.test")
    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    assert error_listing(connect, "https://git.test/x.git").code == "no-such-host"
