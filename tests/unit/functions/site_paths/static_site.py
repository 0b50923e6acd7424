"""A site of one bucket and one distribution, and what clears a key of it."""

from typing import Any

from functions.domain.site import Site, paths_of


def site(**settings: Any) -> Site:
    """Return a site with these settings."""
    return Site("static", "example-static", ("E1EXAMPLE",), **settings)


def told(site: Site, key: str) -> list[str]:
    """Return the paths of a key as text."""
    return [path.text for path in paths_of(site, key)]
