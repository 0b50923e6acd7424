"""How much there may be: sites in a stack, distributions in a role, rows in the table."""

import json
from pathlib import Path

import pytest

from functions.domain.site import EventSource
from infra import naming
from infra.asset import Asset
from infra.configuration import parse_configuration
from infra.stacks import StackTooLargeError, add_stacks, make_app, synthesize
from infra.uploads import RoleTooLargeError
from tests.infra.template_reading import Resource, Templates, as_list, everywhere, flat, of_type


def many(sites: int, *, cap: str = "", each: int = 1) -> str:
    """Return a configuration of so many sites, each with a bucket and distributions of its own."""
    ids = (f"E{number:012d}" for number in range(sites * each))
    return "".join(
        f'[sites.site-{number:03d}]\nbucket = "{"b" * 59}-{number:03d}"\n'
        f"distributions = {json.dumps([next(ids) for _ in range(each)])}\n{cap}\n"
        for number in range(sites)
    )


def synthesized(text: str, outdir: Path) -> Templates:
    """Synthesize with an asset of one empty file: its content is no matter here."""
    code = outdir / "code"
    code.mkdir()
    (code / "empty.py").touch()
    app = make_app(outdir / "cdk.out")
    add_stacks(app, parse_configuration(text, "sites.toml"), Asset(code, "0" * 64))
    return {
        stack.stack_name: json.loads(Path(stack.template_full_path).read_text())
        for stack in synthesize(app).stacks
    }


@pytest.mark.parametrize("events", list(EventSource))
def test_two_hundred_sites_fit(tmp_path: Path, events: EventSource) -> None:
    """With a cap each: under CloudFormation's limits, and every policy under IAM's."""
    templates = synthesized(many(200, cap=f'monthly_cap_usd = 5\nevents = "{events}"'), tmp_path)
    template = templates[naming.UPLOADS_STACK]
    assert len(template["Resources"]) <= 450
    assert len(template["Outputs"]) == 200
    assert len(json.dumps(template)) < 900_000
    place = {"<AWS::Partition>": "aws-us-gov", "<AWS::AccountId>": "1" * 12}
    policies = of_type(template, "AWS::IAM::ManagedPolicy").values()
    assert 1 < len(policies) <= 10
    for policy in policies:
        document = policy["Properties"]["PolicyDocument"]
        size = len(json.dumps(flattened(document), separators=(",", ":")))
        for reference, value in place.items():
            count = json.dumps(flattened(document)).count(reference)
            size += count * (len(value) - len(reference))
        assert size <= 6_144


def flattened(document: Resource) -> object:
    """Return a policy's document with its references as text."""
    return {
        **document,
        "Statement": [
            {**statement, "Resource": [flat(found) for found in as_list(statement["Resource"])]}
            for statement in document["Statement"]
        ],
    }


def test_more_sites_than_a_stack_holds_are_refused(tmp_path: Path) -> None:
    """Synth says so, and what to do; CloudFormation says so in mid-deployment."""
    with pytest.raises(StackTooLargeError, match="holdstill-uploads would have 201 outputs"):
        synthesized(many(201), tmp_path)


def test_more_distributions_than_a_role_holds_are_refused(tmp_path: Path) -> None:
    """IAM's quota is a clear error as well."""
    with pytest.raises(RoleTooLargeError, match="would need 12 policies of 60"):
        synthesized(many(60, each=11), tmp_path)


def test_rows_that_are_only_remembered_are_deleted_by_the_table(templates: Templates) -> None:
    """The attribute is the one that the rows have."""
    (table,) = everywhere(templates, "AWS::DynamoDB::Table")
    assert table["TimeToLiveSpecification"] == {
        "AttributeName": "delete_after_s",
        "Enabled": True,
    }
