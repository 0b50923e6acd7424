"""The line protocol, and when to thaw. One ASCII line a message, one freeze a connection.

Asked: `sync`, `freeze RUN`, `thaw`. Before a session there may be `refused CODE DETAIL`, and
`refused recovered CODE DETAIL` where nothing that a dead freezer left is frozen. Said: `ready
BUDGET_MS MAJOR:MINOR …`, `synced US`, `frozen US`, `failed CODE DETAIL`, `thawed REASON INTACT
HELD_MS`; the last one unasked too, at the deadline, on a signal, and by the guard: of a freezer
that hangs (`deadline`) or is dead (`lost`). Either says that nothing is frozen any more; not so
`failed thaw-failed`: the guard goes on trying then. `ready` names the filesystems' devices in the
order of [[mounts]]: whoever has read another agent.toml, or sees other mounts, notices it before
anything is held.

Between freeze and thaw nothing is opened, imported or logged: it could wait for the freeze.
"""

import contextlib
import errno
import os
import re
import select
import signal
import socket
import time

from holdstill_freezer import kernel
from holdstill_freezer.guard import Guard, Shared
from holdstill_freezer.mounts import Mount

_RUN = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_MAX_LINE_BYTES = 1024
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGABRT)


class Session:
    """One client's connection, from `ready` to its end."""

    def __init__(self, line: socket.socket, shared: Shared, guard: Guard) -> None:
        self._line = line
        self._mounts = shared.mounts
        self._marker = shared.marker
        self._rcu = shared.rcu
        self._guard = guard
        self._budget_ns = shared.budget_ms * 1_000_000
        self._unread = b""
        self._frozen: list[Mount] = []
        self._frozen_at_ns = 0
        self._deadline_ns = 0
        self._outcome: str | None = None

    def serve(self) -> str:
        """Serve until the line ends or a signal comes; nothing is held then. Return which."""
        signalled = _signal_pipe()
        poller = select.poll()
        poller.register(self._line, select.POLLIN)
        poller.register(signalled, select.POLLIN)
        devices = " ".join(mount.device for mount in self._mounts)
        self._say(f"ready {self._budget_ns // 1_000_000} {devices}")
        while True:
            ready = [descriptor for descriptor, _ in poller.poll(self._timeout_ms())]
            if self._frozen and time.monotonic_ns() >= self._deadline_ns:
                self._thaw("deadline")
            if signalled in ready:
                self._thaw("shutdown")
                return "shutdown"
            if self._line.fileno() in ready and not self._receive():
                self._thaw("disconnected")
                return "disconnected"

    def _timeout_ms(self) -> int | None:
        if not self._frozen:
            return None
        return max(0, -((time.monotonic_ns() - self._deadline_ns) // 1_000_000))

    def _receive(self) -> bool:
        """Do what has been asked; return whether the client is still there."""
        try:
            received = self._line.recv(_MAX_LINE_BYTES)
        except ConnectionError:
            return False
        *lines, self._unread = (self._unread + received).split(b"\n")
        for line in lines:
            self._obey(line.decode("ascii", "replace"))
        return bool(received) and len(self._unread) <= _MAX_LINE_BYTES

    def _obey(self, request: str) -> None:
        match request.split(" "):
            case ["thaw"] if self._frozen:
                self._thaw("commanded")
            case ["thaw"] if self._outcome:
                self._say(self._outcome)
            case ["freeze", run] if _RUN.fullmatch(run) and not self._frozen:
                self._freeze(run)
            case ["sync"] if not self._frozen:
                self._sync()
            case _:
                self._say("failed bad-request not now, or not at all")

    def _sync(self) -> None:
        began_ns = time.monotonic_ns()
        try:
            for mount in self._mounts:
                kernel.syncfs(mount.descriptor)
        except OSError as error:
            self._say(f"failed sync-failed {mount.path}: {error.strerror}")
            return
        self._say(f"synced {(time.monotonic_ns() - began_ns) // 1000}")

    def _freeze(self, run: str) -> None:
        if self._outcome:
            self._say("failed bad-request one freeze a connection")
            return
        began_ns = time.monotonic_ns()
        self._deadline_ns = began_ns + self._budget_ns
        try:
            self._marker.write(run, self._mounts, rcu=self._rcu.usable)
            self._guard.arm()
        except OSError as error:  # no room in run_dir, or a broken pipe: the guard is dead
            self._marker.clear()
            what = "the guard is dead" if error.errno == errno.EPIPE else "the marker"
            self._say(f"failed freeze-failed {what}: {error.strerror}")
            return
        failure = self._freeze_all()
        self._frozen_at_ns = time.monotonic_ns()
        if failure is None and self._frozen_at_ns >= self._deadline_ns:
            failure = "freeze-failed the freeze took longer than its budget"
        if failure:
            self._give_back(failure)
            return
        self._guard.frozen()  # first: should this process hang, it knows that no more is frozen
        self._say(f"frozen {(self._frozen_at_ns - began_ns) // 1000}")
        self._marker.rcu_is_back()

    def _freeze_all(self) -> str | None:
        """Freeze in order; return what went wrong, as `CODE DETAIL`."""
        self._rcu.on()
        try:
            for index, mount in enumerate(self._mounts):
                if time.monotonic_ns() >= self._deadline_ns:
                    return "freeze-failed no time was left for the next mount"
                if failure := self._freeze_one(index, mount):
                    return failure
        finally:
            self._rcu.off()
        return None

    def _freeze_one(self, index: int, mount: Mount) -> str | None:
        """Freeze one; what was told of its beginning is taken back if it fails, and no more."""
        begun = False
        try:
            self._marker.begin(index)
            self._guard.begin()
            begun = True
            kernel.freeze(mount.descriptor)
        except OSError as error:
            if begun:
                self._guard.refused()
            with contextlib.suppress(OSError):  # it is emptied as soon as the others are thawed
                self._marker.refused(index)
            if begun and error.errno == errno.EBUSY:  # somebody else's: not ours to thaw
                return f"already-frozen {mount.path} was frozen by somebody else"
            what = mount.path if begun else "the guard or the marker"
            return f"freeze-failed {what}: {error.strerror}"
        self._frozen.append(mount)
        return None

    def _thaw(self, reason: str) -> None:
        """Thaw, if anything is held, and say how it went; then tell guard and marker."""
        if not self._frozen:
            return
        intact, stuck = self._thaw_all()
        held_ms = (time.monotonic_ns() - self._frozen_at_ns) // 1_000_000
        self._outcome = stuck or f"thawed {reason} {int(intact)} {held_ms}"
        self._say(self._outcome)
        if not stuck:
            self._nothing_is_held()

    def _give_back(self, failure: str) -> None:
        """Thaw what was frozen before a freeze failed, and say why it did."""
        _, stuck = self._thaw_all()
        if stuck:
            self._guard.frozen()  # and no more than that will be
            self._marker.rcu_is_back()
        else:
            self._nothing_is_held()
        self._outcome = stuck or f"failed {failure}"
        self._say(self._outcome)

    def _thaw_all(self) -> tuple[bool, str]:
        """Thaw; return whether all were frozen until now, and what to say of one that may be so."""
        intact, stuck = True, ""
        thawed = []
        while self._frozen:
            mount = self._frozen.pop()
            try:
                intact = kernel.thaw(mount.descriptor) and intact
            except OSError as error:
                stuck = f"failed thaw-failed {mount.path}: {error.strerror}"
            else:
                thawed.append(self._mounts.index(mount))
                self._guard.thawed(thawed[-1])
        with contextlib.suppress(OSError):  # if none is stuck, it is emptied once all is said
            for index in thawed if stuck else ():
                self._marker.refused(index)
        return intact, stuck

    def _nothing_is_held(self) -> None:
        """Tell guard and marker. Not of one that is stuck: the guard stays armed, and tries on."""
        self._guard.disarm()
        self._marker.clear()

    def _say(self, line: str) -> None:
        """Say it to a client that may be gone, or stopped: never wait for it."""
        try:
            self._line.send(line.encode() + b"\n", socket.MSG_DONTWAIT)
        except OSError:
            return


def _signal_pipe() -> int:
    """Return a descriptor that becomes readable when the process is told to end."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in _SIGNALS:
        signal.signal(number, lambda _number, _frame: None)
    return reader
