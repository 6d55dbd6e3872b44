"""The report: what it says, what it withstands, and how large it gets."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snapshotter.archive.manifest import Gap, RefChange, RefChangeList, RefChanges
from snapshotter.scan import report
from snapshotter.scan.columns import COLUMNS
from snapshotter.scan.report.html import element
from tests.scan.by_hand import facts, hostile, tables

HOSTILE = [
    "</style><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title></svg><iframe src=//evil.example>",
    "<!-- --!> ]]> <![CDATA[",
    "&lt;b&gt; &#60;script&#62; &amp",
    "javascript:alert(1)",
    "a\x00b\x1b[31m\x7f\r\n\t\u202egpj.exe\u2066\u200b\ufeff\U000e0041\u0085",
    "\\udc80 \ufffe e\u0301\u0301\u0301\u0301\u0301\u0301",
    "`${x}` {{7*7}} <%= 1 %>",
]


class Structure(HTMLParser):
    """The elements, attributes and text of a page, as a browser's tokens would be."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(page.decode("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.links += [
            value or "" for name, value in attrs if name in ("href", "src", "xlink:href", "action", "srcset")
        ]
        if tag not in ("meta", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    def handle_comment(self, data: str) -> None:
        self.unbalanced.append("comment " + data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def page(told=None, held=None) -> Structure:
    return Structure(report.render(told or facts(), held or tables()))


def shape(found: Structure) -> list[tuple[str, tuple[str, ...]]]:
    """Elements and attributes in order, less what depends on how a text is broken or fits a tile."""
    return [tag for tag in found.tags if tag[0] not in ("wbr", "text")]


@pytest.fixture(scope="module")
def harmless() -> Structure:
    return page(*hostile("word"))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_text_wherever_it_stands(text: str, harmless: Structure) -> None:
    found = page(*hostile(text))
    assert not found.unbalanced
    assert not found.open
    assert set(found.tags) <= set(harmless.tags)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.one_of(st.sampled_from("<>&\"'`=-! \\#;"), st.characters()), min_size=1, max_size=40))
def test_no_text_makes_an_element_or_an_attribute(harmless: Structure, text: str) -> None:
    # a slash makes folders, and with them frames; no README, of which only what says something is quoted
    text = "x" + text.replace("/", "<").encode("utf-8", "backslashreplace").decode() + "x"
    told, held = hostile(text)
    plain, rows = hostile("word")
    assert shape(page(replace(told, readme=None), held)) == shape(page(replace(plain, readme=None), rows))


def test_an_attribute_is_escaped() -> None:
    made = element("a", "x", title="\" onclick='x'><b>`", class_=None, tabindex=0)
    assert made == '<a title="&quot; onclick=&#39;x&#39;&gt;&lt;b&gt;&#96;" tabindex="0">x</a>'


def test_nothing_is_fetched_or_run_and_only_what_is_beside_is_linked() -> None:
    data = report.render(*hostile("https://evil.example/x"))
    found = Structure(data)
    beside = {f"scan/{name}.parquet" for name in COLUMNS}
    anchors = {*found.links} - beside
    assert all(link.startswith("#") for link in anchors)
    assert {link[1:] for link in anchors} <= set(re.findall(r'id="([^"]+)"', data.decode()))
    names = {name for _, attributes in found.tags for name in attributes}
    assert not {name for name in names if name.startswith("on")} and "style" not in names
    assert not {tag for tag, _ in found.tags} & {"script", "link", "img", "iframe", "object", "base", "form"}
    assert b"url(" not in data and b"@import" not in data


