"""The uploads' stack: from a bucket's messages to the invalidations of its distributions."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from functions.domain.site import Site
from functions.domain.sites import Sites
from infra import alarms, naming, permissions
from infra.asset import Asset, with_files
from infra.errors import InfraError
from infra.functions import Function
from infra.notifications import add_notifications, queue_statements
from infra.queues import DEAD_LETTER_RETENTION_S, guarded_queue
from infra.schedules import schedule, starting_role

SITES_FILE: Final = "functions/sites.json"
"""Where both functions find their sites: a Lambda's variables hold 4 KB together."""

_COLLECT_MEMORY_MB: Final = 512
_COLLECT_TIMEOUT_S: Final = 20
_INVALIDATE_MEMORY_MB: Final = 1024
_INVALIDATE_TIMEOUT_S: Final = 120
_MESSAGES: Final = 10
"""The most that Lambda gives at once without waiting for more of them."""
_COLLECTORS: Final = 10
_TURNS: Final = 10
_VISIBILITY_TIMEOUTS: Final = 6
"""Lambda tries again by itself where the function is throttled: AWS wants this many times its
timeout, or a message is given to another one meanwhile."""
_UPLOADS_RETENTION_S: Final = 4 * 24 * 3600
"""A long weekend: nothing but a deletion of the stack should lose an upload."""
_WAKES_RETENTION_S: Final = 3600
"""Three receives take 36 minutes. A wake that is lost is made up for by the minute's sweep."""
_WAITED_TOO_LONG_S: Final = 600
_ARNS_A_POLICY: Final = 60
"""A managed policy holds 6,144 characters, and the longest ARN of a bucket has 83."""
_POLICIES: Final = 10
"""IAM's quota for one role, unless it is raised."""


class RoleTooLargeError(InfraError):
    """More distributions and buckets are configured than one role can be granted."""


