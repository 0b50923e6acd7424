"""Synthesizes once a session; every law looks at the same templates."""

import json
from pathlib import Path

import pytest

from infra.asset import Asset, build_asset
from infra.configuration import parse_configuration
from infra.stacks import add_stacks, make_app, synthesize
from tests.infra.template_reading import Synth, Templates

ROOT = Path(__file__).parents[2]

CONFIGURATION = """
alarm_email = "ops@example.com"

[policies.nightly]
schedule = "cron(0 3 * * ? *)"
timezone = "Asia/Tokyo"
spread_minutes = 30
attempts = 2
patience_s = 90
max_age_hours = 26
keep = { daily = 7 }

[policies.hourly]
schedule = "rate(1 hour)"
keep = { hourly = 24 }

[targets.recipes-db]
instance = "i-0123456789abcdef0"
policy = "nightly"

[targets.orders-db]
instance = "i-0123456789abcdef1"
policy = "hourly"
host_role_arn = "arn:aws:iam::123456789012:role/orders-db"

[sites.static]
bucket = "example-static"
distributions = ["E1EXAMPLE", "E2EXAMPLE"]
index_documents = ["index.html", "目次.html"]
monthly_cap_usd = 5

[sites.shop]
bucket = "example-shop"
distributions = ["E2EXAMPLE"]
events = "eventbridge"
extra_paths = [{ match = "{page}.html", paths = ["/{page}"] }]
"""


@pytest.fixture(scope="session")
def asset() -> Asset:
    """Build the real asset of this project."""
    return build_asset(ROOT)


@pytest.fixture(scope="session")
def synth(tmp_path_factory: pytest.TempPathFactory, asset: Asset) -> Synth:
    """Return a function that synthesizes a configuration's text into templates by stack name."""

    def synthesized(text: str) -> Templates:
        app = make_app(tmp_path_factory.mktemp("cdk.out"))
        add_stacks(app, parse_configuration(text, "holdstill.toml"), asset)
        return {
            stack.stack_name: json.loads(Path(stack.template_full_path).read_text())
            for stack in synthesize(app).stacks
        }

    return synthesized


@pytest.fixture(scope="session")
def templates(synth: Synth) -> Templates:
    """Synthesize two targets and two sites: the first of each has a limit with an alarm."""
    return synth(CONFIGURATION)