def test_the_policy_allows_the_style_sheet_by_its_digest_and_nothing_else() -> None:
    data = report.render(facts(), tables()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', data)
    sheet = re.search(r"<style>(.*?)</style>", data, re.S)
    assert policy and sheet
    digest = base64.b64encode(hashlib.sha256(sheet.group(1).encode()).digest()).decode()
    assert policy.group(1).split("; ")[:2] == ["default-src 'none'", f"style-src 'sha256-{digest}'"]
    assert "unsafe" not in policy.group(1)


def test_what_cannot_be_seen_is_shown() -> None:
    held = tables(files=[{"path": "a\u202egpj.py\x1b[31m\n\U000e0041.py"}])
    text = page(facts(), held).text
    assert "a\\u202egpj.py\\x1b[31m\\n\\U000e0041.py" in text


def test_ids_are_unique_and_every_chart_has_a_name_and_a_description() -> None:
    data = report.render(
        facts(), tables(files=[{"path": "a.py"}, {"path": "b/c.go", "language": "Go"}])
    ).decode()
    ids = re.findall(r' id="([^"]+)"', data)
    assert len(ids) == len(set(ids))
    for said in re.findall(r'role="img" aria-labelledby="([^"]+)"', data):
        assert set(said.split()) <= set(ids)
    assert data.count('role="img"') == 3
    assert data.count("<table>") == data.count("<caption")
    assert re.findall(r"<h1", data) == ["<h1"]


def test_it_says_what_was_proven_and_what_was_not() -> None:
    text = page().text
    assert "ab" * 20 + ", verified in the stream" in text
    assert "None of this shows that the history restores" in text
    assert "snapshotter verify example.org__team__shop@20261124T224632Z-4c1b63a5" in text
    unchanged = page(facts(kind="unchanged", history=None, parent="20261123T000000Z-00000000")).text
    assert "No history was asked for" in unchanged
    assert "verified in the stream" not in unchanged


def test_an_empty_repository_has_a_page() -> None:
    found = page(facts(kind="empty", history=None, refs=0, chain=0))
    assert not found.unbalanced
    assert "The origin has no refs" in found.text
    assert "No file of a known language was read." in found.text
    assert "There is no scan of a snapshot before this one" in found.text


def test_changes_since_the_parent() -> None:
    before = {
        "files": [
            {"path": "a.py", "lines": 10, "blob": "1"},
            {"path": "old.py", "blob": "2"},
            {"path": "gone.py"},
        ],
        "dependencies": [
            {"path": "uv.lock", "name": "rich", "version": "14.0"},
            {"path": "uv.lock", "name": "six"},
        ],
        "symbols": [{"path": "a.py", "name": "f", "signature": "def f(x)"}],
        "secrets": [{"path": "k.py", "fingerprint": "f" * 64}],
    }
    held = tables(
        before,
        files=[{"path": "a.py", "lines": 4, "blob": "3"}, {"path": "new.py", "blob": "2"}],
        dependencies=[{"path": "uv.lock", "name": "rich", "version": "15.0"}],
        symbols=[{"path": "a.py", "name": "f", "signature": "def f(x, y)"}],
        secrets=[{"path": "k.py", "fingerprint": "e" * 64}],
    )
    refs = RefChanges(
        moved=RefChangeList(count=1, refs=[RefChange(ref="refs/heads/x", old="a" * 40, new="b" * 40)]),
        rewritten=RefChangeList(count=1, refs=[RefChange(ref="refs/heads/x", old="a" * 40, new="b" * 40)]),
    )
    told = facts(
        compared="20261123T000000Z-00000000", parent="20261123T000000Z-00000000", keyed=True, ref_changes=refs
    )
    text = page(told, held).text
    assert "Files: 1 removed, 1 moved, 1 changed" in text
    assert "Dependencies: 1 up, 1 removed" in text
    assert "Symbols: 1 changed" in text
    assert "Secrets: 1 new, 1 gone" in text
    assert "Refs: 1 rewritten, 1 moved" in text
    assert text.count("refs/heads/x") == 1
    assert "def f(x)" in text and "−6 lines" in text


def test_a_finding_that_stays_is_no_change_and_not_none() -> None:
    leak = {"path": "k.py", "fingerprint": "f" * 64}
    told = facts(compared="20261123T000000Z-00000000", parent="20261123T000000Z-00000000", keyed=True)
    text = page(told, tables({"secrets": [leak]}, files=[{"path": "new.py"}], secrets=[leak])).text
    assert "Secrets: no change." in text and "Secrets: none." not in text


def test_a_readme_is_shown_without_its_marks() -> None:
    told = facts(readme=("README.md", "# Shop\n\n**Shop** runs `sell` & ``<path>``. " + "Long. " * 60))
    html = report.render(told, tables()).decode()
    assert "Shop runs <code>sell</code> &amp; <code>&lt;path&gt;</code>. Long." in html
    assert html.count("Long.") == 60


def test_of_a_secret_only_the_start_of_a_fingerprint_is_shown() -> None:
    mark = "0123456789abcdef" * 4
    text = page(facts(keyed=True), tables(secrets=[{"path": "a.py", "fingerprint": mark}])).text
    assert mark[:12] in text and mark[:13] not in text


def test_a_readme_with_a_secret_is_not_quoted() -> None:
    told = facts(readme=("README.md", "# Shop\n\nUse the key hunter2hunter2."))
    assert "hunter2" in page(told).text
    assert "hunter2" not in page(told, tables(secrets=[{"path": "README.md", "fingerprint": "f"}])).text


def test_a_huge_repository_has_a_bounded_page_that_counts_what_it_left_out() -> None:
    long = "/".join(["d" * 200] * 19)
    held = tables()
    held.execute(
        f"INSERT INTO files (path, kind, bytes, language, code, lines, complexity, skip_reason, parse_error) "
        f"SELECT '{long}' || i, 'file', i, 'L' || (i % 500), i, i, i, NULL, 'error ' || i FROM range(3000) t(i)"
    )
    held.execute(
        f"INSERT INTO dependencies SELECT '{long}' || i, '', 'pypi', 'p' || i, NULL, repeat('9', 400), 'runtime', "
        "true, '' FROM range(3000) t(i)"
    )
    held.execute(
        f"INSERT INTO secrets SELECT '{long}' || i, '', 'r', i, 'high', md5(i::VARCHAR) FROM range(3000) t(i)"
    )
    many = RefChangeList(
        count=70_000, refs=[RefChange(ref="r" * 4000 + str(n), new="a" * 40) for n in range(1000)]
    )
    gaps = [Gap(kind="k" * 4000, count=9, sample=["s" * 4000] * 50)] * 300
    data = report.render(facts(compared="x", ref_changes=RefChanges(created=many), gaps=gaps), held)
    assert len(data) < 1_500_000
    text = Structure(data).text
    assert "… and 2,800 more, all in scan/secrets.parquet" in text
    assert "… and 2,800 more, all in scan/dependencies.parquet" in text
    assert "Refs: 70,000 created" in text and "… and 69,940 more, all in manifest.json" in text
    assert "… and 100 more" in text


def test_the_same_facts_and_rows_in_any_order_give_the_same_bytes() -> None:
    files = [
        {"path": f"{folder}/{n}.py", "code": n % 3, "complexity": n % 4}
        for folder in "abc"
        for n in range(30)
    ]
    symbols = [{"path": one["path"], "name": f"f{n % 7}"} for n, one in enumerate(files)]
    first = tables(files=files, symbols=symbols)
    second = tables(files=files[::-1], symbols=symbols[::-1])
    assert report.render(facts(), first) == report.render(facts(), second)


def test_it_says_what_was_searched_for_secrets_and_which_manifests_nobody_reads() -> None:
    gap = Gap(kind="manifests-unread", count=7, sample=["mix.exs"])
    page = report.render(facts(ref="refs/heads/dev", gaps=[gap]), tables()).decode()
    assert "Only the tree of <code>refs/heads/dev</code> was searched for secrets" in page
    assert "Manifests that were not read" in page and "mix.exs" in page and "and 6 more" in page
    failed = Gap(kind="scanner-failed", count=1, sample=["kingfisher crashed"])
    assert "The search for secrets failed" in report.render(facts(gaps=[failed]), tables()).decode()


COMMIT = "c0ffee" * 6 + "c0ff"
FILE = [{"path": "src/a b#?.py"}, {"path": "a/../b.py"}, {"path": "odd\\xff.py"}]


def outside(origin: str, **rows: list[dict[str, object]]) -> set[str]:
    """The links of a page that lead away from it."""
    found = Structure(report.render(facts(origin=origin), tables(**{"files": FILE, **rows})))
    return {link for link in found.links if not link.startswith(("#", "scan/"))}


@pytest.mark.parametrize(
    ("origin", "links"),
    [
        ("https://github.com/psf/requests", ["", "/commit/{c}", "/blob/{c}/src/a%20b%23%3F.py"]),
        ("git@github.com:psf/requests.git", ["", "/commit/{c}", "/blob/{c}/src/a%20b%23%3F.py"]),
        ("ssh://git@github.com:22/psf/requests", ["", "/commit/{c}", "/blob/{c}/src/a%20b%23%3F.py"]),
        ("https://gitlab.com/a/b/c", ["", "/-/commit/{c}", "/-/blob/{c}/src/a%20b%23%3F.py"]),
        ("https://bitbucket.org/a/b", ["", "/commits/{c}", "/src/{c}/src/a%20b%23%3F.py"]),
        ("https://codeberg.org/a/b", ["", "/commit/{c}", "/src/commit/{c}/src/a%20b%23%3F.py"]),
    ],
)
def test_paths_lead_to_a_known_hosts_page_of_the_commit(origin: str, links: list[str]) -> None:
    _, host, path = re.fullmatch(r"(.*@|https://)([\w.]+)[:/](?:22/)?(.*?)(?:\.git)?", origin).groups()
    assert outside(origin) == {f"https://{host}/{path}" + link.format(c=COMMIT) for link in links}


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.org/a/b",
        "https://github.com.evil.example/a/b",
        "https://evil.example/github.com/a/b",
        "https://github.com@evil.example/a/b",
        "https://github.com/../a",
        "/home/github.com/a/b",
        "javascript:alert(1)",
        "http://github.com/a/b",
    ],
)
def test_no_other_origin_is_linked(origin: str) -> None:
    assert outside(origin) == set()


