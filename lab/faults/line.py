"""The line between agent and freezer, seen from outside: which request waits to be read.

No seam in the product is needed to catch a moment. A stopped freezer reads nothing, so what the
agent asks of it stays in the socket, where a duplicate of the freezer's descriptor
(pidfd_getfd(2), Linux 5.6) can peek at it: `sync` means that the agent holds nothing yet,
`freeze` that it holds the lock, `thaw` that it gives back.

A duplicate keeps the line open: it is closed before anything is killed.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import select
import signal
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.faults.errors import MomentMissedError
from lab.faults.family import Family, await_stopped, send

_PIDFD_GETFD = 438  # the same number on every architecture
_SIOCOUTQ = 0x5411  # sockios.h: bytes that the peer has not read yet
_ASKED_WITHIN_S = 10.0
_libc = ctypes.CDLL(None, use_errno=True)


class Line:
    """The freezer's end of the line, for as long as somebody looks at it."""

    def __init__(self, family: Family) -> None:
        """Duplicate it; MomentMissedError when the freezer is gone."""
        self._family = family
        try:
            pidfd = os.pidfd_open(family.freezer)
        except ProcessLookupError as error:
            raise MomentMissedError("the freezer is gone") from error
        try:
            number = _descriptor_of(family.freezer)
            descriptor = _libc.syscall(_PIDFD_GETFD, pidfd, number, 0)
        finally:
            os.close(pidfd)
        if descriptor < 0:
            raise MomentMissedError(f"the freezer's line: {os.strerror(ctypes.get_errno())}")
        self._socket = socket.socket(fileno=descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def stop_at(self, request: str) -> None:
        """Return with the freezer stopped and `request` (its first word) waiting to be read.

        Earlier requests are answered one by one, the agent being stopped meanwhile, so that it
        cannot ask the next before the freezer is stopped again. Raise MomentMissedError where the
        request does not come, or had been read.
        """
        self._stop(self._family.freezer)
        while (asked := self._await_request()) != request:
            if asked == "freeze":
                raise MomentMissedError(f"{request} was passed")
            self._stop(self._family.agent)
            send(signal.SIGCONT, self._family.freezer)
            self._await_answer()
            self._stop(self._family.freezer)
            send(signal.SIGCONT, self._family.agent)

    def _stop(self, pid: int) -> None:
        send(signal.SIGSTOP, pid)
        await_stopped(pid)

    def _await_request(self) -> str:
        """Return the first word of what the agent asked of a stopped freezer."""
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        if not poller.poll(_ASKED_WITHIN_S * 1000):
            raise MomentMissedError("the agent asked for nothing")
        asked = self._socket.recv(1024, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        return asked.decode("ascii", "replace").split(" ")[0].strip()

    def _await_answer(self) -> None:
        """Wait until the freezer's answer lies in the stopped agent's buffer."""
        unread = array.array("i", [0])
        give_up_at = time.monotonic() + _ASKED_WITHIN_S
        while not unread[0]:
            if time.monotonic() > give_up_at:
                raise MomentMissedError("the freezer answered nothing")
            time.sleep(0.0005)
            fcntl.ioctl(self._socket.fileno(), _SIOCOUTQ, unread)


def _descriptor_of(freezer: int) -> int:
    """Return the descriptor of the line, as the freezer's own command line names it."""
    words = Path(f"/proc/{freezer}/cmdline").read_bytes().decode(errors="replace").split("\0")
    try:
        return int(words[words.index("--fd") + 1])
    except (ValueError, IndexError) as error:
        raise MomentMissedError("the freezer is gone") from error
