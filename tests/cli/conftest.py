"""One running cluster for all tests of commands that leave it as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import free_topology

from .shell import up


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The topology of a cluster of three replicas that serves; tests must not kill anything."""
    folder = tmp_path_factory.mktemp("served") / "topology"
    folder.mkdir()
    topology = free_topology(folder)
    with up(topology):
        yield topology
