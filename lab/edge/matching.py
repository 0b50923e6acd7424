"""Which cached URIs an invalidation path means, and which paths CloudFront refuses.

From the CloudFront Developer Guide, "What you need to know when invalidating files". A path is
compared with a URI as it is written: nothing is decoded, so a path that encodes more than the guide
asks for is accepted and meets nothing.
"""

import re
from enum import StrEnum

LONGEST_PATH = 4000
"""In characters."""
_UNSAFE = frozenset(' "<>#%{}|\\^~[]`')
"""RFC 1738, 2.2. The guide wants these and all that is not ASCII encoded, and nothing else."""
_CODE = re.compile(r"%[0-9A-Fa-f]{2}")
_LAST_CONTROL, _LAST_ASCII = 0x1F, 0x7E


class Encodings(StrEnum):
    """Which spellings of a URI are one cache entry."""

    DOCUMENTED = "documented"
    """A raw unsafe character is the same as its code (browsers send `~` raw, a path must not), and
    nothing else is: `(` and `%28` are two entries, and so are `%e8` and `%E8`. The guide does not
    speak of the case of the digits."""
    AS_SENT = "as-sent"
    """Every spelling is an entry of its own: then no path reaches what was requested with a raw
    `~`, as some users report."""


class Wildcards(StrEnum):
    """What `/docs/*` takes; the guide says both in one section."""

    CHARACTERS = "characters"
    """"`*` replaces 0 or more characters": also `/docs/2026/a.png`."""
    FOLDER = "folder"
    """"All of the files in a directory", where `/docs*` is "and all of its subdirectories": not
    `/docs/2026/a.png`. `/*` is everything all the same."""


def fault_in(path: str) -> str | None:
    """Return why CloudFront refuses an invalidation path; None when it is a valid one."""
    if not path.startswith("/"):
        return "does not begin with a slash"
    if len(path) > LONGEST_PATH:
        return f"is longer than {LONGEST_PATH} characters"
    if "*" in path[:-1]:
        return "has an asterisk that is not its last character"
    unsafe = next((character for character in _CODE.sub("", path) if _must_be_code(character)), "")
    return f"has {unsafe!r}, which must be encoded" if unsafe else None


def is_wildcard(path: str) -> bool:
    """Return whether a valid path is counted as a wildcard."""
    return path.endswith("*")


def matches(path: str, key: str, wildcards: Wildcards = Wildcards.CHARACTERS) -> bool:
    """Return whether a valid path invalidates the entry with this key (of `cache_key`)."""
    if not is_wildcard(path):
        return path == key
    beginning = path[:-1]
    if not key.startswith(beginning):
        return False
    one_folder = wildcards is Wildcards.FOLDER and beginning.endswith("/") and beginning != "/"
    return not one_folder or "/" not in key[len(beginning) :]


def cache_key(target: str, encodings: Encodings, *, query_strings: bool) -> str:
    """Return under what a response is cached.

    `target` is a request line's, its bytes as Latin-1, as `http.server` hands it over. The query
    string counts only where the distribution caches by it.
    """
    uri = target if query_strings else target.partition("?")[0]
    return uri if encodings is Encodings.AS_SENT else _with_codes(uri)


def _with_codes(uri: str) -> str:
    pieces, end = [], 0
    for code in _CODE.finditer(uri):
        pieces += [_encoded(uri[end : code.start()]), code.group()]
        end = code.end()
    return "".join([*pieces, _encoded(uri[end:])])


def _encoded(raw: str) -> str:
    return "".join(f"%{ord(c):02X}" if _must_be_code(c) else c for c in raw)


def _must_be_code(character: str) -> bool:
    code = ord(character)
    return code <= _LAST_CONTROL or code > _LAST_ASCII or character in _UNSAFE
