"""Targets of every kind on the real agent process: hooks, no database, no freeze.

What is off is never held, what is on holds, and hooks run when nothing is.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pymysql
import pytest

from functions.domain.verdict import Verdict, judge
from holdstill_agent.unfinished import Undo, Unfinished
from holdstill_protocol.conductor_model import CallOutcome, Evidence, Snapshot
from holdstill_protocol.messages import (
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
from lab import emulator
from lab.host import AgentConfig, DatabaseHost
from tests.host.conftest import VOLUME
from tests.host.freezing import Writer, is_frozen, watchdog
from tests.host.test_agent_process import SOURCES, TARGET, Agent

pytestmark = [pytest.mark.root, pytest.mark.emulator]

BUDGET_S = 3
Start = Callable[..., AbstractContextManager[Agent]]

# Notes which hook it is, whether the filesystem is frozen (a write that comes through in time says
# no) and whether the database is locked.
HOOK = """
import os, subprocess, sys
name, point, socket, noted = sys.argv[1:5]
wrote = subprocess.run(["timeout", "1", "touch", point + "/hook"]).returncode == 0
sql = "SET lock_wait_timeout = 1; CREATE OR REPLACE TABLE test_held.hooked (id INT)"
wrote_row = subprocess.run(["mariadb", "--no-defaults", "-uroot", "-S", socket, "-e", sql])
with open(noted, "a") as file:
    print(name, wrote, wrote_row.returncode == 0, os.environ["HOLDSTILL_RUN_ID"], file=file)
