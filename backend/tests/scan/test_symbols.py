"""Symbols and imports: golden tables for every language, and input that is meant to hurt."""

from __future__ import annotations

import resource
import threading
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from snapshotter.scan.symbols.analysis import MAX_BYTES, MAX_ROWS, analyze
from snapshotter.scan.symbols.imports import split_path
from snapshotter.scan.symbols.languages import LANGUAGES, refine
from snapshotter.scan.symbols.parsing import compiled
from snapshotter.scan.symbols.rewriting import readable
from tests.scan import golden

ALL = sorted({*LANGUAGES})
GRAMMARS = sorted({*LANGUAGES.values()})


@pytest.mark.parametrize("name", golden.LANGUAGES)
def test_a_source_file_gives_its_golden_rows(name: str) -> None:
    assert golden.symbols(name) == golden.stored("symbols")[name]


def test_every_language_has_a_golden_table_that_parses() -> None:
    assert {refine("TypeScript", "a.tsx"), *golden.LANGUAGES.values()} <= {*LANGUAGES}
    assert {LANGUAGES[language] for language in golden.LANGUAGES.values()} == {*GRAMMARS}
    assert all(block.startswith(f"{name}: parsed\n") for name, block in golden.stored("symbols").items())


@pytest.mark.parametrize("name", GRAMMARS)
def test_every_pattern_has_a_role_and_some_are_definitions_and_imports(name: str) -> None:
    query, roles = compiled(name).query, compiled(name).roles
    assert len(roles) == query.pattern_count
    assert any(role.startswith("definition.") for role in roles)
    assert {"import", "import.path"} & {*roles}


def test_a_tsx_file_is_not_read_as_typescript() -> None:
    blob = b"const a = <b>{c}</b>;\n"
    assert analyze(blob, refine("TypeScript", "src/A.TSX")).parsed
    assert not analyze(blob, refine("TypeScript", "src/a.ts")).parsed


def test_a_header_with_classes_is_read_as_cplusplus() -> None:
    found = analyze(b"namespace shop {\nclass Item { int x; };\n}\n", "C Header")
    assert [one.qualified_name for one in found.symbols] == ["shop", "shop::Item", "shop::Item::x"]


def test_php_takes_files_in_as_people_write_it() -> None:
    blob = b"""<?php
require "a.php"; require_once __DIR__ . "/b.php"; include(dirname(__FILE__) . '/c.php'); include_once ('d.php');
include "$x.php"; require $y . "/e.php"; include $z;
"""
    found = [(item.module, item.line) for item in analyze(blob, "PHP").imports]
    assert found == [("a.php", 2), ("/b.php", 2), ("/c.php", 2), ("d.php", 2), ("/e.php", 3)]


def test_a_file_that_does_not_parse_is_recorded_with_what_could_be_read() -> None:
    found = analyze(b"def good():\n    pass\n\ndef bad(:\n", "Python")
    assert found.error == "does not parse cleanly"
    assert "good" in [one.name for one in found.symbols]


@pytest.mark.parametrize(
    ("header", "signature"),
    [
        (b"class A\nconstructor(x: Int)", "class A constructor(x: Int)"),
        (b"class A\n\n    internal\n    constructor (x: Int)", "class A internal constructor (x: Int)"),
        (
            b"data class A<T : Any>\n@Inject\nprivate constructor(x: T)",
            "data class A<T : Any> @Inject private constructor(x: T)",
        ),
        (
            b'class A // why\n/* and\nhow */ @V(of("("), 1) public constructor(x: T)',
            'class A @V(of("…"), 1) public constructor(x: T)',
        ),
        (b'class A\n@V("hunter2") constructor(x: T)', "class A (x: T)"),
        (b"class A\n// a = 'b'\nconstructor(x: T)", "class A (x: T)"),
        (b"class A\n(x: Int)", "class A (x: Int)"),
        (b"class A\n/* why */\nconstructor(x: Int)", "class A (x: Int)"),
        (b"class A\npublic constructor(x: Int)", "class A public constructor(x: Int)"),
        (b"class A\nprotected constructor()", "class A protected constructor()"),
        (b"expect class A\nexpect constructor(x: Int)", "expect class A expect constructor(x: Int)"),
        (b"class `a b`\nconstructor()", "class `a b` constructor()"),
        (b"class `a b`\n(x: Int)", "class `a b` (x: Int)"),
        (b"class A(val x: Int)", "class A(val x: Int)"),
    ],
)
def test_a_kotlin_class_keeps_its_body_wherever_its_constructor_is_written(
    header: bytes, signature: str
) -> None:
    found = analyze(
        header + b" : B() {\n    fun a() {}\n    fun b() { c { it } }\n}\nclass D { fun e() {} }\n", "Kotlin"
    )
    lines = header.count(b"\n") + 1
    assert found.parsed
    assert [
        (one.kind, one.name, one.line, one.end_line) for one in found.symbols if one.kind != "property"
    ] == [
        ("class", "`a b`" if b"`" in header else "A", 1, lines + 3),
        ("method", "a", lines + 1, lines + 1),
        ("method", "b", lines + 2, lines + 2),
        ("class", "D", lines + 4, lines + 4),
        ("method", "e", lines + 4, lines + 4),
    ]
    assert found.symbols[0].signature == f"{signature} : B()"


