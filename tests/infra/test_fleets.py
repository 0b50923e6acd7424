"""How targets are dealt to stacks: stable, within CloudFormation's limits, without exports."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from infra import naming
from infra.asset import Asset
from infra.configuration import parse_configuration
from infra.stacks import StackTooLargeError, add_stacks, make_app, synthesize
from tests.infra.template_reading import Templates

POLICY = """
[policies.nightly]
schedule = "cron(0 3 * * ? *)"
spread_minutes = 60
max_age_hours = 26
keep = { daily = 7 }
"""


def fleet_of_targets(names: Iterable[str]) -> str:
    """Return a configuration of so many targets, each with everything that costs a resource."""
    return POLICY + "".join(
        f'[targets.{name}]\ninstance = "i-{number:017x}"\npolicy = "nightly"\n'
        for number, name in enumerate(names)
    )


def synthesized(text: str, outdir: Path) -> Templates:
    """Synthesize with an asset of one empty file: its content is no matter here."""
    code = outdir / "code"
    code.mkdir()
    (code / "empty.py").touch()
    app = make_app(outdir / "cdk.out")
    add_stacks(app, parse_configuration(text, "fleet.toml"), Asset(code, "0" * 64))
    return {
        stack.stack_name: json.loads(Path(stack.template_full_path).read_text())
        for stack in synthesize(app).stacks
    }


@pytest.mark.slow
def test_a_thousand_targets_fit(tmp_path: Path) -> None:
    """No stack of 1,000 targets comes near CloudFormation's limits of resources and outputs."""
    templates = synthesized(fleet_of_targets(f"db-{n:04d}" for n in range(1000)), tmp_path)
    sizes = {name: len(template["Resources"]) for name, template in templates.items()}
    assert len(sizes) == 1 + naming.FLEETS
    assert max(sizes.values()) <= 350
    assert max(len(template.get("Outputs", {})) for template in templates.values()) <= 100
    assert max(len(json.dumps(template)) for template in templates.values()) < 500_000
    assert "Fn::ImportValue" not in json.dumps(templates)


@pytest.mark.parametrize("neighbours", [True, False])
def test_adding_a_target_moves_no_other(
    tmp_path_factory: pytest.TempPathFactory, *, neighbours: bool
) -> None:
    """One more target adds to its own fleet's stack, or makes it, and touches no other stack."""
    names = [f"db-{n:04d}" for n in range(16)]
    fleets = {naming.fleet_of(name) for name in names}
    candidates = (f"newcomer-{n}" for n in range(1000))
    newcomer = next(c for c in candidates if (naming.fleet_of(c) in fleets) == neighbours)
    before = synthesized(fleet_of_targets(names), tmp_path_factory.mktemp("before"))
    after = synthesized(fleet_of_targets([*names, newcomer]), tmp_path_factory.mktemp("after"))
    home = naming.fleet_stack(naming.fleet_of(newcomer))
    assert {name for name in after if after[name] != before.get(name)} == {home}
    if neighbours:
        for section in ("Resources", "Outputs"):
            assert before[home][section].items() <= after[home][section].items()


def test_a_targets_fleet_is_for_ever() -> None:
    """These were computed once: a change here would move every deployed target."""
    fleets = {name: naming.fleet_of(name) for name in ("recipes-db", "orders-db", "db-0001")}
    assert fleets == {"recipes-db": 18, "orders-db": 29, "db-0001": 0}


def test_a_stack_that_grows_too_large_is_refused(tmp_path: Path) -> None:
    """Synth says so while there is room to mend it; CloudFormation says so in mid-deployment."""
    crowd = (name for n in range(5000) if naming.fleet_of(name := f"db-{n:04d}") == 7)
    names = [next(crowd) for _ in range(64)]
    with pytest.raises(StackTooLargeError, match=r"holdstill-fleet-07 would have 4\d\d resources"):
        synthesized(fleet_of_targets(names), tmp_path)
