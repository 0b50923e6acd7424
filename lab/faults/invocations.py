"""The Lambdas' processes, from outside: one that waits, and a fork of it for each invocation."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from lab.errors import ChildFailedError
from lab.host.child import REPOSITORY, tail

WRONG_CLOCK: Final = Path(__file__).with_name("wrong_clock")
_READY_WITHIN_S: Final = 60.0
_BEGUN_WITHIN_S: Final = 10.0


def wrong_clock(ahead_s: float) -> dict[str, str]:
    """Return what makes a Python process's wall clock wrong, as a part of its environment."""
    return {"PYTHONPATH": str(WRONG_CLOCK), "LAB_WALL_CLOCK_AHEAD_S": f"{ahead_s:g}"}


@dataclass(frozen=True, slots=True)
class Invocation:
    """One invocation's process. `status`: one number once it has ended, negative for a signal."""

    pid: int
    ended: threading.Event = field(default_factory=threading.Event)
    status: list[int] = field(default_factory=list)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return not self.ended.is_set()

    def kill(self) -> None:
        """Kill it at once (SIGKILL), and wait until it is gone."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.ended.wait()


class Functions:
    """`lab.faults.function` in a session of its own, which dies with this process."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._environment = environment
        self._log = log
        self._numbers = itertools.count(1)
        self._invocations: dict[int, Invocation] = {}
        self._begun = threading.Event()
        self._ready = threading.Event()
        self._last: Invocation | None = None
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        """Start it, and do not wait: its imports take a second of CPU."""
        here = os.pathsep.join([str(WRONG_CLOCK), str(REPOSITORY), f"{REPOSITORY}/agent/src"])
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "lab.faults.function"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**self._environment, "PYTHONPATH": here},
                cwd=self._log.parent,
                start_new_session=True,
            )
        threading.Thread(target=self._hear, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it, and every invocation."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    def invoke(
        self,
        handler: str,
        event: Mapping[str, Any],
        *,
        environment: Mapping[str, str],
        left_s: float,
        ahead_s: float = 0.0,
    ) -> Invocation:
        """Begin an invocation whose wall clock is ahead by so much. Raise ChildFailedError."""
        self._await_ready()
        self._begun.clear()
        invocation = {
            "handler": handler,
            "event": event,
            "environment": dict(environment),
            "left_ms": round(left_s * 1000),
            "ahead_s": ahead_s,
            "id": f"lab-{next(self._numbers)}",
            "log": str(self._log),
        }
        pipe = self._process.stdin
        if pipe is None:
            raise ChildFailedError("the functions have no input")
        pipe.write(json.dumps(invocation).encode() + b"\n")
        pipe.flush()
        if not self._begun.wait(_BEGUN_WITHIN_S) or self._last is None:
            raise ChildFailedError(f"the function did not begin\n{tail(self._log)}")
        return self._last

    def _await_ready(self) -> None:
        give_up_at = time.monotonic() + _READY_WITHIN_S
        while not self._ready.wait(0.1):
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise ChildFailedError(f"the functions did not start\n{tail(self._log)}")

    def _hear(self) -> None:
        for line in self._process.stdout or ():
            match json.loads(line):
                case {"ready": int()}:
                    self._ready.set()
                case {"begun": int(pid)}:
                    self._last = self._invocations[pid] = Invocation(pid)
                    self._begun.set()
                case {"ended": int(pid), "status": int(status)}:
                    invocation = self._invocations.pop(pid)
                    invocation.status.append(status)
                    invocation.ended.set()
