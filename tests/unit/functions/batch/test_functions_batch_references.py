"""The reference of a batch: its own alone, short, and to be read."""

from hypothesis import given
from hypothesis import strategies as st

from functions.domain.batch import MAX_REFERENCE, caller_reference

batch_names = st.tuples(st.sampled_from(["E1", "E12", "E2"]), st.text("12./", max_size=140))


@given(one=batch_names, other=batch_names)
def test_a_reference_is_one_batchs_alone(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Always the same of the same batch, never of two, and short."""
    assert len(caller_reference(*one)) <= MAX_REFERENCE
    assert (caller_reference(*one) == caller_reference(*other)) == (one == other)


def test_long_ids_that_differ_only_at_the_end_have_two_references() -> None:
    """A reference is never cut."""
    assert caller_reference("E1", "1" * 200 + "1") != caller_reference("E1", "1" * 200 + "2")


def test_references_can_be_read() -> None:
    """Whoever looks at an invalidation in the console sees which batch it was."""
    assert caller_reference("E1EXAMPLE", "b1.2") == "holdstill/E1EXAMPLE/b1.2"
