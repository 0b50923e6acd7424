"""The units, and what systemd is told of them."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from holdstill_install.account import ROOT
from holdstill_install.errors import SystemctlError
from holdstill_install.files import write
from holdstill_install.layout import NAME, Layout
from holdstill_install.package import Package


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit must be there, as packaged; one that was edited by hand is saved first."""

    layout: Layout
    name: str
    content: bytes

    @property
    def path(self) -> Path:
        """Return where it is."""
        return self.layout.units / self.name

    def pending(self) -> str | None:
        """Return what is to be done."""
        name = self.layout.name(self.path)
        if not self.path.exists():
            return f"write {name}"
        if self.path.read_bytes() == self.content:
            return None
        saved = f" (it was edited: saved as {self.name}.saved)" if self._edited() else ""
        return f"replace {name}{saved}"

    def do(self) -> None:
        """Write it."""
        if self._edited():
            saved = self.path.with_name(f"{self.name}.saved")
            write(self.layout, saved, self.path.read_bytes(), ROOT, 0o644)
        write(self.layout, self.path, self.content, ROOT, 0o644)

    def _edited(self) -> bool:
        """Whether it is neither ours nor what the version in use came with."""
        if not self.path.exists():
            return False
        brought = self.layout.current / "systemd" / self.name
        known = [self.content, brought.read_bytes() if brought.exists() else self.content]
        return self.path.read_bytes() not in known


@dataclass(frozen=True, slots=True)
class Systemctl:
    """systemd must be told something; whether it need be is decided by whoever makes the step."""

    arguments: tuple[str, ...]

    def pending(self) -> str | None:
        """Return what is to be done."""
        return f"run systemctl {' '.join(self.arguments)}"

    def do(self) -> None:
        """Tell it."""
        done = _systemctl(*self.arguments)
        if done.returncode:
            raise SystemctlError(
                f"systemctl {' '.join(self.arguments)}: {done.stderr.strip()}: mend that, then run"
                " the same again; `journalctl -u holdstill-agent` may say more"
            )


def runs(layout: Layout) -> bool:
    """Return whether systemd runs this host (sd_booted(3)), and it is this host that is meant."""
    return layout.is_this_host and Path("/run/systemd/system").is_dir()


def known_units(layout: Layout, package: Package) -> dict[str, Path]:
    """Return by name where units of ours may be: those packaged and those of the one in use."""
    in_use = layout.current / "systemd"
    names = {*package.units(), *(path.name for path in in_use.glob(f"{NAME}-*"))}
    return {name: layout.units / name for name in sorted(names)}


def active(names: list[str]) -> list[str]:
    """Return those units that run."""
    return [name for name in names if not _systemctl("is-active", "--quiet", name).returncode]


def need_reload(names: list[str]) -> bool:
    """Return whether systemd has read another content of one of them than is there now."""
    return "NeedDaemonReload=yes" in _systemctl("show", "-p", "NeedDaemonReload", *names).stdout


def _systemctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - systemd's own
        ("systemctl", *arguments),  # noqa: S607 - as the host has it
        capture_output=True,
        text=True,
        check=False,
    )
