"""The suite itself can fail: what it looks for, it finds."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lab.faults.fault import NO_SNAPSHOT, Fault
from lab.host.disk import freeze

if TYPE_CHECKING:
    from lab.faults.suite import Suite
    from lab.faults.world import World

pytestmark = [pytest.mark.root, pytest.mark.emulator, pytest.mark.slow]


def _break_every_promise(world: World) -> None:
    """Make a good backup, then leave a process behind, and the filesystem frozen."""
    world.cloud.wait_ended(world.begin(), 20)
    stray = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)", str(world.agent_config)]
    )
    world.trial.undo.callback(stray.wait)
    world.trial.undo.callback(stray.kill)
    world.trial.later.callback(world.host.thaw)
    world.inject_now()
    freeze(world.mount)


def test_suite_sees_what_is_wrong(suite_on_mariadb: Suite) -> None:
    """A freeze that lasts, a stray process and a verdict that is not allowed are all found."""
    fault = Fault("broken", "suite", "", _break_every_promise, NO_SNAPSHOT, stall_s=0.2)
    aftermath = suite_on_mariadb.trial(fault)
    assert not aftermath.as_promised
    assert any("tagged consistent" in it for it in aftermath.wrong_verdicts)
    assert "writers still wait" in aftermath.leftovers
    assert any("time.sleep(60)" in it for it in aftermath.leftovers)
    assert any("a writer waited" in it for it in aftermath.untruths)
