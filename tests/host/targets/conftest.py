"""What starts agents, and hooks for them; nothing is held afterwards."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from holdstill_agent.unfinished import Undo, Unfinished
from lab import emulator
from lab.host import AgentConfig, DatabaseHost
from tests.host.agent_process import TARGET, Agent
from tests.host.conftest import VOLUME
from tests.host.freezing import watchdog
from tests.host.targets.started import Noted, Start, start_agent

BUDGET_S = 3


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
        process = start_agent(config, environ)
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


@pytest.fixture
def noted(quiet_host: DatabaseHost, tmp_path: Path) -> Noted:
    """Return hooks that note what is held while they run."""
    return Noted(quiet_host, tmp_path)
