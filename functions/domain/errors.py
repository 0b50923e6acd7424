"""What the functions raise, by whose fault it is."""

from collections.abc import Sequence


class HoldstillError(Exception):
    """Base of all that the functions raise on purpose."""


class ConfigurationError(HoldstillError):
    """The operator's: an environment or an event that cannot be obeyed. `faults` names each."""

    def __init__(self, subject: str, faults: Sequence[str]) -> None:
        super().__init__(f"{subject}: " + "; ".join(faults))
        self.faults = tuple(faults)


class SettingsError(ConfigurationError):
    """The function's environment lacks something, or holds something that cannot be."""


class RequestError(ConfigurationError):
    """The schedule's input is not what a schedule of Holdstill sends."""


class PlanRefusedError(HoldstillError):
    """The host is ready, but the conductor's own checks forbid the freeze. Nothing is held."""


class RunFailedError(HoldstillError):
    """The run is over and recorded, and made no snapshot of the kind its host is set up for."""


class AwsError(HoldstillError):
    """AWS did not do what was asked."""


class QueueError(AwsError):
    """SQS could not be reached, or refused."""


class TableError(AwsError):
    """DynamoDB could not be reached, or refused other than by a condition."""


class Ec2Error(AwsError):
    """EC2 could not be reached, or refused, outside the freeze window."""


class CloudFrontError(AwsError):
    """CloudFront could not be reached, or refused, where nothing was to be made."""


class NoSuchDistributionError(CloudFrontError):
    """CloudFront has no such distribution, so nothing of it is in progress."""


class NotFoundYetError(CloudFrontError):
    """An invalidation was looked for among `looked` ones in vain; there are more that it may be."""

    def __init__(self, looked: int) -> None:
        super().__init__(f"not among the {looked} that it most likely was")
        self.looked = looked


class BucketError(AwsError):
    """S3 could not be reached, or refused to list or to configure a bucket."""


class SnapshotNotListedError(Ec2Error):
    """EC2 does not know the snapshot yet: it lists late, so ask again."""


class SnapshotRefusedError(AwsError):
    """EC2 definitely made no snapshot."""


class SnapshotUnknownError(AwsError):
    """The snapshot call has no answer that can be trusted: EC2 may have made one, or none."""
