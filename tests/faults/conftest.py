"""One world a server, gone before the next: its start takes longer than a trial."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lab.faults.command import suite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.faults.suite import Suite


_PROBE_EVERY_MS = 5
"""Coarser than at length: here no time shorter than a second is held against a limit."""


@pytest.fixture(scope="session")
def seed() -> int:
    """Return the seed of the random moments, which a failure prints."""
    return int(os.environ.get("HOLDSTILL_FAULTS_SEED", "0")) or int.from_bytes(os.urandom(3))


@pytest.fixture(scope="module")
def suite_on_mariadb(tmp_path_factory: pytest.TempPathFactory, seed: int) -> Iterator[Suite]:
    """Return a suite on a world with MariaDB."""
    with suite(
        tmp_path_factory.mktemp("faults-mariadb"), "mariadb", seed, probe_every_ms=_PROBE_EVERY_MS
    ) as playing:
        yield playing


@pytest.fixture(scope="module")
def suite_on_mysql(tmp_path_factory: pytest.TempPathFactory, seed: int) -> Iterator[Suite]:
    """Return a suite on a world with MySQL."""
    with suite(
        tmp_path_factory.mktemp("faults-mysql"), "mysql", seed, probe_every_ms=_PROBE_EVERY_MS
    ) as playing:
        yield playing
