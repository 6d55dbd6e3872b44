"""S3's lists: keys that no client library takes, pages that never end, answers that are no lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qs, quote_plus, urlsplit
from xml.sax.saxutils import escape

import pytest

from snapshotter.aws.renewal import SessionKeys
from snapshotter.base.errors import SnapshotterError, Unavailable
from snapshotter.base.observer import Observer
from snapshotter.store.backend import ListedObject
from snapshotter.store.objects import Store
from snapshotter.store.opening import open_store
from snapshotter.store.sigv4 import Signable, query_string, signed
from tests.support.httpservers import Scripted, Seen, reply

PREFIX = "repo-scans/snapshotter/"
ENV = {"AWS_ACCESS_KEY_ID": "KEYID", "AWS_SECRET_ACCESS_KEY": "s3cr3t", "AWS_REGION": "us-east-1"}
ODD = [
    "r//x",
    "r/./x",
    "r/../../etc/passwd",
    "r/x/",
    "r/\x01",
    "r/a\nb",
    "r/\x7f",
    "/r/x",
    "../r/x",
    "r/\x85",
]


class Lists(Observer):
    """A bucket of keys, each of its own length in bytes, in pages of `size`; it keeps what it was warned of."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.size, self.encodes = 1000, True
        self.next_token: Callable[[str], str] = lambda key: f"after {key}"
        self.answers: list[bytes] = []
        self.said: list[str] = []

    def warn(self, what: str) -> None:
        self.said.append(what)

    def __call__(self, request: Seen) -> Iterable[bytes]:
        if self.answers:
            return [self.answers.pop(0)]
        asked = {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}
        after = asked.get("continuation-token", "").removeprefix("after ") or asked.get("start-after", "")
        below = asked["prefix"]
        keys = sorted({key for key in self.keys if key.startswith(below) and key > after})
        if after.endswith("/"):  # a common prefix: all below it were told
            keys = [key for key in keys if not key.startswith(after)]
        if "delimiter" in asked:
            keys = sorted(
                {
                    below + key[len(below) :].partition("/")[0] + "/"
                    for key in keys
                    if "/" in key[len(below) :]
                }
            )
        return [
            page(
                keys[: self.size],
                self.next_token(keys[self.size - 1]) if keys[self.size :] else "",
                self.encodes,
            )
        ]


