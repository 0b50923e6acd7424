"""What the table tells of a batch: before its first call, while it is going on, and ever after."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from functions.domain.batch import Batch, BatchState
from functions.domain.invalidation_limits import InProgress
from functions.domain.waiting import Waiting
from functions.domain.wildcards import is_wildcard


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a batch; it never changes.

    `paths` in the order in which they are sent. `causes`: the rows that it clears, each matched by
    one of `paths`; while the batch is not over they wait for it and for no other. `reasons`: for
    each wildcard among `paths`, in a sentence why.
    """

    paths: tuple[str, ...]
    causes: tuple[Waiting, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a batch at an instant. All instants are of our own clock but `created_at`.

    `exact`, `wildcards`: how many paths it has of each. `stored_at`: when it was first written;
    `asked_at`: when the last call for it was made. `tries`: how many answers in a row told nothing
    or refused, `why` the last of them. `invalidation_id`, `created_at`: CloudFront's answer.
    `settled`: its causes no longer wait (they are deleted, or it was refused, which frees them).
    `completed_at`: when CloudFront was first seen to call it completed. `looked_at`: when it was
    last looked whether anything of the distribution has completed, in the oldest that had not;
    before it is answered, when it was last looked for.
    `given_up_at`: when nobody went on looking, because of `why`; it may have completed or not.
    `looked`: at how many of CloudFront's invalidations it was looked for in vain.
    """

    distribution: str
    batch_id: str
    exact: int
    wildcards: int
    stored_at: datetime
    state: BatchState = BatchState.STORED
    asked_at: datetime | None = None
    tries: int = 0
    why: str = ""
    invalidation_id: str | None = None
    created_at: datetime | None = None
    settled: bool = False
    completed_at: datetime | None = None
    looked_at: datetime | None = None
    given_up_at: datetime | None = None
    looked: int = 0

    @classmethod
    def of(cls, batch: Batch, stored_at: datetime) -> Self:
        """Return the first record of a batch."""
        wildcards = sum(map(is_wildcard, batch.paths))
        exact = len(batch.paths) - wildcards
        return cls(
            batch.distribution, batch.batch_id, exact, wildcards, stored_at, state=batch.state
        )

    def batch(self, contents: Contents) -> Batch:
        """Return the batch as its machine (`functions.domain.batch`) has it."""
        return Batch(
            self.distribution,
            self.batch_id,
            contents.paths,
            self.state,
            self.invalidation_id,
            self.created_at,
        )

    @property
    def open(self) -> bool:
        """Whether there is anything left to do or to wait for."""
        if self.state is BatchState.REFUSED:
            return False
        return not (self.settled and self._over)

    @property
    def in_progress(self) -> InProgress:
        """What it takes of the distribution's limits."""
        done = self._over or self.state is BatchState.REFUSED
        return InProgress(self.exact, self.wildcards, completed=done)

    @property
    def _over(self) -> bool:
        """Whether CloudFront has completed it, or is taken to have."""
        return self.completed_at is not None or self.given_up_at is not None


@dataclass(frozen=True, slots=True)
class Aside:
    """A path that CloudFront refused for good, kept for somebody to look at. `why`: its answer.

    `keys`: the first of those behind it.
    """

    distribution: str
    path: str
    why: str
    at: datetime
    keys: tuple[str, ...]
