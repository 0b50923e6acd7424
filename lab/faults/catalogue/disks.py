"""The host's disks are full, slow, or have much to write."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from functions.domain.verdict import Broken
from holdstill_protocol.messages import RefusalCode
from lab.faults.family import go_on
from lab.faults.fault import CONSISTENT, NO_SNAPSHOT, Fault
from lab.faults.slow_device import slowed
from lab.host.child import run

if TYPE_CHECKING:
    from lab.faults.world import World

_MIB = 1 << 20
_DIRTY_BYTES = 200 * _MIB
_SLOW_BYTES_A_SECOND = 20 * _MIB
_STUCK_BYTES = 60 * _MIB
"""Three seconds at that speed: a second more than the budget."""

_RUN_ENDS_WITHIN_S = 20.0
_PREFLIGHT = frozenset({Broken.NO_SNAPSHOT, f"host-refused-{RefusalCode.PREFLIGHT_FAILED}"})
_FREEZE_FAILED = frozenset({Broken.NO_SNAPSHOT, f"host-refused-{RefusalCode.FREEZE_FAILED}"})


def _state_dir_full(world: World) -> None:
    """Have no room left for what the agent must note before it changes anything."""
    with _tiny_disk(world, world.host.places.state_dir) as fill:
        fill()
        world.inject_now()
        world.begin()
        world.cloud.wait_ended(world.trial.runs[-1], _RUN_ENDS_WITHIN_S)


def _run_dir_full_under_lock(world: World) -> None:
    """Have the last room for the marker taken when the freezer is about to write it."""
    with _tiny_disk(world, world.marker.parent) as fill:
        family = world.stop_between_lock_and_freeze()
        try:
            fill()
            world.inject_now()
        finally:
            go_on(family)
        world.cloud.wait_ended(world.trial.runs[-1], _RUN_ENDS_WITHIN_S)


@contextmanager
def _tiny_disk(world: World, folder: Path) -> Iterator[Callable[[], None]]:
    """Mount 8 MiB there under a new agent, and give what fills it."""
    world.agent.stop()
    folder.mkdir(mode=0o755, exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", "size=8m,mode=0755", "tmpfs", str(folder))
    try:
        world.restart_agent()
        yield lambda: _fill(folder / "filling")
    finally:
        world.agent.stop()
        run("umount", str(folder))


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 65536)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def _dirty_before(world: World) -> None:
    """Have 200 MB to write when the run begins."""
    _dirty(world, _DIRTY_BYTES)
    world.inject_now()
    world.begin()
    world.await_frozen()


def _dirty_under_lock(world: World) -> None:
    """Have 200 MB to write when the database is locked and the freeze about to begin."""
    family = world.stop_between_lock_and_freeze()
    try:
        world.inject_now()
        _dirty(world, _DIRTY_BYTES)
    finally:
        go_on(family)


def _slow_device(world: World) -> None:
    """Have a device that never catches up with what is written: a freeze would hang."""
    world.restart_agent(quiet_patience_s=1)
    ended = threading.Event()
    world.trial.later.callback(ended.set)
    with slowed(world.cloud.volumes[0].device, _SLOW_BYTES_A_SECOND):
        writer = threading.Thread(target=_keep_dirty, args=(world, ended))
        writer.start()
        try:
            world.begin()
            world.cloud.wait_ended(world.trial.runs[-1], _RUN_ENDS_WITHIN_S)
        finally:
            ended.set()
            writer.join()
    world.inject_now()


def _keep_dirty(world: World, ended: threading.Event) -> None:
    """Write as much as the device takes in 0.4 s, over and over the same room."""
    while not ended.wait(0.1):
        _dirty(world, 8 * _MIB)


def _stuck_freeze(world: World) -> None:
    """Have FIFREEZE itself hang, past the budget: what it must write came after the last sync."""
    family = world.stop_between_lock_and_freeze()
    undo = slowed(world.cloud.volumes[0].device, _SLOW_BYTES_A_SECOND)
    try:
        world.trial.later.enter_context(undo)
        world.inject_now()
        _dirty(world, _STUCK_BYTES)
    finally:
        go_on(family)


def _dirty(world: World, size: int) -> None:
    """Write a file and leave it in the page cache."""
    path = world.mount / "dirty"
    world.trial.undo.callback(path.unlink, missing_ok=True)
    with path.open("wb", buffering=0) as file:
        for _ in range(size // _MIB):
            file.write(b"d" * _MIB)


FAULTS = (
    Fault(
        name="state-dir-full",
        group="disks",
        law="Without room to note what must be undone, nothing is begun.",
        inject=_state_dir_full,
        verdicts=NO_SNAPSHOT,
        reasons=_PREFLIGHT,
    ),
    Fault(
        name="run-dir-full-under-the-lock",
        group="disks",
        law="A freezer that cannot write its marker freezes nothing; the lock is given back.",
        inject=_run_dir_full_under_lock,
        verdicts=NO_SNAPSHOT,
        reasons=_FREEZE_FAILED | {f"host-refused-{RefusalCode.FREEZER_UNAVAILABLE}"},
    ),
    Fault(
        name="dirty-pages-before-the-run",
        group="disks",
        law="What is dirty is written before the lock, not under it.",
        inject=_dirty_before,
        verdicts=CONSISTENT,
        stall_s=1.5,
    ),
    Fault(
        name="dirty-pages-under-the-lock",
        group="disks",
        law="A freeze that has 200 MB to write is held within its budget, or given up.",
        inject=_dirty_under_lock,
        verdicts=CONSISTENT | NO_SNAPSHOT,
        reasons=_FREEZE_FAILED,
        stall_s=4,
    ),
    Fault(
        name="slow-device",
        group="disks",
        law="A device that cannot keep up is waited for, or refused, before anything is held.",
        inject=_slow_device,
        # Consistent where the load left it time: a syncfs of under 0.2 s within the patience.
        # Else the pre-flight refuses, the conductor gives up while the agent still writes out or
        # reads its command too late for it, or the load's statements, slow as well now, are in the
        # way of the lock.
        verdicts=NO_SNAPSHOT | CONSISTENT,
        reasons=_PREFLIGHT
        | {
            "freeze-timeout",
            "host-refused-lock-timeout",
            f"host-refused-{RefusalCode.EXPIRED}",
        },
        stall_s=15,
    ),
    Fault(
        name="freeze-stuck-past-the-budget",
        group="disks",
        law="A FIFREEZE that hangs is thawed as soon as it ends; the lock is given back before.",
        inject=_stuck_freeze,
        verdicts=NO_SNAPSHOT,
        reasons=_FREEZE_FAILED | {"freeze-timeout", "thawed-early"},
        stall_s=8,
    ),
)
