"""Which volumes a call covers, and when EC2 takes it."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.errors import PlanRefusedError
from functions.domain.volumes import AttachedVolume, PastSnapshot, cover, wait_before
from tests.twins.clock import EPOCH
from tests.twins.world import BOOT, DATABASE, OTHER

INSTANCE = "i-0123456789abcdef0"


def test_all_but_the_expected_volumes_are_excluded() -> None:
    """The boot volume has an exclusion of its own: EC2 refuses it in the list."""
    coverage = cover(INSTANCE, ["vol-db"], [BOOT, DATABASE, OTHER])
    assert coverage.volumes == ("vol-db",)
    assert coverage.exclude_boot
    assert coverage.excluded == ("vol-other",)


def test_a_boot_volume_that_is_expected_is_not_excluded() -> None:
    """What the agent's mounts lie on is covered, whatever else it is."""
    coverage = cover(INSTANCE, ["vol-boot", "vol-db"], [BOOT, DATABASE])
    assert not coverage.exclude_boot
    assert coverage.volumes == ("vol-boot", "vol-db")


def test_a_volume_of_another_instance_is_refused() -> None:
    """An agent on the wrong host must not have somebody else's volume snapshotted."""
    with pytest.raises(
        PlanRefusedError, match="not attached to i-0123456789abcdef0: vol-elsewhere"
    ):
        cover(INSTANCE, ["vol-db", "vol-elsewhere"], [DATABASE])


def test_no_volume_at_all_is_refused() -> None:
    """A snapshot of nothing proves nothing."""
    with pytest.raises(PlanRefusedError, match="no volume"):
        cover(INSTANCE, [], [DATABASE])


def test_more_exclusions_than_ec2_takes_are_refused_only_where_they_are_needed() -> None:
    """CreateSnapshots lists 40 at most; CreateSnapshot of one volume lists none."""
    others = [AttachedVolume(f"vol-{number}", "gp3", boot=False) for number in range(41)]
    second = AttachedVolume("vol-log", "gp3", boot=False)
    assert cover(INSTANCE, ["vol-db"], [DATABASE, *others])
    with pytest.raises(PlanRefusedError, match="41 other volumes; EC2 can exclude 40"):
        cover(INSTANCE, ["vol-db", "vol-log"], [DATABASE, second, *others])
    assert cover(INSTANCE, ["vol-db", "vol-log"], [DATABASE, second, *others[:40]])


@given(
    expected=st.sets(st.sampled_from("abcdef"), min_size=1),
    others=st.sets(st.sampled_from("uvwxyz")),
    boot=st.sampled_from("abcdefuvwxyz"),
)
def test_covered_and_excluded_are_everything_attached(
    expected: set[str], others: set[str], boot: str
) -> None:
    """What the call takes is what is attached less what is excluded: exactly the expected."""
    attached = [AttachedVolume(name, "gp3", boot=name == boot) for name in expected | others]
    coverage = cover(INSTANCE, sorted(expected), attached)
    excluded = set(coverage.excluded) | ({boot} if coverage.exclude_boot else set())
    assert {volume.volume_id for volume in attached} - excluded == expected


@pytest.mark.parametrize(
    ("volume_type", "pending", "waits"),
    [("gp3", 4, False), ("gp3", 5, True), ("st1", 0, False), ("st1", 1, True), ("sc1", 1, True)],
)
def test_ec2_takes_so_many_pending_snapshots_of_a_volume(
    volume_type: str, pending: int, waits: bool
) -> None:
    """5 of an SSD volume, 1 of a magnetic one."""
    volume = AttachedVolume("vol-db", volume_type, boot=False)
    an_hour_ago = EPOCH - timedelta(hours=1)
    past = [PastSnapshot("vol-db", an_hour_ago, pending=True)] * pending
    past += [PastSnapshot("vol-elsewhere", an_hour_ago, pending=True)] * 9
    assert bool(wait_before([volume], past, EPOCH)) is waits


@given(age_s=st.floats(0, 60))
def test_after_the_wait_the_last_snapshot_is_old_enough(age_s: float) -> None:
    """EC2 wants 15 s between two; its StartTime may be cut to the second."""
    past = [PastSnapshot("vol-db", EPOCH - timedelta(seconds=age_s), pending=False)]
    wait = wait_before([DATABASE], past, EPOCH)
    assert (wait is None) is (age_s > 15)
    if wait is not None:
        later = EPOCH + timedelta(seconds=wait.seconds)
        assert wait_before([DATABASE], past, later) is None
