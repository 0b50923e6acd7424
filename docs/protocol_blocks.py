"""What docs/protocol.md takes from the code: the machines, the messages, the codes."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from holdstill_protocol import conductor_model, host_model
from holdstill_protocol.codec import encode
from holdstill_protocol.messages import (
    Check,
    Command,
    Freeze,
    Frozen,
    Lock,
    Position,
    Prepare,
    Prepared,
    RefusalCode,
    Refused,
    Reply,
    Thaw,
    Thawed,
    ThawReason,
)

_RUN = "recipes-db.20261125T180000Z.1"
_AT = datetime(2026, 11, 25, 18, 0, 59, tzinfo=UTC)
_COMMANDS: tuple[Command, ...] = (
    Prepare(_RUN, "recipes-db", 1, _AT),
    Freeze(_RUN, "recipes-db", 2, _AT),
    Thaw(_RUN, "recipes-db", 3, _AT),
)
_REPLIES: tuple[Reply, ...] = (
    Prepared(
        _RUN,
        "recipes-db",
        volumes=("vol-0123456789abcdef0",),
        checks=(Check("mount", True, "/var/lib/mysql is xfs on /dev/nvme1n1"),),
        lock=Lock.FTWRL,
        freeze=True,
        budget_ms=10_000,
    ),
    Frozen(
        _RUN,
        "recipes-db",
        lock_wait_ms=2,
        freeze_ms=1,
        position=Position("mariadb", "10.11.19", None, "binlog.000007", 4242, "0-1-99"),
    ),
    Thawed(_RUN, "recipes-db", ThawReason.COMMANDED, True, held_ms=23, locked_ms=26),
    Refused(_RUN, "recipes-db", RefusalCode.LOCK_TIMEOUT, "waited 2 s for the lock"),
)


def diagram(transitions: Iterable[tuple[type, str, type]], first: type) -> str:
    """Return a machine's table of transitions as a Mermaid state diagram."""
    arrows = sorted(
        f"    {before.__name__} --> {after.__name__}: {event}"
        for before, event, after in transitions
    )
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first.__name__}", *arrows, "```"]
    return "\n".join(lines) + "\n"


def messages(examples: Iterable[Command | Reply]) -> str:
    """Return one example of each message, as it is on the wire."""
    lines = [json.dumps(json.loads(encode(message)), ensure_ascii=False) for message in examples]
    return "\n".join(["```json", *lines, "```"]) + "\n"


def codes() -> str:
    """Return the refusals' codes."""
    return ", ".join(f"`{code}`" for code in RefusalCode) + "\n"


BLOCKS: dict[str, Callable[[], str]] = {
    "host": lambda: diagram(host_model.TRANSITIONS, host_model.Idle),
    "conductor": lambda: diagram(conductor_model.TRANSITIONS, conductor_model.New),
    "commands": lambda: messages(_COMMANDS),
    "replies": lambda: messages(_REPLIES),
    "refusals": codes,
}
