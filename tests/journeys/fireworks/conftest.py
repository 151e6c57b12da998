from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.fireworks.lab import Account, FireLab
from tests.journeys.lab import Server, serving

NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests of a process: each has an account of its own."""
    with serving(tmp_path_factory.mktemp("fireworks") / "server") as server:
        yield server


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    yield shared
    shared.calm()


@pytest.fixture
def account(server: Server) -> Account:
    return Account(server, f"acme-{next(NUMBERS)}")


@pytest.fixture
def lab(tmp_path: Path, account: Account) -> FireLab:
    """A project of ten rows and an account that is empty."""
    root = tmp_path / "project"
    root.mkdir()
    made = FireLab(root, account.server, account)
    made.spec()
    made.rows(10)
    return made
