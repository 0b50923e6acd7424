"""Install, upgrade or remove Holdstill's agent on this host, or run it without installing it."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from holdstill_install import refusals, steps
from holdstill_install.errors import InstallError
from holdstill_install.layout import Layout
from holdstill_install.package import Package, running_from
from holdstill_install.plan import Pending, carry_out
from holdstill_install.release import lay

_CHECK = "/opt/holdstill/bin/holdstill-agent --config /etc/holdstill/agent.toml --check"
_NEXT = f"""next:
  edit /etc/holdstill/agent.toml and /etc/holdstill/mysql.cnf
  systemctl enable --now holdstill-freezer.socket
  runuser -u holdstill -- {_CHECK}
  systemctl enable --now holdstill-agent.service"""


def main() -> int:
    """Return 0 if all is as asked, 1 if it was refused or stopped; `run`: as the agent does."""
    try:
        package = Package.open(running_from())
        if sys.argv[1:2] == ["run"]:  # what follows is the agent's to parse
            return _run(package, sys.argv[2:])
        arguments = _parser(package.release).parse_args()
        layout = Layout(arguments.root.absolute())
        os.umask(0o022)  # the agent's user reads what root writes here
        if arguments.command == "install":
            _install(layout, package, dry_run=arguments.dry_run)
        else:
            _uninstall(layout, package, purge=arguments.purge, dry_run=arguments.dry_run)
    except InstallError as error:
        print(f"holdstill: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"holdstill: {error.filename or 'this host'}: {error.strerror}: mend that, then run the"
            " same again; what was installed before still works",
            file=sys.stderr,
        )
        return 1
    return 0


def _parser(release: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="holdstill-agent.pyz", description=__doc__)
    parser.add_argument("--version", action="version", version=release)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    install = commands.add_parser("install", help="install, or upgrade to this version")
    uninstall = commands.add_parser("uninstall", help="stop it and remove what install made")
    uninstall.add_argument("--purge", action="store_true", help="configuration, state and user too")
    for command in (install, uninstall):
        command.add_argument("--dry-run", action="store_true", help="say it, and change nothing")
        command.add_argument(
            "--root",
            type=Path,
            default=Path("/"),
            metavar="DIR",
            help="below DIR, for an image; systemd is not told",
        )
    commands.add_parser("run", help="run the agent, not installed: run --config FILE [--check]")
    return parser


def _install(layout: Layout, package: Package, *, dry_run: bool) -> None:
    new = not layout.configuration.joinpath("agent.toml").exists()
    refusals.refuse_unfit_host(layout)
    refusals.refuse_foreign_python(Path(sys.executable))
    if dry_run:
        _rehearse(steps.install(layout, package))
        return
    refusals.refuse_other_users()
    with refusals.only_one(layout):
        plan = steps.install(layout, package)
        if plan:
            refusals.refuse_while_frozen(layout)
        _do(plan)
    if new:
        print(_NEXT)


def _uninstall(layout: Layout, package: Package, *, purge: bool, dry_run: bool) -> None:
    refusals.refuse_unfit_host(layout)
    left = steps.left(layout) if purge else []  # asked while agent.toml says where they are
    if dry_run:
        _rehearse(steps.uninstall(layout, package, purge=purge))
    else:
        refusals.refuse_other_users()
        refusals.refuse_while_frozen(layout)
        if purge:
            refusals.refuse_to_forget(layout)
        with refusals.only_one(layout):
            _do(steps.uninstall(layout, package, purge=purge))
    if left:
        print(f"kept: {', '.join(left)}")
    if not purge and (kept := steps.kept(layout)):
        print(f"kept: {', '.join(kept)} and the user; --purge removes them")


def _do(plan: list[Pending]) -> None:
    carry_out(plan, print)
    print(f"done: {_counted(plan)}" if plan else "nothing to do")


def _rehearse(plan: list[Pending]) -> None:
    for one in plan:
        print(one.words)
    print(f"dry run: {_counted(plan)}, none made" if plan else "nothing to do")


def _counted(plan: list[Pending]) -> str:
    return "1 change" if len(plan) == 1 else f"{len(plan)} changes"


def _run(package: Package, arguments: Sequence[str]) -> int:
    """Run the agent from a temporary folder, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="holdstill-") as folder:
        lay(package, Path(folder))
        argv = (f"{folder}/bin/python", "-I", "-m", "holdstill_agent", *arguments)
        process = subprocess.Popen(argv)  # noqa: S603 - what was just unpacked
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, _frame: process.send_signal(number))
        code = process.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
