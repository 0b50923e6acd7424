"""How the tests read templates: by type, by name, and as IAM evaluates a policy."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from infra import naming

Resource = Mapping[str, Any]
Template = Mapping[str, Any]
Templates = Mapping[str, Template]
Synth = Callable[[str], Templates]


def of_type(template: Template, kind: str) -> dict[str, Resource]:
    """Return a template's resources of one type, by logical id."""
    return {name: res for name, res in template["Resources"].items() if res["Type"] == kind}


def everywhere(templates: Templates, kind: str) -> list[Resource]:
    """Return the properties of all resources of one type, of all stacks."""
    return [
        resource.get("Properties", {})
        for template in templates.values()
        for resource in of_type(template, kind).values()
    ]


def fleet_of(templates: Templates, target: str) -> Template:
    """Return the template of the stack that holds a target."""
    return templates[naming.fleet_stack(naming.fleet_of(target))]


def queue_id(template: Template, name: str) -> str:
    """Return the logical id of the queue of that name."""
    queues = of_type(template, "AWS::SQS::Queue").items()
    return next(found for found, queue in queues if queue["Properties"]["QueueName"] == name)


def queue(template: Template, name: str) -> Resource:
    """Return the properties of the queue of that name."""
    properties: Resource = template["Resources"][queue_id(template, name)]["Properties"]
    return properties


def queue_policy(template: Template, name: str) -> Resource:
    """Return the properties of the policy of the queue of that name."""
    wanted = [{"Ref": queue_id(template, name)}]
    policies = of_type(template, "AWS::SQS::QueuePolicy").values()
    return next(
        found["Properties"] for found in policies if found["Properties"]["Queues"] == wanted
    )


def the_function(template: Template) -> Resource:
    """Return the properties of a stack's only function."""
    (function,) = of_type(template, "AWS::Lambda::Function").values()
    properties: Resource = function["Properties"]
    return properties


def function_named(template: Template, name: str) -> Resource:
    """Return the properties of the function of that name."""
    functions = of_type(template, "AWS::Lambda::Function").values()
    return next(f["Properties"] for f in functions if f["Properties"]["FunctionName"] == name)


def alarm_named(template: Template, name: str) -> Resource:
    """Return the properties of an alarm."""
    alarms = of_type(template, "AWS::CloudWatch::Alarm").values()
    return next(a["Properties"] for a in alarms if a["Properties"]["AlarmName"] == name)


def flat(value: Any) -> str:
    """Return a template's string with its references written as `<LogicalId.Arn>`."""
    match value:
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(flat(part) for part in parts)
        case {"Ref": name}:
            return f"<{name}>"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"<{name}.{attribute}>"
        case _:
            return str(value)


def as_list(value: Any) -> list[Any]:
    """Return what IAM lets be one or a list, as a list."""
    return value if isinstance(value, list) else [value]


def identity_statements(template: Template) -> Iterator[tuple[str, Resource]]:
    """Yield each statement that grants something to a role, with the role's or policy's id."""
    for name, role in of_type(template, "AWS::IAM::Role").items():
        for policy in role["Properties"].get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement
    for kind in ("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy"):
        for name, policy in of_type(template, kind).items():
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
                yield name, statement


def grants(statement: Resource, action: str, resource: str) -> bool:
    """Return whether an identity's statement allows an action on a resource, `*` understood."""
    return (
        statement["Effect"] == "Allow"
        and any(fnmatchcase(action, pattern) for pattern in as_list(statement["Action"]))
        and any(fnmatchcase(resource, flat(pattern)) for pattern in as_list(statement["Resource"]))
    )


def denies(policy: Resource, action: str, principal: str, *, tls: bool = True) -> bool:
    """Return whether a queue's policy denies a caller, by its role's ARN, an action."""
    return any(
        _matches(statement, action) and _holds(statement["Condition"], principal, tls=tls)
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny" and statement["Principal"] == "*"
    )


def _matches(statement: Resource, action: str) -> bool:
    patterns: Iterable[str] = as_list(statement["Action"])
    return any(fnmatchcase(action, pattern) for pattern in patterns)


def _holds(condition: Resource, principal: str, *, tls: bool) -> bool:
    match condition:
        case {"Bool": {"aws:SecureTransport": "false"}}:
            return not tls
        case {"ArnNotEquals": {"aws:PrincipalArn": only}}:
            return principal != flat(only)
        case _:
            raise AssertionError(f"no test knows this condition: {condition}")
