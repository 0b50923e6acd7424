"""What evidence proves, and what it does not."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.verdict import Broken, Judgement, Verdict, best, judge
from holdstill_protocol.conductor_model import CallOutcome, Evidence, Snapshot, Stop
from holdstill_protocol.messages import (
    Frozen,
    Lock,
    Prepared,
    RefusalCode,
    Refused,
    Thawed,
    ThawReason,
)

RUN, TARGET = "recipes-db.20261125T180000Z.1", "recipes-db"
VOLUMES = ("vol-a", "vol-b")
SNAPSHOTS = (Snapshot("snap-b", "vol-b"), Snapshot("snap-a", "vol-a"))


def prepared(lock: Lock = Lock.FTWRL, *, freeze: bool = True) -> Prepared:
    """Return the reply of a host so configured."""
    return Prepared(RUN, TARGET, VOLUMES, (), lock, freeze, 10_000)


FROZEN = Frozen(RUN, TARGET, 3, 1, None)
THAWED = Thawed(RUN, TARGET, ThawReason.COMMANDED, intact=True, held_ms=300, locked_ms=310)
REFUSED = Refused(RUN, TARGET, RefusalCode.NOT_PREPARED, "restarted")
PERFECT = Evidence(
    prepared=prepared(),
    frozen=FROZEN,
    thawed=THAWED,
    call=CallOutcome.RETURNED,
    snapshots=SNAPSHOTS,
    returned_before_thaw=True,
)


@pytest.mark.parametrize(
    ("lock", "freeze", "verdict"),
    [
        (Lock.FTWRL, True, Verdict.CONSISTENT),
        (Lock.BACKUP_STAGE, True, Verdict.CONSISTENT),
        (Lock.NONE, True, Verdict.FILESYSTEM_CONSISTENT),
        (Lock.FTWRL, False, Verdict.LOCK_CONSISTENT),
    ],
)
def test_an_unbroken_proof_gives_the_best_that_the_host_allows(
    lock: Lock, freeze: bool, verdict: Verdict
) -> None:
    """Only lock and freeze together are consistent; a host that does less is told what it has."""
    evidence = replace(PERFECT, prepared=prepared(lock, freeze=freeze))
    judgement = judge(evidence, VOLUMES)
    assert judgement == Judgement(verdict, ())
    assert judgement.is_best(evidence.prepared)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"returned_before_thaw": False}, Broken.CALL_OUTLIVED_FREEZE),
        ({"call": CallOutcome.UNKNOWN}, Broken.CALL_OUTCOME_UNKNOWN),
        ({"snapshots": SNAPSHOTS[:1]}, Broken.VOLUMES_DIFFER),
        ({"snapshots": (*SNAPSHOTS, Snapshot("snap-c", "vol-c"))}, Broken.VOLUMES_DIFFER),
        ({"snapshots": (*SNAPSHOTS, Snapshot("snap-c", "vol-a"))}, Broken.VOLUMES_DIFFER),
        ({"frozen": None}, Broken.NO_FROZEN_REPLY),
        ({"thawed": None}, Broken.NO_THAWED_REPLY),
        ({"thawed": replace(THAWED, intact=False)}, Broken.NOT_INTACT),
        ({"thawed": replace(THAWED, reason=ThawReason.DEADLINE)}, Broken.THAWED_BY_DEADLINE),
        ({"thawed": replace(THAWED, reason=ThawReason.LOST_FREEZER)}, Broken.LOST_FREEZER),
        ({"thawed": replace(THAWED, reason=ThawReason.SHUTDOWN)}, Broken.HOST_SHUT_DOWN),
        ({"refused": REFUSED}, "host-refused-not-prepared"),
        ({"stop": Stop.FREEZE_TIMEOUT}, "freeze-timeout"),
        ({"prepared": prepared(Lock.NONE, freeze=False)}, Broken.NOTHING_HELD),
        ({"prepared": None}, Broken.NOTHING_HELD),
    ],
)
def test_one_broken_condition_makes_it_crash_consistent(
    change: dict[str, object], reason: str
) -> None:
    """Every condition is needed, and the one that broke is named."""
    evidence = replace(PERFECT, **change)  # type: ignore[arg-type]
    judgement = judge(evidence, VOLUMES)
    assert judgement == Judgement(Verdict.CRASH_CONSISTENT, (reason,))
    assert not judgement.is_best(evidence.prepared)


def test_without_a_snapshot_there_is_no_verdict() -> None:
    """A refused call made nothing that could be called anything."""
    evidence = replace(PERFECT, call=CallOutcome.REFUSED, snapshots=())
    assert judge(evidence, VOLUMES) == Judgement(None, (Broken.CALL_REFUSED,))


def test_a_call_of_unknown_outcome_leaves_unproven() -> None:
    """What nobody has seen may yet exist, as its creation tagged it."""
    evidence = replace(PERFECT, call=CallOutcome.UNKNOWN, snapshots=())
    assert judge(evidence, VOLUMES) == Judgement(Verdict.UNPROVEN, (Broken.CALL_OUTCOME_UNKNOWN,))


def test_a_host_that_refused_is_quoted() -> None:
    """The reason of a run without a snapshot says who stopped it."""
    evidence = Evidence(prepared=prepared(), refused=REFUSED)
    assert judge(evidence, VOLUMES).reasons == (Broken.NO_SNAPSHOT, "host-refused-not-prepared")


@given(
    st.fixed_dictionaries(
        {
            "prepared": st.sampled_from([None, prepared(), prepared(Lock.NONE)]),
            "frozen": st.sampled_from([None, FROZEN]),
            "thawed": st.none()
            | st.builds(
                Thawed,
                *map(st.just, (RUN, TARGET)),
                st.sampled_from(ThawReason),
                intact=st.booleans(),
                held_ms=st.just(300),
                locked_ms=st.just(310),
            ),
            "call": st.sampled_from(CallOutcome),
            "snapshots": st.sampled_from([(), SNAPSHOTS, SNAPSHOTS[:1]]),
            "returned_before_thaw": st.booleans(),
        }
    )
)
def test_consistent_implies_every_condition(facts: dict[str, Any]) -> None:
    """The verdict is given only by a call that returned while lock and freeze both held."""
    evidence = Evidence(**facts)
    if judge(evidence, VOLUMES).verdict is Verdict.CONSISTENT:
        assert best(evidence.prepared) is Verdict.CONSISTENT
        assert evidence.call is CallOutcome.RETURNED
        assert evidence.returned_before_thaw
        assert evidence.snapshots == SNAPSHOTS
        assert evidence.frozen
        assert evidence.thawed == THAWED
