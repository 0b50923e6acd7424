"""The questions, what of the product relies on which answer, and what to change if it differs."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Question:
    """`relied_on`: the answers with which `module` is right; none where it is right with any.

    `otherwise`: what to change when the answer is another one.
    """

    id: str
    asks: str
    relied_on: tuple[str, ...]
    module: str
    otherwise: str


_ENCODING: Final = "functions/domain/path_encoding.py"
_RULES: Final = "functions/domain/path_rules.py"

RAW_PLUS: Final = Question(
    "origin-raw-plus",
    "Which object does a viewer get who asks with a raw `+`?",
    ("the one with a space",),
    _ENCODING,
    "Send a `+` raw as well.",
)
QUERIES: Final = Question(
    "queries-are-cached-apart",
    "Is an address with another query string an entry of its own here?",
    (),
    _RULES,
    "It is the distribution's setting; without it the answers about query strings mean nothing.",
)
ROOT_BY_OBJECT: Final = Question(
    "root-object-clears-root",
    "Does the path of the default root object clear `/`?",
    (),
    "functions/domain/site.py",
    "If kept: `/` must be sent too, which `index_documents` does.",
)
ROOT_BY_ROOT: Final = Question(
    "root-clears-root-object",
    "Does `/` clear the address of the default root object?",
    (),
    "functions/domain/site.py",
    "If cleared: one of the two paths can be saved.",
)

_BATCH: Final = "functions/domain/batch.py"
_LIMITS: Final = "functions/domain/invalidation_limits.py"
SAME_AGAIN: Final = "the first one, with its CreateTime"

REPEATED: Final = Question(
    "reference-same-paths",
    "What does the same caller reference with the same paths get?",
    (SAME_AGAIN,),
    _BATCH,
    "A batch of unknown outcome must be looked up, never asked for again.",
)
REUSED: Final = Question(
    "reference-other-paths",
    "What does the same caller reference with other paths get?",
    ("reference-taken",),
    _LIMITS,
    "Give `meaning_of` the code and the message.",
)
REORDERED: Final = Question(
    "reference-other-order",
    "And the same paths in another order?",
    (),
    _BATCH,
    "Nothing: paths are stored, and sent, in one order.",
)
BAD_PATH: Final = Question(
    "bad-path",
    "How is a path without its slash refused?",
    ("bad-paths",),
    _LIMITS,
    "Give `meaning_of` the code and the message.",
)
CREATED_AT: Final = Question(
    "create-time-and-our-clock",
    "How far is CreateTime from this machine's clock (is that one set)?",
    ("within 1 s",),
    "functions/domain/coverage.py",
    "MARGIN_S must be more than the difference, plus what S3's clock adds.",
)
FRACTION: Final = Question(
    "create-time-fraction",
    "Has CreateTime a fraction of a second?",
    (),
    "functions/domain/coverage.py",
    "MARGIN_S allows for whole seconds.",
)
EFFECT: Final = Question(
    "effect",
    "How long until an invalidated address is fresh?",
    ("within 5 s",),
    "functions/domain/coverage.py",
    "MARGIN_S is at least as long.",
)
COMPLETION: Final = Question(
    "completion",
    "How long until an invalidation is completed?",
    ("within 25 s",),
    _LIMITS,
    "Longer pauses after TooManyInvalidationsInProgress; an exact path's wait is dearer.",
)
BURST: Final = Question(
    "burst",
    "How many calls in a row does a rested account have?",
    ("3 or more",),
    _LIMITS,
    "CALLS_AT_ONCE.",
)
RATE: Final = Question(
    "rate",
    "How many calls are taken once it is spent?",
    ("one in 2 s or more",),
    _LIMITS,
    "CALL_EVERY_S.",
)
THROTTLED: Final = Question(
    "throttled",
    "How is a call too many refused?",
    ("throttled",),
    _LIMITS,
    "Give `meaning_of` the code.",
)
READS: Final = Question(
    "reads",
    "Do calls that only read spend the same budget?",
    (),
    _LIMITS,
    "If not, a listing needs no claim.",
)

_EVENTS: Final = "functions/domain/uploads.py"
DIRECT_DELAY: Final = Question(
    "event-delay-direct",
    "How late is S3's event?",
    (),
    _EVENTS,
    "Nothing waits for it but the designer.",
)
BRIDGED_DELAY: Final = Question(
    "event-delay-eventbridge", "And by EventBridge?", (), _EVENTS, 'Prefer events = "s3".'
)
DIRECT_READ: Final = Question(
    "event-read-direct",
    "Does the product read S3's own message, and find the key?",
    ("as it was put",),
    _EVENTS,
    "The message is in the report: mend `read`.",
)
BRIDGED_READ: Final = Question(
    "event-read-eventbridge",
    "And EventBridge's, whose key is raw?",
    ("as it was put",),
    _EVENTS,
    "The message is in the report: mend `read`.",
)
DIRECT_SEQUENCER: Final = Question(
    "sequencer-direct",
    "Does S3's own sequencer begin with a zero byte?",
    ("00…",),
    _EVENTS,
    "`supersedes` tells the two forms apart by it.",
)
BRIDGED_SEQUENCER: Final = Question(
    "sequencer-eventbridge",
    "And EventBridge's?",
    ("no 00…",),
    _EVENTS,
    "`supersedes` tells the two forms apart by it.",
)
ORDER: Final = Question(
    "sequencer-grows",
    "Do the sequencers of one key's puts, one after the other, grow?",
    ("they grow",),
    _EVENTS,
    "`supersedes` must go by the time alone.",
)
SECONDS: Final = Question(
    "eventbridge-fraction",
    "Has the time of EventBridge's event a fraction of a second?",
    (),
    _EVENTS,
    "MARGIN_S allows for whole seconds.",
)
OVERLAP: Final = Question(
    "overlap",
    "How does S3 refuse a second notification for the same events and keys?",
    ("InvalidArgument",),
    "functions/domain/notifications.py",
    "If accepted: `Notification.overlaps` refuses what S3 would take.",
)

OTHERS: Final = (
    *(RAW_PLUS, QUERIES, ROOT_BY_OBJECT, ROOT_BY_ROOT),
    *(REPEATED, REUSED, REORDERED, BAD_PATH, CREATED_AT, FRACTION, EFFECT, COMPLETION),
    *(BURST, RATE, THROTTLED, READS),
    *(DIRECT_DELAY, BRIDGED_DELAY, DIRECT_READ, BRIDGED_READ),
    *(DIRECT_SEQUENCER, BRIDGED_SEQUENCER, ORDER, SECONDS, OVERLAP),
)
