"""A TOML table read key by key. Faults are collected, not raised: one reading finds them all."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Self, TypeVar

_Choice = TypeVar("_Choice", bound=StrEnum)
_REQUIRED = object()


class TomlTable:
    """One table. Each reader returns the value or, after noting a fault, one of the right type."""

    def __init__(self, body: Mapping[str, Any], faults: list[str], at: str = "") -> None:
        self._body = body
        self._faults = faults
        self._at = at
        self._known: set[str] = set()

    def has(self, key: str) -> bool:
        """Return whether the key is there."""
        return key in self._body

    def fault(self, key: str, problem: str) -> None:
        """Note what is wrong with a key, and what to write instead."""
        self._faults.append(f"{self._at}{key}: {problem}")

    def text(self, key: str, form: str, teach: str, default: str | None = None) -> str:
        """Return a string that wholly matches `form`; `teach` completes "must be …"."""
        value = self._value(key, default)
        if value is None:
            return ""
        if not isinstance(value, str) or not re.fullmatch(form, value):
            self.fault(key, f"must be {teach}; it is {value!r}")
            return ""
        return value

    def texts(self, key: str, form: str, teach: str) -> tuple[str, ...]:
        """Return a list of such strings, empty by default."""
        value = self._value(key, [])
        fits = isinstance(value, list) and all(
            isinstance(one, str) and re.fullmatch(form, one) for one in value
        )
        if not fits:
            self.fault(key, f"must be a list of {teach}; it is {value!r}")
            return ()
        return tuple(value)

    def seconds(self, key: str, least: float, most: float, default: float) -> float:
        """Return a number of seconds between `least` and `most`."""
        value = self._value(key, default)
        if type(value) not in (int, float) or not least <= value <= most:
            self.fault(key, f"must be {least:g} to {most:g} seconds; it is {value!r}")
            return default
        return float(value)

    def whole_seconds(self, key: str, least: int, most: int, default: int) -> int:
        """Return a whole number of seconds, 2.0 too: of 1.5 MySQL would silently be told 1."""
        value = self._value(key, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is not int or not least <= value <= most:
            self.fault(
                key, f"must be {least} to {most} seconds, without a fraction; it is {value!r}"
            )
            return default
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        value = self._value(key, default)
        if not isinstance(value, bool):
            self.fault(key, f"must be true or false; it is {value!r}")
            return default
        return value

    def choice(self, key: str, among: type[_Choice], default: _Choice) -> _Choice:
        """Return the member of `among` that the text names."""
        value = self._value(key, default.value)
        if not isinstance(value, str) or value not in set(among):
            named = ", ".join(f'"{member}"' for member in among)
            self.fault(key, f"must be one of {named}; it is {value!r}")
            return default
        return among(value)

    def table(self, key: str) -> Self:
        """Return a table, empty if it is missing."""
        value = self._value(key, {})
        if not isinstance(value, dict):
            self.fault(key, f"must be a table: write [{self._at}{key}]")
            value = {}
        return type(self)(value, self._faults, f"{self._at}{key}.")

    def tables(self, key: str) -> list[Self]:
        """Return an array of tables, at least one."""
        value = self._value(key, _REQUIRED)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            self.fault(key, f"must be an array of tables: write [[{self._at}{key}]]")
            return []
        return [
            type(self)(one, self._faults, f"{self._at}{key}[{index}].")
            for index, one in enumerate(value)
        ]

    def close(self) -> None:
        """Note every key that nobody has read: a typing error would else be silently a default."""
        for key in self._body.keys() - self._known:
            known = ", ".join(sorted(self._known))
            self.fault(key, f"unknown key; the keys here are {known}")

    def _value(self, key: str, default: Any) -> Any:
        self._known.add(key)
        if key in self._body:
            return self._body[key]
        if default is None or default is _REQUIRED:
            self.fault(key, "is missing")
            return None
        return default
