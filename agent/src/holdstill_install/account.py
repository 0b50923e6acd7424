"""The agent's user and group: a system account that nobody can log in to."""

import grp
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from holdstill_install.errors import AccountError
from holdstill_install.layout import NAME, Layout

_BY_HAND = f'make the user "{NAME}" and its group by hand, then install again'


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom a file belongs to, by name: the numbers differ between hosts."""

    user: str
    group: str

    def __str__(self) -> str:
        """Return it as chown takes it."""
        return f"{self.user}:{self.group}"


ROOT = Owner("root", "root")
AGENT = Owner(NAME, NAME)
ROOT_FOR_AGENT = Owner("root", NAME)
"""The agent reads it, and cannot change it."""


def numbers(layout: Layout, owner: Owner) -> tuple[int, int] | None:
    """Return the owner's user and group id; None if either does not exist."""
    user, group = _number(layout, "passwd", owner.user), _number(layout, "group", owner.group)
    return None if user is None or group is None else (user, group)


def _number(layout: Layout, kind: str, name: str) -> int | None:
    if name == "root":
        return 0
    if layout.is_this_host:  # by the name service: the account may come from a directory
        try:
            return pwd.getpwnam(name).pw_uid if kind == "passwd" else grp.getgrnam(name).gr_gid
        except KeyError:
            return None
    try:
        lines = (layout.at("/etc") / kind).read_text().splitlines()
    except FileNotFoundError:
        return None
    fields = (line.split(":") for line in lines)
    return next((int(number) for entry, _, number, *_ in fields if entry == name), None)


@dataclass(frozen=True, slots=True)
class Account:
    """The account must exist."""

    layout: Layout

    def pending(self) -> str | None:
        """Return what is to be done."""
        return None if numbers(self.layout, AGENT) else f"create user and group {NAME}"

    def do(self) -> None:
        """Make it; a group of that name that is there already becomes the user's."""
        exists = _number(self.layout, "group", NAME) is not None
        group = ("--gid", NAME) if exists else ("--user-group",)
        where = ("--home-dir", f"/var/lib/{NAME}", "--no-create-home")
        _run(self.layout, "useradd", "--system", *group, *where, "--shell", _no_shell(), NAME)


@dataclass(frozen=True, slots=True)
class NoAccount:
    """The account must not exist."""

    layout: Layout

    def pending(self) -> str | None:
        """Return what is to be done."""
        left = [_number(self.layout, kind, NAME) for kind in ("passwd", "group")]
        return None if left == [None, None] else f"remove user and group {NAME}"

    def do(self) -> None:
        """Remove both: userdel leaves the group where login.defs says so."""
        for program, kind in (("userdel", "passwd"), ("groupdel", "group")):
            if _number(self.layout, kind, NAME) is not None:
                _run(self.layout, program, NAME)


def _no_shell() -> str:
    places = ("/usr/sbin/nologin", "/sbin/nologin")
    return next((shell for shell in places if Path(shell).exists()), "/bin/false")


def _run(layout: Layout, program: str, *arguments: str) -> None:
    found = shutil.which(program, path="/usr/sbin:/sbin:/usr/bin:/bin")
    if found is None:
        raise AccountError(f"{program} is not on this host: {_BY_HAND}")
    prefix = () if layout.is_this_host else ("--prefix", str(layout.root))
    done = subprocess.run(  # noqa: S603 - a program of the system's own folders
        (found, *prefix, *arguments), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise AccountError(f"{program}: {done.stderr.strip()}: mend that, or {_BY_HAND}")
