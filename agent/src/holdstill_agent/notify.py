"""Tell systemd how this process is doing: sd_notify(3), a datagram to the socket it names.

Our own few lines: of the packages for it, sdnotify has had no release since 2017, and those that
bind libsystemd need a compiler on the host.
"""

import contextlib
import os
import socket
from collections.abc import MutableMapping
from typing import Self


class Supervisor:
    """Who started this process and waits for its word: systemd, or nobody.

    `feed_every_ms`: how often it must hear `alive`; None where nobody watches.
    """

    def __init__(self, address: str | None, feed_every_ms: int | None) -> None:
        self._address = address
        self._fed_at_ms = 0
        self.feed_every_ms = feed_every_ms
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None

    @classmethod
    def take(cls, environ: MutableMapping[str, str] = os.environ) -> Self:
        """Find it in the environment, and take it out: hooks must not speak for this process."""
        address = environ.pop("NOTIFY_SOCKET", None)
        watchdog_us = environ.pop("WATCHDOG_USEC", None)
        watched = environ.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        if address is None or watchdog_us is None or not watched:
            return cls(address, None)
        return cls(address, int(watchdog_us) // 3000)  # thrice in its time: one may come late

    def ready(self) -> None:
        """Say that this process works."""
        self._say("READY=1")

    def stopping(self) -> None:
        """Say that it is about to end."""
        self._say("STOPPING=1")

    def alive(self, now_ms: int) -> None:
        """Say that it still turns, if that is due."""
        if self.feed_every_ms is not None and now_ms >= self.due_ms():
            self._fed_at_ms = now_ms
            self._say("WATCHDOG=1")

    def due_ms(self) -> int:
        """Return when it is due, by the host's monotonic clock."""
        return self._fed_at_ms + (self.feed_every_ms or 0)

    def _say(self, state: str) -> None:
        """Never wait for systemd: this may be while the database is held."""
        if self._socket is None or self._address is None:
            return
        address = self._address
        if address.startswith("@"):  # abstract
            address = "\0" + address[1:]
        with contextlib.suppress(OSError):
            self._socket.sendto(state.encode(), socket.MSG_DONTWAIT, address)


NOBODY = Supervisor(None, None)
