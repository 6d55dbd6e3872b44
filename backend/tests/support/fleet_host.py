"""A git host with hundreds of real repositories, over HTTP on loopback: what each does, its name tells (`slow-3`)."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from githost import Fault, GitHost, Request
from manyrepos import ManyRepos
from tests.support.git import Origin, State, state_of

BEHAVIOURS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "quiet": "never changes",
        "growing": "has one more commit each day",
        "forced": "has its main branch rewritten each day",
        "shrinking": "has all but a little of its history rewritten away, after the first day",
        "moving": "is renamed after the first day, and redirects to its new name",
        "leaving": "is gone after the first day",
        "empty": "has no ref",
        "shallow": "is a shallow clone itself",
        "broken": "sends a pack of which one byte is wrong",
        "cut": "sends half a pack, as if it were all, on the first day",
        "large": "has one file of so many bytes as the host is told",
        "slow": "takes a moment for each answer",
        "secret": "answers 403",
        "private": "answers 401",
        "vanishing": "is deleted once its refs are listed",
        "missing": "never was there",
        "busy": "answers 429 at first, and asks to wait a second",
        "stalling": "never answers, on the first day",
        "flapping": "answers 503 to every second request",
    }
)


class FleetHost(GitHost):
    """So many repositories of each behaviour, behind one address.

    `most_a_second` is how many requests it lets through in any second; it answers 429 to those above.
    With `down` set, it hangs up on everybody. Between `hold` and `release` it answers nobody; `held` counts who waits.
    """

    def __init__(self, root: Path, counts: Mapping[str, int], *, seed: int = 1, large: int = 1 << 20) -> None:
        super().__init__(root)
        self.most_a_second: int | None = None
        self.down = False
        self.held = 0
        self._open_to_all = threading.Event()
        self._open_to_all.set()
        self.fault = self._fault
        self.names = [f"{what}-{n}" for what, count in counts.items() for n in range(count)]
        random.Random(seed).shuffle(self.names)
        self._repos = ManyRepos(root, seed)
        self._gone = {name for name in self.names if _behaviour(name) == "missing"}
        self._well: set[str] = set()
        self._asked: Counter[str] = Counter()
        self._let_through: deque[float] = deque()
        self._make(large)

    def _make(self, large: int) -> None:
        apart = {*self.having("empty", "large"), *self._gone}
        self._repos.add([name for name in self.names if name not in apart])
        for name in self.having("empty"):
            self._repos.add_empty(name)
        for name in self.having("large"):
            self._repos.add_large(name, large)
        for name in self.having("shrinking"):
            self._repos.commit([name], size=60_000)
        for name in self.having("shallow"):
            tips = [oid for ref, oid in self.origin(name).refs().items() if ref.startswith(b"refs/heads/")]
            (self._repos.path(name) / "shallow").write_text("".join(f"{oid}\n" for oid in tips))

    def having(self, *behaviours: str) -> list[str]:
        """The names of the repositories of these behaviours."""
        return [name for name in self.names if _behaviour(name) in behaviours]

    def repo_url(self, name: str) -> str:
        """A repository's URL."""
        return self.url(f"{name}.git")

    def name_of(self, url: str) -> str:
        """The name of the repository at a URL; the URL, if it is none of this host."""
        here = self.url() + "/"
        return _name_in(url.removeprefix(here)) if url.startswith(here) else url

    def origin(self, name: str) -> Origin:
        """A repository as git sees it."""
        return Origin.at(self._repos.path(name))

    def state(self, name: str) -> State:
        """What a restore of a repository must bring back."""
        return state_of(self._repos.path(name))

    def next_day(self) -> Self:
        """Let a day pass: what grows has grown, what is rewritten, renamed or gone by then is."""
        self._repos.commit(self.having("growing"))
        self._repos.rewrite(self.having("forced"), size=8_000)
        self._repos.rewrite(self.having("shrinking"), size=10)
        self._gone |= {*self.having("leaving")}
        self._well |= {*self.having("cut", "stalling")}
        for name in self.having("moving"):
            old, new = self._repos.path(name), self._repos.path(f"new-{name}")
            if old.exists():
                old.rename(new)
        return self

    def commit(self, name: str, size: int) -> None:
        """Let one repository have a commit more, of so many bytes that do not compress."""
        self._repos.commit([name], size=size)

    def hold(self) -> None:
        """Answer nobody from now on."""
        self._open_to_all.clear()

    def release(self) -> None:
        """Answer who was kept waiting, and everybody."""
        self._open_to_all.set()

    def inventory(self, path: Path, names: Iterable[str] | None = None, more: str = "") -> Path:
        """Write an inventory of the repositories, by default of all, and `more`."""
        urls = map(self.repo_url, self.names if names is None else names)
        path.write_text("".join(f'[[repo]]\norigin = "{url}"\n' for url in urls) + more)
        return path

    def requests_of(self, name: str) -> list[Request]:
        """The requests that were about a repository."""
        return [request for request in self.requests if _name_in(request.path) == name]

    def most_in_a_second(self, seconds: float = 1.0) -> int:
        """The most requests that came within one second, or within so many."""
        times = sorted(request.at for request in self.requests)
        first = most = 0
        for last, at in enumerate(times):
            while at - times[first] >= seconds:
                first += 1
            most = max(most, last - first + 1)
        return most

    def first_asked(self) -> list[str]:
        """The repositories in the order in which they were asked for first."""
        return list(dict.fromkeys(_name_in(request.path) for request in sorted(self.requests, key=_when)))

    def longest_pause(self) -> float:
        """The most seconds between a request and the next one."""
        times = sorted(request.at for request in self.requests)
        return max((after - before for before, after in pairwise(times)), default=0.0)

    def _fault(self, path: str) -> Fault | None:
        if not self._open_to_all.is_set():
            self.held += 1
            while not (self._open_to_all.wait(0.05) or self.closing.is_set()):
                pass
        if self.down:
            return Fault(cut_at=0)
        if self._is_too_much():
            return Fault(status=429, headers={"Retry-After": "1"}, body=b"not so fast\n")
        name = _name_in(path)
        if name in self._gone:
            return Fault(status=404)
        if name in self._well:
            return None
        self._asked[name] += 1
        answer = _FAULTS.get(_behaviour(name))
        return answer(self, name, path) if answer else None

    def _is_too_much(self) -> bool:
        """Whether this request is one too many of its second."""
        if self.most_a_second is None:
            return False
        now = time.monotonic()
        while self._let_through and now - self._let_through[0] >= 1:
            self._let_through.popleft()
        if len(self._let_through) >= self.most_a_second:
            return True
        self._let_through.append(now)
        return False

    def _delay(self, name: str, path: str) -> None:
        self.closing.wait(0.1)

    def _vanish(self, name: str, path: str) -> Fault | None:
        if not path.endswith("#fetch"):
            return None
        self._gone.add(name)
        return Fault(status=404)

    def _move(self, name: str, path: str) -> Fault | None:
        if self._repos.path(name).exists():
            return None
        query = path.partition(f"/{name}.git")[2]
        return Fault(status=301, headers={"Location": f"/new-{name}.git{query}"})

    def _busy(self, name: str, path: str) -> Fault | None:
        limit = Fault(status=429, headers={"Retry-After": "1"}, body=b"too many requests\n")
        return limit if self._asked[name] <= 2 else None

    def _flap(self, name: str, path: str) -> Fault | None:
        return Fault(status=503) if self._asked[name] % 2 else None


def _in_packs(fault: Fault) -> Callable[[FleetHost, str, str], Fault | None]:
    return lambda _host, _name, path: fault if path.endswith("#fetch") else None


def _always(fault: Fault) -> Callable[[FleetHost, str, str], Fault | None]:
    return lambda *_: fault


_FAULTS: Final[Mapping[str, Callable[[FleetHost, str, str], Fault | None]]] = {
    "slow": FleetHost._delay,
    "vanishing": FleetHost._vanish,
    "moving": FleetHost._move,
    "busy": FleetHost._busy,
    "flapping": FleetHost._flap,
    "broken": _in_packs(Fault(flip_at=1500)),
    "cut": _in_packs(Fault(cut_at=1500, cut_cleanly=True)),
    "secret": _always(Fault(status=403)),
    "private": _always(Fault(status=401, headers={"WWW-Authenticate": 'Basic realm="git"'})),
    "stalling": _always(Fault(stall_at=0)),
}


def _behaviour(name: str) -> str:
    return name.rpartition("-")[0]


def _name_in(path: str) -> str:
    """The name of the repository that a request's path is about."""
    return path.removeprefix("/").partition(".git")[0]


def _when(request: Request) -> float:
    return request.at
