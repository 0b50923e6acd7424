"""The deployed Holdstill of an account and Region: the functions' adapters with a person's keys."""

import getpass
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    InvalidRegionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.exceptions import (
    ConnectionError as UnreachableError,
)
from botocore.session import Session

from cli import deployment
from cli.aws_clock import AwsClock
from cli.deployed import Deployed
from cli.errors import MisuseError, NoAnswerError
from functions.adapters.account_table import AccountTable
from functions.adapters.batches_table import BatchesTable
from functions.adapters.clients import PATIENT, made
from functions.adapters.clock import SystemClock
from functions.adapters.objects import S3Objects
from functions.adapters.unanswered import UNANSWERED
from functions.adapters.uploads_table import UploadsTable
from functions.adapters.wakes import SqsWakes


@dataclass(frozen=True, slots=True)
class Clients:
    """Makes the clients of one profile and Region."""

    session: Session

    def of(self, service: str) -> Any:
        """Return a service's client, which takes no stranger's answer for AWS's.

        Raise MisuseError for an environment that botocore cannot use, and botocore's own errors.
        """
        try:
            return made(self.session, service, PATIENT)
        except BotoCoreError:  # some of which are ValueErrors as well
            raise
        except ValueError as error:
            raise MisuseError(
                f"{error}: the AWS environment or the profile has it. AWS_ENDPOINT_URL and "
                "endpoint_url, where they are set, must be such as https://example.com."
            ) from error


def connect(profile: str | None, region: str | None) -> Deployed:
    """Return what is deployed. Raise MisuseError, NoAnswerError, NotDeployedError."""
    return explained(lambda: _connect(profile, region))


def explained(ask: Callable[[], Deployed]) -> Deployed:
    """Ask AWS; what botocore raises becomes a sentence that says what to do about it."""
    try:
        return ask()
    except ProfileNotFound as error:
        raise MisuseError(
            f"{error}: `aws configure list-profiles` names those there are."
        ) from error
    except NoRegionError as error:
        raise MisuseError(
            "No Region: say --region eu-central-1, or set AWS_REGION, or the profile's region."
        ) from error
    except InvalidRegionError as error:
        raise MisuseError(f"{error} A Region is such as eu-central-1.") from error
    except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError) as error:
        raise NoAnswerError(
            f"No AWS credentials ({error}): say --profile NAME, or set AWS_PROFILE or "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in with `aws sso login`."
        ) from error
    except UnreachableError as error:
        raise NoAnswerError(f"AWS cannot be reached: {error}") from error
    except (*UNANSWERED, ClientError) as error:
        raise NoAnswerError(f"AWS gives no answer that is of use: {error}") from error


def _connect(profile: str | None, region: str | None) -> Deployed:
    session = Session(profile=profile)
    if chosen := region or os.environ.get("AWS_REGION"):  # which botocore does not read
        session.set_config_variable("region", chosen)
    clients = Clients(session)
    stacks, clock = clients.of("cloudformation"), AwsClock(SystemClock())
    clock.follow(stacks)
    found = deployment.find(stacks)
    table, account = clients.of("dynamodb"), clients.of("dynamodb")
    # read after the yes; by each of the many reads of --wait the clock would go to and fro by 1 s
    clock.follow(account)
    return Deployed(
        found.sites,
        clock,
        UploadsTable(table, found.table),
        BatchesTable(table, found.table),
        AccountTable(account, found.table),
        S3Objects(clients.of("s3")),
        SqsWakes(table, found.table, clients.of("sqs"), found.wakes_url),
        lambda: caller(clients.of("sts")),
    )


def caller(sts: Any) -> str:
    """Return the ARN of whose credentials these are; where STS does not tell, the user's name."""
    try:
        arn: str = sts.get_caller_identity()["Arn"]
    except (*UNANSWERED, ClientError, KeyError):
        return f"{_user()}, as this machine knows him"
    return arn


def _user() -> str:
    """Return the user's name, or his number: a container's may have no entry in passwd."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the latter since Python 3.13
        return f"user {os.getuid()}"
