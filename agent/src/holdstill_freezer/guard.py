"""The second process: it thaws when the freezer is killed, or hangs past its deadline.

Forked before anything is held, it shares the freezer's descriptors and reads a pipe whose only
other end is the freezer's: the end of that pipe is the freezer's death.
"""

import contextlib
import math
import os
import select
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from holdstill_freezer import kernel
from holdstill_freezer.marker import Marker
from holdstill_freezer.mounts import Mount

GRACE_MS = 250
"""What the freezer has beyond its deadline, before the guard thaws in its place."""

_ARM, _FROZEN, _DISARM = b"A", b"F", b"D"
_RETRY_S = 0.1
_RETRIES = 600  # then the marker stays for --recover: only a broken device refuses for a minute


@dataclass(frozen=True, slots=True)
class Shared:
    """What freezer and guard both hold open: what may be frozen, and for how long at most."""

    mounts: tuple[Mount, ...]
    marker: Marker
    rcu: kernel.RcuExpedited
    budget_ms: int


class Guard:
    """The freezer's end: what it tells its guard."""

    def __init__(self, pid: int, pipe: int) -> None:
        self._pid = pid
        self._pipe = pipe

    def arm(self) -> None:
        """Say that a freeze begins, RCU expedited. BrokenPipeError if the guard is dead."""
        os.write(self._pipe, _ARM)

    def frozen(self) -> None:
        """Say that the freeze is held, and RCU as it was. A dead guard cannot be helped now."""
        self._tell(_FROZEN)

    def disarm(self) -> None:
        """Say that nothing is held."""
        self._tell(_DISARM)

    def dismiss(self) -> None:
        """Let it go, and wait until it is gone: the marker's lock is free then."""
        os.close(self._pipe)
        os.waitpid(self._pid, 0)

    def _tell(self, tidings: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._pipe, tidings)


def fork_guard(line: socket.socket, shared: Shared) -> Guard:
    """Fork it; return the freezer's end."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        # Held open here, they would hide the freezer's death: from its client, and from the guard.
        line.close()
        os.close(writer)
        # systemd signals the whole control group: this process must be the last to go.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGABRT):
            signal.signal(number, signal.SIG_IGN)
        kernel.lock_memory()
        _watch(reader, shared)
        os._exit(0)
    os.close(reader)
    return Guard(pid, writer)


def _watch(pipe: int, shared: Shared) -> None:
    """Thaw at the deadline while the freezer lives, and when it dies with a freeze held."""
    poller = select.poll()
    poller.register(pipe, select.POLLIN)
    told, left, thaw_at = _DISARM, shared.mounts, math.inf
    while True:
        wait_ms = None if thaw_at == math.inf else max(0.0, thaw_at - time.monotonic()) * 1000
        if not poller.poll(wait_ms):
            left = _thaw(left)  # queues behind a FIFREEZE that hangs, and follows it at once
            thaw_at = time.monotonic() + GRACE_MS / 1000
        elif tidings := os.read(pipe, 16):
            told = tidings[-1:]
            if told == _DISARM:
                thaw_at = math.inf
            elif tidings.startswith(_ARM):
                left = tuple(reversed(shared.mounts))
                thaw_at = time.monotonic() + (shared.budget_ms + GRACE_MS) / 1000
        else:
            break
    if told == _ARM:
        shared.rcu.put_back()
    if told != _DISARM:
        _thaw_to_the_end(left, shared.marker)


def _thaw_to_the_end(left: tuple[Mount, ...], marker: Marker) -> None:
    for _ in range(_RETRIES):
        left = _thaw(left, freezer_lives=False)
        if not left:
            marker.clear()
            return
        time.sleep(_RETRY_S)


def _thaw(mounts: Sequence[Mount], *, freezer_lives: bool = True) -> tuple[Mount, ...]:
    """Thaw each; return those to try again.

    While the freezer lives, one that was not frozen may yet become so. One that was thawed here
    is never touched again: a freeze that comes later is not ours.
    """
    again = []
    for mount in mounts:
        try:
            was_frozen = kernel.thaw(mount.descriptor)
        except OSError:
            again.append(mount)
        else:
            if freezer_lives and not was_frozen:
                again.append(mount)
    return tuple(again)
