"""The reference in the docs is what the code says today."""

from pathlib import Path

from infra.configuration import keys
from infra.configuration.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_reference_is_current() -> None:
    """`python -m infra.configuration.reference >docs/configuration.md` mends it."""
    assert PAGE.read_text(encoding="utf-8") == reference()


def test_every_key_is_in_the_reference() -> None:
    """A key that is read is a key that is explained."""
    for key in (*keys.TOP, *keys.POLICY, *keys.KEEP, *keys.TARGET, *keys.SITE):
        assert f"| `{key.name}` |" in reference()
