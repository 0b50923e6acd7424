"""Where the agent's files go on a host, laid out in the container's overlay."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from lab.host.child import REPOSITORY, run
from lab.host.errors import ProgramError

if TYPE_CHECKING:
    from pathlib import Path

    from lab.systemd.overlay import Overlay

USER = "holdstill"
CONFIG = "/etc/holdstill/agent.toml"
OPTION_FILE = "/etc/holdstill/mysql.cnf"
UNITS = ("holdstill-freezer.socket", "holdstill-freezer@.service", "holdstill-agent.service")
_HOME = "/opt/holdstill"
_UNIT_FILES = REPOSITORY / "agent" / "systemd"
_FREEZER = REPOSITORY / "agent" / "src" / "holdstill_freezer"
_FREEZER_INSIDE = f"{_HOME}/freezer/holdstill_freezer"
_START = """#!{home}/bin/python
import sys
from holdstill_agent.__main__ import main
sys.exit(main())
"""


def lay_out(overlay: Overlay, installed: Path) -> dict[Path, str]:
    """Install what `lab.host.install_agent` has made; return what to bind into the container.

    The packages are pure Python: they are bound rather than copied, under the system's own
    interpreter, which the agent's user can run (one below /root it could not).
    """
    python = _system_python()
    chroot = ("chroot", str(overlay.root))
    run(*chroot, python, "-m", "venv", "--without-pip", _HOME)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (own,) = (overlay.root / _HOME.lstrip("/") / "lib").glob("python3*")
    overlay.write(f"{_HOME}/bin/holdstill-agent", _START.format(home=_HOME), 0o755)
    for unit in UNITS:
        overlay.write(f"/etc/systemd/system/{unit}", (_UNIT_FILES / unit).read_text())
    shutil.copytree(_FREEZER, overlay.root / _FREEZER_INSIDE.lstrip("/"))
    run(*chroot, python, "-m", "compileall", "-q", _FREEZER_INSIDE)
    shell = ("--shell", "/usr/sbin/nologin", "--home-dir", "/var/lib/holdstill")
    run(*chroot, "useradd", "--system", "--user-group", "--no-create-home", *shell, USER)
    packages = installed.parents[1] / "lib" / version / "site-packages"
    return {packages: f"{_HOME}/lib/{own.name}/site-packages"}


def own_option_file(overlay: Overlay, text: str) -> None:
    """Write the database's account where the agent's group alone can read it."""
    overlay.write(OPTION_FILE, text, 0o640)
    run("chroot", str(overlay.root), "chgrp", USER, OPTION_FILE)


def _system_python() -> str:
    for name in ("/usr/bin/python3", "/usr/bin/python3.13", "/usr/bin/python3.12"):
        try:
            run(name, "-c", "import sys, venv; sys.exit(sys.version_info < (3, 11))")
        except ProgramError:
            continue
        return name
    raise ProgramError("this machine's own python3 is missing, or older than 3.11")
