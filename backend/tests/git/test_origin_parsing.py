"""What may be called an origin: what parses, what is refused, and that no secret is shown."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from snapshotter.base.errors import UsageError
from snapshotter.git.origin import Credential
from snapshotter.git.origin_parsing import parse
from snapshotter.git.repo_name import MAX_REPO
from tests.support.origins import SECRET, is_safe, parsed, paths, texts

NAME = re.compile(r"[A-Za-z0-9._-]+")


@given(texts)
@settings(max_examples=400)
@example("~no-such-user-here/x")
@example("file:///a%00b")
@example("file:///a%0ab")
@example("https://h.test/\ud800")
@example("\ud800")
@example("ssh://h.test/a%3Fb")
@example("h.test:/a%20b")
def test_any_text_is_an_origin_with_a_safe_name_or_is_refused(text: str) -> None:
    origin = parsed(text)
    if origin is None:
        return
    repo = origin.repo
    assert NAME.fullmatch(repo)
    assert repo not in (".", "..")
    assert not repo.startswith(("-", ".", "_"))
    assert len(repo) <= MAX_REPO
    assert origin.url and str(origin) == origin.url


@given(
    st.one_of(
        texts,
        paths.map("https://h.test/{}".format),
        paths.map("ssh://u@h.test/{}".format),
        paths.map("u@h.test:{}".format),
    )
)
@settings(max_examples=400)
@example("ssh://h.test/a%2520b")
@example("ssh://a%3Ab@h.test/~x")
@example("ssh://h.test/a%23b")
@example("git@https://git@")
@example("\u0430::")
@example("u@h.test:/a/b@c")
def test_what_a_manifest_records_means_the_same_origin(text: str) -> None:
    origin = parsed(text)
    if origin is not None:
        again = parse(origin.url)
        assert (again.canonical, again.repo, again.url) == (origin.canonical, origin.repo, origin.url)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "--upload-pack=touch x",
        "-oProxyCommand=x:y",
        "ssh://-oProxyCommand=x/y",
        "ssh://-x@h.test/y",
        "-x@h.test:y",
        "h.test:-y",
        "ssh://h.test/-y",
        "https://h.test",
        "https://h.test/",
        "https://h.test/..",
        "https://h.test/a/../b",
        "https://h.test/%2e%2e/b",
        "https://h.test/%252e%252e/b",
        "https://h.test/.%2e/b",
        "https://h.test/a/./b",
        "https://h.test/..%5cb",
        "https://h.test/a%2f..%2fb",
        "h.test:../x",
        "h.test:a/../../x",
        "https://h.test/a?b",
        "https://h.test/a#b",
        "https://h.test:99999/a",
        "https://h.test:x/a",
        "https://[::1/a",
        "ftp://h.test/a",
        "ext::sh -c x",
        "ext::ssh",
        "javascript://h.test/a",
        "file://h.test/a",
        "https:///a",
        "https://h.test/a\nb",
        "https://h.test/a%0ab",
        "https://h.test/a\x00b",
        "https://h test/a",
        "https://h.test/" + "a" * 5000,
        "file:///a%00b",
        "file:///a%0ab",
        "https://h.test/\ud800",
        "~no-such-user-here/x",
    ],
)
def test_hostile_and_mistaken_origins_are_refused(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse(text)
    assert raised.value.hint
    assert is_safe(raised.value.message)
    assert len(raised.value.message) < 400


@pytest.mark.parametrize(
    "text",
    [
        f"https://user:{SECRET}@h.test/a",
        f"https://{SECRET}@h.test/a",
        f"https://user:{SECRET}%40x@h.test/a",
        f"https://u:{SECRET}@@h.test/a",
        f"ssh://git:{SECRET}@h.test/a",
    ],
)
def test_a_credential_is_never_shown(text: str) -> None:
    origin = parse(text)
    for shown in (
        str(origin),
        repr(origin),
        origin.url,
        origin.canonical,
        origin.repo,
        repr(origin.credential),
    ):
        assert SECRET not in shown
    if text.startswith("https"):
        assert origin.credential is not None
        assert SECRET in origin.credential.user + origin.credential.secret
    assert origin == parse(origin.url) or origin.scheme == "ssh"


@given(
    st.text(alphabet="a:@/?# \\%", max_size=6), st.sampled_from(["?x", "#x", "/..", ":99999", "/-x/..", "\n"])
)
@example("/", "")
@example("@a/", ":99999")
@example("", "?x")
@example("@", "?x")
@example(" ", "?x")
def test_a_credential_is_not_shown_in_a_refusal_either(around: str, wrong: str) -> None:
    text = f"https://user:{around}{SECRET}{around}@h.test/a{wrong}"
    try:
        origin = parse(text)
    except UsageError as error:
        assert SECRET not in error.message + error.hint
    else:
        assert SECRET not in origin.url + repr(origin)


@pytest.mark.parametrize(
    "text",
    [
        f"https://h.test/a?private_token={SECRET}",
        f"https://h.test/a#{SECRET}",
        f"https://h.test/a?x=@{SECRET}",
        f"https:/u:{SECRET}@h.test/a",
        f"https:u:{SECRET}@h.test/a",
        f"HTTP:/{SECRET}@h.test/a",
        f"https:/u:{SECRET}@@h.test:99999/a",
        f"https://u:{SECRET}?x@h.test/a",
        f"file:/u:{SECRET}@h.test/a",
    ],
)
def test_a_slip_in_a_url_neither_shows_its_secret_nor_makes_it_a_path(text: str) -> None:
    """`https:/u:secret@host/x` is no ssh origin on a host called https, whose path would go into a repo's name."""
    with pytest.raises(UsageError) as raised:
        parse(text)
    assert SECRET not in raised.value.message + raised.value.hint


def test_a_url_with_a_name_and_a_secret_is_a_credential() -> None:
    assert parse("https://me:pa%3Ass@h.test/a").credential == Credential("me", "pa:ss")
    assert parse("https://t0ken@h.test/a").credential == Credential("t0ken", "")
    assert parse("https://h.test/a").credential is None


def test_a_local_path_is_its_real_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = tmp_path / "my repo.git"
    repo.mkdir()
    (tmp_path / "link").symlink_to(repo)
    monkeypatch.chdir(tmp_path)
    spellings = [str(repo), f"{repo}/", "./my repo.git", "link", f"file://{tmp_path}/my%20repo.git"]
    origins = [parse(text) for text in spellings]
    assert {origin.url for origin in origins} == {os.path.realpath(repo)}
    assert len({origin.repo for origin in origins}) == 1
    assert origins[0].repo.startswith("local__")
    assert all(origin.is_local for origin in origins)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]", "x.localhost"])
def test_loopback_is_known(host: str) -> None:
    assert parse(f"http://{host}/a").is_loopback
    assert not parse("http://127.0.0.1.test/a").is_loopback
