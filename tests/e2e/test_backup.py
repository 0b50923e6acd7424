"""A backup through the deployed Lambda, SQS, the shipped agent and a real database."""

from datetime import datetime, timedelta

import pytest

from lab.stage import Stage

pytestmark = [pytest.mark.root, pytest.mark.emulator, pytest.mark.slow]


def test_the_schedule_makes_a_consistent_snapshot_and_its_copy_holds(stage: Stage) -> None:
    """The main job: fired by EventBridge, proven by the verdict and by the copy itself."""
    record = stage.wait_for_run(stage.fire())
    assert (record["state"], record["verdict"]) == ("succeeded", "consistent")
    (snapshot,) = stage.snapshot_ids(record)
    position = record["attempts"][0]["frozen"]["position"]
    where = f"{position['file']}:{position['offset']}"
    tags = stage.tags(snapshot)
    assert tags["holdstill:verdict"] == "consistent"
    assert tags["holdstill:target"] == "recipes-db"
    assert tags["holdstill:run-id"] == record["attempts"][0]["run_id"]
    assert tags["holdstill:position"] == where
    with stage.restored([snapshot]) as copies:
        report = stage.host.check(copies, stage.moment(snapshot), where)
    assert report.holds, str(report)


@pytest.mark.parametrize(
    ("skipped", "verdict"),
    [({"lock": "none"}, "filesystem-consistent"), ({"freeze": False}, "lock-consistent")],
    ids=["lock", "freeze"],
)
def test_the_proof_can_fail(
    stage: Stage, scheduled_at: datetime, skipped: dict[str, object], verdict: str
) -> None:
    """With the lock or the freeze skipped the copy's check fails, and no verdict says consistent.

    A check that no copy can fail would prove nothing.
    """
    stage.restart_agent(**skipped)
    try:
        record = stage.invoke(scheduled_at)
    finally:
        stage.restart_agent()
    assert record["verdict"] == verdict
    (snapshot,) = stage.snapshot_ids(record)
    with stage.restored([snapshot]) as copies:
        report = stage.host.check(copies, stage.moment(snapshot))
    assert not report.holds


def test_a_schedule_that_fires_twice_makes_one_run(stage: Stage, scheduled_at: datetime) -> None:
    """EventBridge Scheduler may deliver twice; the second delivery makes nothing."""
    first = stage.invoke(scheduled_at)
    again = stage.invoke(scheduled_at)
    assert again == first
    assert _snapshots_of(stage, first["attempts"][0]["run_id"]) == stage.snapshot_ids(first)


# An error without a snapshot is looked into for 90 s: the fault suite has it (call-failing).
@pytest.mark.parametrize("fault", ["throttle", "error-after"])
def test_a_failed_call_is_a_failed_run_and_the_host_goes_on(
    stage: Stage, scheduled_at: datetime, fault: str
) -> None:
    """An error of EC2 never ends as a success, whether or not it made a snapshot all the same."""
    stage.region.control_ec2(fault=fault, fault_times=1)
    record = stage.invoke(scheduled_at)
    assert record["state"] == "failed"
    assert record.get("verdict") != "consistent"
    assert record["attempts"][0]["thawed"]["intact"]
    made = _snapshots_of(stage, record["attempts"][0]["run_id"])
    assert made == stage.snapshot_ids(record)
    assert len(made) == (1 if fault == "error-after" else 0)
    for snapshot in made:
        assert stage.tags(snapshot)["holdstill:verdict"] == "crash-consistent"
    assert stage.invoke(scheduled_at + timedelta(minutes=1))["verdict"] == "consistent"


def test_a_call_slower_than_the_budget_is_thawed_by_the_host(
    stage: Stage, scheduled_at: datetime
) -> None:
    """The host keeps its own budget, and what was made meanwhile is not called consistent."""
    stage.restart_agent(budget_s=3)
    stage.region.control_ec2(latency_ms=60_000)
    try:
        record = stage.invoke(scheduled_at)
    finally:
        stage.region.control_ec2(latency_ms=0)
        stage.restart_agent()
    assert record["state"] == "failed"
    assert record.get("verdict") != "consistent"
    thawed = record["attempts"][0].get("thawed")
    assert thawed is None or thawed["held_ms"] < 3_500


def _snapshots_of(stage: Stage, run_id: str) -> list[str]:
    found = stage.region.client("ec2").describe_snapshots(
        Filters=[{"Name": "tag:holdstill:run-id", "Values": [run_id]}]
    )
    return [snapshot["SnapshotId"] for snapshot in found["Snapshots"]]
