"""A run as it happens, from the two logs: the agent's file and the function's log group."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from lab.stage import Stage

_NEVER = datetime.max.replace(tzinfo=UTC)
_AGENT_SHOWS = {"preflight", "command", "command-ignored", "reply", "message-refused"}
_HIDDEN = {
    "at", "event", "checks", "target", "run_id", "level", "location", "message", "timestamp",
    "service", "position", "cold_start", "function_name", "function_memory_size", "function_arn",
    "function_request_id", "xray_trace_id", "prepared", "frozen", "thawed", "timings", "snapshots",
    "attempts", "started_at", "after_ms",
}  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class Happening:
    """One line of a log: when, whose, its name, and what a person wants to see of its fields."""

    at: datetime
    who: str
    name: str
    fields: str


@dataclass
class Timeline:
    """Reads what is new in both logs, since the run's function was last deployed."""

    stage: Stage
    _read_characters: int = 0
    _seen: set[str] = field(default_factory=set)
    _waiting: list[Happening] = field(default_factory=list)
    _begun_at: datetime = _NEVER

    def news(self, until: datetime) -> list[Happening]:
        """Return what happened until then and was not returned before, in order of time.

        Both sides write late what happened while the host was held: leave them a second.
        """
        self._waiting = sorted((*self._waiting, *self._agent(), *self._function()))
        told = [happening for happening in self._waiting if happening.at <= until]
        self._waiting = self._waiting[len(told) :]
        return told

    def _agent(self) -> Iterator[Happening]:
        text = self.stage.agent_log.read_text()
        new = text[self._read_characters :].rpartition("\n")[0]
        self._read_characters += len(new) + 1 if new else 0
        for line in new.splitlines():
            if not line.startswith("{"):
                continue
            entry = json.loads(line)
            if entry["event"] in _AGENT_SHOWS:
                name = entry.pop("command", None) or entry.pop("reply", None) or entry["event"]
                yield Happening(
                    datetime.fromisoformat(entry["at"]), "agent", name.lower(), _shown(entry)
                )

    def _function(self) -> Iterator[Happening]:
        logs = self.stage.region.client("logs")
        group = f"/aws/lambda/{self.stage.protection.function}"
        for event in logs.filter_log_events(logGroupName=group)["events"]:
            entry = _json(event["message"])
            if event["message"] in self._seen or "message" not in entry:
                continue
            self._seen.add(event["message"])
            yield Happening(self._when(entry), "lambda", entry["message"], _shown(entry))

    def _when(self, entry: Mapping[str, Any]) -> datetime:
        """Return when it happened: the function writes most lines only when nothing is held."""
        written_at = datetime.fromisoformat(entry["timestamp"]).astimezone(UTC)
        if "after_ms" not in entry:
            return written_at
        begun_at = written_at - timedelta(milliseconds=entry["after_ms"])
        self._begun_at = min(self._begun_at, begun_at)  # the line that was written soonest
        return self._begun_at + timedelta(milliseconds=entry["after_ms"])


def _json(text: str) -> Mapping[str, Any]:
    start = text.find("{")
    try:
        entry = json.loads(text[start:]) if start >= 0 else {}
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _shown(entry: Mapping[str, Any]) -> str:
    return " ".join(
        f"{name}={value}"
        for name, value in entry.items()
        if name not in _HIDDEN and value not in (None, "", [])
    )
