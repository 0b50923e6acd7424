"""agent.toml: every fault at once, each with its key and what to write instead."""

import copy
import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from holdstill_agent.config import Config, HookConfig, load, parse
from holdstill_agent.errors import ConfigError
from holdstill_freezer.errors import BadConfigError
from holdstill_freezer.settings import read_settings
from holdstill_install.layout import Layout
from holdstill_protocol.messages import Lock

EXAMPLE = Path(__file__).parents[2] / "agent" / "agent.example.toml"


def parsed(document: dict[str, Any], **environ: str) -> Config:
    """Parse a document as if it had been read."""
    return parse(document, Path("/etc/holdstill/agent.toml"), environ)


@pytest.fixture
def example() -> dict[str, Any]:
    """Return the example's document."""
    return tomllib.loads(EXAMPLE.read_text())


def test_example_is_valid_and_says_the_defaults(example: dict[str, Any]) -> None:
    """The example works as it is, and what it writes out is what would hold without it."""
    config = load(EXAMPLE)
    assert config.lock is Lock.FTWRL
    assert config.budget_ms == 10_000
    bare = copy.deepcopy(example)
    for table in ("state_dir", "freeze", "limits", "hooks"):
        del bare[table]
    bare["mysql"] = {"option_file": bare["mysql"]["option_file"]}
    assert parse(bare, EXAMPLE, {}) == config


def test_freezer_reads_the_same_file() -> None:
    """Agent and freezer take the same mounts, budget and run_dir from the example."""
    config, settings = load(EXAMPLE), read_settings(EXAMPLE)
    assert settings.mounts == tuple(mount.path for mount in config.mounts)
    assert (settings.budget_ms, settings.run_dir) == (config.budget_ms, config.run_dir)


@pytest.mark.parametrize(
    ("table", "key", "value", "fault"),
    [
        (None, "target", "Recipes DB", "target: must be 1 to 48 of a-z"),
        (None, "commands_url", "sqs.example.com", "commands_url: must be the https:// URL"),
        (None, "replies_url", "http://sqs.example.com/1/q", "replies_url: must be the https://"),
        (None, "region", "Tokyo", "region: must be a Region"),
        (None, "colour", "blue", "colour: unknown key; the keys here are commands_url"),
        (None, "mounts", [], "mounts: at least one"),
        (None, "mounts", "/var/lib/mysql", "mounts: must be an array of tables"),
        (None, "mysql", "yes", "mysql: must be a table"),
        ("mysql", "lock", "global", 'mysql.lock: must be one of "ftwrl", "backup-stage"'),
        ("mysql", "lock", ["ftwrl"], 'mysql.lock: must be one of "ftwrl", "backup-stage"'),
        ("mysql", "lock", {"is": "ftwrl"}, 'mysql.lock: must be one of "ftwrl"'),
        ("mysql", "lock", True, 'mysql.lock: must be one of "ftwrl"'),
        ("mysql", "lock_wait_timeout_s", 1.5, "mysql.lock_wait_timeout_s: must be 1 to 5 seconds"),
        ("mysql", "lock_wait_timeout_s", True, "mysql.lock_wait_timeout_s: must be 1 to 5 seconds"),
        ("mysql", "kill_queries_older_than_s", 0.5, "mysql.kill_queries_older_than_s: must be 0"),
        ("mysql", "lock_wait_timeout_s", 0, "mysql.lock_wait_timeout_s: must be 1 to 5 seconds"),
        ("mysql", "lock_wait_timeout_s", 6, "mysql.lock_wait_timeout_s: must be 1 to 5 seconds"),
        ("mysql", "pasword", "x", "mysql.pasword: unknown key"),
        ("mysql", "kill_queries_older_than_s", -1, "mysql.kill_queries_older_than_s: must be 0 to"),
        ("mysql", "pause_replication", 1, "mysql.pause_replication: must be true or false"),
        (None, "state_dir", "state", "state_dir: must be an absolute path"),
        ("freeze", "client_user", "Mr X", "freeze.client_user: must be the name of a user"),
        ("hooks", "before_lock", "/bin/true", "hooks.before_lock: must be a list of texts"),
        ("hooks", "before_lock", ["/bin/true", 1], "hooks.before_lock: must be a list of texts"),
        ("hooks", "before_lock", ["true"], "hooks.before_lock: begins with 'true'"),
        ("hooks", "after_unlock", ["/bin/echo", ""], "hooks.after_unlock: must be a list"),
        ("hooks", "after_unlock_timeout_s", 601, "hooks.after_unlock_timeout_s: must be 0.1"),
        ("hooks", "after_lock", [], "hooks.after_lock: unknown key"),
        ("freeze", "run_dir", "run", "freeze.run_dir: must be an absolute path"),
        ("freeze", "enabled", "yes", "freeze.enabled: must be true or false"),
        ("freeze", "budget_s", 3600, "freeze.budget_s: must be 0.1 to 60 seconds"),
        ("freeze", "budget_s", True, "freeze.budget_s: must be 0.1 to 60 seconds"),
        ("limits", "max_clock_skew_s", -1, "limits.max_clock_skew_s: must be 1 to 60 seconds"),
    ],
)
def test_fault_names_its_key(
    example: dict[str, Any], table: str | None, key: str, value: object, fault: str
) -> None:
    """A wrong value is one fault, that begins with its key and says what would be right."""
    (example if table is None else example[table])[key] = value
    with pytest.raises(ConfigError) as caught:
        parsed(example)
    assert [one for one in caught.value.faults if one.startswith(fault)], caught.value.faults


