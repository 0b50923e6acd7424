"""Whose age is certain, whose statement is killed, and who ends the lock's session."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from holdstill_agent.blockers import Blocker, Sight, find_blockers
from holdstill_agent.database import Database
from holdstill_agent.errors import LockFailedError, NoAnswerError
from holdstill_agent.lookout import Lookout
from holdstill_agent.steadiness import WALL_CLOCK, WallClock
from holdstill_protocol.messages import Lock

WATCHED = 40
HOUR_MS = 3_600_000


class FakeDatabase(Database):
    """A session that answers what it was given, in turn, and remembers whom it killed."""

    def __init__(
        self,
        session_id: int,
        *answers: Sequence[tuple[Any, ...]] | LockFailedError,
        is_mariadb: bool = False,
    ) -> None:
        self._session_id = session_id
        self._answers = list(answers)
        self._is_usable = True
        self.is_mariadb = is_mariadb
        self.asked: list[str] = []
        self.kills: list[str] = []

    @property
    def is_open(self) -> bool:
        """Return whether no error has closed it."""
        return self._is_usable

    def execute(self, statement: str) -> Sequence[tuple[Any, ...]]:
        """Answer, or fail and be closed."""
        assert self._is_usable, f"{statement} on a closed session"
        self.asked.append(statement)
        answer = self._answers.pop(0)
        if isinstance(answer, LockFailedError):
            self._is_usable = False
            raise answer
        return answer

    def kill(self, statement: str) -> bool:
        """Kill."""
        if not self._is_usable:
            raise LockFailedError(f"{statement} on a closed session")
        self.kills.append(statement)
        return True

    def answer_by(self, until_ms: int) -> None:
        """Answer at once."""
        assert until_ms


def _row(age_ms: int, query_id: int | None) -> tuple[Any, ...]:
    return (7, "app", "Query", "executing", b"UPDATE t".hex(), age_ms, query_id)


def _seen(database: FakeDatabase, seen: Sight = Sight.LOCKS) -> Blocker:
    (blocker,) = find_blockers(database, Lock.FTWRL, seen)
    return blocker


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return what lets the wall clock have been steady for so long."""

    def be(steady_ms: int) -> None:
        monkeypatch.setattr(WALL_CLOCK, "steady_ms", lambda: steady_ms)

    return be


@pytest.mark.parametrize("seen", Sight)
def test_age_by_the_wall_clocks_seconds_is_never_certain(
    steady: Callable[[int], None], seen: Sight
) -> None:
    """MySQL without the statement's event has its start by a clock that anybody may set."""
    steady(HOUR_MS)
    blocker = _seen(FakeDatabase(1, [_row(HOUR_MS, None)]), seen)
    assert blocker.age_ms == HOUR_MS
    assert not blocker.may_be_killed(1)
    assert blocker.is_in_doubt(60)
    assert "performance_schema" in blocker.doubt


def test_age_is_certain_for_as_long_as_the_clock_was_steady(
    steady: Callable[[int], None],
) -> None:
    """MySQL's events go by the wall clock too: an hour that it was set by is no hour's query."""
    steady(30_000)
    blocker = _seen(FakeDatabase(1, [_row(HOUR_MS, 5)]))
    assert blocker.may_be_killed(30)
    assert not blocker.may_be_killed(31)
    assert blocker.is_in_doubt(31)
    assert "clock was set" in blocker.doubt
    young = _seen(FakeDatabase(1, [_row(29_999, 5)]))
    assert not young.may_be_killed(30)
    assert not young.is_in_doubt(30)


