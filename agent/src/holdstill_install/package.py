"""The file that this runs from: a zip with the installer and, below `payload`, what it installs."""

import stat
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Self

from holdstill_install.errors import PackageError

_PAYLOAD = "payload/"


class Package:
    """The packaged agent, read-only."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.release = self._text("RELEASE")

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file; PackageError if it is not the one that `make agent-package` builds."""
        try:
            return cls(zipfile.ZipFile(path))
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise PackageError(
                f"{path} is not a whole agent package ({error}): build it with"
                " `make agent-package`, or copy it to this host again"
            ) from error

    def read(self, name: str) -> bytes:
        """Return a file of the payload."""
        return self._archive.read(_PAYLOAD + name)

    def units(self) -> Mapping[str, bytes]:
        """Return systemd's units by name."""
        folder = _PAYLOAD + "systemd/"
        names = [name for name in self._archive.namelist() if name.startswith(folder)]
        return {name.removeprefix(folder): self._archive.read(name) for name in names}

    def unpack(self, folder: Path, site_packages: Path) -> None:
        """Unpack the payload into a folder; PackageError if the file is damaged.

        The modules go where this host's Python looks for them: that depends on its version.
        """
        for entry in self._archive.infolist():
            if not entry.filename.startswith(_PAYLOAD) or entry.is_dir():
                continue
            place = PurePosixPath(entry.filename.removeprefix(_PAYLOAD))
            if ".." in place.parts or place.is_absolute():
                raise PackageError(f"{entry.filename} would be written elsewhere: do not trust it")
            if place.parts[0] == "site-packages":
                path = site_packages.joinpath(*place.parts[1:])
            else:
                path = folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.write_bytes(self._archive.read(entry))  # which checks its sum
            except zipfile.BadZipFile as error:
                raise PackageError(f"{error}: copy the package to this host again") from error
            path.chmod(0o755 if entry.external_attr >> 16 & stat.S_IXUSR else 0o644)

    def _text(self, name: str) -> str:
        return self.read(name).decode().strip()


def running_from() -> Path:
    """Return the file that holds this very code."""
    return Path(sys.modules[__name__].__file__ or "").parents[1]
