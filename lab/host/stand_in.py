"""The fallback's freezer: speaks the freezer's lines, and closes a gate where it cannot freeze."""

from __future__ import annotations

import argparse
import socket
import socketserver
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from lab.host.child import leashed
from lab.host.gate import FlockGate

LINE_BYTES = 512


@dataclass(frozen=True, slots=True)
class Held:
    """A freeze that is on."""

    since_ns: int
    thaw_by_ns: int


class StandIn(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Listens on the socket; every connection may freeze once, one at a time."""

    daemon_threads = True

    def __init__(self, path: Path, gate: Path, budget_ms: int) -> None:
        super().__init__(str(path), Session)
        self.gate = gate
        self.budget_ms = budget_ms
        self.turn = threading.Lock()


class Session(socketserver.BaseRequestHandler):
    """One connection: what it froze is thawed when told, at the deadline, and at its end."""

    request: socket.socket
    server: StandIn

    def setup(self) -> None:
        """Open the gate's lock for this connection."""
        self.gate = FlockGate(self.server.gate)
        self.held: Held | None = None
        self.outcome: str | None = None
        self._pending = b""

    def handle(self) -> None:
        """Answer lines until the client's end of file."""
        self._say(f"ready {self.server.budget_ms}")
        while (line := self._next_line()) is not None:
            match line.split():
                case ["sync"]:
                    self._say("synced 0")  # files are copied, not a disk: no cache is behind
                case ["freeze", _] if not self.held and not self.outcome:
                    self._say(self._freeze())
                case ["thaw"] if self.held:
                    self._thaw("commanded")
                case ["thaw"] if self.outcome:
                    self._say(self.outcome)
                case _:
                    self._say("failed bad-request not now, or not at all")

    def finish(self) -> None:
        """Thaw for whoever left."""
        self._thaw("disconnected")

    def _freeze(self) -> str:
        if not self.server.turn.acquire(blocking=False):
            return "failed already-frozen by another connection"
        begun_ns = time.monotonic_ns()
        self.gate.close()
        now_ns = time.monotonic_ns()
        self.held = Held(now_ns, now_ns + self.server.budget_ms * 1_000_000)
        return f"frozen {_since_us(begun_ns)}"

    def _thaw(self, reason: str) -> None:
        """Thaw if frozen, and say so; the answer is kept for a thaw after the deadline's."""
        if self.held is None:
            return
        self.gate.open()
        self.server.turn.release()
        held_ms = (time.monotonic_ns() - self.held.since_ns) // 1_000_000
        self.held = None
        self.outcome = f"thawed {reason} 1 {held_ms}"
        self._say(self.outcome)

    def _next_line(self) -> str | None:
        while b"\n" not in self._pending:
            try:
                self.request.settimeout(self._patience_s())
                received = self.request.recv(LINE_BYTES)
            except TimeoutError:
                self._thaw("deadline")
                continue
            except OSError:
                return None
            if not received or len(self._pending) > LINE_BYTES:
                return None
            self._pending += received
        line, self._pending = self._pending.split(b"\n", 1)
        return line.decode("ascii", errors="replace")

    def _patience_s(self) -> float | None:
        if self.held is None:
            return None
        # Never 0, which would make the socket non-blocking.
        return max((self.held.thaw_by_ns - time.monotonic_ns()) / 1e9, 0.001)

    def _say(self, line: str) -> None:
        try:
            self.request.sendall(line.encode("ascii") + b"\n")
        except OSError:
            self._pending = b""  # the client left: the next read ends the session


def _since_us(begun_ns: int) -> int:
    return (time.monotonic_ns() - begun_ns) // 1000


def main() -> None:
    """Serve until the lab lets go."""
    parser = argparse.ArgumentParser(prog="python -m lab.host.stand_in", description=__doc__)
    parser.add_argument("socket", type=Path)
    parser.add_argument("gate", type=Path)
    parser.add_argument("budget_ms", type=int)
    arguments = parser.parse_args()
    released = leashed()
    with StandIn(arguments.socket, arguments.gate, arguments.budget_ms) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        released.wait()


if __name__ == "__main__":
    main()
