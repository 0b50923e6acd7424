"""The table in memory: conditional writes, one row a key, an index of what is open."""

from collections.abc import Sequence
from datetime import datetime

from functions.domain import instants
from functions.domain.runs import EndedRun, OpenRun, OverdueRun, RunState
from holdstill_protocol.conductor_model import Snapshot
from tests.twins.trace import Trace


class TwinRuns:
    """The runs' records; `rows` by target and scheduled time."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self.rows: dict[tuple[str, str], dict[str, object]] = {}

    def open(self, run: OpenRun) -> bool:
        """As in the port."""
        self._trace.append("open run")
        existing = self.rows.get(_key(run))
        if existing is not None and existing["token"] != run.token:
            return False
        deadline = instants.text(run.deadline_at)
        self.rows[_key(run)] = {**run.document(), "open_sk": deadline}
        return True

    def end(self, run: EndedRun) -> bool:
        """As in the port."""
        self._trace.append("end run")
        existing = self.rows.get(_key(run.opened))
        if existing is None or existing["token"] != run.opened.token:
            return False
        if existing["state"] == RunState.ABANDONED:
            return False
        self.rows[_key(run.opened)] = dict(run.document())
        return True

    def overdue(self, now: datetime) -> Sequence[OverdueRun]:
        """As in the port."""
        return [
            OverdueRun(target, scheduled_at, str(row["run"]), str(row["open_sk"]))
            for (target, scheduled_at), row in self.rows.items()
            if "open_sk" in row and str(row["open_sk"]) < instants.text(now)
        ]

    def abandon(self, run: OverdueRun, now: datetime, snapshots: Sequence[Snapshot]) -> bool:
        """As in the port."""
        row = self.rows[(run.target, run.scheduled_at)]
        end = {"state": RunState.ABANDONED, "ended_at": instants.text(now)}
        if row.get("open_sk") != run.deadline_at and not end.items() <= row.items():
            return False
        row.pop("open_sk", None)
        row |= {**end, "snapshots": list(snapshots)}
        return True


class TwinLeases:
    """Owner and expiry by target. `faults` are raised by the renewals to come, one each."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self.faults: list[Exception | None] = []
        self.rows: dict[str, tuple[str, datetime]] = {}

    def take(self, target: str, owner: str, now: datetime, expires_at: datetime) -> bool:
        """As in the port."""
        self._trace.append("take lease")
        if target in self.rows:
            holder, expiry = self.rows[target]
            if holder != owner and expiry >= now:
                return False
        self.rows[target] = (owner, expires_at)
        return True

    def renew(self, target: str, owner: str, expires_at: datetime) -> bool:
        """As in the port."""
        self._trace.append("renew lease")
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        if target not in self.rows or self.rows[target][0] != owner:
            return False
        self.rows[target] = (owner, expires_at)
        return True

    def release(self, target: str, owner: str) -> bool:
        """As in the port."""
        self._trace.append("release lease")
        if target not in self.rows or self.rows[target][0] != owner:
            return False
        del self.rows[target]
        return True

    def alive(self, target: str, owner: str, now: datetime) -> bool:
        """As in the port."""
        holder, expiry = self.rows.get(target, ("", now))
        return holder == owner and expiry >= now


def _key(run: OpenRun) -> tuple[str, str]:
    return run.request.target, instants.text(run.request.scheduled_at)
