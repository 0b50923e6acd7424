"""Reads one TOML table against its keys, and notes what is wrong with it."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.configuration.faults import KeyPath
from infra.configuration.forms import TARGET_NAME, Form, FormError
from infra.configuration.keys import Key, Required


@dataclass(slots=True)
class Findings:
    """The faults found so far: reading goes on after each."""

    found: list[tuple[KeyPath, str]] = field(default_factory=list)

    def add(self, at: KeyPath, sentence: str) -> None:
        """Note a fault at a key."""
        self.found.append((at, sentence))

    def values(
        self, at: KeyPath, table: Any, keys: Sequence[Key], tables: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Return what each key says or defaults to; one at fault is noted and left out.

        `tables` are further names that the table may have, which somebody else reads.
        """
        if not isinstance(table, dict):
            self.add(at, f"must be a table, as in [{'.'.join(at)}]")
            return {}
        self._unknown(at, table, [*(key.name for key in keys), *tables])
        values: dict[str, Any] = {}
        for key in keys:
            if key.name in table:
                self._read((*at, key.name), key.form, table[key.name], values)
            elif isinstance(key.default, Required):
                example = f"{key.name} = {key.default.example}"
                self.add((*at, key.name), f"is missing: must be {key.form.takes}; write {example}")
            else:
                values[key.name] = key.default
        return values

    def named(self, section: str, document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Yield the tables of a section with their names, after a look at the names."""
        tables = document.get(section, {})
        if not isinstance(tables, dict):
            self.add((section,), f"must hold tables, as in [{section}.NAME]")
            return
        for name, table in tables.items():
            self._read((section, name), TARGET_NAME, name, {}, subject="its name ")
            yield name, table

    def _read(
        self, at: KeyPath, form: Form, value: Any, into: dict[str, Any], subject: str = ""
    ) -> None:
        try:
            into[at[-1]] = form.read(value)
        except FormError as error:
            self.add(at, f"{subject}{error}")

    def _unknown(self, at: KeyPath, table: Mapping[str, Any], known: list[str]) -> None:
        for name in [name for name in table if name not in known]:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
            hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(known)}"
            self.add((*at, name), f"is not a key of this table; {hint}")
