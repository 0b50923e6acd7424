"""Have the kernel's out-of-memory killer end one process: `python oom.py GROUP PID`.

A child joins the memory control group GROUP, which has a limit, and fills it. PID is made the first
choice: its score counts as much as all of the limit. The child may be the second, while the first
is still dying. When PID was gone is printed: the monotonic clock in nanoseconds.
"""

import mmap
import os
import select
import signal
import sys
import time
from pathlib import Path

_STEP_BYTES = 1 << 20
_WITHIN_MS = 20_000


def main() -> int:
    """Return 0 once the process is gone, 1 if memory did not end."""
    group, victim = Path(sys.argv[1]), int(sys.argv[2])
    gone = select.poll()
    gone.register(os.pidfd_open(victim), select.POLLIN)
    Path(f"/proc/{victim}/oom_score_adj").write_text("1000")
    child = os.fork()
    if child == 0:
        fill(group)
    ended = gone.poll(_WITHIN_MS)
    sys.stdout.write(f"{time.monotonic_ns()}\n")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 0 if ended else 1


def fill(group: Path) -> None:
    """Join the group, and take memory until the end."""
    (group / "cgroup.procs").write_text(str(os.getpid()))
    taken = []
    while True:
        memory = mmap.mmap(-1, _STEP_BYTES)
        for page in range(0, _STEP_BYTES, mmap.PAGESIZE):
            memory[page] = 1
        taken.append(memory)


if __name__ == "__main__":
    sys.exit(main())
