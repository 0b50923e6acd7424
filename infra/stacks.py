"""All the stacks of a configuration, and the check that CloudFormation will take them."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Final

from aws_cdk import Annotations, App
from aws_cdk.cx_api import CloudAssembly

from infra import naming
from infra.asset import Asset
from infra.configuration import Configuration, Target
from infra.core import CoreStack
from infra.errors import InfraError
from infra.fleet import FleetStack

MOST_RESOURCES: Final = 450
"""CloudFormation refuses 500 in one stack: stop while there is room to mend it."""


class StackTooLargeError(InfraError):
    """A stack holds more resources than CloudFormation safely takes."""


def make_app(outdir: Path | None = None) -> App:
    """Make the app, which writes where the command line says, or to `outdir`.

    The library's own validation of templates is off: for 1,000 targets it takes 57 s of 82, and
    the tests hold every kind of resource here against cfn-lint and cdk-nag.
    """
    return App(
        analytics_reporting=False,
        builtin_cloud_formation_validation=False,
        outdir=str(outdir) if outdir else None,
    )


def add_stacks(app: App, configuration: Configuration, asset: Asset) -> None:
    """Add the core stack, and one stack for each fleet that has a target."""
    core = CoreStack(app, asset=asset, alarm_email=configuration.alarm_email)
    fleets: defaultdict[int, list[Target]] = defaultdict(list)
    for _, target in sorted(configuration.targets.items()):
        fleets[naming.fleet_of(target.name)].append(target)
    for fleet, targets in sorted(fleets.items()):
        FleetStack(app, fleet=fleet, targets=targets, asset=asset).add_stack_dependency(core)
    if configuration.sites:
        Annotations.of(core).add_warning_v2(
            "holdstill:sites",
            f"[sites] is checked but not deployed by this version: "
            f"{', '.join(configuration.sites)} will not be invalidated",
        )


def synthesize(app: App) -> CloudAssembly:
    """Write the templates, or raise StackTooLargeError."""
    assembly = app.synth()
    faults = [
        f"{stack.stack_name} would have {size} resources, and more than {MOST_RESOURCES} are not "
        "safe in one stack: deploy some of its targets from another account or Region"
        for stack in assembly.stacks
        if (size := _resources(Path(stack.template_full_path))) > MOST_RESOURCES
    ]
    if faults:
        raise StackTooLargeError("\n".join(faults))
    return assembly


def _resources(template: Path) -> int:
    return len(json.loads(template.read_text(encoding="utf-8"))["Resources"])
