"""The invalidations of one distribution: references, limits, and how far each has come."""

from dataclasses import dataclass
from datetime import datetime

from lab.edge import matching, refusals
from lab.edge.controls import Controls

MOST_PATHS = 3000
"""In one request."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a caller asks for."""

    caller_reference: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant on two clocks."""

    now_s: float
    """Monotonic: what the delays are measured with."""
    created_at: datetime
    """What an answer calls CreateTime."""


@dataclass(frozen=True, slots=True)
class Load:
    """Paths in progress, counted apart."""

    exact: int = 0
    wildcards: int = 0

    def __add__(self, other: "Load") -> "Load":
        return Load(self.exact + other.exact, self.wildcards + other.wildcards)

    def highest(self, other: "Load") -> "Load":
        """Return the greater of each kind."""
        return Load(max(self.exact, other.exact), max(self.wildcards, other.wildcards))


@dataclass(frozen=True, slots=True)
class Invalidation:
    """An accepted batch."""

    id: str
    batch: Batch
    created_at: datetime
    effect_s: float
    """When the edge drops what it matches, on the monotonic clock."""
    completes_s: float

    def status(self, now_s: float) -> str:
        """Return CloudFront's word for how far it is."""
        return "InProgress" if now_s < self.completes_s else "Completed"


class Invalidations:
    """All invalidations of a distribution, oldest first."""

    def __init__(self) -> None:
        self.all: dict[str, Invalidation] = {}
        self.highest = Load()
        """The most that was ever in progress at once."""
        self.total = Load()
        """All paths that were accepted, as the bill counts them; a repeated call adds none."""
        self._by_reference: dict[str, Invalidation] = {}
        self._running: list[Invalidation] = []

    def find(self, invalidation_id: str) -> Invalidation:
        """Return one. Raise RefusedError."""
        try:
            return self.all[invalidation_id]
        except KeyError:
            raise refusals.not_found("Invalidation") from None

    def in_progress(self, now_s: float) -> Load:
        """Return how many paths are not completed."""
        return sum((load_of(one.batch) for one in self.running(now_s)), Load())

    def running(self, now_s: float) -> list[Invalidation]:
        """Return the invalidations that are not completed."""
        self._running = [one for one in self._running if now_s < one.completes_s]
        return self._running

    def create(
        self, batch: Batch, new_id: str, moment: Moment, controls: Controls
    ) -> tuple[Invalidation, bool]:
        """Return an invalidation for the batch, and whether it is new. Raise RefusedError.

        The same reference and paths return the first one as it is. The same paths in another order
        are other paths here: the documentation does not say.
        """
        _check(batch)
        if known := self._by_reference.get(batch.caller_reference):
            if known.batch != batch:
                raise refusals.reused_reference(controls.reused_reference)
            return known, False
        load = self.in_progress(moment.now_s) + load_of(batch)
        _check_limits(load, controls)
        made = Invalidation(
            new_id,
            batch,
            moment.created_at,
            moment.now_s + controls.effect_s,
            moment.now_s + controls.completion_s,
        )
        self.all[new_id] = self._by_reference[batch.caller_reference] = made
        self._running.append(made)
        self.total += load_of(batch)
        self.highest = self.highest.highest(load)
        return made, True

    def page(self, marker: str, size: int) -> tuple[list[Invalidation], bool]:
        """Return up to `size` after the one named by `marker`, newest first; and whether more are.

        Raise RefusedError for an unknown marker.
        """
        newest_first = list(reversed(self.all.values()))
        begin = newest_first.index(self.find(marker)) + 1 if marker else 0
        return newest_first[begin : begin + size], len(newest_first) > begin + size


def load_of(batch: Batch) -> Load:
    """Return how many paths of each kind a batch has; a path that comes twice counts twice."""
    wildcards = sum(map(matching.is_wildcard, batch.paths))
    return Load(len(batch.paths) - wildcards, wildcards)


def _check(batch: Batch) -> None:
    if not batch.caller_reference:
        raise refusals.invalid_argument("Your request must contain a caller reference.")
    if len(batch.paths) > MOST_PATHS:
        raise refusals.batch_too_large()
    if not batch.paths or any(map(matching.fault_in, batch.paths)):
        raise refusals.invalid_paths()


def _check_limits(load: Load, controls: Controls) -> None:
    if not controls.limits:
        return
    if load.exact > controls.exact_in_progress:
        raise refusals.too_many()
    if load.wildcards > controls.wildcards_in_progress:
        raise refusals.too_many("wildcard ")
