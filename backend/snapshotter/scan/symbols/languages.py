"""The languages that are analysed, as data: scc's name, the grammar, and how the language writes things."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Grammar:
    """One tree-sitter grammar, and what a tree of it does not say about the language.

    `queries` are the files beside this code, in their order, that say what is found in its trees. `comment` starts
    a line comment, `separator` joins qualified names. `docstring`: documentation is the first string of the body.
    `nests`: a function may declare functions and classes worth listing.
    `constants`: how a constant is spelled, where the language has no word for it.
    """

    package: str
    language: str = "language"
    queries: tuple[str, ...] = ()
    comment: bytes = b"//"
    separator: str = "."
    docstring: bool = False
    nests: bool = True
    constants: re.Pattern[str] | None = None


_JS: Final = "tree_sitter_javascript"
_TS: Final = "tree_sitter_typescript"
_C: Final = "tree_sitter_c"
_CPP: Final = "tree_sitter_cpp"

_GRAMMARS: Final[dict[str, Grammar]] = {
    "python": Grammar(
        "tree_sitter_python",
        queries=("python",),
        comment=b"#",
        docstring=True,
        constants=re.compile(r"_*[A-Z][A-Z0-9_]*"),
    ),
    "javascript": Grammar(_JS, queries=("javascript", "ecmascript")),
    "typescript": Grammar(_TS, "language_typescript", queries=("javascript", "typescript")),
    "tsx": Grammar(_TS, "language_tsx", queries=("javascript", "typescript")),
    "go": Grammar("tree_sitter_go", queries=("go",), nests=False),
    "rust": Grammar("tree_sitter_rust", queries=("rust",), separator="::"),
    "java": Grammar("tree_sitter_java", queries=("java",)),
    "c": Grammar(_C, queries=("c",), nests=False),
    "cpp": Grammar(_CPP, queries=("c", "cpp"), separator="::", nests=False),
    "csharp": Grammar("tree_sitter_c_sharp", queries=("csharp",)),
    "ruby": Grammar("tree_sitter_ruby", queries=("ruby",), comment=b"#", separator="::"),
    "php": Grammar("tree_sitter_php", "language_php", queries=("php",), separator="\\"),
    "bash": Grammar("tree_sitter_bash", queries=("bash",), comment=b"#", nests=False),
    "kotlin": Grammar("tree_sitter_kotlin", queries=("kotlin",)),
    "swift": Grammar("tree_sitter_swift", queries=("swift",)),
    "scala": Grammar("tree_sitter_scala", queries=("scala",)),
}

# By scc's name of a language, the grammar that reads it. TSX is a name of ours, see `refine`.
LANGUAGES: Final[dict[str, str]] = {
    "Python": "python",
    "JavaScript": "javascript",
    "JSX": "javascript",
    "TypeScript": "typescript",
    "TypeScript Typings": "typescript",
    "TSX": "tsx",
    "Go": "go",
    "Rust": "rust",
    "Java": "java",
    "C": "c",
    "C Header": "c",
    "C++": "cpp",
    "C++ Header": "cpp",
    "C#": "csharp",
    "Ruby": "ruby",
    "Rakefile": "ruby",
    "Gemfile": "ruby",
    "PHP": "php",
    "BASH": "bash",
    "Shell": "bash",
    "Kotlin": "kotlin",
    "Swift": "swift",
    "Scala": "scala",
}

# `.h` is C or C++, and only the text tells: a line that begins so is not C
_CPLUSPLUS: Final = re.compile(rb"^[ \t]*(?:class|namespace|template|using|public:|private:)\b", re.M)


def refine(language: str, path: str) -> str:
    """scc's language of a path, more exact where the grammars need it: a `.tsx` file is TSX."""
    return "TSX" if language == "TypeScript" and path.lower().endswith(".tsx") else language


def grammar_for(language: str, blob: bytes) -> str | None:
    """The name of the grammar that reads a blob of this language; None if none does."""
    if language == "C Header" and _CPLUSPLUS.search(blob):
        return "cpp"
    return LANGUAGES.get(language)


def grammar(name: str) -> Grammar:
    """The grammar of this name, as `grammar_for` gave it."""
    return _GRAMMARS[name]
