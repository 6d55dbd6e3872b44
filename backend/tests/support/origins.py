"""Text that is an origin, or often nearly one."""

from __future__ import annotations

import unicodedata

from hypothesis import strategies as st

from snapshotter.base.errors import UsageError
from snapshotter.git.origin import Origin
from snapshotter.git.origin_parsing import parse

SECRET = "s3cr3t"
TURNS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def is_safe(text: str) -> bool:
    """Whether a terminal shows it as it is: nothing that moves the cursor or turns the writing around."""
    marks = [(unicodedata.category(c), unicodedata.bidirectional(c)) for c in text if c != "\t"]
    return not any(kind in ("Cc", "Cs") or turn in TURNS for kind, turn in marks)


def parsed(text: str) -> Origin | None:
    """The origin, or None where the text is refused; anything but a UsageError is a crash."""
    try:
        return parse(text)
    except UsageError as error:
        assert error.hint
        assert is_safe(error.message)
        return None


# Text that is often nearly an origin.
pieces = st.sampled_from(
    [
        "https://",
        "ssh://",
        "git://",
        "file://",
        "http://",
        "host.test",
        "git@",
        ":",
        "/",
        "//",
        "..",
        ".",
        "%2e",
        "%2F",
        "%252e",
        "%00",
        "%0a",
        "__",
        "_",
        "-",
        "a",
        "B",
        ".git",
        "@",
        "~",
        "user:pw@",
        "[::1]",
        ":8443",
        "?q",
        "#f",
        " ",
        "\\",
        "\u0430",
        "\uff0e",
        "\u2024",
        "\u202e",
        "\ud800",
        "\udcff",
        "0123abcd",
        "-0123abcd",
        "%",
        "\u00e9",
    ]
)
texts = st.one_of(st.lists(pieces, min_size=1, max_size=12).map("".join), st.text(max_size=60))
components = st.text(alphabet="abAB01._-%~@ \u00e9", min_size=1, max_size=8)
paths = st.lists(components, min_size=1, max_size=4).map("/".join)
