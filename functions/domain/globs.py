"""Patterns of keys, for files whose changes clear nothing: `**/*.map`, `assets/**`.

A pattern is compared with a whole key below the origin path, from its first character, by case:

- `*` is any characters within a name, or none; `?` is one of them; neither is a slash;
- `**` alone between slashes is any number of folders, or none, and at the end everything below the
  folder: `assets/**` is `assets/app.js`, `assets/js/app.js` and the marker `assets/`, not `assets`;
- everything else is itself, brackets and a leading dot too.

So `*.map` is only what is not in any folder. Too little ignored costs half a cent a path, too much
shows a visitor the old file.
"""

import fnmatch
import re
from functools import lru_cache
from typing import Final

_ANY_FOLDERS: Final = None
_Part = re.Pattern[str] | None


def matches(glob: str, key: str) -> bool:
    """Return whether the key is one of the pattern's; in time of the key's length, for any key."""
    parts, names = _parts(glob), key.split("/")
    part = name = 0
    resume: tuple[int, int] | None = None
    while name < len(names):
        if part < len(parts) and (pattern := parts[part]) is _ANY_FOLDERS:
            part += 1
            resume = part, name
        elif part < len(parts) and pattern is not None and pattern.match(names[name]):
            part, name = part + 1, name + 1
        elif resume is not None:
            # of several `**` only the last needs another try: what came before matched already
            part, name = resume[0], resume[1] + 1
            resume = part, name
        else:
            return False
    return part == len(parts)


def fault_in(glob: str) -> str | None:
    """Return what is to be done about a pattern; None for a good one."""
    if not glob:
        return "must not be empty"
    if glob.startswith("/"):
        return f'must begin without a slash, as keys do: write "{glob.lstrip("/")}"'
    if any("**" in name and name != "**" for name in glob.split("/")):
        return "must have ** alone between slashes, as in assets/**/*.map"
    return None


@lru_cache(maxsize=256)
def _parts(glob: str) -> tuple[_Part, ...]:
    return tuple(_ANY_FOLDERS if name == "**" else _name(name) for name in glob.split("/"))


def _name(pattern: str) -> re.Pattern[str]:
    # fnmatch's expression takes no step back over a star that has found its place
    return re.compile(fnmatch.translate(pattern.replace("[", "[[]")))
