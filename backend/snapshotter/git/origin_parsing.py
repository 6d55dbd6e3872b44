"""An origin from what a user, a job or a manifest says.

Transports are an allow-list, and nothing that could be taken for an option or that climbs out of its path is let
through. No message shows a credential that the text may hold.
"""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from snapshotter.base.errors import UsageError
from snapshotter.base.text import printable
from snapshotter.git.origin import DEFAULT_PORTS, Credential, Origin

MAX_ORIGIN = 4096  # characters of an origin: longer is a mistake or an attack

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
_SCP = re.compile(
    r"^(?:(?P<user>[^@/:]+)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^/:@\[\]]+):(?P<path>.+)$", re.DOTALL
)
_SLIP = re.compile(r"^(?:https?|ftps?|file):(?!//|:)", re.IGNORECASE)  # else ssh to a host called "https"
_HELPER = re.compile(r"^[^/@:\[]+::")  # in any letters: a host of other ones becomes ASCII
_HOST = re.compile(r"^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def parse(text: str) -> Origin:
    """Parse what a user calls an origin: a URL, ``user@host:path``, or a local path.

    Raises UsageError for a transport outside the allow-list, for text that could be taken for an
    option, and for paths that try to climb.
    """
    if not text or len(text) > MAX_ORIGIN:
        raise UsageError(
            f"an origin of {len(text)} characters" if text else "the origin is empty",
            hint="give a URL (https, ssh, git), user@host:path, or a local path",
        )
    shown = printable(_without_secrets(text))[:200]
    if text.startswith("-"):
        raise UsageError(f"an origin may not begin with '-': {shown}", hint="write ./-name for a local path")
    if _CONTROL.search(text) or not _is_utf8(text):
        raise UsageError(f"the origin holds control characters: {shown}", hint="check how the name was made")
    if _HELPER.match(text):
        raise UsageError(
            f"remote helpers are not allowed: {shown}", hint="use https, ssh, git or a local path"
        )
    if _SLIP.match(text):
        raise UsageError(f"not a URL: {shown}", hint="after the scheme go a colon and two slashes")
    if match := _SCHEME.match(text):
        return _parse_url(text, match.group(1).lower(), shown)
    if (match := _SCP.match(text)) and "/" not in text[: match.start("path") - 1]:
        host = _host(match["host"].strip("[]"), shown)
        return _checked(Origin("ssh", host, None, match["path"], match["user"]), shown)
    return local(text)


def local(path: str) -> Origin:
    """An origin on this machine, named by its real path. Raises UsageError for one that is not text."""
    try:
        real = os.path.realpath(Path(path).expanduser())
    except (ValueError, RuntimeError) as error:  # a null byte; no such user
        raise UsageError(f"not a path: {printable(path)[:200]}", hint="give the plain path") from error
    if _CONTROL.search(real) or not _is_utf8(real):
        raise UsageError(
            f"the path holds control characters, or is not UTF-8: {printable(real)[:200]}",
            hint="reach the repository by another path, for example through a link to it",
        )
    return Origin("file", "", None, real)


def _without_secrets(text: str) -> str:
    """The origin as a refusal may show it: without all before the last @, and without a query.

    A text that does not parse does not tell where its secret ends, and in a query hosts take tokens.
    """
    scheme = re.search(r"://", text) or _SLIP.match(text)
    if scheme is None:
        return text
    before, _, rest = text[scheme.end() :].rpartition("@")
    rest = "…" if re.search(r"[?#]", before) else re.sub(r"(?<=[?#]).*", "…", rest, flags=re.DOTALL)
    return text[: scheme.end()] + rest


def _is_utf8(text: str) -> bool:
    """Whether text has no lone surrogates, which is how Python shows bytes of a command line that are not UTF-8."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _parse_url(text: str, scheme: str, shown: str) -> Origin:
    if scheme == "file":
        split = urlsplit(text)
        if split.netloc not in ("", "localhost"):
            raise UsageError(f"a file URL with a host: {shown}", hint="give the local path itself")
        return local(unquote(split.path))
    if scheme in ("git+ssh", "ssh+git"):
        scheme = "ssh"
    if scheme not in DEFAULT_PORTS:
        raise UsageError(
            f"the transport '{scheme}' is not allowed: {shown}",
            hint="use https, ssh, git, or a local path (http only for loopback, or with --allow-http)",
        )
    try:
        split = urlsplit(text)
        port = split.port
    except ValueError:
        raise UsageError(f"not a URL: {shown}", hint="check its host and port") from None
    if split.netloc.endswith(":") or ("@" in split.netloc and "@" in split.path):
        raise UsageError(f"not a URL: {shown}", hint="check its port, or percent-encode the password")
    if split.query or split.fragment or "?" in text or "#" in text:
        raise UsageError(
            f"an origin has no query or fragment: {shown}", hint="percent-encode ? and # in a path"
        )
    host = _host(split.hostname or "", shown)
    user, secret = split.username, split.password
    credential = None
    if scheme in ("https", "http") and user is not None:
        credential = Credential(unquote(user), unquote(secret or ""))
    try:
        path = unquote(split.path, errors="strict") if scheme in ("ssh", "git") else split.path
    except UnicodeDecodeError:
        raise UsageError(
            f"the origin's path is not UTF-8: {shown}", hint="give it as user@host:path"
        ) from None
    ssh_user = unquote(user) if user and scheme == "ssh" else None
    return _checked(Origin(scheme, host, port, path, ssh_user, credential), shown)


def _host(host: str, shown: str) -> str:
    """The host in lower-case ASCII (IDNA), or the address in its one spelling. Raises UsageError."""
    host = host.lower().rstrip(".")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            host = ""
    if not _HOST.match(host):
        raise UsageError(f"not a host name: {shown}", hint="check the origin's spelling")
    return host


def _checked(origin: Origin, shown: str) -> Origin:
    """The origin, if nothing in its user and path could be an option, a climb or a control character."""
    path = origin.path
    if not path.strip("/"):
        raise UsageError(f"the origin names no repository: {shown}", hint="add the repository's path")
    if path.lstrip("/").startswith("-") or (origin.user or "").startswith("-"):
        raise UsageError(
            f"a user or path may not begin with '-': {shown}", hint="check the origin's spelling"
        )
    if any(_climbs(part) for part in path.split("/")):
        raise UsageError(f"the origin's path climbs with '.' or '..': {shown}", hint="give the plain path")
    if _CONTROL.search(unquote(path)) or _CONTROL.search(unquote(origin.user or "")):
        raise UsageError(f"the origin holds control characters: {shown}", hint="check how the name was made")
    return origin


def _climbs(part: str) -> bool:
    """Whether a component of a path means this folder or the one above, however it is encoded."""
    for _ in range(3):  # %252e is a dot to a server that decodes twice
        if part.replace("\\", "/").strip("/") in (".", "..") or "../" in part.replace("\\", "/"):
            return True
        part = unquote(part)
    return False
