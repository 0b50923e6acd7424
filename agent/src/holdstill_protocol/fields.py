"""A JSON object read field by field, each by its type; what is wrong names the field."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self, TypeVar

from holdstill_protocol.errors import MalformedMessageError

# A run id travels in the freezer's line protocol and in a tag: no space, no line's end.
_RUN_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

_Choice = TypeVar("_Choice", bound=StrEnum)


class Fields:
    """The fields of one object.

    Every reader raises MalformedMessageError where the field is missing or of another type.
    `named_run` is the run id, where it can be read, so that even a bad message can be answered.
    """

    def __init__(self, body: Mapping[str, Any], within: str = "", run: str | None = None) -> None:
        self._body = body
        self._within = within
        candidate = body.get("run_id")
        readable = isinstance(candidate, str) and _RUN_ID.fullmatch(candidate)
        self.named_run: str | None = candidate if readable else run

    def run_id(self) -> str:
        """Return the run id: it travels in a line of words, so its characters are few."""
        if self.named_run is None:
            raise self._wrong("run_id", "1 to 128 of the characters A-Z a-z 0-9 . _ : -")
        return self.named_run

    def text(self, name: str) -> str:
        """Return a string."""
        value = self._body.get(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a string")
        return _whole_characters(value)

    def name(self, name: str) -> str:
        """Return a string that names something: not empty, and all of it can be UTF-8."""
        value = self.text(name)
        if not value or value != self._body[name]:
            raise self._wrong(name, "a name in UTF-8")
        return value

    def text_or_none(self, name: str) -> str | None:
        """Return a string, or None where it is null or missing."""
        return None if self._body.get(name) is None else self.text(name)

    def whole(self, name: str) -> int:
        """Return a whole number, 0 or more."""
        value = self._body.get(name)
        if type(value) is not int or value < 0:  # JSON's true is an int to Python
            raise self._wrong(name, "a whole number")
        return value

    def whole_or_none(self, name: str) -> int | None:
        """Return a whole number, or None where it is null or missing."""
        return None if self._body.get(name) is None else self.whole(name)

    def flag(self, name: str) -> bool:
        """Return true or false."""
        value = self._body.get(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def instant(self, name: str) -> datetime:
        """Return an aware UTC datetime, from ISO 8601 with an offset."""
        text = self.text(name)
        try:
            value = datetime.fromisoformat(text)
            in_utc = value.astimezone(UTC)  # overflows at both ends of the calendar
        except (ValueError, OverflowError) as error:
            raise self._wrong(name, "an ISO 8601 instant") from error
        if value.tzinfo is None:
            raise self._wrong(name, "an ISO 8601 instant with its offset from UTC")
        return in_utc

    def choice(self, name: str, among: type[_Choice]) -> _Choice:
        """Return the member of `among` that the field's text names."""
        try:
            return among(self.text(name))
        except ValueError as error:
            raise self._wrong(name, "one of " + ", ".join(among)) from error

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings."""
        values = self._list(name)
        if not all(isinstance(value, str) for value in values):
            raise self._wrong(name, "a list of strings")
        return tuple(map(_whole_characters, values))

    def objects(self, name: str) -> tuple[Self, ...]:
        """Return a list of objects."""
        values = self._list(name)
        if not all(isinstance(value, dict) for value in values):
            raise self._wrong(name, "a list of objects")
        return tuple(type(self)(value, f"{name}[].", self.named_run) for value in values)

    def objects_or_empty(self, name: str) -> tuple[Self, ...]:
        """Return a list of objects, empty where it is null or missing."""
        return () if self._body.get(name) is None else self.objects(name)

    def object_or_none(self, name: str) -> Self | None:
        """Return an object, or None where it is null or missing."""
        value = self._body.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self._wrong(name, "an object or null")
        return type(self)(value, f"{name}.", self.named_run)

    def _list(self, name: str) -> list[Any]:
        value = self._body.get(name)
        if not isinstance(value, list):
            raise self._wrong(name, "a list")
        return value

    def _wrong(self, name: str, form: str) -> MalformedMessageError:
        return MalformedMessageError(f"{self._within}{name} must be {form}", run_id=self.named_run)


def _whole_characters(text: str) -> str:
    r"""Return the text with each lone surrogate spelt out, as \udcff: no UTF-8 has them.

    JSON's escapes can say them, and DynamoDB refuses a record with one.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
