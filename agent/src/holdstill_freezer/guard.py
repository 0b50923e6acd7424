"""The second process: it thaws when the freezer is killed, or hangs past its deadline.

Forked before anything is held, it shares the freezer's descriptors and reads a pipe whose only
other end is the freezer's: the end of that pipe is the freezer's death.
"""

import _thread  # threading would be imported by every freezer: 1 ms more
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

_ARM, _BEGIN, _REFUSED, _FROZEN, _DISARM = b"ABRFD"
_THAWED = 128  # and the mount's index; what is beyond a byte is not told
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
        os.write(self._pipe, bytes([_ARM]))

    def begin(self) -> None:
        """Say that the next mount's FIFREEZE begins. BrokenPipeError if the guard is dead."""
        os.write(self._pipe, bytes([_BEGIN]))

    def refused(self) -> None:
        """Say that the mount begun last was not frozen, not by us at least."""
        self._tell(_REFUSED)

    def frozen(self) -> None:
        """Say that the freeze is held, and RCU as it was. A dead guard cannot be helped now."""
        self._tell(_FROZEN)

    def thawed(self, index: int) -> None:
        """Say that this mount was thawed: a freeze that comes later is not ours."""
        if index < _THAWED:
            self._tell(_THAWED + index)

    def disarm(self) -> None:
        """Say that nothing is held."""
        self._tell(_DISARM)

    def dismiss(self) -> None:
        """Let it go, and wait until it is gone: the marker's lock is free then."""
        os.close(self._pipe)
        os.waitpid(self._pid, 0)

    def _tell(self, tiding: int) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._pipe, bytes([tiding]))


def fork_guard(line: socket.socket, shared: Shared) -> Guard:
    """Fork it and wait until it is ready, or dead; return the freezer's end."""
    reader, writer = os.pipe()
    started, starting = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(started)
        os.close(writer)  # held open here, it would hide the freezer's death from its guard
        # systemd signals the whole control group: this process must be the last to go.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGABRT):
            signal.signal(number, signal.SIG_IGN)
        kernel.lock_memory()
        died = _start_ending(line, starting)
        _watch(reader, line, shared, died)
        os._exit(0)
    os.close(reader)
    os.close(starting)
    os.read(started, 1)  # its end
    os.close(started)
    return Guard(pid, writer)


class _Watched:
    """What the guard knows of the freezer, by its tidings; and what it is to thaw, and when."""

    def __init__(self, shared: Shared) -> None:
        self._mounts = shared.mounts
        self._budget_ms = shared.budget_ms
        self._begun = 0
        self._armed_at = 0.0
        self.expedited = False
        self.may_freeze_more = False
        self.spoken_for = False
        self.left: tuple[Mount, ...] = ()
        self.thaw_at = math.inf

    @property
    def armed(self) -> bool:
        """Whether the freezer may hold something."""
        return self.thaw_at != math.inf

    @property
    def held_ms(self) -> int:
        """How long something may have been held."""
        return round((time.monotonic() - self._armed_at) * 1000)

    def hear(self, tiding: int) -> None:
        """Take one tiding. Only a mount whose FIFREEZE was begun can be ours to thaw."""
        if tiding == _ARM:
            self.expedited = self.may_freeze_more = True
            self._armed_at = time.monotonic()
            self.thaw_at = self._armed_at + (self._budget_ms + GRACE_MS) / 1000
        elif tiding == _BEGIN:
            self.left = (self._mounts[self._begun], *self.left)
            self._begun += 1
        elif tiding == _REFUSED:
            self._forget(self._begun - 1)
        elif tiding == _FROZEN:
            self.expedited = self.may_freeze_more = False
        elif tiding == _DISARM:
            self.expedited = self.may_freeze_more = False
            self.left, self.thaw_at = (), math.inf
        elif tiding >= _THAWED:
            self._forget(tiding - _THAWED)

    def _forget(self, index: int) -> None:
        self.left = tuple(mount for mount in self.left if mount is not self._mounts[index])


def _watch(pipe: int, line: socket.socket, shared: Shared, died: _thread.LockType) -> None:
    """Thaw at the deadline while the freezer lives, and when it dies with a freeze held."""
    poller = select.poll()
    poller.register(pipe, select.POLLIN)
    watched = _Watched(shared)
    while True:
        left_s = max(0.0, watched.thaw_at - time.monotonic())
        if not poller.poll(left_s * 1000 if watched.armed else None):
            # Queues behind a FIFREEZE that hangs, and follows it at once.
            watched.left = _thaw(watched.left, more=watched.may_freeze_more)
            watched.thaw_at = time.monotonic() + GRACE_MS / 1000
            if not (watched.left or watched.may_freeze_more or watched.spoken_for):
                watched.spoken_for = True
                _say_thawed(line, "deadline", watched.held_ms)
        elif tidings := os.read(pipe, 16):
            for tiding in tidings:
                watched.hear(tiding)
        else:
            break
    died.release()
    if watched.expedited:
        shared.rcu.put_back()
    left = _thaw(watched.left)  # 0.2 ms each; until then an unlock would help no writer
    if watched.armed and not left:
        shared.marker.clear()
        _say_thawed(line, "lost", watched.held_ms)
    _end(line)
    if left:
        _thaw_to_the_end(left, shared.marker)


def _start_ending(line: socket.socket, starting: int) -> _thread.LockType:
    """Start a thread that ends the line though a FITHAW hangs, as ext4's does with its device.

    Return what to release when the freezer has died. `starting` is closed when the thread is ready.
    """
    died = _thread.allocate_lock()
    died.acquire()
    _thread.start_new_thread(_end_in_time, (line, died, starting))
    return died


def _end_in_time(line: socket.socket, died: _thread.LockType, starting: int) -> None:
    os.close(starting)
    died.acquire()
    time.sleep(GRACE_MS / 1000)
    _end(line)


def _end(line: socket.socket) -> None:
    """Let the client unlock, which waits for that.

    systemd keeps a copy of an accepted connection until the unit's ExecStopPost is done: 200 ms.
    """
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)


def _thaw_to_the_end(left: tuple[Mount, ...], marker: Marker) -> None:
    for _ in range(_RETRIES):
        time.sleep(_RETRY_S)
        left = _thaw(left)
        if not left:
            marker.clear()
            return


def _say_thawed(line: socket.socket, reason: str, held_ms: int) -> None:
    """Say in the freezer's place that nothing is frozen any more; never wait for the client."""
    with contextlib.suppress(OSError):
        line.send(f"thawed {reason} 0 {held_ms}\n".encode(), socket.MSG_DONTWAIT)


def _thaw(mounts: Sequence[Mount], *, more: bool = False) -> tuple[Mount, ...]:
    """Thaw each; return those to try again.

    While the freezer may freeze `more`, one that was not frozen may yet become so. One that was
    thawed here is never touched again: a freeze that comes later is not ours.
    """
    again = []
    for mount in mounts:
        try:
            was_frozen = kernel.thaw(mount.descriptor)
        except OSError:
            again.append(mount)
        else:
            if more and not was_frozen:
                again.append(mount)
    return tuple(again)
