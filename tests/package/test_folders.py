"""Which folders change hands: the agent's own, and nobody else's, whatever agent.toml says."""

import os
from pathlib import Path

import pytest

from holdstill_install.account import AGENT, ROOT
from holdstill_install.errors import RefusedError
from holdstill_install.folders import Directory
from holdstill_install.layout import Layout
from tests.package.installing import new_host

pytestmark = pytest.mark.root

UID = 4242


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Return a host with the agent's account."""
    host = new_host(tmp_path / "root")
    for kind in ("passwd", "group"):
        with (host.root / "etc" / kind).open("a") as file:
            file.write(f"holdstill:x:{UID}:{UID}::/:/bin/false\n")
    return Layout(host.root)


def given(layout: Layout, path: str) -> Directory:
    """Return the step that gives a folder to the agent."""
    return Directory(layout, layout.at(path), AGENT, 0o700)


def is_the_agents(path: Path) -> bool:
    """Return whether it is, and its alone."""
    status = path.lstat()
    return (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (UID, UID, 0o700)


def test_new_folder_is_given_once(layout: Layout) -> None:
    """It is made where there is none, with what leads to it; then nothing is to be done."""
    step = given(layout, "/data/db/holdstill")
    assert step.pending() == "create /data/db/holdstill/ (holdstill:holdstill, 0700)"
    step.do()
    assert is_the_agents(step.path)
    assert step.pending() is None


@pytest.mark.parametrize(
    ("owner", "mode", "content"),
    [(UID, 0o755, "anything"), (4343, 0o700, "unfinished-after-unlock"), (0, 0o755, "")],
    ids=["the mode alone", "of an earlier account", "made by hand"],
)
def test_own_folder_is_mended(layout: Layout, owner: int, mode: int, content: str) -> None:
    """One that the agent has, or had, or that is called after it and empty, is made right."""
    step = given(layout, "/var/lib/holdstill")
    step.path.mkdir(parents=True)
    if content:
        (step.path / content).touch()
    os.chown(step.path, owner, owner)
    step.path.chmod(mode)
    assert step.pending() == "mend /var/lib/holdstill/ (holdstill:holdstill, 0700)"
    step.do()
    assert is_the_agents(step.path)
    assert step.pending() is None


def test_install_cut_short_goes_on(layout: Layout) -> None:
    """A folder that was made, and not yet given, is given."""
    step = given(layout, "/data/state")
    step.path.mkdir(parents=True)
    step.path.chmod(0o700)
    assert str(step.pending()).startswith("mend ")


@pytest.mark.parametrize("content", ["dpkg", ""])
@pytest.mark.parametrize("owner", [0, 4343])
def test_folder_of_others_is_not_given_away(layout: Layout, owner: int, content: str) -> None:
    """`state_dir = "/var/lib"` is refused, in words that say what to do."""
    step = given(layout, "/var/lib")
    step.path.mkdir(parents=True)
    if content:
        (step.path / content).touch()
    os.chown(step.path, owner, owner)
    with pytest.raises(RefusedError, match=r"/var/lib is there already .* name another folder"):
        step.pending()


def test_folder_of_others_named_as_ours_is_not_given_away(layout: Layout) -> None:
    """The name alone does not make it ours."""
    step = given(layout, "/var/lib/holdstill")
    step.path.mkdir(parents=True)
    (step.path / "accounts.db").touch()
    with pytest.raises(RefusedError, match="was not made for the agent"):
        step.pending()


def test_link_is_not_given_what_it_leads_to(layout: Layout) -> None:
    """A state_dir replaced by a link to /etc: neither planned, nor done if it comes later."""
    step = given(layout, "/var/lib/holdstill")
    step.path.parent.mkdir(parents=True)
    step.path.symlink_to(layout.at("/etc"))
    with pytest.raises(RefusedError, match=r"is a link .* name where it is in agent\.toml"):
        step.pending()
    before = layout.at("/etc").stat()
    with pytest.raises(OSError, match="Not a directory"):
        step.do()
    assert layout.at("/etc").stat() == before


def test_folder_of_the_configuration_is_not_named_in_it(layout: Layout) -> None:
    """Where /etc/holdstill is a link, or /etc others', the advice is not to write agent.toml."""
    step = Directory(layout, layout.configuration, ROOT, 0o755)
    step.path.symlink_to(layout.at("/srv"))
    with pytest.raises(RefusedError, match="put the folder itself there; then") as link:
        step.pending()
    step.path.unlink()
    layout.at("/etc").chmod(0o777)
    with pytest.raises(RefusedError, match=r"give \S+/etc to root alone") as open_way:
        step.pending()
    assert "agent.toml" not in f"{link.value} {open_way.value}"


def test_folder_is_not_made_where_the_agent_leads(layout: Layout) -> None:
    """A parent that others than root can change could be a link by then: refused, if not right."""
    parent = layout.at("/var/lib/holdstill")
    parent.mkdir(parents=True)
    os.chown(parent, UID, UID)
    (parent / "way").symlink_to(layout.at("/etc"))
    for path in ("/var/lib/holdstill/state", "/var/lib/holdstill/way/state"):
        with pytest.raises(RefusedError, match="others than root can change"):
            given(layout, path).pending()
    right = given(layout, "/var/lib/holdstill/state")
    right.path.mkdir(mode=0o700)
    os.chown(right.path, UID, UID)
    assert right.pending() is None


def test_image_is_not_left_by_a_link(layout: Layout, tmp_path: Path) -> None:
    """Below --root, an absolute link would lead to the host that builds the image."""
    (tmp_path / "outside").mkdir()
    layout.at("/data").symlink_to(tmp_path / "outside")
    with pytest.raises(RefusedError, match="leads out of"):
        given(layout, "/data/holdstill").pending()
