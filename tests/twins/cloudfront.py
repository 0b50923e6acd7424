"""CloudFront in memory: the rules of the lab's (`lab.edge`), by the clock of a test."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from functions.domain.batch import LookUp, Made, Missing, Refused, Unanswered
from functions.domain.errors import CloudFrontError, NoSuchDistributionError, NotFoundYetError
from functions.domain.invalidation_limits import Meaning, meaning_of
from functions.domain.looking_up import Listed, to_look_at
from lab.edge import refusals
from lab.edge.budget import CallBudget
from lab.edge.cache import Cache, Response
from lab.edge.controls import Controls, Fault
from lab.edge.invalidations import Batch, Invalidation, Invalidations, Load, Moment
from lab.edge.matching import Wildcards
from lab.edge.refusals import RefusedError
from tests.twins.clock import TwinClock

PATIENCE_S = 4.0
"""For how long a caller waits for an answer that never comes."""

_FOREVER_S = 1e9
_FAILURES = {
    Fault.THROTTLE: refusals.throttled,
    Fault.TOO_MANY: refusals.too_many,
    Fault.UNAVAILABLE: refusals.unavailable,
    Fault.UNAVAILABLE_AFTER: refusals.unavailable,
}


class _HangingError(Exception):
    """No answer comes."""


@dataclass
class _Distribution:
    invalidations: Invalidations = field(default_factory=Invalidations)
    cache: Cache = field(default_factory=lambda: Cache(Wildcards.CHARACTERS))


def _go_on(_: str) -> None:
    """Do nothing at a step."""


class TwinCloudFront:
    """One account. `faults` hit the calls of `create` to come, one each; None is no fault.

    `bad_paths` are refused beside those that the documentation refuses, and a batch with one of
    `silent_paths` is never answered. Whoever asks for one of the distributions that are `gone` is
    told so, and who reads one of the `hidden` ones is refused. `steps` is called with a
    method's name before a call and after it, as `TwinTable.steps`. `calls` counts the API's calls
    by action, `refused` its refusals by code. Distributions come into being when they are named.
    """

    def __init__(
        self, clock: TwinClock, steps: Callable[[str], None] = _go_on, **controls: object
    ) -> None:
        self.clock = clock
        self.steps = steps
        self.controls = Controls(completion_s=10).changed(controls)
        self.faults: deque[Fault | None] = deque()
        self.bad_paths: set[str] = set()
        self.silent_paths: set[str] = set()
        self.gone: set[str] = set()
        self.hidden: set[str] = set()
        self.calls: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.distributions: dict[str, _Distribution] = {}
        self._budget = CallBudget()
        self._made = 0

    def create(
        self, distribution: str, reference: str, paths: Sequence[str]
    ) -> Made | Refused | Unanswered:
        """As in the port."""
        self.steps("create")
        answer = self._answer(distribution, Batch(reference, tuple(paths)))
        self.steps("create")
        return answer

    def look_up(self, distribution: str, wanted: LookUp) -> Made | Missing:
        """As in the port, by the account's budget."""
        self.steps("look_up")
        found = Missing() if distribution in self.gone else self._look_up(distribution, wanted)
        self.steps("look_up")
        return found

    def completed(self, distribution: str, invalidation_ids: Sequence[str]) -> frozenset[str]:
        """As in the port."""
        self.steps("completed")
        self._read("ListInvalidations", distribution)
        known = self.of(distribution).all
        done = frozenset(
            name
            for name in invalidation_ids
            if name not in known or known[name].status(self._now_s) == "Completed"
        )
        self.steps("completed")
        return done

    def of(self, distribution: str) -> Invalidations:
        """Return a distribution's invalidations."""
        return self._distribution(distribution).invalidations

    def made(self, distribution: str) -> list[Invalidation]:
        """Return what was made, the oldest first; a repeated call makes nothing."""
        return list(self.of(distribution).all.values())

    def made_by_another(self, distribution: str, reference: str, path: str) -> None:
        """Make one that nobody here asked for, as whoever uses the console does."""
        batch, name = Batch(reference, (path,)), f"I{self._made:013}"
        self._made += 1
        self.of(distribution).create(batch, name, self._moment(), self.controls)

    def highest(self, distribution: str) -> Load:
        """Return the most paths that were ever in progress at once."""
        return self.of(distribution).highest

    def paths_used(self, distribution: str) -> Load:
        """Return the paths that the bill counts."""
        return self.of(distribution).total

    def visit(self, distribution: str, path: str, body: bytes) -> bytes:
        """Return what a visitor gets; `body`: what the bucket has now."""
        cache = self._distribution(distribution).cache
        if entry := cache.find(path, self._now_s):
            return entry.response.body
        flight = cache.depart(path, self._now_s)
        cache.land(flight, Response(200, (), body), now_s=self._now_s, ttl_s=_FOREVER_S)
        return body

    def is_cached(self, distribution: str, path: str) -> bool:
        """Return whether the edge has an answer for a path now."""
        return self._distribution(distribution).cache.find(path, self._now_s) is not None

    @property
    def _now_s(self) -> float:
        return self.clock.now_ns() / 1e9

    def _distribution(self, name: str) -> _Distribution:
        return self.distributions.setdefault(name, _Distribution())

    def _answer(self, distribution: str, batch: Batch) -> Made | Refused | Unanswered:
        self.calls["CreateInvalidation"] += 1
        try:
            made = self._create(distribution, batch)
        except _HangingError:
            return Unanswered()
        except RefusedError as refused:
            self.refused[refused.code] += 1
            meaning = meaning_of(refused.code, refused.message, refused.status)
            if meaning is Meaning.UNKNOWN:
                return Unanswered()
            return Refused(meaning, str(refused))
        return Made(made.id, made.created_at)

    def _create(self, name: str, batch: Batch) -> Invalidation:
        if name in self.gone:
            raise refusals.not_found("Distribution")
        fault = self.faults.popleft() if self.faults else None
        if fault is not None and not fault.comes_after_the_deed:
            self._fail(fault)
        self._spend()
        if self.silent_paths.intersection(batch.paths):
            self._fail(Fault.HANG)
        if self.bad_paths.intersection(batch.paths):
            raise refusals.invalid_paths()
        distribution = self._distribution(name)
        made, new = distribution.invalidations.create(
            batch, f"I{self._made:013}", self._moment(), self.controls
        )
        if new:
            self._made += 1
            distribution.cache.schedule(batch.paths, made.effect_s)
        if fault is not None:
            self._fail(fault)
        return made

    def _fail(self, fault: Fault) -> None:
        if failure := _FAILURES.get(fault):
            raise failure()
        self.clock.sleep(PATIENCE_S)
        raise _HangingError

    def _moment(self) -> Moment:
        wall = self.clock.wall()
        return Moment(self._now_s, wall.replace(microsecond=wall.microsecond // 1000 * 1000))

    def _spend(self) -> None:
        rate, burst = self.controls.calls_per_s, self.controls.burst
        if self.controls.throttling and not self._budget.take(
            self._now_s, calls_per_s=rate, burst=burst
        ):
            raise refusals.throttled()

    def _look_up(self, distribution: str, wanted: LookUp) -> Made | Missing:
        self._read("ListInvalidations", distribution)
        made = self.of(distribution).all
        listed = [Listed(one.id, one.created_at) for one in reversed(made.values())]
        likeliest, more = to_look_at(listed, wanted)
        for one in likeliest:
            self._read("GetInvalidation", distribution)
            if made[one.invalidation_id].batch == Batch(wanted.reference, wanted.paths):
                return Made(one.invalidation_id, one.created_at)
        if more:
            raise NotFoundYetError(len(likeliest))
        return Missing()

    def _read(self, action: str, distribution: str) -> None:
        self.calls[action] += 1
        if distribution in self.gone:
            raise NoSuchDistributionError(str(refusals.not_found("Distribution")))
        if distribution in self.hidden:
            raise CloudFrontError("AccessDenied: not authorized to perform this")
        try:
            if self.controls.reads_count:
                self._spend()
        except RefusedError as refused:
            self.refused[refused.code] += 1
            raise CloudFrontError(str(refused)) from refused
