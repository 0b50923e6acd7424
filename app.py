"""Builds Holdstill's stacks from `holdstill.toml`; makes no AWS call and needs no account."""

import sys
from pathlib import Path

from infra.asset import build_asset
from infra.configuration import read_configuration
from infra.errors import InfraError
from infra.stacks import add_stacks, make_app, synthesize

ROOT = Path(__file__).resolve().parent


def main() -> int:
    """Synthesize, or say on stderr what is wrong, one fault a line; return the exit code."""
    app = make_app()
    path = app.node.try_get_context("config")
    try:
        configuration = read_configuration(Path(path) if path else ROOT / "holdstill.toml")
        add_stacks(app, configuration, build_asset(ROOT))
        synthesize(app)
    except InfraError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
