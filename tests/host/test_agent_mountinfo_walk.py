"""The table of mounts read as the kernel walks it, in a mount namespace of the test's own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

SOURCES = Path(__file__).parents[2] / "agent" / "src"

# Mounts made in this order, each named by its source; then where each path is by an open descriptor
# and by the table, also after a chroot into a folder that is no mount point.
_WALK = """
import json, os, subprocess, sys
sys.path.insert(0, sys.argv[1])
from holdstill_agent.errors import CheckFailedError
from holdstill_agent.mountinfo import Mounts

def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)

def walk(base):
    mounts, seen = Mounts.now(), {}
    for path in ("", "/a", "/a/b", "/a/b/c", "/d", "/d/b", "/e", "/e/b"):
        descriptor = os.open(base + path or "/", os.O_PATH)
        lines = open(f"/proc/self/fdinfo/{descriptor}").read().splitlines()
        os.close(descriptor)
        (number,) = (int(line.split()[1]) for line in lines if line.startswith("mnt_id:"))
        try:
            held = mounts.holding(base + path or "/")
        except CheckFailedError:
            seen[path] = ["none", True]
        else:
            seen[path] = [held.source, held.number == number]
    return seen

base = sys.argv[2]
os.chdir(base)
os.makedirs("a/b/c"); os.makedirs("d/b"); os.makedirs("e/b"); os.makedirs("proc")
mount("-t", "tmpfs", "hidden", "a/b")
mount("-t", "tmpfs", "above", "a")
os.makedirs("a/b/c")
mount("-t", "tmpfs", "lower", "d"); os.makedirs("d/b")
mount("-t", "tmpfs", "upper", "d"); os.makedirs("d/b")
mount("-t", "tmpfs", "upon", "d/b")
mount("--rbind", "d", "e")
mount("-t", "proc", "proc", "proc")
outside = walk(base)
os.chroot(base); os.chdir("/")
print(json.dumps([outside, walk("")]))
"""


def test_table_is_walked_as_the_kernel_does(tmp_path: Path) -> None:
    """Hidden from above, stacked, bound elsewhere or in a chroot: the mount that is met counts."""
    argv = ["unshare", "--mount", sys.executable, "-c", _WALK, str(SOURCES), str(tmp_path)]
    walked = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30)
    outside, within = json.loads(walked.stdout)
    for seen in (outside, within):
        assert all(agrees for _, agrees in seen.values()), seen
        assert {path: source for path, (source, _) in seen.items() if path} == {
            "/a": "above",
            "/a/b": "above",
            "/a/b/c": "above",
            "/d": "upper",
            "/d/b": "upon",
            "/e": "upper",
            "/e/b": "upon",
        }
    assert within[""] == ["none", True]


# An automounter of one point, which stands for systemd; it mounts when the kernel says that
# somebody of another process group looks into it (autofs, protocol 5).
_AUTOMOUNT = """
import fcntl, json, os, subprocess, sys
sys.path.insert(0, sys.argv[1])
from holdstill_agent.mountinfo import Mounts
from holdstill_freezer.mounts import _open

point = sys.argv[2]
TOKEN_AT, READY = 8, 0x9360  # linux/auto_fs.h: autofs_v5_packet, AUTOFS_IOC_READY

def describe():
    mounts = Mounts.now()
    kinds = [one.kind for one in mounts.at(point)]
    return [mounts.awaits_automount(point), kinds, mounts.holding(point).kind]

os.setpgrp()
reader, writer = os.pipe()
options = f"fd={writer},pgrp={os.getpgrp()},minproto=5,maxproto=5,direct"
argv = ["mount", "-t", "autofs", "-o", options, "auto", point]
subprocess.run(argv, check=True, pass_fds=[writer])
control = os.open(point, os.O_RDONLY)
told, child_writes = os.pipe()
if os.fork() == 0:
    os.setpgrp()
    os.close(reader)  # or the end of an automounter that failed would go unseen
    before = describe()
    opened = _open(point)
    os.write(child_writes, json.dumps([before, opened.kind, describe()]).encode())
    os._exit(0)
packet = os.read(reader, 4096)
subprocess.run(["mount", "-t", "tmpfs", "real", point], check=True)
fcntl.ioctl(control, READY, int.from_bytes(packet[TOKEN_AT : TOKEN_AT + 4], sys.byteorder))
print(os.read(told, 4096).decode())
os.wait()
"""


def test_looking_at_an_automount_point_does_not_mount_it(tmp_path: Path) -> None:
    """The agent only says that it waits; the freezer's opening mounts it, and finds the mount."""
    if "autofs" not in Path("/proc/filesystems").read_text():
        pytest.skip("a kernel without autofs")
    argv = ["unshare", "--mount", sys.executable, "-c", _AUTOMOUNT, str(SOURCES), str(tmp_path)]
    walked = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30)
    assert json.loads(walked.stdout) == [
        [True, [], "autofs"],
        "tmpfs",
        [False, ["tmpfs"], "tmpfs"],
    ]
