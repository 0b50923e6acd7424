"""Messages that the loop does not obey: unreadable, unfit or repeated."""

import json
from datetime import UTC, datetime

import pytest

from holdstill_protocol.codec import encode
from holdstill_protocol.messages import Freeze, Prepare, RefusalCode, Refused, Thaw, Thawed
from tests.unit.loop.noted_loop import RUN, TARGET, Rig, eventually


def _wrong(**changes: object) -> str:
    message = json.loads(encode(Freeze(RUN, TARGET, 2, datetime(2999, 1, 1, tzinfo=UTC))))
    return json.dumps(message | changes)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", None),
        ("\x00\x01{", None),
        ("[" * 100_000, None),
        ("x" * 1_048_576, None),
        ('{"v":1}', None),
        (_wrong(v=2), RefusalCode.UNSUPPORTED_VERSION),
        (_wrong(v="1"), RefusalCode.MALFORMED),
        (_wrong(type="format"), RefusalCode.UNKNOWN_TYPE),
        (_wrong(seq=-1), RefusalCode.MALFORMED),
        (_wrong(expires_at="tomorrow"), RefusalCode.MALFORMED),
        (_wrong(expires_at="9999-12-31T23:59:59-23:59"), RefusalCode.MALFORMED),
        (_wrong(run_id="../../etc/passwd"), None),
    ],
    ids=lambda value: str(value)[:30],
)
def test_unreadable_message_changes_nothing(rig: Rig, text: str, code: RefusalCode | None) -> None:
    """It is logged by name, answered if it names a run, left to the dead-letter queue."""
    rig.text(text)
    if code:
        refused = rig.reply()
        assert isinstance(refused, Refused)
        assert (refused.run_id, refused.target, refused.code) == (RUN, TARGET, code)
    assert eventually(lambda: "message-refused" in rig.events())
    assert len(rig.log.getvalue()) < 2000, "noise is not copied into the log"
    rig.freeze()
    assert text[:80] not in rig.deleted


@pytest.mark.parametrize(
    ("changes", "skew_ms", "code"),
    [
        ({"target": "another-db"}, 0, RefusalCode.FOREIGN_TARGET),
        ({"target": "x" * 200_000}, 0, RefusalCode.FOREIGN_TARGET),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 0, RefusalCode.EXPIRED),
        ({}, 5000, RefusalCode.CLOCK_SKEW),
        ({}, -5000, RefusalCode.CLOCK_SKEW),
    ],
)
def test_unfit_command_is_refused_and_deleted(
    rig: Rig, changes: dict[str, str], skew_ms: int, code: RefusalCode
) -> None:
    """A command that is understood and not obeyed is answered with a reason, once."""
    text = json.dumps(json.loads(_wrong(**changes)) | {"type": "prepare"})
    rig.text(text, skew_ms=skew_ms)
    refused = rig.reply()
    assert isinstance(refused, Refused)
    assert refused.code is code
    assert len(encode(refused)) < 1000
    assert eventually(lambda: text[:80] in rig.deleted)
    assert not rig.hold.connected


def test_repeated_commands_do_nothing(rig: Rig) -> None:
    """SQS delivers twice: the second time is logged and otherwise without effect."""
    rig.freeze()
    rig.command(Prepare)
    rig.command(Freeze)
    rig.command(Thaw)
    assert isinstance(rig.reply(), Thawed)
    for kind in (Thaw, Freeze, Prepare):
        rig.command(kind)
    assert eventually(lambda: rig.events().count("command-ignored") == 5)
    assert rig.replies.empty()
