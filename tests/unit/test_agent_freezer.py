"""The agent's end of the freezer's line: no wait is longer than its caller says."""

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from holdstill_agent import freezer as freezer_module
from holdstill_agent.clock import monotonic_ms
from holdstill_agent.config import load
from holdstill_agent.errors import (
    AlreadyFrozenError,
    CheckFailedError,
    FreezeFailedError,
    FreezerUnavailableError,
)
from holdstill_agent.freezer import Freezer, ThawReport

EXAMPLE = Path(__file__).parents[2] / "agent" / "agent.example.toml"


@pytest.fixture
def line() -> Iterator[tuple[Freezer, socket.socket]]:
    """Return a client and the other end of its line."""
    ours, theirs = socket.socketpair()
    freezer = Freezer(ours, None)
    yield freezer, theirs
    freezer.close()
    theirs.close()


def test_silent_freezer_costs_no_more_than_its_time(line: tuple[Freezer, socket.socket]) -> None:
    """A freezer that hangs in its ioctl is given up at the budget: the lock must go back."""
    freezer, _ = line
    began = time.monotonic()
    with pytest.raises(FreezeFailedError, match="within the budget"):
        freezer.freeze("run-1", monotonic_ms() + 100)
    assert 0.09 < time.monotonic() - began < 0.5


def test_dripping_freezer_costs_no_more_than_its_time(
    line: tuple[Freezer, socket.socket],
) -> None:
    """Bytes without a line's end do not prolong the wait."""
    freezer, theirs = line
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.02):
            theirs.send(b"x")

    thread = threading.Thread(target=drip)
    thread.start()
    began = time.monotonic()
    with pytest.raises(FreezeFailedError):
        freezer.freeze("run-1", monotonic_ms() + 100)
    stop.set()
    thread.join()
    assert time.monotonic() - began < 0.5


def test_sync_that_nobody_wants_is_given_up_soon(line: tuple[Freezer, socket.socket]) -> None:
    """A stopped agent does not wait for a slow disk until its conductor's patience ends."""
    freezer, _ = line
    began = time.monotonic()
    with pytest.raises(CheckFailedError, match="no longer wanted"):
        freezer.sync(monotonic_ms() + 60_000, lambda: False)
    assert time.monotonic() - began < 3


def test_slow_sync_is_waited_for(line: tuple[Freezer, socket.socket]) -> None:
    """An answer that takes longer than a look round is still the answer; then time is up."""
    freezer, theirs = line
    answer = threading.Timer(1.2, theirs.sendall, [b"synced 1200000\n"])
    answer.start()
    assert freezer.sync(monotonic_ms() + 10_000) == 1200
    with pytest.raises(CheckFailedError, match="too long"):
        freezer.sync(monotonic_ms() + 50)


def test_freezer_that_accepts_nobody_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket whose listener hangs fails the pre-flight, and does not hang it."""
    monkeypatch.setattr(freezer_module, "_READY_WITHIN_MS", 200)
    path = tmp_path / "freezer.sock"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(path))
        listener.listen(0)
        first.connect(str(path))
        with pytest.raises(FreezerUnavailableError, match=r"freezer\.sock"):
            Freezer.start(replace(load(EXAMPLE), freezer_socket=str(path)))


@pytest.mark.parametrize(
    ("said", "devices"), [("ready 1500", ()), ("ready 1500 259:3 0:45", ("259:3", "0:45"))]
)
def test_greeting_says_what_would_be_frozen(
    line: tuple[Freezer, socket.socket], said: str, devices: tuple[str, ...]
) -> None:
    """For how long at most, and which filesystems in which order; a stand-in has none."""
    freezer, theirs = line
    theirs.sendall(f"{said}\n".encode())
    assert freezer._greet() is None
    assert (freezer.budget_ms, freezer.devices) == (1500, devices)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"failed already-frozen /data was frozen by somebody else\n", AlreadyFrozenError),
        (b"failed freeze-failed /data: Input/output error\n", FreezeFailedError),
        (b"thawed deadline 1 10000\n", FreezeFailedError),
        (b"", FreezerUnavailableError),
    ],
)
def test_failure_has_its_name(
    line: tuple[Freezer, socket.socket], answer: bytes, error: type[Exception]
) -> None:
    """Each way not to freeze is an error of its own, for the conductor to tell apart."""
    freezer, theirs = line
    theirs.sendall(answer)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(error):
        freezer.freeze("run-1", monotonic_ms() + 1000)


def test_lost_line_is_no_thaw(line: tuple[Freezer, socket.socket]) -> None:
    """Nobody may take a freezer that is gone for one that thawed in order."""
    freezer, theirs = line
    theirs.close()
    assert freezer.thaw(monotonic_ms() + 1000) is None


def test_unasked_thaw_answers_the_command(line: tuple[Freezer, socket.socket]) -> None:
    """A deadline that came just before `thaw` is what the thaw reports."""
    freezer, theirs = line
    theirs.sendall(b"thawed deadline 1 10000\n")
    assert freezer.thaw(monotonic_ms() + 1000) == ThawReport("deadline", intact=True, held_ms=10000)


def _asked_to_freeze(
    freezer: Freezer, monkeypatch: pytest.MonkeyPatch, guard_within_ms: int = 5000
) -> None:
    monkeypatch.setattr(freezer_module, "_GUARD_WITHIN_MS", guard_within_ms)
    monkeypatch.setattr(freezer_module, "_SILENT_FOR_MS", 50)
    with pytest.raises(FreezeFailedError):
        freezer.freeze("run-1", monotonic_ms())


def test_closed_line_still_tells_of_the_thaw(
    line: tuple[Freezer, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The freezer sees the end at once, and whoever waits for it hears that all is thawed."""
    freezer, theirs = line
    _asked_to_freeze(freezer, monkeypatch)
    freezer.close()
    freezer.close()
    theirs.settimeout(1)
    assert theirs.recv(1024) == b"freeze run-1\n"
    assert theirs.recv(1024) == b""
    theirs.sendall(b"thawed disconnected 1 7\n")
    theirs.close()
    assert freezer.reap()
    assert freezer.fileno() == -1, "nothing of it stays open"
    assert freezer.reap(), "again is harmless"


