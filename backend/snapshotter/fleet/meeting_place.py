"""Where a fleet's run and its workers meet, and the certificates by which they know each other.

Who can speak to a scheduler or a worker of dask can run code there, since it unpickles what it is sent. So off loopback
nobody is heard without a certificate.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import msgspec

from snapshotter.base.errors import UsageError
from snapshotter.base.text import printable

VARIABLE: Final = "SNAPSHOTTER_CLUSTER_TLS"
AUTO: Final = "auto"  # as a host to listen at: the address by which this machine reaches others

_ADDRESS = re.compile(
    r"(?P<scheme>tls|tcp)://(?P<host>\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):(?P<port>[0-9]{1,5})\Z"
)
_WRITTEN = "write it like tls://10.0.0.5:8786"
_NO_ROUTE = "192.0.2.1"  # of TEST-NET-1 (RFC 5737): nobody is there, and nothing is sent


@dataclass(frozen=True)
class MeetingPlace:
    """The address of a scheduler or worker. `host` is a name or an IP, IPv6 without its brackets."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def own(self) -> MeetingPlace:
        """This place with the address by which this machine reaches others instead of `auto`.

        Raises UsageError if it reaches none.
        """
        return replace(self, host=_own_host()) if self.host == AUTO else self


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    ca: str
    cert: str
    key: str


_DECODER: Final = msgspec.json.Decoder(_Document)


@dataclass(frozen=True)
class Certificates:
    """A certificate and key of this process, and the CA of those it believes; each the text of a PEM file."""

    ca: str
    cert: str
    key: str = field(repr=False)

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> Certificates | None:
        """Those of the setting, or None without it. Raises UsageError if it cannot be meant; never with its value."""
        text = settings.get(VARIABLE, "")
        if not text:
            return None
        hint = "it is a JSON object with ca, cert and key, each the text of a PEM file; docs/aws.md makes one"
        try:
            read = _DECODER.decode(text)
        except msgspec.DecodeError:
            raise UsageError(f"{VARIABLE} cannot be read", code="cluster-tls", hint=hint) from None
        found = cls(*(f"{part.strip()}\n" for part in (read.ca, read.cert, read.key)))
        try:
            found._check()
        except (ssl.SSLError, ValueError):
            message = f"{VARIABLE}: the certificate, its key and the CA do not go together"
            raise UsageError(message, code="cluster-tls", hint=hint) from None
        return found

    def _check(self) -> None:
        """Raise ssl.SSLError or ValueError if these are no certificates, or the key is another's."""
        context = ssl.create_default_context(cadata=self.ca)
        with tempfile.TemporaryDirectory(prefix="snapshotter-") as folder:  # only its owner reads it
            path = Path(folder) / "own.pem"
            path.write_text(self.cert + self.key, encoding="ascii")
            context.load_cert_chain(path)


def parse(text: str, certificates: Certificates | None, *, listening: bool = False) -> MeetingPlace:
    """An address as it was given, which may be used with these certificates; to listen at, or to connect to.

    Raises UsageError for what is none, for one that any machine could reach without TLS, for TLS without certificates,
    and for all addresses of a machine at once.
    """
    match = _ADDRESS.match(text)
    if match is None or int(match["port"]) > 65535 or (match["port"] == "0" and not listening):
        raise UsageError(
            f"not the address of a scheduler: {printable(text)[:200]}", code="cluster", hint=_WRITTEN
        )
    place = MeetingPlace(match["scheme"], match["host"].strip("[]").lower(), int(match["port"]))
    if _is_all(place.host):
        raise UsageError(
            f"{place} is every address of this machine",
            code="cluster",
            hint="name the one that the workers reach, or auto for the one by which this machine reaches others",
        )
    if place.host == AUTO and not listening:
        raise UsageError(f"{AUTO} is no machine to connect to", code="cluster", hint=_WRITTEN)
    if place.scheme == "tcp" and not place.is_loopback:
        raise UsageError(
            f"{place} is plain TCP, by which whoever reaches it can run code on this machine",
            code="cluster-tls",
            hint=f"use tls://, with certificates in {VARIABLE}; plain TCP is for 127.0.0.1 only",
        )
    if place.scheme == "tls" and certificates is None:
        raise UsageError(
            f"{place} needs certificates",
            code="cluster-tls",
            hint=f"set {VARIABLE}; docs/aws.md says how to make them",
        )
    return place


def _is_all(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _own_host() -> str:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((_NO_ROUTE, 9))  # of a datagram: the kernel chooses a route, and sends nothing
        except OSError as error:
            raise UsageError(
                "this machine has no route to others", code="cluster", hint="name the address to listen at"
            ) from error
        return str(probe.getsockname()[0])
