"""The laws of the notifications' template: whom it lets in, in which order, and how much of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aws_cdk import App, Stack

from functions.domain.notified_buckets import Wanted
from functions.domain.site import EventSource, Site
from infra import notifications
from infra.queues import guarded_queue
from tests.infra.template_reading import flat, of_type

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from infra.asset import Asset

ACCOUNT = "<AWS::AccountId>"


def site(name: str, bucket: str, origin: str = "", events: str = "s3") -> Site:
    """Return a site."""
    return Site(name, bucket, ("E1EXAMPLE",), origin, events=EventSource(events))


SITES = [
    site("shop", "example-shop", "/shop"),
    site("blog", "example-shop", "/blog"),
    site("static", "example-static"),
    site("taken", "example-taken", events="eventbridge"),
]


def template_of(sites: Sequence[Site], asset: Asset, folder: Path) -> dict[str, Any]:
    """Synthesize a stack with the uploads' queue and the sites' notifications."""
    app = App(outdir=str(folder), analytics_reporting=False)
    stack = Stack(app, "uploads")
    queue = guarded_queue(
        stack,
        "Uploads",
        name="holdstill-uploads",
        retention_s=3600,
        guards=lambda arn: notifications.queue_statements(sites, arn),
    )
    notifications.add_notifications(stack, sites=sites, queue=queue, asset=asset)
    template: dict[str, Any] = app.synth().get_stack_by_name("uploads").template
    return template


def resources_by_bucket(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the custom resources by their buckets."""
    found = of_type(template, notifications.RESOURCE).values()
    return {resource["Properties"]["Bucket"]: dict(resource) for resource in found}


