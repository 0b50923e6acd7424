"""What a distribution answers its viewers: from the cache, else from the bucket."""

import threading
import time
from dataclasses import dataclass
from http import HTTPStatus

from lab.edge import origin
from lab.edge.cache import Cache, Response
from lab.edge.distribution import Distribution
from lab.edge.invalidations import Invalidation


@dataclass(slots=True)
class Counts:
    """What viewers got; a cached error is a hit too."""

    hits: int = 0
    misses: int = 0


class Viewers:
    """One distribution's edge, for as many viewers at once as like."""

    def __init__(self, distribution: Distribution) -> None:
        self.distribution = distribution
        self.counts = Counts()
        self.cache = Cache(distribution.wildcards)
        self._lock = threading.Lock()

    def get(self, target: str) -> Response:
        """Answer one GET, `target` as in the request line. Two misses at once ask twice."""
        key = self.distribution.key(target)
        with self._lock:
            now_s = time.monotonic()
            entry = self.cache.find(key, now_s)
            if entry:
                self.counts.hits += 1
                return _told(entry.response, "Hit", age_s=now_s - entry.stored_s)
            self.counts.misses += 1
            cache, flight = self.cache, self.cache.depart(key, now_s)
        response = origin.fetch(
            self.distribution.origin_url, self.distribution.origin_target(target)
        )
        error = response.status >= HTTPStatus.BAD_REQUEST
        ttl_s = self.distribution.error_ttl_s if error else self.distribution.ttl_s
        with self._lock:
            cache.land(flight, response, now_s=time.monotonic(), ttl_s=ttl_s)
        return _told(response, "Miss", age_s=None)

    def invalidate(self, invalidation: Invalidation) -> None:
        """Drop what the paths match once the invalidation takes effect."""
        with self._lock:
            self.cache.schedule(invalidation.batch.paths, invalidation.effect_s)

    def empty(self) -> None:
        """Forget every entry, every invalidation that is due, and the counts."""
        with self._lock:
            self.counts = Counts()
            self.cache = Cache(self.distribution.wildcards)

    def state(self, now_s: float) -> dict[str, int]:
        """Return what there is, and what viewers got."""
        with self._lock:
            self.cache.settle(now_s)
            return {
                "entries": len(self.cache),
                "dropped": self.cache.dropped,
                "hits": self.counts.hits,
                "misses": self.counts.misses,
            }


def _told(response: Response, outcome: str, *, age_s: float | None) -> Response:
    """Return the response with CloudFront's own headers; an error says so, cached or not."""
    error = response.status >= HTTPStatus.BAD_REQUEST
    own = [("X-Cache", f"{'Error' if error else outcome} from cloudfront")]
    if age_s is not None:
        own.append(("Age", str(int(age_s))))
    return Response(response.status, (*response.headers, *own), response.body)
