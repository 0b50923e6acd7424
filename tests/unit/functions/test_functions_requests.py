"""What a schedule may ask for."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.errors import RequestError
from functions.domain.requests import SCHEDULED_TIME, BackupRequest
from tests.twins.world import event


def test_run_ids_are_of_the_target_the_scheduled_time_and_the_attempt() -> None:
    """The same schedule gives the same run, whichever invocation serves it."""
    request = BackupRequest.from_event(event(scheduled_at="2026-11-26T03:00:00+09:00"))
    assert request.scheduled_at == datetime(2026, 11, 25, 18, tzinfo=UTC)
    assert request.run_id(2) == "recipes-db.20261125T180000Z.2"


def test_a_time_that_no_scheduler_filled_in_is_refused() -> None:
    """A hand-made invocation must say when it is, or two of them would be one run."""
    with pytest.raises(RequestError, match="only EventBridge Scheduler replaces it"):
        BackupRequest.from_event(event(scheduled_at=SCHEDULED_TIME))


def test_every_fault_is_named_at_once() -> None:
    """Whoever mends a schedule sees all that is to be mended."""
    broken = dict.fromkeys(event(), "?")
    with pytest.raises(RequestError) as caught:
        BackupRequest.from_event(broken)
    assert [fault.split()[0] for fault in caught.value.faults] == list(event())


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"v": True},
        {"target": "Recipes"},
        {"target": "x" * 49},
        {"scheduled_at": "2026-11-25T18:00:00"},
        {"instance": "i-XYZ"},
        {"commands_url": "sqs.example/1/q"},
        {"attempts": 0},
        {"attempts": True},
        {"patience_s": "60"},
    ],
)
def test_a_fault_names_its_field(change: dict[str, object]) -> None:
    """One wrong field is one fault, with the field's name."""
    (name,) = change
    with pytest.raises(RequestError) as caught:
        BackupRequest.from_event(event(**change))
    assert len(caught.value.faults) == 1
    assert caught.value.faults[0].startswith(f"{name} must")


@given(
    st.dictionaries(
        st.sampled_from(sorted(event())),
        st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()),
        min_size=1,
    )
)
def test_whatever_a_schedule_sends_is_a_request_or_a_request_error(
    changes: dict[str, object],
) -> None:
    """No input ends in an error that does not say what is wrong with it."""
    try:
        request = BackupRequest.from_event(event(**changes))
    except RequestError as error:
        assert error.faults  # noqa: PT017 - either way is right
    else:
        assert request.run_id(1)