def allowed(template: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the queue's policy allows."""
    (policy,) = of_type(template, "AWS::SQS::QueuePolicy").values()
    statements = policy["Properties"]["PolicyDocument"]["Statement"]
    return [statement for statement in statements if statement["Effect"] == "Allow"]


def test_each_bucket_has_one_resource_that_says_what_is_wanted(
    asset: Asset, tmp_path: Path
) -> None:
    """The sites of a bucket share it; the handler reads it as it was written."""
    template = template_of(SITES, asset, tmp_path)
    resources = resources_by_bucket(template)
    assert set(resources) == {"example-shop", "example-static", "example-taken"}
    shop = Wanted.from_properties(resources["example-shop"]["Properties"] | {"QueueArn": "q"})
    assert shop == Wanted("example-shop", EventSource.S3, "q", ("blog/", "shop/"))
    static = resources["example-static"]["Properties"]
    assert static["Prefixes"] == [""]
    assert flat(static["QueueArn"]) == "<Uploads.Arn>"
    assert resources["example-taken"]["Properties"]["Events"] == "eventbridge"


def test_a_bucket_keeps_its_logical_id_whatever_sites_it_has(asset: Asset, tmp_path: Path) -> None:
    """A renamed site moves no resource: CloudFormation would delete the old one last."""
    ids = [
        set(of_type(template_of(sites, asset, tmp_path / sites[0].name), notifications.RESOURCE))
        for sites in ([site("a", "example-static")], [site("b", "example-static", "/x")])
    ]
    assert ids[0] == ids[1]


def test_the_queue_lets_in_the_sites_buckets_and_nobody_elses(asset: Asset, tmp_path: Path) -> None:
    """By the bucket and by its owner's account: a name can pass to somebody else."""
    by_s3, by_eventbridge = allowed(template_of(SITES, asset, tmp_path))
    assert by_s3["Principal"] == {"Service": "s3.amazonaws.com"}
    assert by_s3["Action"] in ("sqs:SendMessage", ["sqs:SendMessage"])
    condition = by_s3["Condition"]
    assert [flat(arn) for arn in condition["ArnLike"]["aws:SourceArn"]] == [
        "arn:<AWS::Partition>:s3:::example-shop",
        "arn:<AWS::Partition>:s3:::example-static",
        "arn:<AWS::Partition>:s3:::example-taken",
    ]
    assert flat(condition["StringEquals"]["aws:SourceAccount"]) == ACCOUNT
    assert by_eventbridge["Principal"] == {"Service": "events.amazonaws.com"}
    (rules,) = by_eventbridge["Condition"]["ArnLike"]["aws:SourceArn"]
    assert flat(rules).endswith(":rule/holdstill-uploads-*")
    assert flat(by_eventbridge["Condition"]["StringEquals"]["aws:SourceAccount"]) == ACCOUNT


def test_a_change_of_events_shuts_nobody_out(asset: Asset, tmp_path: Path) -> None:
    """The policy changes before the notifications do: it is the same before and after."""
    before, after = (
        allowed(template_of([site("a", "example-static", events=way)], asset, tmp_path / way))
        for way in ("s3", "eventbridge")
    )
    assert before == after
    assert len(before) == 2


def test_the_notification_comes_after_all_that_it_needs(asset: Asset, tmp_path: Path) -> None:
    """S3 tries the queue at the write; and the function's role must still be there at the end."""
    template = template_of(SITES, asset, tmp_path)
    needed = {
        *of_type(template, "AWS::SQS::QueuePolicy"),
        *of_type(template, "AWS::Events::Rule"),
        *of_type(template, "AWS::IAM::Role"),
        *of_type(template, "AWS::Lambda::Function"),
    }
    for resource in of_type(template, notifications.RESOURCE).values():
        assert needed <= set(resource["DependsOn"])
        assert resource["Properties"]["ServiceTimeout"] == "300"


def test_the_rule_takes_what_the_buckets_tell_of_and_no_more(asset: Asset, tmp_path: Path) -> None:
    """Only of the sites' own buckets, of this account, and only what changes an object."""
    (rule,) = of_type(template_of(SITES, asset, tmp_path), "AWS::Events::Rule").values()
    pattern = rule["Properties"]["EventPattern"]
    assert pattern["detail"] == {"bucket": {"name": ["example-taken"]}}
    assert pattern["detail-type"] == ["Object Created", "Object Deleted"]
    assert pattern["source"] == ["aws.s3"]
    assert [flat(account) for account in pattern["account"]] == [ACCOUNT]
    (target,) = rule["Properties"]["Targets"]
    assert flat(target["Arn"]) == "<Uploads.Arn>"
    assert rule["Properties"]["Name"].startswith("holdstill-uploads-")


def test_the_function_may_touch_the_sites_notifications_and_nothing_else(
    asset: Asset, tmp_path: Path
) -> None:
    """Three actions on the named buckets of this account; else only its own log."""
    template = template_of(SITES, asset, tmp_path)
    (role,) = of_type(template, "AWS::IAM::Role").values()
    (own,) = role["Properties"]["Policies"]
    (on_logs,) = own["PolicyDocument"]["Statement"]
    assert all(action.startswith("logs:") for action in on_logs["Action"])
    touched = set()
    for policy in of_type(template, "AWS::IAM::Policy").values():
        (on_s3,) = policy["Properties"]["PolicyDocument"]["Statement"]
        assert on_s3["Action"] == [
            "s3:GetBucketLocation",
            "s3:GetBucketNotification",
            "s3:PutBucketNotification",
        ]
        assert flat(on_s3["Condition"]["StringEquals"]["aws:ResourceAccount"]) == ACCOUNT
        (bucket,) = on_s3["Resource"]
        touched.add(flat(bucket).rpartition(":")[2])
    assert touched == {"example-shop", "example-static", "example-taken"}


def test_a_bucket_that_is_taken_out_is_let_go_before_the_right_to_it(
    asset: Asset, tmp_path: Path
) -> None:
    """CloudFormation deletes what depends first; a right in a shared policy would be gone by then.

    Then our notification would stay, at a queue that lets the bucket in no more, and S3 would
    refuse whatever anybody else puts there.
    """
    template = template_of(SITES, asset, tmp_path)
    policies = of_type(template, "AWS::IAM::Policy")
    for bucket, resource in resources_by_bucket(template).items():
        (right,) = set(policies) & set(resource["DependsOn"])
        (statement,) = policies[right]["Properties"]["PolicyDocument"]["Statement"]
        assert flat(statement["Resource"][0]).endswith(f":{bucket}")


def test_the_rights_to_25_buckets_fit_into_a_role(asset: Asset, tmp_path: Path) -> None:
    """All inline policies of a role have 10,240 characters at most."""
    sites = [site(f"s{n}", f"{'b' * 60}-{n:02}") for n in range(25)]
    policies = of_type(template_of(sites, asset, tmp_path), "AWS::IAM::Policy").values()
    assert len(policies) == 25
    written = [json.dumps(one["Properties"]["PolicyDocument"]).replace(" ", "") for one in policies]
    assert sum(map(len, written)) < 10_240 - 500


def test_two_hundred_buckets_fit(asset: Asset, tmp_path: Path) -> None:
    """Into a queue's policy, a role's policy, event patterns, and a stack's 500 resources."""
    sites = [
        site(f"s{n}", f"{'b' * 59}-{n:03}", events=("s3", "eventbridge")[n % 2]) for n in range(200)
    ]
    template = template_of(sites, asset, tmp_path)
    assert len(template["Resources"]) < 230
    (queue_policy,) = of_type(template, "AWS::SQS::QueuePolicy").values()
    assert len(json.dumps(queue_policy["Properties"]["PolicyDocument"])) < 6_000
    (right,) = of_type(template, "AWS::IAM::Policy").values()
    (statement,) = right["Properties"]["PolicyDocument"]["Statement"]
    assert flat(statement["Resource"][0]) == "arn:<AWS::Partition>:s3:::*"
    assert flat(statement["Condition"]["StringEquals"]["aws:ResourceAccount"]) == ACCOUNT
    by_s3 = allowed(template)[0]
    (any_bucket,) = by_s3["Condition"]["ArnLike"]["aws:SourceArn"]
    assert flat(any_bucket) == "arn:<AWS::Partition>:s3:::*"
    assert flat(by_s3["Condition"]["StringEquals"]["aws:SourceAccount"]) == ACCOUNT
    rules = of_type(template, "AWS::Events::Rule").values()
    buckets = [
        bucket
        for rule in rules
        for bucket in rule["Properties"]["EventPattern"]["detail"]["bucket"]["name"]
    ]
    assert sorted(buckets) == sorted(s.bucket for s in sites if s.events is EventSource.EVENTBRIDGE)
    for rule in rules:
        assert len(json.dumps(rule["Properties"]["EventPattern"])) < 2_048


def test_without_sites_there_is_nothing(asset: Asset, tmp_path: Path) -> None:
    """Whoever only takes backups has no function that may change buckets."""
    template = template_of([], asset, tmp_path)
    assert set(of_type(template, "AWS::SQS::Queue")) == {"Uploads"}
    assert not of_type(template, "AWS::Lambda::Function")
    assert not allowed(template)
