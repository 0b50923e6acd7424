"""All the twins of the way from an upload to an invalidation, and the time that drives them.

S3's messages, wakes and the sweep of each minute come when they are due; what is due while a turn
sleeps comes meanwhile. A process may be killed at every step of a twin's method: then all that it
still wants to do fails, its `finally` clauses too.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from typing import Final
from urllib.parse import quote_plus

from functions.collecting import Collector
from functions.domain import instants
from functions.domain.batch import caller_reference
from functions.domain.coverage import Invalidation
from functions.domain.deliveries import Delivery
from functions.domain.paths import Path
from functions.domain.site import Site, paths_of
from functions.domain.sites import Sites
from functions.invalidating import Turn
from functions.upload_ports import UploadWorld
from functions.uploads_sweeping import UploadsSweep
from lab.edge.controls import Fault
from tests.twins.trace import Trace, TwinLog
from tests.twins.upload_parts import (
    TimedCloudFront,
    TwinObjects,
    TwinUploadMeasures,
    UploadClock,
)
from tests.twins.uploads import TwinTable

__all__ = [
    "FUNCTION_S",
    "REDELIVERED_S",
    "SWEEP_EVERY_S",
    "Killed",
    "TwinObjects",
    "TwinUploadMeasures",
    "TwinUploadWorld",
    "Upload",
    "record",
    "site",
]

SWEEP_EVERY_S: Final = 60
REDELIVERED_S: Final = 30
"""Sooner than the stack's 120 s and than a sweep, so that it is seen what each of them mends."""
FUNCTION_S: Final = 120
"""As the stack has it."""


class Killed(BaseException):
    """The process is gone, at a step and at every step after it: no error that anybody catches."""


@dataclass(frozen=True, slots=True)
class Upload:
    """What really happened in a bucket, whatever the messages say."""

    bucket: str
    key: str
    at: datetime


