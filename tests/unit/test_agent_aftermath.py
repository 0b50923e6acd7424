"""What a run, or a crash, leaves: the hook waits until nothing can be frozen any more."""

from dataclasses import replace
from pathlib import Path

import pytest

from holdstill_agent import aftermath as aftermath_module
from holdstill_agent.aftermath import Aftermath
from holdstill_agent.clock import Pause, monotonic_ms
from holdstill_agent.config import Config, HookConfig, load
from holdstill_agent.errors import FreezerUnavailableError
from holdstill_agent.freezer import Freezer
from holdstill_agent.unfinished import Undo, Unfinished

EXAMPLE = Path(__file__).parents[2] / "agent" / "agent.example.toml"
RUN = "recipes-db.20300101T000000Z.1"


class EndedFreezer(Freezer):
    """Has ended, and is known to have thawed or not."""

    def __init__(self, *, is_thawed: bool) -> None:
        self._is_thawed = is_thawed

    def reap(self, pause: Pause = lambda _: True) -> bool:
        """Tell it."""
        assert pause(0)
        return self._is_thawed


class Rig:
    """An aftermath whose freezers recover, or are refused, and whose clock is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, config: Config) -> None:
        self.refusals = 0
        self.refused_recovered = False
        self.recoveries = 0
        self.now_ms = monotonic_ms()
        self.noted: list[str] = []
        self.unfinished = Unfinished(config.state_dir)
        self.aftermath = Aftermath(config, lambda name, **_: self.noted.append(name))
        monkeypatch.setattr(aftermath_module, "recover", self._recover)
        monkeypatch.setattr(aftermath_module, "monotonic_ms", lambda: self.now_ms)

    def _recover(self, config: Config) -> None:
        assert config.freeze
        self.recoveries += 1
        if self.refusals:
            self.refusals -= 1
            raise FreezerUnavailableError("refused (unfit-mount)", recovered=self.refused_recovered)

    def undo(self, *, at_once: bool = False) -> bool:
        """Return whether the hook, which is due, has run."""
        self.unfinished.begin(RUN, Undo.AFTER_UNLOCK)
        return bool(list(self.aftermath.undo(lambda _: True, at_once=at_once)))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Return a configuration with a hook."""
    after_unlock = HookConfig(("/bin/true",), 5000)
    return replace(load(EXAMPLE), state_dir=str(tmp_path), after_unlock=after_unlock)


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch, config: Config) -> Rig:
    """Return an aftermath with nothing left to undo."""
    return Rig(monkeypatch, config)


def test_thawed_end_starts_no_freezer(rig: Rig) -> None:
    """The ordinary end of a run costs no process, and its hook comes at once."""
    rig.aftermath.leave(EndedFreezer(is_thawed=True))
    assert rig.undo()
    assert rig.recoveries == 0
    assert rig.aftermath.again_at_ms is None


def test_doubtful_end_is_recovered_first(rig: Rig) -> None:
    """A freezer that went with its guard, and said nothing, may have left all frozen."""
    rig.aftermath.leave(EndedFreezer(is_thawed=False))
    rig.aftermath.leave(EndedFreezer(is_thawed=True))
    assert rig.undo()
    assert rig.recoveries == 1
    assert rig.undo()
    assert rig.recoveries == 1, "once is enough"


@pytest.mark.parametrize("crashed", [True, False], ids=["at-start", "at-end"])
def test_hook_waits_for_the_recovery(rig: Rig, *, crashed: bool) -> None:
    """While what was left frozen may be so the hook stays due; then it runs."""
    rig.refusals = 2
    if crashed:
        assert not rig.aftermath.recover()
    else:
        rig.aftermath.leave(EndedFreezer(is_thawed=False))
        assert not rig.undo()
    assert not rig.undo()
    assert rig.recoveries == 1, "not with every turn of the loop"
    again_at_ms = rig.aftermath.again_at_ms
    assert again_at_ms == rig.now_ms + 5000
    rig.now_ms = again_at_ms
    assert not rig.undo()
    assert rig.recoveries == 2
    assert rig.undo(at_once=True)
    assert rig.aftermath.again_at_ms is None
    assert rig.noted == ["freezer-unavailable"] * 2


def test_refusal_after_the_recovery_keeps_no_hook(rig: Rig) -> None:
    """A freezer that will not freeze again, but has thawed what was frozen, is asked once."""
    rig.refusals, rig.refused_recovered = 12, True
    assert rig.aftermath.recover()
    assert rig.undo()
    assert rig.aftermath.again_at_ms is None
    assert rig.recoveries == 1
    assert rig.noted == ["freezer-unavailable"]


def test_lasting_failure_is_tried_ever_less(rig: Rig) -> None:
    """A host on which no freezer serves is not kept busy with starting one."""
    rig.refusals = 12
    rig.aftermath.recover()
    waits_s = []
    for _ in range(10):
        assert not rig.undo()
        assert rig.aftermath.again_at_ms
        waits_s.append((rig.aftermath.again_at_ms - rig.now_ms) // 1000)
        rig.now_ms = rig.aftermath.again_at_ms
    assert waits_s == [5, 10, 20, 40, 80, 160, 300, 300, 300, 300]


def test_freezer_of_a_pre_flight_has_recovered(rig: Rig) -> None:
    """A freezer says that it is ready after it has thawed what a dead one left."""
    rig.refusals = 1
    assert not rig.aftermath.recover()
    rig.aftermath.freezer_is_ready()
    assert rig.undo()
    assert rig.recoveries == 1


def test_without_freezing_nothing_is_recovered(
    monkeypatch: pytest.MonkeyPatch, config: Config
) -> None:
    """Where freeze is off, no freezer is asked, at the start neither."""
    rig = Rig(monkeypatch, replace(config, freeze=False))
    assert rig.aftermath.recover()
    assert rig.undo()
    assert rig.recoveries == 0
    assert rig.undo()
    assert rig.recoveries == 0


def test_replication_that_cannot_start_is_tried_at_its_time(
    monkeypatch: pytest.MonkeyPatch, rig: Rig
) -> None:
    """A server that hangs is not asked with every turn of the loop, which its asking delays."""
    tries: list[int] = []

    def resume(_: object) -> bool:
        tries.append(rig.now_ms)
        return False

    monkeypatch.setattr(Aftermath, "_resume", resume)
    began_ms = rig.now_ms
    for _ in range(3):
        rig.undo()
        assert rig.aftermath.again_at_ms == began_ms + 5000
    assert len(tries) == 1
    rig.undo(at_once=True)
    assert len(tries) == 2
    rig.now_ms += 5000
    rig.undo()
    assert len(tries) == 3
