"""`python -m lab`: run the Region in a box by hand."""

import argparse
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.interrupts import uninterrupted

with uninterrupted():  # Python loses an interrupt that comes in a callback of the import system
    from lab import kernel
    from lab.deploy import ROOT, Cdk
    from lab.errors import LabError
    from lab.journal import Journal
    from lab.region import DEFAULT_WORKDIR, Region

_END_S = 30.0
"""A lab that was asked to end does so within this; then `down` refuses to clean under it."""


def demo(options: argparse.Namespace) -> int:
    """Make one whole backup, step by step, prove its copy, and follow uploads to the visitors."""
    sys.path.append(str(ROOT / "agent" / "src"))  # the protocol, which functions import
    from lab.demo import demo as run  # noqa: PLC0415 - the other commands start faster without

    return run(options.workdir, keep=options.keep, no_disks=options.no_disks)


def bench(options: argparse.Namespace) -> int:
    """Measure the write stall of five ways to make a snapshot."""
    from lab.bench.bench import bench as run  # noqa: PLC0415

    return run(options.workdir, ROOT / "build", rounds=options.rounds)


def faults(options: argparse.Namespace) -> int:
    """Make everything around a backup fail, and show that the host is safe."""
    sys.path.append(str(ROOT / "agent" / "src"))  # the protocol, which functions import
    from lab.faults import command  # noqa: PLC0415

    if options.list:
        return command.listed()
    return command.run(
        options.workdir,
        ROOT / "build",
        options.only,
        at_length=options.at_length,
        seed=options.seed,
    )


def uploads(options: argparse.Namespace) -> int:
    """Upload 10,000 objects in a minute with trouble at CloudFront, and count calls and dollars."""
    sys.path.append(str(ROOT / "agent" / "src"))  # the protocol, which functions import
    from lab.storm import Storm  # noqa: PLC0415
    from lab.uploads import run  # noqa: PLC0415

    return run(options.workdir, ROOT / "build", Storm(uploads=options.uploads))


def cold_start(options: argparse.Namespace) -> int:
    """Measure the backup function's cold start against its AWS clients' alone."""
    from lab.cold_start import measure as run  # noqa: PLC0415

    return run(ROOT, ROOT / "build", runs=options.runs)


def up(options: argparse.Namespace) -> int:
    """Start a Region and keep it until Ctrl-C."""
    with Region(options.workdir, real_disks=False if options.no_disks else None) as region:
        if region.not_real:
            print(f"Volumes are folders, nothing can be frozen: {region.not_real}.")
        if options.deploy:
            print(f"Deploying; {region.workdir / 'cdk.log'} shows how far it is.", flush=True)
            cdk = Cdk(region, config=options.config)
            cdk.bootstrap()
            for stack, outputs in cdk.deploy().items():
                for name, value in outputs.items():
                    print(f"{stack}.{name} = {value}")
        print(f"The Region is up: {region.url}, EC2 {region.ec2_url}.")
        print(f'Use it from another shell:  eval "$({_again("env", options)})"')
        print("Ctrl-C ends it and leaves nothing.", flush=True)
        threading.Event().wait()
    return 0


def down(options: argparse.Namespace) -> int:
    """End the Region of a folder and clean up after it, also after it was killed."""
    journal = Journal(options.workdir)
    if not journal.workdir.exists():
        print(f"Nothing to clean in {journal.workdir}.")
        return 0
    if journal.held():
        os.kill(journal.read()["lab"], signal.SIGTERM)
        deadline = time.monotonic() + _END_S
        while journal.held() and time.monotonic() < deadline:
            time.sleep(0.05)
    journal.take()
    journal.clean()
    journal.give_back()
    print(f"Nothing is left of the lab in {journal.workdir}.")
    return 0


def status(options: argparse.Namespace) -> int:
    """Tell whether a Region runs in a folder and what the kernel holds for it."""
    journal = Journal(options.workdir)
    state = journal.read()
    held = journal.held()
    print(f"{journal.workdir}: {'up' if held else 'down'}")
    for name in ("url", "ec2_url", "edge_url", "not_real"):
        if held and state.get(name):
            print(f"  {name:<8}  {state[name]}")
    for point in kernel.mounts_of(journal.workdir):
        print(f"  mount  {point}")
    for device in kernel.loops_of(journal.workdir):
        print(f"  loop   {device}")
    return 0 if held else 3


def env(options: argparse.Namespace) -> int:
    """Print the export lines for a shell that should use the Region."""
    journal = Journal(options.workdir)
    if not journal.held():
        print(
            f"No lab runs in {journal.workdir}: start one with `{_again('up', options)}`.",
            file=sys.stderr,
        )
        return 3
    for name, value in journal.read()["environment"].items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser; each command is a function with its help as docstring."""
    root = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for run in (demo, bench, faults, uploads, cold_start, up, down, status, env):
        command = _add(commands, run)
        if run is cold_start:
            command.add_argument(
                "--runs", type=int, default=15, help="starts of each side (default 15)"
            )
            continue
        command.add_argument(
            "--workdir",
            type=Path,
            default=DEFAULT_WORKDIR,
            help="the lab's folder (default: build/lab of the repository)",
        )
        if run is up:
            command.add_argument("--deploy", action="store_true", help="deploy Holdstill too")
            command.add_argument(
                "--config",
                type=Path,
                default=ROOT / "holdstill.toml",
                help="what to deploy (default: holdstill.toml)",
            )
        if run in (demo, up):
            command.add_argument(
                "--no-disks", action="store_true", help="volumes are folders, as without root"
            )
        if run is demo:
            command.add_argument("--keep", action="store_true", help="leave the lab running")
        if run is faults:
            command.add_argument("--list", action="store_true", help="print every fault's law")
            command.add_argument(
                "--only",
                action="extend",
                nargs="+",
                default=[],
                metavar="NAME",
                help="those whose names contain it",
            )
            command.add_argument(
                "--at-length", action="store_true", help="the killing ones 100 times, not 10"
            )
            command.add_argument("--seed", type=int, help="of the random moments (default: any)")
        if run is uploads:
            command.add_argument(
                "--uploads", type=int, default=10_000, help="how many (default 10000)"
            )
        if run is bench:
            command.add_argument(
                "--rounds", type=int, default=12, help="backups of each way and world (default 12)"
            )
    return root


def _add(commands: Any, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    text = run.__doc__ or ""
    command: argparse.ArgumentParser = commands.add_parser(
        run.__name__.replace("_", "-"), help=text, description=text
    )
    command.set_defaults(run=run)
    return command


def _again(command: str, options: argparse.Namespace) -> str:
    return shlex.join(
        [Path(sys.executable).name, "-m", "lab", command, "--workdir", str(options.workdir)]
    )


def main() -> int:
    """Run one command; return its exit status."""
    options = parser().parse_args()
    try:
        status: int = options.run(options)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
