"""What the functions reach: their own rows, queues, distributions and buckets, and no others'."""

from infra import naming
from tests.infra.granted import Grants
from tests.infra.template_reading import (
    Template,
    Templates,
    as_list,
    identity_statements,
    queue_id,
)
from tests.infra.uploads.conftest import BUCKET, COLLECT, INVALIDATE

DISTRIBUTION = "arn:<AWS::Partition>:cloudfront::<AWS::AccountId>:distribution/"


def test_collecting_touches_objects_and_distributions_alone(template: Template) -> None:
    """Neither the account's calls nor a database's runs; no bucket, and no call of CloudFront."""
    may = Grants(template, COLLECT)
    for action in ("BatchGetItem", "PutItem"):
        assert may.row(action, "OBJECT#static#0123")
    for action in ("DeleteItem", "GetItem", "PutItem", "Query"):
        assert may.row(action, "DISTRIBUTION#E1EXAMPLE")
    for action in may.actions("dynamodb"):
        assert not may.row(action, "ACCOUNT")
        assert not may.row(action, "TARGET#recipes-db")
    assert not may.actions("cloudfront")
    assert not may.actions("s3")
    uploads_arn, wakes_arn = queue_arns(template)
    assert may.call("sqs:ReceiveMessage", uploads_arn)
    assert may.call("sqs:SendMessage", wakes_arn)
    assert not may.call("sqs:ReceiveMessage", wakes_arn)
    assert not may.call("sqs:SendMessage", uploads_arn)


def test_invalidating_reaches_the_sites_own_distributions_and_buckets_alone(
    template: Template,
) -> None:
    """Three calls of CloudFront, one of S3, by name; no object's row and no database's."""
    may = Grants(template, INVALIDATE)
    assert may.actions("cloudfront") == {
        "CreateInvalidation",
        "GetInvalidation",
        "ListInvalidations",
    }
    assert may.actions("s3") == {"ListBucket"}
    for distribution in ("E1EXAMPLE", "E2EXAMPLE"):
        assert may.call("cloudfront:CreateInvalidation", f"{DISTRIBUTION}{distribution}")
    assert not may.call("cloudfront:CreateInvalidation", f"{DISTRIBUTION}EFOREIGN")
    for bucket in ("example-static", "example-shop"):
        assert may.call("s3:ListBucket", f"{BUCKET}{bucket}")
    assert not may.call("s3:ListBucket", f"{BUCKET}example-foreign")
    for action in ("Query", "GetItem", "PutItem", "DeleteItem", "ConditionCheckItem"):
        assert may.row(action, "DISTRIBUTION#E1EXAMPLE")
    for action in ("GetItem", "PutItem", "UpdateItem"):
        assert may.row(action, "ACCOUNT")
    for action in may.actions("dynamodb"):
        assert not may.row(action, "OBJECT#static#0123")
        assert not may.row(action, "TARGET#recipes-db")
    uploads_arn, wakes_arn = queue_arns(template)
    assert may.call("sqs:ReceiveMessage", wakes_arn)
    assert may.call("sqs:SendMessage", wakes_arn)
    assert not may.call("sqs:ReceiveMessage", uploads_arn)


def test_no_function_of_another_stack_reaches_an_uploads_row(templates: Templates) -> None:
    """A backup's conductor and its sweep know runs and leases of targets, and nothing of sites."""
    for name, found in templates.items():
        if name != naming.UPLOADS_STACK:
            conditions = [
                statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
                for _, statement in identity_statements(found)
                if "dynamodb" in str(statement["Action"]) and "Condition" in statement
            ]
            assert conditions
            assert all(as_list(keys) == ["TARGET#*"] for keys in conditions)


def queue_arns(template: Template) -> tuple[str, str]:
    """Return the ARNs of the uploads' queue and of the wakes'."""
    names = (naming.UPLOADS_QUEUE, naming.WAKES_QUEUE)
    uploads_arn, wakes_arn = (f"<{queue_id(template, name)}.Arn>" for name in names)
    return uploads_arn, wakes_arn
