"""What the freezer says of its thaw is so, also where the kernel refuses it."""

import errno
import os
import socket
from pathlib import Path

import pytest

from holdstill_freezer import kernel
from holdstill_freezer.guard import Guard, Shared
from holdstill_freezer.marker import Marker
from holdstill_freezer.mounts import Mount
from holdstill_freezer.session import Session


@pytest.mark.parametrize("stuck", [True, False])
def test_thaw_that_fails_is_not_told_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, stuck: bool
) -> None:
    """While one mount is still frozen nobody hears `thawed`; guard and marker are told neither."""
    mounts = tuple(Mount(f"/mnt/{name}", "0:0", "xfs", index) for index, name in enumerate("ab"))
    asked: list[int] = []

    def thaw(descriptor: int) -> bool:
        asked.append(descriptor)
        if stuck and descriptor == 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return True

    monkeypatch.setattr(kernel, "thaw", thaw)
    monkeypatch.setattr(kernel, "freeze", lambda _descriptor: None)
    marker = Marker.acquire(str(tmp_path / "run"))
    heard, pipe = os.pipe()
    client, line = socket.socketpair()
    with client, line:
        shared = Shared(mounts, marker, kernel.RcuExpedited(wanted=False), budget_ms=10_000)
        session = Session(line, shared, Guard(0, pipe))
        session._obey("freeze run-1")
        session._obey("thaw")
        frozen, thawed, *_ = client.recv(1024).decode().split("\n")
        assert frozen.startswith("frozen ")
        assert thawed.startswith("failed thaw-failed /mnt/b: " if stuck else "thawed commanded 1 ")
    os.close(pipe)
    tidings = os.read(heard, 100)
    os.close(heard)
    assert asked == [1, 0], "one that fails keeps no other frozen"
    assert tidings.endswith(b"D") != stuck
    assert bool((tmp_path / "run" / "freeze").read_text()) == stuck


def test_guard_knows_of_the_freeze_before_the_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A freezer that hangs after `frozen` has a guard that can say when all is thawed."""
    monkeypatch.setattr(kernel, "freeze", lambda _descriptor: None)
    heard, pipe = os.pipe()
    tidings: list[bytes] = []

    class Attentive(Session):
        def _say(self, line: str) -> None:
            assert line.startswith("frozen ")
            tidings.append(os.read(heard, 100))

    with socket.socket() as line:
        mounts = (Mount("/mnt/a", "0:0", "xfs", 0),)
        marker = Marker.acquire(str(tmp_path / "run"))
        shared = Shared(mounts, marker, kernel.RcuExpedited(wanted=False), budget_ms=10_000)
        Attentive(line, shared, Guard(0, pipe))._obey("freeze run-1")
    os.close(pipe)
    os.close(heard)
    assert tidings == [b"ABF"]
