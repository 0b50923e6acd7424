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
A bucket and the distributions that serve it: what changes in the bucket is cleared from their \
caches. The name is 1 to 48 small letters, digits and hyphens, with a letter first. Several sites \
may have one bucket, and several one distribution."""
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
_ADDRESSES: Final = """\
## The addresses of a file

A file clears its own address, percent-encoded as CloudFront wants it. Where there is more to \
clear, or less, the site says so. All of it is about keys below the `origin_path`.

`extra_paths` is for distributions that rewrite what viewers ask for:

```toml
extra_paths = [
  { match = "{page}.html", paths = ["/{page}", "/{page}/"] },
  { match = "index.html", paths = ["/*"] },
]
```

`match` is a whole key, in which `{name}` stands for one or more characters, slashes too; it \
has at most two such names, with text between them. In `paths` the name stands for the same \
characters, encoded. The rest of a path is taken as it is, so it is written encoded, and it may \
have a query string or a `*` at its end. A brace of a key is written twice.

`ignore` is for files that no cache shows under an old address: hashed assets, source maps.

- `*` is any characters within a name, `?` one of them; neither is a slash. `*.map` is only what \
is in no folder.
- `**` alone between slashes is any number of folders: `**/*.map` is every source map, \
`assets/**` everything below assets.
- Everything else is itself, by case, from the first character of the key.

One change may write at most 90 rows: (1, and 1 with index documents, and 1 for each of the extra \
paths) x distributions.

## The events of a bucket

`events = "s3"` adds a notification to the bucket's own, and leaves those alone. S3 refuses two \
that overlap: where another one already takes the same events, write `events = "eventbridge"`.

A site that is taken out of the file leaves its bucket as it was at the next `cdk deploy`. After \
the last one the stack `holdstill-uploads` is in no deployment any more: delete it in \
CloudFormation.
"""


def reference() -> str:
    """Return the whole page as Markdown."""
    sections = [_section(title, text, table) for title, text, table in _SECTIONS]
    return "\n".join([_INTRO, *sections, _SCHEDULES, _ADDRESSES])


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
