"""A path of an invalidation, and what it clears."""

from dataclasses import dataclass, field
from typing import Final, Self

from functions.domain.path_encoding import encode, fitted
from functions.domain.wildcards import is_wildcard

STAR_IN_KEY: Final = "the key has a * in its name, which no exact path can name"
TOO_LONG: Final = "the exact path would be longer than CloudFront takes"


@dataclass(frozen=True, slots=True)
class Path:
    """A path as CreateInvalidation takes it: encoded, from the distribution's root.

    `reason`: of a wildcard, why it is no exact path; it makes no other path of it.
    """

    text: str
    reason: str = field(default="", compare=False)

    @property
    def is_wildcard(self) -> bool:
        """Whether it ends in `*`: CloudFront counts and limits these apart."""
        return is_wildcard(self.text)

    def matches(self, other: "Path") -> bool:
        """Return whether this path clears whatever `other` clears.

        As the CloudFront Developer Guide has it (What you need to know when invalidating files):
        case counts; a last `*` stands for any characters or none, slashes and a query string among
        them; a path without a query string does not clear what is cached with one. The last only
        tells where the distribution caches by query strings: elsewhere nothing is cached with one.
        """
        if not self.is_wildcard:
            return self.text == other.text
        beginning = other.text[:-1] if other.is_wildcard else other.text
        return beginning.startswith(self.text[:-1])

    @classmethod
    def of_key(cls, key: str) -> Self:
        """Return the path of a key below the origin path; a wildcard where `encode` gives one."""
        path = encode(key)
        if "*" in key:
            return cls(path, STAR_IN_KEY)
        return cls(path, TOO_LONG if is_wildcard(path) else "")

    @classmethod
    def of_text(cls, text: str, reason: str = "") -> Self:
        """Return the path of an encoded text; a wildcard, with that reason, where it is too long.

        `reason`: why the text itself ends in `*`, if it does.
        """
        path = fitted(text)
        return cls(path, reason if path == text else TOO_LONG)
