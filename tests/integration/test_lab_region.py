"""The lab's life: one per folder, and whatever ends it, nothing of it stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from lab import kernel
from lab.deploy import ROOT
from lab.emulator import REGION
from lab.errors import LabInUseError
from lab.region import ZONE, Region

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.emulator

HERE = {"LocationConstraint": REGION}
LAB = (sys.executable, "-m", "lab")


@pytest.fixture
def workdir(tmp_path: Path) -> Iterator[Path]:
    """Return a lab's folder; whatever the test did, nothing may be left of it."""
    yield tmp_path
    left = kernel.release(tmp_path)
    assert not left


def start(workdir: Path, *options: str) -> subprocess.Popen[str]:
    """Start `python -m lab up`."""
    return subprocess.Popen(
        [*LAB, "up", "--workdir", str(workdir), *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ready(lab: subprocess.Popen[str]) -> None:
    """Wait until the lab says that it is up."""
    assert lab.stdout
    assert any("Ctrl-C" in line for line in lab.stdout)


def run(command: str, workdir: Path) -> subprocess.CompletedProcess[str]:
    """Run another command of the lab."""
    return subprocess.run(
        [*LAB, command, "--workdir", str(workdir)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )


def processes_of(workdir: Path) -> list[psutil.Process]:
    """Return what runs for a lab: its folder is in the command or the environment of each."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and str(workdir) in " ".join(
                [*process.cmdline(), *process.environ().values()]
            ):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def gone(workdir: Path) -> bool:
    """Wait until nothing of a lab is left; return whether it came to that."""
    for _ in range(100):
        if not (processes_of(workdir) or kernel.mounts_of(workdir) or kernel.loops_of(workdir)):
            return True
        time.sleep(0.05)
    return False


def test_a_folder_belongs_to_one_lab(running_region: Region, workdir: Path) -> None:
    """A second lab in a folder is refused with a sentence; in another folder it disturbs nobody."""
    with pytest.raises(LabInUseError, match=r"Another lab runs in .* lab down"):
        Region(running_region.workdir).__enter__()
    running_region.client("sqs").create_queue(QueueName="first")
    with Region(workdir, real_disks=False) as second:
        assert not second.client("sqs").list_queues().get("QueueUrls")
    assert running_region.client("sqs").get_queue_url(QueueName="first")
    assert gone(workdir)


@pytest.mark.parametrize("after_s", [0.1, 0.4, 0.7, 1.0, 1.5, 2.5])
def test_an_interrupt_at_any_moment_leaves_nothing(workdir: Path, after_s: float) -> None:
    """Ctrl-C while the lab starts or runs ends its processes, mounts and loop devices."""
    lab = start(workdir)
    time.sleep(after_s)
    lab.send_signal(signal.SIGINT)
    try:
        lab.communicate(timeout=30)
    finally:
        lab.kill()  # one that took no notice must not outlive the test
    assert lab.returncode != 0
    assert gone(workdir)


def test_sigterm_ends_a_lab_as_an_interrupt_does(workdir: Path) -> None:
    """A service manager's or a CI's polite end leaves nothing either."""
    lab = start(workdir)
    ready(lab)
    lab.terminate()
    lab.communicate(timeout=20)
    assert gone(workdir)


def test_a_killed_lab_takes_its_programs_along(workdir: Path) -> None:
    """SIGKILL gives the lab no time for anything; the leash ends emulator and endpoint."""
    lab = start(workdir, "--no-disks")
    ready(lab)
    assert len(processes_of(workdir)) > 2
    lab.kill()
    lab.communicate()
    assert gone(workdir)


@pytest.mark.root
def test_down_cleans_up_after_a_killed_lab_whose_disk_is_frozen(workdir: Path) -> None:
    """Thaw, unmount, detach: in that order, by looking at the kernel and not at notes."""
    lab = start(workdir)
    ready(lab)
    point = workdir / "mysql"
    point.mkdir()
    device = _attach_volume(json.loads((workdir / "state.json").read_text()))
    subprocess.run(["mkfs.xfs", "-q", "-K", device], check=True)
    subprocess.run(["mount", device, point], check=True)
    subprocess.run(["xfs_freeze", "-f", point], check=True)
    lab.kill()
    lab.communicate()
    assert kernel.mounts_of(workdir)
    down = run("down", workdir)
    assert (down.returncode, down.stderr) == (0, "")
    assert "Nothing is left" in down.stdout
    assert gone(workdir)


def test_the_command_line_tells_what_runs(workdir: Path) -> None:
    """`status` and `env` know a running lab and a stopped one; `down` ends it."""
    assert run("env", workdir).returncode == 3
    assert "start one with" in run("env", workdir).stderr
    lab = start(workdir, "--no-disks")
    ready(lab)
    lines = run("env", workdir).stdout.splitlines()
    for service in ("EC2", "SQS", "CLOUDFRONT"):
        ours = f"export AWS_ENDPOINT_URL_{service}=http://127.0.0.1:"
        assert any(line.startswith(ours) for line in lines)
    status = run("status", workdir).stdout
    assert "up" in status
    assert "edge_url  http://127.0.0.1:" in status
    assert run("down", workdir).returncode == 0
    lab.communicate(timeout=10)
    assert "down" in run("status", workdir).stdout
    assert gone(workdir)


def test_without_disks_a_volume_is_a_folder(workdir: Path) -> None:
    """The fallback keeps the law of a snapshot, as far as files can: before, but not after."""
    with Region(workdir, real_disks=False) as region:
        assert region.not_real
        host, ec2 = region.add_host([1]), region.client("ec2")
        note = host.volumes[0].device / "note"
        note.write_text("before")
        snapshot = ec2.create_snapshot(VolumeId=host.volumes[0].id)["SnapshotId"]
        note.write_text("after")
        copy = ec2.create_volume(SnapshotId=snapshot, AvailabilityZone=ZONE)["VolumeId"]
        restored = region.attach(host.instance_id, copy, "/dev/sdz")
        assert (restored.device / "note").read_text() == "before"


def test_the_edge_is_a_part_of_the_region(region: Region) -> None:
    """A distribution shows the emulator's bucket, and the Region's CloudFront clears its cache."""
    s3, cloudfront = region.client("s3"), region.client("cloudfront")
    s3.create_bucket(Bucket="static", CreateBucketConfiguration=HERE)
    s3.put_object(Bucket="static", Key="a b+\u5199.png", Body=b"old")
    url = region.edge.deploy(id="E1REGION", origin_url=region.url, bucket="static")
    target = "/a%20b%2B%E5%86%99.png"
    assert _got(url + target) == b"old"
    s3.put_object(Bucket="static", Key="a b+\u5199.png", Body=b"new")
    assert _got(url + target) == b"old"
    region.edge.control(effect_s=0)
    cloudfront.create_invalidation(
        DistributionId="E1REGION",
        InvalidationBatch={"CallerReference": "1", "Paths": {"Quantity": 1, "Items": [target]}},
    )
    assert _got(url + target) == b"new"


def test_a_reset_puts_the_edge_back_and_keeps_its_distributions(region: Region) -> None:
    """What one test sets, counts or caches, the next one does not see."""
    region.client("s3").create_bucket(Bucket="static", CreateBucketConfiguration=HERE)
    url = region.edge.deploy(id="E2REGION", origin_url=region.url, bucket="static")
    region.edge.control(latency_ms=1, fault="hang")
    with pytest.raises(urllib.error.HTTPError):
        _got(f"{url}/missing")
    before = region.edge.state()
    assert before["distributions"]["E2REGION"]["misses"] == 1
    region.reset()
    after = region.edge.state()
    assert (after["controls"]["latency_ms"], after["controls"]["fault"]) == (0, None)
    assert after["distributions"]["E2REGION"]["misses"] == 0


def _got(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  our own URL
        body: bytes = answer.read()
    return body


def _attach_volume(state: dict[str, object]) -> str:
    """Attach a volume of a lab in another process, by its notes; return the device."""
    program = """
import boto3, json, sys, urllib.request
ec2 = boto3.client("ec2")
instance = ec2.run_instances(ImageId="ami-00000000", MinCount=1, MaxCount=1)["Instances"][0]
volume = ec2.create_volume(Size=1, AvailabilityZone="ap-northeast-1a")["VolumeId"]
ec2.attach_volume(InstanceId=instance["InstanceId"], VolumeId=volume, Device="/dev/sdf")
state = json.load(urllib.request.urlopen(ec2.meta.endpoint_url + "/_lab/state"))
print(state["devices"][volume])
"""
    environment = state["environment"]
    assert isinstance(environment, dict)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()
