"""What a `[sites.*]` may say, and what only all sites together can get wrong."""

from pathlib import Path

import pytest

from functions.domain.path_rules import PathRule
from functions.domain.site import EventSource, Site
from infra.configuration import ConfigurationError, parse_configuration

LEAST = '[sites.static]\nbucket = "example-static"\ndistributions = ["E1EXAMPLE"]\n'
FULL = """\
[sites.static]
bucket = "example-static"
distributions = ["E1EXAMPLE", "E2EXAMPLE"]
origin_path = "/www"
index_documents = ["index.html"]
extra_paths = [
  { match = "{page}.html", paths = ["/{page}", "/{page}/"] },
  { match = "index.html", paths = ["/*"] },
]
ignore = ["assets/**", "**/*.map"]
monthly_cap_usd = 2.5
events = "eventbridge"
"""


def faults(text: str) -> list[str]:
    """Return what is said of a text, in order; nothing if it is right."""
    try:
        parse_configuration(text, "holdstill.toml")
    except ConfigurationError as error:
        return [str(fault) for fault in error.faults]
    return []


def test_a_site_arrives_as_the_functions_know_it() -> None:
    """Every key is a field of the domain's own site; what is absent has the same default."""
    sites = parse_configuration(FULL, "holdstill.toml").sites
    assert sites["static"] == Site(
        name="static",
        bucket="example-static",
        distributions=("E1EXAMPLE", "E2EXAMPLE"),
        origin_path="/www",
        index_documents=("index.html",),
        extra_paths=(
            PathRule("{page}.html", ("/{page}", "/{page}/")),
            PathRule("index.html", ("/*",)),
        ),
        ignore=("assets/**", "**/*.map"),
        monthly_cap_usd=2.5,
        events=EventSource.EVENTBRIDGE,
    )
    least = parse_configuration(LEAST, "holdstill.toml").sites["static"]
    assert least == Site("static", "example-static", ("E1EXAMPLE",))


def test_the_examples_commented_site_is_right() -> None:
    """Whoever takes the marks away has a site that synthesizes."""
    text = (Path(__file__).parents[2] / "holdstill.toml").read_text(encoding="utf-8")
    _, _, site = text.partition("# [sites.static]\n")
    lines = [line.removeprefix("# ") for line in site.splitlines()]
    sites = parse_configuration("\n".join(["[sites.static]", *lines]), "holdstill.toml").sites
    assert sites["static"].ignore == ("assets/**", "**/*.map")
    assert sites["static"].monthly_cap_usd == 5


def test_an_array_of_tables_says_the_same_as_an_inline_one() -> None:
    """Both of TOML's ways to write a list of tables are one, and a fault finds its line in both."""
    rule = '[[sites.static.extra_paths]]\nmatch = "{page}.html"\npaths = ["/{page}"]\n'
    site = parse_configuration(LEAST + rule, "holdstill.toml").sites["static"]
    assert site.extra_paths == (PathRule("{page}.html", ("/{page}",)),)
    (said,) = faults(LEAST + rule.replace("/{page}", "{page}"))
    assert said.startswith('line 4: sites.static.extra_paths: path "{page}" must begin with /')


def test_a_sites_own_faults_are_said_beside_those_of_its_forms() -> None:
    """One run tells everything: a missing bucket hides no bad pattern, and one site no other."""
    text = (
        '[sites.a]\ndistributions = ["e"]\nignore = ["/x", "a**"]\n'
        '[sites.b]\nbucket = "example-b"\ndistributions = ["E1EXAMPLE"]\n'
        'extra_paths = [{ match = "/a", paths = [] }]\n'
    )
    assert [fault.split(": ")[1] for fault in faults(text)] == [
        "sites.a.bucket",
        "sites.a.distributions",
        "sites.a.ignore",
        "sites.a.ignore",
        "sites.b.extra_paths",
        "sites.b.extra_paths",
    ]


def test_sites_of_one_bucket_have_one_way_of_events() -> None:
    """A bucket that tells in both ways would tell of every upload twice."""
    other = LEAST.replace("static]", "shop]")
    assert faults(f"{LEAST}{other}") == []
    (said,) = faults(f'{LEAST}{other}events = "eventbridge"\n')
    assert said == (
        'line 7: sites.shop.events: must be "s3", as that of sites.static, which has the same '
        'bucket, not "eventbridge"'
    )
    elsewhere = other.replace("example-static", "example-shop")
    assert faults(f'{LEAST}{elsewhere}events = "eventbridge"\n') == []


@pytest.mark.parametrize(("distributions", "fits"), [(22, True), (23, False)])
def test_one_change_is_one_write_of_the_table(distributions: int, *, fits: bool) -> None:
    """Its own path, an index document's and two extra ones for each distribution: 90 at most."""
    ids = [f"E{number:07d}" for number in range(distributions)]
    text = FULL.replace('["E1EXAMPLE", "E2EXAMPLE"]', str(ids).replace("'", '"'))
    text = text.replace('"/{page}", ', "")
    said = (
        "line 6: sites.static.extra_paths: must make at most 90 rows of one change, not 92: 4 for "
        "each of 23 distributions"
    )
    assert faults(text) == ([] if fits else [said])


def test_too_many_distributions_alone_are_the_distributions_fault() -> None:
    """Without extra paths the key to change is another."""
    ids = ", ".join(f'"E{number:07d}"' for number in range(91))
    (said,) = faults(LEAST.replace('"E1EXAMPLE"', ids))
    assert said.startswith("line 3: sites.static.distributions: must make at most 90 rows")


def test_names_are_like_a_targets() -> None:
    """They become parts of alarms' and outputs' names, and two never one."""
    (said,) = faults(LEAST.replace("sites.static", 'sites."My Site"'))
    assert "its name must be 1 to 48 characters, small letters" in said
    twins = LEAST.replace("static]", "web-1]") + LEAST.replace("static]", "web1]")
    (said,) = faults(twins)
    assert said.startswith("line 4: sites.web1: is too like web-1: both become SiteWeb1")
