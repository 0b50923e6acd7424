"""What a schedule asks for: its input, checked, with every fault named at once."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self
from urllib.parse import urlsplit

from functions.domain.errors import RequestError

VERSION: Final = 1
SCHEDULED_TIME: Final = "<aws.scheduler.scheduled-time>"
"""EventBridge Scheduler replaces it; whoever invokes the function by hand may forget to."""

_TARGET = re.compile(r"[a-z][a-z0-9-]{0,47}")
_INSTANCE = re.compile(r"i-[0-9a-f]{8,17}")
_ATTEMPTS = range(1, 11)
_PATIENCE_S = range(10, 601)
"""A command expires 1 s before the conductor's patience with it: less than this is none."""


@dataclass(frozen=True, slots=True)
class BackupRequest:
    """One scheduled backup of one target. `patience_s`: how long one prepare may take."""

    target: str
    scheduled_at: datetime
    instance: str
    commands_url: str
    replies_url: str
    attempts: int
    patience_s: int

    @property
    def name(self) -> str:
        """The run's name; with an attempt's number it is a run id. The lease's owner."""
        return f"{self.target}.{self.scheduled_at:%Y%m%dT%H%M%SZ}"

    def run_id(self, attempt: int) -> str:
        """Return the run id of an attempt, counted from 1."""
        return f"{self.name}.{attempt}"

    @classmethod
    def from_event(cls, event: Mapping[str, object]) -> Self:
        """Return the request; raise RequestError, which names every fault at once."""
        fields = _Fields(event)
        fields.whole("v", range(VERSION, VERSION + 1))
        request = cls(
            target=fields.text("target", _TARGET, "a target's name, like recipes-db"),
            scheduled_at=fields.instant("scheduled_at"),
            instance=fields.text("instance", _INSTANCE, "an instance id, like i-0123456789abcdef0"),
            commands_url=fields.url("commands_url"),
            replies_url=fields.url("replies_url"),
            attempts=fields.whole("attempts", _ATTEMPTS),
            patience_s=fields.whole("patience_s", _PATIENCE_S),
        )
        if fields.faults:
            raise RequestError("the schedule's input", fields.faults)
        return request


class _Fields:
    """Reads fields and collects faults; a faulty field has a value of its type, never used."""

    def __init__(self, event: Mapping[str, object]) -> None:
        self._event = event
        self.faults: list[str] = []

    def text(self, name: str, form: re.Pattern[str], what: str) -> str:
        value = self._event.get(name)
        if isinstance(value, str) and form.fullmatch(value):
            return value
        self.faults.append(f"{name} must be {what}")
        return ""

    def url(self, name: str) -> str:
        value = self._event.get(name)
        if isinstance(value, str):
            parts = urlsplit(value)
            if parts.scheme in ("http", "https") and parts.netloc:
                return value
        self.faults.append(f"{name} must be a queue's URL")
        return ""

    def whole(self, name: str, among: range) -> int:
        value = self._event.get(name)
        if type(value) is int and value in among:
            return value
        form = f"a whole number, {among[0]} to {among[-1]}" if len(among) > 1 else f"{among[0]}"
        self.faults.append(f"{name} must be {form}")
        return 0

    def instant(self, name: str) -> datetime:
        value = self._event.get(name)
        if value == SCHEDULED_TIME:
            self.faults.append(
                f"{name} is still {SCHEDULED_TIME}: only EventBridge Scheduler replaces it;"
                " invoke with the time itself"
            )
            return datetime.min.replace(tzinfo=UTC)
        try:
            instant = datetime.fromisoformat(value) if isinstance(value, str) else None
        except ValueError:
            instant = None
        if instant is None or instant.tzinfo is None:
            self.faults.append(f"{name} must be an instant, like 2026-11-25T18:00:00Z")
            return datetime.min.replace(tzinfo=UTC)
        return instant.astimezone(UTC).replace(microsecond=0)
