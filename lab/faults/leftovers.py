"""What must not be left on a host: a freeze, a lock, a stuck or stray process, a mount, a switch.

The kernel and the server are asked, never the product.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lab import kernel
from lab.faults.family import state
from lab.faults.world import BUDGET_S
from lab.host.server import AGENT

if TYPE_CHECKING:
    from lab.faults.world import World

_PATIENCE_S = 2.0
_POLL_S = 0.05
_RCU = Path("/sys/kernel/rcu_expedited")


@dataclass(frozen=True, slots=True)
class Held:
    """What the kernel holds for a world: its mounts and loop devices."""

    mounts: tuple[str, ...]
    loops: tuple[str, ...]

    @classmethod
    def of(cls, world: World) -> Self:
        """Look."""
        folders = (world.host.places.run_dir.parent, *world.folders)
        mounts = {str(point) for folder in folders for point in kernel.mounts_of(folder)}
        loops = {str(loop) for folder in folders for loop in kernel.loops_of(folder)}
        return cls(tuple(sorted(mounts)), tuple(sorted(loops)))


def leftovers(world: World, before: Held, *, dead_conductor: bool = False) -> tuple[str, ...]:
    """Return what is left two seconds after a trial has ended, as sentences; none is right.

    A prepared host waits for a minute for the freeze of a `dead_conductor`: it holds nothing, but
    freezer and sessions are there. Where that freeze is still under way, it lasts for the budget.
    """
    patience_s = _PATIENCE_S + (BUDGET_S if dead_conductor else 0)
    return tuple(_stays(lambda: _look(world, before, waits=dead_conductor), patience_s))


def _stays(look: Callable[[], list[str]], patience_s: float) -> list[str]:
    give_up_at = time.monotonic() + patience_s
    while (found := look()) and time.monotonic() < give_up_at:
        time.sleep(_POLL_S)
    return found


def _look(world: World, before: Held, *, waits: bool) -> list[str]:
    found = [] if waits else [*_strays(world), *_sessions(world)]
    if world.marker.exists() and world.marker.stat().st_size:
        found.append(f"the marker says: {world.marker.read_text()!r}")
    if _RCU.exists() and _RCU.read_text().strip() != "0":
        found.append("rcu_expedited is on")
    if (now := Held.of(world)) != before:
        found.append(f"mounts and loop devices: {now} instead of {before}")
    found += [f"process {pid} hangs in the kernel" for pid in _hanging(world)]
    return found


def _strays(world: World) -> Iterator[str]:
    """Yield freezers and guards that outlive their run, and agents that nobody started."""
    for pid in world.processes():
        if pid != world.agent.pid and state(pid) not in ("", "Z"):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
            yield f"process {pid} ({state(pid)}): {words.decode(errors='replace')}"


def _sessions(world: World) -> list[str]:
    """Return the agent's sessions with the server: they would hold a lock, or might."""
    server = world.host.server
    if server.pid is None or not server.socket.exists():  # it has ended, or is about to
        return []
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW PROCESSLIST")
        return [f"the agent's session {row}" for row in cursor.fetchall() if row[1] == AGENT]


def _hanging(world: World) -> list[int]:
    """Return the processes of which a thread stays in an uninterruptible sleep."""
    pids = [*world.processes(), world.agent.pid]
    if world.host.server.pid is not None:
        pids.append(world.host.server.pid)
    hanging = {(pid, thread) for pid in pids for thread in _waiting(pid)}
    give_up_at = time.monotonic() + _PATIENCE_S / 4
    while hanging and time.monotonic() < give_up_at:
        hanging &= {(pid, thread) for pid, _ in hanging for thread in _waiting(pid)}
    return sorted({pid for pid, _ in hanging})


def _waiting(pid: int) -> list[str]:
    """Return a process's threads in state D: an ordinary fsync is there for milliseconds."""
    try:
        threads = [task.name for task in Path(f"/proc/{pid}/task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [thread for thread in threads if _state_of(pid, thread) == "D"]


def _state_of(pid: int, thread: str) -> str:
    try:
        text = Path(f"/proc/{pid}/task/{thread}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return text.rpartition(")")[2].split()[0]
