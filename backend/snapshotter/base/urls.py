"""What can be told of a URL or a host without asking anybody."""

from __future__ import annotations

import ipaddress
import re

_USERINFO = re.compile(r"(?<=://)[^/\s]+@")  # to the last @: a secret may hold one


def redact(text: str) -> str:
    """Text with the user part of every URL in it removed."""
    return _USERINFO.sub("", text)


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
