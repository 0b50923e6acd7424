"""Hooks on the real agent process: they run when nothing is held, and each ends."""

import subprocess
import sys
import time

import psutil
import pytest

from holdstill_agent.unfinished import Unfinished
from holdstill_protocol.messages import Freeze, Frozen, Prepare, RefusalCode, Thaw, ThawReason
from tests.host.agent_process import SOURCES, TARGET, Agent
from tests.host.freezing import is_frozen
from tests.host.targets.started import Noted, Start, prepared_run, refused_run, settled, start_agent

pytestmark = [pytest.mark.root, pytest.mark.emulator]


def test_hooks_run_before_and_after_and_while_nothing_is_held(start: Start, noted: Noted) -> None:
    """Both see a filesystem that can be written and a database that can be changed."""
    hooks = {"before_lock": noted.hook("before"), "after_unlock": noted.hook("after")}
    with start(**hooks) as agent:
        prepared_run(agent)
        assert noted.lines() == [f"before True True {agent.run}"]
        agent.command(Freeze)
        assert isinstance(agent.reply(), Frozen)
        assert is_frozen(agent.point)
        assert len(noted.lines()) == 1
        agent.command(Thaw)
        assert agent.thawed().intact
        assert noted.until(2)[1:] == [f"after True True {agent.run}"]
        assert settled(agent)


def test_failing_before_lock_refuses_the_run(start: Start, noted: Noted) -> None:
    """Refused by its own code, with what the command said; after_unlock follows."""
    before = noted.shell("echo the queue is not empty; exit 4")
    with start(before_lock=before, after_unlock=noted.hook("after")) as agent:
        refused = refused_run(agent)
        assert refused.code is RefusalCode.HOOK_FAILED
        assert refused.detail == "before_lock: it ended with 4: the queue is not empty"
        assert noted.until(1) == [f"after True True {agent.run}"]


def test_slow_before_lock_is_ended_at_its_limit(start: Start, noted: Noted) -> None:
    """Its limit costs the run, not the next one."""
    with start(before_lock=noted.shell("sleep 60"), before_lock_timeout_s=0.5) as agent:
        assert "took longer than its 0.5 s" in refused_run(agent).detail
        assert "took longer than its 0.5 s" in refused_run(agent).detail


def test_thaw_ends_a_before_lock(start: Start, noted: Noted) -> None:
    """The loop listens while a hook runs: a thaw ends it with all that it started."""
    before = noted.shell("sleep 60 & echo $! > $0; wait")
    with start(before_lock=before, after_unlock=noted.shell("echo after >> $0")) as agent:
        agent.run = f"{TARGET}.{time.monotonic_ns()}.1"
        agent.command(Prepare)
        (sleeper,) = noted.until(1)
        began = time.monotonic()
        agent.command(Thaw)
        assert noted.until(2)[1:] == ["after"]
        assert time.monotonic() - began < 10
        assert _has_ended(int(sleeper))


def _has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE  # not everywhere init reaps
    except psutil.NoSuchProcess:
        return True


def test_commands_of_a_slow_hook_are_not_seen_again(start: Start, noted: Noted) -> None:
    """SQS shows a command again after 5 s: one that a hook delays is deleted before."""
    with start(
        before_lock=noted.shell("echo $$ > $0; sleep 60"), before_lock_timeout_s=60
    ) as agent:
        agent.run = f"{TARGET}.{time.monotonic_ns()}.1"
        agent.command(Prepare)
        (hook,) = noted.until(1)
        give_up_at = time.monotonic() + 10
        while _waiting(agent) and time.monotonic() < give_up_at:
            time.sleep(0.05)
        assert _waiting(agent) == 0
        assert not _has_ended(int(hook))
        agent.command(Thaw)


def _waiting(agent: Agent) -> int:
    """Return how many commands the queue still holds, seen or not."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    told = agent.sqs.get_queue_attributes(QueueUrl=agent.commands_url, AttributeNames=names)
    return sum(int(told["Attributes"][name]) for name in names)


@pytest.mark.parametrize("how", ["deadline", "lost-freezer", "shutdown", "killed"])
def test_after_unlock_runs_whatever_ended_the_run(start: Start, noted: Noted, how: str) -> None:
    """Once before_lock has run: after the budget, a freezer's death, a stop; a crash, at start."""
    hooks = {"before_lock": noted.shell("true"), "after_unlock": noted.hook("after")}
    with start(**hooks) as agent:
        prepared_run(agent)
        agent.command(Freeze)
        assert isinstance(agent.reply(), Frozen)
        match how:
            case "deadline":
                assert agent.thawed().reason is ThawReason.DEADLINE
            case "lost-freezer":
                agent.freezer().kill()
                assert agent.thawed().reason is ThawReason.LOST_FREEZER
            case "shutdown":
                agent.process.terminate()
                assert agent.thawed().reason is ThawReason.SHUTDOWN
                assert agent.process.wait(10) == 0
            case _:
                agent.process.kill()
                agent.process.wait(5)
                assert noted.lines() == []
                agent.process = start_agent(agent.config, dict(agent.environ))
        assert noted.until(1) == [f"after True True {agent.run}"]
        assert settled(agent)


def test_debt_of_a_dead_agent_is_paid_at_the_start(start: Start, noted: Noted) -> None:
    """Before any command is obeyed; its failure is logged, and the next run is told."""
    after = noted.shell("echo owed >> $0; echo no; exit 1")
    with start(owing=True, after_unlock=after) as agent:
        assert noted.until(1) == ["owed"]
        assert settled(agent)
        told = [check for check in prepared_run(agent).checks if check.name == "after_unlock"]
        assert [(check.passed, check.detail) for check in told] == [
            (False, "after run killed.run: it ended with 1: no")
        ]


def test_refused_run_that_never_came_to_its_hook_owes_nothing(start: Start, noted: Noted) -> None:
    """A pre-flight that fails before before_lock runs neither."""
    hooks = {"before_lock": noted.hook("before"), "after_unlock": noted.hook("after")}
    with start(**hooks) as agent, agent.host.server.connect() as admin, admin.cursor() as cursor:
        cursor.execute("SET GLOBAL general_log = ON")
        try:
            assert refused_run(agent).code is RefusalCode.PREFLIGHT_FAILED
        finally:
            cursor.execute("SET GLOBAL general_log = OFF")
        assert not Unfinished(str(agent.host.places.state_dir)).pending()
        assert noted.lines() == []


def test_check_runs_no_hook(start: Start, noted: Noted) -> None:
    """`--check` names the commands, and leaves them alone."""
    with start(before_lock=noted.hook("before"), after_unlock=noted.hook("after")) as agent:
        checked = subprocess.run(
            [sys.executable, "-m", "holdstill_agent", "--config", str(agent.config), "--check"],
            env={"PYTHONPATH": str(SOURCES), **agent.environ},
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert checked.returncode == 0, checked.stdout
        assert f"ok      hooks: {sys.executable}, {sys.executable}" in checked.stdout
        assert noted.lines() == []