class UploadsStack(Stack):
    """Everything between an upload and its invalidation, and the outputs that tell of each site.

    It refers to the core stack by physical names alone, as the fleets do.
    """

    def __init__(self, scope: Construct, *, sites: Mapping[str, Site], asset: Asset) -> None:
        super().__init__(
            scope, naming.UPLOADS_STACK, description="Holdstill: what clears CloudFront's caches"
        )
        every = [site for _, site in sorted(sites.items())]
        self._sites = Sites.of(every)
        self._asset = with_files(asset, {SITES_FILE: self._sites.to_json().encode()})
        dead_letters = self._dead_letters()
        uploads = guarded_queue(
            self,
            "Uploads",
            name=naming.UPLOADS_QUEUE,
            retention_s=_UPLOADS_RETENTION_S,
            visibility_s=_VISIBILITY_TIMEOUTS * _COLLECT_TIMEOUT_S,
            dead_letters_arn=dead_letters.attr_arn,
            guards=lambda arn: queue_statements(every, arn),
        )
        wakes = guarded_queue(
            self,
            "Wakes",
            name=naming.WAKES_QUEUE,
            retention_s=_WAKES_RETENTION_S,
            visibility_s=_VISIBILITY_TIMEOUTS * _INVALIDATE_TIMEOUT_S,
            dead_letters_arn=dead_letters.attr_arn,
        )
        self._collect(uploads, wakes)
        self._invalidate(wakes)
        add_notifications(self, sites=every, queue=uploads, asset=asset)
        for site in every:
            self._site(site, wakes)

    def _dead_letters(self) -> sqs.CfnQueue:
        queue = guarded_queue(
            self,
            "DeadLetters",
            name=naming.UPLOADS_DEAD_LETTERS,
            retention_s=DEAD_LETTER_RETENTION_S,
        )
        alarms.sounds_above_zero(
            self,
            "DeadLettersAlarm",
            name=naming.UPLOADS_DEAD_LETTERS,
            description="A bucket's message could not be read, or a turn failed three times",
            namespace="AWS/SQS",
            metric="ApproximateNumberOfMessagesVisible",
            dimensions={"QueueName": naming.UPLOADS_DEAD_LETTERS},
            statistic="Maximum",
        )
        return queue

    def _collect(self, uploads: sqs.CfnQueue, wakes: sqs.CfnQueue) -> None:
        collect = Function(
            self,
            "CollectUploads",
            name=naming.COLLECT_UPLOADS,
            service=naming.COLLECT_UPLOADS,
            handler="functions.collect_uploads.handler",
            asset=self._asset,
            memory_mb=_COLLECT_MEMORY_MB,
            timeout_s=_COLLECT_TIMEOUT_S,
            statements=permissions.collect_uploads(uploads.attr_arn, wakes.attr_arn),
            environment={"HOLDSTILL_WAKES_URL": wakes.ref},
        )
        collect.read(uploads, batch_size=_MESSAGES, at_once=_COLLECTORS)
        # Until a message is read no row tells of it, and none that is never read is a dead letter.
        alarms.sounds_above(
            self,
            "Uncollected",
            name=f"{naming.PREFIX}-uploads-uncollected",
            description=f"A bucket's message has lain unread for over {_WAITED_TOO_LONG_S} s"
            f": does {naming.COLLECT_UPLOADS} run?",
            namespace="AWS/SQS",
            metric="ApproximateAgeOfOldestMessage",
            dimensions={"QueueName": naming.UPLOADS_QUEUE},
            statistic="Maximum",
            threshold=_WAITED_TOO_LONG_S,
        )

    def _invalidate(self, wakes: sqs.CfnQueue) -> None:
        """Make the function, and wake it each minute.

        A failed sweep is no dead letter: the next one is a minute away, and the errors sound.
        """
        invalidate = Function(
            self,
            "Invalidate",
            name=naming.INVALIDATE,
            service=naming.INVALIDATE,
            handler="functions.invalidate.handler",
            asset=self._asset,
            memory_mb=_INVALIDATE_MEMORY_MB,
            timeout_s=_INVALIDATE_TIMEOUT_S,
            statements=permissions.invalidate(wakes.attr_arn),
            environment={"HOLDSTILL_WAKES_URL": wakes.ref},
            policies=self._policies(),
        )
        invalidate.read(wakes, batch_size=1, at_once=_TURNS)
        start = starting_role(self, "SweepStart", permissions.start(invalidate.arn))
        schedule(
            self,
            "SweepSchedule",
            name=naming.INVALIDATE,
            expression="rate(1 minute)",
            timezone="UTC",
            function_arn=invalidate.arn,
            role_arn=start.role_arn,
            message=json.dumps({"v": 1, "sweep": "uploads"}),
        )
        self._waiting(invalidate)

    def _waiting(self, invalidate: Function) -> None:
        """Sound for any distribution: what is measured of each is counted again without it.

        An alarm for each would cost a dime and a resource each. Sweeps measure every minute, so
        an alarm of their silence stands for all that is not measured. They alone are counted: on a
        busy site wakes start the function all the time, whether or not its schedule is there.
        """
        alarms.sounds_for_lines(
            self,
            "Waiting",
            name=f"{naming.PREFIX}-uploads-waiting",
            description=f"An upload has waited for its invalidation for over {_WAITED_TOO_LONG_S} s"
            f": see OldestWaiting, or the log group {naming.log_group(naming.INVALIDATE)}",
            log_group=invalidate.log_group,
            lines=f"{{ $.OldestWaiting[0] > {_WAITED_TOO_LONG_S} }}",
            metric="WaitingTooLongAnywhere",
        )
        alarms.sounds_for_lines(
            self,
            "SetAside",
            name=f"{naming.PREFIX}-paths-set-aside",
            description="CloudFront refused a path for good: its file may be shown as it was",
            log_group=invalidate.log_group,
            lines="{ $.PathsSetAside[0] > 0 }",
            metric="PathsSetAsideAnywhere",
        )
        alarms.sounds_without_lines(
            self,
            "Silent",
            name=f"{naming.INVALIDATE}-silent",
            description="No sweep has looked at every distribution for five minutes: what a lost "
            "wake has left waits unseen",
            log_group=invalidate.log_group,
            lines='{ $.message = "uploads-swept" }',
            metric="UploadsSwept",
        )

    def _policies(self) -> list[str]:
        """Make the policies that grant each distribution and each bucket; return their ARNs."""
        buckets = tuple(dict.fromkeys(site.bucket for site in self._sites.by_name.values()))
        statements = [
            *map(permissions.clear, _parts(self._sites.distributions)),
            *map(permissions.list_objects, _parts(buckets)),
        ]
        if len(statements) > _POLICIES:
            raise RoleTooLargeError(
                f"{naming.UPLOADS_STACK} would need {len(statements)} policies of "
                f"{_ARNS_A_POLICY} distributions or buckets, and a role takes {_POLICIES}: deploy "
                "some of its sites from another account or Region"
            )
        return [
            iam.CfnManagedPolicy(
                self, f"Sites{number}", policy_document=permissions.document([statement])
            ).ref
            for number, statement in enumerate(statements)
        ]

    def _site(self, site: Site, wakes: sqs.CfnQueue) -> None:
        if site.monthly_cap_usd is not None:
            cap = f"Cap{naming.pascal(site.name)}"
            alarms.sounds_near_cap(self, cap, site=site.name, cap_usd=site.monthly_cap_usd)
        # Written by Python, which escapes what is not ASCII: CloudFormation makes it a `?`.
        (entry,) = json.loads(Sites.of([site]).to_json())["sites"]
        told = json.dumps({"site": entry, "table": naming.TABLE}).removesuffix("}")
        output = naming.site_output(site.name)
        CfnOutput(self, output, value=f'{told}, "wakes_url": "{wakes.ref}"}}')


def _parts(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[at : at + _ARNS_A_POLICY] for at in range(0, len(names), _ARNS_A_POLICY))
