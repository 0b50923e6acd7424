"""Builds the configuration out of a parsed document, table by table.

Each function notes every fault that it sees and returns None for what it could not build, so
that one run of `cdk synth` tells everything.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from infra import naming
from infra.configuration import keys
from infra.configuration.faults import KeyPath
from infra.configuration.forms import shown
from infra.configuration.model import Configuration, Keep, Policy, Target
from infra.configuration.schedules import SpreadError
from infra.configuration.sites import one_way_of_events, site
from infra.configuration.tables import Findings

INVOCATION_S: Final = 900 - 30
"""Lambda's own limit, less what the conductor keeps for a last thaw and verdict."""
ATTEMPT_S: Final = 70
"""One attempt beside its patience: the conductor's plan, freeze, call and thaw, 69 s at worst."""


def build(document: Mapping[str, Any], findings: Findings) -> Configuration:
    """Return the configuration; it is whole only if no fault was noted."""
    top = findings.values((), document, keys.TOP, tables=("policies", "targets", "sites"))
    policies = {
        name: _policy(("policies", name), table, findings)
        for name, table in findings.named("policies", document)
    }
    targets = {
        name: _target(("targets", name), table, policies, findings)
        for name, table in findings.named("targets", document)
    }
    sites = {
        name: site(("sites", name), table, findings)
        for name, table in findings.named("sites", document)
    }
    one_way_of_events(sites, findings)
    _collisions("targets", targets, naming.agent_output, findings)
    _collisions("sites", sites, naming.site_output, findings)
    return Configuration(
        alarm_email=top.get("alarm_email"),
        policies={name: policy for name, policy in policies.items() if policy},
        targets={name: target for name, target in targets.items() if target},
        sites={name: built for name, built in sites.items() if built},
    )


def _policy(at: KeyPath, table: Any, findings: Findings) -> Policy | None:
    values = findings.values(at, table, keys.POLICY, tables=("keep",))
    keep = _keep((*at, "keep"), table, findings)
    _spread((*at, "spread_minutes"), values, findings)
    _patience((*at, "patience_s"), values, findings)
    if keep is None or len(values) < len(keys.POLICY):
        return None
    return Policy(name=at[-1], keep=keep, **values)


def _keep(at: KeyPath, policy: Any, findings: Findings) -> Keep | None:
    if not isinstance(policy, dict):
        return None
    if "keep" not in policy:
        findings.add(at, "is missing: must say what to keep; write keep = { daily = 7 }")
        return None
    values = findings.values(at, policy["keep"], keys.KEEP)
    if len(values) < len(keys.KEEP):
        return None
    if not any(values.values()):
        findings.add(at, "must keep something, as in { daily = 7 }: this keeps no snapshot at all")
    return Keep(**values)


def _spread(at: KeyPath, values: Mapping[str, Any], findings: Findings) -> None:
    """Look at every offset that a target could get, so that no later target is a surprise."""
    if not {"schedule", "spread_minutes"} <= values.keys():
        return
    schedule, spread = values["schedule"], values["spread_minutes"]
    for offset in range(spread):
        try:
            schedule.moved(offset)
        except SpreadError as error:
            findings.add(
                at,
                f"can be at most {offset} with {schedule}, not {spread}: moved by {offset} "
                f"{'minute' if offset == 1 else 'minutes'} it {error}",
            )
            return


def _patience(at: KeyPath, values: Mapping[str, Any], findings: Findings) -> None:
    if not {"attempts", "patience_s"} <= values.keys():
        return
    attempts, patience_s = values["attempts"], values["patience_s"]
    if attempts * (patience_s + ATTEMPT_S) > INVOCATION_S:
        findings.add(
            at,
            f"can be at most {INVOCATION_S // attempts - ATTEMPT_S} with attempts = {attempts}, "
            f"not {patience_s}: all attempts together must fit into one invocation",
        )


def _target(
    at: KeyPath, table: Any, policies: Mapping[str, Policy | None], findings: Findings
) -> Target | None:
    values = findings.values(at, table, keys.TARGET)
    wanted = values.pop("policy", None)
    if wanted is not None and wanted not in policies:
        known = ", ".join(policies) or "none"
        findings.add(
            (*at, "policy"), f"must be a policy of this file ({known}), not {shown(wanted)}"
        )
    policy = policies.get(wanted)
    if policy is None or len(values) < len(keys.TARGET) - 1:
        return None
    return Target(name=at[-1], policy=policy, **values)


def _collisions(
    section: str, names: Iterable[str], output_of: Callable[[str], str], findings: Findings
) -> None:
    """Note names that become one where CloudFormation allows only letters and digits."""
    owners: dict[str, str] = {}
    for name in names:
        output = output_of(name)
        owner = owners.setdefault(output, name)
        if owner != name:
            findings.add(
                (section, name),
                f"is too like {owner}: both become {output} in the stack's outputs; rename one",
            )
