"""What a signature does not quote: string literals and default values, in every language."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snapshotter.scan.symbols.analysis import analyze
from snapshotter.scan.symbols.languages import LANGUAGES

VALUE = "Hp7wq-kind"  # a password by no rule

# By scc's language: a source whose every V is the value, and the names that must still be declared.
PLANTED = {
    "Python": (
        "A = 'V'\n"
        'B: str = b"V"\n'
        "C = f'{x}V'\n"
        "D = ('V',\n"
        '  """V\n'
        'V""")\n'
        "E = 'a' 'V'\n"
        "F = {'k': 'V'}\n"
        "G = connect(password='V', more=['V'])\n"
        "h = lambda p='V': p\n"
        "def i(a, b='V', *, c: str = r'V', d=None) -> 'V':\n"
        "    pass\n"
        "class J(Base, key='V'):\n"
        "    k = 'V'\n",
        "A B C D E F G h i J k",
    ),
    "JavaScript": (
        "const a = 'V';\n"
        "let b = `V ${x} V`;\n"
        "var c = ['V', \"V\"];\n"
        "export const d = f('V');\n"
        "function e(p = 'V', { q = 'V', r: [s] = ['V'] } = {}) {}\n"
        "const g = (p = 'V') => p;\n"
        "class H { i = 'V'; #j = `V`; k(p = 'V') {} }\n"
        "const l = /V/;\n"
        "module.exports.m = function (p = 'V') {}\n",
        "a b c d e g H i k l m",
    ),
    "TypeScript": (
        "export const a: string = 'V';\n"
        "type B = 'V' | `V`;\n"
        "enum C { D = 'V' }\n"
        "class E { private f: string = 'V'; constructor(readonly g = 'V') {} }\n"
        "function h(p: string = 'V', q = `V`): void {}\n"
        "declare const i: 'V';\n",
        "a B C D E f h",
    ),
    "TSX": ("const A = <b title='V'>V</b>;\nconst C = (p = 'V') => <i>V</i>;\n", "A C"),
    "Go": (
        "package a\n"
        'const b = "V"\n'
        'var c, d = `V`, "V"\n'
        'var e = f("V")\n'
        "const (\n"
        '\tg H = "V"\n'
        ")\n"
        "type I struct {\n"
        '\tj string `k:"V"`\n'
        "}\n",
        "b c d e g I j",
    ),
    "Rust": (
        'pub const A: &str = "V";\n'
        'static B: &[u8] = b"V";\n'
        'const C: &str = r#"V"#;\n'
        'const D: F = f!("V");\n'
        "const E: [char; 2] = ['V', 'V'];\n"
        'enum G { H = t("V") }\n',
        "A B C D G H",
    ),
    "Java": (
        "class A {\n"
        '  static final String B = "V", C = """\n'
        '  V""";\n'
        '  @Set(x = "V", y = @Z("V")) private String d = f("V");\n'
        '  void e(@P("V") String q) {}\n'
        "}\n"
        '@interface G { String h() default "V"; }\n',
        "A B C d e G h",
    ),
    "C": (
        '#define A "V"\n'
        "#define B(x) f(x, L\"V\" 'V')\n"
        'static const char *c = "V" "V", d[] = "V";\n'
        'const char *e = {"V"};\n'
        'int f(void) __attribute__((alias("V")));\n'
        'enum g { H = M("V") };\n',
        "A B c d e f g H",
    ),
    "C++": (
        'constexpr auto a = R"x(V)x";\n'
        "class B {\n"
        '  std::string c = "V";\n'
        '  void d(std::string p = "V", char q = f("V"));\n'
        "};\n"
        'void e(const char *p = u8"V") {}\n'
        'auto g = "V"_s;\n',
        "a B c d e g",
    ),
    "C#": (
        "class A {\n"
        '  const string B = "V";\n'
        '  string c = @"V", d = $"V{x}";\n'
        '  string E => "V";\n'
        '  void F(string p = "V") {}\n'
        '  [G("V")] string h = """V""";\n'
        "}\n",
        "A B c d E F h",
    ),
    "Ruby": (
        "A = 'V'\n"
        "B = %q(V)\n"
        "C = %w[V V]\n"
        'D = f "V#{x}"\n'
        "E = :'V'\n"
        "F = `V`\n"
        "G = { k: 'V' }\n"
        "H = <<~X\n"
        "  V\n"
        "X\n"
        "def i(p = 'V', q: 'V', r: %i[V]) end\n",
        "A B C D E F G H i",
    ),
    "PHP": (
        "<?php\n"
        "const A = 'V';\n"
        "define('B', 'V');\n"
        "class C {\n"
        '  const D = "V$x";\n'
        "  private $e = 'V', $f = ['V'];\n"
        "  function __construct(private $g = 'V', string $h = \"V\") {}\n"
        "}\n"
        "function i($p = <<<X\n"
        "V\n"
        "X) {}\n"
        "enum J: string { case K = 'V'; }\n",
        "A B C D e f __construct i J K",
    ),
    "BASH": (
        "a='V'\nb=V\nexport c=\"V\"\nreadonly d=V e=$'V'\ndeclare -r f=(V 'V')\ng=$(h V)\ni=V$j\nk+=V\n",
        "a b c d e f g i k",
    ),
    "Kotlin": (
        'const val a = "V"\n'
        'val b: String = """V"""\n'
        'val c = f("V")\n'
        'class D(val e: String = "V", f: String = g("V")) : H("V")\n'
        'fun i(p: String = "V", q: Any = "V") {}\n'
        'enum class J(k: String) { L("V") }\n',
        "a b c D e i J L",
    ),
    "Swift": (
        'let a = "V"\n'
        'var b: String = """\n'
        "V\n"
        '"""\n'
        'let c = #"V"#\n'
        "class D {\n"
        '  let e = f("V")\n'
        '  init(p: String = "V") {}\n'
        '  func g(_ q: String = "V", r: Int = h("V")) {}\n'
        '  subscript(s: String = "V") -> Int { 1 }\n'
        "}\n"
        'enum I: String { case j = "V" }\n',
        "a b c D e init g subscript I j",
    ),
    "Scala": (
        'val a = "V"\n'
        'var b: String = """V"""\n'
        'val c = s"V$x"\n'
        'class D(e: String = "V", val f: String = g("V")) extends H("V") {\n'
        '  def i(p: String = "V", q: Symbol = j("V")): Unit = {}\n'
        "}\n"
        'case class K(l: String = "V")\n',
        "a b c D i K",
    ),
}


