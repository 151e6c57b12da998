from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.snapshots import Shots
from tests.journeys.conftest import gateway as gateway
from tests.journeys.lab import Lab, serving


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A project of ten rows and a server that answers them."""
    with serving(tmp_path / "server") as server:
        yield made(tmp_path / "project", server)


@pytest.fixture
def shots() -> Iterator[Shots]:
    """See `snapshots.py`."""
    made = Shots()
    yield made
    made.end()


@pytest.fixture(scope="module")
def expired(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A settled project: its first batch expired half way, the second asked again what it left. To be read only."""
    folder = tmp_path_factory.mktemp("expired")
    with serving(folder / "server") as server:
        lab = made(folder / "project", server)
        server.fault(expire_at=0.5)
        lab.apply()
        yield lab


def made(root: Path, server: object) -> Lab:
    from tests.journeys.lab import Server

    assert isinstance(server, Server)
    root.mkdir()
    lab = Lab(root, server)
    lab.spec()
    lab.rows(10)
    return lab
