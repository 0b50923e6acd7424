"""The deployed asset under awslambdaric, with what Lambda's runtime brings and nothing else."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import pytest

from infra.asset import build_asset
from lab.cold_start import ENVIRONMENT, EVENT
from lab.lambda_runtime import ColdStart, cold_start, runtime_site
from lab.runtime_api import Step

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BACKUP, SWEEP = "functions.backup.handler", "functions.sweep.handler"
PROBE = """
from importlib.util import find_spec
def handler(event, context):
    return [name for name in event["names"] if find_spec(name)]
"""


class Start(Protocol):
    """Start a handler in a new process and let it answer one event."""

    def __call__(
        self,
        handler: str,
        event: Mapping[str, object],
        *,
        task: Path | None = None,
        environment: Mapping[str, str] = ENVIRONMENT,
    ) -> ColdStart:
        """Return how it went; the code is the real asset unless `task` is another."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the packages of Lambda's runtime."""
    return runtime_site(tmp_path_factory.mktemp("runtime"))


@pytest.fixture
def start(site: Path, tmp_path: Path) -> Start:
    """Return the way to start a handler."""
    asset = build_asset(ROOT).folder

    def started(
        handler: str,
        event: Mapping[str, object],
        *,
        task: Path | None = None,
        environment: Mapping[str, str] = ENVIRONMENT,
    ) -> ColdStart:
        log = tmp_path / "function.log"
        return cold_start(
            task or asset, handler, event, site=site, log=log, environment=environment
        )

    return started


def test_a_malformed_event_is_refused_with_every_fault(start: Start) -> None:
    """The backup function says what is wrong with its input, and asks AWS for nothing."""
    done = start(BACKUP, EVENT | {"v": 2, "instance": "recipes"})
    assert done.last is Step.FAILED
    assert done.result["errorType"] == "RequestError"
    assert "v must be 1" in done.result["errorMessage"]
    assert "instance must be an instance id" in done.result["errorMessage"]
    assert done.called_ms is None


@pytest.mark.parametrize(("handler", "event"), [(BACKUP, EVENT), (SWEEP, {})])
def test_missing_settings_are_named(
    start: Start, handler: str, event: Mapping[str, object]
) -> None:
    """A function without its environment says which variables it lacks, and asks AWS nothing."""
    done = start(handler, event, environment={})
    assert done.last is Step.FAILED
    assert done.result["errorType"] == "SettingsError"
    assert "HOLDSTILL_TABLE is missing" in done.result["errorMessage"]
    assert done.called_ms is None


@pytest.mark.parametrize(
    ("handler", "event", "action"),
    [(BACKUP, EVENT, "PutItem"), (SWEEP, {"not": "a schedule's"}, "Query")],
)
def test_every_client_can_be_made(
    start: Start, handler: str, event: Mapping[str, object], action: str
) -> None:
    """The asset reaches its first request, and ends with an error when AWS refuses that."""
    done = start(handler, event)
    assert done.action == f"DynamoDB_20120810.{action}"
    assert done.last is Step.FAILED
    assert "there is no AWS here" in done.result["errorMessage"]


def test_nothing_else_is_on_the_path(start: Start, tmp_path: Path) -> None:
    """The function sees boto3 and the runtime's client, but no package of this environment."""
    task = tmp_path / "task"
    task.mkdir()
    (task / "probe.py").write_text(PROBE)
    names = ["boto3", "awslambdaric", "aws_lambda_powertools", "typing_extensions", "pytest", "lab"]
    assert start("probe.handler", {"names": names}, task=task).result == ["boto3", "awslambdaric"]


@pytest.mark.parametrize("handler", [BACKUP, SWEEP])
def test_a_missing_dependency_is_noticed(start: Start, tmp_path: Path, handler: str) -> None:
    """Without one of its packages the asset does not even start: these tests can fail."""
    task = tmp_path / "task"
    shutil.copytree(build_asset(ROOT).folder, task)
    shutil.rmtree(task / "aws_lambda_powertools")
    done = start(handler, EVENT, task=task)
    assert done.last is Step.UNFIT
    assert "No module named 'aws_lambda_powertools'" in done.result["errorMessage"]