@pytest.mark.parametrize(
    ("mount", "fault"),
    [
        ({"path": "/var/lib/mysql/"}, "mounts[1].path: /var/lib/mysql is named twice"),
        ({"path": "/var/../srv"}, "mounts[1].path: write it without .."),
        ({"path": "/var/lib/mysql"}, "mounts[1].path: /var/lib/mysql is named twice"),
        ({"path": "/data", "volumes": ["vol-1"]}, "mounts[1].volumes: must be a list of volume"),
        ({"path": "/data", "volume": "vol-1"}, "mounts[1].volume: unknown key"),
        ({}, "mounts[1].path: is missing"),
    ],
)
def test_fault_of_a_mount_names_its_index(
    example: dict[str, Any], mount: dict[str, object], fault: str
) -> None:
    """Which of several mounts is wrong is said by its index."""
    example["mounts"].append(mount)
    with pytest.raises(ConfigError) as caught:
        parsed(example)
    assert [one for one in caught.value.faults if one.startswith(fault)], caught.value.faults


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("/srv/db", "/srv/db"),
        ("/srv/d b", "/srv/d b"),
        ("/srv/料理", "/srv/料理"),
        ("/srv/..db", "/srv/..db"),
        ("/", "/"),
        ("//srv/db", "/srv/db"),
        ("//", "/"),
        ("/srv//db", "/srv/db"),
        ("/srv/db/", "/srv/db"),
        ("/srv/./db/.", "/srv/db"),
        ("/srv/a\tb", None),
        ("/srv/a\u3000b", None),
        ("/srv/a\nb", None),
        ("/srv/a\x7fb", None),
        ("/srv/../db", None),
        ("srv/db", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("key", ["mounts", "run_dir"])
def test_both_readers_take_the_same_paths(
    example: dict[str, Any], tmp_path: Path, path: str, key: str, read: str | None
) -> None:
    """What the agent's check lets through the freezer serves, by the same name."""
    run_dir, mount = ("/run/holdstill", path) if key == "mounts" else (path, "/srv/db")
    example["mounts"], example["freeze"]["run_dir"] = [{"path": mount}], run_dir
    file = tmp_path / "agent.toml"
    file.write_text(
        f"[[mounts]]\npath = {json.dumps(mount)}\n[freeze]\nrun_dir = {json.dumps(run_dir)}\n"
    )
    file.chmod(0o600)
    if read:
        run_dir, mount = (run_dir, read) if key == "mounts" else (read, mount)
        assert parsed(example).mounts[0].path == read_settings(file).mounts[0] == mount
        assert parsed(example).run_dir == read_settings(file).run_dir == run_dir
        return
    with pytest.raises(ConfigError) as by_agent:
        parsed(example)
    with pytest.raises(BadConfigError):
        read_settings(file)
    assert len(by_agent.value.faults) == 1


@pytest.mark.parametrize("state_dir", ["/data/state/", "//data/./state"])
def test_state_dir_is_the_installers(
    example: dict[str, Any], tmp_path: Path, state_dir: str
) -> None:
    """The folder that the agent writes is the one that the installer made, however written."""
    example["state_dir"] = state_dir
    layout = Layout(tmp_path)
    layout.configuration.mkdir(parents=True)
    (layout.configuration / "agent.toml").write_text(f"state_dir = {json.dumps(state_dir)}\n")
    assert parsed(example).state_dir == layout.name(layout.state) == "/data/state"


def test_all_faults_come_at_once(example: dict[str, Any]) -> None:
    """An operator mends the file once, not once a fault."""
    example["target"] = ""
    example["mysql"]["lock"] = "hope"
    example["freeze"]["budget"] = 5
    del example["replies_url"]
    with pytest.raises(ConfigError) as caught:
        parsed(example)
    assert len(caught.value.faults) == 4


def test_queues_must_be_two(example: dict[str, Any]) -> None:
    """An agent that reads its own replies would answer itself."""
    example["replies_url"] = example["commands_url"]
    with pytest.raises(ConfigError, match="replies_url: is the commands' own queue"):
        parsed(example)


def test_region_comes_from_the_environment_too(example: dict[str, Any]) -> None:
    """AWS_REGION is enough, which boto3 itself does not read; with neither it is a fault."""
    del example["region"]
    assert parsed(example, AWS_REGION="eu-north-1").region == "eu-north-1"
    with pytest.raises(ConfigError, match="region: is missing"):
        parsed(example)


def test_database_need_not_be_named_without_a_lock(example: dict[str, Any]) -> None:
    """With lock = "none" there is no connection, and so no option file."""
    example["mysql"] = {"lock": "none"}
    assert parsed(example).lock is Lock.NONE
    example["mysql"] = {"lock": "ftwrl"}
    with pytest.raises(ConfigError, match=r"mysql\.option_file: is missing"):
        parsed(example)


def test_hook_is_a_list_with_a_time_limit(example: dict[str, Any]) -> None:
    """A command and its arguments, in milliseconds; an empty list is no hook."""
    example["hooks"] = {
        "before_lock": ["/bin/sh", "-c", "exit 0"],
        "before_lock_timeout_s": 1.5,
        "after_unlock": [],
    }
    config = parsed(example)
    assert config.before_lock == HookConfig(("/bin/sh", "-c", "exit 0"), 1500)
    assert config.after_unlock is None


def test_whole_seconds_may_be_written_with_a_point(example: dict[str, Any]) -> None:
    """2.0 is no fraction, and MySQL is told 2."""
    example["mysql"] |= {"lock_wait_timeout_s": 2.0, "kill_queries_older_than_s": 30.0}
    config = parsed(example)
    told = (config.lock_wait_timeout_s, config.kill_queries_older_than_s)
    assert repr(told) == "(2, 30)"


@pytest.mark.parametrize(("written", "read"), [(0, None), (60, 60)])
def test_no_query_is_killed_unless_asked(
    example: dict[str, Any], written: int, read: int | None
) -> None:
    """0 is never, not at once."""
    example["mysql"]["kill_queries_older_than_s"] = written
    assert parsed(example).kill_queries_older_than_s == read


@pytest.mark.parametrize("text", ["target = ", "\ud800", None])
def test_unreadable_file_is_a_fault(tmp_path: Path, text: str | None) -> None:
    """No traceback for a file that is missing, binary, or no TOML."""
    path = tmp_path / "agent.toml"
    if text is not None:
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigError, match=r"agent\.toml"):
        load(path)


