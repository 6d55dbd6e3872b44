"""Why git failed: what is told of it."""

from __future__ import annotations

from snapshotter.git.errors import words


def test_gits_words_are_in_one_line_and_the_last_count() -> None:
    said = b"error: \x1b[31mobject\n\nfatal: pack at https://u:p@h/x is bad\r\n"
    assert words(said) == "error: \\x1b[31mobject; fatal: pack at https://h/x is bad"
    many = b"".join(b"error: object %d is missing\n" % n for n in range(1000)) + b"fatal: the end"
    assert words(many).endswith("error: object 999 is missing; fatal: the end")
    assert 400 < len(words(many)) <= 500
    assert len(words(b"x" * 5000)) == 500
    assert words(b" \n") == ""