@pytest.mark.parametrize(
    ("said", "is_thawed"),
    [
        (b"thawed lost 0 7\n", True),
        (b"failed freeze-failed /data: Input/output error\n", True),
        (b"frozen 1600\n", False),
        (b"failed thaw-failed /data: Input/output error\n", False),
        (b"failed bad-request not now, or not at all\n", False),
        (b"thawed commanded 1", False),
        (b"", False),
    ],
)
@pytest.mark.parametrize("ends", [True, False], ids=["ends", "hangs"])
def test_only_a_word_says_that_nothing_is_frozen(
    line: tuple[Freezer, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
    said: bytes,
    *,
    is_thawed: bool,
    ends: bool,
) -> None:
    """A line that ends without it was cut with its guard: a silence ends when the guard is due."""
    freezer, theirs = line
    _asked_to_freeze(freezer, monkeypatch, 5000 if ends or is_thawed else 200)
    theirs.sendall(said)
    if ends:
        theirs.close()
    freezer.close()
    pauses: list[float] = []
    began = time.monotonic()

    def pause(pause_s: float) -> bool:
        pauses.append(pause_s)
        return True

    assert freezer.reap(pause) == is_thawed
    assert time.monotonic() - began < 3
    assert pauses or ends, "commands are taken meanwhile"


def test_guard_is_waited_for(
    line: tuple[Freezer, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A freezer that hangs is not given up before its guard has had its time."""
    freezer, theirs = line
    _asked_to_freeze(freezer, monkeypatch)
    freezer.close()
    guard = threading.Timer(0.25, theirs.sendall, [b"thawed deadline 0 10250\n"])
    guard.start()
    assert freezer.reap()


def test_freezer_that_never_froze_is_not_waited_for(
    line: tuple[Freezer, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that hangs with nothing frozen costs nobody the budget."""
    freezer, _ = line
    freezer.budget_ms = 10_000
    monkeypatch.setattr(freezer_module, "_SILENT_FOR_MS", 50)
    began = time.monotonic()
    freezer.close()
    assert freezer.reap()
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("greeting", "recovered"),
    [
        ("refused recovered unfit-mount / is the root", True),
        ("refused busy another freezer lives", False),
        ("refused unfit-mount of an older release", False),
        ("refused anything", False),
        ("recovered", False),
    ],
)
def test_only_the_word_says_that_nothing_is_frozen(
    monkeypatch: pytest.MonkeyPatch, greeting: str, *, recovered: bool
) -> None:
    """A refusal by itself tells nothing of what a dead freezer left, whatever its code."""
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(freezer_module, "_spawn", lambda _: (ours, None))
    theirs.sendall(greeting.encode() + b"\n")
    with pytest.raises(FreezerUnavailableError) as caught, theirs:
        Freezer.start(replace(load(EXAMPLE), freezer_socket=None))
    assert caught.value.recovered == recovered