def test_a_line_is_linked_and_what_is_gone_is_not() -> None:
    leak = {"rule": "r", "fingerprint": "f"}
    before = {"secrets": [{"path": "gone.py", **leak}], "files": [{"path": "gone.py"}]}
    held = tables(before, secrets=[{"path": "here.py", "line": 7, **leak}], files=[{"path": "here.py"}])
    told = facts(origin="https://github.com/a/b", compared="20261123T000000Z-00000000")
    page = report.render(told, held).decode()
    assert f'href="https://github.com/a/b/blob/{COMMIT}/here.py#L7" rel="noreferrer"' in page
    assert "gone.py" in page and "/gone.py" not in page


def test_a_long_link_is_no_link_rather_than_a_cut_one() -> None:
    assert not [
        link
        for link in outside("https://github.com/a/b", files=[{"path": "x/" * 300 + "y"}])
        if "blob" in link
    ]


def test_the_headline_of_a_local_origin_says_what_it_is() -> None:
    page = report.render(
        facts(origin="/srv/code/shop", repo="local__srv__code__shop-0123abcd"), tables()
    ).decode()
    assert "<h1>shop</h1>" in page
    assert "of <code>/srv/code/shop</code>, a folder of the machine that took it" in page
    assert "<h1>example.org<wbr>__team" in report.render(facts(), tables()).decode()


def test_lists_are_sorted_by_what_they_show() -> None:
    needs = [
        {"path": "a.txt", "name": "zebra"},
        {"path": "z.txt", "name": "Ant"},
        {"path": "m.txt", "name": "mole"},
    ]
    gaps = [Gap(kind="submodules", count=1), Gap(kind="lfs", count=9)]
    page = report.render(facts(gaps=gaps), tables(dependencies=needs)).decode()
    shown = [page.index(f"<code>{name}</code>") for name in ("Ant", "mole", "zebra")]
    assert shown == sorted(shown) and page.index(">lfs<") < page.index(">submodules<")
