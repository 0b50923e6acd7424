"""The cache of one distribution: entries by URI, and the invalidations that are due.

Nothing here looks at a clock: `now_s` is the caller's, and what is due by then happens first.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from lab.edge import matching
from lab.edge.matching import Wildcards


@dataclass(frozen=True, slots=True)
class Response:
    """What the origin answered; headers as it sent them, without those of its connection."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """A response, since when it is here and how long it is good, in seconds."""

    response: Response
    stored_s: float
    expires_s: float


@dataclass(eq=False, slots=True)
class Flight:
    """A request to the origin that is not answered yet."""

    key: str
    overtaken: bool = False
    """An invalidation took effect meanwhile: the answer may be the old one, and is not kept."""


class Cache:
    """Responses by `matching.cache_key`."""

    def __init__(self, wildcards: Wildcards) -> None:
        self.dropped = 0
        """How many entries invalidations have thrown away."""
        self._wildcards = wildcards
        self._entries: dict[str, Entry] = {}
        self._flights: set[Flight] = set()
        self._due: list[tuple[float, int, tuple[str, ...]]] = []
        self._scheduled = 0

    def __len__(self) -> int:
        return len(self._entries)

    def schedule(self, paths: Iterable[str], effect_s: float) -> None:
        """Drop at `effect_s` whatever the paths match then."""
        self._scheduled += 1
        heapq.heappush(self._due, (effect_s, self._scheduled, tuple(paths)))

    def find(self, key: str, now_s: float) -> Entry | None:
        """Return an entry that is still good."""
        self.settle(now_s)
        entry = self._entries.get(key)
        if entry and now_s >= entry.expires_s:
            del self._entries[key]
            return None
        return entry

    def depart(self, key: str, now_s: float) -> Flight:
        """Note a request to the origin. End it with `land`."""
        self.settle(now_s)
        flight = Flight(key)
        self._flights.add(flight)
        return flight

    def land(self, flight: Flight, response: Response, *, now_s: float, ttl_s: float) -> None:
        """Keep the answer of a request that no invalidation overtook."""
        self.settle(now_s)
        self._flights.discard(flight)
        if not flight.overtaken:
            self._entries[flight.key] = Entry(response, now_s, now_s + ttl_s)

    def settle(self, now_s: float) -> None:
        """Let every invalidation take effect that is due."""
        while self._due and self._due[0][0] <= now_s:
            for path in heapq.heappop(self._due)[2]:
                self._drop(path)

    def _drop(self, path: str) -> None:
        for flight in self._flights:
            flight.overtaken |= matching.matches(path, flight.key, self._wildcards)
        if matching.is_wildcard(path):
            hit = [key for key in self._entries if matching.matches(path, key, self._wildcards)]
        else:
            hit = [path] if path in self._entries else []
        self.dropped += len(hit)
        for key in hit:
            del self._entries[key]
