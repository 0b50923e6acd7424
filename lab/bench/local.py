"""The best that a program on the host itself can do: everything warm, in one process.

`python -m lab.bench.local` reads `plain VOLUME` or `expedited VOLUME` from standard input, makes
the snapshot, and answers with its id. `expedited` shortens the kernel's grace periods around the
freeze, as Holdstill does: that is the limit.
"""

import argparse
import contextlib
import ctypes
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pymysql
from botocore.config import Config
from botocore.exceptions import ClientError

_FIFREEZE = 0xC0045877
_FITHAW = 0xC0045878
_EXPEDITED = Path("/sys/kernel/rcu_expedited")


@contextlib.contextmanager
def _short_grace_periods(wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    before = _EXPEDITED.read_text()
    _EXPEDITED.write_text("1")
    try:
        yield
    finally:
        _EXPEDITED.write_text(before)


class Local:
    """Connections and descriptors that are opened once, long before the lock."""

    def __init__(self, option_file: Path, mount: Path) -> None:
        self._connection = pymysql.connect(read_default_file=str(option_file), autocommit=True)
        self._mount = os.open(mount, os.O_RDONLY | os.O_DIRECTORY)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._ec2 = boto3.client("ec2", config=Config(retries={"total_max_attempts": 1}))

    def snapshot(self, volume: str, *, expedited: bool) -> str:
        """Make one consistent snapshot and return its id."""
        with contextlib.suppress(ClientError):  # DryRunOperation: the connection is warm
            self._ec2.create_snapshot(VolumeId=volume, DryRun=True)
        self._libc.syncfs(self._mount)
        with self._connection.cursor() as cursor:
            cursor.execute("FLUSH LOCAL TABLES")
            cursor.execute("FLUSH TABLES WITH READ LOCK")
            try:
                cursor.execute("SHOW MASTER STATUS")
                return self._frozen_snapshot(volume, expedited=expedited)
            finally:
                cursor.execute("UNLOCK TABLES")

    def _frozen_snapshot(self, volume: str, *, expedited: bool) -> str:
        with _short_grace_periods(expedited):
            fcntl.ioctl(self._mount, _FIFREEZE, 0)
        try:
            return str(self._ec2.create_snapshot(VolumeId=volume)["SnapshotId"])
        finally:
            fcntl.ioctl(self._mount, _FITHAW, 0)


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m lab.bench.local", description=__doc__)
    parser.add_argument("option_file", type=Path)
    parser.add_argument("mount", type=Path)
    options = parser.parse_args()
    local = Local(options.option_file, options.mount)
    print("ready", flush=True)
    for line in sys.stdin:
        how, volume = line.split()
        print(local.snapshot(volume, expedited=how == "expedited"), flush=True)


if __name__ == "__main__":
    main()
