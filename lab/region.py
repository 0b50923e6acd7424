"""A whole Region: emulator, EC2 endpoint, disks, CloudFront, and a teardown that always works.

with Region(Path("build/lab")) as region:
    host = region.add_host(volume_sizes_gib=[1])
    region.client("ec2").create_snapshot(VolumeId=host.volumes[0].id)
"""

import atexit
import mmap
import os
import shutil
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import boto3
from botocore.config import Config

from lab import backing, children, emulator
from lab.ec2.controls import Controls
from lab.edge import process as edge_process
from lab.edge.process import Edge
from lab.emulator import REGION, Emulator
from lab.interrupts import uninterrupted
from lab.journal import Journal

DEFAULT_WORKDIR = Path(__file__).parents[1] / "build" / "lab"
ZONE = f"{REGION}a"
_PIECE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class AttachedVolume:
    """An EBS volume of a host, and where this machine has it."""

    id: str
    device: Path
    """A loop device; a folder where there are no real disks."""


@dataclass(frozen=True, slots=True)
class Host:
    """An EC2 instance. Nothing boots: this machine is the host."""

    instance_id: str
    root_volume_id: str
    volumes: tuple[AttachedVolume, ...]


class Region:
    """The lab as a context manager; entering starts it, leaving removes every trace but logs."""

    def __init__(self, workdir: Path = DEFAULT_WORKDIR, *, real_disks: bool | None = None) -> None:
        self.workdir = workdir.absolute()
        self.journal = Journal(workdir)
        self.not_real = backing.can_make_disks()
        """Why volumes are folders here; None when they are disks."""
        if real_disks is False:
            self.not_real = "asked for"
        self._emulator: Emulator
        self._edge: Edge
        self._terminated: signal.Handlers | None = None
        self._ec2_url = ""

    def __enter__(self) -> Self:
        """Start everything, in about 2 s; on any error or interrupt undo what was started.

        An interrupt takes effect at the end of the start. Python raises it wherever it happens to
        be, and drops it in a callback of the garbage collector: noted, it cannot be lost.
        """
        self.journal.take()
        self._terminated = _interrupt_at_sigterm()
        atexit.register(self.close)  # for an interrupt on the last step into the with block
        try:
            with uninterrupted():
                self.journal.clean()  # what a killed lab left here
                self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything and remove all but the logs; a second time is harmless."""
        with uninterrupted():
            if self.journal.taken:
                self.journal.clean()
                for name in ("region", "emulator"):
                    shutil.rmtree(self.workdir / name, ignore_errors=True)
                (self.workdir / "region.img").unlink(missing_ok=True)
                self.journal.give_back()
                if self._terminated is not None:
                    signal.signal(signal.SIGTERM, self._terminated)
            atexit.unregister(self.close)

    @property
    def url(self) -> str:
        """The endpoint of all services but EC2 and CloudFront; queues have a shorter way too."""
        return self._emulator.url

    @property
    def ec2_url(self) -> str:
        """The endpoint of EC2."""
        return self._ec2_url

    @property
    def edge(self) -> Edge:
        """CloudFront: its API, its distributions and what a test may set in it."""
        return self._edge

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs in its environment to see this Region (and nothing real)."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ENDPOINT_URL_EC2": self.ec2_url,
            "AWS_ENDPOINT_URL_SQS": self._emulator.sqs_url,
            "AWS_ENDPOINT_URL_CLOUDFRONT": self.edge.url,
            "AWS_ACCESS_KEY_ID": emulator.KEY,
            "AWS_SECRET_ACCESS_KEY": emulator.KEY,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def client(self, service: str, **config: Any) -> Any:
        """Return a boto3 client of this Region; `config` goes to botocore's Config."""
        session: Any = boto3.Session(
            aws_access_key_id=emulator.KEY, aws_secret_access_key=emulator.KEY, region_name=REGION
        )
        ways = {
            "ec2": self.ec2_url,
            "sqs": self._emulator.sqs_url,
            "cloudfront": self.edge.url,
        }
        url = ways.get(service, self.url)
        return session.client(service, endpoint_url=url, config=Config(**config))

    def reset(self) -> None:
        """Empty the emulator, put the settings of all back; hosts and distributions stay."""
        self._emulator.reset()
        self.edge.reset()
        self.set_hop_ms(0)
        self.control_ec2(**asdict(Controls()))

    def set_hop_ms(self, hop_ms: float) -> None:
        """Make each SQS message receivable `hop_ms` after its send, from now on."""
        self._emulator.set_hop_ms(hop_ms)

    def control_ec2(self, **changes: Any) -> None:
        """Change the EC2 endpoint's settings (`lab.ec2.controls.Controls`), from now on."""
        emulator.request(f"{self.ec2_url}/_lab/controls", changes)

    def device(self, volume_id: str) -> Path:
        """Return where an attached volume is on this machine. Raise KeyError when it is not."""
        state = emulator.request(f"{self.ec2_url}/_lab/state")
        return Path(state["devices"][volume_id])

    def copied_ns(self, snapshot_id: str) -> tuple[int, int]:
        """Return when a snapshot's copy began and ended, as `time.monotonic_ns` has it here.

        Linux's monotonic clock is the same in every process. Raise KeyError for an unknown one.
        """
        state = emulator.request(f"{self.ec2_url}/_lab/state")
        begun, ended = state["copied_ns"][snapshot_id]
        return begun, ended

    def add_host(self, volume_sizes_gib: Sequence[int] = (1,), *, prefill: bool = False) -> Host:
        """Start an instance with a root volume, and attach a data volume of each size.

        `prefill` writes the new disks full of zeros, for the benchmark: 1.5 s and the room of each
        GiB. An image then has 3 extents, not 100 after a database's first files, and FICLONE takes
        time for each: 0.7 ms (p50, 1.3 at most) where it took 12 beside a busy database.
        """
        ec2 = self.client("ec2")
        instance = ec2.run_instances(
            ImageId="ami-00000000",
            MinCount=1,
            MaxCount=1,
            Placement={"AvailabilityZone": ZONE},
        )["Instances"][0]["InstanceId"]
        described = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]
        root = described["Instances"][0]["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
        volumes = []
        for size, letter in zip(volume_sizes_gib, "fghijklmnop", strict=False):
            volume = ec2.create_volume(Size=size, AvailabilityZone=ZONE)["VolumeId"]
            volumes.append(self.attach(instance, volume, f"/dev/sd{letter}"))
            if prefill and not self.not_real:
                _write_zeros(volumes[-1].device)
        return Host(instance, root, tuple(volumes))

    def attach(self, instance_id: str, volume_id: str, device: str) -> AttachedVolume:
        """Attach a volume, for example one made from a snapshot."""
        self.client("ec2").attach_volume(InstanceId=instance_id, VolumeId=volume_id, Device=device)
        return AttachedVolume(volume_id, self.device(volume_id))

    def _start(self) -> None:
        disks = self.workdir / "region"
        if self.not_real:
            disks.mkdir(parents=True, exist_ok=True)
        else:
            backing.prepare(disks)
        port = emulator.free_port()
        self._ec2_url = f"http://127.0.0.1:{port}"
        kind = "folders" if self.not_real else "images"
        ec2 = children.start(
            "ec2",
            [
                sys.executable,
                "-m",
                "lab.ec2.server",
                "--port",
                str(port),
                "--folder",
                str(disks),
                "--disks",
                kind,
            ],
            env=emulator.clean_environment(),
            log=self.workdir / "ec2.log",
            cwd=Path(__file__).parents[1],
        )
        self.journal.note_child(ec2)
        self._edge = edge_process.start(self.workdir)
        self.journal.note_child(self._edge.child)
        self._emulator = emulator.start(self.workdir, self._ec2_url, self._edge.url)
        self.journal.note_child(self._emulator.child)
        self._emulator.wait()
        self._edge.wait()
        ec2.wait_for(lambda: emulator.answers(f"{self._ec2_url}/_lab/state"), timeout_s=20)
        self.journal.note(
            url=self.url,
            ec2_url=self.ec2_url,
            edge_url=self.edge.url,
            environment=self.environment,
            not_real=self.not_real,
        )


def _interrupt_at_sigterm() -> signal.Handlers | None:
    """Let SIGTERM end the lab as Ctrl-C does, unless the program has its own way; return the old.

    By default a process ends at SIGTERM without another step: mounts and loops would stay.
    """
    if threading.current_thread() is not threading.main_thread():
        return None
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return None
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return signal.SIG_DFL


def _write_zeros(device: Path) -> None:
    """Write a whole disk, past the page cache: each of its blocks then has its place."""
    with mmap.mmap(-1, _PIECE_BYTES) as zeros:  # O_DIRECT wants memory aligned to pages
        disk = os.open(device, os.O_WRONLY | getattr(os, "O_DIRECT", 0))
        try:
            left = os.lseek(disk, 0, os.SEEK_END)
            os.lseek(disk, 0, os.SEEK_SET)
            while left > 0:
                left -= os.write(disk, memoryview(zeros)[: min(left, _PIECE_BYTES)])
        finally:
            os.close(disk)