@dataclass
class TwinUploadWorld:
    """A bucket's way to CloudFront. `hook` is called at each step, with its number and name."""

    sites: Sites
    hook: Callable[[int, str], None] = lambda _number, _name: None
    clock: UploadClock = field(default_factory=UploadClock)
    measures: TwinUploadMeasures = field(default_factory=TwinUploadMeasures)
    objects: TwinObjects = field(default_factory=TwinObjects)
    uploads: list[Upload] = field(default_factory=list)
    dead_letters: list[str] = field(default_factory=list)
    steps: int = 0

    def __post_init__(self) -> None:
        self.log = TwinLog(Trace())
        self.table = TwinTable(self._step)
        self.cloudfront = TimedCloudFront(self.clock, self._step)
        self.clock.meanwhile = self._happen
        self.clock.next_at = self._next_at
        self._names = count()
        self._messages: list[tuple[datetime, int, list[str]]] = []
        self._sweep_at = self.clock.wall() + timedelta(seconds=SWEEP_EVERY_S)
        self._sequencers = count(0x10)
        self._taking: str | None = None
        self._killed = False
        self._hooked = False
        self._used_before = 0

    @property
    def world(self) -> UploadWorld:
        """The ports."""
        return UploadWorld(
            clock=self.clock,
            log=self.log,
            uploads=self.table.uploads,
            batches=self.table.batches,
            account=self.table.account,
            leases=self.table.leases,
            cloudfront=self.cloudfront,
            objects=self.objects,
            wakes=self.table.wakes,
            measures=self.measures,
        )

    def upload(self, bucket: str, key: str, at_s: float = 0.0) -> str:
        """Upload in so many seconds; return the record of its message, still to be delivered."""
        at = self.clock.wall() + timedelta(seconds=at_s)
        self.uploads.append(Upload(bucket, key, at))
        self.objects.buckets.setdefault(bucket, set()).add(key)
        return record(bucket, key, at, f"{next(self._sequencers):016X}")

    def deliver(self, records: Iterable[str], at_s: float = 0.0) -> None:
        """Deliver a message of such records in so many seconds."""
        self.deliver_bodies([f'{{"Records":[{",".join(records)}]}}'], at_s)

    def deliver_bodies(self, bodies: list[str], at_s: float = 0.0) -> None:
        """Deliver messages together in so many seconds."""
        at = self.clock.wall() + timedelta(seconds=at_s)
        heappush(self._messages, (at, next(self._names), bodies))

    def come(self, bucket: str, key: str, at_s: float = 0.0) -> None:
        """Upload in so many seconds, with a message at once."""
        self.deliver([self.upload(bucket, key, at_s)], at_s)

    def spend(self, site: str, paths: int) -> None:
        """Have used so many of the month's paths before."""
        self.table.used[f"{self.clock.wall():%Y-%m}"][site] += paths
        self._used_before += paths

    def run(self, *, at_most_s: float = 7_200) -> None:
        """Let time pass until nothing is left to do; fail where that never comes."""
        until = self.clock.wall() + timedelta(seconds=at_most_s)
        while not self.is_quiet:
            assert self.clock.wall() < until, "something is left to do for ever"
            at = self._next_at()
            assert at is not None
            self.clock.jump(max(0.0, (at - self.clock.wall()).total_seconds()))
            self._happen()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is on its way, waits, or is open."""
        waits = any(self.table.waiting.values())
        return not (self._messages or self.table.messages or waits or self.table.open)

    def turn(self, distribution: str) -> None:
        """Be a fresh invocation for a distribution."""
        ends_at_ms = self.clock.now_ms + FUNCTION_S * 1000
        owner = f"turn-{next(self._names)}"
        Turn(self.world, self.sites, distribution, owner, ends_at_ms).take()

    def half_a_turn(self, distribution: str, *, steps: int) -> None:
        """Be an invocation that dies after so many steps, unless it has done by then."""
        left = count(1)

        def die(_: str) -> None:
            if next(left) > steps:
                raise Killed

        self.table.steps = self.cloudfront.steps = die
        with suppress(Killed):
            self.turn(distribution)
        self.table.steps = self.cloudfront.steps = self._step

    def collect(self, bodies: list[str]) -> None:
        """Be a fresh invocation for messages; what it reports as failed is a dead letter."""
        collector = Collector(
            self.sites, self.clock, self.log, self.table.uploads, self.table.wakes, self.measures
        )
        deliveries = [Delivery(body, str(place)) for place, body in enumerate(bodies)]
        self.dead_letters += [bodies[int(name)] for name in collector.collect(deliveries)]

    def kill(self) -> None:
        """End the process whose step this is."""
        self._killed = True
        raise Killed

    def stale(self) -> list[tuple[str, str, Upload]]:
        """Return every path of an upload that no invalidation cleared after it was made."""
        made = {
            name: [
                Invalidation.of(map(Path, one.batch.paths), one.created_at)
                for one in self.cloudfront.made(name)
            ]
            for name in self.sites.distributions
        }
        return [
            (name, path.text, upload)
            for upload in self.uploads
            for site in self.sites.of_bucket(upload.bucket)
            for name in site.distributions
            for path in paths_of(site, upload.key)
            if (name, path.text) not in self.table.asides
            if not any(_is_after(one, upload) and one.matches(path) for one in made[name])
        ]

    def doubled(self) -> list[str]:
        """Return the rows for which CloudFront has made more than one invalidation."""
        contents = {
            caller_reference(*name): contents for name, contents in self.table.contents.items()
        }
        causes = Counter(
            f"{name} {row.row_id}"
            for name in self.sites.distributions
            for one in self.cloudfront.made(name)
            for row in contents[one.batch.caller_reference].causes
        )
        return [row for row, times in causes.items() if times > 1]

    def check(self, *, stopped: int = 0) -> None:
        """Nothing is lost, nothing is doubled, no limit was exceeded, nothing is left.

        So many calls may have been claimed by processes that were stopped just before them.
        """
        assert self.is_quiet
        assert not self.stale()
        assert not self.doubled()
        for name in self.sites.distributions:
            highest = self.cloudfront.highest(name)
            assert highest.exact <= 2_900
            assert highest.wildcards <= 13
        aside = {path for _, path in self.table.asides}
        assert aside <= self.cloudfront.bad_paths, "only what CloudFront refuses is set aside"
        refused, injected = self.cloudfront.refused, self.cloudfront.injected
        assert refused["Throttling"] <= injected[Fault.THROTTLE]
        assert refused["TooManyInvalidationsInProgress"] <= injected[Fault.TOO_MANY]
        called_at = self.cloudfront.called_at
        for one, fourth in zip(called_at, called_at[3 + stopped :], strict=False):
            assert (fourth - one).total_seconds() >= 1.999, "three at once, then one in 2 s"
        used = sum((used for used in self.table.used.values()), Counter[str]())
        paid = sum(
            load.exact + load.wildcards
            for load in map(self.cloudfront.paths_used, self.sites.distributions)
        )
        assert used.total() - self._used_before == paid, (
            "the paths that were counted are those on the bill"
        )

    def _step(self, name: str) -> None:
        if self._killed:
            raise Killed
        if self._hooked:
            return
        self.steps += 1
        self._hooked = True
        try:
            self.hook(self.steps, name)
        finally:
            self._hooked = False

    def _next_at(self) -> datetime | None:
        times = [self._sweep_at, *(at for at, _ in self.table.messages)]
        if self._messages:
            times.append(self._messages[0][0])
        return max(self.clock.wall(), min(times))

    def _happen(self) -> None:
        """Do all that is due; what has a turn of its own waits while another one sleeps."""
        now = self.clock.wall()
        while self._messages and self._messages[0][0] <= now:
            _, place, bodies = heappop(self._messages)
            if not self._lives_through(self.collect, bodies):
                heappush(self._messages, (now + timedelta(seconds=REDELIVERED_S), place, bodies))
        if self._sweep_at <= now:
            self._sweep_at = now + timedelta(seconds=SWEEP_EVERY_S)
            self._lives_through(UploadsSweep(self.world, self.sites).sweep)
        for name in self.table.delivered(now):
            self._wake(name, now)

    def _wake(self, name: str, now: datetime) -> None:
        if self._taking not in {None, name}:
            self.table.messages.append((now + timedelta(seconds=1), name))
            return
        before, self._taking = self._taking, name
        try:
            self._lives_through(self.turn, name)
        finally:
            self._taking = before

    def _lives_through(self, invocation: Callable[..., None], *arguments: object) -> bool:
        try:
            invocation(*arguments)
        except Killed:
            self._killed = False
            return False
        return True


def record(
    bucket: str, key: str, at: datetime, sequencer: str | None, name: str = "ObjectCreated:Put"
) -> str:
    """Return one of S3's records."""
    thing = {"key": quote_plus(key)} | ({"sequencer": sequencer} if sequencer else {})
    return json.dumps(
        {
            "eventVersion": "2.1",
            "eventName": name,
            "eventTime": instants.exact(at),
            "s3": {"bucket": {"name": bucket}, "object": thing},
        }
    )


def site(name: str = "shop", **changes: object) -> Site:
    """Return an ordinary site, but for `changes`."""
    ordinary: dict[str, object] = {
        "name": name,
        "bucket": f"{name}-bucket",
        "distributions": ("E1",),
        "index_documents": ("index.html",),
    }
    return Site(**(ordinary | changes))  # type: ignore[arg-type]


def _is_after(one: Invalidation, upload: Upload) -> bool:
    return one.created_at is not None and one.created_at >= upload.at
