"""One booted systemd for all tests of this folder: a database, probes, the agent's units."""

import time
from collections.abc import Generator, Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config as ClientConfig

from lab import emulator, kernel
from lab.host import AgentConfig
from lab.systemd import SystemdHost
from lab.systemd.host import AGENT, FREEZERS, SOCKET
from scripts import agent_package
from tests.host.freezing import is_frozen, watchdog
from tests.systemd.conversation import TARGET, VOLUME, Conversation, Writes, soon

BUDGET_S = 6
WATCHDOG_S = 3
"""Far below the budget: what thaws at this time was not the deadline."""

# What the tests would else wait for; everything else is as it is shipped.
_HASTE = f"[Service]\nRestartSec=100ms\nWatchdogSec={WATCHDOG_S}\n"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the units logged, where a test failed."""
    report = yield
    host = getattr(item, "funcargs", {}).get("host")
    if report.failed and host:
        for unit in (AGENT, FREEZERS):
            report.sections.append((unit, host.journal(unit)))
    return report


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemdHost]:
    """Return a host whose process 1 is systemd; afterwards nothing of it is left."""
    package = agent_package.build(tmp_path_factory.mktemp("package")).pyz
    with SystemdHost(package) as host:
        yield host
        folder = host.point.parent
    assert kernel.mounts_of(folder) == []
    assert kernel.loops_of(folder) == []
    assert host.container.cgroup.pids() == []


@pytest.fixture(scope="session")
def talk(host: SystemdHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conversation]:
    """Return the conductor's end, the agent enabled and started as an administrator does it."""
    region = emulator.start(tmp_path_factory.mktemp("region"), "http://127.0.0.1:1")
    try:
        region.wait()
        client = boto3.client(
            "sqs",
            endpoint_url=region.url,
            region_name=emulator.REGION,
            aws_access_key_id=emulator.KEY,
            aws_secret_access_key=emulator.KEY,
            config=ClientConfig(retries={"total_max_attempts": 1}),
        )
        commands_url, replies_url = (
            client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "5"})["QueueUrl"]
            for name in ("commands", "replies")
        )
        config = AgentConfig(TARGET, commands_url, replies_url, emulator.REGION, budget_s=BUDGET_S)
        environ = {
            # It forgets a killed agent that waits: no command for the next one is lost on it.
            "AWS_ENDPOINT_URL": region.sqs_url,
            "AWS_ACCESS_KEY_ID": emulator.KEY,
            "AWS_SECRET_ACCESS_KEY": emulator.KEY,
        }
        host.configure(config, VOLUME, environ)
        host.drop_in(AGENT, "haste", _HASTE)
        host.systemctl("enable", "--now", AGENT)
        yield Conversation(client, commands_url, replies_url)
    finally:
        region.child.stop()


@pytest.fixture(scope="session")
def writes(
    host: SystemdHost, talk: Conversation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Writes]:
    """Return the two probes, writing."""
    del talk  # the agent's start is not to be measured against them
    probes = host.probes(tmp_path_factory.mktemp("probes"))
    try:
        for probe in probes.values():
            probe.start()
        yield Writes(probes)
    finally:
        for probe in probes.values():
            probe.stop()


@pytest.fixture
def sound(host: SystemdHost, writes: Writes) -> Iterator[SystemdHost]:
    """Return the host with its agent up; afterwards nothing is held, and writes go on."""
    with watchdog(host.point):
        host.systemctl("start", AGENT)
        yield host
        soon(lambda: not host.processes(FREEZERS))
        assert not is_frozen(host.point)
        writes.returned_ms(time.monotonic_ns(), within_s=1)
        assert host.container.inside("/run/holdstill/freeze").read_text() == ""
        assert Path("/sys/kernel/rcu_expedited").read_text().strip() == "0"
        assert host.property(SOCKET, "ActiveState") == "active"