def _with_hook(folder: Path) -> Path:
    """Write the example with a hook."""
    path = folder / "agent.toml"
    path.write_text(EXAMPLE.read_text().replace("before_lock = []", 'before_lock = ["/bin/true"]'))
    return path


def test_file_that_others_can_write_is_refused(tmp_path: Path) -> None:
    """Its hooks run as the agent: whoever can write the file could be the agent, root maybe."""
    path = _with_hook(tmp_path)
    for mode in (0o664, 0o646):
        path.chmod(mode)
        with pytest.raises(ConfigError, match=r"is writable by others.*chmod go-w it"):
            load(path)
    path.chmod(0o644)
    assert load(path)


@pytest.mark.parametrize("owner", [0, os.geteuid(), 12345])
def test_file_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: int
) -> None:
    """Root's and the agent's own are believed, nobody else's."""
    path = _with_hook(tmp_path)
    path.chmod(0o644)
    real = os.fstat

    def fstat(descriptor: int) -> os.stat_result:
        return os.stat_result([*real(descriptor)[:4], owner, *real(descriptor)[5:10]])

    monkeypatch.setattr(os, "fstat", fstat)
    if owner in (0, os.geteuid()):
        assert load(path)
        return
    with pytest.raises(ConfigError, match=r"belongs to user 12345.*chown it to root"):
        load(path)
