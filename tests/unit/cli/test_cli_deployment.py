"""What the command line learns of a deployment, and what it says where there is none."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
)
from botocore.session import Session
from botocore.stub import Stubber

from cli import aws, deployment
from cli.errors import MisuseError, NoAnswerError, NotDeployedError
from functions.domain.sites import Sites
from infra import naming
from tests.twins.deployed import SHOP, STATIC

ROOT = Path(__file__).parents[3]


def outputs(*sites: Any) -> dict[str, str]:
    """Return the outputs of a stack with these sites."""
    return {
        naming.site_output(site.name): json.dumps(
            {
                "site": json.loads(Sites.of([site]).to_json())["sites"][0],
                "table": "holdstill",
                "wakes_url": "https://sqs/wakes",
            }
        )
        for site in sites
    }


def found(answer: dict[str, str] | tuple[str, str]) -> deployment.Deployment:
    """Return what is found where CloudFormation gives these outputs, or this code and message."""
    session = Session()
    session.set_credentials("x", "x")
    client: Any = session.create_client("cloudformation", "eu-central-1")
    with Stubber(client) as stub:
        if isinstance(answer, tuple):
            stub.add_client_error("describe_stacks", *answer)
        else:
            pairs = [{"OutputKey": key, "OutputValue": value} for key, value in answer.items()]
            stack = {
                "StackName": naming.UPLOADS_STACK,
                "CreationTime": 0,
                "StackStatus": "CREATE_COMPLETE",
                "Outputs": pairs,
            }
            stub.add_response(
                "describe_stacks", {"Stacks": [stack]}, {"StackName": naming.UPLOADS_STACK}
            )
        return deployment.find(client)


def test_the_sites_are_those_of_the_stacks_outputs() -> None:
    """Whole, with each rule; other outputs are none of its business."""
    here = found({**outputs(STATIC, SHOP), "DeadLetters": "https://sqs/dead"})
    assert here.sites == Sites.of([SHOP, STATIC])
    assert (here.table, here.wakes_url) == ("holdstill", "https://sqs/wakes")


@pytest.mark.parametrize(
    ("answer", "failure", "said"),
    [
        (
            ("ValidationError", "Stack with id holdstill-uploads does not exist"),
            NotDeployedError,
            "There is no stack holdstill-uploads in eu-central-1. Deploy it with",
        ),
        (("AccessDenied", "not authorized"), NoAnswerError, "refuses to describe"),
        ({}, NotDeployedError, "has no site"),
        ({"SiteStatic": "{}"}, NotDeployedError, "not what this version reads"),
        ({"SiteStatic": "static"}, NotDeployedError, "not what this version reads"),
        ({"SiteStatic": "[1]"}, NotDeployedError, "not what this version reads"),
    ],
)
def test_what_is_not_deployed_is_said(
    answer: dict[str, str] | tuple[str, str], failure: type[Exception], said: str
) -> None:
    """With what to do about it."""
    with pytest.raises(failure, match=said):
        found(answer)


@pytest.mark.parametrize(
    ("error", "failure", "said"),
    [
        (NoCredentialsError(), NoAnswerError, "say --profile NAME"),
        (NoRegionError(), MisuseError, "say --region"),
        (ProfileNotFound(profile="x"), MisuseError, "aws configure list-profiles"),
        (EndpointConnectionError(endpoint_url="https://x"), NoAnswerError, "cannot be reached"),
        (ClientError({"Error": {"Code": "ExpiredToken"}}, "x"), NoAnswerError, "ExpiredToken"),
    ],
)
def test_what_keeps_aws_from_answering_is_said(
    error: Exception, failure: type[Exception], said: str
) -> None:
    """A misuse is the command's, the rest is not."""

    def ask() -> Any:
        raise error

    with pytest.raises(failure, match=said):
        aws.explained(ask)


def test_whoever_sts_does_not_know_goes_by_his_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is for the history, and keeps nobody from clearing."""

    class Sts:
        """Refuses."""

        def get_caller_identity(self) -> Any:
            """Refuse."""
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetCallerIdentity")

    monkeypatch.setenv("LOGNAME", "maki")
    assert aws.caller(Sts()).startswith("maki,")


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container, whose user may have no entry in passwd."""

    class Sts:
        """Refuses."""

        def get_caller_identity(self) -> Any:
            """Refuse."""
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetCallerIdentity")

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_001)
    assert aws.caller(Sts()) == "user 4000000001, as this machine knows him"


def test_an_endpoint_that_is_none_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variable that may have it; a Region that is none is a misuse too."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    with pytest.raises(MisuseError, match=r"nonsense: .*AWS_ENDPOINT_URL"):
        aws.connect(None, "eu-central-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    with pytest.raises(MisuseError, match=r"x_y.*A Region is such as eu-central-1"):
        aws.connect(None, "x_y")


def test_the_program_runs_from_anywhere(tmp_path: Path) -> None:
    """A module of the folder where somebody works is not taken for one of ours."""
    (tmp_path / "click.py").write_text("raise SystemExit('hijacked')")
    program = ROOT / "scripts" / "holdstill"
    done = subprocess.run(
        [program, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("Usage: holdstill "), done.stderr
    assert done.returncode == 0


def test_importing_the_command_brings_no_cdk_and_no_handler() -> None:
    """It starts in a fraction of a second."""
    heavy = ("aws_cdk", "boto3", "aws_lambda_powertools", "functions.backup")
    program = f"import sys, cli.app; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'agent' / 'src'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
