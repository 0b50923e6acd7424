"""Every fault there is. A module of this package is a group: it has `FAULTS`, a tuple of Fault."""

import importlib
import pkgutil

from lab.faults.fault import Fault


def faults() -> tuple[Fault, ...]:
    """Return the faults of all groups, in the groups' alphabetical order."""
    found: list[Fault] = []
    for module in pkgutil.iter_modules(__path__):
        found.extend(importlib.import_module(f"{__name__}.{module.name}").FAULTS)
    return tuple(found)