@pytest.mark.parametrize("language", PLANTED)
def test_no_signature_quotes_a_value(language: str) -> None:
    source, names = PLANTED[language]
    found = analyze(source.replace("V", VALUE).encode(), language).symbols
    assert not [one.signature for one in found if VALUE in one.signature]
    assert {*names.split()} <= {one.name for one in found}


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("Python", "def f(a, #V\n      b='x'):\n    pass\n"),
        ("Ruby", "def f(a, #V\n      b='x')\nend\n"),
        ("PHP", "<?php\nfunction f($a, #V\n  $b='x') {}\n"),
        ("Kotlin", 'class f(a: Int, //V\n  b: String = "x") {}\n'),
    ],
)
def test_a_comment_in_a_declaration_is_not_quoted(language: str, source: str) -> None:
    (symbol,) = analyze(source.replace("V", VALUE).encode(), language).symbols
    assert VALUE not in symbol.signature


def test_every_grammar_is_planted_in() -> None:
    assert {LANGUAGES[language] for language in PLANTED} == {*LANGUAGES.values()}


@settings(max_examples=200, deadline=None)
@given(
    language=st.sampled_from(sorted(PLANTED)),
    cut=st.integers(0, 500),
    junk=st.sampled_from(["", "}", ")", "%% ", "\n"]),
)
def test_nor_does_one_of_a_source_that_ends_early_or_holds_junk(language: str, cut: int, junk: str) -> None:
    source = PLANTED[language][0].replace("V", VALUE)
    line = source.rfind("\n", 0, cut) + 1  # between lines: within a literal its rest would be names
    for damaged in (source[:cut], source[:line] + junk + source[line:]):
        assert not [one for one in analyze(damaged.encode(), language).symbols if VALUE in one.signature]


