"""A listing that is under way before anybody asks for it."""

from __future__ import annotations

import threading
from concurrent.futures import Future

from snapshotter.git.refs import RefListing
from snapshotter.transport import FetchRequest, Sink, Transport


class ListedAhead:
    """A Transport whose first listing begins with `begin`, in a thread of its own, and is waited for when it is used.

    It may be closed before: then the thread closes what it used once it is done, and nobody waits for it.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._listing: Future[RefListing] | None = None

    def begin(self) -> None:
        """Begin to list. Raises nothing: what fails is raised by `ls_refs`."""
        self._listing = Future()
        threading.Thread(
            target=_list, args=(self._transport, self._listing), daemon=True, name="listing"
        ).start()

    def ls_refs(self) -> RefListing:
        """See Transport. The listing that was begun, once; then others."""
        listing, self._listing = self._listing, None
        return listing.result() if listing else self._transport.ls_refs()

    def fetch(self, request: FetchRequest, sink: Sink) -> None:
        """See Transport."""
        self._wait()
        self._transport.fetch(request, sink)

    def fork(self) -> Transport:
        """See Transport."""
        self._wait()
        return self._transport.fork()

    def close(self) -> None:
        """See Transport."""
        listing, self._listing = self._listing, None
        if listing:
            listing.add_done_callback(lambda _: self._transport.close())
        else:
            self._transport.close()

    def _wait(self) -> None:
        """Until the transport is free: it is one thread's. What a listing that nobody asked for met is not raised."""
        listing, self._listing = self._listing, None
        if listing:
            listing.exception()


def _list(transport: Transport, listing: Future[RefListing]) -> None:
    try:
        listing.set_result(transport.ls_refs())
    except BaseException as error:  # noqa: BLE001 - carried to the thread that asks
        listing.set_exception(error)
