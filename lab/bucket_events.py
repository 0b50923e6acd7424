"""How S3 tells of its objects, where MiniStack does it otherwise.

A lab that takes a configuration which S3 refuses would let a deployment pass that fails at AWS, or
worse: one that works there only because it threw out somebody else's notifications.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

Configuration = Mapping[str, Any]
"""MiniStack's: `events`, `filter_prefix` and `filter_suffix`, None where there is no filter."""

_OVERLAP = (
    "Configurations overlap. Configurations on the same bucket cannot share a common event type."
)
_OVERLAP_OF_FILTERS = (
    "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the "
    "prefixes are overlapping for the same event type."
)
_S3 = "s3.amazonaws.com"
_SECONDS = len("2026-11-26T07:15:59")


def overlap(configurations: Sequence[Configuration]) -> str | None:
    """Return S3's words for two configurations that one event would meet; None if there are none.

    "Notification configurations with object key name filtering", Amazon S3 User Guide; what they
    are sent to makes no difference. The words are those that users quote.
    """
    for one, other in combinations(configurations, 2):
        events = any(
            _event_meets(ours, theirs) for ours in one["events"] for theirs in other["events"]
        )
        if events and _prefixes_meet(one, other) and _suffixes_meet(one, other):
            return _OVERLAP_OF_FILTERS if _filtered(one) or _filtered(other) else _OVERLAP
    return None


def as_eventbridge_tells(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event as S3 gives it to EventBridge, from one as MiniStack does.

    The examples of the user guide ("EventBridge event message structure") have whole seconds, and
    sequencers without the zero byte that those of S3's own messages begin with.
    """
    detail = json.loads(event["Detail"])
    sequencer = detail["object"].get("sequencer", "")
    while sequencer.startswith("00"):  # MiniStack's have two where S3's have one
        sequencer = sequencer.removeprefix("00")
    detail["object"]["sequencer"] = sequencer
    time = f"{event['Time'][:_SECONDS]}Z"
    return {**event, "Time": time, "Detail": json.dumps(detail)}


def queue_policy(queue_arn: str, *buckets: str) -> str:
    """Return the policy by which a queue lets these buckets of its own account send to it.

    "Granting permissions to publish event notification messages", Amazon S3 User Guide.
    """
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": _S3},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {
            "ArnLike": {"aws:SourceArn": [f"arn:aws:s3:::{bucket}" for bucket in buckets]},
            "StringEquals": {"aws:SourceAccount": queue_arn.split(":")[4]},
        },
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def patch_queues(sqs: Any, iam_evaluator: Any) -> None:
    """Let a queue's policy decide what S3 sends to it, and so which notifications S3 takes.

    S3 tries each queue while a notification is put, unless it is told not to, and refuses the whole
    if one lets the bucket not in. MiniStack asks the policy only with AUTH=true, together with all
    others, and then says of S3 that it came in the clear. Whom else the queue lets in is not asked.
    """
    lets_in: Callable[[str, str, str, str], bool] = sqs.queue_policy_allows

    def judged(queue_arn: str, service: str, source_arn: str, source_account: str) -> bool:
        if service != _S3:
            return lets_in(queue_arn, service, source_arn, source_account)
        policy, _ = sqs.queue_policy_for_arn(queue_arn) or ("", None)
        asked = iam_evaluator.EvalContext(
            principal_arn="*",
            principal_type="Service",
            principal_account="",  # S3 is no principal of the bucket's account
            action="sqs:SendMessage",
            resource_arn=queue_arn,
            region=queue_arn.split(":")[3],
            secure_transport=True,
            service_context={"aws:sourcearn": source_arn, "aws:sourceaccount": source_account},
        )
        verdict = iam_evaluator.evaluate_resource_policy(policy or None, asked, service=service)
        return bool(verdict.decision == "Allow")

    sqs.queue_policy_allows = judged


def patch(s3: Any, eventbridge: Any) -> None:
    """Let MiniStack refuse overlaps, spell filters as S3 does, and tell EventBridge as S3 does."""
    validate, to_xml = s3._validate_notification_configs, s3._notification_configs_to_xml  # noqa: SLF001
    dispatch: Callable[..., None] = eventbridge._dispatch_event  # noqa: SLF001

    def checked(configurations: list[Configuration], *others: Any) -> Any:
        if fault := overlap(configurations):
            return s3._invalid_notification_config(fault)  # noqa: SLF001
        return validate(configurations, *others)

    def spelt(*arguments: Any) -> str:
        xml: str = to_xml(*arguments)
        for name in ("prefix", "suffix"):
            xml = xml.replace(f"<Name>{name}</Name>", f"<Name>{name.capitalize()}</Name>")
        return xml

    def dispatched(event: dict[str, Any], *others: Any) -> None:
        of_s3 = event.get("Source") == "aws.s3"
        dispatch(as_eventbridge_tells(event) if of_s3 else event, *others)

    s3._validate_notification_configs = checked  # noqa: SLF001
    s3._notification_configs_to_xml = spelt  # noqa: SLF001
    eventbridge._dispatch_event = dispatched  # noqa: SLF001


def _event_meets(one: str, other: str) -> bool:
    """Return whether there is an event that both names mean; `*` is a name's last part."""
    if one.endswith("*"):
        return other.startswith(one[:-1])
    return one == other or (other.endswith("*") and one.startswith(other[:-1]))


def _prefixes_meet(one: Configuration, other: Configuration) -> bool:
    ours, theirs = one["filter_prefix"] or "", other["filter_prefix"] or ""
    return bool(ours.startswith(theirs) or theirs.startswith(ours))


def _suffixes_meet(one: Configuration, other: Configuration) -> bool:
    ours, theirs = one["filter_suffix"] or "", other["filter_suffix"] or ""
    return bool(ours.endswith(theirs) or theirs.endswith(ours))


def _filtered(configuration: Configuration) -> bool:
    return bool(configuration["filter_prefix"] or configuration["filter_suffix"])
