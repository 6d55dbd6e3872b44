"""Where an address is: in the world, in a private network, on this link, or this machine."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress
from enum import Enum

from snapshotter.base.urls import is_loopback


class Zone(Enum):
    """A part of the network; the further down, the less a stranger has to do there."""

    WORLD = 0
    PRIVATE = 1
    LINK = 2  # where clouds keep their machines' credentials
    MACHINE = 3


def zone_of(host: str) -> Zone | None:
    """The zone of an address in any spelling (127.1, 0x7f.1, ::ffff:127.0.0.1), or of localhost; None for a name."""
    if is_loopback(host):
        return Zone.MACHINE
    address = _address(host)
    if address is None:
        return None
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback or address.is_unspecified:
        return Zone.MACHINE
    if address.is_link_local:
        return Zone.LINK
    return Zone.WORLD if address.is_global else Zone.PRIVATE


def innermost(host: str) -> Zone:
    """The innermost zone that a host, by its name, is in; the world if nobody knows the name. Waits for the answer."""
    zones = [zone_of(host) or Zone.WORLD]
    with suppress(OSError, UnicodeError):
        zones += [zone_of(str(entry[4][0])) or Zone.WORLD for entry in socket.getaddrinfo(host, None)]
    return max(zones, key=lambda zone: zone.value)


def open_to(origin: Zone) -> frozenset[Zone]:
    """The zones where an origin of this one may send us on to: its own, and those that it is inside of."""
    outer = {Zone.WORLD} if origin is Zone.WORLD else {Zone.WORLD, Zone.PRIVATE}
    return frozenset(outer | {origin})


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    with suppress(ValueError):
        return ipaddress.ip_address(host.partition("%")[0])
    with suppress(OSError, ValueError):
        return ipaddress.ip_address(socket.inet_aton(host))
    return None
