"""What a distribution of the lab is: a bucket, and how its objects are cached."""

from dataclasses import dataclass, fields
from typing import Any, Self

from lab.edge.matching import Encodings, Wildcards, cache_key


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution's settings. Its one cache behaviour takes every path."""

    id: str
    origin_url: str
    """An S3 endpoint; `http://127.0.0.1:4566`."""
    bucket: str
    """Empty when `origin_url` is the bucket's own, a website endpoint for example."""
    origin_path: str = ""
    """Put before each URI at the origin; `/site`, without a last slash."""
    default_root_object: str = ""
    """The object that a request for `/` gets. `/` is a cache entry of its own all the same: that
    the guide wants it invalidated "the same way as any other file" can be read both ways."""
    folder_index: str = ""
    """The object of a folder that a request for the folder gets, `index.html`: as a bucket's
    website endpoint answers, or as a viewer-request function makes of it. Each `/docs/` is a cache
    entry of its own."""
    query_strings: bool = False
    """Whether query strings reach the origin and are part of what is cached."""
    ttl_s: float = 86400
    """CloudFront's default. The origin's Cache-Control is not read: everything is kept as long."""
    error_ttl_s: float = 10
    """CloudFront's default for what the origin answers with 4xx or 5xx."""
    encodings: Encodings = Encodings.DOCUMENTED
    wildcards: Wildcards = Wildcards.CHARACTERS

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> Self:
        """Return a distribution of a JSON object. Raise ValueError for what it cannot be."""
        unknown = settings.keys() - {field.name for field in fields(cls)}
        missing = {"id", "origin_url", "bucket"} - settings.keys()
        if unknown or missing:
            raise ValueError(f"unknown: {sorted(unknown)}, missing: {sorted(missing)}")
        path = settings.get("origin_path", "")
        if path and (not path.startswith("/") or path.endswith("/")):
            raise ValueError("origin_path must be of the form /site")
        given = {
            **settings,
            "encodings": Encodings(settings.get("encodings", Encodings.DOCUMENTED)),
            "wildcards": Wildcards(settings.get("wildcards", Wildcards.CHARACTERS)),
        }
        return cls(**given)

    def key(self, target: str) -> str:
        """Return under what the answer to a request is cached."""
        return cache_key(target, self.encodings, query_strings=self.query_strings)

    def origin_target(self, target: str) -> str:
        """Return what to ask the origin for: the URI as the viewer sent it, not decoded."""
        path, mark, query = target.partition("?")
        if path == "/" and self.default_root_object:
            path = f"/{self.default_root_object}"
        elif path.endswith("/"):
            path += self.folder_index
        bucket = f"/{self.bucket}" if self.bucket else ""
        return f"{bucket}{self.origin_path}{path}" + (mark + query if self.query_strings else "")
