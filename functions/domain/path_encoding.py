"""From a key of S3 to a path of CloudFront's, and back.

CloudFront wants encoded what is not ASCII and what RFC 1738 calls unsafe, and nothing else: it
takes a path that encodes more, answers as if all were well, and invalidates nothing ("Non-ASCII or
unsafe characters in the path", What you need to know when invalidating files, CloudFront Developer
Guide). A key is bytes of UTF-8, not a path: `//`, `.` and `..`, a slash at either end and the form
of an accent (NFC or NFD) all name objects of their own, and nothing here tidies them.
"""

import re
from typing import Final
from urllib.parse import unquote

from functions.domain.errors import HoldstillError

MAX_CHARACTERS: Final = 4_000
"""CloudFront's limit of a path, the slash before it included.

S3 allows a key 1,024 bytes, and a byte becomes three characters at most: 3,073 with the slash. So
what S3 can hold always fits; what is longer comes from an extra path rule or was typed.
"""

_UNSAFE: Final = ' "#%<>[\\]^`{|}~'
"""RFC 1738, 2.2, beside the controls, DEL, and all that is not ASCII.

On `~` the sources disagree. All say that raw it is refused. Of `%7E` some users report that it
clears the file, some that it does not, and the guide by now that no spelling is supported.
"""

_READ_OTHERWISE: Final = "+?"
"""Not unsafe, but raw they are no part of a key: S3 reads a `+` in an address as a space, and a `?`
begins the query string (reserved in RFC 1738, 3.3), so no viewer can ask for such a key but by
their codes."""

_ENCODED: Final = re.compile(f"[\0-\x1f\x7f-\U0010ffff{re.escape(_UNSAFE + _READ_OTHERWISE)}]+")
_CUT_CODE: Final = re.compile(r"%[0-9A-F]?\Z")


class NoSuchKeyPathError(HoldstillError):
    """The path is not what any key is encoded to: a wildcard, too long, or spelt otherwise."""


def encode(key: str) -> str:
    """Return the path that invalidates a key's object, or the shortest wildcard that does.

    A wildcard (it ends in `*`) is for a key whose path is longer than MAX_CHARACTERS, and for one
    with a `*` in it. At the end of a path a `*` never stands for itself; of one within it the guide
    says in one place that it does, in another that it cannot be there. The wildcard is right in any
    case, and clears also what viewers ask for as `%2A`.

    Raise UnicodeEncodeError for half a surrogate pair, which no key of S3 holds.
    """
    named, star, _ = key.partition("*")
    return fitted(f"/{escape(named)}{star}")


def decode(path: str) -> str:
    """Return the key of which `encode` makes this path. Raise NoSuchKeyPathError."""
    try:
        key = unquote(path[1:], errors="strict")
        if "*" not in key and encode(key) == path:
            return key
    except UnicodeError:
        pass
    raise NoSuchKeyPathError(f"no key has the path {path}")


def escape(text: str) -> str:
    """Return a part of a key as it stands in a path; `/` and `*` stay what they are."""
    return _ENCODED.sub(_codes, text)


def fitted(path: str) -> str:
    """Return the path, or the longest wildcard that covers it where CloudFront would refuse it."""
    if len(path) <= MAX_CHARACTERS:
        return path
    return _CUT_CODE.sub("", path[: MAX_CHARACTERS - 1]) + "*"


def respelt(text: str) -> str:
    """Return a text of a path with all encoded that must be, and its codes, `?` and `+` kept."""
    kept = re.split(r"(%[0-9A-Fa-f]{2}|[?+])", text)
    return "".join(part if place % 2 else escape(part) for place, part in enumerate(kept))


def _codes(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode())
