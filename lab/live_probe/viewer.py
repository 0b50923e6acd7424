"""A viewer of the distribution: one GET with its target as it is, nothing tidied."""

import http.client
from dataclasses import dataclass
from urllib.parse import urlsplit

_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What a viewer got; `cached`: from the edge's cache, as X-Cache has it."""

    status: int
    body: str
    x_cache: str

    @property
    def cached(self) -> bool:
        """Whether it came out of the cache, without a look at the bucket."""
        return self.x_cache.lower().startswith("hit")


@dataclass(frozen=True, slots=True)
class Viewer:
    """Asks at `url`, such as `https://d111111abcdef8.cloudfront.net`."""

    url: str

    def get(self, target: str) -> Seen:
        """Return the answer to one GET. Raise OSError or HTTPException where none comes."""
        parts = urlsplit(self.url)
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        connection = kind(parts.netloc, timeout=_WITHIN_S)
        try:
            connection.request("GET", target, headers={"Accept-Encoding": "identity"})
            answer = connection.getresponse()
            body = answer.read().decode("utf-8", "replace")
            return Seen(answer.status, body, answer.getheader("X-Cache", ""))
        finally:
            connection.close()
