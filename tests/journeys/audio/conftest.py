from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.audio.lab import AudioLab, lab_of
from tests.journeys.lab import Server, serving


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests of a process: each counts what was asked since it began."""
    with serving(tmp_path_factory.mktemp("audio") / "server") as server:
        yield server


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    yield shared
    shared.calm()


@pytest.fixture
def lab(tmp_path: Path, server: Server) -> AudioLab:
    """A project of twenty recordings that was never applied."""
    return lab_of(tmp_path, server, 20)
