"""systemd as process 1 of a container, by systemd-nspawn; the machine's network and kernel.

Nothing of it outlives the lab: all its processes are in a control group of its own, and its files
in an overlay.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from lab.host.child import Child, dying_with_parent, tail
from lab.host.errors import ChildError
from lab.interrupts import uninterrupted
from lab.systemd.cgroups import ControlGroup
from lab.systemd.overlay import Overlay
from lab.temporary import Temporary

if TYPE_CHECKING:
    from collections.abc import Mapping

BOOTED_WITHIN_S = 30.0
SAYS_WITHIN_S = 30.0

# Not runuser, nor su: their PAM waits for a login manager that is not there.
_AS = 'exec setpriv --reuid="$0" --regid="$(id -g "$0")" --init-groups -- "$@"'

# nspawn mounts the controllers of the first cgroup version read-only: without memory, CPU and
# process counts a unit's limits would be words. Killed with nspawn, which is killed with the lab.
_INIT = """#!/bin/sh
for controller in memory cpu cpuacct pids; do
    mount -o remount,bind,rw /sys/fs/cgroup/$controller 2>/dev/null
done
exec setpriv --pdeathsig=KILL "$@"
"""


class Container(Temporary):
    """systemd, once it has booted; `overlay` may be changed at any time."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        name = f"holdstill-lab-{os.getpid()}-{time.monotonic_ns() % 1_000_000}"
        self.overlay = Overlay(folder)
        self.cgroup = ControlGroup(name)
        self._name = name
        self._log = folder / "console.log"
        self._leader = 0

    def _build(self) -> None:
        with uninterrupted():
            self._undo.callback(self.overlay.unmount)
            self.overlay.mount()
            self._undo.callback(self.cgroup.remove)
            self.cgroup.make()

    def boot(self, binds: Mapping[Path, str]) -> None:
        """Boot systemd and wait until it is up; ChildError with its console if it is not.

        `binds`: folders of this machine, and where they are seen inside.
        """
        self.overlay.write("/init-lab", _INIT, 0o755)
        argv = [
            *dying_with_parent(self.cgroup.enter(), "KILL"),
            *("systemd-nspawn", "--quiet", f"--directory={self.overlay.root}"),
            *(f"--machine={self._name}", "--register=no", "--keep-unit", "--console=pipe"),
            *("--link-journal=no", "--resolv-conf=off", "--timezone=off", "--capability=all"),
            *(f"--bind={outside}:{inside}" for outside, inside in binds.items()),
            *("/init-lab", "/lib/systemd/systemd", "systemd.unit=basic.target"),
        ]
        # The kernel's switches are writable, as on a host; what uses them was taken out.
        env = {**os.environ, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1"}
        with uninterrupted():
            nspawn = Child(argv, log=self._log, env=env)
            self._undo.callback(self._forget)
            self._undo.callback(nspawn.stop, grace_s=0.0)
        nspawn.wait_until(lambda: self._is_up(nspawn.pid), within_s=BOOTED_WITHIN_S)

    def run(self, *argv: str, user: str | None = None) -> str:
        """Run a command inside and return its output; ChildError with its words if it fails."""
        done = self.try_run(*argv, user=user)
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise ChildError(f"{' '.join(argv)}: exit {done.returncode}: {said}")
        return done.stdout

    def try_run(
        self, *argv: str, user: str | None = None, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root or as `user`; it may fail."""
        whoever = ("sh", "-c", _AS, user) if user else ()
        enter = ("nsenter", f"--target={self._leader}", "--mount", "--pid", "--uts", "--ipc")
        return subprocess.run(
            [*enter, *whoever, *argv],
            check=False,
            capture_output=True,
            text=True,
            input=stdin,
            timeout=SAYS_WITHIN_S,
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        )

    def inside(self, path: str) -> Path:
        """Return a path of the container as this machine can open it."""
        return Path(f"/proc/{self._leader}/root") / path.lstrip("/")

    def _is_up(self, nspawn: int) -> bool:
        if not self._leader:
            with contextlib.suppress(psutil.NoSuchProcess):
                children = psutil.Process(nspawn).children()
                self._leader = next(
                    (child.pid for child in children if child.name() == "systemd"), 0
                )
        return bool(self._leader) and self.try_run("systemctl", "is-system-running").stdout in (
            "running\n",
            "degraded\n",
        )

    def _forget(self) -> None:
        """Remove what nspawn keeps of a machine that was killed."""
        shutil.rmtree(f"/run/systemd/nspawn/propagate/{self._name}", ignore_errors=True)

    def console(self) -> str:
        """Return the end of what its console said."""
        return tail(self._log)
