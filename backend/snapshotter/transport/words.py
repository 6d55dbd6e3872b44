"""A server's or a child's words, made safe to show: without our credential, escaped line by line, bounded."""

from __future__ import annotations

import copy
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable
from typing import Final

from snapshotter.base.errors import SnapshotterError
from snapshotter.base.text import decode_name, printable
from snapshotter.base.urls import redact
from snapshotter.git.origin import Credential
from snapshotter.transport.pieces import Pieces

KEPT: Final = 16 * 1024  # bytes of a text
# Characters at a cut that go too: of a credential cut in two, the half would not be known.
_EDGE: Final = 4096
FIRST: Final = 5  # lines of what stands in an answer's place: the reason comes first
_LINES: Final = 10  # of an error's details; the last are next to its cause
_LENGTH: Final = 300  # characters of a line
_SHORT: Final = 4  # characters: a shorter secret stands by chance in many words
_PLACEHOLDER: Final = "x-oauth-basic"  # stands for the secret where the user is the token
_HIDDEN: Final = "***"


class Tail:
    """The end of a text that comes bit by bit."""

    def __init__(self) -> None:
        self._kept = b""
        self._cut = False

    def add(self, text: bytes | memoryview) -> None:
        """Take what comes next."""
        kept = self._kept + bytes(text)
        self._cut = self._cut or len(kept) > KEPT
        self._kept = kept[-KEPT:]

    @property
    def lines(self) -> tuple[str, ...]:
        """Its lines, see `lines`."""
        return lines(self._kept, cut_before=self._cut)


class SentCredentials:
    """The credentials that were sent to an origin, to be hidden wherever it repeats one, in whatever writing."""

    def __init__(self) -> None:
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._pieces = Pieces()

    def learn(self, credential: Credential | None) -> None:
        """Hide this one from now on, if it is one."""
        if credential:
            self._forms |= set(_forms(credential))
            self._pieces.learn(_secret(credential))
        ordered = sorted(self._forms, key=len, reverse=True)
        if ordered:  # of none, the pattern would be everywhere
            self._pattern = re.compile("|".join(ordered), re.IGNORECASE)

    def hide(self, text: str) -> str:
        """The text with asterisks for each of them."""
        return self._pieces.hide(self._pattern.sub(_HIDDEN, text)) if self._pattern else text


def lines(text: bytes, *, cut_before: bool = False, cut_after: bool = False) -> tuple[str, ...]:
    """The lines that are not empty, each escaped, less the user parts of URLs; of a text that was cut, less its edge.

    They are not bounded yet, which `to_show` does after it has hidden credentials: a cut could leave half of one.
    """
    decoded = redact(decode_name(text))
    decoded = decoded[_EDGE:] if cut_before else decoded
    decoded = decoded[:-_EDGE] if cut_after else decoded
    return tuple(printable(line.strip()) for line in re.split(r"[\r\n]+", decoded) if line.strip())


def with_details(error: SnapshotterError, details: Iterable[str]) -> SnapshotterError:
    """The same error with further details; itself if there are none."""
    more = tuple(line for line in details if line not in error.details and line != error.message)
    return _copy(error, error.message, (*error.details, *more)) if more else error


def to_show(error: SnapshotterError, sent: SentCredentials) -> SnapshotterError:
    """The same error without the credentials that were sent, and within bounds; its cause is kept only if it is
    as harmless."""
    cause = error.__cause__
    if cause is not None and _traceback(cause) != sent.hide(_traceback(cause)):  # --verbose would print it
        cause = None
    # All at once: a credential may go on in the next line.
    message, *details = (
        _bounded(line) for line in sent.hide("\n".join((error.message, *error.details))).split("\n")
    )
    shown = _copy(error, message, tuple(details[-_LINES:]))
    shown.hint = sent.hide(error.hint)
    shown.__cause__ = cause
    return shown


def _copy(error: SnapshotterError, message: str, details: tuple[str, ...]) -> SnapshotterError:
    """The error with another message and other details. Its class stays, with what it carries besides."""
    changed = copy.copy(error)
    changed.args, changed.message, changed.details = (message,), message, details
    changed.__cause__ = error.__cause__  # which copy() leaves behind
    return changed


def _bounded(line: str) -> str:
    return line if len(line) <= _LENGTH else f"{line[:_LENGTH]}…"


def _traceback(cause: BaseException) -> str:
    import traceback  # which only a failed run needs

    return "".join(traceback.format_exception(cause))


def _secret(credential: Credential) -> str:
    """The part that nobody may see: where it is nothing, or a placeholder, the user is the token."""
    return credential.user if credential.secret in ("", _PLACEHOLDER) else credential.secret


def _forms(credential: Credential) -> Iterable[str]:
    """Patterns of a credential as it may be written: as it is, and as the header that carries it."""
    pair = f"{credential.user}:{credential.secret}".encode()
    if secret := _secret(credential):
        yield _bounded_by_words("".join(map(_written, secret)), len(secret))
        for encode in (b64encode, urlsafe_b64encode):
            for plain in (pair, secret.encode()):
                code = encode(plain).decode().rstrip("=")
                yield _bounded_by_words(re.escape(code), len(code))


def _written(character: str) -> str:
    """A pattern of one character in any writing: as it is, for a URL, for HTML, or escaped as in JSON and in Python."""
    import html  # its table of names takes longer to load than most requests

    number, data = ord(character), character.encode("utf-8", "surrogatepass")
    utf16 = character.encode("utf-16-be", "surrogatepass").hex()
    writings = [
        re.escape(character),
        "".join(rf"%(?:25)*{byte:02x}" for byte in data),
        "".join(rf"\\+x{byte:02x}" for byte in data),
        "".join(rf"\\+u{utf16[at : at + 4]}" for at in range(0, len(utf16), 4)),
        rf"&#(?:0*{number}|x0*{number:x});",
    ]
    if not character.isalnum():
        writings += [re.escape(html.escape(character)), r"\\+" + re.escape(character)]
    if character == " ":
        writings.append(r"\+")
    return f"(?:{'|'.join(writings)})"


def _bounded_by_words(pattern: str, length: int) -> str:
    return pattern if length >= _SHORT else rf"(?<!\w){pattern}(?!\w)"
