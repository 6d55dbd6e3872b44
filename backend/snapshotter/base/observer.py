"""What long work tells whoever watches: stages, and bytes done."""

from __future__ import annotations


class Observer:
    """Hears of progress and ignores it; those of the command line and of the service override what they show.

    Called from the thread that works, often: implementations must be cheap.
    """

    def stage(self, what: str, total: int | None = None) -> None:
        """A new stage begins; `total` is its bytes, where that is known."""

    def advance(self, count: int) -> None:
        """`count` more bytes of the current stage are done."""

    def note(self, what: str) -> None:
        """What is to be said of the current stage now; `what` stands for all that was said of it before."""

    def warn(self, what: str) -> None:
        """Something that the user should know and that does not stop the work."""

    def close(self) -> None:
        """Nothing more will come."""
