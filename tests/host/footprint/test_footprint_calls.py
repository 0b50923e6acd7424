"""What agent, freezer and guard need of the host while they hold it: nothing but their sockets.

A file opened then, or a line of log written, could be on the very disk that is frozen.

Two writes are no socket's, and both go to descriptors that were opened before the freeze: RCU's
switch, which is the kernel's own memory (sysfs) and must be put back at once; and the marker,
which then says that it was. The marker's filesystem is one that the freezer refuses to freeze
(`open_mounts`), and a tmpfs where run_dir is /run/holdstill.
"""

import os
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from holdstill_protocol.messages import Thaw
from lab import emulator
from lab.ec2.disks import ImageDisks
from lab.host import AgentConfig, DatabaseHost
from tests.host import tracing
from tests.host.agent_process import SOURCES, TARGET, Agent
from tests.host.conftest import VOLUME
from tests.host.footprint.conftest import BUDGET_S
from tests.host.freezing import FREEZER, RUN, watchdog
from tests.host.tracing import Call

pytestmark = pytest.mark.root

RCU_EXPEDITED = Path("/sys/kernel/rcu_expedited")

NOISE = {
    "log-line": "import sys; print('frozen', file=sys.stderr)",
    "file": "open('/proc/self/stat').close()",
    "import": "import this",
    "state": "import os; os.close(os.open('{folder}/state', os.O_CREAT | os.O_WRONLY))",
    "child": "import os; os.waitpid(os.posix_spawn('/bin/true', ['true'], {{}}), 0)",
}
"""What somebody might add to what is done while frozen."""

_NOISY_FREEZER = """
import sys
sys.path.append(sys.argv.pop(1))
noise = compile(sys.argv.pop(1), "noise", "exec")
from holdstill_freezer import guard
said = guard.Guard.frozen
def frozen(self):
    said(self)
    exec(noise, {})
guard.Guard.frozen = frozen
from holdstill_freezer.__main__ import main
sys.exit(main())
"""

_NOISY_AGENT = """
import sys
noise = compile(sys.argv.pop(1), "noise", "exec")
from holdstill_agent import freezer
asked = freezer.Freezer.freeze
def freeze(self, *arguments):
    took = asked(self, *arguments)
    exec(noise, {})
    return took
freezer.Freezer.freeze = freeze
from holdstill_agent.__main__ import main
sys.exit(main())
"""


@dataclass(frozen=True, slots=True)
class Region:
    """An emulator's queues, and the environment to reach them."""

    sqs: Any
    environ: dict[str, str]


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Region]:
    """Return a running emulator."""
    region = emulator.start(tmp_path_factory.mktemp("region"), "http://127.0.0.1:1")
    try:
        region.wait()
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        where = {"AWS_ENDPOINT_URL": region.url, "AWS_REGION": emulator.REGION}
        sqs = boto3.client(
            "sqs",
            region_name=emulator.REGION,
            endpoint_url=region.url,
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - the emulator's
        )
        yield Region(sqs, {**keys, **where})
    finally:
        region.child.stop()


@pytest.fixture(scope="module")
def quiet_host(disks: ImageDisks) -> Iterator[DatabaseHost]:
    """Return a real MariaDB on real XFS, without a load."""
    with DatabaseHost([Path(disks.attach(VOLUME, 1))]) as host:
        yield host


@pytest.fixture
def traced_run(
    region: Region, quiet_host: DatabaseHost, tmp_path: Path
) -> Callable[..., tuple[list[Call], Agent]]:
    """Return what runs a whole backup under strace, and returns the calls while it was frozen."""

    def run(*words: str) -> tuple[list[Call], Agent]:
        output = tmp_path / "trace"
        agent = _start(region, quiet_host, (*tracing.strace(output), sys.executable, *words))
        with watchdog(agent.point):
            try:
                agent.freeze()
                _await_held_for_a_second(agent)
                agent.command(Thaw)
                assert agent.thawed().intact
            finally:
                agent.process.terminate()
                agent.process.wait(20)
        tracing.ended(output, agent.process.pid)
        return tracing.while_frozen(tracing.read(output)), agent

    return run


