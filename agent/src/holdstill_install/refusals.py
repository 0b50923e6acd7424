"""When nothing is touched at all."""

import contextlib
import fcntl
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from holdstill_install.errors import RefusedError
from holdstill_install.layout import NAME, Layout

_MARKER = "freeze"  # in run_dir: not empty from before a freeze until after its thaw


def refuse_other_users() -> None:
    """Raise RefusedError unless this is root."""
    if os.geteuid() != 0:
        raise RefusedError(
            "only root may: it makes a user and units; run the same by sudo,"
            " or add --dry-run to see what it would do"
        )


def refuse_unfit_host(layout: Layout) -> None:
    """Raise RefusedError unless this is Linux, and /opt/holdstill is ours or not there."""
    if sys.platform != "linux":
        raise RefusedError(f"this is {sys.platform}: the agent freezes filesystems of Linux alone")
    current = layout.current
    if os.path.lexists(current) and not current.is_symlink():
        name = layout.name(current)
        raise RefusedError(
            f"{name} is a folder that this did not make: move it away"
            f" (`mv {name} {name}.old`), then run the same again"
        )


def refuse_while_frozen(layout: Layout) -> None:
    """Raise RefusedError while a freeze is held, or one of a dead freezer may be."""
    marker = layout.run_dir / _MARKER
    if marker.exists() and marker.stat().st_size:
        python, freezer = "/opt/holdstill/bin/python", "/opt/holdstill/freezer/holdstill_freezer"
        raise RefusedError(
            f"a filesystem is frozen for a backup, as {layout.name(marker)} says: wait until the"
            " run has ended, then run the same again. If no run is under way, thaw what a crash"
            f" left: {python} -I -S {freezer} --config /etc/holdstill/agent.toml --recover"
        )


def refuse_to_forget(layout: Layout) -> None:
    """Raise RefusedError while the agent's state names something that it has still to undo."""
    # What ends in ".new" was being written when a crash came: the deed had not begun.
    found = layout.state.glob("unfinished-*")
    if deeds := sorted(path.name for path in found if path.suffix != ".new"):
        name = layout.name(layout.state)
        raise RefusedError(
            f"the agent has still to undo what a run began ({', '.join(deeds)} in {name}): let the"
            " run end, or start the agent once; if that cannot be, undo it by hand and remove"
            f" those from {name}; then run the same again"
        )


def refuse_foreign_python(interpreter: Path) -> None:
    """Raise RefusedError if others than root can change the Python, or the agent cannot reach it.

    The freezer runs by it, with CAP_SYS_ADMIN: whoever can write it is root.
    """
    real = interpreter.resolve()
    for path in (real, *real.parents):
        status = path.stat()
        writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not path.is_symlink()
        if status.st_uid != 0 or (writable and not status.st_mode & stat.S_ISVTX):
            why = f"{path} can be changed by others than root"
        elif not status.st_mode & stat.S_IXOTH:
            why = f'the user "{NAME}" may not go into {path}'
        else:
            continue
        raise RefusedError(
            f"{real} is not fit for the agent: {why}. Run this file by the system's own Python,"
            f" as `/usr/bin/python3 {sys.argv[0]} install`"
        )


@contextlib.contextmanager
def only_one(layout: Layout) -> Iterator[None]:
    """Hold the lock of installs; RefusedError while another one runs."""
    layout.releases.mkdir(mode=0o755, parents=True, exist_ok=True)
    descriptor = os.open(layout.releases, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefusedError("another install or uninstall runs: wait for its end") from None
        yield
    finally:
        os.close(descriptor)
