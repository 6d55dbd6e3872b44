"""A GitHub App as a source of tokens, against an API on loopback that checks as GitHub does."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from githost import GitHost
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, Interrupted, SnapshotterError, Unavailable, UsageError
from snapshotter.base.settings import Settings
from snapshotter.git.origin import Credential
from snapshotter.git.origin_parsing import parse
from snapshotter.git.pack_frame import pack_objects
from snapshotter.transport import FetchRequest, Transport
from snapshotter.transport.app_key import AppKey
from snapshotter.transport.credentials import GitCredentials
from snapshotter.transport.github_app import AppTokens
from snapshotter.transport.host_tokens import HostTokens
from snapshotter.transport.renewed import Issued, RenewedCredential
from tests.support.githubapp import (
    APP,
    BAD_JWT,
    INSTALLATION,
    LIMITED,
    REMOVED,
    SUSPENDED,
    UNPERMITTED,
    Answer,
    GitHubApi,
    new_key,
    said,
)
from tests.support.httpservers import Scripted, Seen, reply
from tests.support.wires import free_port, pack_of
from tests.transport.support import SECRET, Silence, tip

FIRST, SECOND = f"ghs_{SECRET}_first", f"ghs_{SECRET}_second"


@pytest.fixture(scope="module")
def key() -> str:
    return new_key()


@pytest.fixture
def api(key: str) -> Iterator[GitHubApi]:
    with GitHubApi(key, FIRST, SECOND) as api:
        yield api


def settings(api: str, key: str, place: str, **more: object) -> Settings:
    app = {"app": APP, "installation": INSTALLATION, "key": key, "api": api} | more
    return Settings({"SNAPSHOTTER_GIT_TOKENS": json.dumps({place: app}), "SNAPSHOTTER_GIT_AUTH": "basic"})


def place(host: GitHost) -> str:
    return host.url().partition("//")[2]


def tokens(api: GitHubApi, key: str, naps: list[float] | None = None) -> AppTokens:
    app = AppKey(app=APP, installation=INSTALLATION, key=key, api=api.api)
    return AppTokens(app, pause=(naps if naps is not None else []).append)


def error_of(call: Callable[[], object], key: str, api: GitHubApi | None = None) -> SnapshotterError:
    """The error; it holds neither the key, nor a token, nor what was signed with the key."""
    with pytest.raises(SnapshotterError) as raised:
        call()
    shown = "".join(traceback.format_exception(raised.value)) + str(raised.value.as_dict())
    secrets = [SECRET, *key.splitlines()[1:-1]]
    secrets += [seen.headers["authorization"].split()[1] for seen in api.seen] if api else []
    assert [secret for secret in secrets if secret in shown] == []
    assert raised.value.hint
    return raised.value


# Signing in


def test_one_token_serves_every_repository_of_the_installation(
    root: Path, connect: Callable[..., Transport], api: GitHubApi, key: str
) -> None:
    with GitHost(root, basic=("x-access-token", FIRST)) as host:
        credentials = GitCredentials.of(settings(api.api, key, place(host)))
        for _ in range(2):
            transport = connect(host.url("x.git"), credentials=credentials)
            assert len(transport.ls_refs()) == 2
            assert pack_objects(pack_of(transport, FetchRequest([tip(host)]))) == 6
    assert len(api.seen) == 1
    assert json.loads(api.seen[0].body) == {"permissions": {"contents": "read"}}, "it may not write"
    assert key not in str(api.seen)


def test_an_app_s_token_is_for_its_place_only(api: GitHubApi, key: str) -> None:
    credentials = GitCredentials.of(settings(api.api, key, "github.com/psf"))
    assert credentials.initial(parse("https://github.com/other/x")) is None
    assert credentials.initial(parse("https://git.example.test/psf/x")) is None
    assert api.seen == []
    assert credentials.initial(parse("https://github.com/psf/x")) == Credential("x-access-token", FIRST)


# Renewing


def test_a_token_is_renewed_before_it_expires() -> None:
    now = [1000.0]
    made = iter([Issued(Credential("u", str(n)), 1000.0 + 3600 * (n + 1)) for n in range(9)])
    source = RenewedCredential(lambda: next(made), lambda: now[0])
    assert source.credential().secret == "0"
    now[0] += 3600 - 301
    assert source.credential().secret == "0"
    now[0] += 2
    assert source.credential().secret == "1"
    assert source.credential(Credential("u", "0")).secret == "1", "another thread's refusal of the one before"
    assert source.credential(Credential("u", "1")).secret == "2"
    assert source.gave(Credential("u", "0"))
    assert not source.gave(Credential("u", "7"))


def test_the_end_of_a_token_is_read_from_the_answer(key: str) -> None:
    with GitHubApi(key, FIRST, SECOND, seconds=200) as api:
        source = RenewedCredential(tokens(api, key).issue)
        assert [source.credential().secret, source.credential().secret] == [FIRST, SECOND]


def test_a_token_that_expires_in_mid_run_is_renewed(
    root: Path, connect: Callable[..., Transport], api: GitHubApi, key: str
) -> None:
    with GitHost(root, basic=("x-access-token", FIRST)) as host:
        credentials = GitCredentials.of(settings(api.api, key, place(host)))
        transport = connect(host.url("x.git"), credentials=credentials)
        transport.ls_refs()
        host.basic = ("x-access-token", SECOND)
        assert pack_objects(pack_of(transport, FetchRequest([tip(host)]))) == 6
    assert len(api.seen) == 2


@pytest.mark.parametrize("answer", [SUSPENDED, REMOVED])
def test_an_installation_that_is_revoked_in_mid_run_is_told_as_such(
    root: Path, connect: Callable[..., Transport], api: GitHubApi, key: str, answer: Answer
) -> None:
    with GitHost(root, basic=("x-access-token", FIRST)) as host:
        credentials = GitCredentials.of(settings(api.api, key, place(host)))
        transport = connect(host.url("x.git"), credentials=credentials)
        transport.ls_refs()
        host.basic = ("x-access-token", "nobody's")
        api.answers = [answer]
        error = error_of(lambda: pack_of(transport, FetchRequest([tip(host)])), key, api)
    assert (type(error), error.code) == (AccessDenied, "github-app")
    assert str(INSTALLATION) in error.message


# Refusals


@pytest.mark.parametrize(
    ("answer", "named"),
    [(BAD_JWT, "clock"), (SUSPENDED, "unsuspend"), (REMOVED, "install it again"), (UNPERMITTED, "Contents")],
)
def test_a_refusal_says_what_to_do(api: GitHubApi, key: str, answer: Answer, named: str) -> None:
    naps: list[float] = []
    api.answers = [answer]
    error = error_of(tokens(api, key, naps).issue, key, api)
    assert (type(error), error.exit_code, error.code) == (AccessDenied, 5, "github-app")
    assert named in error.hint
    assert answer[2]["message"] in error.details[0]
    assert (len(api.seen), naps) == (1, [])


def test_another_app_s_key_is_refused(api: GitHubApi, key: str) -> None:
    error = error_of(tokens(api, new_key()).issue, key, api)
    assert "could not be decoded" in error.details[0]


@pytest.mark.parametrize(
    "bad", ["", "s3cr3t-Tok3n", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----"]
)
def test_a_key_that_cannot_be_read_is_told_before_anything_is_sent(
    api: GitHubApi, key: str, bad: str
) -> None:
    error = error_of(tokens(api, bad).issue, key, api)
    assert (type(error), error.code, api.seen) == (UsageError, "github-app", [])


def test_what_the_api_says_is_shown_without_what_was_signed(api: GitHubApi, key: str) -> None:
    def echo(request: Seen) -> list[bytes]:
        return [reply(401, {}, json.dumps({"message": f"bad {request.headers['authorization']}!"}).encode())]

    api.answer = echo
    error = error_of(tokens(api, key).issue, key, api)
    assert error.details[0].endswith("says: bad Bearer ***!")


# Limits and trouble


@pytest.mark.parametrize(
    ("answer", "nap"),
    [
        (said(403, LIMITED, Retry_After="7"), 7.0),
        (said(429, LIMITED, Retry_After="90"), 90.0),
        (said(403, LIMITED), 60.0),
        (said(429, "Too many requests"), 60.0),
        (said(502, "Server Error"), 5.0),
    ],
)
def test_a_limit_is_waited_for(api: GitHubApi, key: str, answer: Answer, nap: float) -> None:
    naps: list[float] = []
    api.answers = [answer]
    assert tokens(api, key, naps).issue().credential.secret == FIRST
    assert (naps, len(api.seen)) == ([nap], 2)


def test_the_end_of_a_limit_may_be_a_time(api: GitHubApi, key: str) -> None:
    naps: list[float] = []
    ends = {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": str(int(time.time()) + 100)}
    api.answers = [said(403, "API rate limit exceeded for installation ID 67890.", **ends)]
    assert tokens(api, key, naps).issue().credential.secret == FIRST
    assert 90 <= naps[0] <= 100


@pytest.mark.parametrize(
    ("answers", "naps"),
    [
        ([said(403, LIMITED, Retry_After="3600")], []),
        ([said(429, LIMITED, Retry_After="100")] * 3, [100.0]),
        ([said(500, "Server Error")] * 9, [5.0, 5.0, 5.0]),
    ],
)
def test_a_limit_that_is_too_long_is_told(
    api: GitHubApi, key: str, answers: list[Answer], naps: list[float]
) -> None:
    slept: list[float] = []
    api.answers = list(answers)
    error = error_of(tokens(api, key, slept).issue, key, api)
    assert (type(error), error.exit_code, error.code, slept) == (Unavailable, 4, "github-app", naps)
    assert "again" in error.hint


@pytest.mark.parametrize(
    "answer",
    [
        (201, {}, {"message": "no token"}),
        (201, {}, {"token": FIRST, "expires_at": "soon"}),
        (200, {}, {"token": FIRST, "expires_at": "2030-01-01T00:00:00Z"}),
        (302, {"Location": "http://127.0.0.1:9/"}, {}),
        (418, {}, {}),
    ],
)
def test_an_answer_that_is_not_github_s_is_told(api: GitHubApi, key: str, answer: Answer) -> None:
    api.answers = [answer]
    error = error_of(tokens(api, key).issue, key, api)
    assert (type(error), error.code, len(api.seen)) == (Unavailable, "github-app", 1)


def test_an_api_that_is_not_there_is_asked_a_few_times(key: str) -> None:
    naps: list[float] = []
    app = AppKey(app=APP, installation=INSTALLATION, key=key, api=f"http://127.0.0.1:{free_port()}")
    error = error_of(AppTokens(app, pause=naps.append).issue, key)
    assert (type(error), error.code, len(naps)) == (Unavailable, "github-app", 3)


def test_a_cancellation_does_not_wait_for_the_api(
    connect: Callable[..., Transport], key: str, root: Path
) -> None:
    silence, cancel = Silence(), Cancel()
    with Scripted(lambda _: silence.of(server.closing)) as server, GitHost(root) as host:
        credentials = GitCredentials.of(settings(server.url("").rstrip("/"), key, place(host)))
        transport = connect(host.url("x.git"), credentials=credentials, cancel=cancel)
        threading.Thread(target=lambda: (silence.begun.wait(30), cancel.cancel())).start()
        with pytest.raises(Interrupted):
            transport.ls_refs()
        assert not silence.broken


# The object of tokens


@pytest.mark.parametrize(
    "app",
    [
        {"app": APP, "installation": INSTALLATION},
        {"app": APP, "installation": "x", "key": SECRET},
        {"app": None, "installation": INSTALLATION, "key": SECRET},
        {"app": APP, "installation": INSTALLATION, "key": SECRET, "secret": SECRET},
        {"app": APP, "installation": INSTALLATION, "key": SECRET, "api": "http://api.example.test"},
        {
            "app": APP,
            "installation": INSTALLATION,
            "key": SECRET,
            "api": f"https://u:{SECRET}@api.example.test",
        },
        {"app": APP, "installation": INSTALLATION, "key": SECRET, "api": "https://api.example.test/?x"},
        {"app": APP, "installation": INSTALLATION, "key": SECRET, "api": "api.example.test"},
        {"app": APP, "installation": INSTALLATION, "key": SECRET, "api": "https://"},
    ],
    ids=str,
)
def test_an_app_that_cannot_be_meant_is_refused_without_its_text(app: dict[str, object]) -> None:
    with pytest.raises(UsageError) as raised:
        HostTokens.of(json.dumps({"github.com": app}))
    assert raised.value.code == "tokens"
    assert SECRET not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    ("place", "url"),
    [
        ("github.com", "https://api.github.com"),
        ("GitHub.com/psf", "https://api.github.com"),
        ("acme.ghe.com/team", "https://api.acme.ghe.com"),
        ("git.example.test:8443/team", "https://git.example.test:8443/api/v3"),
    ],
)
def test_the_api_is_that_of_the_host(place: str, url: str) -> None:
    app = {"app": "Iv23client", "installation": INSTALLATION, "key": SECRET}
    (found,) = HostTokens.of(json.dumps({place: app})).apps
    assert found.api == url
    assert SECRET not in repr(found) + repr(HostTokens.of(json.dumps({place: app}))) + repr(AppTokens(found))


def test_no_module_that_starts_up_loads_what_signs() -> None:
    code = "import sys, snapshotter.capture.plan; sys.exit('jwt' in sys.modules or 'cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