def test_clock_that_is_set_while_ages_are_read_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is looked at after them, not before."""
    steady = [HOUR_MS]
    monkeypatch.setattr(WALL_CLOCK, "steady_ms", lambda: steady[0])

    class ClockIsSet(FakeDatabase):
        def execute(self, statement: str) -> Sequence[tuple[Any, ...]]:
            steady[0] = 0
            return super().execute(statement)

    assert not _seen(ClockIsSet(1, [_row(HOUR_MS, 5)])).may_be_killed(1)


def test_age_on_mariadb_is_certain(steady: Callable[[int], None]) -> None:
    """Its server counts by the monotonic clock."""
    steady(0)
    assert _seen(FakeDatabase(1, [_row(HOUR_MS, 5)], is_mariadb=True)).may_be_killed(3600)


def test_clock_that_was_set_is_steady_from_then_on() -> None:
    """By however little more than two readings differ; forwards and backwards."""
    wall, monotonic = [1_000_000], [5000]
    clock = WallClock(lambda: wall[0], lambda: monotonic[0])
    for step_ms, steady_ms in ((0, 1000), (20, 2000), (100, 0), (0, 1000), (-HOUR_MS, 0)):
        monotonic[0] += 1000
        wall[0] += 1000 + step_ms
        assert clock.steady_ms() == steady_ms


@pytest.mark.parametrize("before", [True, False])
def test_busy_machine_sets_no_clock(*, before: bool) -> None:
    """Whatever passes between two readings is no clock that was set; one that was is seen soon."""
    now, busy, ahead = [5000], [0], [HOUR_MS]

    def wall_ms() -> int:
        read_at = now[0] + busy[0] * before
        now[0] += busy[0]
        return read_at + ahead[0]

    clock = WallClock(wall_ms, lambda: now[0])
    busy[0] = 400
    assert clock.steady_ms() == 400
    busy[0] = 0
    assert clock.steady_ms() == 400
    ahead[0] += 100
    assert clock.steady_ms() == 0


def test_statement_that_has_ended_is_not_killed() -> None:
    """MySQL's KILL QUERY would end what the session runs by now."""
    blocker = Blocker(7, "app", "Query", "", 9000, "UPDATE t", 5, 9000)
    for answer, kills in (([], []), ([(5,)], ["KILL QUERY 7"])):
        looks, ender = FakeDatabase(1, answer), FakeDatabase(2)
        lookout = Lookout(looks, ender, FakeDatabase(WATCHED), Lock.FTWRL)
        lookout.kill(blocker)
        assert ender.kills == kills
        assert len(lookout.killed) == len(kills)
        (asked,) = looks.asked
        assert "PROCESSLIST_ID = 7 AND e.EVENT_ID = 5" in asked


def test_mariadb_kills_that_very_statement() -> None:
    """By its own id, of which there is one."""
    looks, ender = FakeDatabase(1, is_mariadb=True), FakeDatabase(2, is_mariadb=True)
    lookout = Lookout(looks, ender, FakeDatabase(WATCHED), Lock.FTWRL)
    lookout.kill(Blocker(7, "app", "Query", "", 9000, "UPDATE t", 5, 9000))
    assert ender.kills == ["KILL QUERY ID 5"]


def test_look_that_takes_too_long_leaves_who_ends_the_lock() -> None:
    """The session that looked is gone; the other was kept for this."""
    looks, ender = FakeDatabase(1, NoAnswerError("no answer in time")), FakeDatabase(2)
    lookout = Lookout(looks, ender, FakeDatabase(WATCHED), Lock.FTWRL)
    lookout.sight = Sight.LOCKS
    with pytest.raises(NoAnswerError):
        lookout.look()
    lookout.end_watched()
    assert ender.kills == [f"KILL CONNECTION {WATCHED}"]


@pytest.mark.parametrize("gone", ["ender", "both"])
def test_lock_is_ended_by_whoever_is_left(gone: str) -> None:
    """And where nobody is, nothing is raised."""
    looks, ender = FakeDatabase(1), FakeDatabase(2)
    lookout = Lookout(looks, ender, FakeDatabase(WATCHED), Lock.FTWRL)
    for session in (looks, ender) if gone == "both" else (ender,):
        session._is_usable = False
    lookout.end_watched()
    assert looks.kills == ([] if gone == "both" else [f"KILL CONNECTION {WATCHED}"])


def test_nobody_of_the_agents_own_is_in_its_way() -> None:
    """Neither the lock's session nor the two beside it."""
    rows = [(number, *_row(9000, 5)[1:]) for number in (1, 2, WATCHED, 7)]
    lookout = Lookout(FakeDatabase(1, rows), FakeDatabase(2), FakeDatabase(WATCHED), Lock.FTWRL)
    lookout.sight = Sight.LOCKS
    assert [one.session_id for one in lookout.look()] == [7]
