"""What is told of a URL: never a user or a secret."""

from __future__ import annotations

import pytest

from snapshotter.base.urls import redact
from tests.support.origins import SECRET


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"fatal: https://u:{SECRET}@h.test/a: no", "fatal: https://h.test/a: no"),
        (f"https://u:{SECRET}@x@h.test/a", "https://h.test/a"),
        ("mail me@example.test or see https://h.test/a", "mail me@example.test or see https://h.test/a"),
        (f"ssh://u:{SECRET}@h/a git://{SECRET}@h/b", "ssh://h/a git://h/b"),
    ],
)
def test_redaction_of_other_programs_words(text: str, shown: str) -> None:
    assert redact(text) == shown
