"""What to do about an object that the origin lists and then refuses: list again, or do without its ref."""

from __future__ import annotations

from typing import Final

from snapshotter.git.refs import RefListing
from snapshotter.transport import WantVanished

LISTINGS: Final = 4  # a want may vanish between listing and fetching: list again, a few times
MAX_LACKING: Final = 20  # objects that an origin may lack before it is refused as a whole


class RefusedObjects:
    """The refused objects of one run.

    `lacking` are those that the origin refused and then listed again, twice for the first of them: it does not have
    them, so their refs are left out. One sick ref does not cost the others their snapshot, run after run.
    """

    def __init__(self) -> None:
        self.lacking: set[str] = set()
        self._refused: set[str] = set()
        self._listings = 1

    @property
    def listings(self) -> int:
        """How often the origin was listed since the last object that it lacks."""
        return self._listings

    def may_list_again(self) -> bool:
        """Whether another try may help."""
        return self._listings < LISTINGS and len(self.lacking) <= MAX_LACKING

    def listed_again(self, error: WantVanished, listed: RefListing) -> bool:
        """Take note of a refusal and of the listing after it; whether the object is one that the origin lacks."""
        self._listings += 1
        if error.oid is None or error.oid not in listed.tips:
            return False
        # A first refusal may be a race with a push, so it takes two. After that the origin is known to lack objects.
        sick = bool(self.lacking) or error.oid in self._refused
        self._refused.add(error.oid)
        if sick:
            self.lacking.add(error.oid)
            self._listings = 1
        return sick
