"""All sites of a deployment, as its functions are told of them: a JSON document."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from functions.domain.path_rules import PathRule
from functions.domain.site import EventSource, Site


@dataclass(frozen=True, slots=True)
class Sites:
    """The sites by name. Several may have one bucket, and several one distribution."""

    by_name: Mapping[str, Site]

    @classmethod
    def of(cls, sites: Iterable[Site]) -> Self:
        """Return these sites."""
        return cls({site.name: site for site in sites})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the sites that `to_json` wrote. Raise SiteError for what no site can be."""
        return cls.of(map(_site, json.loads(text)["sites"]))

    def to_json(self) -> str:
        """Return the sites as one document, always the same for the same sites."""
        sites = [asdict(site) for _, site in sorted(self.by_name.items())]
        return json.dumps({"v": 1, "sites": sites})

    @property
    def distributions(self) -> tuple[str, ...]:
        """Every distribution, once."""
        every = (name for site in self.by_name.values() for name in site.distributions)
        return tuple(dict.fromkeys(every))

    def of_bucket(self, bucket: str) -> tuple[Site, ...]:
        """Return the sites that show a bucket; none for a stranger's."""
        return tuple(site for site in self.by_name.values() if site.bucket == bucket)

    def of_distribution(self, distribution: str) -> tuple[Site, ...]:
        """Return the sites that a distribution shows."""
        return tuple(site for site in self.by_name.values() if distribution in site.distributions)


def _site(values: Mapping[str, Any]) -> Site:
    lists = ("distributions", "index_documents", "ignore")
    return Site(
        **{
            **values,
            **{name: tuple(values[name]) for name in lists},
            "extra_paths": tuple(
                PathRule(rule["match"], tuple(rule["paths"])) for rule in values["extra_paths"]
            ),
            "events": EventSource(values["events"]),
        }
    )
