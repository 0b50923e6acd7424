"""What the guard says in the place of a freezer that hangs or is dead: that nothing is frozen."""

import errno
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from holdstill_freezer import guard as guard_module
from holdstill_freezer import kernel
from holdstill_freezer.guard import Shared
from holdstill_freezer.marker import Marker
from holdstill_freezer.mounts import Mount

ARMED, BEGUN, FROZEN = b"A", b"B", b"F"


class Rig:
    """A guard in a thread, told by a pipe; `refuses` is how often the kernel thaws nothing."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refuses = 0
        self.hangs = threading.Event()
        self.hangs.set()
        self.asked: list[int] = []
        monkeypatch.setattr(kernel, "thaw", self._thaw)
        monkeypatch.setattr(guard_module, "GRACE_MS", 50)
        monkeypatch.setattr(guard_module, "_RETRY_S", 0.05)
        mounts = tuple(
            Mount(f"/mnt/{name}", "0:0", "xfs", index) for index, name in enumerate("ab")
        )
        marker = Marker.acquire(str(folder / "run"))
        marker.write("run-1", mounts, rcu=False)
        self.shared = Shared(mounts, marker, kernel.RcuExpedited(wanted=False), budget_ms=0)
        self.client, self._line = socket.socketpair()
        self.client.settimeout(5)
        self._reader, self._pipe = os.pipe()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        died = guard_module._start_ending(self._line, os.dup(self._reader))
        guard_module._watch(self._reader, self._line, self.shared, died)

    def _thaw(self, descriptor: int) -> bool:
        self.asked.append(descriptor)
        self.hangs.wait(5)
        if self.refuses:
            self.refuses -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return True

    def tell(self, tidings: bytes) -> None:
        """Be the freezer."""
        os.write(self._pipe, tidings)

    def die(self) -> None:
        """Be a freezer that is dead."""
        os.close(self._pipe)

    def hear(self) -> str:
        """Return what the client reads next, empty at the line's end."""
        return self.client.recv(1024).decode()


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Return a guard to which nothing was said."""
    return Rig(tmp_path, monkeypatch)


def _eventually(condition: Callable[[], object]) -> bool:
    until = time.monotonic() + 5
    while not condition() and time.monotonic() < until:
        time.sleep(0.005)
    return bool(condition())


def test_hanging_freezer_is_spoken_for(rig: Rig) -> None:
    """All that was frozen is thawed at the deadline, last first; the client hears it then."""
    rig.tell(ARMED + BEGUN + BEGUN + FROZEN)
    assert rig.hear().startswith("thawed deadline 0 ")
    assert rig.asked == [1, 0]
    rig.die()
    rig.thread.join(5)


def test_freezer_that_hangs_while_it_freezes_is_not_spoken_for(rig: Rig) -> None:
    """When it wakes it may freeze the next mount: what is thawed so far proves nothing."""
    rig.tell(ARMED + BEGUN)
    assert _eventually(lambda: rig.asked == [0])
    rig.die()
    assert rig.hear().startswith("thawed lost 0 ")
    assert rig.hear() == ""
    rig.thread.join(5)


def test_thaw_that_fails_delays_no_unlock(rig: Rig, tmp_path: Path) -> None:
    """The line ends after the first try, without a word; the guard goes on until all is thawed."""
    rig.tell(ARMED + BEGUN + FROZEN)
    rig.refuses = 1_000_000
    rig.die()
    assert rig.hear() == ""
    rig.refuses = 0
    rig.thread.join(5)
    assert not rig.thread.is_alive()
    assert (tmp_path / "run" / "freeze").read_text() == ""


def test_thaw_that_hangs_delays_no_unlock(rig: Rig, tmp_path: Path) -> None:
    """The line ends while the FITHAW waits for its device; nothing is called thawed before."""
    rig.hangs.clear()
    rig.tell(ARMED + BEGUN + FROZEN)
    rig.die()
    assert rig.hear() == ""
    assert rig.thread.is_alive()
    assert (tmp_path / "run" / "freeze").read_text() != ""
    rig.hangs.set()
    rig.thread.join(5)
    assert (tmp_path / "run" / "freeze").read_text() == ""


def test_what_the_freezer_thawed_is_never_touched_again(rig: Rig) -> None:
    """A freeze that somebody else began there since is not ours; it is no reason to be silent."""
    rig.tell(ARMED + BEGUN + BEGUN + FROZEN + bytes([128 + 1]))
    assert rig.hear().startswith("thawed deadline 0 ")
    assert rig.asked == [0]
    rig.die()
    rig.thread.join(5)


def test_freezer_that_hangs_after_its_last_thaw_is_spoken_for_once(rig: Rig) -> None:
    """Its client hears that nothing is frozen, though the guard has nothing to thaw."""
    rig.tell(ARMED + BEGUN + FROZEN + bytes([128]))
    assert rig.hear().startswith("thawed deadline 0 ")
    rig.client.settimeout(0.15)  # three more of the guard's looks
    with pytest.raises(TimeoutError):
        rig.hear()
    assert rig.asked == []
    rig.die()
    rig.thread.join(5)


def test_freezer_that_froze_nothing_is_not_spoken_for(rig: Rig) -> None:
    """As most do: the line ends, and no marker is touched that is not its freeze's."""
    rig.die()
    assert rig.hear() == ""
    rig.thread.join(5)
    assert rig.asked == []
