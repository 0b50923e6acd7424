"""Waiting for what was asked for, by looking at the table until it is completed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cli.deployed import Deployed
from cli.errors import NotClearedError
from cli.screens import following as screen
from functions.domain.asked_progress import Known, Progress, Stage
from functions.domain.errors import HoldstillError
from functions.domain.waiting import Waiting

LOOK_EVERY_S: Final = 1.0
MOST_WAIT_S: Final = 900
"""After 10 min what waits escalates to its folder; what takes longer than this is a matter for
somebody to look at."""

_GOES_ON: Final = "It goes on without this command: see `holdstill invalidations`."

_CLOCKS_APART: Final = timedelta(minutes=1)
"""CloudFront's clock and ours, at the most."""


@dataclass
class _Followed:
    """The rows of one distribution, and what is known of its batches."""

    name: str
    rows: Sequence[Waiting]
    known: Known = field(default_factory=Known)
    last: tuple[Progress, ...] = ()

    def look(self, deployed: Deployed) -> bool:
        """Look; return whether any row has come further. Raise TableError."""
        now = self._progress(deployed)
        changed = _stages(now) != _stages(self.last)
        self.last = now
        return changed

    def _progress(self, deployed: Deployed) -> tuple[Progress, ...]:
        batches = deployed.batches
        waiting = deployed.uploads.still_waiting(self.rows)
        since = min(row.change.at for row in self.rows) - _CLOCKS_APART
        # a batch that is closed in between is in the second answer
        records = [*batches.open(self.name), *batches.answered_since(self.name, since)]
        for record in self.known.unread(records):
            self.known.read(record, batches.contents(record))
        asides = batches.aside(self.name)
        return tuple(self.known.progress(row, waiting, asides) for row in self.rows)

    @property
    def over(self) -> bool:
        """Whether nothing more will come for any row."""
        return bool(self.last) and all(one.stage.last for one in self.last)


def follow(deployed: Deployed, rows: Sequence[Waiting]) -> None:
    """Show how far the rows come, until all are completed.

    Raise NotClearedError where CloudFront refused a path for good, after MOST_WAIT_S, and when it
    is interrupted.
    """
    names = dict.fromkeys(row.distribution for row in rows)
    each = [_Followed(name, [row for row in rows if row.distribution == name]) for name in names]
    try:
        _follow(deployed, each, min(row.change.at for row in rows))
    except HoldstillError as error:
        raise NotClearedError(f"{_GOES_ON} The table cannot be read: {error}") from error
    except KeyboardInterrupt as error:
        raise NotClearedError(_GOES_ON) from error
    if refused := {one.why for one in _all(each) if one.stage is Stage.SET_ASIDE}:
        raise NotClearedError(f"CloudFront refuses some of it for good: {'; '.join(refused)}")


def _follow(deployed: Deployed, each: Sequence[_Followed], asked_at: datetime) -> None:
    with screen.progress() as shown:
        while not _looked(deployed, each, asked_at, shown):
            if _waited_s(deployed, asked_at) > MOST_WAIT_S:
                minutes = MOST_WAIT_S // 60
                raise NotClearedError(f"Not completed within {minutes} min. {_GOES_ON}")
            deployed.clock.sleep(LOOK_EVERY_S)


def _looked(
    deployed: Deployed, each: Sequence[_Followed], asked_at: datetime, shown: screen.Progress
) -> bool:
    """Look at every distribution; return whether all are over."""
    for one in each:
        if not one.over and one.look(deployed):
            shown.changed(one.name, _waited_s(deployed, asked_at), one.last)
    shown.now(Counter(one.stage for one in _all(each)), _waited_s(deployed, asked_at))
    return all(one.over for one in each)


def _all(each: Sequence[_Followed]) -> list[Progress]:
    return [progress for one in each for progress in one.last]


def _stages(progress: Sequence[Progress]) -> Counter[tuple[Stage, str]]:
    """Return how many rows are where; `screen` says no more than this."""
    return Counter(
        (one.stage, (one.record and one.record.invalidation_id) or "") for one in progress
    )


def _waited_s(deployed: Deployed, asked_at: datetime) -> float:
    return (deployed.clock.wall() - asked_at).total_seconds()
