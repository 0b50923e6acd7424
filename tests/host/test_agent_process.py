"""The agent as a process of its own, between a real SQS-like queue, MariaDB and XFS.

Whatever is killed or stopped while all is held, writers go on and the truth is told.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from holdstill_protocol.codec import encode
from holdstill_protocol.messages import Freeze, Prepare, RefusalCode, Refused, Thaw, ThawReason
from lab import emulator
from lab.host import AgentConfig, DatabaseHost
from tests.host.agent_process import SOURCES, TARGET, Agent
from tests.host.conftest import VOLUME
from tests.host.freezing import Writer, watchdog

pytestmark = [pytest.mark.root, pytest.mark.emulator]

BUDGET_S = 2
IDLE_S = 5


@pytest.fixture
def agent(quiet_host: DatabaseHost, sqs: tuple[Any, dict[str, str]]) -> Iterator[Agent]:
    """Return a running agent with queues of its own; afterwards nothing is held."""
    client, environ = sqs
    commands_url, replies_url = (
        client.create_queue(QueueName=f"{name}-{time.monotonic_ns()}")["QueueUrl"]
        for name in ("commands", "replies")
    )
    config = quiet_host.write_agent_config(
        AgentConfig(
            TARGET,
            commands_url,
            replies_url,
            emulator.REGION,
            lock_wait_timeout_s=1,
            budget_s=BUDGET_S,
        ),
        [[VOLUME]],
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "holdstill_agent", "--config", str(config)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCES), **environ},
    )
    agent = Agent(quiet_host, client, commands_url, replies_url, config, environ, process)
    with watchdog(agent.point):
        try:
            yield agent
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(10)
            finally:
                process.kill()
    assert agent.nothing_is_held()


def test_run_goes_through(agent: Agent) -> None:
    """Prepared, frozen at a position, thawed intact; no row is written in between."""
    position = agent.freeze().position
    assert position is not None
    assert position.file is not None
    assert position.engine == "mariadb"
    agent.command(Thaw)
    thawed = agent.thawed()
    assert (thawed.reason, thawed.intact) == (ThawReason.COMMANDED, True)
    assert thawed.held_ms <= thawed.locked_ms < BUDGET_S * 1000


def test_second_run_follows_the_first(agent: Agent) -> None:
    """Nothing of a run is left that would disturb the next."""
    for _ in range(2):
        agent.freeze()
        agent.command(Thaw)
        assert agent.thawed().intact


def test_lost_thaw_costs_the_backup_alone(agent: Agent) -> None:
    """Without a thaw everything is given back at the budget."""
    agent.freeze()
    writer = Writer(agent.point)
    assert agent.thawed().reason is ThawReason.DEADLINE
    writer.done_at(1)


def test_killed_agent_holds_nothing(agent: Agent) -> None:
    """SIGKILL of the agent: the freezer thaws at the line's end, MariaDB drops the lock."""
    agent.freeze()
    writer = Writer(agent.point)
    killed_at = time.monotonic()
    agent.process.kill()
    assert writer.done_at(5) - killed_at < BUDGET_S / 4
    assert agent.nothing_is_held()


def test_stopped_agent_keeps_neither_filesystem_nor_lock(agent: Agent) -> None:
    """An agent that hangs: the freezer thaws at the budget, and the server ends its idle session.

    When it wakes, it says the truth.
    """
    agent.freeze()
    writer = Writer(agent.point)
    agent.process.send_signal(signal.SIGSTOP)
    stopped_at = time.monotonic()
    writer.done_at(BUDGET_S + 1)
    with agent.host.server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE TABLE test_held.written (id INT)")
    assert time.monotonic() - stopped_at < BUDGET_S + 2
    agent.process.send_signal(signal.SIGCONT)
    thawed = agent.thawed()
    assert (thawed.reason, thawed.intact) == (ThawReason.DEADLINE, False)


