"""What processes ask of the kernel while a filesystem is frozen: read from a trace by strace.

`offences` judges by what is permitted, not by what is forbidden: a kind of call that nobody has
thought of is an offence until somebody has.
"""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_CALL = re.compile(r"^(?P<pid>\d+) +(?P<name>\w+)\((?P<arguments>.*)$")
_DESCRIPTOR = re.compile(r"^\d+<(?P<what>.*?)>(?=[,)\s]|$)")

_WAITING = {
    *("poll", "ppoll", "epoll_wait", "epoll_pwait", "select", "pselect6", "futex"),
    *("clock_nanosleep", "restart_syscall", "sched_yield", "rt_sigreturn"),
}
_ASKING_NOTHING = {
    *("getpid", "gettid", "clock_gettime", "gettimeofday", "getrandom", "rt_sigprocmask"),
    *("brk", "munmap", "mprotect", "madvise", "mremap"),
}
_TALKING = {
    *("sendto", "recvfrom", "sendmsg", "recvmsg", "read", "write", "writev", "close", "shutdown"),
    *("getsockopt", "setsockopt", "ioctl", "fcntl", "getpeername", "getsockname"),
}
_TALKED_TO = ("socket:", "TCP:", "TCPv6:", "UNIX", "pipe:")


@dataclass(frozen=True, slots=True)
class Call:
    """A system call, from where it begins. `arguments`: as strace prints them, with -y."""

    pid: int
    name: str
    arguments: str

    @property
    def descriptor(self) -> str:
        """What its first argument, a descriptor, stands for; empty if it is none."""
        found = _DESCRIPTOR.match(self.arguments)
        return found["what"] if found else ""


def strace(output: Path) -> tuple[str, ...]:
    """Return the words before a command that trace it, its threads and its children.

    -D: the command stays the child of whoever starts it, and strace is nobody's.
    """
    return ("strace", "-D", "-f", "-y", "-s", "48", "-o", str(output), "--")


def read(output: Path) -> list[Call]:
    """Return all calls in the order in which they began."""
    found = (_CALL.match(line) for line in output.read_text(errors="replace").splitlines())
    return [Call(int(call["pid"]), call["name"], call["arguments"]) for call in found if call]


def ended(output: Path, pid: int, within_s: float = 10) -> None:
    """Wait until the trace says that the process has ended: then it is complete."""
    until = time.monotonic() + within_s
    end = re.compile(rf"^{pid} +\+\+\+ ", re.MULTILINE)
    while not end.search(output.read_text(errors="replace")):
        assert time.monotonic() < until, f"{output} does not end"
        time.sleep(0.02)


def while_frozen(calls: Iterable[Call]) -> list[Call]:
    """Return what began after a FIFREEZE did and before the FITHAW of the last mount did.

    Of every freeze in the trace: a pre-flight may have rehearsed it. None of them may have failed.
    """
    found: list[Call] = []
    held = 0
    for call in calls:
        if "FITHAW" in call.arguments:
            held -= 1
        elif "FIFREEZE" in call.arguments:
            held += 1
        elif held:
            found.append(call)
    return found


def offences(calls: Iterable[Call], kept_open: Iterable[str] = ()) -> list[Call]:
    """Return the calls that are neither waiting, nor talking, nor about own memory.

    `kept_open`: files that may be written by descriptors opened beforehand, and locked.
    """
    return [call for call in calls if not _is_permitted(call, set(kept_open))]


def _is_permitted(call: Call, kept_open: set[str]) -> bool:
    if call.name in _WAITING | _ASKING_NOTHING:
        return True
    if call.name == "mmap":
        return "MAP_ANONYMOUS" in call.arguments
    if call.name in _TALKING:
        return call.descriptor.startswith(_TALKED_TO)
    if call.name in ("pwrite64", "flock"):
        return call.descriptor in kept_open
    return False
