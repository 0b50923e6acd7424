"""What others think of the templates: cfn-lint, and cdk-nag's AWS Solutions rules."""

import json
import re
from pathlib import Path
from typing import Final

import pytest
from aws_cdk import Validations
from cdk_nag import AwsSolutionsChecks
from cfnlint.api import ManualArgs, lint

from infra.asset import Asset
from infra.configuration import parse_configuration
from infra.stacks import add_stacks, make_app, synthesize
from tests.infra.conftest import CONFIGURATION
from tests.infra.template_reading import Templates

_ARN: Final = "arn:<AWS::Partition>:{}:<AWS::Region>:{}:"
_ACCOUNT: Final = "<AWS::AccountId>"

ACCEPTED: Final = {
    "AwsSolutions-L1": "python3.13: the newest that the dependencies were tested with",
    "AwsSolutions-IAM5[Resource::*]": "EC2's Describe calls take no resource",
    f"AwsSolutions-IAM5[Resource::{_ARN.format('logs', _ACCOUNT)}log-group:/aws/lambda/NAME:*]": (
        "the streams of the function's own log group"
    ),
    f"AwsSolutions-IAM5[Resource::{_ARN.format('sqs', _ACCOUNT)}holdstill-NN-*-commands]": (
        "the fleet's own command queues: 60 ARNs would not fit into the role's policy"
    ),
    f"AwsSolutions-IAM5[Resource::{_ARN.format('sqs', _ACCOUNT)}holdstill-NN-*-replies]": (
        "the fleet's own reply queues, likewise"
    ),
    f"AwsSolutions-IAM5[Resource::{_ARN.format('ec2', _ACCOUNT)}volume/*]": (
        "a target's volumes are known only when its agent has found them"
    ),
    f"AwsSolutions-IAM5[Resource::{_ARN.format('ec2', _ACCOUNT)}instance/*]": (
        "CreateSnapshots authorises the instance beside its volumes"
    ),
    f"AwsSolutions-IAM5[Resource::{_ARN.format('ec2', '')}snapshot/*]": (
        "a snapshot has no id before it is made; conditions on our tag bound what can be done"
    ),
}
"""Each finding that stays, and why. A new one fails the test, and so does one that is gone."""


def test_cfn_lint_finds_nothing(templates: Templates) -> None:
    """Every template is what CloudFormation documents."""
    rules = ManualArgs(regions=["ap-northeast-1"], ignore_checks=["W3005"])  # CDK's own DependsOn
    found = {name: lint(json.dumps(template), config=rules) for name, template in templates.items()}
    assert not {name: [str(match) for match in found[name]] for name in found if found[name]}


def test_cdk_nag_finds_only_what_is_accepted(tmp_path: Path, asset: Asset) -> None:
    """Every finding of the AWS Solutions rules is one that stands above, with its reason."""
    app = make_app(tmp_path)
    add_stacks(app, parse_configuration(CONFIGURATION, "holdstill.toml"), asset)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        synthesize(app)
    report = json.loads((tmp_path / "validation-report.json").read_text())
    (nag,) = (r for r in report["pluginReports"] if r["pluginName"] == "AwsSolutions")
    assert {general(finding["ruleName"]) for finding in nag["violations"]} == ACCEPTED.keys()


def general(rule: str) -> str:
    """Return a finding without the fleet's number and the function's name."""
    rule = re.sub(r"/aws/lambda/holdstill-[\w-]+", "/aws/lambda/NAME", rule)
    return re.sub(r"holdstill-\d\d-", "holdstill-NN-", rule)
