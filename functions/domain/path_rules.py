"""Further paths of a key, for distributions that rewrite what viewers ask for.

Where a function turns `/about` into `/about.html` before the cache is asked, or a language is put
before it, one file is cached by other addresses too, and CloudFront's guide wants both invalidated.

    extra_paths = [
      { match = "{page}.html", paths = ["/{page}", "/{page}/"] },
      { match = "{folder}/index.html", paths = ["/{folder}"] },
      { match = "index.html", paths = ["/*"] },
    ]

`match` is a whole key below the origin path, in which a `{name}` stands for one or more characters,
slashes too: the first for as few as let the rest match. In `paths` it stands for the same
characters, encoded; what is around it is taken as it is, so that there may be a query string or a
last `*`. A brace of a key is written twice.
"""

import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

from functions.domain.path_encoding import escape, respelt
from functions.domain.paths import STAR_IN_KEY, Path

MOST_NAMES: Final = 2
"""A match tries every length of each: two take milliseconds for the worst key of 1,024 bytes, a
third would take seconds, and it is not the operator who chooses the keys."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_Parts = tuple[tuple[str, str], ...]
"""Pairs of a literal text and the name that follows it, empty at the end."""


class TemplateError(ValueError):
    """The braces of a text name nothing; the message says how they are written."""


@dataclass(frozen=True, slots=True)
class PathRule:
    """`match` and `paths` of one rule, which is only good if it has no faults."""

    match: str
    paths: tuple[str, ...]

    def faults(self) -> Iterator[str]:
        """Say what is to be done about the rule; nothing if it can be used."""
        try:
            names = _names(self.match)
        except TemplateError as error:
            yield f'match "{self.match}" {error}'
            return
        yield from (f'match "{self.match}" {fault}' for fault in _match_faults(self.match, names))
        if not self.paths:
            yield f'match "{self.match}" must have at least one path in paths'
        for template in self.paths:
            if fault := _template_fault(template, names):
                yield f'path "{template}" {fault}'

    def paths_of(self, key: str) -> Iterator[Path]:
        """Return the further paths of a key below the origin path; none if it does not match."""
        if found := _expression(self.match).fullmatch(key):
            values = found.groupdict()
            yield from (_filled(template, values) for template in self.paths)


def _filled(template: str, values: Mapping[str, str]) -> Path:
    text = ""
    for literal, name in _parts(template):
        text += literal
        if name:
            named, star, _ = values[name].partition("*")
            text += escape(named)
            if star:
                return Path.of_text(f"{text}*", STAR_IN_KEY)
    return Path.of_text(text, f"the extra path {template} ends in *" if text.endswith("*") else "")


def _match_faults(match: str, names: tuple[str, ...]) -> Iterator[str]:
    if not match or match.startswith("/"):
        yield f'must begin as keys do, without a slash: write "{match.lstrip("/") or "{page}"}"'
    if "*" in match:
        yield "must have a {name} where any characters may be, not a *"
    if len(names) > MOST_NAMES:
        yield f"must have at most {MOST_NAMES} names in braces"
    if len(set(names)) < len(names):
        yield "must have each name once"
    if any(left and name and not text for (_, left), (text, name) in pairwise(_parts(match))):
        yield "must have text between its names, or nobody knows where the first one ends"


def _template_fault(template: str, known: tuple[str, ...]) -> str | None:
    try:
        parts = _parts(template)
    except TemplateError as error:
        return str(error)
    unknown = sorted({name for _, name in parts if name} - set(known))
    if unknown:
        there = " and ".join(f"{{{name}}}" for name in known) or "none"
        return f"has {{{unknown[0]}}}, but the names in match are: {there}"
    if not template.startswith("/"):
        return "must begin with /"
    if "*" in template[:-1]:
        return "must have its * at the end, where it stands for any rest, or none at all"
    spelt = "".join(respelt(literal) + (name and f"{{{name}}}") for literal, name in parts)
    if any(respelt(literal) != literal for literal, _ in parts):
        return f'must be encoded but for its names: write "{spelt}"'
    return None


def _names(template: str) -> tuple[str, ...]:
    return tuple(name for _, name in _parts(template) if name)


@lru_cache(maxsize=256)
def _expression(match: str) -> re.Pattern[str]:
    return re.compile(
        "".join(
            re.escape(literal) + (f"(?P<{name}>.+?)" if name else "")
            for literal, name in _parts(match)
        ),
        re.DOTALL,
    )


@lru_cache(maxsize=256)
def _parts(template: str) -> _Parts:
    how = "must have braces only around a name, as in {page}, and twice where a key has one"
    try:
        fields = list(string.Formatter().parse(template))
    except ValueError as error:
        raise TemplateError(how) from error
    for _, name, form, conversion in fields:
        if name is not None and (form or conversion or not _NAME.fullmatch(name)):
            raise TemplateError(how)
    return tuple((literal, name or "") for literal, name, _, _ in fields)
