"""What is on the wire: strict about what version 1 needs, tolerant of what it does not know."""

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdstill_protocol.codec import (
    MAX_CHARACTERS,
    MAX_DETAIL_CHARACTERS,
    decode_command,
    decode_reply,
    encode,
)
from holdstill_protocol.errors import (
    MalformedMessageError,
    ProtocolError,
    UnknownTypeError,
    UnsupportedVersionError,
)
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
    SourcePosition,
    Thaw,
    Thawed,
    ThawReason,
)

RUNS = st.from_regex(r"[A-Za-z0-9._:-]{1,128}", fullmatch=True)
TEXTS = st.text(max_size=40)
WILD = st.lists(TEXTS | st.sampled_from("\0\x1f\ufffe\uffff\ud83d\udc0c\udcff"), max_size=5).map(
    "".join
)
"""With what no UTF-8 has: os.fsdecode makes lone surrogates of a path's other bytes."""
TAKEN_BY_SQS = re.compile("[\\t\\n\\r\\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
WHOLES = st.integers(min_value=0, max_value=2**53)
INSTANTS = st.datetimes(timezones=st.just(UTC))
SOURCES = st.builds(
    SourcePosition, TEXTS, TEXTS, WHOLES, st.none() | TEXTS, st.none() | WHOLES, TEXTS
)
POSITIONS = st.builds(
    Position,
    TEXTS,
    TEXTS,
    st.none() | TEXTS,
    st.none() | TEXTS,
    st.none() | WHOLES,
    TEXTS,
    st.lists(SOURCES, max_size=3).map(tuple),
)
COMMANDS = st.one_of(
    *(st.builds(kind, RUNS, TEXTS, WHOLES, INSTANTS) for kind in (Prepare, Freeze, Thaw))
)
REPLIES = st.one_of(
    st.builds(
        Prepared,
        RUNS,
        TEXTS,
        volumes=st.lists(TEXTS).map(tuple),
        checks=st.lists(st.builds(Check, TEXTS, st.booleans(), TEXTS)).map(tuple),
        lock=st.sampled_from(Lock),
        freeze=st.booleans(),
        budget_ms=WHOLES,
    ),
    st.builds(
        Frozen, RUNS, TEXTS, lock_wait_ms=WHOLES, freeze_ms=WHOLES, position=st.none() | POSITIONS
    ),
    st.builds(
        Thawed,
        RUNS,
        TEXTS,
        reason=st.sampled_from(ThawReason),
        intact=st.booleans(),
        held_ms=WHOLES,
        locked_ms=WHOLES,
    ),
    st.builds(Refused, RUNS, TEXTS, code=st.sampled_from(RefusalCode), detail=TEXTS),
)
FREEZE = {
    "v": 1,
    "type": "freeze",
    "run_id": "recipes-db.20260101T000000Z.1",
    "target": "recipes-db",
    "seq": 2,
    "expires_at": "2026-01-01T00:00:00Z",
}


@given(COMMANDS)
def test_commands_survive_the_wire(command: Command) -> None:
    """What is sent is what is read."""
    assert decode_command(encode(command)) == command


@given(REPLIES)
def test_replies_survive_the_wire(reply: Reply) -> None:
    """What is sent is what is read."""
    assert decode_reply(encode(reply)) == reply


@given(
    st.builds(
        Prepared,
        RUNS,
        WILD,
        volumes=st.tuples(WILD),
        checks=st.lists(st.builds(Check, WILD, st.booleans(), WILD), max_size=2).map(tuple),
        lock=st.sampled_from(Lock),
        freeze=st.booleans(),
        budget_ms=WHOLES,
    )
    | st.builds(Refused, RUNS, WILD, code=st.sampled_from(RefusalCode), detail=WILD)
)
def test_any_text_is_sent_and_can_be_kept(reply: Prepared | Refused) -> None:
    """A mount's name may be any bytes: SQS takes the message, DynamoDB what is read of it."""
    sent = encode(reply)
    assert TAKEN_BY_SQS.fullmatch(sent)
    read = decode_reply(sent)
    json.dumps(asdict(read), ensure_ascii=False, default=str).encode("utf-8")
    assert encode(read) == encode(decode_reply(encode(read)))


def test_a_byte_that_is_no_text_is_spelt_out() -> None:
    """The person who reads it can find the mount."""
    refused = Refused("r.1", "recipes-db", RefusalCode.PREFLIGHT_FAILED, "/mnt/caf\udce9 is small")
    read = decode_reply(encode(refused))
    assert isinstance(read, Refused)
    assert read.detail == r"/mnt/caf\udce9 is small"


@pytest.mark.parametrize("character", ["x", "\udcff", "\ufffe", "\x00", "\U0001f40c"])
def test_no_detail_makes_a_reply_too_long(character: str) -> None:
    """A reply that its reader refuses is a backup lost: a long detail is cut, and seen to be."""
    detail = character * MAX_CHARACTERS
    checks = tuple(Check("mounts", False, detail) for _ in range(20))
    for reply in (
        Refused("r.1", "recipes-db", RefusalCode.HOOK_FAILED, detail),
        Prepared("r.1", "recipes-db", ("vol-0a",), checks, Lock.FTWRL, True, 10_000),
    ):
        read = decode_reply(encode(reply))
        assert isinstance(read, Refused | Prepared)
        kept = read.detail if isinstance(read, Refused) else read.checks[-1].detail
        assert kept.endswith("…")


def test_a_usual_detail_is_whole() -> None:
    """What is not too long is sent as it is."""
    detail = "é" * MAX_DETAIL_CHARACTERS
    refused = Refused("r.1", "recipes-db", RefusalCode.HOOK_FAILED, detail)
    assert decode_reply(encode(refused)) == refused


def test_the_wire_form_of_a_command() -> None:
    """Version 1 is a contract with agents that are installed: this text does not change."""
    command = Freeze("r.1", "recipes-db", 2, datetime(2026, 1, 1, 3, tzinfo=UTC))
    assert json.loads(encode(command)) == {
        "v": 1,
        "type": "freeze",
        "run_id": "r.1",
        "target": "recipes-db",
        "seq": 2,
        "expires_at": "2026-01-01T03:00:00Z",
    }


def test_unknown_fields_are_ignored() -> None:
    """A newer peer of version 1 may say more."""
    assert decode_command(json.dumps({**FREEZE, "mood": {"deep": [1]}})).seq == 2


def test_instants_are_read_with_their_offset() -> None:
    """Any offset from UTC will do, none will not."""
    tokyo = timezone(timedelta(hours=9))
    text = json.dumps({**FREEZE, "expires_at": datetime(2026, 1, 1, 9, tzinfo=tokyo).isoformat()})
    assert decode_command(text).expires_at == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"v": 2}, UnsupportedVersionError, "version 2"),
        ({"v": True}, MalformedMessageError, "v must be"),
        ({"v": None}, MalformedMessageError, "v must be"),
        ({"type": "melt"}, UnknownTypeError, "melt"),
        ({"type": 7}, MalformedMessageError, "type must be"),
        ({"run_id": "../etc"}, MalformedMessageError, "run_id must be"),
        ({"run_id": "a b"}, MalformedMessageError, "run_id must be"),
        ({"run_id": "a" * 129}, MalformedMessageError, "run_id must be"),
        ({"target": None}, MalformedMessageError, "target must be"),
        ({"seq": "2"}, MalformedMessageError, "seq must be"),
        ({"seq": True}, MalformedMessageError, "seq must be"),
        ({"seq": -1}, MalformedMessageError, "seq must be"),
        ({"expires_at": "soon"}, MalformedMessageError, "expires_at must be"),
        ({"expires_at": "2026-01-01T00:00:00"}, MalformedMessageError, "offset from UTC"),
    ],
)
def test_bad_commands_are_named(
    change: dict[str, object], error: type[ProtocolError], says: str
) -> None:
    """Each fault is an error of its own type that names the field."""
    with pytest.raises(error, match=says):
        decode_command(json.dumps({**FREEZE, **change}))


