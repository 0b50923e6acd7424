"""Our Lambdas, initialized once and forked for each invocation: `python -m lab.faults.function`.

It reads an invocation a line from its standard input, as JSON (`lab.faults.invocations`), forks,
and writes the child's pid, later its end, as a line each. When its input ends, it ends with every
child. What is real: the handlers and all that they import, in a process that can be killed. What
is not: patience. A run that fails waits 15 s for a host in AWS, and 90 s for EC2's lists.
"""

import json
import os
import selectors
import signal
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from functions import aftermath, backup, run, sweep
from functions.adapters import clients
from holdstill_protocol import conductor
from holdstill_protocol.conductor_model import Patience

FREEZE_MS: Final = 3_000
THAW_MS: Final = 3_000
THAW_AGAIN_MS: Final = 1_000
CALL_SLACK_MS: Final = 1_000
RECONCILE_S: Final = 2
RESERVE_MS: Final = 5_000
RECORD_MS: Final = 2_000

_HANDLERS: Final = {
    "functions.backup.handler": backup.handler,
    "functions.sweep.handler": sweep.handler,
}


@dataclass(frozen=True, slots=True)
class Context:
    """What Lambda tells of an invocation."""

    left_ms: int
    function_name: str
    aws_request_id: str
    memory_limit_in_mb: int = 1769
    invoked_function_arn: str = "arn:aws:lambda:ap-northeast-1:000000000000:function:lab"

    def get_remaining_time_in_millis(self) -> int:
        """Return what is left of the function's time."""
        return self.left_ms


def shorten_patience() -> None:
    """Let a trial end in seconds: whoever waits for what does not come, waits less."""

    def patience_of(prepare_s: int, timeout_s: float) -> Patience:
        call_ms = round(timeout_s * 1000) + CALL_SLACK_MS
        prepare_ms = min(prepare_s, int(os.environ["LAB_PREPARE_S"])) * 1000
        return Patience(prepare_ms, FREEZE_MS, call_ms, THAW_MS)

    shortened: tuple[tuple[Any, str, object], ...] = (
        (run, "patience_of", patience_of),
        (run, "RESERVE_MS", RESERVE_MS),
        (run, "RECORD_MS", RECORD_MS),
        (aftermath, "RECONCILE_S", RECONCILE_S),
        (aftermath, "TAG_S", RECONCILE_S),
        (conductor, "THAW_AGAIN_MS", THAW_AGAIN_MS),
    )
    for module, name, value in shortened:
        getattr(module, name)  # one that is called otherwise now is an error, not a long wait
        setattr(module, name, value)


def invoke(invocation: Mapping[str, Any]) -> int:
    """In a child: run a handler; return 0, or 1 where it raised."""
    with Path(invocation["log"]).open("ab") as log:
        os.close(0)  # the line of the process that forked it
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.environ.update(invocation["environment"])
    vars(sys.modules["sitecustomize"])["ahead_s"] = invocation["ahead_s"]
    context = Context(invocation["left_ms"], invocation["handler"], invocation["id"])
    try:
        _HANDLERS[invocation["handler"]](invocation["event"], context)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - as Lambda does: the invocation's error, in its log
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _fork(invocation: Mapping[str, Any]) -> int:
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os._exit(invoke(invocation))
    return pid


def _reap() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _say(ended=pid, status=os.waitstatus_to_exitcode(status))


def _say(**facts: int) -> None:
    os.write(1, json.dumps(facts).encode() + b"\n")


def main() -> None:
    """Serve until the input ends."""
    shorten_patience()
    clients.ec2(), clients.ec2_once(), clients.dynamodb(), clients.commands(), clients.replies()
    wakes, wake = os.pipe2(os.O_NONBLOCK)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    chosen = selectors.DefaultSelector()
    chosen.register(0, selectors.EVENT_READ)
    chosen.register(wakes, selectors.EVENT_READ)
    unread = b""
    _say(ready=os.getpid())
    while True:
        ready = [key.fd for key, _ in chosen.select()]
        if wakes in ready:
            os.read(wakes, 4096)
            _reap()
        if 0 not in ready:
            continue
        if not (piece := os.read(0, 1 << 16)):
            os.killpg(0, signal.SIGKILL)
        *lines, unread = (unread + piece).split(b"\n")
        for line in lines:
            _say(begun=_fork(json.loads(line)))


if __name__ == "__main__":
    main()
