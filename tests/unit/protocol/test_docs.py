"""The protocol's page says what the code does."""

from docs.generate import BLOCKS, PROTOCOL, generated


def test_the_generated_blocks_are_current() -> None:
    """Run `make docs` after a change of the machines or the messages."""
    text = PROTOCOL.read_text(encoding="utf-8")
    assert generated(text) == text
    assert all(f"<!-- generated: {name} -->" in text for name in BLOCKS)
