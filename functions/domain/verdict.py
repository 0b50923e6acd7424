"""The verdict: what an attempt's evidence proves of its snapshots, and each condition it broke."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from holdstill_protocol.conductor_model import CallOutcome, Evidence
from holdstill_protocol.messages import Lock, Prepared, ThawReason


class Verdict(StrEnum):
    """What a snapshot is, as its `holdstill:verdict` tag says. Only CONSISTENT is consistent."""

    CONSISTENT = "consistent"
    FILESYSTEM_CONSISTENT = "filesystem-consistent"
    LOCK_CONSISTENT = "lock-consistent"
    CRASH_CONSISTENT = "crash-consistent"
    UNPROVEN = "unproven"


class Broken(StrEnum):
    """A condition of the proof that did not hold."""

    NO_SNAPSHOT = "no-snapshot"
    CALL_REFUSED = "call-refused"
    CALL_OUTCOME_UNKNOWN = "call-outcome-unknown"
    CALL_OUTLIVED_FREEZE = "call-outlived-freeze"
    VOLUMES_DIFFER = "volumes-differ"
    NO_FROZEN_REPLY = "no-frozen-reply"
    NO_THAWED_REPLY = "no-thawed-reply"
    NOT_INTACT = "not-intact"
    NOTHING_HELD = "nothing-held"
    THAWED_BY_DEADLINE = "host-thawed-by-deadline"
    LOST_FREEZER = "host-lost-freezer"
    HOST_SHUT_DOWN = "host-shut-down"
    VERDICT_NOT_TAGGED = "verdict-not-tagged"


@dataclass(frozen=True, slots=True)
class Judgement:
    """`verdict` is None where there is no snapshot to judge. `reasons` name what broke."""

    verdict: Verdict | None
    reasons: tuple[str, ...]

    def is_best(self, prepared: Prepared | None) -> bool:
        """Whether no run of this host, as it is configured, could do better."""
        return self.verdict is not None and self.verdict == best(prepared)


_THAWED_BY = {
    ThawReason.DEADLINE: Broken.THAWED_BY_DEADLINE,
    ThawReason.LOST_FREEZER: Broken.LOST_FREEZER,
    ThawReason.SHUTDOWN: Broken.HOST_SHUT_DOWN,
}


def best(prepared: Prepared | None) -> Verdict | None:
    """Return the best verdict that the host's configuration allows; None where it holds nothing."""
    if prepared is None:
        return None
    match prepared.lock is not Lock.NONE, prepared.freeze:
        case True, True:
            return Verdict.CONSISTENT
        case False, True:
            return Verdict.FILESYSTEM_CONSISTENT
        case True, False:
            return Verdict.LOCK_CONSISTENT
        case _:
            return None


def judge(evidence: Evidence, expected: Sequence[str]) -> Judgement:
    """Judge an attempt whose snapshots should be those of the volumes `expected`, one of each.

    For a call of unknown outcome, `evidence.snapshots` are those that its run's tag found.
    """
    if not evidence.snapshots:
        unknown = evidence.call is CallOutcome.UNKNOWN
        return Judgement(Verdict.UNPROVEN if unknown else None, tuple(_not_made(evidence)))
    broken = tuple(_broken(evidence, expected))
    best_verdict = best(evidence.prepared)
    if broken or best_verdict is None:
        return Judgement(Verdict.CRASH_CONSISTENT, broken or (Broken.NOTHING_HELD,))
    return Judgement(best_verdict, ())


def _broken(evidence: Evidence, expected: Sequence[str]) -> Iterator[str]:
    if evidence.call is not CallOutcome.RETURNED:
        yield Broken.CALL_OUTCOME_UNKNOWN
    elif not evidence.returned_before_thaw:
        yield Broken.CALL_OUTLIVED_FREEZE
    if sorted(snapshot.volume_id for snapshot in evidence.snapshots) != sorted(expected):
        yield Broken.VOLUMES_DIFFER
    if evidence.frozen is None:
        yield Broken.NO_FROZEN_REPLY
    if evidence.thawed is None:
        yield Broken.NO_THAWED_REPLY
    else:
        if evidence.thawed.reason is not ThawReason.COMMANDED:
            yield _THAWED_BY[evidence.thawed.reason]
        if not evidence.thawed.intact:
            yield Broken.NOT_INTACT
    yield from _stopped(evidence)


def _not_made(evidence: Evidence) -> Iterator[str]:
    match evidence.call:
        case CallOutcome.REFUSED:
            yield Broken.CALL_REFUSED
        case CallOutcome.UNKNOWN:
            yield Broken.CALL_OUTCOME_UNKNOWN
        case _:
            yield Broken.NO_SNAPSHOT
    yield from _stopped(evidence)


def _stopped(evidence: Evidence) -> Iterator[str]:
    if evidence.stop is not None:
        yield evidence.stop
    if evidence.refused is not None:
        yield f"host-refused-{evidence.refused.code}"
