"""Instants as text: ISO 8601 in UTC to the second, so that they sort as strings."""

from datetime import UTC, datetime


def text(instant: datetime) -> str:
    """Return the instant as text, like 2026-11-25T18:00:00Z."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
