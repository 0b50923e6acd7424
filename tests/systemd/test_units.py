"""Under a real systemd: whatever becomes of agent or freezer, nothing stays frozen or locked."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from holdstill_protocol.messages import ThawReason
from lab.systemd import SystemdHost
from lab.systemd.host import AGENT, FREEZER, FREEZERS
from tests.host.freezing import is_frozen
from tests.systemd.conftest import BUDGET_S, WATCHDOG_S
from tests.systemd.conversation import Conversation, Writes, soon

pytestmark = [pytest.mark.root, pytest.mark.emulator]

SOON_MS = 2000
"""Long after what it takes, and long before watchdog and budget."""
_CAPABILITIES = {"CAP_DAC_READ_SEARCH": 2, "CAP_IPC_LOCK": 14, "CAP_SYS_ADMIN": 21}


def test_backup_goes_through_the_units(
    sound: SystemdHost, talk: Conversation, writes: Writes
) -> None:
    """An agent without any privilege, a freezer with three capabilities: the run is intact."""
    frozen = talk.freeze()
    assert frozen.position is not None
    assert frozen.position.file is not None
    assert is_frozen(sound.point)
    (agent,) = sound.processes(AGENT)
    assert agent.uids().real != 0
    assert _status(agent, "CapBnd", 16) == 0
    for process in sound.processes(FREEZERS):
        assert process.uids().real == 0
        assert _status(process, "CapBnd", 16) == sum(1 << bit for bit in _CAPABILITIES.values())
        assert _status(process, "VmLck") > 0, "it is locked in memory"
    assert _opened(sound.processes(FREEZERS)[0], "/sys/kernel/rcu_expedited")
    thawed_at_ns = time.monotonic_ns()
    thawed = talk.thaw()
    assert (thawed.reason, thawed.intact) == (ThawReason.COMMANDED, True)
    assert writes.returned_ms(thawed_at_ns) < SOON_MS


def test_watchdog_is_fed_while_all_is_held(sound: SystemdHost, talk: Conversation) -> None:
    """A hold that is longer than the watchdog's time is no hang."""
    before = _restarts(sound)
    talk.freeze()
    time.sleep(WATCHDOG_S + 1)
    assert talk.thaw().intact
    assert _restarts(sound) == before


def test_killed_agent_holds_nothing(sound: SystemdHost, talk: Conversation, writes: Writes) -> None:
    """SIGKILL: the freezer thaws at the end of its line, the lock ends, a new agent serves."""
    talk.freeze()
    killed_at_ns = time.monotonic_ns()
    sound.kill(AGENT)
    assert writes.returned_ms(killed_at_ns) < SOON_MS
    talk.whole_run()


def test_killed_freezer_is_followed_by_its_guard(
    sound: SystemdHost, talk: Conversation, writes: Writes
) -> None:
    """SIGKILL: the guard, in the same unit, thaws; the agent unlocks and tells.

    It need not wait for the unit's end, until which systemd keeps the line open.
    """
    sound.drop_in(FREEZER, "slow", f"[Service]\nExecStopPost=/bin/sleep {SOON_MS / 1000 + 1}\n")
    try:
        talk.freeze()
        killed_at_ns = time.monotonic_ns()
        sound.kill(FREEZERS)
        assert writes.returned_ms(killed_at_ns) < SOON_MS
        thawed = talk.thawed()
        assert (thawed.reason, thawed.intact) == (ThawReason.LOST_FREEZER, False)
    finally:
        sound.drop_out(FREEZER, "slow")


def test_freezer_and_guard_killed_are_followed_by_their_unit(
    sound: SystemdHost, talk: Conversation, writes: Writes
) -> None:
    """Both dead at once, nobody in the unit can thaw: its ExecStopPost does."""
    talk.freeze()
    _kill_both(sound)
    killed_at_ns = time.monotonic_ns()
    assert is_frozen(sound.point), "or this test shows nothing"
    assert writes.returned_ms(killed_at_ns) < SOON_MS
    assert talk.thawed().reason is ThawReason.LOST_FREEZER


def test_agent_and_freezer_and_guard_killed_are_recovered_from(
    sound: SystemdHost, talk: Conversation, writes: Writes
) -> None:
    """All dead at once: systemd alone is left, and that is enough."""
    talk.freeze()
    _kill_both(sound)
    sound.kill(AGENT)
    assert writes.returned_ms(time.monotonic_ns()) < SOON_MS
    talk.whole_run()


def test_stopped_agent_is_ended_by_the_watchdog(
    sound: SystemdHost, talk: Conversation, writes: Writes
) -> None:
    """SIGSTOP: systemd hears nothing, ends it, and freezer and database let go: before the budget.

    The next agent serves.
    """
    talk.freeze()
    stopped_at_ns = time.monotonic_ns()
    sound.kill(AGENT, signal.SIGSTOP)
    assert writes.returned_ms(stopped_at_ns) < (WATCHDOG_S * 1000 + SOON_MS) < BUDGET_S * 1000
    talk.whole_run()


def test_agent_told_to_stop_thaws_first(
    sound: SystemdHost, talk: Conversation, writes: Writes
) -> None:
    """`systemctl stop` while frozen: thawed, unlocked, reported, and an end in order."""
    talk.freeze()
    stopped_at_ns = time.monotonic_ns()
    sound.systemctl("stop", AGENT)
    assert writes.returned_ms(stopped_at_ns) < SOON_MS
    thawed = talk.thawed()
    assert (thawed.reason, thawed.intact) == (ThawReason.SHUTDOWN, True)
    assert sound.property(AGENT, "Result") == "success"


