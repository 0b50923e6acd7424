"""What the tests of freezer and agent share: a filesystem of their own, and a look at its state."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.host import disk

FREEZER = Path(__file__).parents[2] / "agent" / "src" / "holdstill_freezer"
RUN = "recipes-db.20300101T000000Z.1"
WATCHDOG_S = 20


@contextmanager
def filesystem(folder: Path) -> Iterator[Path]:
    """Mount an XFS image of our own in `folder`; thaw and unmount it at the end."""
    folder.mkdir()
    image, point = folder / "image", folder / "mount"
    point.mkdir()
    with image.open("xb") as file:
        file.truncate(320 << 20)
    try:
        disk.make_filesystem(image)
        disk.mount(image, point)
        yield point
    finally:
        disk.unmount(point)
        image.unlink()


@contextmanager
def loop_device(image: Path, size_mb: int) -> Iterator[str]:
    """Attach an image of our own; detach it at the end."""
    with image.open("xb") as file:
        file.truncate(size_mb << 20)
    attached = subprocess.run(
        ["losetup", "--show", "--find", image], check=True, capture_output=True, text=True
    )
    device = attached.stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@contextmanager
def watchdog(*points: Path) -> Iterator[None]:
    """Thaw after 20 s from a process of its own, should this one hang on what it froze."""
    unfreeze = "; ".join(f"fsfreeze --unfreeze {point}" for point in points)
    process = subprocess.Popen(
        ["sh", "-c", f"sleep {WATCHDOG_S}; {unfreeze}"], start_new_session=True
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for point in points:
            disk.thaw(point)


def is_frozen(point: Path) -> bool:
    """Return whether it is frozen: a second freeze is refused."""
    if disk.freeze(point):
        disk.thaw(point)
        return False
    return True


class Writer:
    """A write that has been begun on a frozen filesystem, and when it came through."""

    def __init__(self, point: Path) -> None:
        self._path = point / f"written-{time.monotonic_ns()}"
        self._done_at = 0.0
        self._thread = threading.Thread(target=self._write)
        self._thread.start()
        time.sleep(0.05)
        assert self._thread.is_alive(), "a frozen filesystem must hold a writer"

    def _write(self) -> None:
        self._path.touch()
        self._done_at = time.monotonic()

    def done_at(self, within_s: float) -> float:
        """Wait for it; return the monotonic time at which it was done."""
        self._thread.join(within_s)
        assert not self._thread.is_alive(), f"still frozen after {within_s} s"
        return self._done_at


class Line:
    """A client of a freezer that it started."""

    def __init__(self, config: Path) -> None:
        ours, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", str(FREEZER)),
                *("--config", str(config), "--fd", str(theirs.fileno())),
            ],
            pass_fds=(theirs.fileno(),),
        )
        theirs.close()
        ours.settimeout(10)
        self._socket = ours
        self._lines = ours.makefile("r")
        self.greeting = self.read()

    def ask(self, line: str) -> str:
        """Send a line and return the answer."""
        self._socket.sendall(line.encode() + b"\n")
        return self.read()

    def read(self) -> str:
        """Return the next line, empty at the end."""
        return self._lines.readline().rstrip("\n")

    def guard(self) -> int:
        """Return the guard's process id."""
        pid = self.process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())

    def close(self) -> None:
        """End the line, and wait for the freezer's end; again is harmless."""
        self._lines.close()
        self._socket.close()
        self.process.wait(5)
