"""Have the kernel's out-of-memory killer end one process: `python oom.py GROUP PID`.

It joins the memory control group GROUP, which has a limit, and fills it. PID is made the first
choice: its score counts as much as all of the limit. Once it is gone, this lets go, and prints
when that was: the monotonic clock in nanoseconds.
"""

import mmap
import os
import select
import sys
import time
from pathlib import Path

_STEP_BYTES = 1 << 20
_AT_MOST = 4096


def main() -> int:
    """Return 0 once the process is gone, 1 if memory did not end."""
    group, victim = Path(sys.argv[1]), int(sys.argv[2])
    gone = select.poll()
    gone.register(os.pidfd_open(victim), select.POLLIN)
    Path(f"/proc/{victim}/oom_score_adj").write_text("1000")
    (group / "cgroup.procs").write_text(str(os.getpid()))
    taken = []
    for _ in range(_AT_MOST):
        memory = mmap.mmap(-1, _STEP_BYTES)
        for page in range(0, _STEP_BYTES, mmap.PAGESIZE):
            memory[page] = 1
        taken.append(memory)
        if gone.poll(0):
            sys.stdout.write(f"{time.monotonic_ns()}\n")
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
