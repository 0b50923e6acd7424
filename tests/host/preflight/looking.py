"""A look by the pre-flight, with nothing of it left behind."""

import time
from pathlib import Path

from holdstill_agent.clock import monotonic_ms
from holdstill_agent.config import Config
from holdstill_agent.preflight import Preflight


def look(config: Config, run_id: str | None = None) -> Preflight:
    """Make the checks, and let go of what they connected."""
    preflight = Preflight(config, monotonic_ms() + 20_000, wait, run_id)
    try:
        preflight.run()
    finally:
        preflight.close()
        if preflight.freezer:
            preflight.freezer.reap()
    return preflight


def wait(pause_s: float) -> bool:
    """Pause, as wanted as ever."""
    time.sleep(pause_s)
    return True


def refusal(config: Config, name: str, run_id: str | None = None) -> str:
    """Return what the one check that fails says."""
    preflight = look(config, run_id)
    failed = {one.name: one.detail for one in preflight.checks if not one.passed}
    assert list(failed) == [name], preflight.checks
    assert preflight.code
    return failed[name]


def with_mount(config: Config, mount: Path) -> Path:
    """Write the configuration anew for the freezer, with this mount only; return its path."""
    path = config.path.with_name("other.toml")
    path.touch(mode=0o600)
    path.write_text(config.path.read_text().replace(f'"{config.mounts[0].path}"', f'"{mount}"'))
    return path
