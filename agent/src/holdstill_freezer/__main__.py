"""`python holdstill_freezer --config FILE --fd N` serves; `--recover` thaws a dead freezer's work.

It can be run by the folder's path: under -I -S there is no site-packages in which -m could find
it, and that is how the agent starts it: 5 MiB instead of 19, and nobody's PYTHONPATH.
"""

import sys

if not __package__:  # run by its path: the folder above holds the package
    sys.path[0:1] = []
    sys.path.append(__file__.rpartition("/holdstill_freezer/")[0] or ".")

import argparse
import contextlib
import gc
import os
import socket
from pathlib import Path

from holdstill_freezer import kernel
from holdstill_freezer.errors import BusyError, FreezerError
from holdstill_freezer.guard import Shared, fork_guard
from holdstill_freezer.links import require_tables_on_mounts
from holdstill_freezer.marker import Marker
from holdstill_freezer.mounts import open_mounts
from holdstill_freezer.peer import require_permitted
from holdstill_freezer.session import Session
from holdstill_freezer.settings import read_run_dir, read_settings


def main() -> int:
    """Serve one connection, or recover; 1 if it was refused, or what a dead one froze may be so."""
    parser = argparse.ArgumentParser(prog="holdstill_freezer", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="agent.toml")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--fd", type=int, metavar="N", help="the client's connected socket")
    what.add_argument("--recover", action="store_true", help="thaw what a dead freezer left")
    arguments = parser.parse_args()
    if arguments.recover:
        return _recover(arguments.config)
    return _serve(arguments.config, socket.socket(fileno=arguments.fd))


def _recover(config: Path) -> int:
    try:
        run_dir = read_run_dir(config)
        kernel.require_privilege()
        marker = Marker.acquire(run_dir)
        thawed = marker.recover()
    except BusyError as error:  # it has recovered when it started, and thaws what it holds
        _log("recovery-left-to-the-living", error)
        return 0
    except (FreezerError, OSError) as error:
        _log("not-recovered", error)
        return 1
    for path in thawed:
        _log("recovered", path)
    return 0


def _serve(config: Path, line: socket.socket) -> int:
    recovered = ""
    try:
        settings = read_settings(config)
        require_permitted(line, settings.client_user)
        kernel.require_privilege()
        marker = Marker.acquire(settings.run_dir)
        marker.recover()  # before RcuExpedited looks whether it is on
        recovered = "recovered "  # whatever is refused now, nothing is frozen
        rcu = kernel.RcuExpedited(wanted=settings.rcu_expedited)
        mounts = open_mounts(settings.mounts, settings.run_dir)
        if settings.has_database and not require_tables_on_mounts(mounts):
            _log("links", "too many files to look for links that lead off the mounts among all")
    except FreezerError as error:
        return _refuse(line, recovered + error.code, error)
    except OSError as error:
        return _refuse(line, recovered + "unavailable", error)
    shared = Shared(mounts, marker, rcu, settings.budget_ms)
    guard = fork_guard(line, shared)
    gc.disable()  # nothing is collected, and so nothing is paged in, while a filesystem is held
    kernel.lock_memory()
    ended = Session(line, shared, guard).serve()
    guard.dismiss()
    if ended != "disconnected":  # as every run ends
        _log("ended", ended)
    return 0


def _refuse(line: socket.socket, code: str, error: Exception) -> int:
    """Say why, to a client that may be gone already, and to the journal."""
    with contextlib.suppress(OSError):
        line.sendall(f"refused {code} {error}\n".encode(errors="replace"))
    _log("refused", f"{code} {error}")
    return 1


def _log(event: str, detail: object) -> None:
    """One line of logfmt to standard error; only while nothing is held."""
    text = str(detail).replace('"', "'")
    sys.stderr.write(f'event=freezer-{event} detail="{text}" pid={os.getpid()}\n')


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # without the interpreter's own farewell: 5 ms that the next freezer waits
