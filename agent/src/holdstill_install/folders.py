"""Folders that root makes, gives away and clears: some of them where agent.toml says.

A path from agent.toml may be mistaken (`state_dir = "/var/lib"`), and what lies in a folder of the
agent's may be a trap of whoever took the agent over. So nobody else's folder changes hands, no link
is followed that others than root could have put there, and only our own files are removed.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from holdstill_install.account import AGENT, Owner, numbers
from holdstill_install.errors import AccountError, RefusedError
from holdstill_install.layout import NAME, Layout

STATE = ("unfinished-*",)
"""What the agent writes in state_dir."""

RUN = ("freeze", "freezer.sock")
"""What the freezer writes in run_dir, and the socket that systemd makes there."""

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory must be there, with this owner and mode."""

    layout: Layout
    path: Path
    owner: Owner
    mode: int

    def pending(self) -> str | None:
        """Return what is to be done; RefusedError where it is not ours to change."""
        what = f"{self.layout.name(self.path)}/ ({self.owner}, {self.mode:04o})"
        try:
            status = self.path.lstat()
        except FileNotFoundError:
            self._refuse_open_way()
            return f"create {what}"
        if not stat.S_ISDIR(status.st_mode):
            # Of these folders agent.toml names the agent's own; where it lies itself is fixed.
            elsewhere = ", or name where it is in agent.toml" if self.owner == AGENT else ""
            raise RefusedError(
                f"{self.layout.name(self.path)} is a link or a file: put the folder itself"
                f" there{elsewhere}; then run the same again"
            )
        is_so = (status.st_uid, status.st_gid) == numbers(self.layout, self.owner)
        if is_so and stat.S_IMODE(status.st_mode) == self.mode:
            return None
        self._refuse_open_way()
        if self.owner == AGENT and not self._is_ours(status):
            raise RefusedError(
                f"{self.layout.name(self.path)} is there already and was not made for the agent"
                " alone: name another folder in agent.toml; or, if it is to be the agent's,"
                f" {self._by_hand()}; then run the same again"
            )
        return f"mend {what}"

    def do(self) -> None:
        """Make it, or mend owner and mode."""
        ids = numbers(self.layout, self.owner)
        if ids is None:
            name = self.layout.name(self.path)
            raise AccountError(f"{name} is to belong to {self.owner}, which does not exist")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(self.path, _OPEN)
        try:
            os.fchown(descriptor, *ids)
            os.fchmod(descriptor, self.mode)  # after chown, which clears set-id bits
        finally:
            os.close(descriptor)

    def _is_ours(self, status: os.stat_result) -> bool:
        """Whether the agent has it, or had: by another account's number, or not given yet."""
        account = numbers(self.layout, AGENT)
        if account and status.st_uid == account[0]:
            return True
        named = self.path.name == NAME or stat.S_IMODE(status.st_mode) == self.mode
        return named and not any(_others(self.path, STATE))

    def _refuse_open_way(self) -> None:
        """Raise RefusedError if others than root could lead the path elsewhere."""
        root, parent = self.layout.root, self.path.parent
        real_root, real = root.resolve(), parent.resolve()
        if not real.is_relative_to(real_root):
            raise RefusedError(f"{self.layout.name(parent)} leads out of {root}: mend that link")
        ways = {path for path in (parent, *parent.parents) if path.is_relative_to(root)}
        ways |= {path for path in (real, *real.parents) if path.is_relative_to(real_root)}
        for way in sorted(ways):
            with suppress(FileNotFoundError):  # then root makes it
                status = way.stat()
                if status.st_uid != 0 or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                    mend = f"give {way} to root alone (chown root, chmod go-w)"
                    if self.owner == AGENT:
                        mend = f"name another folder in agent.toml, or {self._by_hand()}"
                    raise RefusedError(
                        f"{self.layout.name(self.path)} is to belong to {self.owner}, but others"
                        f" than root can change {way}, which it is in: {mend}; then run the same"
                        " again"
                    )

    def _by_hand(self) -> str:
        owner = f"-o {self.owner.user} -g {self.owner.group}"
        return f"`install -d -m {self.mode:04o} {owner} {self.layout.name(self.path)}`"


@dataclass(frozen=True, slots=True)
class OwnFilesGone:
    """Our own files must not be in a folder; nor the folder, unless it holds anything else."""

    layout: Layout
    path: Path
    own: tuple[str, ...]

    def pending(self) -> str | None:
        """Return what is to be done."""
        if not _is_folder(self.path):
            return None
        name = self.layout.name(self.path)
        if not self.left():
            return f"remove {name}"
        mine = sorted(_mine(self.path, self.own))
        return f"remove {', '.join(f'{name}/{file}' for file in mine)}" if mine else None

    def left(self) -> str | None:
        """Return what stays, and why; None if nothing does."""
        if not os.path.lexists(self.path):
            return None
        name = self.layout.name(self.path)
        if not _is_folder(self.path):
            return f"{name} (a link or a file)"
        others = sorted(_others(self.path, self.own))
        more = f" and {len(others) - 1} more" if others[1:] else ""
        return f"{name}/ (it holds {others[0]}{more})" if others else None

    def do(self) -> None:
        """Remove them."""
        descriptor = os.open(self.path, _OPEN)
        try:
            for name in _mine(descriptor, self.own):
                os.unlink(name, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        with suppress(OSError):  # not empty, or a mount: then it is not ours alone
            self.path.rmdir()


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _mine(folder: Path | int, own: tuple[str, ...]) -> list[str]:
    return [name for name, is_own in _entries(folder, own) if is_own]


def _others(folder: Path | int, own: tuple[str, ...]) -> list[str]:
    return [name for name, is_own in _entries(folder, own) if not is_own]


def _entries(folder: Path | int, own: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            known = any(fnmatchcase(entry.name, pattern) for pattern in own)
            yield entry.name, known and not entry.is_dir(follow_symlinks=False)