def test_killed_freezer_is_told(agent: Agent) -> None:
    """SIGKILL of the freezer: the guard thaws, the agent unlocks and reports the loss."""
    agent.freeze()
    writer = Writer(agent.point)
    killed_at = time.monotonic()
    agent.freezer().kill()
    assert writer.done_at(5) - killed_at < BUDGET_S / 4
    thawed = agent.thawed()
    assert (thawed.reason, thawed.intact) == (ThawReason.LOST_FREEZER, False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_thaws_first(agent: Agent, number: int) -> None:
    """A signal while frozen: thawed, unlocked, reported, and an exit in order."""
    agent.freeze()
    agent.process.send_signal(number)
    thawed = agent.thawed()
    assert (thawed.reason, thawed.intact) == (ThawReason.SHUTDOWN, True)
    assert agent.process.wait(5) == 0


def test_blocked_lock_is_refused(agent: Agent) -> None:
    """Other sessions' locks cost the run, and after it writers go on."""
    agent.prepare()
    with agent.host.server.connect() as blocker, blocker.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE TABLE test_held.blocked (id INT)")
        cursor.execute("LOCK TABLES test_held.blocked WRITE")
        agent.command(Freeze)
        refused = agent.reply()
        assert isinstance(refused, Refused), refused
        assert refused.code is RefusalCode.LOCK_TIMEOUT
    assert agent.nothing_is_held()


def test_noise_is_survived(agent: Agent) -> None:
    """Noise, a foreign target, an old command, a repeated run: the next run goes through."""
    agent.text("x" * 1_048_576)
    agent.text("{")
    now = datetime.now(UTC)
    foreign = Prepare(f"{TARGET}.foreign.1", "another-db", 1, now + timedelta(seconds=20))
    expired = Prepare(f"{TARGET}.expired.1", TARGET, 1, now - timedelta(seconds=20))
    for unfit, code in ((foreign, RefusalCode.FOREIGN_TARGET), (expired, RefusalCode.EXPIRED)):
        agent.text(encode(unfit))
        refused = agent.reply()
        assert isinstance(refused, Refused), refused
        assert (refused.run_id, refused.code) == (unfit.run_id, code)
    agent.freeze()
    for kind in (Prepare, Freeze, Thaw, Thaw, Freeze):
        agent.command(kind)
    assert agent.thawed().intact
    assert agent.freeze()


def test_idle_agent_costs_next_to_nothing(agent: Agent) -> None:
    """While nothing is asked of it, it sleeps: under 0.5 % of a core, and 60 MB."""
    process = psutil.Process(agent.process.pid)
    long_ago = datetime.now(UTC) - timedelta(seconds=20)
    agent.text(encode(Prepare(f"{TARGET}.idle.1", TARGET, 1, long_ago)))
    assert isinstance(agent.reply(), Refused), "it has started"
    before = process.cpu_times()
    time.sleep(IDLE_S)
    after = process.cpu_times()
    spent_s = after.user + after.system - before.user - before.system
    assert spent_s <= 0.005 * IDLE_S + 2 / os.sysconf("SC_CLK_TCK"), "user and system, a tick each"
    assert process.memory_info().rss < 60e6


def test_check_holds_nothing_and_tells(agent: Agent) -> None:
    """`--check` passes on a sound host with every check's result, and fails on an unsound one."""
    sound = _check(agent, agent.config)
    assert sound.returncode == 0, sound.stdout
    for name in ("volumes", "freezer", "database", "privileges", "quiet"):
        assert f"ok      {name}: " in sound.stdout
    unsound = agent.config.with_name("unsound.toml")
    text = agent.config.read_text().replace("agent-mysql.cnf", "missing.cnf")
    unsound.touch(mode=0o600)
    unsound.write_text(text.replace('run_dir = "', f'run_dir = "{agent.point}'))
    failed = _check(agent, unsound)
    assert failed.returncode == 1, failed.stdout
    for name in ("own files", "freezer", "database"):
        assert f"FAILED  {name}: " in failed.stdout
    unsound.write_text("target = 7")
    wrong = _check(agent, unsound)
    assert wrong.returncode == 2
    assert wrong.stderr.count(str(unsound)) > 3
    assert "Traceback" not in wrong.stderr


def _check(agent: Agent, config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "holdstill_agent", "--config", str(config), "--check"],
        env={"PYTHONPATH": str(SOURCES), **agent.environ},
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
