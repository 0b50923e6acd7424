"""Which sites are deployed, by the outputs of the uploads' stack."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from cli.errors import NoAnswerError, NotDeployedError
from functions.domain.errors import ConfigurationError
from functions.domain.sites import Sites

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

STACK: Final = "holdstill-uploads"
"""As `infra.naming` has it, which cannot be imported without the CDK."""

_OUTPUT: Final = "Site"


@dataclass(frozen=True, slots=True)
class Deployment:
    """The sites, the table's name and the URL of the queue of wakes."""

    sites: Sites
    table: str
    wakes_url: str


def find(cloudformation: "CloudFormationClient") -> Deployment:
    """Return what is deployed. Raise NotDeployedError, NoAnswerError, botocore's own errors."""
    return read(_outputs(cloudformation), _region(cloudformation))


def read(outputs: dict[str, str], region: str) -> Deployment:
    """Return what the stack's outputs, by their keys, tell. Raise NotDeployedError."""
    try:
        found = [
            json.loads(value) for key, value in sorted(outputs.items()) if key.startswith(_OUTPUT)
        ]
        if not found:
            raise NotDeployedError(
                f"The stack {STACK} in {region} has no site: is this an older Holdstill's? "
                "Deploy anew with `npx cdk deploy --all`."
            )
        sites = [one["site"] for one in found]
        return Deployment(
            Sites.from_json(json.dumps({"v": 1, "sites": sites})),
            found[0]["table"],
            found[0]["wakes_url"],
        )
    except (ValueError, KeyError, TypeError, ConfigurationError) as error:
        raise NotDeployedError(
            f"The outputs of the stack {STACK} in {region} are not what this version reads "
            f"({error!r}): use the `holdstill` of the version that was deployed, or deploy anew."
        ) from error


def _outputs(cloudformation: "CloudFormationClient") -> dict[str, str]:
    try:
        answer: Any = cloudformation.describe_stacks(StackName=STACK)
    except ClientError as error:
        said = error.response.get("Error", {}).get("Message", "")
        if "does not exist" in said:
            raise NotDeployedError(
                f"There is no stack {STACK} in {_region(cloudformation)}. Deploy it with `npx cdk "
                "deploy --all` (holdstill.toml needs a [sites.*] for it), or name another "
                "--region or --profile."
            ) from error
        raise NoAnswerError(
            f"CloudFormation refuses to describe the stack {STACK}: {said}"
        ) from error
    (stack,) = answer["Stacks"]
    return {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", ())}


def _region(cloudformation: "CloudFormationClient") -> str:
    return cloudformation.meta.region_name
