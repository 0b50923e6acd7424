"""The reference of `holdstill.toml`, printed from the keys themselves.

`python -m infra.configuration.reference >docs/configuration.md` writes it anew; a test compares.
"""

import json
import sys
from collections.abc import Sequence
from typing import Final

from infra.configuration import keys
from infra.configuration.keys import Key, Required

_INTRO: Final = """\
# Configuration

<!-- Written by `python -m infra.configuration.reference` from infra/configuration/keys.py. -->

`holdstill.toml`, beside `app.py`, says what to protect. `cdk synth` reads it, reports everything \
that is wrong with it at once, and makes no AWS call. `-c config=PATH` names another file.
"""
_TARGETS: Final = """\
A database host. Its name is part of its queues' names, so a new name needs a new agent.toml on \
the host: 1 to 48 small letters, digits and hyphens, with a letter first."""
_KEEP: Final = """\
What to keep: at least one of these is above 0. Checked, but **not acted on by this version**: \
nothing is deleted."""
_SITES: Final = """\
A bucket and the distributions that serve it. Checked, but **not deployed by this version**: \
synth warns of each."""
_SECTIONS: Final = (
    ("At the top", "Before the first table.", keys.TOP),
    ("[policies.NAME]", "When to back up. Many targets can follow one policy.", keys.POLICY),
    ("[policies.NAME.keep]", _KEEP, keys.KEEP),
    ("[targets.NAME]", _TARGETS, keys.TARGET),
    ("[sites.NAME]", _SITES, keys.SITE),
)
_SCHEDULES: Final = """\
## Schedules

The language is EventBridge Scheduler's own.

- `cron(minute hour day-of-month month day-of-week year)`, of which exactly one of the two days \
is `?`. `cron(0 3 * * ? *)` is every day at 3:00, `cron(30 1 ? * MON-FRI *)` on weekdays at 1:30, \
`cron(0 0/6 L * ? *)` every six hours of each month's last day.
- `rate(6 hours)`, counted from the moment when the schedule is created.
- `at(2030-01-31T03:00:00)`, once.

`spread_minutes` moves each target's start by an offset that follows from its name alone, so it \
stays when other targets come and go. A `cron()` is rewritten: `cron(0 3 * * ? *)` with an offset \
of 17 becomes `cron(17 3 * * ? *)`. Days never change: a spread that would carry a start over \
midnight is refused, unless the schedule runs on every day. A `rate()` has no minute to move and \
takes no spread.
"""


def reference() -> str:
    """Return the whole page as Markdown."""
    sections = [_section(title, text, table) for title, text, table in _SECTIONS]
    return "\n".join([_INTRO, *sections, _SCHEDULES])


def _section(title: str, text: str, table: Sequence[Key]) -> str:
    heading = f"## `{title}`" if title.startswith("[") else f"## {title}"
    rows = ["| key | must be | default | meaning |", "| --- | --- | --- | --- |"]
    rows += [
        f"| `{key.name}` | {key.form.takes} | {_default(key)} | {key.meaning} |" for key in table
    ]
    return "\n".join([heading, "", text, "", *rows, ""])


def _default(key: Key) -> str:
    match key.default:
        case Required():
            return "must be given"
        case None:
            return "absent"
        case value:
            return f"`{json.dumps(value)}`"


if __name__ == "__main__":
    sys.stdout.write(reference())
