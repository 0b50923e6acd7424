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
