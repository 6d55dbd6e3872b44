"""The refs, asked for beside the server's introduction and not after it: a round trip less.

The request is the one that nearly every server leads to. Where this one leads to another, or anything is wrong with the
answer, it is as if it had not been sent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Final

from snapshotter.base.cancel import Cancel
from snapshotter.git.refs import RefListing
from snapshotter.transport import v2

# As git has answered since 2.31.
USUAL: Final = v2.Server({"agent": "", "ls-refs": "unborn", "object-format": "sha1", "fetch": ""})


@contextmanager
def begun(
    lister: Callable[[Cancel], Callable[[], RefListing] | None], cancel: Cancel
) -> Iterator[HastyListing | None]:
    """A listing that is under way for as long as the block lasts; None where none can be. At the block's end nobody
    waits for it. `lister` is given what cancels it."""
    part = Cancel()
    with cancel.ending(part.cancel):
        listed = lister(part)
        try:
            yield HastyListing(listed) if listed else None
        finally:
            part.cancel()


class HastyListing:
    """The refs of an origin, asked for in a thread of its own as the USUAL server is asked."""

    def __init__(self, listed: Callable[[], RefListing]) -> None:
        self._found: Future[RefListing | None] = Future()
        threading.Thread(target=self._list, args=(listed,), daemon=True, name="hasty listing").start()

    def of(self, server: v2.Server, agent: bytes) -> RefListing | None:
        """The refs, once they are here, if this server leads to the request that was sent; else None, at once."""
        if v2.ls_refs(server, agent) != v2.ls_refs(USUAL, agent):
            return None
        return self._found.result()

    def _list(self, listed: Callable[[], RefListing]) -> None:
        found = None
        with suppress(Exception):  # whoever asks again, with patience, tells what is wrong
            found = listed()
        self._found.set_result(found)
