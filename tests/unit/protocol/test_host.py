"""The host's machine, rule by rule."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from holdstill_protocol import host_model as model
from holdstill_protocol.host import READY_FOR_MS, step
from holdstill_protocol.messages import (
    Command,
    Freeze,
    Frozen,
    Lock,
    Prepare,
    Prepared,
    RefusalCode,
    Refused,
    Thaw,
    Thawed,
    ThawReason,
)

RUN = "recipes-db.20260101T000000Z.1"
OTHER = "recipes-db.20260102T000000Z.1"
EXPIRES_AT = datetime(2026, 1, 1, tzinfo=UTC)
IDLE = model.Host("recipes-db", 10_000, Lock.FTWRL, True, 2_000)
PREPARING = replace(IDLE, phase=model.Preparing(RUN))
READY = replace(IDLE, phase=model.Ready(RUN, 60_000))
QUIESCING = replace(IDLE, phase=model.Quiescing(RUN))
QUIESCED = replace(IDLE, phase=model.Quiesced(RUN, 11_000))
RELEASING = replace(IDLE, phase=model.Releasing(RUN, ThawReason.COMMANDED))
EVERYWHERE = [IDLE, PREPARING, READY, QUIESCING, QUIESCED, RELEASING]


def arrived(
    kind: type[Command],
    run: str = RUN,
    *,
    target: str = "recipes-db",
    now_ms: int = 1_000,
    expires_at_ms: int = 5_000,
    skew_ms: int = 0,
) -> model.Arrived:
    """Return the event of a command that was received."""
    return model.Arrived(kind(run, target, 1, EXPIRES_AT), now_ms, expires_at_ms, skew_ms)


def refusals(effects: object) -> list[RefusalCode]:
    """Return the codes of the refusals among the effects."""
    assert isinstance(effects, list)
    return [
        effect.reply.code
        for effect in effects
        if isinstance(effect, model.Send) and isinstance(effect.reply, Refused)
    ]


def test_a_whole_run() -> None:
    """Prepare, freeze, thaw: each command has its effect, and each result its reply."""
    host, effects = step(IDLE, arrived(Prepare))
    assert effects == [model.Preflight(RUN, 5_000)]
    host, effects = step(host, model.PreflightPassed(RUN, ("vol-0a",), (), 2_000))
    assert effects == [
        model.Send(Prepared(RUN, "recipes-db", ("vol-0a",), (), Lock.FTWRL, True, 10_000))
    ]
    host, effects = step(host, arrived(Freeze, now_ms=2_100))
    assert effects == [model.Quiesce(RUN, 5_000)]
    host, effects = step(host, model.QuiesceHeld(RUN, 2_200, 30, 2, None))
    assert effects == [model.Send(Frozen(RUN, "recipes-db", 30, 2, None))]
    host, effects = step(host, arrived(Thaw, now_ms=2_300))
    assert effects == [model.Release(RUN, ThawReason.COMMANDED)]
    host, effects = step(host, model.Released(RUN, True, 90, 120))
    assert effects == [model.Send(Thawed(RUN, "recipes-db", ThawReason.COMMANDED, True, 90, 120))]
    assert host == replace(IDLE, over=(RUN,))


def test_deadline_thaws_without_a_command() -> None:
    """A lost thaw costs one backup, never the database."""
    assert step(QUIESCED, model.Tick(10_999)) == (QUIESCED, [])
    _, effects = step(QUIESCED, model.Tick(11_000))
    assert effects == [model.Release(RUN, ThawReason.DEADLINE)]


def test_the_budget_runs_from_the_lock() -> None:
    """The lock stops writers before the freeze does, so the budget counts from it."""
    host, _ = step(QUIESCING, model.QuiesceHeld(RUN, 7_000, 0, 900, None))
    assert host.phase == model.Quiesced(RUN, 17_000)


def test_a_lost_freezer_releases_the_lock() -> None:
    """When the freezer has thawed by itself, the lock has nothing to protect."""
    _, effects = step(QUIESCED, model.HoldLost(RUN, ThawReason.LOST_FREEZER))
    assert effects == [model.Release(RUN, ThawReason.LOST_FREEZER)]


def test_only_a_prepared_run_freezes() -> None:
    """A freeze of a run that this process did not prepare, or of another run, holds nothing."""
    for host in (IDLE, PREPARING, replace(READY, phase=model.Ready(OTHER, 60_000)), QUIESCED):
        after, effects = step(host, arrived(Freeze, OTHER if host is QUIESCED else RUN))
        assert after == host
        assert refusals(effects) == [RefusalCode.NOT_PREPARED]


@pytest.mark.parametrize("kind", [Prepare, Freeze])
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"now_ms": 5_000}, RefusalCode.EXPIRED),
        ({"skew_ms": 3_600_000}, RefusalCode.CLOCK_SKEW),
        ({"skew_ms": -2_001}, RefusalCode.CLOCK_SKEW),
        ({"target": "orders-db"}, RefusalCode.FOREIGN_TARGET),
    ],
)
def test_unfit_commands_hold_nothing(
    kind: type[Command], fault: dict[str, int], code: RefusalCode
) -> None:
    """Too late, from a clock that cannot be compared, or meant for another: refused by name."""
    start = IDLE if kind is Prepare else READY
    _, effects = step(start, arrived(kind, **fault))  # type: ignore[arg-type]
    assert refusals(effects) == [code]
    assert not any(isinstance(effect, model.Preflight | model.Quiesce) for effect in effects)


def test_thaw_is_obeyed_however_late() -> None:
    """No clock keeps a frozen host from its thaw."""
    late = arrived(Thaw, now_ms=99_000, skew_ms=3_600_000)
    _, effects = step(QUIESCED, late)
    assert effects == [model.Release(RUN, ThawReason.COMMANDED)]


def test_a_thaw_that_comes_first_ends_the_run() -> None:
    """The conductor gave up; its freeze, still on the way, must find the run over."""
    host, effects = step(IDLE, arrived(Thaw))
    assert refusals(effects) == [RefusalCode.NOT_PREPARED]
    for kind in (Prepare, Freeze, Thaw):
        after, effects = step(host, arrived(kind))
        assert after == host
        assert effects == [model.Ignored("command-of-ended-run", RUN)]


def test_a_thaw_during_the_quiesce_wins() -> None:
    """Taken too late is given back at once: no `frozen` is sent, nothing waits for a command."""
    host, effects = step(QUIESCING, arrived(Thaw))
    assert effects == []
    _, effects = step(host, model.QuiesceHeld(RUN, 2_000, 0, 1, None))
    assert effects == [model.Release(RUN, ThawReason.COMMANDED)]


def test_repeated_commands_change_nothing() -> None:
    """SQS delivers at least once."""
    for host, kind in [
        (PREPARING, Prepare),
        (READY, Prepare),
        (QUIESCING, Freeze),
        (QUIESCED, Freeze),
        (QUIESCED, Prepare),
        (RELEASING, Thaw),
    ]:
        after, effects = step(host, arrived(kind))
        assert after == host
        assert [type(effect) for effect in effects] == [model.Ignored]


@pytest.mark.parametrize("fault", [{"now_ms": 5_000}, {"skew_ms": 3_600_000}])
def test_a_repeated_prepare_that_is_unfit_by_now_does_not_end_its_run(
    fault: dict[str, int],
) -> None:
    """A frozen host that took it for another run would ignore its own thaw."""
    for host in (PREPARING, READY, QUIESCING, QUIESCED, RELEASING):
        after, effects = step(host, arrived(Prepare, **fault))  # type: ignore[arg-type]
        assert after == host
        assert effects == [model.Ignored("repeated-prepare", RUN)]


def test_one_run_at_a_time() -> None:
    """A second run is refused while one is under way, but not by one that only waits."""
    for host in (PREPARING, QUIESCING, QUIESCED, RELEASING):
        after, effects = step(host, arrived(Prepare, OTHER))
        assert after.phase == host.phase
        assert refusals(effects) == [RefusalCode.BUSY]
    host, effects = step(READY, arrived(Prepare, OTHER))
    assert effects == [model.Disconnect(RUN), model.Preflight(OTHER, 5_000)]
    assert RUN in host.over


def test_a_run_refused_as_busy_never_begins() -> None:
    """Its conductor has ended: its `prepare`, come again, would stop replication for nobody."""
    for busy in (PREPARING, QUIESCING, QUIESCED, RELEASING):
        host, _ = step(busy, arrived(Prepare, OTHER))
        for phase in (model.Idle(), model.Ready(RUN, 60_000)):
            later = replace(host, phase=phase)
            assert step(later, arrived(Prepare, OTHER)) == (
                later,
                [model.Ignored("command-of-ended-run", OTHER)],
            )


def test_ready_does_not_wait_for_ever() -> None:
    """A conductor that died after `prepared` leaves no connection open."""
    host, _ = step(PREPARING, model.PreflightPassed(RUN, (), (), 1_000))
    after, effects = step(host, model.Tick(1_000 + READY_FOR_MS))
    assert effects == [model.Disconnect(RUN)]
    assert after.phase == model.Idle()


def test_a_preflight_that_ends_after_its_run_is_disconnected() -> None:
    """What a pre-flight connected is closed even when nobody waits for it any more."""
    host, _ = step(PREPARING, arrived(Thaw))
    _, effects = step(host, model.PreflightPassed(RUN, (), (), 2_000))
    assert effects == [model.Disconnect(RUN)]


def test_shutdown_gives_everything_back() -> None:
    """Stopping the agent thaws, and never takes anything new."""
    assert step(QUIESCED, model.Shutdown())[1] == [model.Release(RUN, ThawReason.SHUTDOWN)]
    host, effects = step(QUIESCING, model.Shutdown())
    assert effects == []
    _, effects = step(host, model.QuiesceHeld(RUN, 2_000, 0, 1, None))
    assert effects == [model.Release(RUN, ThawReason.SHUTDOWN)]
    for host in (PREPARING, READY):
        after, effects = step(host, model.Shutdown())
        assert refusals(effects) == [RefusalCode.SHUTDOWN]
        assert after.phase == model.Idle()


@pytest.mark.parametrize("host", EVERYWHERE)
def test_a_stranger_changes_nothing(host: model.Host) -> None:
    """A command for another target is refused by name, whatever the phase."""
    for kind in (Prepare, Freeze, Thaw):
        after, effects = step(host, arrived(kind, target="orders-db"))
        assert after == host
        assert refusals(effects) == [RefusalCode.FOREIGN_TARGET]


def test_the_memory_of_ended_runs_is_bounded() -> None:
    """An agent that runs for years does not grow by its runs."""
    host = IDLE
    for number in range(500):
        host, _ = step(host, arrived(Thaw, f"recipes-db.{number}"))
    assert len(host.over) == 64
    assert host.over[-1] == "recipes-db.499"