def page(keys: Iterable[str], token: str = "", encodes: bool = True) -> bytes:
    shown = quote_plus if encodes else str
    parts = ["<EncodingType>url</EncodingType>"] if encodes else []
    parts += [f"<IsTruncated>{'true' if token else 'false'}</IsTruncated>"]
    parts += [f"<NextContinuationToken>{escape(token)}</NextContinuationToken>"] if token else []
    for key in keys:
        name = escape(shown(key))
        parts.append(f"<Contents><Key>{name}</Key><Size>{len(key)}</Size></Contents>")
        if key.endswith("/"):
            parts.append(f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>")
    body = f'<?xml version="1.0"?><ListBucketResult xmlns="http://s3">{"".join(parts)}</ListBucketResult>'
    return reply(200, {"Content-Type": "application/xml"}, body.encode())


@pytest.fixture
def bucket() -> Lists:
    return Lists()


@pytest.fixture
def server(bucket: Lists) -> Iterator[Scripted]:
    with Scripted(bucket) as server:
        yield server


@pytest.fixture
def store(server: Scripted, bucket: Lists) -> Store:
    env = ENV | {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{server.port}"}
    store = open_store(f"s3://bucket/{PREFIX}", allow_http=True, env=env, observer=bucket)
    store.pause = lambda *_: None
    return store


@pytest.mark.parametrize("encodes", [True, False])
@pytest.mark.parametrize("odd", ODD)
def test_an_odd_key_costs_no_list_and_is_told_once(
    store: Store, bucket: Lists, odd: str, encodes: bool
) -> None:
    bucket.encodes = encodes
    bucket.keys = [PREFIX + key for key in ("r/a", odd, "r/z", "s/b")]
    assert [entry.key for entry in store.list("r")] == ["r/a", "r/z"]
    assert [entry.key for entry in store.list("")] == ["r/a", "r/z", "s/b"]
    assert [name for name in store.folders("") if name != "r"] == ["s"]
    store.folders("r")
    assert len(bucket.said) == (odd != "r/x/")  # an S3 console's folder is nothing to tell
    assert all(said.isprintable() for said in bucket.said)


def test_what_lies_outside_of_the_prefix_is_not_taken(store: Store, bucket: Lists) -> None:
    bucket.answers = [page(["elsewhere/r/x", f"{PREFIX}r/a", "repo-scans/snapshotter", ""])]
    assert store.list("") == [ListedObject("r/a", len(PREFIX) + 3)]


def test_plain_keys_are_as_they_are(store: Store, bucket: Lists) -> None:
    names = ["r/a+b", "r/a b", "r/100%", "r/%41", "r/a&b<c>", "r/…", "r/...", "r/.hidden", "r/😀", "r/\\"]
    for bucket.encodes in (True, False):
        bucket.keys = [PREFIX + name for name in names]
        assert [entry.key for entry in store.list("r")] == sorted(names)
    assert bucket.said == []


def test_pages_make_one_list(store: Store, bucket: Lists, server: Scripted) -> None:
    bucket.size = 2
    bucket.keys = [f"{PREFIX}r/{number:02d}/x" for number in range(7)]
    assert [entry.key for entry in store.list("r", after="r/01/x")] == [f"r/{n:02d}/x" for n in range(2, 7)]
    assert store.folders("r") == [f"{n:02d}" for n in range(7)]
    assert len(server.seen) == 3 + 4


def test_one_page_that_fails_is_asked_for_again_and_no_other(
    store: Store, bucket: Lists, server: Scripted
) -> None:
    bucket.size = 2
    bucket.keys = [f"{PREFIX}r/{number}" for number in range(4)]
    bucket.answers = [page(bucket.keys[:2], f"after {bucket.keys[1]}"), reply(503), reply(503)]
    assert len(store.list("r")) == 4
    assert len(server.seen) == 4


@pytest.mark.parametrize("circle", [lambda _: "a", lambda key: "b" if key.endswith("1") else "a"])
@pytest.mark.parametrize("ask", [lambda store: store.list("r"), lambda store: store.folders("r")])
def test_a_list_that_goes_in_circles_ends(
    store: Store, bucket: Lists, circle: Callable[[str], str], ask: Callable[[Store], object]
) -> None:
    bucket.size, bucket.next_token = 1, circle
    bucket.keys = [f"{PREFIX}r/{number}/x" for number in range(5)]
    with pytest.raises(Unavailable) as raised:
        ask(store)
    assert "does not end" in raised.value.message


BOMB = "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
NO_LISTS = {
    "another's page": b"<html><body>Sign in</body></html>",
    "cut off": b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents>",
    "empty": b"",
    "not all": b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
    "bomb": f'<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">{BOMB}]><ListBucketResult>&j;</ListBucketResult>'.encode(),
}


@pytest.mark.parametrize("body", NO_LISTS.values(), ids=NO_LISTS)
def test_what_is_no_list_is_not_taken_for_an_empty_one(store: Store, bucket: Lists, body: bytes) -> None:
    bucket.answers = [reply(200, {}, body)] * 10
    with pytest.raises(Unavailable) as raised:
        store.list("r")
    assert (raised.value.code, raised.value.exit_code, bool(raised.value.hint)) == ("store", 4, True)


@pytest.mark.parametrize("status", [302, 307, 308])
def test_a_list_follows_nobody_elsewhere(store: Store, bucket: Lists, status: int) -> None:
    with Scripted(lambda _: [page([])]) as elsewhere:
        bucket.answers = [reply(status, {"Location": elsewhere.url()})] * 10
        with pytest.raises(SnapshotterError) as raised:
            store.list("r")
        assert elsewhere.seen == []
    assert (raised.value.exit_code, raised.value.code) == (4, "region")


def test_a_list_goes_through_the_environments_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with Scripted(lambda _: [reply(407)]) as proxy:
        monkeypatch.setenv("https_proxy", f"http://user:s3cr3t@127.0.0.1:{proxy.port}")
        store = open_store("s3://bucket/x", env=ENV)
        store.pause = lambda *_: None
        with pytest.raises(Unavailable) as raised:
            store.list("r")
        first = proxy.seen[0]
    assert (first.method, first.target) == ("CONNECT", "bucket.s3.us-east-1.amazonaws.com:443")
    assert first.headers["proxy-authorization"].startswith("Basic ")
    assert "s3cr3t" not in str(raised.value.as_dict())


def test_the_signature_is_awss_own() -> None:
    """The vector of the S3 guide's "Authenticating requests: GET bucket (list objects)"."""
    url = "https://examplebucket.s3.amazonaws.com/?" + query_string({"prefix": "J", "max-keys": "2"})
    keys = SessionKeys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None)
    headers = signed(Signable("GET", url), "us-east-1", keys, datetime(2013, 5, 24, tzinfo=UTC))
    expected = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    assert headers["authorization"].endswith(f"Signature={expected}")


def test_the_signature_of_a_range_and_of_a_write_are_awss_own() -> None:
    """The vectors of the same page, "GET Object" and "PUT Object"."""
    keys = SessionKeys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None)
    now = datetime(2013, 5, 24, tzinfo=UTC)
    get = Signable("GET", "https://examplebucket.s3.amazonaws.com/test.txt", {"range": "bytes=0-9"})
    assert signed(get, "us-east-1", keys, now)["authorization"].endswith(
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )
    put = Signable(
        "PUT",
        "https://examplebucket.s3.amazonaws.com/test%24file.text",
        {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
        "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
    )
    assert signed(put, "us-east-1", keys, now)["authorization"].endswith(
        "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    )
