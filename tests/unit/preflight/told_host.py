"""A host that the checks of the pre-flight are told of: its mounts, its agent.toml, its server."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from holdstill_agent.config import Config, MountConfig, load
from holdstill_agent.database import Database

EXAMPLE = Path(__file__).parents[3] / "agent" / "agent.example.toml"
ROOT = "1 0 8:1 / / rw - ext4 /dev/sda1 rw"
DATA = "2 1 259:3 / /var/lib/mysql rw - xfs /dev/nvme1n1 rw"


class FakeDatabase(Database):
    """Answers SHOW GLOBAL VARIABLES with those of its own that are asked for, and a few more."""

    def __init__(self, variables: dict[str, str]) -> None:
        self._variables = variables
        self.granted = "RELOAD, PROCESS"
        self.tablespaces: dict[str, list[str]] = {}
        self.reached_at: tuple[str, str] | None = None

    def addresses(self) -> tuple[str, str] | None:
        """Return where it was reached."""
        return self.reached_at

    def execute(self, statement: str) -> Sequence[tuple[Any, ...]]:
        """Answer."""
        if statement == "SHOW GRANTS":
            return [(f"GRANT {self.granted} ON *.* TO `holdstill`@`localhost`",)]
        if statement == "SELECT CURRENT_USER()":
            return [("holdstill@localhost",)]
        if "information_schema.COLUMNS" in statement:
            return [(table,) for table in self.tablespaces]
        if "FROM information_schema." in statement:
            ((table, files),) = list(self.tablespaces.items())[:1]
            assert f"FROM information_schema.{table} " in statement
            return [(file,) for file in files]
        if statement == "SELECT @@hostname":
            return [(self._variables["hostname"],)]
        if statement == "SELECT @@SESSION.wait_timeout":
            return [(int(self._variables["wait_timeout"]),)]
        assert statement.startswith("SHOW GLOBAL VARIABLES WHERE Variable_name IN (")
        return [(name, value) for name, value in self._variables.items() if repr(name) in statement]


def configured(*paths: str, **changes: Any) -> Config:
    """Return the example's configuration, with these mounts and changes."""
    mounts = tuple(MountConfig(path) for path in paths or ("/var/lib/mysql",))
    return replace(load(EXAMPLE), mounts=mounts, **changes)
