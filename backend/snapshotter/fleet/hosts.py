"""Which repositories are next, and what may be asked of their host: queues, leases, pauses and breakers.

A state machine without a clock of its own: the caller says what time it is, in seconds that only grow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from snapshotter.fleet.batch import DOWN_AFTER
from snapshotter.fleet.breaker import PAUSES, Breaker
from snapshotter.fleet.host_order import HostOrder, Rank
from snapshotter.fleet.host_queue import HostQueue, weight_of
from snapshotter.fleet.outcome import BatchResult, Lease
from snapshotter.fleet.time_left import Load
from snapshotter.fleet.verdict import missed

MOST_TASKS: Final = 50  # in a batch: what one costs to send is shared by so many
_PARTS: Final = 4  # batches for each slot that what is left makes at least, so that all slots end together
TOGETHER: Final = 8  # repositories that a worker takes at once: while each slot gets so many, none gets fewer
_LONGEST_PAUSE: Final = 900.0  # seconds: a host may ask for days, and is then asked now and then
_MARGIN: Final = 0.95  # of the rate: a request may be late, and the next one on time


@dataclass(frozen=True)
class HostLimits:
    """What a run may ask of one host in all: connections at once, and requests a second (None: any number).

    `pauses` are the seconds before each try of one that cannot be reached.
    """

    connections: int
    requests_per_second: float | None = None
    pauses: Sequence[float] = PAUSES


@dataclass(frozen=True)
class Ticket:
    """A batch to be: the repositories, by their indexes, and the lease. `rate` is its share of the host's requests."""

    number: int
    host: int
    indexes: list[int]
    lease: Lease
    rate: float | None = None


@dataclass
class _Host:
    """One host's queue and what of its limits is in use."""

    queue: HostQueue
    breaker: Breaker
    leased: dict[int, Ticket] = field(default_factory=dict)
    missed: set[int] = field(default_factory=set)  # that could not reach it, each told to the breaker once
    counted: int = 0  # of `left`, in the sum of all
    is_busy: bool = False  # in the sum of all
    paused_until: float = 0.0
    last_sent: float = -math.inf


