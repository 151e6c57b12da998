from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.lab import Lab, serving


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
