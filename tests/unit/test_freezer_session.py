"""What the freezer says of its thaw is so, also where the kernel refuses it."""

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdstill_freezer import kernel
from holdstill_freezer.guard import Guard, Shared, _Watched
from holdstill_freezer.marker import Marker, _begun
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
    watched = _Watched(shared)
    for tiding in tidings:
        watched.hear(tiding)
    left = ["/mnt/b"] if stuck else []
    assert [mount.path for mount in watched.left] == left, "the other is not ours any more"
    assert [path for _, _, path in _begun((tmp_path / "run" / "freeze").read_bytes())] == left


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


class Rig:
    """A session of two mounts whose guard is a pipe; `frozen` is what its kernel holds."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.frozen: set[int] = set()
        self.stuck = False
        monkeypatch.setattr(kernel, "freeze", self.frozen.add)
        monkeypatch.setattr(kernel, "thaw", self._thaw)
        self.mounts = tuple(
            Mount(f"/mnt/{name}", f"7:{index}", "xfs", index) for index, name in enumerate("ab")
        )
        self.marker = Marker.acquire(str(folder / "run"))
        self.marker_file = folder / "run" / "freeze"
        self.heard, pipe = os.pipe()
        self.guard = Guard(0, pipe)
        self.client, self.line = socket.socketpair()
        self.shared = Shared(self.mounts, self.marker, kernel.RcuExpedited(wanted=False), 10_000)
        self.session = Session(self.line, self.shared, self.guard)

    def _thaw(self, descriptor: int) -> bool:
        if self.stuck:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        was_frozen = descriptor in self.frozen
        self.frozen.discard(descriptor)
        return was_frozen

    def freeze(self) -> tuple[str, _Watched]:
        """Ask for it; return the answer, and what the guard knows then."""
        self.session._obey("freeze run-1")
        watched = _Watched(self.shared)
        for tiding in os.read(self.heard, 100):
            watched.hear(tiding)
        return self.client.recv(1024).decode(), watched


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """Return a session that has frozen nothing."""
    rig = Rig(tmp_path, monkeypatch)
    yield rig
    rig.client.close()
    rig.line.close()
    os.close(rig.heard)
    os.close(rig.guard._pipe)


def test_greeting_names_the_filesystems(rig: Rig) -> None:
    """Whoever has read another agent.toml sees it before anything is held."""
    rig.client.shutdown(socket.SHUT_WR)
    assert rig.session.serve() == "disconnected"
    assert rig.client.recv(1024) == b"ready 10000 7:0 7:1\n"


def _fails(*_: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("where", ["marker", "guard", "kernel"])
def test_guard_forgets_only_what_was_refused(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Whatever fails at the second mount, the first is the guard's to thaw, and the marker's."""
    monkeypatch.setattr(rig.session, "_thaw_all", lambda: (False, "failed thaw-failed as if"))
    places = {"marker": (Marker, "begin"), "guard": (Guard, "begin"), "kernel": (kernel, "freeze")}
    place, name = places[where]
    right = getattr(place, name)
    said: list[object] = []

    def second_fails(*arguments: object) -> None:
        said.append(arguments)
        if len(said) == 2:
            _fails()
        right(*arguments)

    monkeypatch.setattr(place, name, second_fails)
    answer, watched = rig.freeze()
    assert answer.startswith("failed ")
    assert rig.frozen == {0}
    assert watched.left == rig.mounts[:1]
    assert [path for _, _, path in _begun(rig.marker_file.read_bytes())] == ["/mnt/a"]


def test_marker_that_cannot_be_written_leaves_nothing_frozen(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the marker's ends in an answer, never in a freezer that dies with a freeze."""
    begin = rig.marker.begin
    monkeypatch.setattr(Marker, "begin", lambda _, index: _fails() if index else begin(index))
    monkeypatch.setattr(Marker, "refused", _fails)
    answer, watched = rig.freeze()
    assert answer.startswith("failed freeze-failed ")
    assert not rig.frozen
    assert not watched.armed
    assert rig.marker_file.read_bytes() == b""


def test_failed_freeze_that_cannot_be_thawed_is_told_as_one(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client must not take it for thawed; the guard goes on, and knows that no more comes."""
    rig.stuck = True
    begin = rig.marker.begin
    monkeypatch.setattr(Marker, "begin", lambda _, index: _fails() if index else begin(index))
    answer, watched = rig.freeze()
    assert answer.startswith("failed thaw-failed /mnt/a: ")
    assert watched.left == rig.mounts[:1]
    assert watched.armed
    assert not watched.may_freeze_more
    assert rig.marker_file.read_bytes() != b""
