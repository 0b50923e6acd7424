"""The agent's processes: itself, the freezer of its run, and the freezer's guard."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lab.faults.errors import MomentMissedError

_GONE_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Family:
    """Process ids, as they were when somebody looked: a freezer lives for one run."""

    agent: int
    freezer: int
    guard: int

    @classmethod
    def of(cls, agent: int) -> Self:
        """Return an agent's family; MomentMissedError while it has no freezer with a guard."""
        for freezer in children(agent):
            for guard in children(freezer):
                return cls(agent, freezer, guard)
        raise MomentMissedError(f"agent {agent} has no freezer with a guard")


def children(pid: int) -> list[int]:
    """Return a process's children; none for one that is gone."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for child in text.split()]


def send(number: signal.Signals, *pids: int) -> None:
    """Signal processes, in order, as nearly at once as can be; harmless for one that is gone."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def state(pid: int) -> str:
    """Return a process's state: R, S, D, T, Z, …; empty for one that is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return text.rpartition(")")[2].split()[0]


def await_stopped(pid: int) -> None:
    """Wait until a SIGSTOP has taken effect: a process that is in a system call ends it first."""
    give_up_at = time.monotonic() + _GONE_WITHIN_S
    while state(pid) not in ("T", "", "Z") and time.monotonic() < give_up_at:
        time.sleep(0.0005)


def await_gone(*pids: int, within_s: float = _GONE_WITHIN_S) -> list[int]:
    """Wait until processes are gone, or zombies; return those that stay."""
    give_up_at = time.monotonic() + within_s
    while left := [pid for pid in pids if state(pid) not in ("", "Z")]:
        if time.monotonic() > give_up_at:
            break
        time.sleep(0.002)
    return left


def go_on(family: Family) -> None:
    """Let every process of the family run again; harmless for those that are gone."""
    send(signal.SIGCONT, family.freezer, family.guard, family.agent)