class Hosts:
    """The queues of all hosts. `weights` are the repositories', in bytes, 0 for unknown.

    While there are so many for each slot, a batch has at least `together` of them.
    """

    def __init__(self, limits: HostLimits, weights: Sequence[int], together: int = 1) -> None:
        self._limits, self._weights, self._together = limits, weights, together
        self._hosts: list[_Host] = []
        self._order = HostOrder()
        self._given_up: set[int] = set()
        self._left = self._busy = self._number = 0

    def add(self, indexes: Sequence[int]) -> None:
        """Add the next host, with its repositories."""
        self._hosts.append(_Host(HostQueue(indexes, self._weights), Breaker(DOWN_AFTER, self._limits.pauses)))
        self._order.add()
        self._changed(len(self._hosts) - 1)

    @property
    def left(self) -> int:
        """How many repositories wait, for their turn or for another try."""
        return self._left

    @property
    def loads(self) -> Iterator[Load]:
        """What each host has in all."""
        return (host.queue.load for host in self._hosts)

    def load(self, host: int) -> Load:
        """What a host has in all."""
        return self._hosts[host].queue.load

    def weight(self, index: int) -> int:
        """About how many bytes a repository is, also if nobody knows."""
        return weight_of(self._weights, index)

    def waits(self, host: int, now: float) -> bool:
        """Whether a host is not asked for a while: it is down, or wishes so."""
        held = self._hosts[host]
        return now < held.paused_until or held.breaker.state(now) != "closed"

    def next(self, now: float, slots: int) -> Ticket | None:
        """The next batch, for one of so many `slots`; None if none may begin now."""
        number = self._order.first(now, lambda number: self._look(number, now))
        if number is None:
            return None
        host = self._hosts[number]
        fair = max(1, slots // max(1, self._busy))
        if host.breaker.state(now) == "trying":
            host.breaker.try_one()
            indexes = [host.queue.probe(now, host.missed)]
        else:
            indexes = host.queue.taken(now, self._size(host.queue.left, fair))
        self._number += 1
        ticket = Ticket(self._number, number, indexes, *self._lease(host, now, fair))
        host.leased[ticket.number] = ticket
        self._changed(number)
        return ticket

    def wake(self, now: float) -> float | None:
        """When `next` may have another answer although no batch ended; None if only that can change it."""
        return self._order.wake(now, lambda number: self._look(number, now))

    def ended(self, ticket: Ticket, result: BatchResult | None, now: float) -> None:
        """A batch came back, or (None) is lost with its worker: then its last request may have been sent just now."""
        host = self._hosts[ticket.host]
        del host.leased[ticket.number]
        if result is None:
            host.last_sent = now
            host.breaker.unknown()
        else:
            if result.since_last is not None:
                host.last_sent = max(host.last_sent, now - result.since_last)
            host.paused_until = max(host.paused_until, now + min(result.pause, _LONGEST_PAUSE))
            self._judge(host, ticket, result, now)
        self._changed(ticket.host)

    @staticmethod
    def _judge(host: _Host, ticket: Ticket, result: BatchResult, now: float) -> None:
        """Tell the breaker what a batch met. Each repository counts once: one that stalls at each try is no sign that
        its host is down."""
        again = [
            (ticket.indexes[each.index], each.outcome) for each in result.again if each.outcome is not None
        ]
        tried = len(result.outcomes) + len(again)
        last = [each for each in result.outcomes if missed(each)]
        more = {index for index, outcome in again if missed(outcome)}
        in_vain = len(last) + len(more)
        new = len(more - host.missed) + sum(each.attempts <= 1 for each in last)
        host.missed |= more
        if in_vain < tried:
            host.breaker.reached()
            new = min(new, 1)
        if in_vain:
            host.breaker.missed(now, new)
        elif not tried:
            host.breaker.unknown()

    def again(self, host: int, index: int, at: float, *, alone: bool = False) -> None:
        """Try a repository again, not before `at`; with `alone`, in a batch of its own."""
        self._hosts[host].queue.again(index, at, alone=alone)
        self._changed(host)

    def given_up(self, now: float) -> Iterator[tuple[int, int]]:
        """The repositories, with their hosts, of hosts that are given up: they are taken out of the queues."""
        for number in tuple(self._given_up):
            taken = self._hosts[number].queue.emptied()
            self._changed(number)
            yield from ((number, index) for index in taken)

    def _changed(self, number: int) -> None:
        """Keep the sums, and what is asked of a host, as it is now."""
        host = self._hosts[number]
        left, is_busy = host.queue.left, bool(host.queue.left or host.leased)
        self._left += left - host.counted
        self._busy += is_busy - host.is_busy
        host.counted, host.is_busy = left, is_busy
        if left and host.breaker.is_given_up:
            self._given_up.add(number)
        else:
            self._given_up.discard(number)
        self._order.changed(number)

    def _look(self, number: int, now: float) -> tuple[Rank | None, float | None]:
        """See Look: hosts with the fewest batches on their way come first, and of those the ones with the most left."""
        host = self._hosts[number]
        if self._is_open(host, now):
            return (len(host.leased), -host.queue.left), None
        times = (time for time in self._times(host) if time > now) if host.queue.left else ()
        return None, min(times, default=None)

    def _is_open(self, host: _Host, now: float) -> bool:
        if now < host.paused_until or not host.queue.has_ready(now):
            return False
        if host.breaker.state(now) not in ("closed", "trying"):
            return False
        connections, rate = self._free(host)
        return connections > 0 and (rate is None or rate > 0)

    def _free(self, host: _Host) -> tuple[int, float | None]:
        """What is left of the host's limits."""
        tickets = host.leased.values()
        connections = self._limits.connections - sum(ticket.lease.connections for ticket in tickets)
        rate = self._limits.requests_per_second
        return connections, None if rate is None else rate - sum(ticket.rate or 0 for ticket in tickets)

    def _lease(self, host: _Host, now: float, fair: int) -> tuple[Lease, float | None]:
        """A fair share of what is left. Shares of the rate are whole numbers, or one is all of it: then no second has
        more requests than the limit, wherever it begins."""
        connections, free = self._free(host)
        most, rate = self._limits.connections, self._limits.requests_per_second
        connections = min(connections, max(1, most // fair))
        if rate is None or free is None:
            return Lease(connections=connections), None
        share = min(free, max(1.0, float(int(rate * connections / most))))
        paced = share * _MARGIN
        wait = max(0.0, host.last_sent + 1 / paced - now)
        return Lease(connections=connections, requests_per_second=paced, wait=wait), share

    def _size(self, left: int, slots: int) -> int:
        """How many of those that are left make a batch, for so many slots."""
        together = min(self._together, -(-left // slots))
        return max(1, together, min(MOST_TASKS, -(-left // (slots * _PARTS))))

    @staticmethod
    def _times(host: _Host) -> Iterator[float]:
        yield host.paused_until
        if host.queue.opens < math.inf:
            yield host.queue.opens
        if host.breaker.state(-math.inf) != "closed":
            yield host.breaker.until
