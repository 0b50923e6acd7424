"""What systemd is told: the truth, in time, and never at the price of a wait."""

import io
import os
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue

import pytest

from holdstill_agent import loop
from holdstill_agent.clock import monotonic_ms, wall
from holdstill_agent.log import Log
from holdstill_agent.loop import Loop
from holdstill_agent.notify import NOBODY, Supervisor
from holdstill_agent.queues import Delivery
from holdstill_agent.steadiness import WallClock
from holdstill_protocol.codec import encode
from holdstill_protocol.host_model import Host, Shutdown
from holdstill_protocol.messages import Command, Freeze, Lock, Prepare, Reply
from tests.unit.loop.noted_loop import NotedHold

FEED_US = "60000"
"""Fed every 20 ms."""


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """Return systemd's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.setblocking(False)
        yield end


def _environ(systemd: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": systemd.getsockname(), **more}


def test_systemd_hears_each_state(systemd: socket.socket) -> None:
    """Ready, alive, stopping, in the words of sd_notify(3)."""
    supervisor = Supervisor.take(_environ(systemd, WATCHDOG_USEC="3000000"))
    supervisor.ready()
    supervisor.alive(5000)
    supervisor.stopping()
    heard = [systemd.recv(64) for _ in range(3)]
    assert heard == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_watchdog_is_fed_thrice_in_its_time(systemd: socket.socket) -> None:
    """However fast the loop turns, it is fed no oftener; and due well before it expires."""
    supervisor = Supervisor.take(_environ(systemd, WATCHDOG_USEC="3000000"))
    supervisor.alive(10_000)
    assert supervisor.due_ms() == 11_000
    systemd.recv(64)
    supervisor.alive(10_999)
    with pytest.raises(BlockingIOError):
        systemd.recv(64)
    supervisor.alive(11_000)
    assert systemd.recv(64) == b"WATCHDOG=1"


@pytest.mark.parametrize("more", [{}, {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}])
def test_no_watchdog_is_not_fed(systemd: socket.socket, more: dict[str, str]) -> None:
    """Where none is set, or it is another process's, the loop need not wake for it."""
    supervisor = Supervisor.take(_environ(systemd, **more))
    assert supervisor.feed_every_ms is None
    supervisor.alive(10_000)
    with pytest.raises(BlockingIOError):
        systemd.recv(64)


def test_abstract_address_is_understood() -> None:
    """A leading @ stands for a NUL, as in a container."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(f"\0holdstill-test-{os.getpid()}")
        end.settimeout(5)
        Supervisor.take({"NOTIFY_SOCKET": f"@holdstill-test-{os.getpid()}"}).ready()
        assert end.recv(64) == b"READY=1"


def test_hooks_cannot_speak_for_the_agent(systemd: socket.socket) -> None:
    """What it was told by its environment is not handed on."""
    environ = _environ(systemd, WATCHDOG_USEC="3000000", WATCHDOG_PID=str(os.getpid()), HOME="/")
    Supervisor.take(environ)
    assert environ == {"HOME": "/"}


def test_deaf_systemd_is_not_waited_for(systemd: socket.socket) -> None:
    """Its queue full, or nobody there at all: the agent may be holding a database."""
    deaf = Supervisor.take(_environ(systemd, WATCHDOG_USEC="3000"))
    for now_ms in range(10_000):
        deaf.alive(now_ms)
    systemd.close()
    deaf.ready()
    NOBODY.ready()


class Watched:
    """A running loop under a watchdog."""

    def __init__(self, systemd: socket.socket) -> None:
        self.hold = NotedHold()
        self.replies: SimpleQueue[Reply] = SimpleQueue()
        self._systemd = systemd
        host = Host("recipes-db", 400, Lock.FTWRL, freeze=True, max_clock_skew_ms=2000)
        supervisor = Supervisor.take(_environ(systemd, WATCHDOG_USEC=FEED_US))
        log = Log(io.StringIO())
        self.loop = Loop(host, self.hold, self, log, monotonic_ms, supervisor=supervisor)
        self.thread = threading.Thread(target=self.loop.run)
        self.thread.start()

    def send(self, reply: Reply) -> None:
        """Take a reply of the agent."""
        self.replies.put(reply)

    def delete(self, receipts: list[str]) -> None:
        """Forget them."""

    def command(self, kind: type[Command]) -> None:
        """Deliver a command."""
        text = encode(kind("run-1", "recipes-db", 1, datetime.now(UTC) + timedelta(seconds=30)))
        self.loop.deliver(Delivery(text, text, wall(), monotonic_ms(), 0))

    def heard(self, times: int) -> bool:
        """Forget what came, then return whether it is fed so many times within five seconds."""
        self._systemd.setblocking(False)
        try:
            while self._systemd.recv(64):
                pass
        except BlockingIOError:
            self._systemd.settimeout(5)
        return all(self._systemd.recv(64) == b"WATCHDOG=1" for _ in range(times))

    def silent(self) -> bool:
        """Return whether, after what was on its way, nothing comes for ten times its time."""
        self._systemd.settimeout(0.2)
        try:
            while self._systemd.recv(64):
                pass
        except TimeoutError:
            return True
        return False


@pytest.fixture
def watched(systemd: socket.socket) -> Iterator[Watched]:
    """Return a loop under a watchdog; it ends whatever it was doing."""
    watched = Watched(systemd)
    yield watched
    watched.hold.gate.set()
    watched.loop.deliver(Shutdown())
    watched.thread.join(5)
    assert not watched.thread.is_alive()


def test_idle_loop_is_heard(watched: Watched) -> None:
    """With nothing to do it wakes in time."""
    assert watched.heard(5)


def test_patient_preflight_is_heard(watched: Watched) -> None:
    """A pre-flight may take half a minute, and is no hang."""
    watched.hold.patient = True
    watched.command(Prepare)
    assert watched.heard(5)
    assert watched.replies.empty()


def test_idle_loop_notices_a_clock_that_is_set_to_and_fro(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MySQL's ages go by it: what began in between would look an hour older than it is."""
    ahead_ms = [0]
    clock = WallClock(lambda: monotonic_ms() + ahead_ms[0])
    monkeypatch.setattr(loop, "WALL_CLOCK", clock)
    ahead_ms[0] = -3_600_000
    assert watched.heard(2)
    ahead_ms[0], back_at_ms = 0, monotonic_ms()
    assert clock.steady_ms() <= monotonic_ms() - back_at_ms


def test_hung_loop_is_not_heard(watched: Watched) -> None:
    """The other threads live on, but the one that holds the host is stuck: nothing is said."""
    watched.hold.gate.clear()
    watched.command(Prepare)
    watched.replies.get(timeout=5)
    watched.command(Freeze)
    assert watched.hold.quiescing.wait(5)
    assert watched.silent()
    watched.hold.gate.set()
    assert watched.heard(5)
