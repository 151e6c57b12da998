from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys import gateway as gateways
from tests.journeys.gateway import Gateway
from tests.journeys.lab import Lab, serving
from tests.journeys.lookalike import LookAlike, looking_alike


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A project of ten rows and a server that answers them."""
    root = tmp_path / "project"
    root.mkdir()
    with serving(tmp_path / "server") as server:
        made = Lab(root, server)
        made.spec()
        made.rows(10)
        yield made


@pytest.fixture
def remote() -> Iterator[LookAlike]:
    with looking_alike() as made:
        yield made


@pytest.fixture
def gateway(lab: Lab) -> Iterator[Gateway]:
    """Between the project and its server."""
    with gateways.before(lab.server.url) as gateway:
        lab.spec()
        path = lab.root / "specs/lab.yaml"
        path.write_text(path.read_text().replace(f"{lab.server.url}/v1", f"{gateway.url}/v1"))
        yield gateway
