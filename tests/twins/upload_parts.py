"""A clock in which things happen, a CloudFront that takes time, buckets, and what was measured."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from functions.domain.batch import Made, Refused, Unanswered
from functions.domain.errors import BucketError
from lab.edge.controls import Fault
from tests.twins.clock import TwinClock
from tests.twins.cloudfront import TwinCloudFront


class UploadClock(TwinClock):
    """While somebody sleeps, what is due happens."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], None] = lambda: None
        self.next_at: Callable[[], datetime | None] = lambda: None

    def sleep(self, seconds: float) -> None:
        """Let time pass, from one thing that happens to the next."""
        until = self.wall() + timedelta(seconds=max(0.0, seconds))
        while (at := self.next_at()) is not None and at <= until:
            super().sleep((at - self.wall()).total_seconds())
            self.meanwhile()
        super().sleep((until - self.wall()).total_seconds())

    def jump(self, seconds: float) -> None:
        """Let time pass in which nothing happens: a process was stopped."""
        super().sleep(seconds)


class TwinUploadMeasures:
    """Remembers what was measured."""

    def __init__(self) -> None:
        self.collected_: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.oldest_s: list[float] = []
        self.lives: list[tuple[str, float, float]] = []
        self.spent_: dict[str, tuple[float, float | None]] = {}
        self.aside: Counter[str] = Counter()

    def collected(self, changes: int, repeated: int, ignored: int) -> None:
        """As in the port."""
        self.collected_.update(changes=changes, repeated=repeated, ignored=ignored)

    def called(self, distribution: str, outcome: str, exact: int, wildcards: int) -> None:
        """As in the port."""
        assert distribution
        assert exact + wildcards > 0
        self.outcomes[outcome] += 1

    def oldest_waiting(self, distribution: str, age_s: float) -> None:
        """As in the port."""
        assert distribution
        self.oldest_s.append(age_s)

    def live(self, site: str, requested_s: float, live_s: float) -> None:
        """As in the port."""
        self.lives.append((site, requested_s, live_s))

    def spent(self, site: str, usd: float, share_of_cap: float | None) -> None:
        """As in the port."""
        self.spent_[site] = (usd, share_of_cap)

    def set_aside(self, distribution: str, paths: int) -> None:
        """As in the port."""
        self.aside[distribution] += paths


@dataclass
class TwinObjects:
    """Buckets' live keys. `fails`: S3 refuses to list."""

    buckets: dict[str, set[str]] = field(default_factory=dict)
    fails: bool = False
    lists: int = 0
    _sorted: dict[str, list[str]] = field(default_factory=dict)

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        """As in the port."""
        self.lists += 1
        if self.fails:
            raise BucketError("AccessDenied")
        keys = self.buckets.get(bucket, set())
        if len(self._sorted.get(bucket, ())) != len(keys):
            self._sorted[bucket] = sorted(keys)
        found = self._sorted.get(bucket, [])
        for place in range(bisect_left(found, prefix), len(found)):
            if not found[place].startswith(prefix):
                return
            yield found[place]


class TimedCloudFront(TwinCloudFront):
    """Remembers when it was called, and takes `create_s` for each answer."""

    def __init__(self, clock: TwinClock, steps: Callable[[str], None]) -> None:
        super().__init__(clock, steps)
        self.called_at: list[datetime] = []
        self.injected: Counter[Fault] = Counter()
        self.create_s = 0.3

    def inject(self, *faults: Fault | None) -> None:
        """Let the next calls fail so; None is no fault."""
        self.faults.extend(faults)
        self.injected.update(fault for fault in faults if fault)

    def create(
        self, distribution: str, reference: str, paths: Sequence[str]
    ) -> Made | Refused | Unanswered:
        """As in the port."""
        self.called_at.append(self.clock.wall())
        answer = super().create(distribution, reference, paths)
        self.clock.sleep(self.create_s)
        return answer
