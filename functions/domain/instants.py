"""Instants as text: ISO 8601 in UTC, so that those of one form sort as strings."""

from datetime import UTC, datetime


def text(instant: datetime) -> str:
    """Return the instant to the second, like 2026-11-25T18:00:00Z."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def exact(instant: datetime) -> str:
    """Return the instant to the microsecond, like 2026-11-25T18:00:00.123456Z."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def read(text: str) -> datetime:
    """Return the instant of a text of either form. Raise ValueError."""
    return datetime.fromisoformat(text).astimezone(UTC)
