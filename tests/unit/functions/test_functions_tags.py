"""The tags that a snapshot is born with."""

from dataclasses import replace

from functions.domain import tags
from tests.twins.host import POSITION
from tests.twins.world import request


def test_a_snapshot_is_born_unproven_and_says_whose_it_is() -> None:
    """A conductor that dies in the next instant leaves nothing that anybody trusts."""
    assert tags.at_creation(request(), "recipes-db.20261125T180000Z.1") == {
        "holdstill:run-id": "recipes-db.20261125T180000Z.1",
        "holdstill:target": "recipes-db",
        "holdstill:verdict": "unproven",
        "Name": "holdstill recipes-db 2026-11-25T18:00:00Z",
    }


def test_the_position_is_file_and_offset() -> None:
    """A GTID set does not fit into a tag; without a binary log there is no position."""
    assert tags.position(POSITION) == "mysql-bin.000007:4711"
    assert tags.position(replace(POSITION, file=None, offset=None)) is None
    assert tags.position(None) is None
