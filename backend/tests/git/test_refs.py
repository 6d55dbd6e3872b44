"""The refs ledger: what it holds survives its bytes, and nothing else reads as one."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from snapshotter.base.errors import Unavailable
from snapshotter.git.ref_names import named, valid_name
from snapshotter.git.refs import Ref, RefsLedger, is_oid, parse_ledger
from snapshotter.git.selection import clashing
from tests.support.git import ENV, Origin

A, B, C = "a" * 40, "b" * 40, "c" * 40

hexes = st.text(alphabet="0123456789abcdef", min_size=1, max_size=40).map(lambda text: text.rjust(40, "0"))
names = (
    st.one_of(
        st.binary(min_size=1, max_size=12),
        st.text(alphabet="ab/-._@{\u00e9\u4e2d", min_size=1, max_size=12).map(str.encode),
    )
    .map(lambda tail: b"refs/heads/" + tail)
    .filter(valid_name)
)


@st.composite
def ledgers(draw: st.DrawFn, length: int = 40) -> RefsLedger:
    oids = hexes.map(lambda text: text.rjust(length, "0"))
    chosen = draw(st.lists(names, unique=True, max_size=8))
    refs = [
        Ref(name, draw(oids), draw(st.none() | oids), draw(st.none() | st.sampled_from(chosen)))
        for name in chosen
    ]
    head = draw(st.none() | st.sampled_from([b"refs/heads/not-yet", *chosen]))
    return RefsLedger.build(refs, head, None if head else draw(st.none() | oids))


@given(st.one_of(ledgers(), ledgers(length=64)))
def test_a_ledger_survives_its_bytes(ledger: RefsLedger) -> None:
    again = parse_ledger(ledger.encoded)
    assert again == ledger
    assert (again.sha256, again.tips, dict(again.oids)) == (ledger.sha256, ledger.tips, dict(ledger.oids))


@given(ledgers(), st.data())
@settings(max_examples=200)
def test_other_bytes_are_refused_or_another_ledger(ledger: RefsLedger, data: st.DataObject) -> None:
    spoiled = bytearray(ledger.encoded)
    if not spoiled:
        return
    at = data.draw(st.integers(0, len(spoiled) - 1))
    spoiled[at] ^= data.draw(st.integers(1, 255))
    try:
        other = parse_ledger(bytes(spoiled))
    except Unavailable as error:
        assert error.code == "bad-refs"
    else:
        assert other.encoded == bytes(spoiled)
        assert other != ledger


@given(st.binary(max_size=200))
@example(b"\n")
@example(b"^" + A.encode() + b"\n")
@example(b"@refs/heads/a refs/heads/b\n")
def test_any_bytes_are_a_ledger_or_refused(data: bytes) -> None:
    try:
        assert parse_ledger(data).encoded == data
    except Unavailable as error:
        assert error.hint


def test_every_kind_of_line() -> None:
    refs = [
        Ref(b"refs/tags/v1", A, peeled=B),
        Ref(b"refs/heads/alias", B, symref=b"refs/heads/main"),
        Ref(b"refs/heads/main", B),
        Ref(b"refs/heads/\xff\xfe", C),
    ]
    ledger = RefsLedger.build(refs, b"refs/heads/main")
    assert ledger.encoded == (
        b"@refs/heads/main HEAD\n"
        b"%b refs/heads/alias\n@refs/heads/main refs/heads/alias\n"
        b"%b refs/heads/main\n%b refs/heads/\xff\xfe\n"
        b"%b refs/tags/v1\n^%b\n" % (B.encode(), B.encode(), C.encode(), A.encode(), B.encode())
    )
    assert ledger.branch_tips == {B, C}
    assert ledger.tips == {A, B, C}


def test_heads_of_each_sort() -> None:
    main = Ref(b"refs/heads/main", A)
    dangling = RefsLedger.build([main], b"refs/heads/not-yet")
    detached = RefsLedger.build([main], None, B)
    neither = RefsLedger.build([main])
    assert [ledger.head_text for ledger in (dangling, detached, neither)] == ["refs/heads/not-yet", B, None]
    assert len({ledger.sha256 for ledger in (dangling, detached, neither)}) == 3
    assert detached.oids[b"HEAD"] == B
    assert B in detached.tips
    assert all(parse_ledger(ledger.encoded) == ledger for ledger in (dangling, detached, neither))


def test_an_alias_of_a_ref_that_is_not_there_is_a_plain_ref() -> None:
    ledger = RefsLedger.build([Ref(b"refs/heads/a", A, symref=b"refs/heads/gone")])
    assert ledger.refs == (Ref(b"refs/heads/a", A),)


def _listed(*refs: str) -> list[Ref]:
    """Refs as `name`, or `name>target` for aliases, all of A; `name=` or `name>target=` are of B."""
    made = []
    for text in refs:
        name, _, target = text.rstrip("=").partition(">")
        prefixed = b"refs/heads/" + target.encode() if target else None
        made.append(Ref(b"refs/heads/" + name.encode(), B if text.endswith("=") else A, symref=prefixed))
    return made


@pytest.mark.parametrize(
    ("listed", "kept"),
    [
        (["main", "a>main"], "a"),
        (["main=", "a>main="], "a"),
        (["main", "a>main="], ""),  # a push between the two lines
        (["main=", "a>main"], ""),
        (["main", "a>main", "b>main="], "a"),
        (["main", "a>b", "b>main"], "b"),  # git itself names the last of a row
        (["a>a"], ""),
        (["a>b", "b>a"], ""),
        (["a>b", "b>c", "c>a", "main", "d>main"], "d"),
        (["main", "a>main", "a/b>main"], ""),
        (["main", "a>main", "a/b/c"], ""),
        (["main", "a", "a/b>main"], ""),
        (["main", "a", "a/b/c>main", "a-b>main", "ab>main"], "a-b ab"),
        (["main", "main/x>main"], ""),
        (["main", "deep/er/x>main", "deep/y>main"], "deep/er/x deep/y"),
        (["main", "n" * 250 + ">main"], "n" * 250),
        (["main", "n" * 251 + ">main"], ""),
        (["main", "n" * 251 + "/x>main"], ""),
        (["main", "/".join(["n" * 200] * 6) + ">main"], ""),
        (["n" * 300, "a>" + "n" * 300], "a"),
    ],
)
def test_an_alias_is_one_only_where_it_can_be_restored_as_one(listed: list[str], kept: str) -> None:
    refs = _listed(*listed)
    ledger = RefsLedger.build(refs)
    assert sorted(ref.name for ref in ledger if ref.symref) == [
        b"refs/heads/" + n.encode() for n in kept.split()
    ]
    assert dict(ledger.oids) == {ref.name: ref.oid for ref in refs}
    assert ledger.restorable is ledger
    assert parse_ledger(ledger.encoded) == ledger


def test_the_folder_of_all_branches_is_no_alias() -> None:
    refs = [Ref(b"refs/tags/v1", A), Ref(b"refs/heads", A, symref=b"refs/tags/v1")]
    assert not any(ref.symref for ref in RefsLedger.build(refs))


def test_a_ledger_of_before_is_read_as_it_was_written() -> None:
    """Releases of schema 1 kept every alias that was listed: their bytes and digest stay, their refs restore."""
    written = RefsLedger(tuple(sorted(_listed("main=", "a>main", "b>b"))))
    read = parse_ledger(written.encoded)
    assert (read.encoded, read.sha256) == (written.encoded, written.sha256)
    assert not any(ref.symref for ref in read.restorable)
    assert dict(read.restorable.oids) == dict(written.oids)


@pytest.mark.parametrize(("count", "text"), [(1, "refs/a0"), (3, "refs/a0, refs/a1, refs/a2"), (5, "2 more")])
def test_refs_in_words(count: int, text: str) -> None:
    assert text in named([b"refs/a%d" % number for number in range(count)])


@pytest.mark.parametrize(
    "data",
    [
        b"refs/heads/a\n",
        b"%b refs/heads/a" % A.encode(),  # no line end
        b"%b refs/heads/a\r\n" % A.encode(),
        b"%b  refs/heads/a\n" % A.encode(),
        b"%b refs/heads/b\n%b refs/heads/a\n" % (A.encode(), A.encode()),  # not sorted
        b"%b refs/heads/a\n%b refs/heads/a\n" % (A.encode(), B.encode()),
        b"%b refs/heads/a\n%b refs/heads/b\n" % (A.encode(), b"1" * 64),
        b"%b refs/heads/..\n" % A.encode(),
        b"%b heads/a\n" % A.encode(),
        b"%b refs/heads/a\n" % A.upper().encode(),
        b"%b refs/heads/a\n\n" % A.encode(),
        b"%b HEAD\n%b refs/heads/a\n" % (b"1" * 64, A.encode()),
        b"@refs/heads/a HEAD\n@refs/heads/b HEAD\n",
        b"@../../etc/passwd HEAD\n",
        b"@ HEAD\n",
    ],
)
def test_bad_ledgers_are_refused(data: bytes) -> None:
    with pytest.raises(Unavailable) as raised:
        parse_ledger(data)
    assert raised.value.code == "bad-refs"


@pytest.mark.parametrize(
    "name", [b"refs/heads/a\nb", b"HEAD", b"refs/heads/../../x", b"refs/heads/a.lock", b"-x"]
)
def test_names_that_git_refuses_are_refused_from_an_origin_too(name: bytes) -> None:
    with pytest.raises(Unavailable) as raised:
        RefsLedger.build([Ref(name, A)])
    assert "\n" not in raised.value.message


@given(
    st.lists(
        st.binary(min_size=1, max_size=8).filter(lambda name: b"\0" not in name), min_size=20, max_size=20
    )
)
@settings(max_examples=8, deadline=None)
def test_names_are_judged_as_git_judges_them(tails: list[bytes]) -> None:
    odd = [
        b"a.lock",
        b"a.lock/b",
        b".a",
        b"a/.b",
        b"a.",
        b"a..b",
        b"a//b",
        b"a/",
        b"@",
        b"@{",
        b"a@{b",
        b"-a",
        b"a~",
        b"\xff",
        b"a b",
    ]
    for tail in [*tails, *odd]:
        name = b"refs/heads/" + tail
        git = subprocess.run(["git", "check-ref-format", name], env=ENV, check=False)
        assert valid_name(name) == (git.returncode == 0), name


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        (b"a" * 40, True),
        (b"0" * 64, True),
        (b"a" * 40 + b"\n", False),
        (b"a" * 41, False),
        (b"A" * 40, False),
        (b"", False),
    ],
)
def test_object_ids(text: bytes, fine: bool) -> None:
    assert is_oid(text) == fine


def test_a_ledger_is_what_git_lists(tmp_path: object) -> None:
    repo = Origin(tmp_path / "x.git")  # type: ignore[operator]
    repo.commit_tree(ref="refs/heads/main")
    repo.git("tag", "-a", "-m", "t", "v1")
    ledger = RefsLedger.build([Ref(name, oid) for name, oid in repo.refs().items()])
    assert dict(parse_ledger(ledger.encoded).oids) == repo.refs()


def test_refs_that_lie_in_one_another() -> None:
    ledger = RefsLedger.build(
        Ref(b"refs/" + name, A)
        for name in (b"heads/a", b"heads/a/b/c", b"heads/a-b", b"heads/ab/c", b"tags/a/b")
    )
    assert clashing(ledger) == [b"refs/heads/a/b/c"]
    assert clashing(RefsLedger()) == []
