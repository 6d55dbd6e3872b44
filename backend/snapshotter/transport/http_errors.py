"""What went wrong over HTTP, in the user's words: statuses, content types, network failures."""

from __future__ import annotations

import http.client
import re
import ssl

from urllib3 import exceptions as u3

from snapshotter.base.errors import AccessDenied, SnapshotterError, Unavailable
from snapshotter.base.text import printable
from snapshotter.git.origin import Origin
from snapshotter.transport import NoGitAnswer, OriginBusy, OriginNotFound, Stalled

_CANNOT = "the server cannot do what git asks for: check the URL, and what `git ls-remote` says of it"
# What no other try changes, and what does.
_SETTLED = {
    451: "the host may not serve it, for reasons of law: ask its operator, or whoever owns the repository",
    501: _CANNOT,
    505: _CANNOT,
    511: "the network wants to know you first: open any page in a browser, sign in there, and run again",
}


def retriable(error: Exception) -> bool:
    """Whether another try may help: not after an unknown host, a bad certificate, an idle timeout, or other words
    than HTTP's."""
    settled = (u3.NameResolutionError, u3.SSLError, u3.LocationValueError, u3.ReadTimeoutError)
    return not isinstance(error, settled) and _no_http(error) is None


def as_library(error: Exception) -> Exception:
    """The error that the library makes of one from the socket or the framing below it."""
    if isinstance(error, (u3.HTTPError, TimeoutError)):
        return error
    return u3.SSLError(error) if isinstance(error, ssl.SSLError) else u3.ProtocolError(str(error), error)


def network_error(error: Exception, origin: Origin) -> SnapshotterError:
    """The error that a urllib3 or socket error stands for."""
    host = origin.netloc
    if isinstance(error, u3.ProxyError):
        return _proxy_error(error, host)
    if isinstance(error, u3.NameResolutionError):
        return Unavailable(
            f"no such host: {host}", code="no-such-host", hint="check the origin's spelling, and DNS"
        )
    if isinstance(error, u3.SSLError):
        return Unavailable(
            f"the TLS certificate of {host} is not trusted, or TLS failed: {printable(str(error.args[0]))[:200]}",
            code="tls",
            hint="for a private CA set SNAPSHOTTER_CA_BUNDLE to its PEM file",
        )
    if isinstance(error, (u3.ReadTimeoutError, TimeoutError)):
        return Stalled(
            f"{host} sent nothing until the idle timeout",
            hint="try again; for a slow server raise --idle-timeout",
        )
    if isinstance(error, (u3.ConnectTimeoutError, u3.NewConnectionError)):
        return Unavailable(
            f"could not connect to {host}", code="no-connection", hint="check the port and the network"
        )
    if (said := _no_http(error)) is not None:
        return NoGitAnswer(
            f"what answers at {host} does not speak HTTP as it should" + (f": {said}" if said else ""),
            hint="check the URL's scheme and port: another service may listen there",
        )
    return NoGitAnswer(
        f"the connection to {host} broke ({type(error).__name__})",
        code="stream-cut",
        hint="the origin or something before it closed the connection; try again",
    )


def _proxy_error(error: u3.ProxyError, host: str) -> Unavailable:
    cause = error.original_error
    status = re.search(r"Tunnel connection failed: (\d{3})", str(cause))
    why = f"HTTP {status[1]}" if status else type(cause).__name__
    return Unavailable(
        f"the proxy for {host} refuses or cannot be reached ({why})",
        code="proxy",
        hint="check HTTPS_PROXY and NO_PROXY",
    )


def _no_http(error: Exception) -> str | None:
    """What came in place of HTTP, safe to show; None if the error is another."""
    if isinstance(error, u3.DecodeError):
        return "its body does not decompress"
    cause = error.args[1] if isinstance(error, u3.ProtocolError) and len(error.args) > 1 else None
    broken_off = (http.client.RemoteDisconnected, http.client.IncompleteRead)
    if not isinstance(cause, http.client.HTTPException) or isinstance(cause, broken_off):
        return None
    words = str(cause)
    return printable(words.strip())[:200]


def status_error(status: int, origin: Origin, *, had_credential: bool) -> SnapshotterError:
    """The error for an HTTP status that is no answer."""
    where = origin.url
    if status in (401, 403):
        hint = (
            f"the token was refused: check that it may read this repository, and has not expired (HTTP {status})"
            if had_credential
            else "set SNAPSHOTTER_GIT_TOKEN (or SNAPSHOTTER_GIT_TOKENS, by host), or SNAPSHOTTER_GIT_TOKEN_COMMAND"
        )
        return AccessDenied(f"the origin refuses access: {where}", code="origin-denied", hint=hint)
    if status == 407:
        return Unavailable(
            f"the proxy for {origin.netloc} wants another user or password",
            code="proxy",
            hint="check those in HTTP_PROXY and HTTPS_PROXY",
        )
    if status in (404, 410):
        return OriginNotFound(
            f"no repository there, or none that this user may see: {where}",
            hint="check the spelling; hosts answer 404 for private repositories without a good token",
        )
    message = f"the origin answered HTTP {status}: {where}"
    if status in (408, 429) or (status >= 500 and status not in _SETTLED):
        hint = "the host is in trouble or limits requests; try again later"
        return OriginBusy(message, hint=hint, throttled=status == 429)
    if status in _SETTLED:
        hint = _SETTLED[status]
    elif 200 <= status < 300:
        hint = "it says that all is well, and sends no repository: is this the repository's clone URL?"
    elif 300 <= status < 400:
        hint = "give the URL that it sends on to: after the first request no redirect is followed"
    else:
        hint = "the host refuses the request as it is: check the URL, and what `git ls-remote` says of it"
    return Unavailable(message, code="origin-http", hint=hint)


def dumb_http(origin: Origin) -> SnapshotterError:
    """The error for a repository's files behind a web server."""
    return NoGitAnswer(
        f"the origin is served as plain files (dumb HTTP), which is not supported: {origin.url}",
        hint="serve it by `git http-backend`, or use SSH",
    )


def wrong_content(content_type: str, origin: Origin) -> SnapshotterError:
    """The error for an answer that is not a git server's, told by its content type."""
    shown = printable(content_type)[:80] or "no content type"
    return NoGitAnswer(
        f"the origin answered with {shown}, not as a git server: {origin.url}",
        hint="is this the repository's clone URL? A login page or proxy may have answered instead",
    )
