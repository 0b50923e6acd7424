"""Words for what was mistyped, and for what a terminal must not be sent."""

import difflib
from collections.abc import Sequence


def nearest(name: str, known: Sequence[str]) -> str:
    """Return a question for the known name that may be meant, or an end of the sentence."""
    alike = difflib.get_close_matches(name, known, n=1)
    return f": did you mean {alike[0]}?" if alike else "."


def shown(key: str) -> str:
    r"""Return a key for a terminal, which obeys control characters: they are shown as `\x1b`.

    The names of a bucket's objects are anybody's who may upload.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in key
    )


def counted(number: int, one: str, many: str = "") -> str:
    """Return `1 path`, `2 paths`; `many` where it is not the word with an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(names: Sequence[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
