"""What follows an attempt: what became of a call without an answer, and the verdict's tag."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from functions.domain.errors import Ec2Error, SnapshotNotListedError
from functions.domain.verdict import Broken, Judgement, Verdict
from functions.ports import Clock, Ec2, Log
from holdstill_protocol.conductor_model import CallOutcome, Evidence, Snapshot

RECONCILE_S: Final = 90
"""How long EC2 is asked what an unanswered call made: it lists late, by a minute at worst."""

TAG_S: Final = 60
"""How long a snapshot that EC2 has returned may be unknown to CreateTags."""

_BACKOFF_S: Final = (1, 2, 4, 8)

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Aftermath:
    """Asks EC2 with backoff, at most until `ends_by_ms` of the clock."""

    ec2: Ec2
    clock: Clock
    log: Log
    ends_by_ms: int

    def reconcile(self, run_id: str, evidence: Evidence) -> Evidence:
        """Return the evidence with the snapshots that a call of unknown outcome did make."""
        if evidence.call is not CallOutcome.UNKNOWN or evidence.prepared is None:
            return evidence
        wanted = len(set(evidence.prepared.volumes))

        found: tuple[Snapshot, ...] = ()

        def look() -> tuple[Snapshot, ...] | None:
            nonlocal found
            found = self.ec2.snapshots_of(run_id)
            return found if len(found) >= wanted else None

        self._patiently(look, RECONCILE_S, "snapshots-not-listed", run_id)
        names = [snapshot.snapshot_id for snapshot in found]
        self.log.event("call-reconciled", run_id=run_id, snapshots=names)
        return replace(evidence, snapshots=found)

    def tag(self, run_id: str, snapshots: tuple[Snapshot, ...], judgement: Judgement) -> Judgement:
        """Tag the snapshots with the verdict; without the tag nobody may believe it."""
        verdict = judgement.verdict
        if not snapshots or verdict is None or verdict is Verdict.UNPROVEN:
            return judgement

        def write() -> bool | None:
            try:
                self.ec2.tag_verdict(snapshots, verdict)
            except SnapshotNotListedError:
                return None
            return True

        if self._patiently(write, TAG_S, "verdict-not-tagged", run_id):
            return judgement
        return Judgement(Verdict.UNPROVEN, (*judgement.reasons, Broken.VERDICT_NOT_TAGGED))

    def _patiently(
        self, ask: Callable[[], _Answer | None], patience_s: int, event: str, run_id: str
    ) -> _Answer | None:
        """Ask until there is an answer, or no patience or time; EC2's errors are not an answer."""
        until_ms = min(self._now_ms() + patience_s * 1000, self.ends_by_ms)
        tries = 0
        while True:
            try:
                if (answer := ask()) is not None:
                    return answer
                detail = "EC2 does not list them yet"
            except Ec2Error as error:
                detail = str(error)
            wait_s = _BACKOFF_S[min(tries, len(_BACKOFF_S) - 1)]
            tries += 1
            if self._now_ms() + wait_s * 1000 > until_ms:
                self.log.fault(event, run_id=run_id, tries=tries, detail=detail)
                return None
            self.clock.sleep(wait_s)

    def _now_ms(self) -> int:
        return self.clock.now_ns() // 1_000_000
