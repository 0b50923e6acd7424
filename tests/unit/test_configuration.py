"""What is wrong with a `holdstill.toml` is said at once: its key, its line, what is right."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from infra.configuration import ConfigurationError, parse_configuration, read_configuration

ROOT = Path(__file__).parents[2]
GOLDEN: list[dict[str, str]] = tomllib.loads(
    Path(__file__).with_name("configuration_faults.toml").read_text(encoding="utf-8")
)["fault"]
RIGHT = """
[policies.nightly]
schedule = "cron(0 3 * * ? *)"
timezone = "Asia/Tokyo"
spread_minutes = 30
attempts = 3
patience_s = 60
max_age_hours = 26
keep = { hourly = 24, daily = 7, weekly = 5, monthly = 12 }

[targets.recipes-db]
instance = "i-0123456789abcdef0"
policy = "nightly"

[sites.static]
bucket = "example-static"
distributions = ["E1EXAMPLE"]
origin_path = ""
index_documents = ["index.html"]
events = "s3"
"""


def faults(text: str) -> list[str]:
    """Return what is said of a text, in order; nothing if it is right."""
    try:
        parse_configuration(text, "holdstill.toml")
    except ConfigurationError as error:
        return [str(fault) for fault in error.faults]
    return []


def altered(old: str, new: str) -> str:
    """Return the right text with one thing changed."""
    assert RIGHT.count(old) == 1
    return RIGHT.replace(old, new)


def test_the_example_of_the_repository_is_right() -> None:
    """What a new user copies from works as it is."""
    configuration = read_configuration(ROOT / "holdstill.toml")
    assert configuration.targets["recipes-db"].policy is configuration.policies["nightly"]


def test_a_right_file_says_everything(capsys: pytest.CaptureFixture[str]) -> None:
    """Each value arrives where it belongs, and nothing is printed."""
    configuration = parse_configuration(RIGHT, "holdstill.toml")
    target = configuration.targets["recipes-db"]
    assert target.instance == "i-0123456789abcdef0"
    assert (target.policy.timezone, target.policy.attempts) == ("Asia/Tokyo", 3)
    assert (target.policy.keep.hourly, target.policy.keep.monthly) == (24, 12)
    assert configuration.sites["static"].distributions == ("E1EXAMPLE",)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: str(golden["said"])[:60])
def test_a_fault_names_its_key_and_teaches(golden: Mapping[str, str]) -> None:
    """One thing is wrong, so one thing is said: where it stands, and what would be right."""
    assert faults(altered(golden["old"], golden["new"])) == [golden["said"]]


def test_all_faults_are_said_at_once_in_the_files_order() -> None:
    """An operator mends a file once, not once for each fault."""
    text = altered("attempts = 3", "attempts = 99").replace("i-0123456789abcdef0", "i-1")
    text = text.replace("E1EXAMPLE", "e1").replace('timezone = "Asia/Tokyo"', "timezone = 9")
    assert [fault.split(": ")[1] for fault in faults(text)] == [
        "policies.nightly.timezone",
        "policies.nightly.attempts",
        "targets.recipes-db.instance",
        "sites.static.distributions",
    ]


def test_a_target_of_a_faulty_policy_has_no_fault_of_its_own() -> None:
    """One mistake is not reported once for each of a thousand targets."""
    assert len(faults(altered("attempts = 3", "attempts = 99"))) == 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a = 1\na = 2\n", "sets a key for the second time: each key may stand once"),
        ("[policies\n", "is not TOML: "),
    ],
)
def test_a_text_that_is_no_toml_is_reported_where_it_stops(text: str, fault: str) -> None:
    """A slip of the keyboard is a fault like any other, not a traceback."""
    (said,) = faults(text)
    assert fault in said


def test_a_duplicate_target_is_reported_with_its_line() -> None:
    """The second of two tables of one name is the one to look at."""
    line = len(RIGHT.splitlines()) + 1
    assert faults(RIGHT + "[targets.recipes-db]\n") == [
        f"line {line}: targets.recipes-db: is declared twice: each name may stand once"
    ]


def test_two_names_that_become_one_output_are_refused() -> None:
    """CloudFormation's ids know no hyphens: `db-1` and `db1` would be one."""
    twins = "".join(
        f'[targets.{name}]\ninstance = "i-0123456789abcdef0"\npolicy = "nightly"\n'
        for name in ("db-1", "db1")
    )
    (said,) = faults(RIGHT + twins)
    assert "targets.db1: is too like db-1: both become AgentDb1" in said


def test_a_spread_that_some_target_could_not_use_is_refused_for_all() -> None:
    """The fault is the policy's, today, and not that of the target added next year."""
    monday = RIGHT.replace("cron(0 3 * * ? *)", "cron(45 23 ? * MON *)")
    (said,) = faults(monday)
    assert said.startswith(
        "line 5: policies.nightly.spread_minutes: can be at most 15 with cron(45 23 ? * MON *), "
        "not 30: moved by 15 minutes it would start on the next day"
    )
    assert faults(monday.replace("spread_minutes = 30", "spread_minutes = 15")) == []


def test_a_rate_takes_no_spread() -> None:
    """rate() counts from the schedule's creation: there is no minute to move."""
    (said,) = faults(RIGHT.replace("cron(0 3 * * ? *)", "rate(6 hours)"))
    assert "set spread_minutes = 0, or use cron()" in said
    assert faults(RIGHT.replace("cron(0 3 * * ? *)", "rate(6 hours)").replace("= 30", "= 0")) == []


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    """A missing file says how to name another; a file of bytes says what it must be."""
    with pytest.raises(ConfigurationError, match=r"No such file.*-c config=PATH"):
        read_configuration(tmp_path / "absent.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="must be UTF-8"):
        read_configuration(tmp_path / "binary.toml")


def test_every_line_of_the_error_names_the_file() -> None:
    """Each line can be read alone, as editors and CI do."""
    with pytest.raises(ConfigurationError) as caught:
        parse_configuration("x = 1\ny = 2\n", "holdstill.toml")
    assert [line.split(": ")[0] for line in str(caught.value).splitlines()] == [
        "holdstill.toml",
        "holdstill.toml",
    ]
