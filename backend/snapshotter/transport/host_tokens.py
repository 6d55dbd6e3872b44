"""Tokens that name their host: SNAPSHOTTER_GIT_TOKENS, one JSON object, so that one secret of a task holds them all.

In a token's place there may be a GitHub App, which makes tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec.structs import replace

from snapshotter.base.errors import UsageError
from snapshotter.git.origin import CASE_BLIND_HOSTS, Origin
from snapshotter.git.origin_parsing import parse
from snapshotter.transport.app_key import AppKey, api_of, is_api

VARIABLE = "SNAPSHOTTER_GIT_TOKENS"

_OBJECTS: Final = msgspec.json.Decoder(dict[str, str | AppKey])
# No underscore, which tokens have and hosts do not: where two things were confused, a token is not taken for a host.
_PLACE: Final = re.compile(
    r"(?P<netloc>(?:(?:[^\W_]|[.-])+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?)(?P<path>(?:/[^/\s?#@]+)*)/?"
)


@dataclass(frozen=True)
class HostTokens:
    """Tokens by the place that each is for: a host, with its port if that is not https's, and maybe the first
    segments of a path, as in ``github.com/psf``."""

    by_place: Mapping[str, str | AppKey] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, text: str) -> HostTokens:
        """The tokens of the variable's text; none if it is empty.

        Raises UsageError, which repeats nothing of the text: where two things were confused, any part of it may be
        a token.
        """
        return cls(_read(text)) if text.strip() else cls()

    @property
    def apps(self) -> list[AppKey]:
        """The GitHub Apps among them."""
        return [each for each in self.by_place.values() if isinstance(each, AppKey)]

    def find(self, origin: Origin) -> str | AppKey | None:
        """The token for an origin, or the App that makes it: of the places that the origin is in, that of the longest.

        Returns None if there is none.
        """
        # A key without a port means https: a token for it is never sent in plain text, even where http is allowed.
        port = ":80" if origin.scheme == "http" and origin.port in (None, 80) else ""
        place = (origin.netloc + port + origin.path).rstrip("/")
        if origin.host in CASE_BLIND_HOSTS:
            place = place.lower()
        while place:
            if place in self.by_place:
                return self.by_place[place]
            place = place.rpartition("/")[0]
        return None


def _read(text: str) -> dict[str, str | AppKey]:
    try:
        values = _OBJECTS.decode(text)
        pairs = json.loads(text, object_pairs_hook=list)  # a mapping would keep one of two equal hosts
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise _refused("it is not a JSON object of hosts and their tokens") from None
    tokens: dict[str, str | AppKey] = {}
    for number, (written, _) in enumerate(pairs, 1):
        place, token = _place(written), values[written]
        if place is None:
            raise _refused(f"its entry {number} is not for a host, like git.example.org or github.com/psf")
        if place in tokens:
            raise _refused(f"its entry {number} is for a host that has one already")
        if isinstance(token, AppKey):
            tokens[place] = _whole(token, place, number)
        elif token.strip():
            tokens[place] = token.strip()
        else:
            raise _refused(f"its entry {number} has no token")
    return tokens


def _whole(app: AppKey, place: str, number: int) -> AppKey:
    """The App with the URL of its API, which by default is that of the place's host."""
    api = (app.api or api_of(place.partition("/")[0])).rstrip("/")
    if not is_api(api):
        raise _refused(f"`api` of its entry {number} is no https URL")
    return replace(app, api=api)


def _place(written: str) -> str | None:
    """The place of a key, its host as an origin's is read. Returns None if the key is for none."""
    host, slash, path = written.partition("/")
    match = _PLACE.fullmatch(host.lower() + slash + path)
    if not match:
        return None
    try:
        origin = parse(f"https://{match['netloc']}/any")
    except UsageError:
        return None
    return origin.netloc + (match["path"].lower() if origin.host in CASE_BLIND_HOSTS else match["path"])


def _refused(why: str) -> UsageError:
    return UsageError(
        f"{VARIABLE} cannot be used: {why}",
        code="tokens",
        hint='write it like {"git.example.org": "TOKEN", "github.com/psf": "USER:TOKEN"}',
    )
