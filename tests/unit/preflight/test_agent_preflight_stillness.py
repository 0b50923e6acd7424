"""That nothing is frozen is proven by a write, or by a rehearsal that goes as the run must."""

import socket
from pathlib import Path

import pytest

from holdstill_agent.clock import monotonic_ms
from holdstill_agent.config import Config
from holdstill_agent.errors import FreezeFailedError
from holdstill_agent.freezer import Freezer, ThawReport
from holdstill_agent.mountinfo import Mounts
from holdstill_agent.preflight import Preflight
from holdstill_agent.preflight.stillness import count_writes, rehearse, still
from holdstill_protocol.messages import Lock
from tests.unit.preflight.told_host import DATA, ROOT, configured


class FakeFreezer(Freezer):
    """Freezes nothing, and says of its thaw what it is told to."""

    def __init__(self, report: ThawReport | None) -> None:
        line, self.client = socket.socketpair()
        super().__init__(line, None)
        self._report = report

    def freeze(self, *_: object) -> int:
        """Freeze."""
        return 1600

    def thaw(self, *_: object) -> ThawReport | None:
        """Thaw, or not."""
        return self._report


@pytest.mark.parametrize(("after", "unproven"), [("17", True), ("18", False), (None, True)])
def test_write_proves_that_nothing_is_frozen(
    tmp_path: Path, after: str | None, unproven: bool
) -> None:
    """Only a device whose count of writes has grown is certainly not frozen."""
    stat = tmp_path / "dev/block/259:3/stat"
    stat.parent.mkdir(parents=True)
    mounted = Mounts(f"{ROOT}\n{DATA}")

    def count(writes: str) -> dict[str, int | None]:
        stat.write_text(f"  9 9 9 9 {writes} 9 9 9 9 9 9\n")
        return count_writes(configured(), mounted, tmp_path)

    before = count("17")
    assert before == {"/var/lib/mysql": 17}
    if after is None:
        stat.unlink()
    later = count(after) if after else count_writes(configured(), mounted, tmp_path)
    assert still(before, later) == (("/var/lib/mysql",) if unproven else ())


@pytest.mark.parametrize(
    ("report", "told"),
    [
        (ThawReport("commanded", intact=True, held_ms=1), ""),
        (None, "it says nothing of it"),
        (ThawReport("deadline", intact=True, held_ms=10_000), "deadline, after 10000 ms"),
        (ThawReport("commanded", intact=False, held_ms=1), "somebody else thawed it"),
    ],
)
def test_rehearsal_that_is_not_thawed_when_told_costs_the_run(
    monkeypatch: pytest.MonkeyPatch, report: ThawReport | None, told: str
) -> None:
    """What goes wrong without the lock would go wrong under it."""
    fresh = FakeFreezer(None)
    monkeypatch.setattr(Freezer, "start", lambda _config: fresh)
    tried = FakeFreezer(report)
    tried.client.close()
    fresh.client.close()
    if told:
        with pytest.raises(FreezeFailedError, match=told):
            rehearse(tried, configured(), "run-1", lambda _: True)
    else:
        assert rehearse(tried, configured(), "run-1", lambda _: True)[0] is fresh
    for freezer in (tried, fresh):
        freezer.close()
        freezer.reap()


@pytest.mark.parametrize("changed", ["before", "meanwhile"])
def test_each_freezer_is_compared(monkeypatch: pytest.MonkeyPatch, changed: str) -> None:
    """The one that is started after a rehearsal has read agent.toml anew, as the first did."""
    said = {"before": ["7:1"], "meanwhile": ["259:3", "7:1"]}[changed]

    def start(_config: Config) -> FakeFreezer:
        freezer = FakeFreezer(ThawReport("commanded", intact=True, held_ms=1))
        freezer.client.close()
        freezer.budget_ms, freezer.devices = 10_000, (said.pop(0),)
        return freezer

    monkeypatch.setattr(Freezer, "start", start)
    monkeypatch.setattr(Freezer, "sync", lambda *_: 1)
    monkeypatch.setattr(Mounts, "now", lambda: Mounts(f"{ROOT}\n{DATA}"))
    monkeypatch.setattr("holdstill_agent.preflight.find_volumes", lambda *_: ("vol-1",))
    monkeypatch.setattr("holdstill_agent.preflight.count_writes", lambda *_: {"/var/lib/mysql": 1})
    preflight = Preflight(
        configured(lock=Lock.NONE, state_dir="/tmp"),  # noqa: S108 - only looked at
        monotonic_ms() + 1000,
        lambda _: True,
        "run-1",
    )
    preflight.run()
    preflight.close()
    assert preflight.freezer
    preflight.freezer.reap()
    failed = [one.name for one in preflight.checks if not one.passed and "restart" in one.detail]
    assert failed == [{"before": "freezer", "meanwhile": "not frozen"}[changed]], preflight.checks
    assert preflight.code
