"""The forms that a value can have; each says what it takes in words that teach."""

import difflib
import math
import re
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from functions.domain.path_rules import PathRule
from functions.domain.site import EventSource
from infra.configuration.schedules import FORMS, Schedule, ScheduleError, parse_schedule


class FormError(ValueError):
    """The value is not of its key's form; the message is a sentence that says what is."""


class Form(Protocol):
    """What a key takes: `takes` completes "must be …", `read` returns the value or raises."""

    @property
    def takes(self) -> str:
        """Say what the key takes."""

    def read(self, value: Any) -> Any:
        """Return the value as the model holds it, or raise FormError."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number between two limits, both included."""

    low: int
    high: int
    unit: str = ""

    @property
    def takes(self) -> str:
        """Say what the key takes."""
        return f"a whole number from {self.low} to {self.high}{self.unit and f' ({self.unit})'}"

    def read(self, value: Any) -> int:
        """Return the number; a boolean is none, although Python says so."""
        if type(value) is int and self.low <= value <= self.high:
            return value
        raise FormError(f"must be {self.takes}, not {shown(value)}")


@dataclass(frozen=True, slots=True)
class Text:
    """A string that matches a pattern as a whole."""

    takes: str
    pattern: str

    def read(self, value: Any) -> str:
        """Return the string."""
        if isinstance(value, str) and re.fullmatch(self.pattern, value):
            return value
        raise FormError(f"must be {self.takes}, not {shown(value)}")


@dataclass(frozen=True, slots=True)
class Texts:
    """A list of strings of one form, none of them twice."""

    each: Text
    at_least: int

    @property
    def takes(self) -> str:
        """Say what the key takes."""
        return f"a list of {self.at_least} or more, each {self.each.takes}, none of them twice"

    def read(self, value: Any) -> tuple[str, ...]:
        """Return the strings in their order."""
        if not isinstance(value, list) or len(value) < self.at_least:
            raise FormError(f"must be {self.takes}, not {shown(value)}")
        texts = tuple(self.each.read(entry) for entry in value)
        if len(set(texts)) < len(texts):
            raise FormError(f"must be {self.takes}, not {shown(value)}")
        return texts


@dataclass(frozen=True, slots=True)
class Dollars:
    """An amount of US dollars."""

    takes: str = "dollars, 0 or more, as in 5 or 2.50"

    def read(self, value: Any) -> float:
        """Return the amount; TOML's inf and nan are none."""
        if type(value) in {int, float} and math.isfinite(value) and value >= 0:
            return float(value)
        raise FormError(f"must be {self.takes}, not {shown(value)}")


@dataclass(frozen=True, slots=True)
class PathRules:
    """A list of tables, each with the further paths of the keys that it matches."""

    takes: str = 'a list of tables like { match = "{page}.html", paths = ["/{page}"] }'

    def read(self, value: Any) -> tuple[PathRule, ...]:
        """Return the rules in their order; what their braces say, the site itself judges."""
        if not isinstance(value, list):
            raise FormError(f"must be {self.takes}, not {shown(value)}")
        return tuple(self._rule(entry) for entry in value)

    def _rule(self, entry: Any) -> PathRule:
        match entry:
            case {"match": str(match), "paths": [*paths], **rest} if not rest and all(
                isinstance(path, str) for path in paths
            ):
                return PathRule(match, tuple(paths))
        raise FormError(f"must be {self.takes}, not {shown(entry)}")


@dataclass(frozen=True, slots=True)
class Spoken:
    """A string that a function of its own reads."""

    takes: str
    reader: Callable[[str], Any]

    def read(self, value: Any) -> Any:
        """Return what the function makes of the string."""
        if not isinstance(value, str):
            raise FormError(f"must be {self.takes}, not {shown(value)}")
        return self.reader(value)


def shown(value: Any) -> str:
    """Return the value as the file has it, cut where it is long."""
    text = {True: "true", False: "false"}.get(value) if isinstance(value, bool) else None
    text = text or (f'"{value}"' if isinstance(value, str) else str(value))
    most = 80
    return text if len(text) <= most else f"{text[:most]}…"


def _schedule(text: str) -> Schedule:
    try:
        return parse_schedule(text)
    except ScheduleError as error:
        raise FormError(str(error)) from None


def _timezone(text: str) -> str:
    known = zoneinfo.available_timezones()
    if text in known:
        return text
    near = difflib.get_close_matches(text, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise FormError(
        f"must be a time zone of the IANA database, as in Asia/Tokyo, not {shown(text)}{hint}"
    )


def _event_source(text: str) -> EventSource:
    try:
        return EventSource(text)
    except ValueError:
        raise FormError(f'must be "s3" or "eventbridge", not {shown(text)}') from None


SCHEDULE: Final = Spoken(f"of the form {FORMS}", _schedule)
TIMEZONE: Final = Spoken("a time zone of the IANA database, as in Asia/Tokyo", _timezone)
TARGET_NAME: Final = Text(
    "1 to 48 characters, small letters, digits and hyphens, with a letter first",
    r"[a-z][a-z0-9-]{0,47}",
)
INSTANCE: Final = Text(
    "an instance's id of the form i-0123456789abcdef0: i- and 8 or 17 hexadecimal digits",
    r"i-([0-9a-f]{8}|[0-9a-f]{17})",
)
ROLE_ARN: Final = Text(
    "a role's ARN of the form arn:aws:iam::123456789012:role/NAME",
    r"arn:aws[a-z-]*:iam::[0-9]{12}:role/([\x21-\x7e]{1,510}/)?[\w+=,.@-]{1,64}",
)
EMAIL: Final = Text("an e-mail address", r"[^@\s]+@[^@\s]+\.[^@\s]+")
POLICY_NAME: Final = Text("the name of a policy, as in [policies.NAME]", r".+")
BUCKET: Final = Text(
    "a bucket's name: 3 to 63 small letters, digits, dots and hyphens",
    r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
)
DISTRIBUTIONS: Final = Texts(Text("a distribution's id as in E1EXAMPLE", r"[A-Z0-9]{8,20}"), 1)
ORIGIN_PATH: Final = Text(
    "empty, or a path that begins with / and does not end with it", r"|/|(/[^/]+)+"
)
INDEX_DOCUMENTS: Final = Texts(Text("a file's name without /", r"[^/]+"), 0)
EXTRA_PATHS: Final = PathRules()
IGNORE: Final = Texts(Text("a pattern of keys as in **/*.map", r"(?s).+"), 0)
CAP: Final = Dollars()
EVENTS: Final = Spoken('"s3" or "eventbridge"', _event_source)
