"""How long the guard waits for whom, and whom it may kill."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from holdstill_agent import quiet_moment
from holdstill_agent.blockers import Blocker, described, spared
from holdstill_agent.errors import CheckFailedError, LockTimeoutError
from holdstill_agent.lookout import Lookout
from holdstill_agent.quiet_moment import await_quiet, require_quiet
from tests.unit.hold.fake_host import FakeDatabase
from tests.unit.hold.fake_host import World as Host

QUERY = Blocker(7, "app", "Query", "Sending data", 5000, "SELECT ?", query_id=70, certain_ms=5000)


class World:
    """Time, which passes in pauses alone, and who is in the way until when."""

    def __init__(self, *blockers: tuple[Blocker, int]) -> None:
        self.now_ms = 0
        self.blockers = list(blockers)
        self.wanted = True

    def pause(self, pause_s: float) -> bool:
        """Let time pass."""
        self.now_ms += round(pause_s * 1000)
        return self.wanted


class FakeLookout(Lookout):
    """Sees the world's blockers, each aged as the time goes; a killed one is gone."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.killed = []
        self.kills = 0

    def look(self, within_ms: int = 1000) -> tuple[Blocker, ...]:
        """Look."""
        assert within_ms
        now_ms = self._world.now_ms
        return tuple(
            replace(one, age_ms=one.age_ms + now_ms, certain_ms=one.certain_ms + now_ms)
            for one, until_ms in self._world.blockers
            if now_ms < until_ms
        )

    def kill(self, blocker: Blocker) -> None:
        """End its statement, a second later: it has to be rolled back."""
        self.kills += 1
        self.killed.append(blocker)
        until_ms = self._world.now_ms + 1000
        self._world.blockers = [(one, until_ms) for one, _ in self._world.blockers]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a world whose time the guard goes by."""
    world = World()
    monkeypatch.setattr(quiet_moment, "monotonic_ms", lambda: world.now_ms)
    return world


def _wait(world: World, kill_older_than_s: int | None = None, patience_ms: int = 30_000) -> str:
    return await_quiet(FakeLookout(world), kill_older_than_s, patience_ms, world.pause)


def test_guard_waits_for_a_quiet_moment(clock: World) -> None:
    """A query that ends within the patience costs its time, and no run."""
    clock.blockers = [(QUERY, 3000)]
    assert _wait(clock) == "nobody in the way after 3.0 s"


def test_patience_ends(clock: World) -> None:
    """Then the run is refused, and who was in the way is told."""
    clock.blockers = [(QUERY, 60_000)]
    with pytest.raises(LockTimeoutError, match=r"session 7 \(app\): 35 s, Sending data, SELECT \?"):
        _wait(clock)
    assert clock.now_ms == 30_000


def test_unwanted_run_waits_no_longer(clock: World) -> None:
    """A thaw or a shutdown ends the waiting."""
    clock.blockers, clock.wanted = [(QUERY, 60_000)], False
    with pytest.raises(CheckFailedError, match="no longer wanted"):
        _wait(clock)
    assert clock.now_ms < 1000


@pytest.mark.parametrize(
    ("age_ms", "waited_ms"),
    [(0, 0), (99, 0), (150, 15_000)],  # the last grows older than a second before that
)
def test_young_statement_is_expected_to_end(clock: World, age_ms: int, waited_ms: int) -> None:
    """A statement of a moment ago is let be; one of 0.1 s only in the patience's second half."""

    class AlwaysAnother(FakeLookout):
        def look(self, within_ms: int = 1000) -> tuple[Blocker, ...]:
            assert within_ms
            return (replace(QUERY, age_ms=age_ms),)

    await_quiet(AlwaysAnother(clock), None, 30_000, clock.pause)
    assert waited_ms <= clock.now_ms <= waited_ms + 200


def test_last_look_lets_a_young_statement_be(clock: World) -> None:
    """Just before the lock only what lasts is in the way: an old statement, or an idle holder."""
    for one, passes in (
        (replace(QUERY, age_ms=900), True),
        (replace(QUERY, age_ms=1100), False),
        (replace(QUERY, command="Sleep", age_ms=0, statement=""), False),
        (replace(QUERY, command="Slave_SQL", user="system user", age_ms=10), True),
    ):
        clock.blockers = [(one, 1000)]
        if passes:
            require_quiet(FakeLookout(clock))
        else:
            with pytest.raises(LockTimeoutError, match="nothing was locked"):
                require_quiet(FakeLookout(clock))


