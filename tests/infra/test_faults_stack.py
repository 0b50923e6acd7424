"""The fault suite's cloud is made by hand: what it makes is what the template would deploy."""

import json
from typing import Any

from infra import naming
from lab.faults import stack
from tests.infra.template_reading import Templates, everywhere, fleet_of, queue


def test_the_table_is_the_templates(templates: Templates) -> None:
    """Keys, index and billing, name for name."""
    (table,) = everywhere(templates, "AWS::DynamoDB::Table")
    made: dict[str, Any] = {name: table[name] for name in stack.TABLE if name in table}
    attributes = sorted(made.pop("AttributeDefinitions"), key=lambda it: str(it["AttributeName"]))
    expected = dict(stack.TABLE)
    assert attributes == sorted(
        expected.pop("AttributeDefinitions"), key=lambda it: str(it["AttributeName"])
    )
    assert made == expected


def test_the_queues_are_the_templates(templates: Templates) -> None:
    """Retention, visibility and redrive of the target's queues and their dead-letter queue."""
    template = fleet_of(templates, stack.TARGET)
    dead_letters = naming.dead_letters(naming.fleet_of(stack.TARGET))
    for name, attributes in stack.queues(stack.TARGET).items():
        deployed = queue(template, name)
        assert {key: str(deployed[key]) for key in attributes} == attributes
        if name == dead_letters:
            continue
        redrive = json.loads(stack.redrive("arn")["RedrivePolicy"])
        assert redrive["maxReceiveCount"] == str(deployed["RedrivePolicy"]["maxReceiveCount"])


def test_the_functions_environment_is_the_templates(templates: Templates) -> None:
    """Handlers and variables; a trial changes the snapshot call's time-out alone."""
    deployed = {
        function["Handler"]: function["Environment"]["Variables"]
        for name, template in templates.items()
        if name != naming.UPLOADS_STACK
        for function in everywhere({name: template}, "AWS::Lambda::Function")
    }
    assert deployed == stack.FUNCTIONS
