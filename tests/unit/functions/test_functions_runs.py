"""The record of a run fits into a row of the table, whatever a host has said."""

from dataclasses import replace
from typing import Any

import pytest

from functions.domain.runs import EndedRun, OpenRun
from holdstill_protocol.codec import MAX_CHARACTERS
from holdstill_protocol.messages import Check, SourcePosition
from tests.laws.table import LATER, opened, talkative

ROW_BYTES = 400 * 1024
"""DynamoDB's limit: names and values in UTF-8, a byte for each entry, three for each container."""

GTID = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5," * 6_300


@pytest.fixture
def run() -> OpenRun:
    """Return an open run."""
    return opened()


def test_the_last_snapshots_gtid_set_is_kept_whole(run: OpenRun) -> None:
    """Whoever restores it needs it; of the others' the beginning tells enough."""
    attempts = talkative(GTID, attempts=10)
    bare = replace(attempts[-1], evidence=replace(attempts[-1].evidence, snapshots=()))
    record = EndedRun(run, LATER, (*attempts[:-1], bare)).document()
    assert size(record) <= ROW_BYTES
    assert [len(gtid) for gtid in gtids(record)] == [1_001] * 8 + [len(GTID), 1_001]
    assert gtids(record)[0] == GTID[:1_000] + "…"


@pytest.mark.parametrize("word", ["a", "ä", "\x01", "\N{SNOWMAN}"])
def test_a_record_fits_whatever_the_host_has_said(run: OpenRun, word: str) -> None:
    """Each reply as long as can be read: the run's end is written, with its verdict."""
    check = Check("mount", True, word * MAX_CHARACTERS)
    attempts = tuple(
        replace(it, evidence=replace(it.evidence, prepared=replace(prepared, checks=(check,))))
        for it in talkative(word * MAX_CHARACTERS, attempts=10)
        if (prepared := it.evidence.prepared)
    )
    record = EndedRun(run, LATER, attempts).document()
    assert size(record) <= ROW_BYTES
    assert record["verdict"] == "consistent"
    assert len(described(record)) == 10


def test_a_replicas_record_has_where_its_sources_stood(run: OpenRun) -> None:
    """From there a server that is made from the snapshot follows on."""
    (attempt,) = talkative(GTID, attempts=1)
    frozen = attempt.evidence.frozen
    assert frozen
    assert frozen.position
    stood = SourcePosition("", "db-1", 3306, "binlog.000042", 4711, GTID)
    frozen = replace(frozen, position=replace(frozen.position, sources=(stood,)))
    attempt = replace(attempt, evidence=replace(attempt.evidence, frozen=frozen))
    record: Any = EndedRun(run, LATER, (attempt,)).document()
    assert size(record) <= ROW_BYTES
    (told,) = record["attempts"][0]["frozen"]["position"]["sources"]
    assert (told["host"], told["file"], told["offset"]) == ("db-1", "binlog.000042", 4711)
    assert size(attempt.document()) < 10_000


def test_the_log_has_the_beginning_of_a_gtid_set() -> None:
    """CloudWatch cuts a line of 256 KiB, and then it is no JSON."""
    (attempt,) = talkative(GTID, attempts=1)
    assert size(attempt.document()) < 10_000


def size(value: object) -> int:
    """Return the bytes of a value in the table."""
    match value:
        case dict():
            return 3 + sum(1 + len(name.encode()) + size(item) for name, item in value.items())
        case tuple() | list():
            return 3 + sum(1 + size(item) for item in value)
        case bool():
            return 1
        case _:
            return len(str(value).encode())


def described(record: object) -> tuple[dict[str, dict[str, dict[str, str]]], ...]:
    """Return the attempts of a record."""
    assert isinstance(record, dict)
    attempts: tuple[dict[str, dict[str, dict[str, str]]], ...] = record["attempts"]
    return attempts


def gtids(record: object) -> list[str]:
    """Return the GTID set of each attempt of a record."""
    return [attempt["frozen"]["position"]["gtid"] for attempt in described(record)]