def test_old_query_is_killed_once(clock: World) -> None:
    """It is waited for until it is rolled back, and told."""
    clock.blockers = [(QUERY, 60_000)]
    lookout = FakeLookout(clock)
    told = await_quiet(lookout, 10, 30_000, clock.pause)
    assert lookout.kills == 1
    assert 5000 <= lookout.killed[0].age_ms - 5000 <= 5200
    assert "killed session 7 (app): 10 s" in told


@pytest.mark.parametrize(
    "spared",
    [
        {"user": "system user", "command": "Query"},
        {"user": "event_scheduler", "command": "Query"},
        {"user": "", "command": "Query"},
        {"command": "Binlog Dump"},
        {"command": "Binlog Dump GTID"},
        {"command": "Slave_SQL"},
        {"command": "Slave_IO"},
        {"command": "Slave_worker"},
        {"command": "Daemon"},
        {"command": "Connect"},
        {"command": "Sleep"},
        {"age_ms": 9_999},
    ],
)
def test_only_old_queries_of_clients_may_be_killed(spared: dict[str, object]) -> None:
    """Replication, the server's own threads, idle sessions and young queries never."""
    old = replace(QUERY, age_ms=10_000, certain_ms=10_000)
    assert old.may_be_killed(10)
    assert not replace(old, **spared).may_be_killed(10)  # type: ignore[arg-type]


def test_query_of_uncertain_age_is_not_killed(clock: World) -> None:
    """It only looks old: it is waited for, and the refusal says why it was let be."""
    doubtful = replace(QUERY, age_ms=3_600_000, certain_ms=-60_000, doubt="the clock was set")
    clock.blockers = [(doubtful, 60_000)]
    lookout = FakeLookout(clock)
    with pytest.raises(
        LockTimeoutError,
        match=r"; not killed \(session 7\), for its age is not certain: the clock was set",
    ):
        await_quiet(lookout, 10, 1000, clock.pause)
    assert lookout.kills == 0
    assert spared([replace(doubtful, age_ms=9_999)], 10) == ""
    assert spared([doubtful], None) == ""
    assert spared([replace(doubtful, command="Sleep")], 10) == ""


def test_nobody_is_killed_unless_configured(clock: World) -> None:
    """The default is to wait and to refuse."""
    clock.blockers = [(QUERY, 60_000)]
    lookout = FakeLookout(clock)
    with pytest.raises(LockTimeoutError):
        await_quiet(lookout, None, 1000, clock.pause)
    assert lookout.kills == 0


def test_what_is_told_is_bounded() -> None:
    """The oldest three, whatever their names are, and how many more."""
    many: Sequence[Blocker] = [
        Blocker(n, "u" * 80, "Query", "s" * 80, n * 1000, "t" * 80) for n in range(100)
    ]
    told = described(many)
    assert told.startswith("session 99 ")
    assert told.endswith("; and 97 more")
    assert len(told) < 1000


def test_statement_that_has_just_ended_does_not_sleep_with_a_lock() -> None:
    """Locks and sessions are read one after the other: who holds and sleeps is seen twice."""
    asleep = replace(QUERY, session_id=8, command="Sleep", statement="")

    class TwoLooks(Lookout):
        def __init__(self, *looks: tuple[Blocker, ...]) -> None:
            self._looks = list(looks)
            self._database = FakeDatabase(Host())

        def _look(self) -> tuple[Blocker, ...]:
            return self._looks.pop(0)

    assert TwoLooks((QUERY, asleep), ()).look() == (QUERY,)
    assert TwoLooks((QUERY, asleep), (replace(asleep, command="Query"),)).look() == (QUERY,)
    assert TwoLooks((QUERY, asleep), (asleep,)).look() == (QUERY, asleep)
    assert TwoLooks((QUERY,)).look() == (QUERY,)