def test_a_kotlin_constructor_on_the_same_line_is_read_as_it_is_written() -> None:
    found = analyze(b"class A internal constructor(x: Int) : B() {\n    fun a() {}\n}\n", "Kotlin")
    assert found.parsed
    assert [one.signature for one in found.symbols] == [
        "class A internal constructor(x: Int) : B()",
        "fun a()",
    ]


@pytest.mark.parametrize("kind", ["class", "interface", "object"])
def test_a_kotlin_body_on_one_line_may_end_without_a_semicolon(kind: str) -> None:
    found = analyze(f"{kind} A {{ fun b() {{}} }}\n{kind} C {{ }}\nfun d() {{}}\n".encode(), "Kotlin")
    assert found.parsed
    assert [(one.kind, one.name, one.line) for one in found.symbols] == [
        (kind, "A", 1),
        ("method", "b", 1),
        (kind, "C", 2),
        ("function", "d", 3),
    ]


def test_a_kotlin_class_keeps_its_body_whatever_annotates_an_accessor() -> None:
    accessor = b'  var size\n    @JvmName("size")\n    @get:A(b = f("x"))\n    get() = 1\n    @B\n    set(v) { c(v) }\n'
    found = analyze(b"class A {\n" + accessor + b"\n  fun b() {}\n}\n", "Kotlin")
    assert found.parsed
    assert [(one.kind, one.name, one.line, one.signature) for one in found.symbols] == [
        ("class", "A", 1, "class A"),
        ("property", "size", 2, "var size"),
        ("method", "b", 9, "fun b()"),
    ]


def test_kotlin_is_rewritten_for_the_grammar_without_moving_a_line() -> None:
    source = (golden.FIXTURES / "symbols" / "kotlin.kt").read_bytes()
    rewritten = readable("kotlin", source)
    assert rewritten != source
    assert [*map(len, (rewritten, rewritten.splitlines()))] == [*map(len, (source, source.splitlines()))]
    string = b'class A { val a = "${ b }" }\nval c = "class D\\nconstructor"\n'
    assert readable("kotlin", string) == string
    assert readable("java", source) == source


