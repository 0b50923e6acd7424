"""Every key of `holdstill.toml`: its form, its default, its meaning.

The reader walks these tables and the reference in the docs is printed from them: a key that is
not here does not exist.
"""

from dataclasses import dataclass
from typing import Any, Final

from functions.domain.site import EventSource
from infra.configuration import forms
from infra.configuration.forms import Form, Whole


@dataclass(frozen=True, slots=True)
class Required:
    """The default of a key that has none: its `example` stands in the docs and in faults."""

    example: str


@dataclass(frozen=True, slots=True)
class Key:
    """One key: what it takes, and what is meant when it is absent."""

    name: str
    form: Form
    default: Any
    meaning: str

    @property
    def required(self) -> bool:
        """Whether the key must be there."""
        return isinstance(self.default, Required)


TOP: Final = (
    Key(
        "alarm_email",
        forms.EMAIL,
        None,
        "subscribed to the alarms' topic; AWS asks it for a confirmation once",
    ),
)

KEEP: Final = (
    Key("hourly", Whole(0, 1000), 0, "the newest snapshot of each of so many hours"),
    Key("daily", Whole(0, 1000), 0, "the newest snapshot of each of so many days"),
    Key("weekly", Whole(0, 1000), 0, "the newest snapshot of each of so many weeks"),
    Key("monthly", Whole(0, 1000), 0, "the newest snapshot of each of so many months"),
)

POLICY: Final = (
    Key(
        "schedule",
        forms.SCHEDULE,
        Required('"cron(0 3 * * ? *)"'),
        "when to back up, in EventBridge Scheduler's own language",
    ),
    Key("timezone", forms.TIMEZONE, "UTC", "the time zone of the schedule"),
    Key(
        "spread_minutes",
        Whole(0, 720, "minutes"),
        0,
        "each target starts at its own stable offset below this, so that a fleet does not start "
        "at once",
    ),
    Key(
        "attempts",
        Whole(1, 10),
        3,
        "how often a run is tried before it counts as failed; all attempts together must fit "
        "into one invocation, see patience_s",
    ),
    Key(
        "patience_s",
        Whole(10, 600, "seconds"),
        60,
        "how long one attempt may wait for a quiet moment, before anything is held; "
        "attempts x (patience_s + 70) may be at most 870",
    ),
    Key(
        "max_age_hours",
        Whole(1, 168, "hours"),
        None,
        "an alarm sounds when no consistent snapshot was made for so long; absent: no such alarm. "
        "A new target's sounds until its first consistent run, and that of a host with lock or "
        "freeze off always: none of its runs counts",
    ),
)

TARGET: Final = (
    Key(
        "instance",
        forms.INSTANCE,
        Required('"i-0123456789abcdef0"'),
        "the EC2 instance on which the database runs",
    ),
    Key(
        "policy",
        forms.POLICY_NAME,
        Required('"nightly"'),
        "the policy that it follows: a table of [policies]",
    ),
    Key(
        "host_role_arn",
        forms.ROLE_ARN,
        None,
        "the instance's role; when it is given, the target's queues refuse every other "
        "principal, whatever its own policies allow",
    ),
)

SITE: Final = (
    Key("bucket", forms.BUCKET, Required('"example-static"'), "the bucket with the files"),
    Key(
        "distributions",
        forms.DISTRIBUTIONS,
        Required('["E1EXAMPLE"]'),
        "the CloudFront distributions that serve them",
    ),
    Key("origin_path", forms.ORIGIN_PATH, "", "the origin path of those distributions"),
    Key(
        "index_documents",
        forms.INDEX_DOCUMENTS,
        (),
        "files that a folder's own address shows as well: with index.html, docs/index.html also "
        "clears /docs/",
    ),
    Key(
        "extra_paths",
        forms.EXTRA_PATHS,
        (),
        "further addresses of the same file, where viewers' requests are rewritten; see below",
    ),
    Key("ignore", forms.IGNORE, (), "files whose changes clear nothing; see below"),
    Key(
        "monthly_cap_usd",
        forms.CAP,
        None,
        "what the site's paths may cost in a month (UTC): an alarm sounds at 80 % of it, and once "
        "it is spent wildcards are preferred to single paths. Nothing stops at the cap",
    ),
    Key(
        "events",
        forms.EVENTS,
        EventSource.S3,
        "where the bucket's events come from: the same for all sites of one bucket; see below",
    ),
)
