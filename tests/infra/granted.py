"""What the role of a function allows, as IAM would judge it."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from tests.infra.template_reading import (
    Resource,
    Template,
    as_list,
    flat,
    function_named,
    identity_statements,
)

TABLE = "arn:<AWS::Partition>:dynamodb:<AWS::Region>:<AWS::AccountId>:table/holdstill"


class Grants:
    """What a function's role allows, by its own policies and by those that it lists."""

    def __init__(self, template: Template, function: str) -> None:
        role = flat(function_named(template, function)["Role"]).strip("<>").removesuffix(".Arn")
        listed = template["Resources"][role]["Properties"].get("ManagedPolicyArns", [])
        owners = {role, *(flat(policy).strip("<>") for policy in listed)}
        self._statements = [
            statement for owner, statement in identity_statements(template) if owner in owners
        ]

    def actions(self, service: str) -> set[str]:
        """Return the actions of a service that are allowed on anything."""
        every = (
            action for statement in self._statements for action in as_list(statement["Action"])
        )
        return {name for each in every for it, _, name in [each.partition(":")] if it == service}

    def call(self, action: str, resource: str) -> bool:
        """Return whether an action is allowed on a resource, without a condition."""
        return any("Condition" not in found for found in self._allowing(action, resource))

    def row(self, action: str, key: str) -> bool:
        """Return whether an action is allowed on the table's rows of a key."""
        return any(
            any(
                fnmatchcase(key, pattern)
                for pattern in as_list(
                    found["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
                )
            )
            for found in self._allowing(f"dynamodb:{action}", TABLE)
        )

    def _allowing(self, action: str, resource: str) -> Iterator[Resource]:
        for statement in self._statements:
            resources = [flat(found) for found in as_list(statement["Resource"])]
            if action in as_list(statement["Action"]) and resource in resources:
                yield statement
