"""What the agent itself needs while a filesystem is frozen: nothing of it may lie on that one.

Reading goes on, so programs and configuration might; but whatever is written there waits for the
thaw, and who is to thaw must not wait. (Swap is the freezer's to look for: it sees /proc/swaps.)
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from holdstill_agent.config import Config
from holdstill_agent.errors import CheckFailedError
from holdstill_agent.mountinfo import Mounts

_ROOM_BYTES = 256 * 1024  # records of a few hundred bytes, each a block; and the freezer's marker
_ROOM_FILES = 16
_LOG_DESCRIPTORS = (1, 2)
_TEMPORARY = "/tmp"  # noqa: S108 - only looked at


def require_own_files_elsewhere(config: Config, mounted: Mounts) -> str:
    """Raise CheckFailedError if a file that the agent or the freezer writes would be frozen."""
    for what, path in _written(config):
        for mount in config.mounts:
            if mounted.freeze_holds(mount.path, path):
                raise CheckFailedError(
                    f"{what} {path} is on {mount.path}, which is to be frozen: move it elsewhere"
                )
    return "none on a filesystem that is to be frozen"


def _written(config: Config) -> Iterator[tuple[str, str]]:
    yield "state_dir", config.state_dir
    yield "freeze.run_dir", config.run_dir
    if config.freezer_socket:
        yield "freeze.socket", config.freezer_socket
    yield "the configuration", str(config.path)
    # Not tempfile.gettempdir(): it writes there to find out, and that may be frozen just now.
    yield "the folder for temporary files (TMPDIR)", os.environ.get("TMPDIR") or _TEMPORARY
    for descriptor in _LOG_DESCRIPTORS:
        if path := _file_of(descriptor):
            yield "the agent's log", path


def _file_of(descriptor: int) -> str | None:
    """Return the regular file that a descriptor leads to, None for a terminal, pipe or socket."""
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except OSError:  # closed, or no Linux
        return None
    return None


def require_room(config: Config) -> str:
    """Raise CheckFailedError unless state_dir and run_dir could take what is written there."""
    if not os.path.isdir(config.state_dir):  # noqa: PTH112 - also where its parent is closed
        raise CheckFailedError(
            f"state_dir {config.state_dir} is no directory: make it, for the agent's user alone"
            f" (install -d -m 0700 -o holdstill {config.state_dir})"
        )
    if not os.access(config.state_dir, os.W_OK | os.X_OK):
        raise CheckFailedError(
            f"state_dir {config.state_dir} cannot be written by this user: chown it to the agent's"
        )
    places = [("state_dir", config.state_dir)]
    if config.freeze:
        places.append(("freeze.run_dir", _existing(config.run_dir)))
    for key, place in places:
        _require_room_in(key, place)
    return f"enough in {' and '.join(path for _, path in places)}"


def _require_room_in(key: str, path: str) -> None:
    room = os.statvfs(path)
    free_bytes, free_files = room.f_bavail * room.f_frsize, room.f_favail
    if free_bytes < _ROOM_BYTES:
        raise CheckFailedError(
            f"{key} {path} has {free_bytes // 1024} KiB free and {_ROOM_BYTES // 1024} are needed:"
            " delete something there, or name another place"
        )
    if room.f_files and free_files < _ROOM_FILES:  # btrfs counts none
        raise CheckFailedError(
            f"{key} {path} has room for {free_files} more files and {_ROOM_FILES} are needed:"
            " delete something there, or name another place"
        )


def _existing(path: str) -> str:
    """Return the path or, as the freezer makes it when needed, the nearest parent there is."""
    while not os.path.exists(path) and path != "/":  # noqa: PTH110
        path = os.path.dirname(path)  # noqa: PTH120
    return path
