"""The functions' settings, from their environment; read at the first event, not at import."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from functions.domain.errors import SettingsError
from functions.domain.site import SiteError
from functions.domain.sites import Sites

SITES_FILE: Final = "sites.json"

MAX_SNAPSHOT_TIMEOUT_S: Final = 60
"""Far above what CreateSnapshot takes, and above any freeze that a database should bear."""


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """What the sweep function is told. `service` and `namespace` are those of its metrics."""

    table: str
    service: str
    namespace: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return the settings; raise SettingsError, which names every fault at once."""
        given = _Environment(environment)
        settings = cls(*cls._values(given))
        given.check()
        return settings

    @staticmethod
    def _values(given: "_Environment") -> tuple[Any, ...]:
        """Return the values of the fields, in their order."""
        return given.common()


@dataclass(frozen=True, slots=True)
class BackupSettings(SweepSettings):
    """What the backup function is told. A host's freeze budget can shorten `snapshot_timeout_s`."""

    snapshot_timeout_s: float

    @staticmethod
    def _values(given: "_Environment") -> tuple[Any, ...]:
        return (*given.common(), given.seconds("HOLDSTILL_SNAPSHOT_TIMEOUT_S"))


@dataclass(frozen=True, slots=True)
class UploadSettings(SweepSettings):
    """What both functions of the uploads are told. `wakes_url`: the queue of the wakes."""

    wakes_url: str

    @staticmethod
    def _values(given: "_Environment") -> tuple[Any, ...]:
        return (*given.common(), given.text("HOLDSTILL_WAKES_URL"))


def sites_beside(folder: Path) -> Sites:
    """Return the sites that were deployed with the code. Raise SettingsError.

    The index documents, rules and globs of 200 sites do not fit into an environment.
    """
    file = folder / SITES_FILE
    how = "run cdk deploy: the stack of the uploads puts it there from [sites.*] of holdstill.toml"
    try:
        return Sites.from_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(SITES_FILE, [f"is missing; {how}"]) from error
    except SiteError as error:
        raise SettingsError(SITES_FILE, error.faults) from error
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(SITES_FILE, [f"cannot be read ({error!r}); {how}"]) from error


class _Environment:
    """Reads variables and collects faults; a faulty one has a value of its type, never used."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._faults: list[str] = []

    def common(self) -> tuple[str, str, str]:
        return (
            self.text("HOLDSTILL_TABLE"),
            self.text("POWERTOOLS_SERVICE_NAME"),
            self.text("POWERTOOLS_METRICS_NAMESPACE"),
        )

    def text(self, name: str) -> str:
        text = self._environment.get(name, "")
        if not text:
            self._faults.append(f"{name} is missing")
        return text

    def seconds(self, name: str) -> float:
        text = self._environment.get(name, "")
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1
        if not 1 <= seconds <= MAX_SNAPSHOT_TIMEOUT_S:  # "nan" compares false
            form = f"1 to {MAX_SNAPSHOT_TIMEOUT_S} seconds, like 8"
            self._faults.append(f"{name} must be {form}; it is {text!r}")
        return seconds

    def check(self) -> None:
        if self._faults:
            raise SettingsError("environment", self._faults)
