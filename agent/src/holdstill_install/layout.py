"""Where everything goes."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

NAME = "holdstill"
"""The agent's user and group, and what its folders are called."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The places, below `root`: "/", but for a test or for an image that is being built."""

    root: Path

    @property
    def is_this_host(self) -> bool:
        """Whether it is this host, with its accounts and its systemd."""
        return self.root == Path("/")

    def at(self, path: str) -> Path:
        """Return where an absolute path is, below the root."""
        return self.root / path.lstrip("/")

    def name(self, path: Path) -> str:
        """Return the path as the host itself will see it."""
        return f"/{path.relative_to(self.root)}"

    @property
    def releases(self) -> Path:
        """The folder of the unpacked versions."""
        return self.at("/opt")

    @property
    def current(self) -> Path:
        """The link to the version in use."""
        return self.releases / NAME

    @property
    def configuration(self) -> Path:
        """The operator's own: agent.toml and mysql.cnf."""
        return self.at("/etc/holdstill")

    @property
    def state(self) -> Path:
        """What the agent must undo after a crash, as agent.toml says where it is."""
        return self._configured("", "state_dir", "/var/lib/holdstill")

    @property
    def units(self) -> Path:
        """Where an administrator's units are."""
        return self.at("/etc/systemd/system")

    @property
    def run_dir(self) -> Path:
        """The freezer's folder, as agent.toml says; the default one where that cannot be read."""
        return self._configured("freeze", "run_dir", "/run/holdstill")

    def _configured(self, table: str, key: str, default: str) -> Path:
        try:
            document = tomllib.loads((self.configuration / "agent.toml").read_text())
        except (OSError, ValueError):
            document = {}
        keys = document.get(table) if table else document
        path = keys.get(key) if isinstance(keys, dict) else None
        return self.at(path if isinstance(path, str) else default)
