"""The operator's commands: real processes, their end, and what is owed to them after a crash."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from holdstill_agent.clock import monotonic_ms
from holdstill_agent.config import HookConfig, load
from holdstill_agent.errors import HookFailedError, StateUnwritableError
from holdstill_agent.hooks import Hooks
from holdstill_agent.unfinished import Undo, Unfinished

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="prctl and waitid are Linux's")

EXAMPLE = Path(__file__).parents[2] / "agent" / "agent.example.toml"
SOURCES = Path(__file__).parents[2] / "agent" / "src"
RUN = "recipes-db.20300101T000000Z.1"
LONG = 5000


class Rig:
    """Hooks that note in a file what they did, and their record of what is owed."""

    def __init__(self, folder: Path) -> None:
        self.noted = folder / "noted"
        self.state = folder / "state"
        self.state.mkdir()
        self.unfinished = Unfinished(str(self.state))
        self.told: list[float] = []

    def hooks(
        self,
        before: str | None = None,
        after: str | None = "echo after >> {}",
        limit_ms: int = LONG,
    ) -> Hooks:
        """Return hooks that run these shell texts; {} is the file."""
        config = replace(
            load(EXAMPLE),
            before_lock=self._hook(before, limit_ms),
            after_unlock=self._hook(after, LONG),
        )
        return Hooks(config, self.unfinished)

    def _hook(self, script: str | None, limit_ms: int) -> HookConfig | None:
        if script is None:
            return None
        return HookConfig(("/bin/sh", "-c", script.format(self.noted)), limit_ms)

    def pause(self, pause_s: float) -> bool:
        """Wait, as the loop would."""
        time.sleep(pause_s)
        self.told.append(pause_s)
        return True

    def before(self, hooks: Hooks, pause: Callable[[float], bool] | None = None) -> str | None:
        """Run before_lock."""
        return hooks.before_lock(RUN, monotonic_ms() + 60_000, pause or self.pause)

    def notes(self) -> list[str]:
        """Return what the hooks have noted."""
        return self.noted.read_text().splitlines() if self.noted.exists() else []


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """Return hooks that have done nothing yet."""
    return Rig(tmp_path)


def _eventually(condition: Callable[[], bool], within_s: float = 3) -> bool:
    until = time.monotonic() + within_s
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_both_run_and_are_told_of_the_run(rig: Rig) -> None:
    """In order, each with the run's and the target's name."""
    said = "echo {} $HOLDSTILL_RUN_ID $HOLDSTILL_TARGET >> {{}}"
    hooks = rig.hooks(said.format("before"), said.format("after"))
    assert rig.before(hooks)
    assert [deed.what for deed in rig.unfinished.pending()] == [Undo.AFTER_UNLOCK]
    report = hooks.after_unlock(rig.pause)
    assert report is not None
    assert report.failure is None
    assert rig.notes() == [f"before {RUN} recipes-db", f"after {RUN} recipes-db"]
    assert rig.unfinished.pending() == ()


def test_after_unlock_is_owed_once_and_only_after_a_beginning(rig: Rig) -> None:
    """A run that never came to before_lock owes nothing; one that did owes it once."""
    hooks = rig.hooks("true")
    assert hooks.after_unlock(rig.pause) is None
    rig.before(hooks)
    assert hooks.after_unlock(rig.pause)
    assert hooks.after_unlock(rig.pause) is None
    assert rig.notes() == ["after"]


def test_after_unlock_needs_no_before_lock(rig: Rig) -> None:
    """Alone it runs at the end of every run that got so far."""
    hooks = rig.hooks(None)
    assert rig.before(hooks) is None
    assert hooks.after_unlock(rig.pause)
    assert rig.notes() == ["after"]


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo no room; echo for writers >&2; exit 3", "it ended with 3: no room\nfor writers"),
        ("kill -SEGV $$", "it was ended by signal 11"),
        ("yes much | head -c 300000; exit 1", "it ended with 1: "),
    ],
)
def test_failing_before_lock_is_told_and_after_unlock_owed(
    rig: Rig, script: str, told: str
) -> None:
    """With the end of what it said on either output, cut; and after_unlock follows."""
    hooks = rig.hooks(script)
    with pytest.raises(HookFailedError) as caught:
        rig.before(hooks)
    assert str(caught.value).startswith(told)
    assert len(str(caught.value)) < 500
    assert hooks.after_unlock(rig.pause)
    assert rig.notes() == ["after"]


@pytest.mark.parametrize("why", ["its limit", "the conductor's", "unwanted"])
def test_slow_before_lock_is_killed_with_all_it_started(rig: Rig, why: str) -> None:
    """At its limit, when the conductor has given up, or when a thaw came: its whole group."""
    hooks = rig.hooks(
        "sleep 60 & echo $! $$ > {}; wait", limit_ms=1_000 if why == "its limit" else LONG
    )
    until_ms = monotonic_ms() + (1_000 if why == "the conductor's" else LONG)

    def pause(pause_s: float) -> bool:
        rig.pause(pause_s)
        return not (why == "unwanted" and rig.notes())

    began = time.monotonic()
    with pytest.raises(HookFailedError, match="killed"):
        hooks.before_lock(RUN, until_ms, pause)
    assert time.monotonic() - began < 4
    pids = [int(pid) for pid in rig.notes()[0].split()]
    assert _eventually(lambda: all(map(_is_gone, pids)))


def test_failed_after_unlock_is_reported_and_over(rig: Rig) -> None:
    """Its failure is told and costs nothing else; it is not tried again for ever."""
    hooks = rig.hooks("true", "echo cannot resume; exit 9")
    rig.before(hooks)
    report = hooks.after_unlock(rig.pause)
    assert report is not None
    assert (report.run_id, report.failure) == (RUN, "it ended with 9: cannot resume")
    assert hooks.after_unlock(rig.pause) is None


def test_after_unlock_runs_to_its_end_whatever_comes(rig: Rig) -> None:
    """A shutdown that arrives meanwhile does not cut it short."""
    hooks = rig.hooks("true", "sleep 0.3; echo after >> {}")
    rig.before(hooks)
    report = hooks.after_unlock(lambda pause_s: rig.pause(pause_s) and False)
    assert report is not None
    assert report.failure is None
    assert rig.notes() == ["after"]


def test_next_process_runs_what_a_dead_one_owes(rig: Rig) -> None:
    """SIGKILL while before_lock runs: it dies too, and the next start runs after_unlock."""
    program = (
        "import sys, time\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from holdstill_agent.config import HookConfig, load\n"
        "from holdstill_agent.hooks import Hooks\n"
        "from holdstill_agent.unfinished import Unfinished\n"
        "config = replace(load(Path(sys.argv[1])), after_unlock=HookConfig(('/bin/true',), 1),\n"
        "    before_lock=HookConfig(('/bin/sh', '-c', sys.argv[3]), 60_000))\n"
        "Hooks(config, Unfinished(sys.argv[2])).before_lock(\n"
        "    sys.argv[4], 1 << 60, lambda s: time.sleep(s) or True)\n"
    )
    script = f"echo $$ > {rig.noted}; exec sleep 60"
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(EXAMPLE), str(rig.state), script, RUN],
        env={"PYTHONPATH": str(SOURCES)},
    )
    assert _eventually(lambda: bool(rig.notes()))
    process.send_signal(signal.SIGKILL)
    process.wait(5)
    (pid,) = rig.notes()
    assert _eventually(lambda: _is_gone(int(pid))), "a before_lock must not outlive its agent"
    report = rig.hooks("true").after_unlock(rig.pause)
    assert report is not None
    assert (report.run_id, report.failure) == (RUN, None)
    assert rig.notes()[-1] == "after"


def test_nothing_runs_that_could_not_be_undone(rig: Rig) -> None:
    """Without room for the record, before_lock is not begun."""
    rig.state.rmdir()
    with pytest.raises(StateUnwritableError):
        rig.before(rig.hooks("echo before >> {}"))
    assert rig.notes() == []


def test_command_gets_nothing_of_the_agent(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key of its environment, no descriptor: a command that lives on holds no session open."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    inherited = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(inherited, True)
    try:
        rig.before(rig.hooks("ls -l /proc/self/fd > {0}; env >> {0}"))
    finally:
        os.close(inherited)
    noted = "\n".join(rig.notes())
    assert "secret" not in noted
    assert "NOTIFY" not in noted
    descriptors = {line.split(" -> ")[0].split()[-1] for line in rig.notes() if " -> " in line}
    assert {"0", "1", "2"} <= descriptors <= {"0", "1", "2", "3"}, "3 is the folder that ls reads"


def test_background_child_does_not_keep_it(rig: Rig) -> None:
    """A command that leaves a process behind, with its output open, is done when it ends itself."""
    began = time.monotonic()
    assert rig.before(rig.hooks("sleep 30 & echo $! > {}"))
    assert time.monotonic() - began < 2
    pid = int(rig.notes()[0])
    assert not _is_gone(pid), "what a successful command leaves is its own affair"
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("command", ["/nonexistent/command", "/etc", "/etc/passwd"])
def test_command_that_cannot_run_is_found_before(rig: Rig, command: str) -> None:
    """Also after_unlock: to find out after the run would be too late."""
    hooks = Hooks(replace(load(EXAMPLE), after_unlock=HookConfig((command,), LONG)), rig.unfinished)
    with pytest.raises(HookFailedError, match=f"{command} cannot be run.*install it"):
        hooks.require_runnable()
    assert rig.hooks("true").require_runnable() == "/bin/sh, /bin/sh"