def _start(region: Region, host: DatabaseHost, words: tuple[str, ...]) -> Agent:
    """Start the agent with queues of its own, watched as by systemd."""
    commands_url, replies_url = (
        region.sqs.create_queue(QueueName=f"{name}-{time.monotonic_ns()}")["QueueUrl"]
        for name in ("commands", "replies")
    )
    wanted = AgentConfig(TARGET, commands_url, replies_url, emulator.REGION, budget_s=BUDGET_S)
    config = host.write_agent_config(wanted, [[VOLUME]])
    supervisor = config.with_name(f"notify-{time.monotonic_ns()}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        ours.bind(str(supervisor))
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(SOURCES),
        "NOTIFY_SOCKET": str(supervisor),
        "WATCHDOG_USEC": "300000",
        **region.environ,
    }
    process = subprocess.Popen([*words, "--config", str(config)], env=environ)
    return Agent(host, region.sqs, commands_url, replies_url, config, environ, process)


def _await_held_for_a_second(agent: Agent) -> None:
    """By then the agent has deleted the commands that it took, and been alive for systemd."""
    until = time.monotonic() + 5
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    while time.monotonic() < until:
        found = agent.sqs.get_queue_attributes(QueueUrl=agent.commands_url, AttributeNames=names)
        if all(found["Attributes"][name] == "0" for name in names):
            return
        time.sleep(0.05)
    raise AssertionError("the agent deletes what it took after a second")


def _run_dir(config: Path) -> Path:
    return Path(tomllib.loads(config.read_text())["freeze"]["run_dir"])


def _kept_open(run_dir: Path) -> tuple[str, ...]:
    return (str(RCU_EXPEDITED), str(run_dir / "freeze"))


def test_run_needs_its_sockets_alone_while_frozen(
    traced_run: Callable[..., tuple[list[Call], Agent]],
) -> None:
    """Between freeze and thaw agent, freezer and guard open nothing, and write to sockets alone."""
    calls, agent = traced_run("-m", "holdstill_agent")
    run_dir = _run_dir(agent.config)
    assert tracing.offences(calls, _kept_open(run_dir)) == []
    assert len(_processes(calls, agent)) == 3, "agent, freezer and guard were all seen"
    assert any("POST / HTTP" in call.arguments for call in calls), "it was told that all is frozen"
    assert run_dir.stat().st_dev != agent.point.stat().st_dev
    assert RCU_EXPEDITED.read_text().strip() == "0"


def _processes(calls: list[Call], agent: Agent) -> set[str]:
    """Return who asked anything: the agent's threads as one, the freezer, its guard."""
    kinds = {
        "freezer": lambda call: call.name == "pwrite64",
        "guard": lambda call: call.name == "read" and call.descriptor.startswith("pipe:"),
        "agent": lambda call: call.pid == agent.process.pid,
    }
    return {kind for kind, is_it in kinds.items() if any(map(is_it, calls))}


@pytest.mark.parametrize("noise", ["log-line", "import"])
def test_trace_notices_a_noisy_agent(
    traced_run: Callable[..., tuple[list[Call], Agent]], noise: str, tmp_path: Path
) -> None:
    """A line of log, a file or an import while frozen is found: the law above can fail."""
    added = NOISE[noise].format(folder=tmp_path)
    calls, agent = traced_run("-c", _NOISY_AGENT, added)
    assert tracing.offences(calls, _kept_open(_run_dir(agent.config)))


@pytest.mark.parametrize("noise", ["", *NOISE])
def test_trace_notices_a_noisy_freezer(config: Path, noise: str, tmp_path: Path) -> None:
    """The same of the freezer; as it is shipped, it has none."""
    output = tmp_path / "trace"
    added = NOISE.get(noise, "").format(folder=tmp_path)
    ours, theirs = socket.socketpair()
    argv = (
        *(*tracing.strace(output), sys.executable, "-I", "-S", "-c", _NOISY_FREEZER),
        *(str(FREEZER.parent), added, "--config", str(config), "--fd", str(theirs.fileno())),
    )
    process = subprocess.Popen(argv, pass_fds=(theirs.fileno(),))
    theirs.close()
    with ours, ours.makefile("r") as lines:
        ours.settimeout(20)
        assert lines.readline().startswith("ready ")
        for asked, answer in ((f"freeze {RUN}", "frozen "), ("thaw", "thawed commanded 1 ")):
            ours.sendall(f"{asked}\n".encode())
            assert lines.readline().startswith(answer)
    process.wait(10)
    tracing.ended(output, process.pid)
    calls = tracing.while_frozen(tracing.read(output))
    assert bool(tracing.offences(calls, _kept_open(tmp_path / "run"))) == bool(noise)
