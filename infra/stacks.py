"""All the stacks of a configuration, and the check that CloudFormation will take them."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Final

from aws_cdk import App
from aws_cdk.cx_api import CloudAssembly

from infra import naming
from infra.asset import Asset
from infra.configuration import Configuration, Target
from infra.core import CoreStack
from infra.errors import InfraError
from infra.fleet import FleetStack
from infra.uploads import UploadsStack

MOST_RESOURCES: Final = 450
"""CloudFormation refuses 500 in one stack: stop while there is room to mend it."""
MOST_OUTPUTS: Final = 200
"""CloudFormation's own limit. A target has one, and so has a site."""


class StackTooLargeError(InfraError):
    """A stack holds more than CloudFormation safely takes."""


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
    """Add the core stack, one for each fleet that has a target, and one for all sites."""
    core = CoreStack(app, asset=asset, alarm_email=configuration.alarm_email)
    fleets: defaultdict[int, list[Target]] = defaultdict(list)
    for _, target in sorted(configuration.targets.items()):
        fleets[naming.fleet_of(target.name)].append(target)
    for fleet, targets in sorted(fleets.items()):
        FleetStack(app, fleet=fleet, targets=targets, asset=asset).add_stack_dependency(core)
    if configuration.sites:
        uploads = UploadsStack(app, sites=configuration.sites, asset=asset)
        uploads.add_stack_dependency(core)


def synthesize(app: App) -> CloudAssembly:
    """Write the templates, or raise StackTooLargeError."""
    assembly = app.synth()
    faults = [
        f"{stack.stack_name} would have {size} {kind.lower()}, and more than {most} are not safe "
        "in one stack: deploy some of its targets or sites from another account or Region"
        for stack in assembly.stacks
        for kind, most in (("Resources", MOST_RESOURCES), ("Outputs", MOST_OUTPUTS))
        if (size := _size(Path(stack.template_full_path), kind)) > most
    ]
    if faults:
        raise StackTooLargeError("\n".join(faults))
    return assembly


def _size(template: Path, section: str) -> int:
    return len(json.loads(template.read_text(encoding="utf-8")).get(section, {}))