@pytest.mark.parametrize(
    ("blob", "language", "error"),
    [
        (b"x", "Brainfuck", "no grammar for Brainfuck"),
        (b"a = 1\n" * (MAX_BYTES // 6 + 1), "Python", f"larger than {MAX_BYTES:,} bytes"),
        (b"a = 1\0", "Python", "binary content"),
        (b"a = 1\n" * (MAX_ROWS + 1), "Python", f"more than {MAX_ROWS:,} rows"),
        (b"{" * 200_000, "Python", "is one syntax error from start to end"),
    ],
    ids=["language", "size", "binary", "rows", "flat"],
)
def test_what_is_not_read_says_why(blob: bytes, language: str, error: str) -> None:
    found = analyze(blob, language)
    assert found.error == error
    assert len(found.symbols) <= MAX_ROWS


@pytest.mark.parametrize(
    "blob",
    [b"def caf\xc3\xa9(): pass", b"\xef\xbb\xbfdef caf\xc3\xa9(): pass", "def café(): pass".encode("utf-16")],
    ids=["utf-8", "bom", "utf-16"],
)
def test_encodings_give_the_same_name(blob: bytes) -> None:
    assert [one.name for one in analyze(blob, "Python").symbols] == ["café"]


def test_bytes_that_are_not_utf8_are_spelled_out() -> None:
    found = analyze(b'def f():\n    "\xff"\n', "Python")
    assert found.symbols[0].doc == "\\xff"


def test_a_comment_at_the_end_of_another_line_documents_nothing() -> None:
    found = analyze(b"int x; /* of x */\nint y;\n/* of z */\nint z;\n", "C")
    assert [one.doc for one in found.symbols] == [None, None, "of z"]


@pytest.mark.parametrize(
    ("source", "language", "doc"),
    [
        (
            'def f():\n    """Sells things\n    to people. At once.\n    """\n',
            "Python",
            "Sells things to people.",
        ),
        ('def f():\n    """\n    Sells\n    all\n\n    More.\n    """\n', "Python", "Sells all"),
        ('def f():\n    """Sells\n    :param x: what\n    """\n', "Python", "Sells"),
        ('def f():\n    """Sells\n    Args:\n        x: what\n    """\n', "Python", "Sells"),
        (
            "/**\n * Sells things, e.g. apples,\n * in 1.5 s! Now.\n * @param x what\n */\nvoid f() {}\n",
            "C",
            "Sells things, e.g. apples, in 1.5 s!",
        ),
        ("// F sells\n// things. And more.\n//\n// Last.\nfunc F() {}\n", "Go", "F sells things."),
        ("# Sells\n# things\n# @return [X]\ndef f; end\n", "Ruby", "Sells things"),
        ("/// Sells\n/// things\nfn f() {}\n", "Rust", "Sells things"),
        ("// " + "a" * 300 + ".\nfunc F() {}\n", "Go", "a" * 240),
    ],
)
def test_documentation_is_its_first_sentence(source: str, language: str, doc: str) -> None:
    source = f"package a\n{source}" if language == "Go" else source
    assert analyze(source.encode(), language).symbols[0].doc == doc


def test_long_names_signatures_and_documentation_are_cut() -> None:
    long = b"a" * 300_000
    found = analyze(b"def " + long + b"(x=" + long + b'):\n    "' + long + b'"\n', "Python").symbols[0]
    assert max(map(len, (found.name, found.qualified_name, found.signature or "", found.doc or ""))) <= 512


@settings(max_examples=150, deadline=None)
@given(blob=st.binary(max_size=400), language=st.sampled_from(ALL))
def test_any_bytes_in_any_language_give_rows(blob: bytes, language: str) -> None:
    found = analyze(blob, language)
    assert found == analyze(blob, language)
    lines = blob.count(b"\n") + 1
    assert (
        all(1 <= one.line <= one.end_line <= lines for one in found.symbols)
        or b"\0" in blob
        or blob[:2] in (b"\xff\xfe", b"\xfe\xff")
    )


_SOURCES = [(golden.FIXTURES / "symbols" / name, language) for name, language in golden.LANGUAGES.items()]


@settings(max_examples=150, deadline=None)
@given(
    source=st.sampled_from(_SOURCES),
    cut=st.integers(0, 1500),
    length=st.integers(0, 200),
    data=st.binary(max_size=5),
)
@example(source=(golden.FIXTURES / "symbols" / "Java.java", "Java"), cut=17, length=200, data=b"")
def test_damaged_sources_give_rows(source: tuple[Path, str], cut: int, length: int, data: bytes) -> None:
    path, language = source
    blob = path.read_bytes()
    found = analyze(blob[:cut] + data + blob[cut + length :], language)
    assert all(one.name and one.qualified_name.endswith(one.name[-50:]) for one in found.symbols)


def test_threads_have_parsers_of_their_own() -> None:
    expected = analyze(_SOURCES[0][0].read_bytes(), "Python")
    results: list[object] = []

    def work() -> None:
        results.extend(analyze(_SOURCES[0][0].read_bytes(), "Python") for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 200


@pytest.mark.parametrize(
    ("text", "separator", "expected"),
    [
        ("std::io::{self, Read as R}", "::", ("std::io", ("self", "Read"))),
        ("a::{b::{c, d::{e}}, f}", "::", ("a", ("b::c", "b::d::e", "f"))),
        ("import static java.lang.Math.max;", ".", ("java.lang.Math.max", ())),
        ("import java.util.*", ".", ("java.util", ("*",))),
        ("using Alias = System.Text", ".", ("System.Text", ())),
        ("use function A\\b as c", "\\", ("A\\b", ())),
        ("{" * 5000, "::", ("", ())),
        ("a::{" * 30 + "x", "::", ("a", ())),
    ],
)
def test_paths_are_taken_apart(text: str, separator: str, expected: tuple[str, tuple[str, ...]]) -> None:
    assert split_path(text, separator) == expected


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells what memory is held")
def test_what_was_analysed_is_let_go() -> None:
    """The binding keeps what it hands to a predicate, so nothing may be left in there."""

    def held() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    blob = b"package a\n" + b"".join(
        b"// f%d says\nfunc f%d(a int) int {\n return a + 1\n}\n" % (n, n) for n in range(2000)
    )
    analyze(blob, "Go")
    before = held()
    for _ in range(20):
        analyze(blob, "Go")
    assert held() - before < 20 * 1024 * 1024
