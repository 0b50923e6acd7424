"""Which steps an install or an uninstall is made of, in order."""

from holdstill_install import refusals, systemd
from holdstill_install.account import AGENT, ROOT, ROOT_FOR_AGENT, Account, NoAccount
from holdstill_install.files import Absent, Example
from holdstill_install.folders import RUN, STATE, Directory, OwnFilesGone
from holdstill_install.layout import Layout
from holdstill_install.package import Package
from holdstill_install.plan import Pending, Step, pending
from holdstill_install.release import Configured, Switched, Unpacked, folder_name, releases
from holdstill_install.stopping import Stopped
from holdstill_install.systemd import Systemctl, Unit


def install(layout: Layout, package: Package) -> list[Pending]:
    """Return what installing the package, or upgrading to it, would change here."""
    folder = folder_name(package)
    units = package.units()
    known = systemd.known_units(layout, package)
    old = [path for path in releases(layout) if path.name != folder]
    laid = pending(
        [
            Account(layout),
            Directory(layout, layout.configuration, ROOT, 0o755),
            Directory(layout, layout.state, AGENT, 0o700),
            Unpacked(layout, package),
            *_examples(layout, package),
        ]
    )
    changed = pending(
        [
            # The units first: each asks what the version in use until now came with.
            *(Unit(layout, name, content) for name, content in units.items()),
            *(Absent(layout, path) for name, path in known.items() if name not in units),
        ]
    )
    switched = pending([Switched(layout, folder)])
    # Whatever has the agent started anew comes after this: it would stay down.
    read = pending([Configured(layout, folder)] if changed or switched or old else [])
    told: list[Step] = []
    if systemd.runs(layout):
        names = [name for name in units if "@" not in name]
        if changed or systemd.need_reload(names):
            told.append(Systemctl(("daemon-reload",)))
        # It runs on as the old version until it is restarted; also after an install cut short.
        if (changed or switched or old) and (running := systemd.active(names)):
            told.append(Systemctl(("try-restart", *running)))
    gone = [Absent(layout, path) for path in old]
    return laid + read + changed + switched + pending([*told, *gone])


def uninstall(layout: Layout, package: Package, *, purge: bool) -> list[Pending]:
    """Return what uninstalling would change: all that an install makes.

    What is the operator's, and the agent's own state, only if it is to be purged.
    """
    known = systemd.known_units(layout, package).values()
    units = [path for path in known if path.exists()]
    gone = [*units, layout.current, *releases(layout)]
    if purge:
        overrides = [path.with_name(f"{path.name}.d") for path in known]
        gone += overrides
    steps: list[Step] = [Absent(layout, path) for path in gone]
    if purge:
        # Last what says where the others are: a purge cut short finds them again.
        steps += [*_configured(layout), Absent(layout, layout.configuration)]
    if systemd.runs(layout) and units:
        names = [path.name for path in units if "@" not in path.name]

        def ask() -> None:
            refusals.refuse_while_frozen(layout)
            if purge:
                refusals.refuse_to_forget(layout)

        stop: list[Step] = [Stopped(tuple(names), ask), Systemctl(("disable", *names))]
        steps = [*stop, *steps, Systemctl(("daemon-reload",))]
    return pending([*steps, NoAccount(layout)] if purge else steps)


def kept(layout: Layout) -> list[str]:
    """Return what an uninstall without a purge leaves, as it is called on the host."""
    return [
        f"{layout.name(path)}/" for path in (layout.configuration, layout.state) if path.exists()
    ]


def left(layout: Layout) -> list[str]:
    """Return what a purge leaves of the folders that agent.toml names, and why."""
    return [words for folder in _configured(layout) if (words := folder.left())]


def _configured(layout: Layout) -> list[OwnFilesGone]:
    return [
        OwnFilesGone(layout, layout.state, STATE),
        OwnFilesGone(layout, layout.run_dir, RUN),
    ]


def _examples(layout: Layout, package: Package) -> list[Example]:
    toml, option_file = layout.configuration / "agent.toml", layout.configuration / "mysql.cnf"
    return [
        Example(layout, toml, package.read("agent.example.toml"), ROOT, 0o644),
        Example(layout, option_file, package.read("mysql.example.cnf"), ROOT_FOR_AGENT, 0o640),
    ]