@pytest.mark.parametrize(
    ("source", "language", "signature"),
    [
        (
            'def f(a: "B", c=1, *, d: int = 2) -> None: pass',
            "Python",
            'def f(a: "…", c=…, *, d: int = …) -> None',
        ),
        ("LIMIT = 10 * 1024", "Python", "LIMIT = 10 * 1024"),
        ("PIN = 4839201746523", "Python", "PIN = …"),
        ("KEY = bytes([0x12, 0xf4, 7, 99, 3])", "Python", "KEY = bytes([…])"),
        ("app = App(__name__)", "Python", "app = App(__name__)"),
        ("type A<T = B> = Map<T, C>;", "TypeScript", "type A<T = B> = Map<T, C>"),
        ('declare module "a/b" { }', "TypeScript", 'module "a/b"'),
        ("<?php define('A', f(1));", "PHP", "define('A', f(1))"),
        ("#define MAX(a, b) ((a) > (b) ? (a) : (b))", "C", "#define MAX(a, b) ((a) > (b) ? (a) : (b))"),
        ("struct A<'a, T = B> { c: &'a str }", "Rust", "struct A<'a, T = B>"),
        ("def f(a, # was 'secret'\n  b): pass", "Python", "def f(a, b)"),
    ],
)
def test_what_is_no_value_is_quoted_as_it_is_written(source: str, language: str, signature: str) -> None:
    assert analyze(source.encode(), language).symbols[0].signature == signature


def test_what_lies_deeper_than_anyone_looks_is_left_out_whole() -> None:
    deep = "A = " + "(" * 90 + f"'{VALUE}'" + ")" * 90
    (found,) = analyze(deep.encode(), "Python").symbols
    assert VALUE not in found.signature and "…" in found.signature


@pytest.mark.parametrize(
    ("language", "source", "quoted"),
    [
        ("Python", "PIN = 4711\n", "PIN = …"),
        ("Python", "PIN: int = 12_34\n", "PIN: int = …"),
        ("C", "#define PIN 47110815\n", "#define PIN …"),
        ("C", "#define PIN 4711u\n", "#define PIN …"),
        ("Java", "class A { @Min(4711) int q = 1; }\n", "int q = 1"),
        ("Kotlin", "enum class E(val c: Int) { A(4711) }\n", "A(…)"),
        ("C++", "const int pin = 4'711;\n", "const int pin = …"),
        ("Go", "package a\nconst PIN = 4711\n", "PIN = …"),
        ("Python", "LIMIT = 100\n", "LIMIT = 100"),
        ("Python", "RATE = 0.12345\n", "RATE = 0.12345"),
        ("Python", "MASK = 0xFFF\n", "MASK = 0xFFF"),
        ("Python", "def f1234(x2345): pass\n", "def f1234(x2345)"),
    ],
)
def test_a_number_that_may_be_a_pin_is_not_quoted(language: str, source: str, quoted: str) -> None:
    symbols = {one.signature for one in analyze(source.encode(), language).symbols}
    assert quoted in symbols
    assert "4711" not in repr(symbols)


@pytest.mark.parametrize(("lines", "quoted"), [(10, True), (56, True), (62, False), (300, False)])
def test_nothing_far_below_a_declaration_is_quoted(lines: int, quoted: bool) -> None:
    """A found secret on such a line would not be taken for one that stands near."""
    parameters = "".join(f" p{n},\n" for n in range(lines))
    (function,) = analyze(f'def f(\n{parameters}):\n  """The {VALUE}."""\n'.encode(), "Python").symbols
    assert function.doc == (f"The {VALUE}." if quoted else None)
    (blank,) = analyze(f"int f(\n{chr(10) * lines} int {VALUE.split('-')[0]});\n".encode(), "C").symbols
    assert (VALUE.split("-")[0] in (blank.signature or "")) == quoted