"""


@pytest.fixture
def start(quiet_host: DatabaseHost, sqs: tuple[Any, dict[str, str]]) -> Start:
    """Return what starts an agent with changes to its configuration; nothing is held after it."""
    client, environ = sqs

    @contextmanager
    def started(*, owing: bool = False, **changes: Any) -> Iterator[Agent]:
        commands_url, replies_url = (
            client.create_queue(QueueName=f"{name}-{time.monotonic_ns()}")["QueueUrl"]
            for name in ("commands", "replies")
        )
        asked = AgentConfig(
            *(TARGET, commands_url, replies_url, emulator.REGION),
            **{"lock_wait_timeout_s": 1, "budget_s": BUDGET_S, **changes},
        )
        config = quiet_host.write_agent_config(asked, [[VOLUME]])
        if owing:
            Unfinished(str(quiet_host.places.state_dir)).begin("killed.run", Undo.AFTER_UNLOCK)
        process = _start(config, environ)
        agent = Agent(quiet_host, client, commands_url, replies_url, config, environ, process)
        with watchdog(agent.point):
            try:
                yield agent
            finally:
                agent.process.send_signal(signal.SIGCONT)
                agent.process.terminate()
                try:
                    agent.process.wait(10)
                finally:
                    agent.process.kill()
        assert agent.nothing_is_held()

    return started


def _start(config: Path, environ: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "holdstill_agent", "--config", str(config)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCES), **environ},
    )


class Noted:
    """What hooks have noted, and the hooks that note it."""

    def __init__(self, host: DatabaseHost, folder: Path) -> None:
        self._file = folder / "noted"
        self._script = folder / "hook.py"
        self._script.write_text(HOOK)
        self._where = (str(host.places.mounts[0]), str(host.server.socket), str(self._file))

    def hook(self, name: str) -> tuple[str, ...]:
        """Return a command that notes what it finds."""
        return (sys.executable, str(self._script), name, *self._where)

    def shell(self, script: str) -> tuple[str, ...]:
        """Return a command by a shell; $0 is the file."""
        return ("/bin/sh", "-c", script, str(self._file))

    def lines(self) -> list[str]:
        """Return what was noted."""
        return self._file.read_text().splitlines() if self._file.exists() else []

    def until(self, count: int, within_s: float = 20) -> list[str]:
        """Wait for so many notes, and return them."""
        give_up_at = time.monotonic() + within_s
        while len(self.lines()) < count and time.monotonic() < give_up_at:
            time.sleep(0.02)
        return self.lines()


@pytest.fixture
def noted(quiet_host: DatabaseHost, tmp_path: Path) -> Noted:
    """Return hooks that note what is held while they run."""
    return Noted(quiet_host, tmp_path)


def _prepared(agent: Agent) -> Prepared:
    agent.run = f"{TARGET}.{time.monotonic_ns()}.1"
    agent.command(Prepare)
    reply = agent.reply(20)
    assert isinstance(reply, Prepared), reply
    return reply


def _refused(agent: Agent) -> Refused:
    agent.run = f"{TARGET}.{time.monotonic_ns()}.1"
    agent.command(Prepare)
    reply = agent.reply(20)
    assert isinstance(reply, Refused), reply
    return reply


def _settled(agent: Agent) -> bool:
    """Wait until nothing is owed any more."""
    unfinished = Unfinished(str(agent.host.places.state_dir))
    give_up_at = time.monotonic() + 10
    while unfinished.pending() and time.monotonic() < give_up_at:
        time.sleep(0.02)
    return not unfinished.pending()


def _verdict(prepared: Prepared, frozen: Frozen, thawed: Thawed) -> Verdict | None:
    """Judge the run as the conductor would, had its call returned in time."""
    evidence = Evidence(
        prepared=prepared,
        frozen=frozen,
        thawed=thawed,
        call=CallOutcome.RETURNED,
        snapshots=(Snapshot("snap-0123456789abcdef0", VOLUME),),
        returned_before_thaw=True,
    )
    return judge(evidence, prepared.volumes).verdict


# --- hooks


def test_hooks_run_before_and_after_and_while_nothing_is_held(start: Start, noted: Noted) -> None:
    """Both see a filesystem that can be written and a database that can be changed."""
    hooks = {"before_lock": noted.hook("before"), "after_unlock": noted.hook("after")}
    with start(**hooks) as agent:
        _prepared(agent)
        assert noted.lines() == [f"before True True {agent.run}"]
        agent.command(Freeze)
        assert isinstance(agent.reply(), Frozen)
        assert is_frozen(agent.point)
        assert len(noted.lines()) == 1
        agent.command(Thaw)
        assert agent.thawed().intact
        assert noted.until(2)[1:] == [f"after True True {agent.run}"]
        assert _settled(agent)


def test_failing_before_lock_refuses_the_run(start: Start, noted: Noted) -> None:
    """Refused by its own code, with what the command said; after_unlock follows."""
    before = noted.shell("echo the queue is not empty; exit 4")
    with start(before_lock=before, after_unlock=noted.hook("after")) as agent:
        refused = _refused(agent)
        assert refused.code is RefusalCode.HOOK_FAILED
        assert refused.detail == "before_lock: it ended with 4: the queue is not empty"
        assert noted.until(1) == [f"after True True {agent.run}"]


def test_slow_before_lock_is_ended_at_its_limit(start: Start, noted: Noted) -> None:
    """Its limit costs the run, not the next one."""
    with start(before_lock=noted.shell("sleep 60"), before_lock_timeout_s=0.5) as agent:
        assert "took longer than its 0.5 s" in _refused(agent).detail
        assert "took longer than its 0.5 s" in _refused(agent).detail


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
        _prepared(agent)
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
                agent.process = _start(agent.config, dict(agent.environ))
        assert noted.until(1) == [f"after True True {agent.run}"]
        assert _settled(agent)


def test_debt_of_a_dead_agent_is_paid_at_the_start(start: Start, noted: Noted) -> None:
    """Before any command is obeyed; its failure is logged, and the next run is told."""
    after = noted.shell("echo owed >> $0; echo no; exit 1")
    with start(owing=True, after_unlock=after) as agent:
        assert noted.until(1) == ["owed"]
        assert _settled(agent)
        told = [check for check in _prepared(agent).checks if check.name == "after_unlock"]
        assert [(check.passed, check.detail) for check in told] == [
            (False, "after run killed.run: it ended with 1: no")
        ]


def test_refused_run_that_never_came_to_its_hook_owes_nothing(start: Start, noted: Noted) -> None:
    """A pre-flight that fails before before_lock runs neither."""
    hooks = {"before_lock": noted.hook("before"), "after_unlock": noted.hook("after")}
    with start(**hooks) as agent, agent.host.server.connect() as admin, admin.cursor() as cursor:
        cursor.execute("SET GLOBAL general_log = ON")
        try:
            assert _refused(agent).code is RefusalCode.PREFLIGHT_FAILED
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


# --- lock off, freeze off


def test_without_database_the_filesystem_alone_is_frozen(start: Start) -> None:
    """MySQL off: frozen without a session or a position, and the best verdict says so."""
    with start(lock="none") as agent:
        prepared = _prepared(agent)
        assert (prepared.lock, prepared.freeze) == (Lock.NONE, True)
        assert _sessions(agent.host) == 0
        agent.command(Freeze)
        frozen = agent.reply()
        assert isinstance(frozen, Frozen), frozen
        assert frozen.position is None
        writer = Writer(agent.point)
        agent.command(Thaw)
        thawed = agent.thawed()
        writer.done_at(2)
        assert thawed.intact
        assert _verdict(prepared, frozen, thawed) is Verdict.FILESYSTEM_CONSISTENT


def test_without_freeze_the_database_alone_is_locked(start: Start) -> None:
    """Freeze off: no freezer, files can be written, rows cannot; and the best verdict says so."""
    with start(freeze=False) as agent:
        prepared = _prepared(agent)
        assert (prepared.lock, prepared.freeze) == (Lock.FTWRL, False)
        assert psutil.Process(agent.process.pid).children() == []
        agent.command(Freeze)
        frozen = agent.reply()
        assert isinstance(frozen, Frozen), frozen
        assert frozen.position is not None
        assert frozen.position.file
        assert not is_frozen(agent.point)
        assert not _row_can_be_written(agent.host)
        agent.command(Thaw)
        thawed = agent.thawed()
        assert thawed.intact
        assert _row_can_be_written(agent.host)
        assert _verdict(prepared, frozen, thawed) is Verdict.LOCK_CONSISTENT


def test_without_freeze_the_budget_still_ends_the_lock(start: Start) -> None:
    """A lost thaw costs the backup alone, also where there is no freezer to keep time."""
    with start(freeze=False, budget_s=1) as agent:
        _prepared(agent)
        agent.command(Freeze)
        assert isinstance(agent.reply(), Frozen)
        assert agent.thawed().reason is ThawReason.DEADLINE
        assert _row_can_be_written(agent.host)


def _row_can_be_written(host: DatabaseHost) -> bool:
    with host.server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION lock_wait_timeout = 1")
        try:
            cursor.execute("CREATE OR REPLACE TABLE test_held.written (id INT)")
        except pymysql.OperationalError:
            return False
    return True


def _sessions(host: DatabaseHost) -> int:
    """Return how many sessions the agent's account has."""
    with host.server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE USER = 'holdstill'"
        )
        (count,) = cursor.fetchone() or (0,)
    return int(count)