def test_freezer_told_to_stop_thaws_first(
    sound: SystemdHost, talk: Conversation, writes: Writes
) -> None:
    """`systemctl stop` of the freezer while frozen: thawed at once; the agent unlocks and tells."""
    talk.freeze()
    stopped_at_ns = time.monotonic_ns()
    sound.systemctl("stop", FREEZERS)
    assert writes.returned_ms(stopped_at_ns) < SOON_MS
    thawed = talk.thawed()
    assert (thawed.reason, thawed.intact) == (ThawReason.SHUTDOWN, False)


@pytest.mark.skipif(
    not Path("/sys/fs/cgroup/freezer").is_dir(), reason="needs the first cgroup version's freezer"
)
def test_guard_outlives_the_end_of_a_freezer_that_hangs(
    sound: SystemdHost, talk: Conversation, writes: Writes
) -> None:
    """`systemctl stop` while the freezer hangs in the kernel: the guard is spared, and thaws.

    A SIGKILL to all would end it alone, and the freezer would leave a freeze for nobody.
    """
    sound.drop_in(FREEZER, "hasty", "[Service]\nTimeoutStopSec=1\n")
    try:
        talk.freeze()
        frozen_at_ns = time.monotonic_ns()
        freezer, guard = sound.processes(FREEZERS)
        with sound.container.cgroup.hanging(freezer.pid):
            sound.systemctl("stop", FREEZERS)
            assert is_frozen(sound.point), "or this test shows nothing"
            assert guard.is_running()
            assert writes.returned_ms(frozen_at_ns) < BUDGET_S * 1000 + SOON_MS
    finally:
        sound.drop_out(FREEZER, "hasty")


def test_agent_out_of_memory_holds_nothing(
    sound: SystemdHost, talk: Conversation, writes: Writes
) -> None:
    """At MemoryMax the kernel kills the agent: as any kill."""
    talk.freeze()
    killed_at_ns = sound.exhaust_memory(AGENT, sound.processes(AGENT)[0])
    assert writes.returned_ms(killed_at_ns) < SOON_MS
    talk.whole_run()


@pytest.mark.parametrize("victim", [0, 1], ids=["freezer", "guard"])
def test_freezer_out_of_memory_thaws(
    sound: SystemdHost, talk: Conversation, writes: Writes, victim: int
) -> None:
    """At MemoryMax the kernel kills one of the two: the other thaws, or goes on as asked."""
    talk.freeze()
    killed_at_ns = sound.exhaust_memory(FREEZERS, sound.processes(FREEZERS)[victim])
    if victim == 0:
        assert writes.returned_ms(killed_at_ns) < SOON_MS
        assert talk.thawed().reason is ThawReason.LOST_FREEZER
    else:
        assert talk.thaw().reason in (ThawReason.COMMANDED, ThawReason.SHUTDOWN)


@pytest.mark.parametrize("first", ["agent", "socket"])
def test_start_after_a_crash_recovers(
    sound: SystemdHost, talk: Conversation, writes: Writes, first: str
) -> None:
    """Marker left, filesystem frozen, nobody there: whoever comes first, an agent or a client."""
    sound.systemctl("stop", AGENT)
    soon(lambda: not sound.processes(FREEZERS))
    sound.leave_frozen("run-of-the-dead")
    assert is_frozen(sound.point), "or this test shows nothing"
    started_at_ns = time.monotonic_ns()
    if first == "agent":
        sound.systemctl("start", AGENT)
    else:
        assert sound.ask("root", "").startswith("ready ")
    assert not is_frozen(sound.point)
    assert writes.returned_ms(started_at_ns) < BUDGET_S * 1000
    sound.systemctl("start", AGENT)
    talk.whole_run()


def test_foreign_freeze_is_nobodys_to_recover(sound: SystemdHost) -> None:
    """No marker of ours: whoever starts, it stays frozen for whoever froze it."""
    sound.freeze()
    try:
        sound.systemctl("restart", AGENT)
        assert is_frozen(sound.point)
    finally:
        sound.thaw()


def test_stranger_cannot_connect(sound: SystemdHost) -> None:
    """The socket is for the agent's group alone."""
    assert "Permission denied" in sound.ask("nobody", "freeze run-1")


def test_stranger_is_refused_where_the_socket_is_open(
    sound: SystemdHost, talk: Conversation
) -> None:
    """Somebody widened the mode: the kernel still says who is there, and nothing is frozen."""
    socket = sound.container.inside("/run/holdstill/freezer.sock")
    mode = socket.stat().st_mode & 0o777
    socket.chmod(0o666)
    try:
        assert sound.ask("nobody", "freeze run-1").startswith("refused not-permitted ")
        assert not is_frozen(sound.point)
    finally:
        socket.chmod(mode)
    assert mode == 0o660
    talk.whole_run()


def test_second_client_does_no_harm_to_the_first(sound: SystemdHost, talk: Conversation) -> None:
    """Even root is told `busy`; neither that nor the second freezer's end thaws the first's."""
    talk.freeze()
    assert sound.ask("root", "freeze run-2").startswith("refused busy ")
    soon(lambda: len(sound.processes(FREEZERS)) == 2, BUDGET_S)
    assert is_frozen(sound.point)
    assert talk.thaw().intact


def _kill_both(host: SystemdHost) -> None:
    freezer, guard = host.processes(FREEZERS)
    freezer.suspend()  # or it would thaw, its guard gone
    guard.kill()
    os.kill(freezer.pid, signal.SIGKILL)


def _restarts(host: SystemdHost) -> int:
    return int(host.property(AGENT, "NRestarts"))


def _status(process: psutil.Process, field: str, base: int = 10) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0], base)


def _opened(process: psutil.Process, path: str) -> bool:
    return any(link.readlink() == Path(path) for link in Path(f"/proc/{process.pid}/fd").iterdir())