def test_the_run_of_a_bad_message_is_known_where_it_can_be() -> None:
    """So that its conductor can be told."""
    with pytest.raises(ProtocolError) as caught:
        decode_command(json.dumps({**FREEZE, "v": 2}))
    assert caught.value.run_id == FREEZE["run_id"]


@given(st.text() | st.binary().map(lambda noise: noise.decode("latin-1")))
def test_noise_is_malformed(noise: str) -> None:
    """No text makes anything but a ProtocolError."""
    for decode in (decode_command, decode_reply):
        with pytest.raises(ProtocolError):
            decode(noise)


def test_much_noise_is_malformed() -> None:
    """A megabyte, a thousand open brackets: neither is parsed, nor harms."""
    for noise in ("x" * 1_048_576, "[" * 100_000, "[" * (MAX_CHARACTERS - 1), "9" * 10_000):
        with pytest.raises(MalformedMessageError):
            decode_command(noise)


def test_position_of_an_older_agent_has_no_sources() -> None:
    """An agent that is installed says nothing of them: it is still understood."""
    position = Position("mariadb", "10.11", None, "binlog.000001", 4, "0-1-1")
    body = json.loads(encode(Frozen("r.1", "recipes-db", 1, 1, position)))
    del body["position"]["sources"]
    decoded = decode_reply(json.dumps(body))
    assert isinstance(decoded, Frozen)
    assert decoded.position == position
